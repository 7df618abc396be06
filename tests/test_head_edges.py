"""The edges of a head: known on paper in a planted model, and masked by hand in a bundled one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from edged_model import ANSWER_TOKEN, MARK, MARKING, OFFSET, PATCHES, READ, TOKENS, WORD, edged
from test_route_cut import by_index, minus_infinity, questions

from mmviz.analysis.adjacent_tokens import neighbours
from mmviz.backends import Stop
from mmviz.backends.local import LocalBackend
from mmviz.experiments.head_ablation import DEAD, measure_head_ablation
from mmviz.experiments.head_edges import CARRIED, FEW, HeadEdges, edge_cut, measure_head_edges
from mmviz.inputs import make_sample
from mmviz.report.edge_table import edge_table
from mmviz.types import (
    AblateHead,
    AttentionMap,
    AttentionRecord,
    Change,
    Chars,
    MmvizError,
    Modality,
    PictureBox,
    PixelBox,
    PooledMap,
    Request,
    Token,
    VideoPatch,
)

pytestmark = pytest.mark.slow

LIMIT = 2e-6


def effect_of(read: float) -> float:
    """Returns the change of log p("seen") if the answer token had read this instead of all."""
    return math.log1p(math.exp(OFFSET - READ)) - math.log1p(math.exp(OFFSET - read))


@pytest.fixture(scope="module", params=["fused", "eager"])
def planted(request: pytest.FixtureRequest) -> tuple[LocalBackend, Request, AttentionRecord]:
    backend = LocalBackend("cpu", {"edged": edged(request.param)})
    own = Request("edged", make_sample(text="x"))
    return backend, own, backend.run([own])[0]


def edges_of(planted: tuple[LocalBackend, Request, AttentionRecord], number: int, head: int) -> HeadEdges:
    edges = measure_head_edges(*planted, number, head)
    assert edges.is_complete and (edges.map, edges.head) == (number, head)
    return edges


@pytest.mark.parametrize(("number", "query", "key"), [(0, WORD, 2), (1, ANSWER_TOKEN, WORD)])
def test_the_one_pair_that_carries_a_head_is_the_one_on_paper(
    planted: tuple[LocalBackend, Request, AttentionRecord], number: int, query: int, key: int
) -> None:
    edges, expected = edges_of(planted, number, 0), effect_of(READ - 2)
    assert edges.effect == pytest.approx(expected, abs=1e-5)
    (edge,) = edges.carrying
    assert (edge.queries, edge.keys) == ((query,), (key,)) and edges.strongest is edge
    assert edge.weight == pytest.approx(1, abs=1e-5)
    assert [edge.effect, edge.together] == pytest.approx([expected, expected], abs=1e-5)
    assert edges.queries[0].queries == (query,) and edges.queries[0].effect == pytest.approx(expected, abs=1e-5)
    assert all(abs(row.effect) < 1e-5 for row in edges.queries[1:]) and len(edges.queries) == 10


def test_of_a_spread_effect_nothing_is_claimed_but_its_query(
    planted: tuple[LocalBackend, Request, AttentionRecord],
) -> None:
    edges = edges_of(planted, 1, 1)
    assert edges.effect == pytest.approx(effect_of(READ - 0.5), abs=1e-5)
    assert edges.carrying == () and edges.strongest is edges.queries[0]
    assert edges.queries[0].queries == (ANSWER_TOKEN,) and edges.queries[0].keys == tuple(range(TOKENS))
    assert edges.queries[0].effect == pytest.approx(edges.effect, abs=1e-5)
    assert len(edges.together) == FEW, "those of the largest weights"
    assert all(edge.effect == pytest.approx(0, abs=1e-5) for edge in edges.edges), "what is left has the same value"
    assert edges.together[-1].together == pytest.approx(0, abs=1e-5)


def test_neighbours_that_stand_in_for_each_other_carry_it_together(
    planted: tuple[LocalBackend, Request, AttentionRecord],
) -> None:
    edges = edges_of(planted, 2, 0)
    (edge,) = edges.carrying
    assert (edge.queries, edge.keys) == ((ANSWER_TOKEN,), PATCHES) and edge.weight == pytest.approx(1, abs=1e-5)
    assert edge.effect == pytest.approx(effect_of(READ - 0.75), abs=1e-5)


def test_pairs_apart_that_stand_in_for_each_other_carry_it_together(
    planted: tuple[LocalBackend, Request, AttentionRecord],
) -> None:
    edges = edges_of(planted, 2, 1)
    assert edges.effect == pytest.approx(effect_of(READ - 0.4), abs=1e-5)
    assert {(*edge.queries, *edge.keys) for edge in edges.carrying} == {(ANSWER_TOKEN, WORD), (ANSWER_TOKEN, 7)}
    assert [edge.effect for edge in edges.carrying] == pytest.approx([0, 0], abs=1e-5)
    assert edges.carrying[-1].together == pytest.approx(edges.effect, abs=1e-5)


def test_a_key_that_any_of_many_queries_can_read_carries_it_for_all(
    planted: tuple[LocalBackend, Request, AttentionRecord],
) -> None:
    edges, expected = edges_of(planted, 3, 0), effect_of(READ - MARK)
    assert edges.effect == pytest.approx(expected, abs=1e-5)
    assert all(row.effect == pytest.approx(0, abs=1e-5) for row in edges.queries), "one of the others is marked as well"
    (edge,) = edges.carrying
    assert (edge.queries, edge.keys) == (tuple(range(TOKENS)), (MARKING,)) and edge.weight == pytest.approx(0.9)
    assert edge.effect == pytest.approx(expected, abs=1e-5)
    row = edge_table(edges, planted[1], planted[2], "").rows[0]
    assert (row["query"], row["query_token"], row["keys"]) == (None, None, [MARKING])


def test_of_an_idle_head_nothing_is_masked(planted: tuple[LocalBackend, Request, AttentionRecord]) -> None:
    edges = edges_of(planted, 0, 1)
    assert edges.is_idle and abs(edges.effect) < 1e-5 and edges.strongest is None
    assert edges.queries == edges.edges == edges.carrying == ()


def stops_after(calls: int) -> Stop:
    """Returns a function that lets an experiment go on so many times."""
    left = iter(range(calls))
    return lambda: next(left, None) is None


def test_what_was_masked_before_a_stop_is_told(planted: tuple[LocalBackend, Request, AttentionRecord]) -> None:
    told: list[tuple[int, int]] = []
    whole = measure_head_edges(*planted, 1, 0, progress=lambda *at: told.append(at))
    assert told == sorted(told) and told[-1][1] == told[0][1] >= told[-1][0] > 0
    parts = []
    for calls in range(40):
        parts.append(measure_head_edges(*planted, 1, 0, stop=stops_after(calls)))
        if parts[-1].is_complete:
            break
    assert parts[-1] == whole and not any(part.is_complete for part in parts[:-1])
    assert parts[0].queries == () and any(part.queries and not part.edges for part in parts)


def test_a_long_map_is_refused_in_a_sentence(planted: tuple[LocalBackend, Request, AttentionRecord]) -> None:
    backend, request, record = planted
    sums = np.full((2, 10, 4), 0.25, np.float32)
    pooled = PooledMap(
        "layers.0", 0, "tokens", "tokens", np.full((2, 1, 1), 0.1, np.float32), (0, 10), (0, 10), sums, sums,
        np.ones(2, np.float32),
    )  # fmt: skip
    with pytest.raises(MmvizError, match="too long to keep all attention weights") as error:
        measure_head_edges(backend, request, replace(record, maps=(pooled, *record.maps[1:])), 0, 0)
    assert error.value.code == "edges-long"


def test_the_table_has_every_edge_with_its_names(planted: tuple[LocalBackend, Request, AttentionRecord]) -> None:
    edges = edges_of(planted, 2, 0)
    table = edge_table(edges, planted[1], planted[2], "mmviz heads --edges 2:0")
    first = table.rows[0]
    assert (first["query"], first["keys"], first["carries"]) == (ANSWER_TOKEN, list(PATCHES), True)
    assert len(table.rows) == len(edges.edges) and sum(row["carries"] for row in table.rows) == 1
    assert table.facts["map"] == "2:0" and table.facts["effect"] == edges.effect
    assert len(table.to_csv().splitlines()) == len(edges.edges) + 1
    assert '"edges": [' in table.to_json()


def test_neighbours_touch_in_one_picture_or_follow_each_other() -> None:
    image, text = Modality.IMAGE, Modality.TEXT
    grid = [Token(image, "p", PixelBox(x, y, x + 1, y + 1)) for y in range(3) for x in range(4)]
    words = [Token(text, "w", Chars(k, k + 1)) for k in range(3)]
    assert neighbours(grid + words, 5) == (0, 1, 2, 4, 6, 8, 9, 10)
    assert neighbours(grid + words, 0) == (1, 4, 5)
    assert neighbours(grid + words, 12) == (13,) and neighbours(grid + words, 13) == (12, 14)
    pictures = [Token(image, "p", PictureBox(x, 0, x + 1, 1, picture)) for x, picture in enumerate((1, 1, 2))]
    frames = [Token(image, "p", VideoPatch(x, 0, x + 1, 1, start, start + 1)) for x, start in enumerate((0, 0, 1))]
    assert neighbours(pictures, 1) == neighbours(frames, 1) == (0,)


@pytest.fixture(scope="module")
def bundled() -> tuple[LocalBackend, Request, AttentionRecord]:
    backend, request = LocalBackend("cpu"), Request("trio", questions()[0])
    return backend, request, backend.run([request])[0]


def test_the_edges_of_a_bundled_model_are_what_minus_infinity_gives(
    bundled: tuple[LocalBackend, Request, AttentionRecord],
) -> None:
    backend, request, record = bundled
    effects = measure_head_ablation(backend, request, record)
    needed = min(effects, key=lambda effect: effect.effect)
    edges = measure_head_edges(backend, request, record, needed.map, needed.head)
    assert edges.effect == pytest.approx(needed.effect, abs=LIMIT) and needed.effect < -DEAD
    attn_map = record.maps[needed.map]
    assert isinstance(attn_map, AttentionMap)
    model = backend._models["trio"]
    answer = int(record.answers[0].index or 0)
    before = math.log(record.answers[0].probability)
    assert edges.together
    for count, edge in enumerate(edges.together, 1):
        pairs = np.zeros((attn_map.heads, *attn_map.shape), np.bool_)
        for masked in edges.edges[:count]:
            pairs[needed.head][np.ix_(masked.queries, masked.keys)] = True
        with minus_infinity(record, {needed.map: pairs}):
            logits = model(model.prepare(request.sample).tensors).double().log_softmax(-1)
        assert edge.together == pytest.approx(float(logits[answer]) - before, abs=LIMIT)
        weights = attn_map.weights[needed.head][np.ix_(edge.queries, edge.keys)]
        assert edge.weight == pytest.approx(float(weights.sum(-1).mean()), abs=1e-6)
    if edges.carrying:
        *fewer, share = (edges.share(edge.together or 0.0) for edge in edges.carrying)
        assert share >= CARRIED and all(smaller < CARRIED for smaller in fewer)


def test_every_pair_of_a_head_masked_is_the_head_ablated(
    bundled: tuple[LocalBackend, Request, AttentionRecord],
) -> None:
    backend, request, record = bundled
    sweep: list[tuple[Change, ...]] = []
    for number, head in ((0, 0), (2, 3), (len(record.maps) - 1, 1)):
        attn_map = record.maps[number]
        assert isinstance(attn_map, AttentionMap)
        queries, keys = (range(count) for count in attn_map.shape)
        sweep += [(edge_cut(attn_map, head, queries, keys),), (AblateHead(number, head),)]
    swept = backend.run([replace(request, maps=False, sweep=tuple(sweep))])[0]
    assert swept.sweep is not None
    for masked, ablated in zip(swept.sweep[::2], swept.sweep[1::2], strict=True):
        np.testing.assert_allclose(by_index(swept, masked), by_index(swept, ablated), atol=LIMIT)
        assert np.abs(by_index(swept, masked) - by_index(record)).max() > 1e-4
