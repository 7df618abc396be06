"""Which pairs of queries and keys a cut route blocks, in each attention of a model and for each row of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mmviz.backends.local.capture_scope import towers_of
from mmviz.backends.local.remembered_sites import remember, remembered
from mmviz.backends.local.route_sites import RouteSites, known_sites, repeated, tried_sites
from mmviz.capture import AttentionCall
from mmviz.capture.attention_place import AttentionPlace
from mmviz.capture.attention_sites import AttentionSite
from mmviz.capture.blocked_pairs import BlockedPairs
from mmviz.capture.stacks import stacks_of
from mmviz.models import Model, Prepared
from mmviz.types import ANSWER, CaptureError, Change, ChosenTokens, CutRoute, MmvizError, Notice, TokenGroup

Cuts = tuple[CutRoute, ...]
Mask = NDArray[np.bool_]
Block = dict[AttentionPlace, BlockedPairs]


@dataclass(frozen=True, eq=False)
class BlockedRoutes:
    """The routes that are cut in one call of a model."""

    sites: RouteSites
    """The attention of the call, with the tokens that each runs between."""
    block: Block
    """What `mmviz.capture.capture` takes."""
    in_towers: Block
    """The same for towers that the model can leave out."""

    def notices(self, calls: Iterable[AttentionCall], sample: int = 0) -> tuple[Notice, ...]:
        """Returns how many queries of a sample the cut leaves nothing to attend to, and where nothing is cut.

        ``calls``: the attention that ran under the cut.
        """
        sites = {site.place: site for site in (*self.sites.sites, *self.sites.towers)}
        counts = [
            _emptied(call, sites[call.place], sample) for call in calls
            if call.emptied is not None and call.place in sites
        ]  # fmt: skip
        counts = [(count, queries) for count, queries in counts if count]
        notices = [Notice("cut-unknown", {"name": problem.parameters["name"]}) for problem in self.sites.unknown]
        if counts:
            emptied, queries = map(sum, zip(*counts, strict=True))
            notices.append(Notice("cut-rows", {"count": emptied, "of": queries, "maps": len(counts)}))
        return tuple(notices)


class RouteFinder:
    """Finds the attention of models, and keeps that of the last sample."""

    def __init__(self, pairs: Sequence[tuple[str, str, str]] = ()):
        self.pairs = pairs
        self._last: tuple[object, Prepared, bool, RouteSites] | None = None

    def sites(self, model: Model, rows: Sequence[Prepared], with_answers: bool) -> RouteSites:
        """Returns the attention of ``rows`` in one call of ``model``.

        Raises ``CaptureError`` (``cut-shape``) where they are several samples and the model has no `CaptureTargets`, so
        that each must run by itself.
        """
        if model.capture_targets is not None:
            return known_sites(model, rows)
        prepared, name = rows[0], type(model.module).__name__
        if any(row is not prepared for row in rows):
            raise CaptureError("cut-shape", name=name, shape=[1], expected=[len(rows)])
        last = self._last
        if last is None or not (last[0] is model.module and last[1] is prepared and last[2] >= with_answers):
            sites = remembered(model, prepared, self.pairs)
            if sites is None:
                with torch.random.fork_rng(devices=range(torch.cuda.device_count())):  # the run itself draws as without
                    sites = tried_sites(model, prepared, self.pairs, with_answers)
                if with_answers:
                    remember(model, prepared, self.pairs, sites)
            last = self._last = model.module, prepared, with_answers, sites
        if len(rows) == 1:
            return last[3]
        if len(last[3].streams) > 1:  # each row is several samples
            raise CaptureError("cut-shape", name=name, shape=[len(last[3].streams)], expected=[len(rows)])
        return repeated(last[3], len(rows))


def cut_routes(changes: Sequence[Change]) -> Cuts:
    """Returns the routes that ``changes`` cut."""
    return tuple(change for change in changes if isinstance(change, CutRoute))


def cuts_towers(model: Model, cuts: Cuts) -> bool:
    """Returns whether any of ``cuts`` is in a tower that ``model`` can leave out."""
    towers = towers_of(model)
    if towers is None or not cuts:
        return False
    stacks = {stack for stack, _ in stacks_of(towers.modules, towers.pairs, range(len(towers.modules)))}
    return any(cut.stack in stacks for cut in cuts)


def blocked_routes(
    model: Model, rows: Sequence[Prepared], cuts: Sequence[Cuts], finder: RouteFinder
) -> BlockedRoutes | None:
    """Returns what ``cuts`` block in each of ``rows`` of one call; None where that is nothing.

    Raises ``MmvizError``: ``cut-stack``, ``cut-layer``, ``cut-head``, ``cut-stream`` and ``cut-token`` for what the
    model does not have, ``cut-scores`` for attention in which no pairs can be blocked; ``cut-shape`` where rows must
    run alone.
    """
    if not any(cuts):
        return None
    groups = [group for row in cuts for cut in row for group in (cut.queries, cut.keys)]
    sites = finder.sites(model, rows, ANSWER in groups)
    for number, row in enumerate(cuts):
        for cut in row:
            _check(cut, sites, number if len(cuts) > 1 else 0, type(model.module).__name__)
    in_model, in_towers = (
        {site.place: pairs for site in some if (pairs := _blocked_pairs(site, sites, cuts, is_tower)) is not None}
        for some, is_tower in ((sites.sites, False), (sites.towers, True))
    )
    if in_towers and len(rows) > 1:  # a tower may read one input for all rows
        raise CaptureError("cut-shape", name=sites.towers[0].place[0], shape=[1], expected=[len(rows)])
    return BlockedRoutes(sites, in_model, in_towers) if in_model or in_towers else None


def _check(cut: CutRoute, sites: RouteSites, sample: int, model: str) -> None:
    """Raises ``MmvizError`` for a stack, a layer, a head or a token that a sample does not have."""
    stacks, streams = sites.stacks, sites.streams[sample]
    if cut.stack and cut.stack not in stacks:
        raise MmvizError("cut-stack", name=cut.stack, known=", ".join(stacks))
    count = stacks[cut.stack] if cut.stack else max(stacks.values())
    for layer in cut.layers or ():
        if not 0 <= layer < count:
            raise MmvizError("cut-layer", layer=layer, name=cut.stack or model, count=count)
    heads = max(site.heads for site in (*sites.sites, *sites.towers) if cut.stack in ("", site.stack))
    for head in cut.heads or ():
        if not 0 <= head < heads:
            raise MmvizError("cut-head", head=head, name=cut.stack or model, count=heads)
    for group in (cut.queries, cut.keys):
        if not isinstance(group, ChosenTokens):
            continue
        name = group.stream or sites.default_stream(sample)
        if name not in streams:
            raise MmvizError("cut-stream", name=name, known=", ".join(streams))
        for token in group.tokens:
            if not 0 <= token < len(streams[name]):
                raise MmvizError("cut-token", token=token, name=name, count=len(streams[name]))


def _blocked_pairs(site: AttentionSite, sites: RouteSites, cuts: Sequence[Cuts], is_tower: bool) -> BlockedPairs | None:
    """Returns the pairs that are blocked in one attention; None where there is none."""
    here = [[cut for cut in row if _is_cut(cut, site, is_tower)] for row in cuts]
    if not any(here):
        return None
    shared = site.samples == 1 and len(sites.streams) > 1
    is_by_head = any(cut.heads is not None for row in here for cut in row)
    pairs = np.zeros((site.shape[0], site.heads if is_by_head else 1, *site.shape[1:]), np.bool_)
    known: dict[tuple[TokenGroup, int, str], Mask] = {}

    def members(group: TokenGroup, sample: int, stream: str) -> Mask:
        key = (group, sample, stream)
        if key not in known:
            known[key] = _members(group, sites, sample, stream)
        return known[key]

    for row in site.rows:
        sample = 0 if shared else row.sample
        own = {cut for cuts_of_row in here for cut in cuts_of_row} if shared else here[sample if len(cuts) > 1 else 0]
        for cut in own:
            queries = members(cut.queries, sample, site.queries)[row.queries] & (row.queries >= 0)
            keys = members(cut.keys, sample, site.keys)[row.keys] & (row.keys >= 0)
            heads = slice(None) if cut.heads is None else [head for head in cut.heads if head < site.heads]
            pairs[row.row, heads] |= queries[:, None] & keys
    if not pairs.any():
        return None
    if shared and len(cuts) > 1:  # all samples share it, so that it cannot be cut for some alone
        raise CaptureError("cut-shape", name=site.place[0], shape=[1], expected=[len(cuts)])
    if isinstance(site.spread, CaptureError):
        raise site.spread
    first = pairs[:1]
    return BlockedPairs(torch.from_numpy(first if (pairs == first).all() else pairs), site.spread)


def _is_cut(cut: CutRoute, site: AttentionSite, is_tower: bool) -> bool:
    """Returns whether a cut is in the stack and the layer of a site."""
    is_of_stack = site.stack == cut.stack if cut.stack else not is_tower
    return is_of_stack and (cut.layers is None or site.layer in cut.layers)


def _members(group: TokenGroup, sites: RouteSites, sample: int, stream: str) -> Mask:
    """Returns which tokens of a stream belong to a group, bool ``[token]``."""
    tokens = sites.streams[sample][stream]
    if not isinstance(group, ChosenTokens) and group != ANSWER:
        return np.array([token.modality is group for token in tokens], np.bool_)
    mask = np.zeros(len(tokens), np.bool_)
    if not isinstance(group, ChosenTokens):
        mask[list(sites.answers[sample].get(stream, ()))] = True
    elif stream == (group.stream or sites.default_stream(sample)):
        mask[[token for token in group.tokens if token < len(tokens)]] = True
    return mask


def _emptied(call: AttentionCall, site: AttentionSite, sample: int) -> tuple[int, int]:
    """Returns how many queries of a sample have nothing left, and how many there are."""
    assert call.emptied is not None
    emptied = call.emptied.cpu().numpy()
    rows = [row for row in site.rows if site.samples == 1 or row.sample == sample]
    counts = [int((emptied[row.row if len(emptied) > 1 else 0] & (row.queries >= 0)).sum()) for row in rows]
    return sum(counts), sum(int((row.queries >= 0).sum()) for row in rows)
