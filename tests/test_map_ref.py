"""References to attention maps: their text form loses nothing, and a record finds the map that they name."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies
from records import attention

from mmviz.types import AttentionMap, AttentionRecord, MapRef, Method, index_tokens

NUMBERS = strategies.integers(0, 10**9 - 1)
REFS = strategies.one_of(
    strategies.builds(MapRef, strategies.just("attention"), NUMBERS, strategies.none() | NUMBERS, NUMBERS),
    strategies.sampled_from([MapRef("rollout"), MapRef("relevance")]),
)
ANY_NUMBER = strategies.integers(-2, 3) | strategies.integers() | strategies.floats() | strategies.booleans()
NUMBERS_OR_NONE = strategies.none() | ANY_NUMBER | NUMBERS.map(np.int64)


@given(REFS)
def test_the_text_form_is_read_back_without_loss(ref: MapRef) -> None:
    assert MapRef.parse(str(ref)) == ref
    assert copy.deepcopy(ref) == pickle.loads(pickle.dumps(ref)) == ref


@given(REFS, REFS)
def test_two_references_have_the_same_text_form_only_if_they_are_equal(ref: MapRef, other: MapRef) -> None:
    assert (str(ref) == str(other)) == (ref == other) and (ref != other or hash(ref) == hash(other))


@given(
    strategies.sampled_from(["attention", "rollout", "relevance", "gradient"]),
    NUMBERS_OR_NONE,
    NUMBERS_OR_NONE,
    ANY_NUMBER,
)
def test_a_reference_that_can_be_made_can_be_written(method: Method, layer: Any, head: Any, index: Any) -> None:
    try:
        ref = MapRef(method, layer, head, index)
    except (ValueError, TypeError):
        return
    assert MapRef.parse(str(ref)) == ref


@given(strategies.text("0123456789.:meanrolut-+ ", max_size=9))
def test_a_text_is_refused_unless_it_is_the_text_form_of_a_reference(text: str) -> None:
    try:
        ref = MapRef.parse(text)
    except ValueError:
        return
    assert str(ref) == text


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("5:2", MapRef("attention", 5, 2)),
        ("5:mean", MapRef("attention", 5)),
        ("5.1:2", MapRef("attention", 5, 2, 1)),
        ("0:0", MapRef("attention", 0, 0)),
        ("rollout", MapRef("rollout")),
        ("relevance", MapRef("relevance")),
    ],
)
def test_the_text_forms(text: str, ref: MapRef) -> None:
    assert str(ref) == text and MapRef.parse(text) == ref


@pytest.mark.parametrize(
    "text",
    ["", "5", "5:", ":2", "05:2", "5:02", "5.0:2", "5.01:2", "-1:2", "5:-1", "5:Mean", " 5:2", "5:2\n", "5.:2", "5:2:1",
     "attention", "Rollout", "٥:2", "1" * 10 + ":0", "rollout:2"],
)  # fmt: skip
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not name a map"):
        MapRef.parse(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("attention",), "needs a layer"),
        (("rollout", 1), "no layer"),
        (("relevance", None, 1), "no layer"),
        (("rollout", None, None, 1), "no layer"),
        (("gradient", 1), "not a method"),
        (("attention", -1), "layer of a map is an integer from 0"),
        (("attention", 1, -1), "head of a map is an integer from 0"),
        (("attention", 1, 0, -1), "index of a map is an integer from 0"),
        (("attention", 10**9), "layer of a map is an integer from 0"),
    ],
)
def test_an_impossible_reference_is_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MapRef(*arguments)  # type: ignore[arg-type]


def decoder() -> AttentionRecord:
    """Self-attention and cross-attention in each of two layers, then a layer with three maps."""
    sizes = {"text": 3, "image": 5}
    pairs = [(0, "text"), (0, "image"), (1, "text"), (1, "image"), (7, "text"), (7, "text"), (7, "image")]
    maps = [
        AttentionMap(f"layer{layer}", layer, "text", keys, attention(2 + number, 3, sizes[keys], number))
        for number, (layer, keys) in enumerate(pairs)
    ]
    return AttentionRecord("id", {name: index_tokens(size) for name, size in sizes.items()}, tuple(maps), (), {})


def test_each_map_of_a_layer_has_its_own_reference() -> None:
    record = decoder()
    assert [str(record.map_ref(number)) for number in range(7)] == [
        "0:mean", "0.1:mean", "1:mean", "1.1:mean", "7:mean", "7.1:mean", "7.2:mean",
    ]  # fmt: skip
    assert str(record.map_ref(3, 4)) == "1.1:4" and record.map_ref(-1) == record.map_ref(6)


def test_a_reference_finds_the_map_that_it_was_made_for() -> None:
    record = decoder()
    for number, attn_map in enumerate(record.maps):
        for head in [None, *range(attn_map.heads)]:
            ref = record.map_ref(number, head)
            assert record.map_number(ref) == record.map_number(MapRef.parse(str(ref))) == number
            weights = record.maps[record.map_number(ref)].weights
            assert np.array_equal(weights, attn_map.weights)


@pytest.mark.parametrize("text", ["2:mean", "0.2:mean", "7.3:0", "0:2", "0.1:3", "rollout", "relevance"])
def test_a_reference_to_a_map_that_the_record_lacks_is_refused(text: str) -> None:
    with pytest.raises(LookupError):
        decoder().map_number(MapRef.parse(text))


def test_a_map_that_the_record_lacks_has_no_reference() -> None:
    for number in (7, -8):
        with pytest.raises(IndexError):
            decoder().map_ref(number)
