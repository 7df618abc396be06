"""Which tokens each attention of a model runs between, before a route between them is cut.

Of a model with `CaptureTargets` that is known. Any other runs once more as it is, since what its attention runs over is
told by the flow of data through the whole of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from mmviz.backends.local.capture_scope import capture_options, towers_of
from mmviz.backends.local.declared_stream_pairs import stream_pairs
from mmviz.backends.local.recorded_answer_token import recorded_answer_token
from mmviz.backends.local.shown_row import located_tokens
from mmviz.backends.local.written_answer import answer_logits
from mmviz.capture import CaptureResult, capture
from mmviz.capture.ablation_hooks import call_numbers
from mmviz.capture.attention_sites import AttentionSite, SiteRow
from mmviz.capture.map_metadata_check import own_head_counts
from mmviz.capture.stacks import stacks_of
from mmviz.models import CaptureTargets, Model, Prepared
from mmviz.types import AttentionRecord, CaptureError, Modality, Token, as_tokens
from mmviz.types.readout_tokens import answer_tokens

Streams = Mapping[str, tuple[Token, ...]]


@dataclass(frozen=True, eq=False)
class RouteSites:
    """The attention of one call of a model, for each sample of a batch."""

    sites: tuple[AttentionSite, ...]
    """All attention whose tokens are known, but for ``towers``."""
    streams: tuple[Streams, ...]
    """The tokens of each sample."""
    answers: tuple[Mapping[str, tuple[int, ...]], ...]
    """The tokens that the answer of each sample is read from, by stream, see `mmviz.types.readout_tokens`."""
    towers: tuple[AttentionSite, ...] = ()
    """The attention of towers that the model can leave out."""
    unknown: tuple[CaptureError, ...] = ()
    """Why the tokens of other attention are not known, in which nothing can be cut."""
    numbers_of_maps: tuple[tuple[int, ...], ...] = ()
    """The numbers, within a call of the model, of the attention that each map of a record is made of; empty where a
    trial made no record."""

    @property
    def stacks(self) -> dict[str, int]:
        """The number of layers of each stack, those of towers last."""
        layers: dict[str, set[int]] = {}
        for site in (*self.sites, *self.towers):
            layers.setdefault(site.stack, set()).add(site.layer)
        return {stack: len(numbers) for stack, numbers in layers.items()}

    def default_stream(self, sample: int) -> str:
        """Returns the stream of the queries of the last map of the default stack, as `AttentionRecord` has it."""
        streams = self.streams[sample]
        meeting = [
            site for site in self.sites
            if len({token.modality for name in (site.queries, site.keys) for token in streams[name]}
                   - {Modality.SPECIAL}) > 1
        ]  # fmt: skip
        return (meeting or self.sites)[-1].queries


def known_sites(model: Model, rows: Sequence[Prepared]) -> RouteSites:
    """Returns the attention of a model with `CaptureTargets`, which attends over the tokens of each row in order,
    with padding behind them."""
    assert model.capture_targets is not None
    streams = tuple(_streams_of(row) for row in rows)
    towers = towers_of(model)
    of_towers = {name: as_tokens(tokens) for name, tokens in rows[0].towers.items()}
    return RouteSites(
        _of_targets(model, model.capture_targets, streams),
        tuple({**own, **of_towers} for own in streams) if of_towers else streams,
        tuple(_leading_tokens(own) for own in streams),
        _of_targets(model, towers, [of_towers]) if towers is not None and of_towers else (),
    )


def tried_sites(
    model: Model, prepared: Prepared, pairs: Sequence[tuple[str, str, str]] = (), with_answers: bool = False
) -> RouteSites:
    """Returns the attention of any model, which runs once for that.

    ``pairs``: as in `mmviz.types.Request`. Without ``with_answers`` it has no answer tokens. Raises ``CaptureError``
    where the tokens of no attention are known.
    """
    named = stream_pairs(model, pairs)
    with torch.no_grad(), capture(model.module, **capture_options(model)) as result:
        answer_logits(model, prepared.tensors)
    samples = result.samples()
    sites: list[AttentionSite] = []
    streams: list[Streams] = []
    answers: list[Mapping[str, tuple[int, ...]]] = []
    problems: list[CaptureError] = []
    numbers: tuple[tuple[int, ...], ...] = ()
    for row in range(samples):
        batch = row if samples > 1 else None
        tokens, _ = located_tokens(model, prepared, result, batch)
        sites, own, problems = result.sites(tokens, named)
        streams.append(own)
        if with_answers:
            record = result.record(tokens, pairs=named, batch=batch)
            numbers = numbers or attention_of_maps(result, record)
            answers.append(written_answer_tokens(model, prepared, record))
    if not sites:
        raise problems[0]
    return RouteSites(tuple(sites), tuple(streams), tuple(answers), (), tuple(problems), numbers)


def attention_of_maps(result: CaptureResult, record: AttentionRecord) -> tuple[tuple[int, ...], ...]:
    """Returns `RouteSites.numbers_of_maps` of a record that ``result`` gave."""
    calls = result.all_attention_calls
    numbers = {id(call): number for call, number in zip(calls, call_numbers(calls), strict=True)}
    return tuple(tuple(numbers[id(call)] for call in each.group.calls) for each in result.recorded_maps(record))


def repeated(sites: RouteSites, rows: int) -> RouteSites:
    """Returns the attention of ``rows`` equal rows in one call, each of which is a sample.

    Where a row is no row of an attention call, as in a tower that packs pictures, no pairs can be blocked.
    """
    several = []
    for site in sites.sites:
        if site.shape[0] == len(site.rows) == site.samples == 1 and site.spread is None:
            own = tuple(SiteRow(row, row, site.rows[0].queries, site.rows[0].keys) for row in range(rows))
            several.append(replace(site, samples=rows, shape=(rows, *site.shape[1:]), rows=own))
        else:
            problem = CaptureError("cut-shape", name=site.place[0], shape=list(site.shape), expected=[rows])
            several.append(replace(site, spread=problem))
    return replace(sites, sites=tuple(several), streams=sites.streams * rows, answers=sites.answers * rows)


def written_answer_tokens(model: Any, prepared: Prepared, record: AttentionRecord) -> Mapping[str, tuple[int, ...]]:
    """Returns the answer tokens of a record that is not finished yet."""
    written = {name: list(getattr(model, name, ())) for name in ("answer", "answer_part")}
    return answer_tokens(
        replace(record, made_by={**written, **recorded_answer_token(record, prepared.answer_token)})
    )  # fmt: skip


def _leading_tokens(streams: Streams) -> dict[str, tuple[int, ...]]:
    """Returns the answer tokens of a model with targets: the special token that leads each stream, else the first."""
    leading = {name: tokens[0] for name, tokens in streams.items()}
    special: dict[str, tuple[int, ...]] = {
        name: (0,) for name, token in leading.items() if token.modality is Modality.SPECIAL
    }
    return special or {next(iter(streams)): (0,)}


def _streams_of(row: Prepared) -> Streams:
    streams = row.streams if isinstance(row.streams, Mapping) else {"tokens": row.streams}
    return {name: as_tokens(tokens) for name, tokens in streams.items()}


def _of_targets(model: Model, targets: CaptureTargets, streams: Sequence[Streams]) -> tuple[AttentionSite, ...]:
    """Returns a site for each module, with a row for each sample, in order and padded behind."""
    sites = []
    stacks = stacks_of(targets.modules, targets.pairs, range(len(targets.modules)))
    places: dict[tuple[str, int], np.ndarray] = {}
    counts = {name: max(len(own[name]) for own in streams) for name in streams[0]}
    for name, count in counts.items():
        for sample, own in enumerate(streams):
            numbers = np.arange(count)
            places[name, sample] = np.where(numbers < len(own[name]), numbers, -1)
    for module, (queries, keys), (stack, layer) in zip(targets.modules, targets.pairs, stacks, strict=True):
        rows = tuple(
            SiteRow(sample, sample, places[queries, sample], places[keys, sample]) for sample in range(len(streams))
        )
        shape = (len(streams), counts[queries], counts[keys])
        heads = max(own_head_counts(model.module, module))
        sites.append(AttentionSite((module, 0), stack, layer, queries, keys, len(streams), shape, heads, rows))
    return tuple(sites)
