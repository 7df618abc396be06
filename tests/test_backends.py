"""What every backend promises, and what the local one adds: honest records, controls that change the answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from serving import served

from mmviz.analysis.map_weights import attention_row
from mmviz.backends import Backend
from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import RemoteBackend
from mmviz.backends.replay import ReplayBackend, recording
from mmviz.inputs import make_sample
from mmviz.models.bundled import BundledTrio
from mmviz.types import (
    AttentionRecord,
    Card,
    DropModality,
    InputError,
    MapRef,
    MmvizError,
    Modality,
    PixelBox,
    Request,
    Sample,
    Seconds,
    ShuffleWeights,
    UniformAttention,
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


def _replaying(requests: list[Request], local: LocalBackend, folder: Path) -> Backend:
    for number, record in enumerate(local.run(requests)):
        (folder / f"{number}.npz").write_bytes(recording(str(number), requests[number].sample, record))
    return ReplayBackend(folder)


@contextmanager
def _there(backend: LocalBackend) -> Iterator[Backend]:
    with served(backend) as url:
        yield RemoteBackend(url)


# Every backend keeps this contract: each is made so that it can answer the requests that it is given here.
BACKENDS: dict[str, Callable[[list[Request], LocalBackend, Path], Backend]] = {
    "local": lambda requests, local, folder: local,
    "replay": _replaying,
    "remote": lambda requests, local, folder: local,  # behind a real socket, see any_backend
}


@pytest.fixture(scope="module")
def requests(sample: Sample) -> list[Request]:
    """Three requests that no backend may mix up: they differ in their tokens."""
    without_sound = Request("trio", replace(sample, audio=None))
    return [Request("trio", sample, relevance=True), without_sound, Request("trio", Sample(text="what was said"))]


@pytest.fixture(scope="module", params=BACKENDS)
def any_backend(
    request: pytest.FixtureRequest, requests: list[Request], backend: LocalBackend,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Backend]:  # fmt: skip
    made = BACKENDS[request.param](requests, backend, tmp_path_factory.mktemp(request.param))
    with _there(backend) if request.param == "remote" else nullcontext(made) as asked:
        yield asked


def _check(found: AttentionRecord, expected: AttentionRecord) -> None:
    """That a record is the one asked for, whichever backend it came from."""
    assert found.streams == expected.streams and found.notices == expected.notices
    assert [answer.label for answer in found.answers[:3]] == [answer.label for answer in expected.answers[:3]]
    assert found.answers[0].probability == pytest.approx(expected.answers[0].probability, abs=1e-4)
    for one, other in zip(found.maps, expected.maps, strict=True):
        assert (one.name, one.layer, one.queries, one.keys) == (other.name, other.layer, other.queries, other.keys)
        assert one.weights.dtype == np.float32 and not one.weights.flags.writeable
        assert one.weights.min() >= 0 and np.abs(one.weights.sum(-1, dtype=np.float64) - 1).max() <= 1e-5
        assert np.abs(one.weights - other.weights).max() <= 1e-4
    said = ("model", "weights", "trained", "map_ref", "changes", "device", "dtype", "seed", "milliseconds", "parity")
    assert set(said) <= set(found.made_by)
    assert found.made_by["weights"] == expected.made_by["weights"]


def test_records_come_in_the_order_of_the_requests(
    any_backend: Backend, backend: LocalBackend, requests: list[Request]
) -> None:
    order = [2, 0, 1, 0]
    found = any_backend.run([requests[k] for k in order])
    assert isinstance(found, tuple) and len(found) == 4
    for record, k in zip(found, order, strict=True):
        _check(record, backend.run([requests[k]])[0])
    assert found[1].relevance is not None and found[1].relevance.shape == found[1].maps[0].weights.shape[1:]


def test_a_batch_reports_progress_and_stops_when_asked(any_backend: Backend, requests: list[Request]) -> None:
    seen: list[tuple[int, int]] = []
    batch = [*requests, requests[0]]
    assert len(any_backend.run(batch, progress=lambda *at: seen.append(at))) == 4
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    seen.clear()
    records = any_backend.run(batch, progress=lambda *at: seen.append(at), stop=lambda: len(seen) >= 2)
    assert len(records) == 2 and seen == [(1, 4), (2, 4)]
    assert any_backend.run(batch, stop=lambda: True) == () and any_backend.run([]) == ()


def test_models_are_listed_and_an_unknown_one_is_refused(any_backend: Backend, requests: list[Request]) -> None:
    cards = {card.id: card for card in any_backend.models()}
    assert isinstance(cards["trio"], Card) and cards["trio"].trained and "dog" in cards["trio"].answers
    assert cards["trio"].weights_digest == any_backend.run(requests[:1])[0].made_by["weights"]
    with pytest.raises(MmvizError, match="no model called 'nonsense'"):
        any_backend.run([replace(requests[0], model="nonsense")])
    assert len(any_backend.run(requests[:1])) == 1


def test_steps_come_from_where_the_model_runs_and_a_recording_says_that_it_has_none(
    any_backend: Backend, backend: LocalBackend, requests: list[Request]
) -> None:
    asked = replace(requests[1], steps=True)
    if isinstance(any_backend, ReplayBackend):
        with pytest.raises(MmvizError) as refusal:
            any_backend.run([asked])
        assert refusal.value.code == "replay-not-recorded"
        return
    (found,), (expected,) = any_backend.run([asked]), backend.run([asked])
    assert len(found.steps) == len(found.maps) == 6
    for one, other in zip(found.steps, expected.steps, strict=True):
        assert one.scale == other.scale and one.off == other.off
        for (name, part), (_, same) in zip(one.arrays(), other.arrays(), strict=True):
            assert np.abs(part - same).max() < 1e-5, name
            assert not part.flags.writeable
    assert any_backend.run([requests[1]])[0].steps == ()


def test_many_threads_do_not_mix(any_backend: Backend, backend: LocalBackend, requests: list[Request]) -> None:
    expected = [backend.run([request])[0] for request in requests]
    order = [k % len(requests) for k in range(24)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda k: any_backend.run([requests[k]])[0], order))
    for record, k in zip(found, order, strict=True):
        _check(record, expected[k])


def test_many_threads_may_be_the_first(requests: list[Request], backend: LocalBackend, tmp_path: Path) -> None:
    replaying = _replaying(requests, backend, tmp_path)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda k: replaying.run([requests[k % 3]])[0], range(8)))
    assert [len(record.streams["tokens"]) for record in found[3:6]] == [len(r.streams["tokens"]) for r in found[:3]]


def test_the_record_names_every_token_where_it_lies(record: AttentionRecord) -> None:
    tokens = record.streams["tokens"]
    of = {modality: [token for token in tokens if token.modality is modality] for modality in Modality}
    assert [token.label for token in of[Modality.TEXT]] == ["is", "there", "a", "dog", "in", "the", "picture", "?"]
    dog = of[Modality.TEXT][3].location
    assert "Is there a dog in the picture?"[dog.start : dog.end] == "dog"
    boxes = [token.location for token in of[Modality.IMAGE]]
    assert (boxes[0].x0, boxes[0].y0, boxes[-1].x1, boxes[-1].y1) == (0, 0, 130, 90)
    assert boxes[1].x0 == pytest.approx(13) and boxes[10].y0 == pytest.approx(9)
    assert of[Modality.AUDIO][0].location.start == 0 and of[Modality.AUDIO][-1].location.end == pytest.approx(1.25)
    assert of[Modality.SPECIAL] == [tokens[0]]


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
    shuffled = backend.run([Request("trio", sample, (ShuffleWeights(1),))])[0]
    assert shuffled.answers != record.answers and shuffled.made_by["trained"] is False
    other = backend.run([Request("trio", sample, (ShuffleWeights(2),))])[0]
    assert other.answers != shuffled.answers
    assert backend.run([Request("trio", sample)])[0].answers == record.answers


def test_uniform_attention_is_uniform(backend: LocalBackend, sample: Sample) -> None:
    uniform = backend.run([Request("trio", sample, (UniformAttention(),))])[0]
    for found in uniform.maps:
        assert np.allclose(found.weights, 1 / found.weights.shape[-1], atol=1e-7)


@pytest.mark.parametrize("modality", [Modality.IMAGE, Modality.TEXT, Modality.AUDIO])
def test_a_dropped_modality_is_one_absent_token(
    backend: LocalBackend, sample: Sample, record: AttentionRecord, modality: Modality
) -> None:
    without = backend.run([Request("trio", sample, (DropModality(modality),))])[0]
    left = [token for token in without.streams["tokens"] if token.modality is modality]
    assert [(token.label, token.location) for token in left] == [("absent", None)]
    fewer = sum(token.modality is modality for token in record.streams["tokens"]) - 1
    assert without.maps[0].weights.shape[-1] == record.maps[0].weights.shape[-1] - fewer
    assert without.answers != record.answers


def test_the_answer_follows_what_is_asked(backend: LocalBackend, sample: Sample) -> None:
    labels = []
    for text in ("What was said?", "How many things are there?", "can you see a dog"):
        asked = make_sample(image=sample.image.pixels, text=text, audio=(sample.audio.wave, 16_000))
        labels.append(backend.run([Request("trio", asked)])[0].answers[0].label)
    assert len(set(labels)) > 1


def test_every_model_of_the_catalogue_can_be_run_locally(backend: LocalBackend) -> None:
    assert {card.id for card in backend.models()} >= {"trio", "toy"}


def test_the_toy_answers_as_on_paper(backend: LocalBackend) -> None:
    record = backend.run([Request("toy", make_sample(text="left both"))])[0]
    # scores [[1, 1], [1, 2]] / sqrt 2: the first word splits evenly, the second prefers itself by e^(1 / sqrt 2)
    own = math.exp(1 / math.sqrt(2)) / (1 + math.exp(1 / math.sqrt(2)))
    assert np.allclose(record.maps[0].weights[0], [[0.5, 0.5], [1 - own, own]], atol=1e-6)
    assert attention_row(record, MapRef("attention", 0), 1, "to") == pytest.approx([0.5, own])
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
    assert {notice.code for notice in record.notices} >= {"text-cut", "sound-cut", "picture-squeezed"}
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
    prepared = BundledTrio("cpu").prepare(make_sample(image=pixels, text="what is it"))
    light = prepared.tensors.image[0].mean(0).reshape(10, 16, 10, 16).mean((1, 3)).flatten()
    patches = [token.location for token in prepared.streams["tokens"] if isinstance(token.location, PixelBox)]
    box = patches[int(light.argmax())]
    across, down = width / 10, height / 10
    assert box.x0 - across <= x <= box.x1 + across and box.y0 - down <= y <= box.y1 + down
    assert abs((box.x0 + box.x1) / 2 - x) <= across and abs((box.y0 + box.y1) / 2 - y) <= down


@pytest.mark.parametrize("moment", [0.05, 0.81, 2.37])
def test_a_click_in_the_sound_is_found_in_its_frame(moment: float) -> None:
    wave = np.zeros(3 * 44_100, np.float32)
    wave[int(moment * 44_100)] = 1
    prepared = BundledTrio("cpu").prepare(make_sample(text="what was said", audio=(wave, 44_100)))
    loudness = prepared.tensors.mel[0].mean(0).reshape(50, 8).mean(1)
    frames = [token.location for token in prepared.streams["tokens"] if isinstance(token.location, Seconds)]
    found = frames[int(loudness.argmax())]
    assert abs((found.start + found.end) / 2 - moment) <= 0.08
