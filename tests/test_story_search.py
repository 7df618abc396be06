"""Where the search for a story looks: layer by layer, and around what is read most."""

from __future__ import annotations

import numpy as np
import pytest

from mmviz.analysis.key_clusters import surrounded, wider_clusters
from mmviz.experiments.story_confirm import STRONG, Side, carrying
from mmviz.experiments.story_search import LEAST, Step, chosen_routes, looked_into, wider_keys_of
from mmviz.types import (
    ANSWER,
    Answer,
    AttentionMap,
    AttentionRecord,
    ChosenTokens,
    Modality,
    PixelBox,
    Seconds,
    Token,
)

IMAGE, TEXT, AUDIO, SPECIAL = Modality
SIDE, MOMENTS = 10, 20
SINK, THING = (0, 9), ((5, 3), (6, 3), (5, 4), (6, 4))


def patch(x: int, y: int) -> int:
    return 1 + y * SIDE + x


def moment(k: int) -> int:
    return 1 + SIDE**2 + k


@pytest.fixture(scope="module")
def record() -> AttentionRecord:
    """The answer token reads a patch in the corner most of all in layer 0, and a thing of four patches in layer 1."""
    patches = [Token(IMAGE, "", PixelBox(x, y, x + 1, y + 1)) for y in range(SIDE) for x in range(SIDE)]
    moments = [Token(AUDIO, "", Seconds(k, k + 1)) for k in range(MOMENTS)]
    tokens = (Token(SPECIAL, "answer"), *patches, *moments)
    maps = []
    for layer, places in enumerate(([SINK], THING)):
        weights = np.full((1, len(tokens), len(tokens)), 1e-4, np.float32)
        weights[0, 0, [patch(*place) for place in places]] = 0.9 if layer == 0 else 0.1
        weights[0, 0, moment(7 + layer)] = 0.05
        weights /= weights.sum(-1, keepdims=True)
        maps.append(AttentionMap(f"layers.{layer}", layer, "tokens", "tokens", weights, stack="layers"))
    return AttentionRecord("id", {"tokens": tokens}, tuple(maps), (Answer("wolf", 0.9),), {})


def at(*tokens: int) -> ChosenTokens:
    return ChosenTokens(tokens, "tokens")


def around_thing() -> set[int]:
    return {patch(x, y) for x in range(4, 8) for y in range(2, 6)}


def test_a_cluster_is_widened_by_what_touches_it(record: AttentionRecord) -> None:
    wide = surrounded(record, at(*(patch(*place) for place in THING)))
    assert set(wide.tokens) == around_thing() and wide.tokens[:4] == tuple(patch(*place) for place in THING)
    assert set(surrounded(record, at(patch(0, 0))).tokens) == {patch(x, y) for x in (0, 1) for y in (0, 1)}
    assert surrounded(record, at(moment(0))).tokens == (moment(0), moment(1)), "a moment touches no patch"


def test_each_layer_has_its_own_place(record: AttentionRecord) -> None:
    sink, thing = wider_clusters(record, ANSWER, IMAGE)
    assert set(sink.tokens) == {patch(x, y) for x in (0, 1) for y in (8, 9)} and set(thing.tokens) == around_thing()
    assert [set(some.tokens) for some in wider_clusters(record, ANSWER, AUDIO)] == [
        {moment(k) for k in (7, 8, 9)}, {moment(k) for k in (6, 7, 8)},
    ]  # fmt: skip


def test_wider_places_are_tried_where_no_keys_carry_the_route(record: AttentionRecord) -> None:
    routes = [Step(ANSWER, IMAGE, IMAGE, effect=-4.0), Step(ANSWER, AUDIO, AUDIO, effect=-4.0)]
    routes += [Step(ANSWER, TEXT, TEXT, effect=-4.0)]
    little = Step(ANSWER, at(patch(*SINK)), IMAGE, effect=-0.5)
    word = Step(ANSWER, at(moment(7)), AUDIO, effect=-3.0)
    wider = wider_keys_of(record, routes, [little, word])
    assert [(step.queries, step.modality) for step in wider] == [(ANSWER, IMAGE)] * 2
    assert wider_keys_of(record, routes, [Step(ANSWER, at(patch(*SINK)), IMAGE, effect=-1.5), word]) == []


def test_what_the_answer_token_reads_is_a_step_even_where_others_read_it() -> None:
    place, beside = at(*range(1, 9)), at(*range(2, 10))
    routes = [Step(AUDIO, IMAGE, IMAGE, effect=-4.0), Step(TEXT, IMAGE, IMAGE, effect=-4.0)]
    routes += [Step(ANSWER, IMAGE, IMAGE, effect=-4.0)]
    tried = [Step(AUDIO, place, IMAGE, effect=-3.5), Step(TEXT, beside, IMAGE, effect=-3.0)]
    tried += [Step(ANSWER, beside, IMAGE, effect=-2.0)]
    assert {step.queries for step in chosen_routes(routes, tried)} == {AUDIO, ANSWER}


def test_routes_of_a_small_effect_are_looked_into() -> None:
    routes = [
        Step(ANSWER, keys, keys, effect=effect) for keys, effect in ((TEXT, -0.11), (IMAGE, -9.0), (AUDIO, -0.09))
    ]
    assert [route.effect for route in looked_into(routes)] == [-9.0, -0.11]


def test_tokens_of_a_step_give_back_enough_of_its_effect() -> None:
    step = Step(ANSWER, at(1, 2, 3), IMAGE, effect=-7.0)
    given_back: dict[tuple[int, Side, int], float] = {(0, "keys", 1): 3.0, (0, "keys", 2): 0.2, (0, "keys", 3): 0.05}
    kept = {least: carrying(step, 0, given_back, least) for least in (LEAST, -STRONG * step.effect, 5.0)}
    assert [some and some.keys for some in kept.values()] == [at(1, 2), at(1), None]
    alone = Step(at(4), at(1), IMAGE, effect=-7.0)
    assert carrying(alone, 0, {}, 5.0) == alone, "the only token of a side is not cut last"
