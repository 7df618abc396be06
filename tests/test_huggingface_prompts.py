"""Prompts, settings and answers that are given to a chat model: where the words stand, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints  # first: it sets what transformers reads

from mmviz import Modality, Sample, Token, make_sample
from mmviz.backends import wire
from mmviz.backends.local import LocalBackend
from mmviz.models.custom_model_factory import load
from mmviz.types import Chars, MmvizError, Request

pytestmark = pytest.mark.slow

PIXELS = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
TRIMMED = "{% for m in messages %}user: <image>{{ (m.content | last).text | trim }}|{% endfor %}assistant:"
WITHOUT = "user: <image> say what you like. assistant:"


@pytest.fixture(scope="module")
def model(llava_spec: str, llava_backend: LocalBackend) -> Any:
    return llava_backend._models[llava_spec]


def words_of(tokens: Any) -> list[Token]:
    return [token for token in tokens if token.modality is Modality.TEXT and token.location is not None]


def refusal(code: str, function: Any, *args: Any) -> str:
    with pytest.raises(MmvizError) as refused:
        function(*args)
    assert refused.value.code == code
    return str(refused.value)


@pytest.mark.parametrize("question", ["What is this?", "What is this? ", " \n What is this?\t"])
def test_words_have_their_places_in_the_question_where_the_template_trims_it(model: Any, question: str) -> None:
    prepared = model.with_options({"template": TRIMMED}).prepare(Sample(make_sample(PIXELS).image, question))
    words = words_of(prepared.streams)
    start = question.index("W")
    assert [token.location for token in words] == [Chars(start + k, start + k + 1) for k in range(13)]
    assert "".join(token.label for token in words) == "What is this?" and not prepared.notices


@pytest.mark.parametrize("question", ["s", "assistant", "user", "user: ", "What is this? assistant:"])
@pytest.mark.parametrize("more", ["", "{# edited #}"])
def test_words_that_the_template_has_too_are_those_of_the_question(model: Any, question: str, more: str) -> None:
    prepared = model.with_options({"template": model.template + more}).prepare(make_sample(PIXELS, question))
    asked = prepared.sample.text
    labels = "".join(token.label for token in prepared.streams)
    assert labels.endswith(f"<image>{asked} assistant:")
    first = len(prepared.streams) - len(f"{asked} assistant:")  # a letter a token
    places = {k: token.location for k, token in enumerate(prepared.streams) if token.location is not None}
    assert places == {first + k: Chars(k, k + 1) for k in range(len(asked))}


@pytest.mark.parametrize("question", ["What is this?", "s", "say what"])
def test_a_template_without_the_question_says_that_its_words_have_no_place(model: Any, question: str) -> None:
    changed = model.with_options({"template": WITHOUT})
    prepared = changed.prepare(make_sample(PIXELS, question))
    assert not words_of(prepared.streams) and prepared.details["prompt"] == WITHOUT
    assert [notice.code for notice in prepared.notices] == ["hf-question-changed"]
    assert not changed.prepare(make_sample(PIXELS)).notices, "without a question there is nothing to repeat"


def test_an_answer_that_the_model_cannot_write_is_refused(
    model: Any, llava_spec: str, llava_backend: LocalBackend
) -> None:
    request = Request(llava_spec, make_sample(PIXELS, "What is this?"))
    size = model.module.config.text_config.vocab_size
    image = model.processor.image_token_id
    (record,) = llava_backend.run([replace(request, answer=(size - 1, 70))])
    assert record.made_by["answer"] == [size - 1, 70]
    for wrong in (size, image):
        given = replace(request, answer=(70, wrong))
        received = wire.request_from_bytes(wire.request_to_bytes(given))
        text = refusal("hf-answer", llava_backend.run, [received])
        assert f"token {wrong}," in text and f"to {size - 1}," in text
    refusal("hf-answer", model.answering, (-1,))


def test_an_answer_longer_than_the_model_reads_is_refused(tmp_path: Path) -> None:
    whisper: Any = load(f"hf:{tiny_checkpoints.save_checkpoint('whisper', tmp_path)}", "cpu")
    backend = LocalBackend("cpu", {"w": whisper})
    wave = (np.sin(np.arange(16_000) / 9) / 2).astype(np.float32)
    request = Request("w", make_sample(audio=(wave, 16_000)), maps=False)
    prefix = len(whisper.prepare(request.sample).streams)
    limit = whisper.module.config.max_target_positions
    (record,) = backend.run([replace(request, answer=(70,) * (limit - prefix))])
    assert len(record.made_by["answer"]) == limit - prefix
    text = refusal("hf-long", backend.run, [replace(request, answer=(70,) * (limit - prefix + 1))])
    assert f"can read {limit}" in text
    refusal("hf-answer", backend.run, [replace(request, answer=(whisper.module.config.vocab_size,))])


@pytest.mark.parametrize("count", [0, -3])
def test_an_answer_has_at_least_one_token(llava_spec: str, llava_backend: LocalBackend, count: int) -> None:
    request = Request(llava_spec, make_sample(PIXELS, "What is this?"), options=(("new_tokens", count),))
    assert f"{count} tokens" in refusal("hf-new-tokens", llava_backend.run, [request])
