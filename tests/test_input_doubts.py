"""What is out of the world of `trio`: evidence of words, detectors, whole unknown words, and the notices of a run."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mmviz.backends.local import LocalBackend
from mmviz.models import input_doubts
from mmviz.models.encoders.frozen_encoders import load_encoders
from mmviz.models.input_doubts import InputDoubts
from mmviz.models.out_of_distribution import Detector, FeatureSpace, Network, packed, unpacked
from mmviz.models.trio_inputs import whole_words
from mmviz.models.trio_network import Trio
from mmviz.models.word_recognition_statistics import EvidenceReader
from mmviz.training.fit.class_shifted_features import moved_to_classes
from mmviz.training.fit.data import ExampleEncoder
from mmviz.training.fit.out_of_distribution import FLAGGED, fit_network, picture_space, sound_space
from mmviz.training.fit.train_trio import new_trio
from mmviz.training.fit.unknown_inputs import picture_features, sound_features
from mmviz.training.world.ood_detector_images import OTHER_GROUNDS, other_ground
from mmviz.training.world.sprites import concepts
from mmviz.training.world.tokenizer import build_tokenizer
from mmviz.training.world.unknown_words import FIT_WORDS, MEASURED_WORDS


@pytest.fixture(scope="module")
def trio() -> Trio:
    torch.manual_seed(4)
    return new_trio(load_encoders()).eval()


@pytest.fixture(scope="module")
def reader(trio: Trio) -> EvidenceReader:
    assert trio.encoders is not None
    rows = ExampleEncoder(build_tokenizer(concepts()), concepts()).rows
    return EvidenceReader(trio, torch.tensor(rows), trio.encoders)


def by_hand(outer_bias: float) -> Detector:
    """A detector of two statistics, whose score grows with the first of them."""
    space = FeatureSpace(np.zeros(1, np.float32), np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32))
    inner = np.eye(2, 4, dtype=np.float32)
    zeros, ones = np.zeros(4, np.float32), np.ones(4, np.float32)
    network = Network(zeros, ones, inner, zeros[:2], inner[0, :2] - inner[1, :2], outer_bias)
    return Detector(space, (network,))


def test_the_score_by_hand() -> None:
    feature = np.ones(1, np.float32)
    assert by_hand(0.5).score(np.array([2, 1], np.float32), feature) == 1.5
    assert by_hand(0.5).score(np.array([100, -3], np.float32), feature) == 6.5, "clipped at six standard deviations"
    both = Detector(by_hand(0).space, (*by_hand(-9).networks, *by_hand(0.5).networks))
    assert both.score(np.array([2, 1], np.float32), feature) == 1.5, "the higher of two"


def test_distances_are_those_from_the_nearest_centre() -> None:
    space = FeatureSpace(np.zeros(2, np.float32), np.eye(2, dtype=np.float32), np.array([[0, 4], [6, 0]], np.float32))
    nearest, mean = np.exp(space.distances(np.array([0, 2], np.float32)))
    assert nearest == pytest.approx(2, rel=1e-2) and mean == pytest.approx(2, rel=1e-2)
    assert np.exp(space.distances(np.array([6, 0], np.float32)))[0] < 0.01


def test_what_is_written_is_read_in_half_precision() -> None:
    fitted = by_hand(0.25)
    read = unpacked(json.loads(json.dumps(packed(fitted))))
    assert np.array_equal(read.networks[0].inner, fitted.networks[0].inner) and np.array_equal(
        read.space.centres, fitted.space.centres
    )
    assert read.networks[0].outer_bias == 0.25


def rows(rng: np.random.Generator, at: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.normal(at, 1, (count, 6)).astype(np.float32), rng.normal(at, 1, (count, 40)).astype(np.float32)


def test_a_fit_flags_the_chosen_share_of_the_held_out_world(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(2)
    inside, held_out, outside = (rows(rng, at, 400) for at in (0, 0, 3))
    space = picture_space(inside[1])
    fitted = Detector(space, (fit_network("pictures", space, [inside], [outside], [(held_out, FLAGGED["sounds"])]),))
    flagged = [np.mean([fitted.score(*row) > 0 for row in zip(*group, strict=True)]) for group in (held_out, outside)]
    assert flagged[0] == pytest.approx(FLAGGED["sounds"], abs=0.005) and flagged[1] > 0.95
    assert "400 of the world" in capsys.readouterr().out


def test_sounds_of_one_word_lie_together() -> None:
    rng = np.random.default_rng(5)
    words = np.repeat(np.arange(30), 20)
    centres = rng.normal(0, 1, (30, 40))
    space = sound_space((centres[words] + rng.normal(0, 0.3, (600, 40))).astype(np.float32), words)
    known = space.distances((centres[7] + rng.normal(0, 0.3, 40)).astype(np.float32))[0]
    other = space.distances(rng.normal(0, 1, 40).astype(np.float32))[0]
    assert known < other


@pytest.mark.slow
def test_evidence_of_a_word_grows_with_what_the_classifier_says(reader: EvidenceReader, trio: Trio) -> None:
    assert trio.encoders is not None
    rng = np.random.default_rng(6)
    grounds = [other_ground(rng, 200, name) for name in OTHER_GROUNDS]
    pictures = picture_features(trio.encoders, grounds)["features"]
    plain = torch.stack([reader.picture(features).statistics for features in pictures])
    word, other = (
        torch.stack(
            [
                reader.picture(features).statistics
                for features in moved_to_classes(trio.encoders, pictures, 12, known, 1)
            ]
        )
        for known in (True, False)
    )
    assert word[:, 0].mean() > plain[:, 0].mean() + 0.1, "the clearest patch"
    assert other[:, 0].mean() < word[:, 0].mean()
    assert torch.isfinite(plain).all() and word.shape[1] == plain.shape[1]


def test_short_and_silent_sounds_have_evidence_too(reader: EvidenceReader, trio: Trio) -> None:
    assert trio.encoders is not None
    waves = [np.zeros(400, np.float32), np.random.default_rng(1).normal(0, 0.1, 70_000).astype(np.float32)]
    chunk = sound_features(trio.encoders, waves)
    assert chunk["frames"].tolist() == [1, 50]
    for features, frames in zip(chunk["features"], chunk["frames"].tolist(), strict=True):
        evidence = reader.sound(features, frames)
        assert torch.isfinite(evidence.statistics).all() and evidence.features.shape == (384,)


def test_notices_come_once_and_only_for_the_weights_of_the_fit(trio: Trio, monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = build_tokenizer(concepts()).get_vocab()
    calls: list[str] = []
    monkeypatch.setattr(input_doubts, "stored", lambda: {"weights": "these"})
    monkeypatch.setattr(input_doubts, "detector", lambda kind: kind)

    def scored(kind: str, evidence: object) -> float:
        calls.append(kind)
        return (kind == "audio") - 0.5

    monkeypatch.setattr(input_doubts, "score", scored)
    image, mel = torch.zeros(3, 384, 384), torch.zeros(80, 400)
    doubts = InputDoubts(trio, vocabulary, "these")
    assert [notice.code for notice in doubts.notices(image, mel, 20)] == ["audio-out-of-distribution"]
    assert doubts.notices(image, mel, 20) and calls == ["image", "audio"], "what was seen is not encoded again"
    LocalBackend("cpu").forget_inputs([])
    assert doubts.notices(image, mel, 20) and calls == ["image", "audio"] * 2, "nor is anything of it left"
    assert doubts.notices(None, None, 0) == ()
    assert InputDoubts(trio, vocabulary, "others").notices(image, mel, 20) == ()


@pytest.mark.parametrize(("text", "labels"), [
    ("is there a Helicopterz here", ["is", "there", "a", "Helicopterz", "here"]),
    ("a cat and a [MASK].", ["a", "cat", "and", "a", "[MASK]", "."]),
    ("猫 zzz", ["猫", "zzz"]),
    ("cat", ["cat"]),
])  # fmt: skip
def test_an_unknown_word_is_one_token(text: str, labels: list[str]) -> None:
    tokenizer = build_tokenizer(concepts())
    vocabulary = tokenizer.get_vocab()
    unknown = vocabulary["[UNK]"]
    words = whole_words(tokenizer.encode(text), text, unknown)
    assert [label for _, label, _ in words] == labels
    assert [text[slice(*span)].casefold() for *_, span in words] == [label.casefold() for label in labels]
    assert [number for number, *_ in words] == [vocabulary.get(label, unknown) for label in labels]


def test_unknown_words_are_unknown_and_measured_ones_are_new() -> None:
    assert not set(FIT_WORDS) & set(concepts()) and not set(MEASURED_WORDS) & {*concepts(), *FIT_WORDS}
    assert len(set(FIT_WORDS)) > 250 and len(set(MEASURED_WORDS)) > 90
