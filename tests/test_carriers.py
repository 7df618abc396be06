"""What carries an answer is found where it is planted: the route with its layers, and the head; nothing else is."""

from __future__ import annotations

import math

import pytest
from carried_model import CARRYING, DECOY, HEADS, LAYERS, carried

from mmviz.backends.local import LocalBackend
from mmviz.experiments.head_ablation import measure_head_ablation
from mmviz.experiments.route_cut import (
    ROUTES,
    LayerWindow,
    Route,
    RouteTable,
    measure_routes,
    route_cells,
    route_windows,
    ways_out,
)
from mmviz.inputs import make_sample
from mmviz.types import ANSWER, INPUT_MODALITIES, AttentionRecord, Modality, Request

IMAGE, TEXT, AUDIO, SPECIAL = Modality
REQUEST = Request("carried", make_sample(text="x"))
LOST = math.log(0.5) - math.log(1 / (1 + math.exp(-1)))
"""Change of the answer's log-probability where it no longer hears of the picture: two equal logits instead of 1 and
0."""


@pytest.fixture(scope="module", params=[True, False], ids=["fused", "by hand"])
def backend(request: pytest.FixtureRequest) -> LocalBackend:
    return LocalBackend("cpu", {"carried": carried(request.param)})


@pytest.fixture(scope="module")
def record(backend: LocalBackend) -> AttentionRecord:
    return backend.run([REQUEST])[0]


@pytest.mark.parametrize("count", [6, 3, 2])
def test_the_carrying_routes_are_found_in_their_windows_of_layers(
    backend: LocalBackend, record: AttentionRecord, count: int
) -> None:
    table = measure_routes(backend, REQUEST, record, route_cells(record, route_windows(record, count)))
    assert len(table.effects) == table.planned == (count + 1) * len(ROUTES)
    carrying = set(CARRYING.values())
    for effect in table.effects:
        cell = effect.cell
        in_window = {route for (layer, _), route in CARRYING.items() if layer in (cell.window.layers or range(LAYERS))}
        is_carrying = (str(cell.queries), str(cell.keys)) in in_window & carrying
        assert effect.effect == pytest.approx(LOST if is_carrying else 0.0, abs=1e-5), cell
    assert sum(effect.effect < -0.1 for effect in table.effects) == 2 * len(CARRYING), "once in a window, once in all"


def test_the_way_through_the_words_carries_what_the_direct_route_does_not(
    backend: LocalBackend, record: AttentionRecord
) -> None:
    everywhere = route_cells(record, [LayerWindow()], [(ANSWER, IMAGE), (TEXT, IMAGE), (ANSWER, TEXT)])
    table = measure_routes(backend, REQUEST, record, everywhere)
    direct, into_words, out_of_words = (effect.effect for effect in table.effects)
    assert direct == pytest.approx(0, abs=1e-6) and into_words == out_of_words == pytest.approx(LOST, abs=1e-5)
    sweep = tuple(ways_out(modality) for modality in INPUT_MODALITIES)
    (swept,) = backend.run([Request("carried", REQUEST.sample, maps=False, sweep=sweep)])
    assert swept.sweep is not None
    drops = [float(row[0]) - math.log(swept.answers[0].probability) for row in swept.sweep]
    assert drops == pytest.approx([LOST, LOST, 0.0], abs=1e-5), "the picture is read through the words alone"


def test_attention_that_nothing_is_taken_from_is_marked(backend: LocalBackend, record: AttentionRecord) -> None:
    ((layer, head), (queries, keys)), window = next(iter(DECOY.items())), LayerWindow("layers", (3,))
    assert layer == 3 and record.maps[layer].weights[head, 0, 2:5].sum() == pytest.approx(1)
    table = measure_routes(backend, REQUEST, record, route_cells(record, [window]))
    assert _unused(table) == {(ANSWER, Modality(keys))} and queries == ANSWER


def _unused(table: RouteTable) -> set[Route]:
    return {(effect.cell.queries, effect.cell.keys) for effect in table.disagreements}


def test_the_carrying_heads_are_found_and_no_other(backend: LocalBackend, record: AttentionRecord) -> None:
    effects = measure_head_ablation(backend, REQUEST, record)
    assert len(effects) == LAYERS * HEADS
    for effect in effects:
        is_carrying = (record.maps[effect.map].layer, effect.head) in CARRYING
        assert effect.effect == pytest.approx(LOST if is_carrying else 0.0, abs=1e-5), (effect.map, effect.head)
        assert effect.is_dead is not is_carrying
