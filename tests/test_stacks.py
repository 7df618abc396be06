"""Records of several stacks with layers of equal numbers: maps, the first view, flows and the token that answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up_tokens import ANSWER
from numpy.typing import NDArray
from records import ASKS, PAIR, READS, SEES, WHOLE, attention, causal, frames, patches, plain, record, towers, words

import mmviz
from mmviz.analysis.answer_token import answer_query, answer_token
from mmviz.analysis.attributions import attributions, modality_shares
from mmviz.analysis.available_maps import (
    flows,
    has_map,
    last_keys,
    last_map,
    map_refs,
    map_words,
    parse_map_ref,
    streams_of,
)
from mmviz.analysis.head_profiles import head_profiles
from mmviz.analysis.map_views import modality_matrix_of, view_of
from mmviz.analysis.map_weights import weights
from mmviz.analysis.rollout import rollout
from mmviz.explain import Run
from mmviz.report import ViewerData
from mmviz.types import AttentionMap, AttentionRecord, MapRef, Modality, PooledMap, Rows, Token
from mmviz.viewer.binary_format import decode

PADDING = Token(Modality.SPECIAL, "[PAD]")


def test_every_map_is_named_by_stack_layer_and_head() -> None:
    attention_record = towers().record
    assert attention_record.stacks == (SEES, READS, ASKS) and attention_record.default_stack == ASKS
    texts = [str(ref) for ref in map_refs(attention_record)]
    assert len(set(texts)) == len(texts) == 2 * (3 + 3 + 4)
    for text in texts:
        assert str(parse_map_ref(attention_record, text)) == text
    for stack in (SEES, READS, ASKS):
        ref = parse_map_ref(attention_record, f"{stack}/1:1")
        attn_map = attention_record.maps[attention_record.map_number(ref)]
        assert (attn_map.stack, attn_map.layer) == (stack, 1)
        np.testing.assert_array_equal(weights(attention_record, ref), attn_map.weights[1])
        assert map_words(ref) == f"{stack}, layer 2, head 2"


def test_a_reference_without_a_stack_is_in_the_default_one_and_one_with_the_only_stack_needs_none() -> None:
    attention_record = towers().record
    assert str(parse_map_ref(attention_record, "1:2")) == f"{ASKS}/1:2"
    assert not has_map(attention_record, MapRef("attention", 1, 2, stack=READS)), "it has two heads"
    alone = replace(attention_record, maps=[m for m in attention_record.maps if m.stack == READS])
    assert str(parse_map_ref(alone, f"{READS}/1:0")) == "1:0" and not has_map(alone, MapRef("attention", 1, stack=SEES))


def test_the_first_view_is_the_last_layer_of_the_default_stack_unless_the_model_chose_a_map() -> None:
    run = towers()
    last_seen = replace(run.record, maps=(*run.record.maps[2:], *run.record.maps[:2]))
    for attention_record in (run.record, last_seen):
        shown = Run(run.sample, attention_record)
        assert str(shown.map_ref) == f"{ASKS}/1:mean" == ViewerData(shown).initial_view["map"]
        assert attention_record.maps[last_map(attention_record)].stack == ASKS
        assert shown.tokens == last_keys(attention_record) == run.record.streams["picture"]
        assert shown.answer_query == 6 and ViewerData(shown).initial_view["tokens"] == [6]
        assert np.array_equal(shown.attention(), attention_record.maps[last_map(attention_record)].weights[:, 6].mean(0, np.float64))  # fmt: skip  # noqa: E501
    chosen = Run(run.sample, replace(run.record, made_by={"map_ref": "0:1"}))
    assert str(chosen.map_ref) == f"{ASKS}/0:1"


def test_the_summary_names_the_query_among_its_own_tokens_and_the_stack() -> None:
    shown = towers().summary()["attention"]
    assert (shown["query"], shown["stack"], shown["method"]) == ("cat", ASKS, f"{ASKS}/1:mean")
    assert shown["streams"] == {"queries": "text", "keys": "picture"} and len(shown["image"]) == 12
    assert plain().summary()["attention"]["method"] == "1:mean"


def test_the_viewer_is_told_stack_windows_and_what_is_taken_and_where_each_stream_starts() -> None:
    header = decode(ViewerData(towers()).to_bytes())[0]
    assert [(m["stack"], m["layer"], m["ref"]) for m in header["maps"]][:3] == [
        (SEES, 0, f"{SEES}/0"), (SEES, 1, f"{SEES}/1"), (READS, 0, f"{READS}/0"),
    ]  # fmt: skip
    assert [m["windows"] for m in header["maps"]] == [2, 0, 0, 0, 0, 0]
    assert [m["absorbed_by"] for m in header["maps"]] == ["", "", "sink", "", "sink", ""]
    assert header["default_stack"] == ASKS and header["answer_tokens"] == {"picture": 0, "text": 6}


def test_arrays_between_several_streams_are_a_stack_for_each_pair() -> None:
    arrays_of = {"encoder": [attention(2, 4, 4)] * 2, ("decoder", "encoder"): [attention(2, 3, 4)] * 2}
    arrays = mmviz.record(arrays_of)
    assert arrays.stacks == ("encoder", "decoder to encoder")
    assert [str(arrays.map_ref(number)) for number in (1, 3)] == ["encoder/1:mean", "decoder to encoder/1:mean"]
    assert mmviz.record([attention(2, 4, 4)]).stacks == ("",)


def test_the_entropy_of_a_head_with_a_sink_is_that_of_the_weights_on_tokens() -> None:
    uniform = np.full((1, 4, 4), 0.25, np.float32)
    for share in (1.0, 0.4):
        attn_map = AttentionMap("attn", 0, *PAIR, uniform * np.float32(share), absorbed_by="sink")
        (profile,) = head_profiles(replace(record({"all": words("a b c d")}, []), maps=(attn_map,)))
        assert profile.entropy == pytest.approx(1)


# flows


def stack_of(stack: str, stream: str, layers: int, size: int) -> list[AttentionMap]:
    return [
        AttentionMap(f"{stack}{k}", k, stream, stream, attention(2, size, size, k + size), stack=stack)
        for k in range(layers)
    ]


def test_rollout_runs_through_the_stream_of_the_default_stack_alone() -> None:
    streams = {"picture": patches(301, 187, 3, 4), "all": [ANSWER, *patches(301, 187, 2, 2), *words()]}
    size = len(streams["all"])
    tower, language = stack_of("tower", "picture", 2, 12), stack_of("language", "all", 3, size)
    attention_record = replace(record(streams, []), maps=(*tower, *language))
    assert flows(attention_record) == {MapRef("rollout"): ("all", "all")}
    expected = rollout([attn_map.weights for attn_map in language])
    np.testing.assert_array_equal(weights(attention_record, MapRef("rollout")), expected)
    row = view_of(attention_record, Rows(MapRef("rollout"), (2,)))
    np.testing.assert_array_equal(row, expected[[2]].astype(np.float32))
    matrix = modality_matrix_of(replace(attention_record, maps=(*language, *tower)), MapRef("rollout"))
    assert matrix.query_counts == (4, 6, 1), "tokens of the stream that it runs through"


def test_rollout_follows_the_order_of_execution_through_two_stacks_of_one_stream() -> None:
    tokens = [*patches(301, 187, 2, 2), *words()]
    local, whole = stack_of("local", "all", 2, len(tokens)), stack_of("global", "all", 2, len(tokens))
    attention_record = replace(record({"all": tokens}, []), maps=(*local, *whole))
    expected = rollout([attn_map.weights for attn_map in (*local, *whole)])
    np.testing.assert_array_equal(weights(attention_record, MapRef("rollout")), expected)


def test_rollout_is_left_out_where_it_would_leave_out_cross_attention() -> None:
    attention_record = towers().record
    assert flows(attention_record) == {}
    with pytest.raises(ValueError, match="name it"):
        weights(attention_record, MapRef("rollout"))


def test_relevance_of_two_streams_of_one_length_belongs_to_the_default_stack() -> None:
    streams = {"all": [*patches(301, 187, 2, 2), *words()], "sound": frames(10)}
    maps = [*stack_of("language", "all", 1, 10), *stack_of("listen", "sound", 1, 10)]
    relevance = np.ones((10, 10), np.float32)
    attention_record = replace(record(streams, []), maps=tuple(maps), relevance=relevance)
    assert flows(attention_record)[MapRef("relevance")] == ("all", "all")


def test_attributions_and_shares_are_those_of_the_default_stack() -> None:
    first = towers().record
    attention_record = replace(first, maps=(*first.maps[2:], *first.maps[:2]), integrated=np.ones(12, np.float32))
    last = attention_record.maps[last_map(attention_record)]
    amounts = attributions(attention_record)
    assert list(amounts) == [f"{ASKS}/1:0", f"{ASKS}/1:mean", "integrated"]
    np.testing.assert_array_equal(amounts[f"{ASKS}/1:0"], last.weights[0, 6])
    assert modality_shares(attention_record, parse_map_ref(attention_record, "1:mean"))[Modality.IMAGE] == 1
    profile = head_profiles(first)[4]
    expected = float(first.maps[2].weights[0, 6, 0])
    assert (profile.map, profile.modality_sums[Modality.SPECIAL]) == (2, pytest.approx(expected))


# the token that answers


def within(tokens: list[Token], weights_of: NDArray[np.float32], **fields: object) -> AttentionRecord:
    attn_map = AttentionMap("attn", 0, *PAIR, weights_of)
    return replace(record({"all": tokens}, []), maps=(attn_map,), **fields)  # type: ignore[arg-type]


TEXT_TOKENS = [ANSWER, *words()]
SIZE = len(TEXT_TOKENS)


def test_the_last_token_of_causal_attention_answers_and_the_special_one_of_any_other() -> None:
    assert answer_query(within(TEXT_TOKENS, causal(attention(2, SIZE, SIZE)))) == SIZE - 1
    assert answer_query(within(TEXT_TOKENS, attention(2, SIZE, SIZE))) == 0
    assert answer_query(within([*words(), ANSWER, ANSWER], attention(2, SIZE + 1, SIZE + 1))) == SIZE - 1
    assert answer_query(within(words(), attention(2, SIZE - 1, SIZE - 1))) == 0


def test_the_last_token_answers_too_where_the_picture_before_it_is_seen_whole() -> None:
    prefix = causal(attention(1, SIZE, SIZE))
    prefix[:, :3, :3] = 1 / 3
    prefix[:, :3, 3:] = 0
    assert answer_query(within(TEXT_TOKENS, prefix)) == SIZE - 1


def test_padding_does_not_answer() -> None:
    padded = np.zeros((1, SIZE, SIZE), np.float32)
    padded[:, :, : SIZE - 2] = causal(attention(1, SIZE, SIZE))[:, :, : SIZE - 2] + 1e-3 * np.tri(SIZE)[:, : SIZE - 2]
    padded /= padded.sum(-1, keepdims=True)
    assert answer_query(within(TEXT_TOKENS, padded)) == SIZE - 3, "no query attends to the last two"
    labelled = [*TEXT_TOKENS[:-1], PADDING]
    assert answer_query(within(labelled, causal(attention(1, SIZE, SIZE)))) == SIZE - 2
    left = np.roll(np.tri(SIZE, dtype=np.float32), 0, 0)[None].copy()
    left[:, :2], left[:, :, :2] = 0, 0
    left /= np.maximum(left.sum(-1, keepdims=True), 1)
    assert answer_query(within([PADDING, PADDING, *TEXT_TOKENS[2:]], left)) == SIZE - 1
    assert answer_query(within([*words(), PADDING, ANSWER], attention(1, SIZE + 1, SIZE + 1))) == SIZE


def test_the_last_token_of_a_long_causal_map_answers() -> None:
    tokens = [ANSWER, *frames(39)]
    full = causal(attention(1, 40, 40))
    edges = (0, 10, 20, 30, 40)
    for values, expected in ((full, 39), (attention(1, 40, 40), 0)):
        overview = values.reshape(1, 4, 10, 4, 10).mean((2, 4))
        sums, received = np.zeros((1, 40, 4), np.float32), np.zeros((1, 40, 4), np.float32)
        sums[..., 2], received[..., 2] = values.sum(-1), values.sum(-2)
        pooled = PooledMap("attn", 0, *PAIR, overview, edges, edges, sums, received, np.ones(1, np.float32))
        assert answer_query(replace(record({"all": tokens}, []), maps=(pooled,))) == expected


def test_queries_that_follow_the_keys_of_earlier_calls_end_with_the_one_that_answers() -> None:
    streams = {"all": TEXT_TOKENS, "last 3 of all": TEXT_TOKENS[-3:]}
    attn_map = AttentionMap("attn", 0, "last 3 of all", "all", causal(attention(1, SIZE, SIZE))[:, -3:])
    attention_record = replace(record(streams, []), maps=(attn_map,))
    assert answer_query(attention_record) == 2


def test_a_model_can_say_which_token_answers() -> None:
    said = within(TEXT_TOKENS, causal(attention(2, SIZE, SIZE)), made_by={"answer_token": ["all", 2]})
    assert answer_query(said) == 2 and Run(WHOLE, said).answer_query == 2
    other = replace(towers().record, made_by={"answer_token": ["picture", 5]})
    assert [answer_token(other, stream) for stream in ("picture", "text")] == [5, 6]
    assert streams_of(other, MapRef("attention", 0))[0] == "text"
