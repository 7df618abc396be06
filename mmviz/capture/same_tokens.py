"""Tells whether the queries and keys of a call are the same tokens, on whatever way they came from them."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
from torch import Tensor

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.data_flow_step import Step, name_of
from mmviz.capture.function_tables import JOINS, POOLS, WRITES
from mmviz.capture.module_tracker import block_of
from mmviz.capture.query_key_positions import Positions, Side
from mmviz.capture.query_key_tokens import NEAREST
from mmviz.capture.token_moves import FOLLOWED
from mmviz.capture.token_replay import follows, is_followed
from mmviz.capture.token_source_argument import are_parallel

_ADDING = JOINS | WRITES | {"index_copy", "index_copy_", "scatter", "scatter_"}
"""Functions that add keys to those of a cache."""
_NEAR = 200
"""Functions between an input of a block and its attention."""
_FAR = 4_000
"""Functions of earlier calls that are followed back."""


def have_same_tokens(query: Side, key: Side) -> bool:
    """Returns whether queries and keys, each computed from tokens of a layer, come from the same tokens alike."""
    if query.base is None or key.base is None or query.base is key.base or not (query.is_plain and key.is_plain):
        return False
    if (query.samples, query.count) != (key.samples, key.count):
        return False
    return are_parallel((query.base, key.base), FOLLOWED | POOLS)


def places_added(key: Side, query: Side) -> tuple[bool, Positions | None]:
    """Returns whether keys are those of other tokens, as of a cache, to which those of the queries' tokens were added.

    With them the places of the queries among the keys, where these are told.
    """
    if key.base is None or query.base is None or key.base is query.base or query.count >= key.count:
        return False, None
    *_, end = islice(key.base.chain(), _FAR)
    if name_of(end) not in _ADDING:
        return False, None
    added = [part for part in end.parents() if query.base in (*islice(part.chain(), _FAR), *_computed_from(part))]
    if len(added) != 1 or not query.is_plain or not is_followed(added[0], query.base):
        return bool(added), None
    indices = [arg for arg in _flat(end.args) if isinstance(arg, Tensor) and arg.numel() == query.count]
    if indices:
        return True, indices[0].reshape(-1).cpu().numpy().astype(np.int64)
    parts = [part for part in end.parents() if math.prod(part.shape)]
    sizes = [part.shape for part in parts]
    axes = [axis for axis in range(len(end.shape)) if end.shape[axis] == sum(size[axis] for size in sizes)]
    place = parts.index(added[0])
    if name_of(end) not in JOINS or not axes or sizes[place][axes[-1]] != query.count:
        return True, None
    first = sum(size[axes[-1]] for size in sizes[:place])
    return True, np.arange(first, first + query.count)


def may_share_tokens(call: AttentionCall, query: Side, key: Side) -> bool:
    """Returns whether queries and keys may be the same tokens: they are as many, or not all of them are known to be
    tokens of a layer, or new tokens that were computed from such."""
    bases = [side.base for side in (query, key) if side.base is not None]
    return query.count == key.count or not all(_is_known(base, call) for base in bases)


def _is_known(base: Step, call: AttentionCall) -> bool:
    """Returns whether tokens are those of an input of a module, learned tokens, or new tokens computed from such."""
    for step in islice(base.chain(), _NEAR):
        if is_input(step, call) or name_of(step) in POOLS or step.is_parameter:
            return True
        if step.source is None and name_of(step) in JOINS:
            return all(_is_known(part, call) for part in step.parents())
        if not follows(step):
            return False
    return False


def meet(call: AttentionCall) -> bool:
    """Returns whether queries and keys come from the same input of a module, on whatever way: it attends to itself."""
    if call.queries_from is None or call.keys_from is None:
        return False
    origins = [_computed_from(operand.step) for operand in (call.queries_from, call.keys_from)]
    block = block_of(call.runs)
    for run in call.runs[: -1 - NEAREST : -1]:
        inputs = [step for step in run.inputs if len(step.shape) > 1 and not step.is_integer]
        first = [next((step for step in inputs if step in known), None) for known in origins]
        if None not in first:
            return first[0] is first[1]
        if run is block:
            break
    return False


def _computed_from(last: Step) -> set[Step]:
    """Returns the steps that a tensor was computed from, as far as they are near."""
    known, level = {last}, [last]
    while level and len(known) < _NEAR:
        level = [parent for step in level for parent in step.parents() if parent not in known]
        known.update(level)
    return known


def is_input(step: Step | None, call: AttentionCall) -> bool:
    """Returns whether a step went into one of the modules that run."""
    return any(entry is step for run in call.runs for entry in run.inputs)


def are_copies(side: Side) -> bool:
    """Returns whether each of several rows holds all tokens of a single sample in order."""
    if side.samples > 1 or side.positions is None or len(side.positions) < 2:
        return False
    return side.positions.shape[1] == side.count and bool((side.positions == np.arange(side.count)).all())


def _flat(values: object) -> list[object]:
    if isinstance(values, tuple):
        return [entry for value in values for entry in _flat(value)]
    return [values]
