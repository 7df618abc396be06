"""The gallery: what is declared of its examples, the checks of claims on paper, the build, and what it wrote."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from made_up_tokens import PIXELS, WAVE, Voices
from PIL import Image

from mmviz.app.pages.learn.course import COURSE
from mmviz.assets_path import assets_dir
from mmviz.backends.local import LocalBackend
from mmviz.i18n.gallery import ABOUT, TITLES
from mmviz.inputs import make_sample
from mmviz.inputs.examples import load_gallery
from mmviz.models.cards import COMPARED
from mmviz.models.question_templates import FAMILIES, known_words, read
from mmviz.training.release import gallery_scenes
from mmviz.training.release.build_gallery import Refusal, build, choose
from mmviz.training.release.gallery_checks import (
    Answers,
    Claim,
    Fails,
    Idle,
    Lacks,
    MeasuredExample,
    Needs,
    OnlyKindFails,
    check,
)
from mmviz.training.release.gallery_items import GALLERY, Drawing, GalleryItem, Photograph, Speech, Voice
from mmviz.training.release.gallery_lesson_checks import LESSONS, lesson_claims
from mmviz.training.release.gallery_scenes import expected_answer
from mmviz.training.world.examples import World
from mmviz.training.world.scenes import Thing
from mmviz.training.world.sprites import load_sprites
from mmviz.types import Answer, AttentionRecord, DropModality, Modality, Request, Sample

FOLDER = assets_dir() / "gallery"
IMAGE, TEXT, AUDIO = Modality.IMAGE, Modality.TEXT, Modality.AUDIO
WHOLE = make_sample(image=PIXELS, text="What is in the picture?", audio=(WAVE, 16_000))
CAT, DOG = Thing("cat", (0.0, 0.0, 0.4, 0.4)), Thing("dog", (0.5, 0.5, 0.9, 0.9))


class PaperBackend:
    """A backend whose answer loses known amounts of log-probability, in nats, with each modality that is removed."""

    def __init__(
        self, answer: str = "cat", worth: Mapping[Modality, float] | None = None, probability: float = 0.98,
        kinds: Mapping[str, str] | None = None, answer_of: Callable[[Sample], str] | None = None,
    ):  # fmt: skip
        self.worth, self.probability, self.kinds = (
            worth or {IMAGE: 3.0, TEXT: 1.0, AUDIO: 0.1},
            probability,
            kinds or {},
        )
        self.answer_of = answer_of or (lambda _: answer)
        self.samples: list[Sample] = []
        """Those that the bundled model was run on, but for sweeps."""

    def run(self, requests: Sequence[Request], progress: Any = None, stop: Any = None) -> tuple[AttentionRecord, ...]:
        return tuple(map(self._run, requests))

    def _run(self, request: Request) -> AttentionRecord:
        p, sweep = self.probability, None
        label = self.kinds.get(request.model) or self.answer_of(request.sample)
        if request.sweep:
            lost = [sum(self.worth[c.modality] for c in cs if isinstance(c, DropModality)) for cs in request.sweep]
            first = np.log(p) - np.array(lost)
            sweep = np.stack([first, np.log1p(-np.exp(first))], -1)
        elif request.model == "trio":
            self.samples.append(request.sample)
        return AttentionRecord("paper", {}, (), (Answer(label, p), Answer("other", 1 - p)), {}, sweep=sweep)


def holds(claim: Claim, backend: PaperBackend, truth: str = "cat", sample: Sample = WHOLE) -> bool:
    local: Any = backend
    return claim.verdict(MeasuredExample(local, sample, truth, (CAT, DOG))).holds


# claims, on paper


def test_an_answer_is_right_or_that_of_another_thing() -> None:
    assert holds(Answers(), PaperBackend("cat")) and not holds(Answers(), PaperBackend("dog"))
    assert holds(Fails(), PaperBackend("dog")) and not holds(Fails(), PaperBackend("cat"))
    assert not holds(Fails(), PaperBackend("trumpet")), "wrong, but no thing of the picture"


@pytest.mark.parametrize(
    ("worth", "probability", "idle", "needed"),
    [
        ((3.0, 1.0, 0.1), 0.98, True, False),
        ((2.5, 1.0, 0.6), 0.98, True, False),  # 0.146 of the effect
        ((2.3, 1.0, 0.6), 0.98, False, True),  # 0.154, and 0.55 of the probability is left
        ((1.0, 1.0, 0.38), 0.98, False, False),  # 0.160, but 0.68 of the probability is left
        ((3.0, 1.0, 0.4), 0.70, False, False),  # a small share, but 0.70 becomes 0.47, and another answer is given
        ((0.02, 1.0, 0.1), 0.98, False, False),  # a small share, but not the smallest
    ],
)
def test_a_modality_is_idle_or_needed_by_its_exact_share_and_by_the_answer_without_it(
    worth: tuple[float, float, float], probability: float, idle: bool, needed: bool
) -> None:
    """The worths are added up, so that each is its modality's Shapley value."""
    backend = PaperBackend(worth=dict(zip((IMAGE, TEXT, AUDIO), worth, strict=True)), probability=probability)
    assert holds(Idle(AUDIO), backend) == idle
    assert holds(Needs(AUDIO), backend) == needed


def test_a_missing_modality_is_neither_idle_nor_there() -> None:
    silent = make_sample(image=PIXELS, text="What is in the picture?")
    assert holds(Lacks(AUDIO), PaperBackend(), sample=silent) and not holds(Lacks(IMAGE), PaperBackend(), sample=silent)
    assert not holds(Idle(AUDIO), PaperBackend(), sample=silent)


def test_one_kind_of_fusion_fails_and_the_three_others_do_not() -> None:
    def right_but(*wrong: str) -> PaperBackend:
        return PaperBackend(kinds={kind: "dog" if kind in wrong else "cat" for kind in COMPARED})

    assert len(COMPARED) == 4 and holds(OnlyKindFails("late"), right_but("late"))
    assert not any(
        holds(OnlyKindFails("late"), right_but(*wrong)) for wrong in ((), ("crossmodal",), ("late", "crossmodal"))
    )


def test_checking_stops_at_the_first_claim_that_does_not_hold() -> None:
    local: Any = PaperBackend("dog")
    example = MeasuredExample(local, WHOLE, "cat", (CAT, DOG))
    (verdict,) = check(example, (Answers(), Needs(IMAGE)))
    assert verdict.figure == "the answer is dog with 0.98; expected cat"
    assert [v.holds for v in check(example, (Fails(), Needs(IMAGE), Idle(AUDIO)))] == [True, True, True]


# the truth of a question


def test_the_expected_answer_is_that_of_the_training_world() -> None:
    bank: Any = Voices()
    world, rng, checked = World(("noto",), bank), np.random.default_rng(0), dict.fromkeys(FAMILIES, 0)
    for count in (1, 1, 2, 2, 3, 4, 5) * 6:
        example = world.example(rng, FAMILIES, count, strength=0.0, busy=False)
        for question in example.questions:
            answer = expected_answer(question.text, example.scene.things, example.sound.word)
            assert answer == question.answer, (question.text, example.scene.things, example.sound.word)
            checked[question.family] += 1
    assert min(checked.values()) >= 6


def test_a_text_that_is_no_question_has_no_truth() -> None:
    with pytest.raises(ValueError, match="none of the questions"):
        expected_answer("What a nice day", (CAT,), "cat")


# the build


@pytest.fixture
def tones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tones stand for speech, so that no synthesiser is needed."""
    monkeypatch.setattr(gallery_scenes, "synthesise", lambda text, voice: Voices().clip(voice.name, text))


ART = {"noto": load_sprites("noto")}
PLACE = GalleryItem(
    "place", "What is left of the cat?", Drawing(("cat", "dog", "fish")), Speech("owl"), "dog",
    (Answers(), Needs(IMAGE), Idle(AUDIO)),
)  # fmt: skip


def chosen(item: GalleryItem, backend: PaperBackend, folder: Path = FOLDER, attempts: int = 60) -> Any:
    local: Any = backend
    return choose(item, ART, folder, local, attempts)


@pytest.mark.slow
def test_the_first_scene_that_bears_out_every_claim_is_chosen(tones: None) -> None:
    backend = PaperBackend(answer_of=lambda _: "dog" if len(backend.samples) == 2 else "fish")
    choice = chosen(PLACE, backend)
    assert len(backend.samples) == 3 and choice.truth == "dog"
    assert expected_answer(PLACE.question, choice.candidate.things, "owl") == "dog"
    assert choice.figures[0] == "the answer is dog with 0.98; expected dog" and len(choice.figures) == 3
    assert choice.candidate.sample(PLACE.question).image.pixels.tolist() == backend.samples[-1].image.pixels.tolist()


@pytest.mark.slow
def test_what_no_scene_bears_out_is_refused_by_name_with_its_figure(tones: None) -> None:
    with pytest.raises(Refusal) as refusal:
        chosen(PLACE, PaperBackend("dog", {IMAGE: 3.0, TEXT: 1.0, AUDIO: 2.0}))
    message = str(refusal.value)
    assert message.startswith("place: none of 60 candidates") and "\n" not in message
    assert "Idle(modality=<Modality.AUDIO" in message and "audio has 0.33 of the effect" in message
    assert "the expected answer is" in message, "the places of other scenes have another truth"


def test_a_word_that_the_world_lacks_is_refused(tones: None) -> None:
    with pytest.raises(Refusal, match="place: the word list lacks gizmo"):
        chosen(replace(PLACE, audio=Speech("gizmo")), PaperBackend("dog"))


def test_a_photograph_with_a_voice_leaves_nothing_to_draw(tones: None) -> None:
    backend, item = PaperBackend("cat"), next(item for item in GALLERY if item.id == "photo-hammer")
    with pytest.raises(Refusal, match=r"photo-hammer: none of 1 candidates.*the answer is cat"):
        chosen(item, backend)
    assert len(backend.samples) == 1


@pytest.mark.long
@pytest.mark.slow
def test_nothing_is_written_where_an_example_is_refused(tones: None, tmp_path: Path) -> None:
    backend: Any = PaperBackend("dog")
    with pytest.raises(Refusal, match="other: "):
        build(ART, tmp_path, backend, (PLACE, replace(PLACE, id="other", truth="owl")), attempts=60)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_files_are_what_was_measured(
    tones: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mmviz.training.release.build_gallery.record_gallery", lambda *_: None)
    (tmp_path / "old.webp").touch()
    backend: Any = PaperBackend("dog")
    build(ART, tmp_path, backend, (PLACE,))
    (entry,) = json.loads((tmp_path / "gallery.json").read_text(encoding="utf-8"))
    assert {path.name for path in tmp_path.iterdir()} == {"gallery.json", "place.webp", "place.wav"}
    assert entry["truth"] == "dog" and entry["family"] == "rel" and entry["needs"] == ["image"]
    assert entry["spoken"]["word"] == "owl" and len(entry["measured"]) == 3
    dog = next(thing for thing in entry["things"] if thing["word"] == "dog")
    assert 60 < dog["box"][2] - dog["box"][0] < 480 and max(dog["box"]) <= 480, "in pixels"
    measured = make_sample(image=tmp_path / "place.webp", text=PLACE.question, audio=tmp_path / "place.wav")
    assert backend.samples[-1].image.pixels.tolist() == measured.image.pixels.tolist()  # type: ignore[union-attr]
    assert backend.samples[-1].audio.wave.tolist() == measured.audio.wave.tolist()  # type: ignore[union-attr]
    assert "place: the answer is dog" in capsys.readouterr().out


# what is declared


def test_the_gallery_has_enough_examples_photographs_and_voices() -> None:
    ids = [item.id for item in GALLERY]
    photographs = {item.image.file for item in GALLERY if isinstance(item.image, Photograph)}
    voices = {item.audio.file for item in GALLERY if isinstance(item.audio, Voice)}
    assert len(set(ids)) == len(ids) >= 12 and len(photographs) >= 4 and len(voices) >= 2
    assert set(TITLES) == set(ABOUT) == set(ids)


@pytest.mark.parametrize("item", GALLERY, ids=lambda item: item.id)
def test_a_sentence_says_no_more_than_its_claims(item: GalleryItem) -> None:
    about, claims = ABOUT[item.id], item.claims
    assert (Idle(AUDIO) in claims) == ("sound is a distraction" in about)
    assert (Idle(IMAGE) in claims) == ("picture is a distraction" in about)
    assert (Needs(IMAGE) in claims and Needs(AUDIO) in claims) == about.startswith("Needs both")
    assert (Lacks(AUDIO) in claims) == ("no sound" in about) == (item.audio is None)
    assert (Lacks(IMAGE) in claims) == ("no picture" in about) == (item.image is None)
    assert (Fails() in claims) == ("wrong" in about) != (Answers() in claims)
    assert ("person" in about) == isinstance(item.audio, Voice)


@pytest.mark.parametrize("item", GALLERY, ids=lambda item: item.id)
def test_a_declared_question_is_one_that_the_model_knows(item: GalleryItem) -> None:
    if set(item.words) - set(known_words()):
        pytest.skip(f"the word list of these weights lacks a word of {item.words}")
    assert read(item.question) is not None
    if isinstance(item.image, Photograph) or item.image is None:
        things = item.image.things if item.image else ()
        assert expected_answer(item.question, things, item.audio.word if item.audio else "") == item.truth


def test_photographs_and_voices_are_small_and_have_their_licences() -> None:
    licences = (FOLDER / "LICENSES.md").read_text(encoding="utf-8")
    files = [*(FOLDER / "photographs").iterdir(), *(FOLDER / "voices").iterdir()]
    declared = {
        part.file for item in GALLERY for part in (item.image, item.audio) if isinstance(part, (Photograph, Voice))
    }
    assert {path.relative_to(FOLDER).as_posix() for path in files} == declared
    assert all(f"| `{path.name}` |" in licences for path in files)
    assert sum(path.stat().st_size for path in files) <= 600_000
    for path in (FOLDER / "photographs").iterdir():
        with Image.open(path) as image:
            assert image.format == "WEBP" and max(image.size) <= 512


def test_places_in_photographs_and_voices_lie_inside_them() -> None:
    for item in GALLERY:
        if isinstance(item.image, Photograph):
            for thing in item.image.things:
                x0, y0, x1, y1 = thing.box
                assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
        if isinstance(item.audio, Voice):
            wave, rate = soundfile.read(io.BytesIO((FOLDER / item.audio.file).read_bytes()))
            start, end = (round(second * rate) for second in (item.audio.start, item.audio.end))
            assert 0 <= start < end <= len(wave)
            assert np.sqrt(np.mean(wave[start:end] ** 2)) > 0.05, "someone speaks there"
            assert np.abs(wave[end:]).max(initial=0) < 0.02, "the word is the last"


def test_every_lesson_has_an_example_of_the_gallery() -> None:
    ids = {item.id for item in GALLERY}
    assert {lesson: details.example for lesson, details in COURSE.items()} == {
        lesson: example for lesson, (example, _) in LESSONS.items()
    }
    assert {example for example, _ in LESSONS.values()} <= ids
    assert all(claims for lesson, (_, claims) in LESSONS.items() if lesson != "cost")
    (claim,) = LESSONS["fusion"][1]
    assert claim in lesson_claims("spoken-place") and isinstance(claim, OnlyKindFails)
    assert COURSE["fusion"].options[COMPARED.index(claim.kind)] == COURSE["fusion"].correct


# what the build wrote


ENTRIES = json.loads((FOLDER / "gallery.json").read_text(encoding="utf-8"))
needs_build = pytest.mark.skipif(
    "measured" not in ENTRIES[0], reason="this gallery was built before claims were measured"
)


@needs_build
def test_the_gallery_of_the_assets_is_the_declared_one() -> None:
    assert [example.id for example in load_gallery()] == [item.id for item in GALLERY]
    assert [example.question for example in load_gallery()] == [item.question for item in GALLERY]


@pytest.mark.long
@needs_build
@pytest.mark.slow
@pytest.mark.parametrize("item", GALLERY, ids=lambda item: item.id)
def test_everything_claimed_of_an_example_holds_for_the_weights_of_the_assets(
    item: GalleryItem, backend: LocalBackend
) -> None:
    entry = next(entry for entry in ENTRIES if entry["id"] == item.id)
    sample = next(example for example in load_gallery() if example.id == item.id).sample()
    size = (sample.image.width, sample.image.height) * 2 if sample.image else ()
    things = [
        Thing(thing["word"], tuple(edge / side for edge, side in zip(thing["box"], size, strict=True)))
        for thing in entry["things"]
    ]
    example = MeasuredExample(backend, sample, entry["truth"], things)
    claims = (*item.claims, *lesson_claims(item.id))
    verdicts = check(example, claims)
    assert all(verdict.holds for verdict in verdicts), f"{claims[len(verdicts) - 1]}: {verdicts[-1].figure}"
