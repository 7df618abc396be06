"""Many variants of one run in as few calls of the model as possible. Only their answers are computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmviz.backends import Stop
from mmviz.backends.local.capture_scope import HeadIndices, split_heads
from mmviz.backends.local.forward import token_streams
from mmviz.backends.local.interventions import WeightsHook, ablated_heads, intervene, weights_hook
from mmviz.backends.local.joined_variants import joined_variants
from mmviz.backends.local.machine import free_memory, lacks_memory
from mmviz.backends.local.prepare import prepare_variants
from mmviz.backends.local.route_cuts import Cuts, RouteFinder, blocked_routes, cut_routes, cuts_towers
from mmviz.backends.local.written_answer import answer_logits
from mmviz.models import Model, Prepared
from mmviz.types import CaptureError, Change, MmvizError, Sample, ShuffleWeights, UniformAttention

ROWS = 32
"""Variants in one call of the model."""
JOINING_ROWS = 64
"""The same where variants join on the way through the layers."""
PAIRS = 1 << 25
"""Pairs of a query and a key of one head, in all rows of one call."""
TOLERANCE = 1e-3
"""How far a log-probability in a batch may lie from that of a run by itself, for a custom model to run in batches."""
_BATCHES: WeakKeyDictionary[nn.Module, dict[tuple[bool, ...], bool]] = WeakKeyDictionary()
"""Whether rows in a batch have what each has alone, for modules that choose their batches themselves: by whether rows
are padded, whether heads are ablated, whether routes are cut, and whether attention is the model's own. It is tried
once for each."""

_JOINS: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()
"""False for modules of which it is known that variants cannot join a call of them on the way."""


@dataclass(frozen=True, eq=False)
class Row:
    """One variant."""

    prepared: Prepared
    """The inputs of the variant, ready for the model."""
    heads: HeadIndices
    """The heads to ablate."""
    cuts: Cuts
    """The routes to cut."""


def sweep(
    model_for: Callable[[Sequence[Change]], Model], sample: Sample, variants: Sequence[tuple[Change, ...]], seed: int,
    stop: Stop, pairs: Sequence[tuple[str, str, str]] = (),
) -> NDArray[np.float64] | None:  # fmt: skip
    """Returns log-probabilities ``[variant, answer]``, answers in the order of the card; None where ``stop`` ended it.

    Of an answer that the model wrote, those of its tokens follow, ``[variant, answer + token]``. ``model_for`` returns
    the model for the changes of a variant, which may shuffle its weights. ``pairs``: as in `mmviz.types.Request`.
    Raises ``MmvizError``.
    """
    tables = sweeps(model_for, [(sample, variants)], seed, stop, pairs)
    return None if tables is None else tables[0]


def sweeps(
    model_for: Callable[[Sequence[Change]], Model],
    samples: Sequence[tuple[Sample, Sequence[tuple[Change, ...]]]],
    seed: int,
    stop: Stop,
    pairs: Sequence[tuple[str, str, str]] = (),
) -> list[NDArray[np.float64]] | None:
    """Returns `sweep` of each sample with its own variants; variants of several samples share calls of the model."""
    blocks: list[Tensor] = []
    finder = RouteFinder(pairs)
    variants = [(number, changes) for number, (_, own) in enumerate(samples) for changes in own]
    for _, group in groupby(variants, lambda variant: _batch_key(variant[1])):
        members = list(group)
        model, hook = model_for(members[0][1]), weights_hook(members[0][1])
        prepared = _prepared(model, samples, members, seed)
        are_cuts = _can_join(model) and all(cut_routes(changes) for _, changes in members)
        count = JOINING_ROWS if are_cuts else ROWS
        for start in range(0, len(members), count):
            rows = [
                Row(next(prepared), ablated_heads(changes), cut_routes(changes))
                for _, changes in members[start : start + count]
            ]
            block = _log_probabilities(model, rows, hook, seed, stop, finder)
            if block is None:
                return None
            blocks.append(block)
    table = torch.cat(blocks).cpu().numpy()
    return np.split(table, np.cumsum([len(own) for _, own in samples])[:-1])


def _prepared(
    model: Model, samples: Sequence[tuple[Sample, Any]], variants: Sequence[tuple[int, tuple[Change, ...]]], seed: int
) -> Iterator[Prepared]:
    """Yields each variant, given as the number of its sample and its changes, prepared for ``model``."""
    for number, group in groupby(variants, lambda variant: variant[0]):
        yield from prepare_variants(model, samples[number][0], [changes for _, changes in group], seed)


def _batch_key(changes: Sequence[Change]) -> tuple[Any, ...]:
    """Returns what all rows of a batch must share: the seed of shuffled weights, and uniform attention or not."""
    seeds = [change.seed for change in changes if isinstance(change, ShuffleWeights)]
    return (seeds[-1] if seeds else None, any(isinstance(change, UniformAttention) for change in changes))


def _log_probabilities(
    model: Any, rows: Sequence[Row], hook: WeightsHook | None, seed: int, stop: Stop, finder: RouteFinder
) -> Tensor | None:  # fmt: skip
    """Returns log-probabilities ``[row, answer]`` in as few calls as the model can; None where ``stop`` ended it.

    A call for which the GPU has too little memory is halved, and those after it have no more rows. Raises an
    error that `lacks_memory` where it has too little for a single row.
    """
    prepared = [row.prepared for row in rows]
    batches = deque(model.batches(prepared) if hasattr(model, "batches") else _batches(model, rows))
    most = len(rows)
    by_row: dict[int, Tensor] = {}
    with torch.no_grad():
        while batches:
            if stop():
                return None
            numbers = batches.popleft()
            if len(numbers) > most:
                batches.extendleft([numbers[most:], numbers[:most]])
                continue
            block, is_too_large = None, False
            if len(numbers) > 1:
                try:
                    block = _run_batch(model, [rows[number] for number in numbers], hook, seed, finder)
                except Exception as problem:
                    if not lacks_memory(problem):
                        raise
                    is_too_large = True
            if is_too_large:  # outside the except block, whose traceback would keep the tensors of the call
                free_memory()
                most = (len(numbers) + 1) // 2
                batches.appendleft(numbers)
                continue
            if block is not None:
                by_row |= dict(zip(numbers, block, strict=True))
                continue
            for number in numbers:
                if number != numbers[0] and stop():
                    return None
                by_row[number] = _run_row(model, rows[number], hook, seed, finder)
    return torch.stack([by_row[number] for number in range(len(rows))])


def _batches(model: Any, rows: Sequence[Row]) -> list[list[int]]:
    """Returns the numbers of the rows of each call. Those run alone that change a tower, which may read one input for
    all rows; together those that cut routes of one prepared sample, see `joined_variants`."""
    _, of_towers = split_heads(model, [row.heads for row in rows])
    alone = [
        number for number, row in enumerate(rows) if (of_towers and of_towers[number]) or cuts_towers(model, row.cuts)
    ]
    joining: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        if row.cuts and not row.heads and number not in alone and getattr(model, "joins_rows", False):
            joining.setdefault(id(row.prepared), []).append(number)
    others = {*alone, *(number for numbers in joining.values() for number in numbers)}
    together = [number for number in range(len(rows)) if number not in others]
    several = [
        numbers[first : first + most]
        for numbers in (together, *joining.values()) if numbers
        for most in [_most_rows(rows[numbers[0]].prepared)]
        for first in range(0, len(numbers), most)
    ]  # fmt: skip
    return [*several, *([number] for number in alone)]


def _most_rows(prepared: Prepared) -> int:
    """Returns how many rows one call may have, for the memory of attention over all tokens of a stream, see `PAIRS`."""
    return max(1, PAIRS // max([1, *(len(tokens) ** 2 for tokens in token_streams(prepared).values())]))


def _run_batch(
    model: Any, rows: Sequence[Row], hook: WeightsHook | None, seed: int, finder: RouteFinder
) -> Tensor | None:
    """Returns log-probabilities ``[row, answer]`` from one call; None where the model cannot run these rows at once."""
    if not hasattr(model, "join"):
        return None
    prepared = [row.prepared for row in rows]
    are_cuts = hook is None and all(row.cuts and not row.heads for row in rows)
    if are_cuts and _can_join(model) and all(row is prepared[0] for row in prepared):
        joined = _run_joined(model, rows, seed, finder)
        if joined is not None:
            return joined
    tensors = model.join(prepared)
    if tensors is None:
        return None
    is_custom = not hasattr(model, "vary")  # then its results in a batch must be compared
    is_padded = bool(getattr(tensors, "lengths", ()))
    kind = (is_padded, any(row.heads for row in rows), any(row.cuts for row in rows), hook is None)
    known = _BATCHES.setdefault(model.module, {}) if hasattr(model, "batches") else {}
    if known.get(kind) is False:
        return None
    try:
        routes = blocked_routes(model, prepared, [row.cuts for row in rows], finder)
        with intervene(model, [row.heads for row in rows], hook, routes):
            block = _batch_log_probabilities(model, tensors, len(rows))
    except MmvizError as error:
        if lacks_memory(error):
            raise
        if is_custom or (isinstance(error, CaptureError) and error.code in ("head-batch", "cut-shape")):
            return None
        raise
    except Exception as problem:
        if lacks_memory(problem) or not hasattr(model, "batches"):
            raise
        known[kind] = False  # some modules take no batch, and raise what they like; a row by itself tells what is wrong
        return None
    if block is None:
        return None
    if is_custom and kind not in known:
        changed = [number for number, row in enumerate(rows) if row.cuts or row.heads]
        number = 0 if is_padded else (changed or [-1])[-1]  # the one that is padded most, or one that is changed
        known[kind] = torch.allclose(block[number], _run_row(model, rows[number], hook, seed, finder), atol=TOLERANCE)
        if not known[kind]:
            return None
    return block


def _can_join(model: Any) -> bool:
    """Returns whether variants may join a call of a model on the way, by its own word, or where nobody has tried yet:
    in a module of which no more is known."""
    if hasattr(model, "joins_rows"):
        return bool(model.joins_rows)
    is_plain = model.capture_targets is None and hasattr(model, "join") and not hasattr(model, "batches")
    return is_plain and _JOINS.get(model.module, True)


def _run_joined(model: Any, rows: Sequence[Row], seed: int, finder: RouteFinder) -> Tensor | None:
    """Returns log-probabilities ``[row, answer]`` by `joined_variants`; None where the model cannot run so, or one of
    the rows has not what it has alone."""
    cuts = [row.cuts for row in rows]
    if hasattr(model, "joins_rows"):
        block = joined_variants(model, rows[0].prepared, cuts, finder)
        return None if block is None else block.double().log_softmax(-1)
    try:
        logits = joined_variants(model, rows[0].prepared, cuts, finder)
    except Exception as problem:  # modules that take no more rows raise what they like; other ways tell what is wrong
        if lacks_memory(problem):
            raise
        logits = None
    if logits is not None:
        block = logits.double().log_softmax(-1)
        number = len(rows) // 2
        if torch.allclose(block[number], _run_row(model, rows[number], None, seed, finder), atol=TOLERANCE):
            return block
    _JOINS[model.module] = False
    return None


def _run_row(model: Model, row: Row, hook: WeightsHook | None, seed: int, finder: RouteFinder) -> Tensor:
    routes = blocked_routes(model, [row.prepared], [row.cuts], finder)
    torch.manual_seed(seed)  # as in a run by itself
    with intervene(model, [row.heads], hook, routes):
        return _with_tokens(*answer_logits(model, row.prepared.tensors))


def _batch_log_probabilities(model: Any, tensors: Any, rows: int) -> Tensor | None:
    """Returns log-probabilities ``[row, answer]`` of a batch, and of the tokens of a written answer after them."""
    if getattr(model, "answer", ()):
        log_p = model.token_log_probabilities(tensors)
        return torch.stack([_with_tokens(model.answer_logits(row), row) for row in log_p])
    logits: Tensor | None = model.batch(tensors, rows)
    return None if logits is None else logits.double().log_softmax(-1)


def _with_tokens(logits: Tensor, log_p: Tensor | None) -> Tensor:
    answers = logits.double().log_softmax(-1)
    return answers if log_p is None else torch.cat([answers, log_p])
