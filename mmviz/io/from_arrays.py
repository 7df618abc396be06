"""Records of attention that was computed elsewhere: arrays in, a record out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.types import TOLERANCE, AttentionMap, AttentionRecord, CaptureError, Token, as_tokens, index_tokens

_STREAM = "tokens"


def record(
    attentions: Any,
    tokens: Sequence[str | Token] | Mapping[str, Sequence[str | Token]] | None = None,
    *,
    dtype: Any = None,
) -> AttentionRecord:
    """Returns the record of attention weights that were computed elsewhere. The arrays are copied.

    Args:
        attentions: torch, JAX or numpy arrays. A list (or tuple) holds one array per layer, in order of execution:
            ``[head, query, key]`` or, as Hugging Face returns them, ``[batch, head, query, key]``; a batch of one is
            taken as its only sample. A single array is one layer ``[head, query, key]``, or all layers
            ``[layer, head, query, key]`` or ``[layer, batch, head, query, key]``. For attention between several token
            streams, a mapping from the pair ``(queries, keys)`` of stream names to such arrays, or from one name for
            self-attention; each is a stack of its own.
        tokens: strings or `Token`, one per position; a mapping by stream name where ``attentions`` is one. Tokens are
            numbered where there are none.
        dtype: precision that the model computed in (``"float32"``, ``"bfloat16"``, ``torch.float16``, ...), where the
            arrays were converted since. It sets how far the sum of a row may be from 1.

    Raises:
        CaptureError: ``arrays-none`` for no attention at all (as from fused kernels), ``arrays-type`` for what is no
            array of numbers, ``arrays-nested`` for the attentions of several generation steps, ``arrays-shape``,
            ``arrays-names``, ``arrays-sizes``, ``arrays-stream`` and ``arrays-tokens`` for what does not fit together,
            ``map-dtype``, ``map-rows`` and ``map-negative`` as `AttentionMap` does.

    Examples:
        >>> weights = np.full((2, 3, 3), 1 / 3)  # [head, query, key]
        >>> record = mmviz.record([weights], tokens=["a", "red", "ball"])
        >>> record.maps[0].heads
        2
        >>> cross = np.full((2, 1, 3), 1 / 3)  # as of an encoder-decoder: one decoder token, three encoder tokens
        >>> record = mmviz.record(
        ...     {"encoder": [weights], ("decoder", "encoder"): [cross]}, tokens={"encoder": ["a", "red", "ball"]}
        ... )
        >>> [attn_map.name for attn_map in record.maps]
        ['encoder to encoder, layer 0', 'decoder to encoder, layer 0']
    """
    groups = attentions if isinstance(attentions, Mapping) else {_STREAM: attentions}
    maps: list[AttentionMap] = []
    sizes: dict[str, int] = {}
    for names, group in groups.items():
        queries, keys = _stream_names(names)
        for layer, array in enumerate(_layers(group)):
            weights, precision = _weights(array, layer)
            for stream, size in ((queries, weights.shape[-2]), (keys, weights.shape[-1])):
                if sizes.setdefault(stream, size) != size:
                    raise CaptureError("arrays-sizes", stream=stream, size=size, other=sizes[stream])
            between = queries if queries == keys else f"{queries} to {keys}"
            name = f"layer {layer}" if queries == keys == _STREAM else f"{queries} to {keys}, layer {layer}"
            if dtype is not None:
                precision = _dtype_name(dtype)
            stack = between if len(groups) > 1 else ""
            maps.append(AttentionMap(name, layer, queries, keys, weights, precision, stack))
    if not maps:
        raise CaptureError("arrays-none")
    return AttentionRecord(
        id=uuid.uuid4().hex,
        streams=_streams(sizes, tokens),
        maps=tuple(maps),
        answers=(),
        made_by={"model": "arrays", "device": "elsewhere", "routes": ["arrays"] * len(maps), "dtype": maps[0].dtype},
    )


def _stream_names(names: Any) -> tuple[str, str]:
    """Returns the names of the streams of queries and of keys."""
    pair = (names, names) if isinstance(names, str) else names
    if not isinstance(pair, tuple) or len(pair) != 2 or not all(isinstance(name, str) for name in pair):
        raise CaptureError("arrays-names", names=names)
    return pair


def _layers(group: Any) -> list[Any]:
    """Returns one array per layer."""
    if group is None or (isinstance(group, (list, tuple)) and (not group or any(array is None for array in group))):
        raise CaptureError("arrays-none")
    if isinstance(group, (list, tuple)):
        if isinstance(group[0], (list, tuple)):
            raise CaptureError("arrays-nested", steps=len(group))
        return list(group)
    if not hasattr(group, "shape"):
        raise CaptureError("arrays-type", kind=type(group).__name__)
    if 0 in group.shape:
        raise CaptureError("arrays-none")
    return list(group) if len(group.shape) in (4, 5) else [group]


def _weights(array: Any, layer: int) -> tuple[NDArray[np.float32], str]:
    """Returns weights ``[head, query, key]`` or ``[batch, head, query, key]``, and the precision of the array."""
    if not hasattr(array, "shape") or not hasattr(array, "dtype"):
        raise CaptureError("arrays-type", kind=type(array).__name__)
    precision = _dtype_name(array.dtype)
    try:
        if hasattr(array, "detach"):  # numpy cannot read every dtype and device of torch
            array = array.detach().float().cpu().numpy()
        if np.iscomplexobj(array):
            raise TypeError(precision)
        weights = np.asarray(np.asarray(array).astype(np.float32))
    except (TypeError, ValueError, RuntimeError) as error:
        raise CaptureError("arrays-type", kind=f"{type(array).__name__} of {precision}") from error
    if weights.ndim == 4 and weights.shape[0] == 1:
        weights = weights[0]
    if weights.ndim not in (3, 4) or 0 in weights.shape:
        raise CaptureError("arrays-shape", layer=layer, shape=list(weights.shape))
    return weights, precision if precision in TOLERANCE else "float32"


def _dtype_name(dtype: Any) -> str:
    """Returns the name of a dtype of torch, JAX or numpy, such as ``float32``."""
    return str(getattr(dtype, "__name__", dtype)).removeprefix("torch.")


def _streams(
    sizes: Mapping[str, int], tokens: Sequence[str | Token] | Mapping[str, Sequence[str | Token]] | None
) -> dict[str, tuple[Token, ...]]:
    """Returns the tokens of each stream, numbered where none are given."""
    by_name = tokens if isinstance(tokens, Mapping) else {} if tokens is None else {next(iter(sizes)): tokens}
    if unknown := [name for name in by_name if name not in sizes]:
        raise CaptureError("arrays-stream", name=unknown[0], known=", ".join(sizes))
    streams = {
        name: as_tokens(by_name[name]) if name in by_name else index_tokens(size) for name, size in sizes.items()
    }
    for name, size in sizes.items():
        if len(streams[name]) != size:
            raise CaptureError("arrays-tokens", stream=name, count=len(streams[name]), size=size)
    return streams
