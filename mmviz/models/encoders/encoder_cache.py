"""Keeps the outputs of frozen encoders for the last inputs: the variants of an experiment encode each input once.

Only inside `kept_encodings`, which backends enter: elsewhere modules run as they are written.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from mmviz.models.content_caches import register_cache
from mmviz.models.content_digest import add_content, weights_state

INPUTS = 16
"""Inputs of each encoder whose outputs are kept: as many as an experiment over examples runs together."""
Outputs = tuple[Tensor, ...]
_is_kept: ContextVar[bool] = ContextVar("is_kept", default=False)
_when_kept: ContextVar[Callable[[Sequence[nn.Module]], None] | None] = ContextVar("when_kept", default=None)
_anew: ContextVar[frozenset[nn.Module]] = ContextVar("anew", default=frozenset())


@contextmanager
def kept_encodings() -> Iterator[None]:
    """A context in which the encoders that this thread calls may return kept outputs."""
    token = _is_kept.set(True)
    try:
        yield
    finally:
        _is_kept.reset(token)


@contextmanager
def report_kept(when_kept: Callable[[Sequence[nn.Module]], None]) -> Iterator[None]:
    """Calls ``when_kept`` with the modules of an encoder that need not run, since its outputs are kept."""
    token = _when_kept.set(when_kept)
    try:
        yield
    finally:
        _when_kept.reset(token)


@contextmanager
def encoded_anew(modules: Iterable[nn.Module]) -> Iterator[None]:
    """A context in which encoders with any of ``modules`` in them run, as where these are watched or changed."""
    token = _anew.set(_anew.get().union(modules))
    try:
        yield
    finally:
        _anew.reset(token)


class EncoderCache:
    """The outputs for the last `INPUTS` inputs of each encoder, told by their content and the encoder's weights.

    A copy, such as that of a model whose weights are then shuffled, begins empty.
    """

    def __init__(self) -> None:
        self._outputs: dict[str, OrderedDict[bytes, Outputs]] = {}
        register_cache(self)

    def __reduce__(self) -> tuple[type[EncoderCache], tuple[()]]:
        return EncoderCache, ()

    def clear(self) -> None:
        """Drops all outputs."""
        self._outputs.clear()

    def encoded(
        self, name: str, modules: Sequence[nn.Module], encode: Callable[[Tensor], Outputs], inputs: Tensor
    ) -> Outputs:
        """Returns ``encode(inputs)``, each output ``[row, ...]``; only rows that are not kept are encoded.

        ``modules`` are all that ``encode`` runs, ``name`` is that of the encoder. Nothing is kept outside
        `kept_encodings`, in `encoded_anew`, under autocast, and where anything takes gradients or trains.
        """
        weights = [tensor for part in modules for tensor in (*part.parameters(), *part.buffers())]
        if not _may_keep(modules, (inputs, *weights)):
            return encode(inputs)
        kept = self._outputs.setdefault(name, OrderedDict())
        state = weights_state(weights)
        keys = [_key(state, row) for row in inputs]
        rows = {key: kept[key] for key in keys if key in kept}
        missing = {key: number for number, key in enumerate(keys) if key not in rows}
        if missing:
            with torch.no_grad():
                outputs = encode(inputs[list(missing.values())])
            rows |= {key: tuple(output[row].clone() for output in outputs) for row, key in enumerate(missing)}
        elif (when_kept := _when_kept.get()) is not None:
            when_kept(modules)
        for key in keys:
            kept[key] = rows[key]
            kept.move_to_end(key)
        while len(kept) > INPUTS:
            kept.popitem(last=False)
        return tuple(torch.stack(parts) for parts in zip(*(rows[key] for key in keys), strict=True))


def _may_keep(modules: Sequence[nn.Module], tensors: Sequence[Tensor]) -> bool:
    if not _is_kept.get() or torch.is_autocast_enabled(tensors[0].device.type):
        return False
    if any(tensor.requires_grad or tensor.is_inference() for tensor in tensors) or any(m.training for m in modules):
        return False
    anew = _anew.get()
    return not anew or anew.isdisjoint(part for module in modules for part in module.modules())


def _key(state: bytes, row: Tensor) -> bytes:
    digest = hashlib.sha256(state)
    add_content(digest, row)
    return digest.digest()
