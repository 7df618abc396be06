"""Token streams of queries and keys: two towers, and cross-attention under its own input names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from eager_attention import Towers, drawn, labels, last_layer_by_hand, picture, run_of, weights_by_hand
from torch import Tensor, nn

import mmviz
from mmviz import CaptureError, Chars, Modality, PixelBox, Token
from mmviz.analysis.rollout import rollout


def towers(patches: int, words: int) -> tuple[mmviz.CustomModel, tuple[Tensor, Tensor]]:
    """Two towers as a custom model, and what goes into them."""
    inputs = drawn(1, patches, 8), drawn(1, words, 8, seed=1)
    tokens = {
        "picture": [Token(Modality.IMAGE, f"p{k}", PixelBox(k, 0, k + 1, 1)) for k in range(patches)],
        "text": [Token(Modality.TEXT, f"w{k}", Chars(k, k + 1)) for k in range(words)],
    }
    return mmviz.CustomModel(Towers(), lambda sample: (inputs, tokens), ["a", "b"]), inputs


def run_of_towers(patches: int, words: int) -> tuple[mmviz.Run, Any]:
    """A run of two towers, and the mean attention ``[query, key]`` of the last layer of the words."""
    own, inputs = towers(patches, words)
    run = run_of(own, image=picture(8, 1), text="abcdefgh"[:words])
    return run, last_layer_by_hand(own.module.text, inputs[1])


def test_the_summary_of_text_has_its_own_attention() -> None:
    run, text_weights = run_of_towers(7, 4)
    summary = run.summary()
    query = [token.label for token in run.record.streams["text"]].index(summary["attention"]["query"])
    np.testing.assert_allclose(summary["attention"]["text"], text_weights[query], atol=1e-5)


def test_attention_of_two_towers_has_an_amount_for_each_token() -> None:
    run, text_weights = run_of_towers(7, 4)
    assert len(run.tokens) == 4
    np.testing.assert_allclose(run.attention(token=2), text_weights[2], atol=1e-5)


def test_the_matrix_of_two_towers_is_that_of_the_tokens_shown() -> None:
    run, _ = run_of_towers(7, 4)
    assert run.modality_matrix().keys == tuple(dict.fromkeys(token.modality for token in run.tokens))


def test_fewer_patches_than_words_have_a_summary() -> None:
    run, text_weights = run_of_towers(4, 7)
    np.testing.assert_allclose(run.summary()["attention"]["text"], text_weights[run.answer_query], atol=1e-5)


def test_fewer_patches_than_words_can_be_drawn() -> None:
    run, _ = run_of_towers(4, 7)
    assert run.png()[:4] == b"\x89PNG" and "<html" in run.to_html()


def test_two_towers_of_other_lengths_are_captured_as_they_attend() -> None:
    run, text_weights = run_of_towers(7, 4)
    assert [(attn_map.queries, attn_map.keys) for attn_map in run.record.maps] == [("picture",) * 2] * 2 + [
        ("text",) * 2
    ] * 2
    np.testing.assert_allclose(run.record.maps[3].weights.mean(0), text_weights, atol=1e-5)


def test_two_towers_of_one_length_each_have_their_tokens() -> None:
    with torch.no_grad(), mmviz.capture(model := Towers().eval()) as result:
        model(drawn(1, 5, 8), drawn(1, 5, 8, seed=1))
    record = result.record({"picture": list("abcde"), "words": list("ABCDE")})
    token_labels = {
        attn_map.name: (labels(record, attn_map.queries), labels(record, attn_map.keys)) for attn_map in record.maps
    }
    for tower, letters in (("vision", list("abcde")), ("text", list("ABCDE"))):
        for layer in (0, 1):
            assert token_labels[f"{tower}.layers.{layer}.self_attn"] == (letters, letters)


def test_two_towers_of_one_length_are_two_streams() -> None:
    with torch.no_grad(), mmviz.capture(model := Towers().eval()) as result:
        model(drawn(1, 5, 8), drawn(1, 5, 8, seed=1))
    record = result.record()
    streams = {
        tower: {attn_map.keys for attn_map in record.maps if attn_map.name.startswith(tower)}
        for tower in ("vision", "text")
    }
    assert len(streams["vision"]) == len(streams["text"]) == 1 and streams["vision"] != streams["text"]


def test_rollout_does_not_go_from_one_tower_into_the_other() -> None:
    with torch.no_grad(), mmviz.capture(model := Towers().eval()) as result:
        model(drawn(1, 5, 8), drawn(1, 5, 8, seed=1))
    with pytest.raises(CaptureError) as error:
        result.rollout([0], keys="vision")
    assert error.value.code == "flow-route"
    full = rollout([result.view(number).full() for number in (2, 3)])
    np.testing.assert_allclose(result.rollout([0])[0], full[0], atol=1e-6)


def test_a_text_as_long_as_the_picture_is_explained() -> None:
    run, text_weights = run_of_towers(5, 5)
    (last,) = (attn_map for attn_map in run.record.maps if attn_map.name == "text.layers.1.self_attn")
    assert labels(run.record, last.keys) == [f"w{k}" for k in range(5)]
    np.testing.assert_allclose(last.weights.mean(0), text_weights, atol=1e-5)


class Across(nn.Module):
    """Text attends to an image, which is passed under a name that only this model uses, beside a cache."""

    def forward(
        self, words: Tensor, cross_attention_states: Tensor, past_key_values: dict[str, Tensor] | None = None
    ) -> Tensor:
        return F.scaled_dot_product_attention(words, cross_attention_states, cross_attention_states)


class Decoder(nn.Module):
    """As the text model of Mllama calls its cross-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.cross = Across()

    def forward(self, words: Tensor, states: Tensor) -> Tensor:
        mixed: Tensor = self.cross(words, cross_attention_states=states, past_key_values={})
        return mixed


def test_text_that_attends_to_an_image_is_not_labelled_as_patches() -> None:
    words, states = drawn(1, 2, 4, 8), drawn(1, 2, 9, 8, seed=1)
    with mmviz.capture(model := Decoder()) as result:
        model(words, states)
    patches = [f"patch {k}" for k in range(9)]
    record = result.record({"picture": patches})
    (across,) = record.maps
    np.testing.assert_allclose(across.weights, weights_by_hand(words, states)[0], atol=2e-6)
    assert labels(record, across.keys) == patches
    assert len(record.streams[across.queries]) == 4 and not set(labels(record, across.queries)) & set(patches)


class Shifted(nn.Module):
    """Attention of one head in which each token attends to the one ``shift`` places on in ``keys``, round about.

    Tokens ``[1, 4, 8]`` are their place, times the square root of nine, and four numbers, which alone are passed on.
    """

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        query, key, value = queries[..., :4].roll(self.shift, -1), keys[..., :4], F.pad(keys[..., 4:], (4, 0))
        return F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None], scale=1.0)[:, 0]


class Misleading(nn.Module):
    """Two towers of one length, the picture's first, and words that attend to the picture: no name tells which."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.across = Shifted(1), Shifted(2), Shifted(3)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x, y = x + self.first(x, x), y + self.second(y, y)
        return (y + self.across(y, x))[:, 0, :2]


LETTERS = {"words": list("abcd"), "picture": list("ABCD")}
"""The words come first, as in a prompt: by their order they would be taken for the tokens of the first tower."""
STREAMS, PAIRS = {"fir*": "picture", "second": "words"}, {"across": ("words", "picture")}
INPUTS = tuple(torch.cat([3 * torch.eye(4)[None], drawn(1, 4, 4, seed=seed)], -1) for seed in (0, 1))


def attended(record: mmviz.AttentionRecord) -> list[str]:
    """For each map, the key that the first three queries attend to most, with that weight checked on paper."""
    pairs = []
    for attn_map in record.maps:
        queries, keys = labels(record, attn_map.queries), labels(record, attn_map.keys)
        np.testing.assert_allclose(attn_map.weights.max(-1), np.exp(9) / (np.exp(9) + 3), atol=1e-6)
        pairs.append(" ".join(queries[k] + keys[attn_map.weights[0, k].argmax()] for k in range(3)))
    return pairs


ON_PAPER = ["AB BC CD", "ac bd ca", "aD bA cB"]


def captured_misleading(**options: Any) -> mmviz.capture.CaptureResult:
    with torch.no_grad(), mmviz.capture(model := Misleading().eval(), **options) as result:
        model(*INPUTS)
    return result


def test_a_wrong_guess_of_streams_is_told_and_overruled_in_capture_and_in_record() -> None:
    guessed = captured_misleading().record(LETTERS)
    assert attended(guessed) != ON_PAPER and {notice.code for notice in guessed.notices} == {"streams-guessed"}
    named = captured_misleading(streams=STREAMS, pairs=PAIRS)
    assert attended(named.record(LETTERS)) == ON_PAPER and not named.record(LETTERS).notices
    assert attended(captured_misleading().record(LETTERS, streams=STREAMS, pairs=PAIRS)) == ON_PAPER
    again = captured_misleading(pairs={"*": ("words", "words")}).record(LETTERS, streams=STREAMS, pairs=PAIRS)
    assert attended(again) == ON_PAPER, "those of the record come first"
    row = named.rollout([0], queries="picture")[0]
    assert row.argmax() == 0 and row[1] == row[1:].max(), "flows take the names, half of it is the token itself"


def test_a_wrong_guess_of_streams_is_overruled_in_a_custom_model_and_in_explain() -> None:
    def custom(**options: Any) -> mmviz.CustomModel:
        return mmviz.CustomModel(Misleading(), lambda sample: (INPUTS, LETTERS), ["a", "b"], **options)

    assert attended(run_of(custom(), text="abcd").record) != ON_PAPER
    assert attended(run_of(custom(streams=STREAMS, pairs=PAIRS), text="abcd").record) == ON_PAPER
    backend = mmviz.LocalBackend("cpu", {"own": custom(pairs={"*": ("picture", "picture")})})
    run = mmviz.explain(text="abcd", model="own", backend=backend, streams=STREAMS, pairs=PAIRS)
    assert attended(run.record) == ON_PAPER


@pytest.mark.parametrize("option", [{"streams": {"first": ("a", "b")}}, {"pairs": {"across": "words"}}, {"pairs": "a"}])
def test_names_of_streams_in_another_form_are_refused(option: dict[str, Any]) -> None:
    for name in (
        lambda: captured_misleading(**option),
        lambda: captured_misleading().record(LETTERS, **option),
        lambda: mmviz.CustomModel(Misleading(), lambda sample: (INPUTS, LETTERS), ["a", "b"], **option),
        lambda: mmviz.explain(text="abcd", **option),
    ):
        with pytest.raises(mmviz.MmvizError, match="pairs=") as error:
            name()
        assert error.value.code == "stream-names"


class EncodedOnce(nn.Module):
    """An encoder and a decoder that are called one after another, as `generate` does."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Shifted(1), Shifted(2)


def test_names_for_one_call_of_several_do_not_matter_to_the_others() -> None:
    pairs = {"encoder": ("sound", "sound"), "decoder": ("text", "text")}
    with torch.no_grad(), mmviz.capture(model := EncodedOnce().eval(), pairs=pairs) as result:
        for part in (model.encoder, model.decoder):
            part(*INPUTS[:1] * 2)
    assert [result.record(call=call).maps[0].keys for call in (0, 1)] == ["sound", "text"]
    with pytest.raises(CaptureError, match="decoder") as error, mmviz.capture(model, streams={"decodr": "text"}):
        pass
    assert error.value.code == "capture-pattern"
