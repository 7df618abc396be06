"""Takes the tensors behind a record out of a capture, and computes weights from them again: `ExactAttention`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.head_weights_by_row_tile import row_lse
from mmviz.capture.lazy_attention import Gradients, LazyAttention
from mmviz.capture.plain_torch_modes import plain_modes
from mmviz.capture.windowed_attention import Window, WindowedAttention
from mmviz.types import AttentionRecord, CaptureError
from mmviz.types.exact_attention import ExactAttention, ExactCall, ExactMask

_MaskKey = tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class _Part(NamedTuple):
    """An array that can be kept: its size, and a function that makes it."""

    shape: tuple[int, ...]
    itemsize: int
    make: Callable[[], NDArray[Any]]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.itemsize


@plain_modes()
def exact_attention(layers: Sequence[LazyAttention], gradients: Gradients | None) -> ExactAttention:
    """Returns the tensors from which ``layers`` compute their weights, on the CPU.

    ``gradients``: those of the outputs of the calls, kept beside their values; None for none. Raises ``CaptureError``:
    ``capture-changed`` where the model overwrote a tensor after the run, ``keep-numbers`` for one that holds what is
    not a finite number.
    """
    masks: dict[_MaskKey, ExactMask] = {}
    maps = []
    gradient_of = None if gradients is None else lambda call: gradients[id(call)]
    for layer in layers:
        calls = []
        for call, rows, places in _calls_of(layer):
            call.check_unchanged()
            parts = {name: part.make() for name, part in _parts(call, rows, gradient_of).items()}
            try:
                if call.mask is not None and call.weights is None:
                    key = _mask_key(call, rows)
                    masks[key] = masks[key] if key in masks else _exact_mask(_mask_rows(call, rows))
                    parts["mask"] = masks[key]  # type: ignore[assignment]
                calls.append(ExactCall(call.scale, call.causal, **parts, **places))  # type: ignore[arg-type]
            except ValueError as problem:
                raise CaptureError("keep-numbers", name=call.module) from problem
        maps.append(tuple(calls))
    return ExactAttention(tuple(maps))


@plain_modes()
def exact_nbytes(layers: Sequence[LazyAttention], with_gradients: bool) -> int:
    """Returns `ExactAttention.nbytes` of what `exact_attention` would return, without making it."""
    total, masks = 0, set()
    gradient_of = _not_made if with_gradients else None
    for layer in layers:
        for call, rows, places in _calls_of(layer):
            total += sum(part.nbytes for part in _parts(call, rows, gradient_of).values())
            total += sum(array.nbytes for array in places.values())
            key = None if call.mask is None or call.weights is not None else _mask_key(call, rows)
            if key is not None and key not in masks:
                masks.add(key)
                mask = _mask_rows(call, rows)
                is_two_valued = _two_values(mask) is not None
                total += -(-mask.numel() // 8) + 16 if is_two_valued else mask.numel() * mask.element_size()
    return total


def lazy_layers(exact: ExactAttention, record: AttentionRecord) -> tuple[list[LazyAttention], Gradients]:
    """Returns the weights of every map of ``record``, computed when they are viewed, and the gradients if kept."""
    layers: list[LazyAttention] = []
    gradients = _KeptGradients()
    masks: dict[int, Tensor] = {}
    for attn_map, calls in zip(record.maps, exact.maps, strict=True):
        windows = []
        for kept in calls:
            call = _attention_call(attn_map.name, kept, masks)
            if kept.gradient is not None:
                gradients[id(call)] = tensor_of(kept.gradient)
            for row in range(call.shape[0]):
                if kept.query_places is not None and kept.key_places is not None:
                    places = (side[row].astype(np.int64) for side in (kept.query_places, kept.key_places))
                    windows.append(Window(call, row, *places))
        layers.append(WindowedAttention(windows, *attn_map.shape) if windows else LazyAttention(call))
    return layers, gradients


class _KeptGradients(dict[int, Tensor]):
    """The gradients that a file holds. Reading others raises ``CaptureError`` (``view-relevance``)."""

    def __missing__(self, number: int) -> Tensor:
        raise CaptureError("view-relevance")


def _calls_of(layer: LazyAttention) -> Iterator[tuple[AttentionCall, list[int], dict[str, NDArray[np.int32]]]]:
    """Yields the calls of a map, the rows of each that it uses, and the places of their queries and keys."""
    if not isinstance(layer, WindowedAttention):
        yield layer.call, [layer.batch], {}
        return
    for call in dict.fromkeys(window.call for window in layer.windows):
        own = [window for window in layer.windows if window.call is call]
        yield (
            call,
            [window.row for window in own],
            {
                "query_places": np.stack([window.queries for window in own]).astype(np.int32),
                "key_places": np.stack([window.keys for window in own]).astype(np.int32),
            },
        )


def _not_made(call: AttentionCall) -> Tensor:
    raise AssertionError  # only sizes are asked for


def _parts(
    call: AttentionCall, rows: Sequence[int], gradient_of: Callable[[AttentionCall], Tensor] | None
) -> dict[str, _Part]:
    """Returns the arrays of some rows of a call, with those of relevance where the call is in the graph."""
    count, heads, queries = len(rows), *call.shape[1:3]

    def of(tensor: Tensor) -> _Part:
        itemsize = tensor.element_size()
        return _Part((count, *tensor.shape[1:]), itemsize, lambda: array_of(tensor.detach()[rows]))

    if call.weights is not None:
        parts = {"weights": of(call.weights)}
    else:
        assert call.query is not None and call.key is not None
        lse = _Part((count, heads, queries), 4, lambda: np.stack([_row_lse(call, row) for row in rows]))
        parts = {"query": of(call.query), "key": of(call.key), "lse": lse}
    if gradient_of is None or call.output is None or call.arrange is None:
        return parts
    shape = count, heads, queries, call.value.shape[-1]
    gradient = _Part(shape, call.output.element_size(), lambda: array_of(gradient_of(call)[rows]))
    return {**parts, "value": of(call.value), "gradient": gradient}


def _row_lse(call: AttentionCall, row: int) -> NDArray[np.float32]:
    """Returns the log-sum-exp of one row of the batch, ``[head, query]``, -inf for fully masked queries."""
    lse = np.stack([row_lse(call, row, head).detach().float().cpu().numpy() for head in range(call.shape[1])])
    return np.where(np.isfinite(lse), lse, -np.inf).astype(np.float32)


def _mask_rows(call: AttentionCall, rows: Sequence[int]) -> Tensor:
    """Returns the mask of some rows, with four axes of which those that are shared have length 1."""
    assert call.mask is not None
    mask = call.mask.detach()[(None,) * (4 - call.mask.dim())]
    mask = mask[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in mask.stride())]
    return mask[rows] if mask.shape[0] > 1 else mask


def _mask_key(call: AttentionCall, rows: Sequence[int]) -> _MaskKey:
    """Returns what tells masks apart: where they lie in memory, and which rows are used."""
    assert call.mask is not None
    own = tuple(rows) if call.mask.dim() == 4 and call.mask.shape[0] > 1 and call.mask.stride(0) else ()
    return call.mask.data_ptr(), tuple(call.mask.shape), call.mask.stride(), own


def _two_values(mask: Tensor) -> tuple[float, float] | None:
    """Returns the smallest and the largest entry of a mask that holds no other, else None; a boolean one adds -inf."""
    if mask.dtype is torch.bool:
        return -math.inf, 0.0
    low, high = float(mask.amin()), float(mask.amax())
    return (low, high) if all(bool(((row == low) | (row == high)).all()) for row in mask.flatten(0, -2)) else None


def _exact_mask(mask: Tensor) -> ExactMask:
    """Returns a mask in numpy, by a bit for each entry where it has two values."""
    shape: Any = tuple(mask.shape)
    values = _two_values(mask)
    if values is None:
        return ExactMask(shape, None, array_of(mask))
    bits = mask if mask.dtype is torch.bool else mask == values[1]
    return ExactMask(shape, np.packbits(bits.cpu().numpy()), np.array(values, np.float64))


def _mask_tensor(mask: ExactMask) -> Tensor:
    """Returns a mask in torch: boolean where it removes keys, else what is added to the scores."""
    if mask.bits is None:
        return tensor_of(mask.values)
    takes_part = torch.from_numpy(np.unpackbits(mask.bits, count=mask.size).reshape(mask.shape)).bool()
    low, high = (float(value) for value in mask.values)
    if (low, high) == (-math.inf, 0.0):
        return takes_part
    return torch.full(mask.shape, low).masked_fill_(takes_part, high)


def _attention_call(name: str, kept: ExactCall, masks: dict[int, Tensor]) -> AttentionCall:
    """Returns a call from which weights are computed; ``masks`` holds those that are made already."""
    rows, heads, _, keys = kept.shape
    tensors = {part: tensor_of(array) for part, array in kept.arrays().items() if not part.endswith("places")}
    tensors.pop("gradient", None)
    if kept.mask is not None:
        if id(kept.mask) not in masks:
            masks[id(kept.mask)] = _mask_tensor(kept.mask)
        tensors["mask"] = masks[id(kept.mask)]
    value = tensors.pop("value", torch.empty(rows, heads, keys, 0))
    output = torch.empty(0)  # nothing is left to check the weights against
    return AttentionCall(name, value, output, causal=kept.causal, scale=kept.scale, **tensors)  # type: ignore[arg-type]


def array_of(tensor: Tensor) -> NDArray[Any]:
    """Returns a tensor in numpy, bfloat16 as the uint16 of its bits."""
    plain = tensor.detach().cpu().contiguous()
    return plain.view(torch.uint16).numpy() if plain.dtype is torch.bfloat16 else plain.numpy()


def tensor_of(array: NDArray[Any]) -> Tensor:
    """Returns the tensor that `array_of` was given, in the same memory, which nothing writes to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the memory is read-only
        tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if tensor.dtype is torch.uint16 else tensor
