"""Hugging Face models as custom models: towers stay apart, tokens have their labels, the answer token is the query."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from eager_attention import labels, picture, run_of
from hf_factories import OwnModel, clip, omni, whisper

import mmviz

PICTURE = picture(84, 56)
SOUND = (np.sin(np.arange(16_000) / 9).astype(np.float32) / 2, 16_000)
"""One second."""


def eager_output(model: OwnModel, **inputs: Any) -> Any:
    """What the model gives with eager attention, all of its weights included."""
    tensors, _ = model.prepare(mmviz.make_sample(**inputs))
    model.module.set_attn_implementation("eager")
    with torch.no_grad():
        return model.module(**tensors, output_attentions=True)


def streams_of(record: mmviz.AttentionRecord, part: str) -> set[tuple[str, str]]:
    """The streams of queries and keys of all modules in a part of the model."""
    return {(attn_map.queries, attn_map.keys) for attn_map in record.maps if part in attn_map.name}


@cache
def omni_run(text: str) -> tuple[mmviz.Run, Any]:
    """A run of the thinker, and its language model's attention by the eager code."""
    given = {"image": PICTURE, "text": text, "audio": SOUND}
    model = omni()
    return run_of(model.own, **given), eager_output(model, **given).attentions


def test_the_language_model_of_omni_is_captured_under_its_own_tokens() -> None:
    run, eager = omni_run("is it a cat")
    maps = [attn_map for attn_map in run.record.maps if "language_model" in attn_map.name]
    expected = [
        "<|vision_bos|>", *(f"patch {r}, {c}" for r in range(2) for c in range(3)), "<|vision_eos|>",
        "<|audio_bos|>", *(f"{k / 25:.2f} s" for k in range(25)), "<|audio_eos|>", *"is it a cat", "<|bos|>",
    ]  # fmt: skip
    for attn_map, weights in zip(maps, eager, strict=True):
        np.testing.assert_allclose(attn_map.weights, weights[0].numpy(), atol=2e-6)
        assert labels(run.record, attn_map.queries) == labels(run.record, attn_map.keys) == expected


def test_attention_of_omni_is_that_of_the_tokens_it_is_shown_under() -> None:
    run, eager = omni_run("is it a cat")
    np.testing.assert_allclose(run.attention(token=40), eager[-1][0, :, 40].mean(0).numpy(), atol=2e-6)


def test_the_last_token_of_omni_answers() -> None:
    run, _ = omni_run("is it a cat")
    assert run.answer_query == len(run.tokens) - 1


def test_windows_of_omni_are_of_the_picture_that_the_next_layer_sees_whole() -> None:
    run, _ = omni_run("is it a cat")
    assert streams_of(run.record, "visual.blocks.0") == streams_of(run.record, "visual.blocks.1")


def test_a_prompt_as_long_as_the_sound_does_not_label_it() -> None:
    run, eager = omni_run("is it a cat ok")
    assert eager[0].shape[-1] == 50
    assert streams_of(run.record, "language_model").isdisjoint(streams_of(run.record, "audio_tower"))


def clip_run(text: str) -> tuple[mmviz.Run, Any]:
    """A run of CLIP, and its output by the eager code."""
    model = clip()
    return run_of(model.own, image=PICTURE, text=text), eager_output(model, image=PICTURE, text=text)


def test_the_towers_of_clip_are_captured_under_their_own_tokens() -> None:
    run, eager = clip_run("a cat")
    expected = [*eager.vision_model_output.attentions, *eager.text_model_output.attentions]
    for attn_map, weights in zip(run.record.maps, expected, strict=True):
        np.testing.assert_allclose(attn_map.weights, weights[0].numpy(), atol=2e-6)
    assert streams_of(run.record, "vision_model") == {("picture", "picture")}
    assert streams_of(run.record, "text_model") == {("text", "text")}
    assert labels(run.record, "text") == [*"a cat", "<|eos|>"] and labels(run.record, "picture")[1] == "patch 0, 0"


def test_attention_of_clip_is_that_of_the_tokens_it_is_shown_under() -> None:
    run, eager = clip_run("a cat")
    assert [token.label for token in run.tokens] == [*"a cat", "<|eos|>"]
    text_weights = eager.text_model_output.attentions[-1][0, :, 5].mean(0)
    np.testing.assert_allclose(run.attention(token=5), text_weights.numpy(), atol=2e-6)


def test_a_text_as_long_as_the_picture_is_explained_by_clip() -> None:
    run, eager = clip_run("a cat on the mat")
    assert streams_of(run.record, "text_model") == {("text", "text")} and len(run.record.streams["picture"]) == 17
    last = next(
        attn_map for attn_map in run.record.maps if attn_map.name.endswith("text_model.encoder.layers.1.self_attn")
    )
    np.testing.assert_allclose(last.weights, eager.text_model_output.attentions[1][0].numpy(), atol=2e-6)


def test_texts_as_the_answers_of_clip_leave_the_picture_its_map() -> None:
    model = clip(["a cat", "a dog"])
    run = run_of(model.own, image=PICTURE)
    eager = eager_output(model, image=PICTURE)
    probabilities = {answer.label: answer.probability for answer in run.record.answers}
    expected = eager.logits_per_image[0].double().softmax(-1).tolist()
    assert probabilities == pytest.approx(dict(zip(["a cat", "a dog"], expected, strict=True)), abs=1e-6)
    (last,) = (
        attn_map for attn_map in run.record.maps if attn_map.name.endswith("vision_model.encoder.layers.1.self_attn")
    )
    np.testing.assert_allclose(last.weights, eager.vision_model_output.attentions[1][0].numpy(), atol=2e-6)


@cache
def whisper_run() -> tuple[mmviz.Run, Any]:
    """A run of Whisper, and its output by the eager code."""
    model = whisper()
    return run_of(model.own, audio=SOUND), eager_output(model, audio=SOUND)


def test_encoder_and_decoder_of_whisper_are_captured_under_their_own_tokens() -> None:
    run, eager = whisper_run()
    across = zip(eager.decoder_attentions, eager.cross_attentions, strict=True)
    expected = [*eager.encoder_attentions, *(weights for pair in across for weights in pair)]
    for attn_map, weights in zip(run.record.maps, expected, strict=True):
        np.testing.assert_allclose(attn_map.weights, weights[0].numpy(), atol=2e-6)
    assert streams_of(run.record, "encoder.layers") == {("memory", "memory")}
    assert streams_of(run.record, "encoder_attn") == {("tokens", "memory")}
    assert labels(run.record, "tokens")[0] == "<start>" and len(run.record.streams["tokens"]) == 12
    assert labels(run.record, "memory")[49:51] == ["0.98 s", "padding"]


def test_attention_of_whisper_is_that_of_its_text_tokens_to_the_audio() -> None:
    run, eager = whisper_run()
    assert len(run.tokens) == 100
    np.testing.assert_allclose(run.attention(token=7), eager.cross_attentions[-1][0, :, 7].mean(0).numpy(), atol=2e-6)


def test_the_last_piece_of_whisper_answers() -> None:
    run, _ = whisper_run()
    assert run.answer_query == len(run.record.streams["tokens"]) - 1


def test_the_summary_of_whisper_names_the_query_among_its_text_tokens() -> None:
    run, _ = whisper_run()
    assert run.summary()["attention"]["query"] == labels(run.record, "tokens")[run.answer_query]
