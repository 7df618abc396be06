"""The table of routes: its cells, effects, attention and disagreements, its cost, and interactions of modalities."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from routed_model import COUNTS, routed

from mmviz.analysis.route_attention import route_attention
from mmviz.backends.local import LocalBackend
from mmviz.experiments.modality_shapley import (
    Coalition,
    coalitions,
    measure_modality_effect,
    shapley,
    shapley_interactions,
)
from mmviz.experiments.route_cut import (
    CHUNK,
    ROUTES,
    LayerWindow,
    RouteTable,
    measure_routes,
    most_seconds,
    read_routes,
    route_cells,
    route_requests,
    route_windows,
    ways_out,
)
from mmviz.inputs import make_sample
from mmviz.report.effect_table import effect_sentences
from mmviz.report.routes_table import routes_sentences
from mmviz.types import (
    INPUT_MODALITIES,
    Answer,
    AttentionMap,
    AttentionRecord,
    ChosenTokens,
    Modality,
    PooledMap,
    Request,
    Sample,
    Token,
    TokenGroup,
)

IMAGE, TEXT, AUDIO, SPECIAL = Modality
MOST_RUNS = 10
"""Runs of trio in the time of which nine routes are cut in each of its six layers."""
FIRST, SECOND, ALL = LayerWindow("layers", (0,)), LayerWindow("layers", (1,)), LayerWindow()


@pytest.fixture(scope="module")
def routed_backend() -> LocalBackend:
    return LocalBackend("cpu", {"routed": routed()})


@pytest.fixture(scope="module")
def table(routed_backend: LocalBackend) -> RouteTable:
    request = Request("routed", make_sample(text="x"))
    told: list[tuple[int, int]] = []
    result = measure_routes(
        routed_backend, request, routed_backend.run([request])[0], progress=lambda *at: told.append(at)
    )
    assert told[-1] == (1, 1)
    return result


def test_the_table_of_a_planted_model_is_the_one_on_paper(table: RouteTable) -> None:
    assert table.answer == "seen" and table.probability == pytest.approx(1 / (1 + math.exp(-1)))
    assert len(table.effects) == table.planned == 3 * len(ROUTES)
    lost = math.log(0.5) - math.log(table.probability)
    others = {kind: count for kind, count in COUNTS.items() if kind != "text"}
    more = 2 * COUNTS["image"] / sum(others.values())  # the answer reads what is left, the patches twice
    instead = -math.log(1 + math.exp(-more)) - math.log(table.probability)
    expected: dict[tuple[LayerWindow, TokenGroup, TokenGroup], float] = {
        (FIRST, TEXT, IMAGE): lost,
        (SECOND, "answer", TEXT): instead,
    }
    expected |= {(ALL, queries, keys): effect for (_, queries, keys), effect in expected.items()}
    for effect in table.effects:
        cell = effect.cell
        wanted = expected.get((cell.window, cell.queries, cell.keys), 0.0)
        assert effect.effect == pytest.approx(wanted, abs=1e-5), cell
        assert table.at(cell.window, (cell.queries, cell.keys)) is effect
        assert effect.answer == "seen" or not effect.is_changed
    carried = table.at(FIRST, (TEXT, IMAGE))
    assert carried is not None and carried.cell.attention.share == pytest.approx(1, abs=1e-5)
    assert carried.cell.attention.uniform == pytest.approx(0.3)
    unused = {(cell.window, cell.queries, cell.keys) for cell in (effect.cell for effect in table.disagreements)}
    assert (FIRST, AUDIO, AUDIO) in unused and (FIRST, TEXT, IMAGE) not in unused
    assert {effect.disagreement for effect in table.disagreements} == {"unused"}
    assert table.at(LayerWindow("none", (0,)), (TEXT, IMAGE)) is None


def test_a_route_without_attention_that_matters_is_marked(table: RouteTable) -> None:
    effect = table.effects[0]
    quiet = replace(effect.cell, attention=replace(effect.cell.attention, share=0.01))
    assert replace(effect, cell=quiet, effect=-0.6).disagreement == "unattended"
    assert replace(effect, cell=quiet, effect=-0.4).disagreement is None
    loud = replace(effect.cell, attention=replace(effect.cell.attention, share=0.4))
    assert replace(effect, cell=loud, effect=-0.6).disagreement is None


def test_whether_a_route_changes_a_text_that_was_written_is_not_said(table: RouteTable) -> None:
    """A text of probability 0.1 is less probable than all others together, whether a route is cut or not."""
    base = AttentionRecord("a", {}, (), (), {}, ())
    sweep = np.log([[0.05, 0.95]])
    for probability, is_changed in ((0.1, None), (0.6, True)):
        answers = (Answer("a text", probability), Answer("any other text", 1 - probability, 1))
        swept = replace(base, answers=answers, sweep=sweep)
        read = read_routes(swept, [table.effects[0].cell], [swept])
        (effect,) = read.effects
        assert effect.is_changed is is_changed and effect.effect == pytest.approx(math.log(0.05 / probability))
        verdict, *_ = routes_sentences(swept, read)
        assert "a text" in verdict and "stays" not in verdict and ("becomes" in verdict) == bool(is_changed)


def test_what_was_cut_before_a_stop_is_in_the_table(routed_backend: LocalBackend) -> None:
    request = Request("routed", make_sample(text="x"))
    record = routed_backend.run([request])[0]
    cells = route_cells(record) * 2
    assert [len(some.sweep) for some in route_requests(request, cells)] == [CHUNK, 2 * 36 - CHUNK]
    stops = iter([False, False, False, False, True])
    stopped = measure_routes(routed_backend, request, record, cells, stop=lambda: next(stops, True))
    assert stopped.planned == 72 and len(stopped.effects) < 72
    assert read_routes(record, cells, ()).effects == ()
    seconds = most_seconds(record, cells)
    assert seconds is not None and seconds == pytest.approx(72 * record.made_by["milliseconds"]["model"] / 1e3)


def made_up(layers: int = 8, keys: int = 6) -> AttentionRecord:
    """Two stacks: one of ``layers`` layers over a stream of all modalities, and a tower."""
    kinds = [SPECIAL, IMAGE, IMAGE, TEXT, AUDIO, TEXT][:keys]
    tokens = tuple(Token(kind, f"{kind} {k}") for k, kind in enumerate(kinds))
    weights = np.full((2, keys, keys), 1 / keys, np.float32)
    weights[:, 3] = 0
    weights[:, 3, 1:3] = 0.5
    maps = [AttentionMap(f"blocks.{k}", k, "all", "all", weights, stack="blocks") for k in range(layers)]
    sound = (Token(AUDIO, "a"),)
    tower = AttentionMap("tower.0", 0, "sound", "sound", np.ones((2, 1, 1), np.float32), stack="tower")
    made_by = {"towers": ["tower"]}
    return AttentionRecord("id", {"all": tokens, "sound": sound}, (*maps, tower), (Answer("a", 0.5),), made_by)


def test_windows_cover_every_layer_of_every_stack_but_towers() -> None:
    record = made_up()
    assert route_windows(record, 3) == (
        LayerWindow("blocks", (0, 1, 2)), LayerWindow("blocks", (3, 4, 5)), LayerWindow("blocks", (6, 7)), ALL,
    )  # fmt: skip
    assert len(route_windows(record)) == 7 and route_windows(record, 8)[0] == LayerWindow("blocks", (0,))


def test_attention_of_a_route_is_summed_over_its_keys_and_told_where_nothing_else_is_left() -> None:
    record = made_up()
    attention = route_attention(record, [0, 1], TEXT, IMAGE)
    assert attention is not None and attention.share == pytest.approx((1 + 2 / 6) / 2)
    assert attention.uniform == pytest.approx(2 / 6) and attention.only == 2  # one word, in two maps
    chosen = route_attention(record, [0], ChosenTokens((3,), "all"), ChosenTokens((1,), "all"))
    assert chosen is not None and chosen.share == pytest.approx(0.5) and chosen.only == 0
    assert route_attention(record, [8], TEXT, IMAGE) is None
    into = route_attention(record, [0], "answer", AUDIO)
    assert into is not None and into.share == pytest.approx(1 / 6)


def test_a_map_without_all_its_weights_tells_modalities() -> None:
    record = made_up(1)
    short = record.maps[0]
    assert isinstance(short, AttentionMap)
    kinds = [(IMAGE, TEXT, AUDIO, SPECIAL).index(token.modality) for token in record.streams["all"]]
    by_modality = np.zeros((2, 6, 4), np.float32)
    for key, kind in enumerate(kinds):
        by_modality[:, :, kind] += short.weights[:, :, key]
    pooled = PooledMap(
        short.name, 0, "all", "all", short.weights, tuple(range(7)), tuple(range(7)), by_modality,
        np.zeros((2, 6, 4), np.float32), np.ones(2, np.float32), stack="blocks",
    )  # fmt: skip
    long = replace(record, maps=(pooled, *record.maps[1:]))
    for queries in (IMAGE, TEXT, "answer"):
        for keys in INPUT_MODALITIES:
            assert route_attention(long, [0], queries, keys) == route_attention(record, [0], queries, keys)
    assert route_attention(long, [0], TEXT, ChosenTokens((1,), "all")) is None


def test_every_way_out_of_a_modality_is_cut(routed_backend: LocalBackend) -> None:
    cuts = ways_out(IMAGE)
    assert {(cut.queries, cut.keys) for cut in cuts} == {(other, IMAGE) for other in (TEXT, AUDIO, SPECIAL, "answer")}
    record = routed_backend.run([Request("routed", make_sample(text="x"), cuts)])[0]
    assert [answer.probability for answer in record.answers] == pytest.approx([0.5, 0.5])
    for attn_map in record.maps:
        image = [token.modality is IMAGE for token in record.streams["tokens"]]
        assert not attn_map.weights[:, ~np.array(image)][:, :, image].any()


@pytest.mark.long
@pytest.mark.slow
def test_nine_routes_in_six_layers_take_the_time_of_ten_runs(backend: LocalBackend, sample: Sample) -> None:
    request = Request("trio", sample)
    record = backend.run([request])[0]
    cells = route_cells(record, route_windows(record)[:-1], ROUTES[:9])
    assert len(cells) == 54 and len(route_requests(request, cells)) == 1

    def seconds(work: object) -> float:
        times = []
        for _ in range(3):
            start = time.process_time()
            work()  # type: ignore[operator]
            times.append(time.process_time() - start)
        return min(times)

    # runs of inputs that are new, since the encoders' outputs are kept
    rng = np.random.default_rng(1)

    def run_anew() -> None:
        image, wave = rng.integers(0, 255, (90, 130, 3), np.uint8), rng.standard_normal(20_000).astype(np.float32) * 0.1
        backend.run([replace(request, sample=make_sample(image=image, text="what is it?", audio=(wave, 16_000)))])

    of_run = seconds(run_anew)
    assert seconds(lambda: measure_routes(backend, request, record, cells)) < MOST_RUNS * of_run


def test_interactions_of_games_worked_out_by_hand() -> None:
    everyone = coalitions(INPUT_MODALITIES)
    both: Mapping[Coalition, float] = {kept: float({IMAGE, TEXT} <= kept) for kept in everyone}
    either: Mapping[Coalition, float] = {kept: float(bool({IMAGE, TEXT} & kept)) for kept in everyone}
    alone: Mapping[Coalition, float] = {kept: 2.0 * (IMAGE in kept) - (AUDIO in kept) for kept in everyone}
    pair = frozenset({IMAGE, TEXT})
    for game, value in ((both, 1.0), (either, -1.0), (alone, 0.0)):
        index = shapley_interactions(game)
        assert index.keys() == {frozenset(some) for some in ({IMAGE, TEXT}, {IMAGE, AUDIO}, {TEXT, AUDIO})}
        assert index == {some: pytest.approx(value if some == pair else 0.0) for some in index}
    three = {kept: float(len(kept) == 3) for kept in everyone}
    assert set(shapley_interactions(three).values()) == {0.5}
    required = {kept | {TEXT}: float(len(kept)) ** 2 for kept in coalitions((IMAGE, AUDIO))}
    assert shapley_interactions(required) == {frozenset({IMAGE, AUDIO}): 2.0}
    assert shapley_interactions({frozenset(): 0.0, frozenset({IMAGE}): 1.0}) == {}


def test_interactions_are_those_of_the_formula_and_of_the_same_eight_runs(
    backend: LocalBackend, sample: Sample
) -> None:
    effect = measure_modality_effect(backend, Request("trio", sample))
    assert effect is not None and len(effect.values) == 8
    for first, second, third in permutations(INPUT_MODALITIES):

        def value(*kept: Modality) -> float:
            return effect.values[frozenset(kept)]

        without = value(first, second) - value(first) - value(second) + value()
        with_third = value(first, second, third) - value(first, third) - value(second, third) + value(third)
        assert effect.interactions[frozenset({first, second})] == pytest.approx((without + with_third) / 2)
    assert sum(shapley(effect.values).values()) == pytest.approx(effect.total)


def test_what_an_input_would_say_that_is_missing_is_no_route() -> None:
    backend = LocalBackend("cpu")
    request = Request("trio", make_sample(text="what is it", audio=(np.zeros(16_000, np.float32), 16_000)))
    (record,) = backend.run([request])
    assert record.absent_modalities == {Modality.IMAGE}
    assert any(token.modality is Modality.IMAGE for token in record.streams[record.flow_streams[1]])
    cells = route_cells(record)
    assert cells and not any(Modality.IMAGE in (cell.queries, cell.keys) for cell in cells)
    assert {cell.keys for cell in cells} >= {Modality.TEXT, Modality.AUDIO}
    effect = measure_modality_effect(backend, request)
    assert effect is not None
    shares = {Modality.IMAGE: 0.6, Modality.TEXT: 0.2, Modality.AUDIO: 0.2}
    assert not any("picture" in sentence for sentence in effect_sentences(effect, shares)), "there is no picture"
