"""Records of attention that was worked out elsewhere: arrays in, a record out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.types import TOLERANCE, AttentionMap, AttentionRecord, CaptureError, Token, as_tokens, index_tokens

_NAME = "tokens"


def record(
    attentions: Any,
    tokens: Sequence[str | Token] | Mapping[str, Sequence[str | Token]] | None = None,
    *,
    dtype: str | None = None,
) -> AttentionRecord:
    """The record of ``attentions``, arrays of torch, JAX or numpy that were worked out elsewhere.

    A list (or tuple) has an array for each layer, in order of execution: ``[head, query, key]``, or ``[batch, head,
    query, key]`` as Hugging Face gives them (a batch of one is taken as its only sample). One array is one layer
    ``[head, query, key]``, or all ``[layer, head, query, key]``, ``[layer, batch, head, query, key]``. Where several
    streams of tokens attend to each other, a mapping names the streams of queries and of keys: ``{("decoder",
    "encoder"): cross_attentions, "decoder": decoder_attentions}``, and ``tokens`` is one as well, by stream.
    Without ``tokens`` they are numbered. ``dtype``: the precision that the model computed in, where the arrays, having
    been converted, do not tell; it says how near to 1 rows must sum.
    Raises ``CaptureError``: ``given-nothing`` (as from fused kernels), ``given-kind``, ``given-shape``,
    ``given-tokens``, ``map-rows`` or ``map-negative`` for arrays that are no attention.
    """
    groups = attentions if isinstance(attentions, Mapping) else {_NAME: attentions}
    maps: list[AttentionMap] = []
    sizes: dict[str, int] = {}
    for pair, group in groups.items():
        queries, keys = (pair, pair) if isinstance(pair, str) else pair
        for layer, one in enumerate(_layers(group)):
            weights, precision = _array(one, layer)
            for stream, size in ((queries, weights.shape[-2]), (keys, weights.shape[-1])):
                if sizes.setdefault(stream, size) != size:
                    raise CaptureError("given-sizes", stream=stream, size=size, other=sizes[stream])
            name = f"layer {layer}" if queries == keys == _NAME else f"{queries} to {keys}, layer {layer}"
            maps.append(AttentionMap(name, layer, queries, keys, weights, dtype or precision))
    return AttentionRecord(
        id=uuid.uuid4().hex,
        streams=_streams(sizes, tokens),
        maps=tuple(maps),
        answers=(),
        made_by={"model": "given", "device": "elsewhere", "routes": ["given"] * len(maps), "dtype": maps[0].dtype},
    )


def _layers(group: Any) -> list[Any]:
    if group is None or (isinstance(group, (list, tuple)) and (not group or any(one is None for one in group))):
        raise CaptureError("given-nothing")
    if isinstance(group, (list, tuple)):
        if isinstance(group[0], (list, tuple)):
            raise CaptureError("given-steps", steps=len(group))
        return list(group)
    if not hasattr(group, "shape"):
        raise CaptureError("given-kind", kind=type(group).__name__)
    return [group] if len(group.shape) == 3 else list(group)


def _array(one: Any, layer: int) -> tuple[NDArray[np.float32], str]:
    """Weights ``[head, query, key]`` or ``[batch, head, query, key]``, and the precision of the array."""
    if not hasattr(one, "shape") or not hasattr(one, "dtype"):
        raise CaptureError("given-kind", kind=type(one).__name__)
    if hasattr(one, "detach"):  # torch, which numpy cannot read in every precision or place
        precision = str(one.dtype).removeprefix("torch.")
        found = np.asarray(one.detach().float().cpu().numpy())
    else:
        precision = str(one.dtype)
        found = np.asarray(one).astype(np.float32)
    if found.ndim == 4 and found.shape[0] == 1:
        found = found[0]
    if found.ndim not in (3, 4) or 0 in found.shape:
        raise CaptureError("given-shape", layer=layer, shape=list(found.shape))
    return found, precision if precision in TOLERANCE else "float32"


def _streams(
    sizes: Mapping[str, int], tokens: Sequence[str | Token] | Mapping[str, Sequence[str | Token]] | None
) -> dict[str, tuple[Token, ...]]:
    given = tokens if isinstance(tokens, Mapping) else {} if tokens is None else {next(iter(sizes)): tokens}
    if unknown := [name for name in given if name not in sizes]:
        raise CaptureError("given-stream", name=unknown[0], known=", ".join(sizes))
    streams = {name: as_tokens(given[name]) if name in given else index_tokens(size) for name, size in sizes.items()}
    for name, size in sizes.items():
        if len(streams[name]) != size:
            raise CaptureError("given-tokens", stream=name, count=len(streams[name]), size=size)
    return streams
