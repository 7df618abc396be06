"""Map weights, modality matrices, rollout and sinks, compared with results worked out by hand."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest

from mmviz.analysis import map_weights
from mmviz.analysis.map_weights import attention_row, spread, weights
from mmviz.analysis.modality_matrix import modality_matrix
from mmviz.analysis.rollout import rollout
from mmviz.analysis.sinks import sinks
from mmviz.types import AttentionMap, AttentionRecord, MapRef, Modality, Token

ANSWER = Token(Modality.SPECIAL, "answer")
WORD = Token(Modality.TEXT, "cat")
PATCH = Token(Modality.IMAGE, "patch")
FRAME = Token(Modality.AUDIO, "frame")
FIRST = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]
SECOND = [[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.4, 0.3, 0.3]]


def attention(name: str, layer: int, heads: list[list[list[float]]], queries: str = "tokens", keys: str = "tokens"):
    return AttentionMap(name, layer, queries, keys, np.array(heads, dtype=np.float32))


@pytest.fixture
def record() -> AttentionRecord:
    """Three tokens; layer 0 has two heads, layer 1 one."""
    maps = (attention("first", 0, [FIRST, SECOND]), attention("second", 1, [SECOND]))
    return AttentionRecord("r", {"tokens": (ANSWER, WORD, PATCH)}, maps, (), {})


@pytest.fixture
def crossed() -> AttentionRecord:
    """Layer 0 has self-attention over three tokens and cross-attention from one token to two."""
    maps = (
        attention("self", 0, [FIRST]),
        attention("cross", 0, [[[0.25, 0.75]]], "decoder", "audio"),
    )
    streams = {"tokens": (ANSWER, WORD, PATCH), "decoder": (ANSWER,), "audio": (FRAME, FRAME)}
    return AttentionRecord("r", streams, maps, (), {})


@pytest.mark.parametrize("text", ["5:mean", "0:mean", "4:2", "0.2:mean", "5.1:2", "rollout", "relevance"])
def test_the_text_form_of_a_map_ref_loses_nothing(text: str) -> None:
    ref = MapRef.parse(text)
    assert str(ref) == text and MapRef.parse(str(ref)) == ref


def test_the_text_form_names_layer_map_of_the_layer_and_head() -> None:
    assert MapRef.parse("4:2") == MapRef("attention", layer=4, head=2)
    assert MapRef.parse("5.1:mean") == MapRef("attention", layer=5, index=1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mean",
        "mean:",
        ":mean",
        "mean:-1",
        "1:None",
        "head:1:2:3",
        "rollout:1",
        "median:1",
        "1.0:2",
        "01:2",
        "٣:mean",
    ],
)
def test_other_texts_are_no_map_refs(text: str) -> None:
    with pytest.raises(ValueError):
        MapRef.parse(text)


@pytest.mark.parametrize("layer, head", [(-1, 0), (0, -1)])
def test_layers_and_heads_count_from_zero(layer: int, head: int) -> None:
    with pytest.raises(ValueError, match="from 0"):
        MapRef("attention", layer, head)


def test_mean_head_and_spread_by_hand(record: AttentionRecord) -> None:
    mean = [[0.5, 0.5, 0.0], [0.5, 0.25, 0.25], [0.3, 0.3, 0.4]]
    assert np.allclose(weights(record, MapRef.parse("0:mean")), mean, atol=1e-7)
    assert np.allclose(weights(record, MapRef.parse("0:1")), SECOND, atol=1e-7)
    # two heads: the standard deviation is half of their difference
    differ = np.array([[0.5, 0.5, 0.0], [0.0, 0.25, 0.25], [0.1, 0.0, 0.1]])
    for token in range(3):
        assert np.allclose(spread(record.maps[0].weights[:, token]), differ[token], atol=1e-7)
        assert np.allclose(spread(record.maps[0].weights[:, :, token]), differ[:, token], atol=1e-7)
        assert np.array_equal(spread(record.maps[1].weights[:, token]), np.zeros(3))
    assert weights(record, MapRef.parse("0:mean")).dtype == np.float64


def test_from_is_a_row_and_to_is_a_column(record: AttentionRecord) -> None:
    ref = MapRef.parse("1:mean")
    assert np.allclose(attention_row(record, ref, 2, "from"), [0.4, 0.3, 0.3])
    assert np.allclose(attention_row(record, ref, 2, "to"), [0.0, 0.5, 0.3])


def test_a_group_of_tokens_is_its_mean(record: AttentionRecord) -> None:
    ref = MapRef.parse("1:mean")
    assert np.allclose(attention_row(record, ref, (0, 2), "from"), [0.2, 0.65, 0.15])
    assert np.allclose(attention_row(record, ref, [0, 2], "to"), [0.0, 0.5, 0.35])
    assert np.array_equal(attention_row(record, ref, (1,), "to"), attention_row(record, ref, 1, "to"))
    with pytest.raises(ValueError, match="at least one"):
        attention_row(record, ref, (), "from")
    with pytest.raises(IndexError, match="no token 3; there are 3"):
        attention_row(record, ref, (0, 3), "from")


def test_a_missing_layer_head_or_token_is_an_error(record: AttentionRecord) -> None:
    with pytest.raises(LookupError, match="7:mean"):
        weights(record, MapRef.parse("7:mean"))
    with pytest.raises(LookupError, match="no head 2"):
        weights(record, MapRef.parse("0:2"))
    for token in (-1, 3):
        with pytest.raises(IndexError, match="there are 3"):
            attention_row(record, MapRef.parse("0:mean"), token, "from")


def test_maps_of_one_layer_are_told_apart(crossed: AttentionRecord) -> None:
    assert [str(crossed.map_ref(number)) for number in range(2)] == ["0:mean", "0.1:mean"]
    assert np.allclose(attention_row(crossed, MapRef.parse("0:mean"), 2, "from"), FIRST[2])
    assert np.allclose(attention_row(crossed, MapRef.parse("0.1:mean"), 0, "from"), [0.25, 0.75])
    assert np.allclose(attention_row(crossed, MapRef.parse("0.1:mean"), 1, "to"), [0.75])
    with pytest.raises(LookupError, match=r"0\.2:mean"):
        weights(crossed, MapRef.parse("0.2:mean"))


def test_rollout_runs_within_the_named_stream(crossed: AttentionRecord) -> None:
    rollout_ref = MapRef.parse("rollout")
    for streams in (None, ("decoder", "audio")):
        with pytest.raises(ValueError, match="self-attention"):
            weights(crossed, rollout_ref, streams=streams)
    assert weights(crossed, rollout_ref, streams=("tokens", "tokens")).shape == (3, 3)


def test_rollout_does_not_mix_streams_that_happen_to_be_equally_long() -> None:
    maps = (attention("cross", 0, [FIRST], "decoder", "audio"),)
    record = AttentionRecord("r", {"decoder": (ANSWER, WORD, WORD), "audio": (FRAME, FRAME, FRAME)}, maps, (), {})
    with pytest.raises(ValueError, match="one stream"):
        weights(record, MapRef.parse("rollout"))


def test_relevance_needs_an_array_that_fits(record: AttentionRecord) -> None:
    ref = MapRef.parse("relevance")
    with pytest.raises(ValueError, match="gradients"):
        weights(record, ref)
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        weights(record, ref, relevance=np.zeros((2, 3)))
    relevance = np.arange(9.0).reshape(3, 3)
    assert np.array_equal(attention_row(record, ref, 1, "from", relevance=relevance), [3, 4, 5])


def test_rollout_by_hand(record: AttentionRecord) -> None:
    # two tokens: (A + I) / 2 is [[.75, .25], [.5, .5]] below and [[.5, .5], [0, 1]] above; the upper one acts last
    below = np.array([[[0.5, 0.5], [1.0, 0.0]]])
    above = np.array([[[0.0, 1.0], [0.0, 1.0]]])
    assert np.allclose(rollout([below, above]), [[0.625, 0.375], [0.5, 0.5]])
    assert np.allclose(
        weights(record, MapRef.parse("rollout")), rollout([np.array([FIRST, SECOND]), np.array([SECOND])]), atol=1e-7
    )


def test_rollout_averages_heads_before_anything_else() -> None:
    heads = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
    assert np.allclose(rollout([heads]), [[0.75, 0.25], [0.25, 0.75]])


def test_rollout_of_identities_is_the_identity_and_rows_sum_to_one() -> None:
    identity = np.broadcast_to(np.eye(5), (3, 5, 5))
    assert np.array_equal(rollout([identity] * 4), np.eye(5))
    rows = np.random.default_rng(0).dirichlet(np.ones(7), size=(6, 4, 7))
    assert np.allclose(rollout(list(rows)).sum(axis=1), 1)
    assert rollout([np.ones((2, 1, 1))]).tolist() == [[1.0]]


def test_rollout_needs_layers_of_self_attention() -> None:
    with pytest.raises(ValueError, match="at least one layer"):
        rollout([])
    with pytest.raises(ValueError, match="self-attention"):
        rollout([np.full((1, 2, 3), 1 / 3)])


def test_modality_matrix_by_hand() -> None:
    # queries: two words; keys: a patch, two words and the answer token
    matrix = modality_matrix(
        np.array([[0.4, 0.2, 0.2, 0.2], [0.0, 0.6, 0.2, 0.2]]), [WORD, WORD], [PATCH, WORD, WORD, ANSWER]
    )
    assert matrix.queries == (Modality.TEXT,)
    assert matrix.keys == (Modality.IMAGE, Modality.TEXT, Modality.SPECIAL)
    assert matrix.counts == (1, 2, 1)
    assert matrix.query_counts == (2,)
    assert np.allclose(matrix.sums, [[0.2, 0.6, 0.2]])
    assert np.allclose(matrix.per_token, [[0.2, 0.3, 0.2]])
    assert np.allclose(matrix.ratio, [[0.8, 1.2, 0.8]])


def test_modalities_have_one_order_whatever_the_order_of_the_tokens() -> None:
    tokens = [ANSWER, FRAME, WORD, PATCH, FRAME]
    matrix = modality_matrix(np.eye(5), tokens, tokens)
    assert matrix.keys == (Modality.IMAGE, Modality.TEXT, Modality.AUDIO, Modality.SPECIAL)
    assert np.allclose(matrix.sums, np.eye(4))
    assert np.allclose(np.diag(matrix.per_token), [1, 1, 0.5, 1])


def test_uniform_attention_has_ratio_one_and_rows_sum_to_one() -> None:
    tokens = [ANSWER] + [WORD] * 5 + [PATCH] * 9 + [FRAME] * 4
    assert np.allclose(modality_matrix(np.full((19, 19), 1 / 19), tokens, tokens).ratio, 1)
    rows = np.random.default_rng(1).dirichlet(np.ones(19), size=19)
    assert np.allclose(modality_matrix(rows, tokens, tokens).sums.sum(axis=1), 1)


def test_modality_matrix_needs_tokens_that_fit_the_weights() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        modality_matrix(np.eye(2), [WORD], [WORD, PATCH])
    with pytest.raises(ValueError, match="do not fit"):
        modality_matrix(np.zeros((0, 0)), [], [])


def test_a_sink_is_attended_to_by_all_queries() -> None:
    weights = np.full((20, 20), 0.5 / 19)
    weights[:, 3] = 0.5
    assert sinks(weights.mean(0)) == [(3, pytest.approx(0.5))]
    assert sinks(np.full(20, 1 / 20)) == []
    assert sinks(np.eye(20).mean(0)) == []
    single_query = np.full((20, 20), 1 / 20)
    single_query[0] = np.eye(20)[7]
    assert sinks(single_query.mean(0)) == []


def test_rollout_is_kept_as_long_as_its_record_and_belongs_to_no_other(record: AttentionRecord) -> None:
    rollout_ref = MapRef.parse("rollout")
    matrix = weights(record, rollout_ref)
    assert weights(record, rollout_ref) is matrix and not matrix.flags.writeable
    same_numbers = replace(record, id="another")
    assert weights(same_numbers, rollout_ref) is not matrix
    np.testing.assert_array_equal(weights(same_numbers, rollout_ref), matrix)
    key = id(same_numbers)
    assert key in map_weights._rollouts
    del same_numbers
    gc.collect()
    assert key not in map_weights._rollouts
