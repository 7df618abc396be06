"""Keeps which tokens the attention of a model ran between, so that cutting routes of a sample need not run it for that.

A run that records attention knows it already. Of each model that of its last inputs is kept, told by their content.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from mmviz.backends.local.declared_stream_pairs import stream_pairs
from mmviz.backends.local.route_sites import RouteSites, attention_of_maps, written_answer_tokens
from mmviz.capture import CaptureResult
from mmviz.models import Model, Prepared
from mmviz.models.content_caches import register_cache
from mmviz.models.content_digest import add_content, weights_state
from mmviz.types import AttentionRecord, CaptureError

INPUTS = 2
"""Inputs of each model whose sites are kept."""
Pairs = Sequence[tuple[str, str, str]]
_SITES: WeakKeyDictionary[nn.Module, OrderedDict[bytes, RouteSites]] = WeakKeyDictionary()
register_cache(_SITES)


def remember_run(
    model: Model, prepared: Prepared, pairs: Pairs, result: CaptureResult, tokens: Any, record: AttentionRecord
) -> None:
    """Keeps the sites of a run of one sample without changes, whose streams have ``tokens`` and whose finished record
    is ``record``. Of several samples, and of long ones, nothing is kept."""
    if model.capture_targets is not None or record.is_long or result.samples() != 1:
        return
    with suppress(CaptureError):
        sites, streams, problems = result.sites(tokens, stream_pairs(model, pairs))
        answers = written_answer_tokens(model, prepared, record)
        if sites:
            numbers = attention_of_maps(result, record)
            known = RouteSites(tuple(sites), (streams,), (answers,), (), tuple(problems), numbers)
            remember(model, prepared, pairs, known)


def remember(model: Model, prepared: Prepared, pairs: Pairs, sites: RouteSites) -> None:
    """Keeps the sites of a sample, with the tokens of its answer. Nothing of inputs whose content cannot be told."""
    key = _key(model, prepared, pairs)
    if key is not None:
        kept = _SITES.setdefault(model.module, OrderedDict())
        kept[key] = sites
        kept.move_to_end(key)
        while len(kept) > INPUTS:
            kept.popitem(last=False)


def remembered(model: Model, prepared: Prepared, pairs: Pairs) -> RouteSites | None:
    """Returns the sites that are kept of such a sample; None where there are none."""
    kept = _SITES.get(model.module)
    key = _key(model, prepared, pairs) if kept else None
    return kept.get(key) if kept and key is not None else None


def _key(model: Model, prepared: Prepared, pairs: Pairs) -> bytes | None:
    """Returns a digest of what the tokens of the attention depend on; None where that cannot be told."""
    named = [
        stream_pairs(model, pairs),
        prepared.answer_token,
        *(getattr(model, n, ()) for n in ("answer", "answer_part")),
    ]
    digest = hashlib.sha256(weights_state(model.module.parameters()))
    digest.update(repr((named, prepared.streams, prepared.rows)).encode())
    return digest.digest() if add_content(digest, prepared.tensors) else None
