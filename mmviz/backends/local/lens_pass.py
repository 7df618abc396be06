"""What each token would answer after each layer: one more call of a model, whose states are read as they come."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmviz.backends.local.answers import shown_answer
from mmviz.backends.local.interventions import intervene_for
from mmviz.backends.local.route_cuts import BlockedRoutes
from mmviz.backends.local.written_answer import answer_logits
from mmviz.models import Model, Prepared
from mmviz.models.lens_readout import LensReadout, first_tensor
from mmviz.types import AttentionRecord, Change, MmvizError, TokenLens

TOP = 5
"""Most probable answers that are kept for each token after each layer."""
PARITY = 1e-4
"""How far, in nats, the last layer may be from the answer of the model. What is read through the same modules differs
by rounding alone, at most 1e-6 with the models that are tested; through others it is off by far more."""
_NUMBERS = 4_000_000
"""Logits that are in memory at once."""


@dataclass(frozen=True)
class _Reading:
    """What is kept of one layer."""

    top: Tensor
    """int64 ``[token, rank]``."""
    top_log_p: Tensor
    """float64 ``[token, rank]``."""
    ranks: Tensor
    """int64 ``[token]``."""
    log_p: Tensor
    """float64 ``[token]``: of the final answer."""


def token_lens(
    model: Model, prepared: Prepared, record: AttentionRecord, logits: Tensor, changes: Sequence[Change],
    routes: BlockedRoutes | None = None,
) -> TokenLens:  # fmt: skip
    """Returns the lens of a run of ``model`` under ``changes``, whose cuts block ``routes``, and which returned
    ``logits`` ``[answer]``; ``record`` is the run's.

    Raises ``MmvizError``: ``answer-none`` for a model without answers, ``lens-model`` for one without a lens,
    ``lens-stream`` and ``lens-tokens`` where layers run over other tokens than the record's, ``lens-parity`` where the
    last layer does not give the answer of the model at any token, ``lens-undetected`` as
    `mmviz.models.lens_readout.detected_readout`.
    """
    if not logits.numel():
        raise MmvizError("answer-none", model=model.card.id)
    lens_readout: Any = getattr(model, "lens_readout", None)
    if lens_readout is None:
        raise MmvizError("lens-model", model=model.card.id)
    with torch.no_grad():
        readout: LensReadout = lens_readout(prepared.tensors)
        answer = shown_answer(prepared, logits) if readout.answer is None else readout.answer
        stream = _stream_of(record, readout.layers)
        tokens = len(record.streams[stream])
        with intervene_for(model, changes, routes):  # around this call alone, by whose order heads are told apart
            layers, readings, last = _read_layers(model, prepared, readout, answer, tokens)
        expected = _expected(record, logits, readout)
        token, parity, alone = _answering_token(readout, last, expected, answer, _named_token(record, stream))
    if not parity <= PARITY:
        raise MmvizError("lens-parity", through=", ".join(readout.through), layers=layers[-1], gap=f"{parity:.1g}")
    for name in ("top", "top_log_p", "ranks", "log_p"):  # as the model reads it: by itself
        getattr(readings[-1], name)[token] = getattr(alone, name)[0]
    top = torch.stack([reading.top for reading in readings])
    answers, indices = np.unique(top.cpu().numpy(), return_inverse=True)
    return TokenLens(
        stream=stream, layers=layers, through=readout.through,
        labels=tuple(readout.label(int(index)) for index in answers), top=indices.reshape(top.shape).astype(np.int32),
        top_log_probabilities=_stacked([reading.top_log_p for reading in readings]), answer=readout.label(answer),
        answer_ranks=_stacked([reading.ranks for reading in readings]),
        answer_log_probabilities=_stacked([reading.log_p for reading in readings]), answer_token=token,
        answers=int(readout.read(last[:1]).shape[-1]), parity=parity,
    )  # fmt: skip


def _stream_of(record: AttentionRecord, layers: Sequence[str]) -> str:
    """Returns the stream of the queries of the attention in ``layers``. Raises ``MmvizError`` (``lens-stream``)."""
    inside = tuple(f"{path}." for path in layers)
    streams = {attn_map.queries for attn_map in record.maps if f"{attn_map.name}.".startswith(inside)}
    if not streams and len(record.streams) == 1:
        streams = set(record.streams)
    if len(streams) != 1:
        raise MmvizError("lens-stream", layers=layers[0].rpartition(".")[0], streams=", ".join(sorted(streams)) or "–")
    return streams.pop()


def _read_layers(
    model: Model, prepared: Prepared, readout: LensReadout, answer: int, tokens: int
) -> tuple[tuple[str, ...], list[_Reading], Tensor]:
    """Returns after what each row was read, the readings, and the states ``[token, width]`` after the last layer."""
    paths: list[str] = []
    readings: list[_Reading] = []
    last: list[Tensor] = []

    def note(path: str, states: Tensor | None) -> None:
        rows = _rows(states, tokens)
        if rows is None:
            raise MmvizError(
                "lens-tokens", layer=path, shape=[] if states is None else list(states.shape), count=tokens
            )
        paths.append(path)
        readings.append(_reading(readout, rows, answer))
        last[:] = [rows]

    def enter(_: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        states = first_tensor((*positional, *named.values()))
        if not paths and _rows(states, tokens) is not None:
            note(f"{readout.layers[0]}:input", states)

    with ExitStack() as hooks:
        first = model.module.get_submodule(readout.layers[0])
        hooks.callback(first.register_forward_pre_hook(enter, with_kwargs=True).remove)
        for path in readout.layers:
            layer = model.module.get_submodule(path)
            handle = layer.register_forward_hook(lambda _, __, output, path=path: note(path, first_tensor(output)))
            hooks.callback(handle.remove)
        answer_logits(model, prepared.tensors)
    if not last:
        raise MmvizError("lens-tokens", layer=readout.layers[0], shape=[], count=tokens)
    return tuple(paths), readings, last[0]


def _rows(states: Tensor | None, tokens: int) -> Tensor | None:
    """Returns the states ``[token, width]`` of one sample, whichever axis its batch is; None for another shape."""
    if states is None or states.dim() < 2 or states.numel() != tokens * states.shape[-1]:
        return None
    return states.reshape(tokens, states.shape[-1])


def _reading(readout: LensReadout, states: Tensor, answer: int) -> _Reading:
    """Returns what is kept of the states ``[token, width]`` of a layer."""
    log_p = readout.read(states[:1]).double().log_softmax(-1)
    best, size = min(TOP, log_p.shape[-1]), max(1, _NUMBERS // log_p.shape[-1])
    parts = []
    for start in range(0, len(states), size):
        log_p = readout.read(states[start : start + size]).double().log_softmax(-1)
        values, indices = log_p.topk(best)
        own = log_p[:, answer]
        parts.append((indices, values, 1 + (log_p > own[:, None]).sum(1), own.clone()))
    return _Reading(*(torch.cat(pieces) for pieces in zip(*parts, strict=True)))


def _expected(record: AttentionRecord, logits: Tensor, readout: LensReadout) -> Tensor:
    """Returns the log-probabilities ``[answer]`` that the model returned; of a model that writes its answer that of the
    token that is followed, ``[1]``."""
    if readout.answer is None:
        return logits.detach().double().log_softmax(-1)
    written = record.answer_log_probabilities
    assert written is not None
    return torch.tensor([written[0][readout.word]], device=logits.device)


def _named_token(record: AttentionRecord, stream: str) -> int | None:
    """Returns the token that the model names as the one that answers, where it is of ``stream``."""
    name, index = record.made_by.get("answer_token") or (None, 0)
    return int(index) if name == stream else None


def _answering_token(
    readout: LensReadout, states: Tensor, expected: Tensor, answer: int, named: int | None
) -> tuple[int, float, _Reading]:
    """Returns the token whose state, read by itself after the last layer, comes closest to what the model returned, how
    close, and its reading. That token is the one that the model names, where it names one."""

    def gaps(rows: Tensor) -> Tensor:
        log_p = readout.read(rows).double().log_softmax(-1)
        if readout.answer is not None:
            return (log_p[:, answer] - expected).abs()
        if log_p.shape[-1] != len(expected):
            return log_p.new_full((len(rows),), float("inf"))
        return (log_p - expected).abs().amax(1)

    if named is None:
        size = max(1, _NUMBERS // len(expected))
        named = int(torch.cat([gaps(rows) for rows in torch.split(states, size)]).argmin())
    alone = states[named : named + 1]
    return named, float(gaps(alone)[0]), _reading(readout, alone, answer)


def _stacked(tensors: Sequence[Tensor]) -> np.ndarray:
    array: np.ndarray = torch.stack(list(tensors)).cpu().numpy()
    return array
