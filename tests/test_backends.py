"""What every backend returns, and what the local one adds: provenance, controls, and recovery from lack of memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from serving import running_service

from mmviz.analysis.map_weights import attention_row
from mmviz.backends import Backend
from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import RemoteBackend
from mmviz.backends.replay import ReplayBackend, recording_bytes
from mmviz.inputs import make_sample
from mmviz.models.encoders.picture_encoder import PATCHES, STRIDE
from mmviz.models.toy import Toy
from mmviz.models.trio_model import BundledTrio
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

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def record(backend: LocalBackend, sample: Sample) -> AttentionRecord:
    return backend.run([Request("trio", sample, relevance=True)])[0]


@contextmanager
def _remote_backend(backend: LocalBackend) -> Iterator[Backend]:
    with running_service(backend) as url:
        yield RemoteBackend(url)


@pytest.fixture(scope="module")
def requests(sample: Sample) -> list[Request]:
    """Three requests that differ in their tokens."""
    without_audio = Request("trio", replace(sample, audio=None))
    return [Request("trio", sample, relevance=True), without_audio, Request("trio", Sample(text="what was said"))]


@pytest.fixture(scope="module")
def expected(backend: LocalBackend, requests: list[Request]) -> list[AttentionRecord]:
    """The record of each of the requests, run by itself."""
    return [backend.run([request])[0] for request in requests]


@pytest.fixture(scope="module")
def recordings(
    requests: list[Request], expected: list[AttentionRecord], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with the recorded records."""
    folder = tmp_path_factory.mktemp("recordings")
    for number, (request, record) in enumerate(zip(requests, expected, strict=True)):
        (folder / f"{number}.npz").write_bytes(recording_bytes(str(number), request.sample, record))
    return folder


@pytest.fixture(scope="module", params=["local", "replay", "remote"])
def any_backend(request: pytest.FixtureRequest, recordings: Path, backend: LocalBackend) -> Iterator[Backend]:
    """Each backend; that of the recordings answers the requests that it is given here."""
    with _remote_backend(backend) if request.param == "remote" else nullcontext(backend) as served:
        yield ReplayBackend(recordings) if request.param == "replay" else served


def _check(record: AttentionRecord, expected: AttentionRecord) -> None:
    """Checks that a record equals the expected one, whichever backend it came from."""
    assert record.streams == expected.streams and record.notices == expected.notices
    assert [answer.label for answer in record.answers[:3]] == [answer.label for answer in expected.answers[:3]]
    assert record.answers[0].probability == pytest.approx(expected.answers[0].probability, abs=1e-4)
    for attn_map, other in zip(record.maps, expected.maps, strict=True):
        names = ("name", "layer", "queries", "keys")
        assert [getattr(attn_map, name) for name in names] == [getattr(other, name) for name in names]
        weights = attn_map.weights
        assert weights.dtype == np.float32 and not weights.flags.writeable
        assert weights.min() >= 0 and np.abs(weights.sum(-1, dtype=np.float64) - 1).max() <= 1e-5
        assert np.abs(weights - other.weights).max() <= 1e-4
    keys = ("model", "weights", "trained", "map_ref", "changes", "device", "dtype", "seed", "milliseconds", "parity")
    assert set(keys) <= set(record.made_by)
    assert record.made_by["weights"] == expected.made_by["weights"]


def test_records_come_in_the_order_of_the_requests(
    any_backend: Backend, expected: list[AttentionRecord], requests: list[Request]
) -> None:
    order = [2, 0, 1, 0]
    records = any_backend.run([requests[k] for k in order])
    assert isinstance(records, tuple) and len(records) == 4
    for record, k in zip(records, order, strict=True):
        _check(record, expected[k])
    assert records[1].relevance is not None and records[1].relevance.shape == records[1].maps[0].weights.shape[1:]


def test_a_batch_reports_progress_and_stops_on_request(any_backend: Backend, requests: list[Request]) -> None:
    reports: list[tuple[int, int]] = []
    batch = [*requests[1:], *requests[1:]]
    assert len(any_backend.run(batch, progress=lambda *report: reports.append(report))) == 4
    assert reports == [(1, 4), (2, 4), (3, 4), (4, 4)]
    reports.clear()
    records = any_backend.run(batch, progress=lambda *report: reports.append(report), stop=lambda: len(reports) >= 2)
    assert len(records) == 2 and reports == [(1, 4), (2, 4)]
    assert any_backend.run(batch, stop=lambda: True) == () and any_backend.run([]) == ()


def test_models_are_listed_and_an_unknown_one_is_refused(any_backend: Backend, requests: list[Request]) -> None:
    cards = {card.id: card for card in any_backend.models()}
    assert isinstance(cards["trio"], Card) and cards["trio"].trained and "dog" in cards["trio"].answers
    assert cards["trio"].weights_digest == any_backend.run(requests[2:])[0].made_by["weights"]
    with pytest.raises(MmvizError) as error:
        any_backend.run([replace(requests[0], model="nonsense")])
    assert error.value.code == "model-unknown" and error.value.parameters["model"] == "nonsense"
    assert len(any_backend.run(requests[2:])) == 1


def test_attention_steps_come_from_a_model_and_not_from_a_recording(
    any_backend: Backend, backend: LocalBackend, requests: list[Request]
) -> None:
    request = replace(requests[2], steps=True)
    if isinstance(any_backend, ReplayBackend):
        with pytest.raises(MmvizError) as error:
            any_backend.run([request])
        assert error.value.code == "replay-not-recorded"
        return
    (record,), (expected,) = any_backend.run([request]), backend.run([request])
    assert len(record.steps) == len(record.maps) == 6
    for steps, other in zip(record.steps, expected.steps, strict=True):
        assert steps.scale == other.scale and steps.ablated_heads == other.ablated_heads
        for (name, array), (_, other_array) in zip(steps.arrays(), other.arrays(), strict=True):
            assert np.abs(array - other_array).max() < 1e-5, name
            assert not array.flags.writeable
    assert any_backend.run([requests[2]])[0].steps == ()


def test_threads_get_their_own_records(
    any_backend: Backend, expected: list[AttentionRecord], requests: list[Request]
) -> None:
    order = [0, 1, 2, 1, 2, 1, 2, 0, 1, 2]
    with ThreadPoolExecutor(8) as pool:
        records = list(pool.map(lambda k: any_backend.run([requests[k]])[0], order))
    for record, k in zip(records, order, strict=True):
        _check(record, expected[k])


def test_the_recordings_may_be_read_by_several_threads_at_once(requests: list[Request], recordings: Path) -> None:
    replay = ReplayBackend(recordings)
    with ThreadPoolExecutor(8) as pool:
        records = list(pool.map(lambda k: replay.run([requests[k % 3]])[0], range(8)))
    counts = [len(record.streams["tokens"]) for record in records]
    assert counts[3:6] == counts[:3]


def test_every_token_has_its_location_in_the_input(record: AttentionRecord) -> None:
    tokens = record.streams["tokens"]
    by_modality = {modality: [token for token in tokens if token.modality is modality] for modality in Modality}
    assert [token.label for token in by_modality[Modality.TEXT]] == [
        "is",
        "there",
        "a",
        "dog",
        "in",
        "the",
        "picture",
        "?",
    ]
    dog = by_modality[Modality.TEXT][3].location
    assert "Is there a dog in the picture?"[dog.start : dog.end] == "dog"
    boxes = [token.location for token in by_modality[Modality.IMAGE]]
    assert (boxes[0].x0, boxes[0].y0, boxes[-1].x1, boxes[-1].y1) == (0, 0, 130, 90)
    assert boxes[1].x0 == pytest.approx(130 / PATCHES) and boxes[PATCHES].y0 == pytest.approx(90 / PATCHES)
    assert by_modality[Modality.AUDIO][0].location.start == 0 and by_modality[Modality.AUDIO][
        -1
    ].location.end == pytest.approx(1.25)
    assert by_modality[Modality.SPECIAL] == [tokens[0]]


def test_the_record_holds_its_provenance(record: AttentionRecord) -> None:
    made_by = record.made_by
    assert made_by["device"] == "cpu" and made_by["dtype"] == "float32" and made_by["parity"] < 1e-4
    assert len(made_by["weights"]) == 64 and set(made_by["milliseconds"]) == {"prepare", "model", "capture"}
    assert [attn_map.name for attn_map in record.maps] == [f"blocks.{k}.attention" for k in range(6)]
    probabilities = [answer.probability for answer in record.answers]
    assert math.isclose(sum(probabilities), 1, abs_tol=1e-5) and probabilities == sorted(probabilities, reverse=True)
    assert record.relevance is not None and record.relevance.min() >= 0


def test_the_same_request_gives_the_same_record(backend: LocalBackend, sample: Sample, record: AttentionRecord) -> None:
    again = backend.run([Request("trio", sample)])[0]
    assert again.answers == record.answers
    maps = zip(again.maps, record.maps, strict=True)
    assert all(np.array_equal(attn_map.weights, other.weights) for attn_map, other in maps)
    assert again.id != record.id


def test_shuffled_weights_change_the_answers_and_leave_the_model_alone(
    backend: LocalBackend, sample: Sample, record: AttentionRecord
) -> None:
    shuffled = backend.run([Request("trio", sample, (ShuffleWeights(1),))])[0]
    assert shuffled.answers != record.answers and shuffled.made_by["trained"] is False
    other = backend.run([Request("trio", sample, (ShuffleWeights(2),))])[0]
    assert other.answers != shuffled.answers
    assert backend.run([Request("trio", sample)])[0].answers == record.answers


def test_uniform_attention_gives_every_key_the_same_weight(backend: LocalBackend, sample: Sample) -> None:
    uniform = backend.run([Request("trio", sample, (UniformAttention(),))])[0]
    for attn_map in uniform.maps:
        assert np.allclose(attn_map.weights, 1 / attn_map.weights.shape[-1], atol=1e-7)


@pytest.mark.parametrize("modality", [Modality.IMAGE, Modality.TEXT, Modality.AUDIO])
def test_a_dropped_modality_is_one_absent_token(
    backend: LocalBackend, sample: Sample, record: AttentionRecord, modality: Modality
) -> None:
    without = backend.run([Request("trio", sample, (DropModality(modality),))])[0]
    tokens = [token for token in without.streams["tokens"] if token.modality is modality]
    assert [(token.label, token.location) for token in tokens] == [("absent", None)]
    fewer = sum(token.modality is modality for token in record.streams["tokens"]) - 1
    assert without.maps[0].weights.shape[-1] == record.maps[0].weights.shape[-1] - fewer
    assert without.answers != record.answers


def test_the_answer_depends_on_the_question(backend: LocalBackend, sample: Sample) -> None:
    labels = []
    for text in ("What was said?", "How many things are there?", "can you see a dog"):
        question = make_sample(image=sample.image.pixels, text=text, audio=(sample.audio.wave, 16_000))
        labels.append(backend.run([Request("trio", question)])[0].answers[0].label)
    assert len(set(labels)) > 1


def test_the_catalogue_can_be_run_on_this_machine(backend: LocalBackend) -> None:
    assert {card.id for card in backend.models()} >= {"trio", "toy"}


def test_the_toy_model_computes_the_example_of_the_lesson(backend: LocalBackend) -> None:
    record = backend.run([Request("toy", make_sample(text="left both"))])[0]
    # scores [[1, 1], [1, 2]] / sqrt 2: equal weights for the first word; the second attends to itself by e^(1 / sqrt 2)
    own = math.exp(1 / math.sqrt(2)) / (1 + math.exp(1 / math.sqrt(2)))
    assert np.allclose(record.maps[0].weights[0], [[0.5, 0.5], [1 - own, own]], atol=1e-6)
    assert attention_row(record, MapRef("attention", 0), 1, "to") == pytest.approx([0.5, own])
    assert record.answers[0].label == "left"
    with pytest.raises(InputError, match="reads text only"):
        backend.run([Request("toy", make_sample(image=np.zeros((8, 8, 3), np.uint8)))])


def test_long_inputs_are_cut_with_a_notice(backend: LocalBackend) -> None:
    rng = np.random.default_rng(0)
    long = make_sample(
        image=np.zeros((100, 200, 3), np.uint8),
        text="dog " * 40,
        audio=((rng.standard_normal(6 * 16_000) * 0.1).astype(np.float32), 16_000),
    )
    record = backend.run([Request("trio", long)])[0]
    assert {notice.code for notice in record.notices} >= {"text-cut", "audio-cut", "image-squeezed"}
    tokens = record.streams["tokens"]
    assert sum(token.modality is Modality.TEXT for token in tokens) == 24
    assert sum(token.modality is Modality.AUDIO for token in tokens) == 50
    assert all("{" not in str(notice) for notice in record.notices)


@pytest.mark.parametrize(
    ("width", "height", "x", "y"), [(301, 187, 250, 20), (64, 640, 10, 333), (1000, 999, 503, 777)]
)
def test_a_dot_in_the_image_is_in_the_patch_at_its_location(width: int, height: int, x: int, y: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] = 255
    prepared = BundledTrio("cpu").prepare(make_sample(image=pixels, text="what is it"))
    pixels_by_patch = prepared.tensors.image[0].mean(0).reshape(PATCHES, STRIDE, PATCHES, STRIDE)
    brightness = pixels_by_patch.mean((1, 3)).flatten()
    patches = [token.location for token in prepared.streams["tokens"] if isinstance(token.location, PixelBox)]
    box = patches[int(brightness.argmax())]
    patch_width, patch_height = width / PATCHES, height / PATCHES
    assert box.x0 - patch_width <= x <= box.x1 + patch_width and box.y0 - patch_height <= y <= box.y1 + patch_height
    assert abs((box.x0 + box.x1) / 2 - x) <= patch_width and abs((box.y0 + box.y1) / 2 - y) <= patch_height


@pytest.mark.parametrize("time", [0.05, 0.81, 2.37])
def test_a_click_in_the_audio_is_in_the_frame_at_its_location(time: float) -> None:
    wave = np.zeros(3 * 44_100, np.float32)
    wave[int(time * 44_100)] = 1
    prepared = BundledTrio("cpu").prepare(make_sample(text="what was said", audio=(wave, 44_100)))
    loudness = prepared.tensors.mel[0].mean(0).reshape(50, 8).mean(1)
    frames = [token.location for token in prepared.streams["tokens"] if isinstance(token.location, Seconds)]
    frame = frames[int(loudness.argmax())]
    assert abs((frame.start + frame.end) / 2 - time) <= 0.08


def test_a_run_that_exceeds_the_memory_of_the_gpu_is_made_smaller_then_on_the_cpu() -> None:
    failures = [0]

    class ScarceToy(Toy):
        def __call__(self, tensors: object) -> torch.Tensor:
            if failures[0]:
                failures[0] -= 1
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().__call__(tensors)

    request = Request("toy", Sample(text="left both"), relevance=True)
    backend = LocalBackend("cpu", {"toy": ScarceToy("cpu")})
    codes = []
    for failures[0] in (0, 1, 2, 0):
        record = backend.run([request])[0]
        assert record.answers[0].label == "left"
        codes.append([notice.code for notice in record.notices])
    assert codes == [[], ["memory-smaller"], ["memory-cpu"], []]
    custom = LocalBackend("cpu", {"own:make": ScarceToy("cpu")})
    failures[0] = 2
    with pytest.raises(MmvizError) as error:
        custom.run([replace(request, model="own:make")])
    assert error.value.code == "memory-own"
    assert custom.run([replace(request, model="own:make")])[0].answers[0].label == "left"
