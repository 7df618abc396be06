"""What every backend promises, and what the local one adds: honest records, controls that change the answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmviz.analysis.select import Way, looked
from mmviz.backends.local import LocalBackend
from mmviz.inputs import make_sample
from mmviz.models.bundled import Bundled
from mmviz.types import (
    AttentionRecord,
    Drop,
    InputError,
    MmvizError,
    Modality,
    PixelBox,
    Randomise,
    Request,
    Sample,
    Seconds,
    Uniform,
)


@pytest.fixture(scope="module")
def backend() -> LocalBackend:
    return LocalBackend("cpu")


@pytest.fixture(scope="module")
def sample() -> Sample:
    rng = np.random.default_rng(5)
    picture = rng.integers(0, 255, (90, 130, 3), dtype=np.uint8)
    wave = (rng.standard_normal(20_000) * 0.1).astype(np.float32)
    return make_sample(image=picture, text="Is there a dog in the picture?", audio=(wave, 16_000))


@pytest.fixture(scope="module")
def record(backend: LocalBackend, sample: Sample) -> AttentionRecord:
    return backend.run([Request("trio", sample, relevance=True)])[0]


def test_the_record_names_every_token_where_it_lies(record: AttentionRecord) -> None:
    tokens = record.streams["tokens"]
    of = {modality: [token for token in tokens if token.modality is modality] for modality in Modality}
    assert [token.label for token in of[Modality.TEXT]] == ["is", "there", "a", "dog", "in", "the", "picture", "?"]
    dog = of[Modality.TEXT][3].where
    assert "Is there a dog in the picture?"[dog.start : dog.end] == "dog"
    boxes = [token.where for token in of[Modality.IMAGE]]
    assert (boxes[0].x0, boxes[0].y0, boxes[-1].x1, boxes[-1].y1) == (0, 0, 130, 90)
    assert boxes[1].x0 == pytest.approx(13) and boxes[10].y0 == pytest.approx(9)
    assert of[Modality.AUDIO][0].where.start == 0 and of[Modality.AUDIO][-1].where.end == pytest.approx(1.25)
    assert of[Modality.OTHER] == [tokens[0]]


def test_the_record_says_how_it_was_made(record: AttentionRecord) -> None:
    made = record.made_by
    assert made["device"] == "cpu" and made["dtype"] == "float32" and made["parity"] < 1e-4
    assert len(made["weights"]) == 64 and set(made["milliseconds"]) == {"prepare", "model", "capture"}
    assert [found.name for found in record.maps] == [f"blocks.{k}.attention" for k in range(6)]
    probabilities = [answer.probability for answer in record.answers]
    assert math.isclose(sum(probabilities), 1, abs_tol=1e-5) and probabilities == sorted(probabilities, reverse=True)
    assert record.relevance is not None and record.relevance.min() >= 0


def test_the_same_request_gives_the_same_record(backend: LocalBackend, sample: Sample, record: AttentionRecord) -> None:
    again = backend.run([Request("trio", sample)])[0]
    assert again.answers == record.answers
    assert all(np.array_equal(one.weights, other.weights) for one, other in zip(again.maps, record.maps, strict=True))
    assert again.id != record.id


def test_shuffled_weights_change_the_answers_and_leave_the_model_alone(
    backend: LocalBackend, sample: Sample, record: AttentionRecord
) -> None:
    shuffled = backend.run([Request("trio", sample, (Randomise(1),))])[0]
    assert shuffled.answers != record.answers and shuffled.made_by["trained"] is False
    other = backend.run([Request("trio", sample, (Randomise(2),))])[0]
    assert other.answers != shuffled.answers
    assert backend.run([Request("trio", sample)])[0].answers == record.answers


def test_uniform_attention_is_uniform(backend: LocalBackend, sample: Sample) -> None:
    uniform = backend.run([Request("trio", sample, (Uniform(),))])[0]
    for found in uniform.maps:
        assert np.allclose(found.weights, 1 / found.weights.shape[-1], atol=1e-7)


@pytest.mark.parametrize("modality", [Modality.IMAGE, Modality.TEXT, Modality.AUDIO])
def test_a_dropped_modality_is_one_absent_token(
    backend: LocalBackend, sample: Sample, record: AttentionRecord, modality: Modality
) -> None:
    without = backend.run([Request("trio", sample, (Drop(modality),))])[0]
    left = [token for token in without.streams["tokens"] if token.modality is modality]
    assert [(token.label, token.where) for token in left] == [("absent", None)]
    fewer = sum(token.modality is modality for token in record.streams["tokens"]) - 1
    assert without.maps[0].weights.shape[-1] == record.maps[0].weights.shape[-1] - fewer
    assert without.answers != record.answers


def test_the_answer_follows_what_is_asked(backend: LocalBackend, sample: Sample) -> None:
    labels = []
    for text in ("What was said?", "How many things are there?", "can you see a dog"):
        asked = make_sample(image=sample.image.pixels, text=text, audio=(sample.audio.wave, 16_000))
        labels.append(backend.run([Request("trio", asked)])[0].answers[0].label)
    assert len(set(labels)) > 1


def test_a_batch_reports_progress_and_stops_when_asked(backend: LocalBackend, sample: Sample) -> None:
    seen: list[tuple[int, int]] = []
    records = backend.run(
        [Request("trio", sample)] * 4, progress=lambda *at: seen.append(at), stop=lambda: len(seen) >= 2
    )
    assert len(records) == 2 and seen == [(1, 4), (2, 4)]


def test_models_are_listed_and_an_unknown_one_is_refused(backend: LocalBackend, sample: Sample) -> None:
    assert {card.id for card in backend.models()} >= {"trio", "toy"}
    with pytest.raises(MmvizError, match="no model called 'nonsense'"):
        backend.run([Request("nonsense", sample)])


def test_the_toy_answers_as_on_paper(backend: LocalBackend) -> None:
    record = backend.run([Request("toy", make_sample(text="left both"))])[0]
    # scores [[1, 1], [1, 2]] / sqrt 2: the first word splits evenly, the second prefers itself by e^(1 / sqrt 2)
    own = math.exp(1 / math.sqrt(2)) / (1 + math.exp(1 / math.sqrt(2)))
    assert np.allclose(record.maps[0].weights[0], [[0.5, 0.5], [1 - own, own]], atol=1e-6)
    assert looked(record, Way("mean", 0), 1, "to") == pytest.approx([0.5, own])
    assert record.answers[0].label == "left"
    with pytest.raises(InputError, match="reads words only"):
        backend.run([Request("toy", make_sample(image=np.zeros((8, 8, 3), np.uint8)))])


def test_long_inputs_are_cut_with_a_notice(backend: LocalBackend) -> None:
    rng = np.random.default_rng(0)
    long = make_sample(
        image=np.zeros((100, 200, 3), np.uint8),
        text="dog " * 40,
        audio=((rng.standard_normal(6 * 16_000) * 0.1).astype(np.float32), 16_000),
    )
    record = backend.run([Request("trio", long)])[0]
    assert {notice.code for notice in record.notices} == {"text-cut", "sound-cut", "picture-squeezed"}
    tokens = record.streams["tokens"]
    assert sum(token.modality is Modality.TEXT for token in tokens) == 24
    assert sum(token.modality is Modality.AUDIO for token in tokens) == 50
    assert all("{" not in str(notice) for notice in record.notices)


@pytest.mark.parametrize(
    ("width", "height", "x", "y"), [(301, 187, 250, 20), (64, 640, 10, 333), (1000, 999, 503, 777)]
)
def test_a_dot_in_the_picture_is_found_in_its_patch(width: int, height: int, x: int, y: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] = 255
    prepared = Bundled("cpu").prepare(make_sample(image=pixels, text="what is it"))
    light = prepared.tensors.image[0].mean(0).reshape(10, 16, 10, 16).mean((1, 3)).flatten()
    patches = [token.where for token in prepared.streams["tokens"] if isinstance(token.where, PixelBox)]
    box = patches[int(light.argmax())]
    across, down = width / 10, height / 10
    assert box.x0 - across <= x <= box.x1 + across and box.y0 - down <= y <= box.y1 + down
    assert abs((box.x0 + box.x1) / 2 - x) <= across and abs((box.y0 + box.y1) / 2 - y) <= down


@pytest.mark.parametrize("moment", [0.05, 0.81, 2.37])
def test_a_click_in_the_sound_is_found_in_its_frame(moment: float) -> None:
    wave = np.zeros(3 * 44_100, np.float32)
    wave[int(moment * 44_100)] = 1
    prepared = Bundled("cpu").prepare(make_sample(text="what was said", audio=(wave, 44_100)))
    loudness = prepared.tensors.mel[0].mean(0).reshape(50, 8).mean(1)
    frames = [token.where for token in prepared.streams["tokens"] if isinstance(token.where, Seconds)]
    found = frames[int(loudness.argmax())]
    assert abs((found.start + found.end) / 2 - moment) <= 0.08
