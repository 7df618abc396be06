"""The real world: which half of the stamps is read, what a photograph and a spoken word are, views, and the tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from audio_files import encoded
from numpy.typing import NDArray
from PIL import Image

from mmviz.backends import ignore_progress, local, never_stop
from mmviz.cli import main
from mmviz.cli.commands import evaluate as command
from mmviz.i18n.errors_and_notices import sentence
from mmviz.training.evaluate import measure_model, real_photograph_views, real_speech_views, real_world
from mmviz.training.evaluate.real_folders import (
    Photograph,
    Recording,
    is_measured,
    photographs,
    pictured_word,
    spoken_captions,
    spoken_names,
    spoken_word,
)
from mmviz.training.release.export import add_measured
from mmviz.types import Answer, AttentionRecord, AudioInput, Card, MmvizError, Request, Sample

pytestmark = pytest.mark.slow

EVEN = ("animals/birds/duck", "animals/fox", "food/apple", "things/drum", "things/scissors", "things/moon")
"""Names whose SHA-256 begins with e, 2, 0, c, e and 2, by sha256sum."""
ODD = ("animals/cat", "animals/dog", "animals/cow", "food/banana", "food/pear", "things/key")
"""Names whose SHA-256 begins with 3, b, 5, d, f and 9."""
TONE = encoded(np.sin(np.arange(22_050) / 20) * 0.5, 44_100, "OGG")


def grain(width: int = 60, height: int = 44, seed: int = 0) -> NDArray[np.uint8]:
    """Pixels as of a photograph, no two neighbours alike, with a clear margin of two pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[..., 3] = 0
    pixels[2:-2, 2:-2, 3] = 255
    return pixels


def flat(width: int = 60, height: int = 44) -> NDArray[np.uint8]:
    """Pixels as of a drawing: two areas of one colour each."""
    pixels = np.full((height, width, 4), 255, np.uint8)
    pixels[:, : width // 2, :3] = 40
    return pixels


def add_stamp(
    root: Path, name: str, caption: str, pixels: NDArray[np.uint8] | None = None, sound: bytes | None = None
) -> None:
    path = root / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{caption}\nde.utf8=Ein Ding.\n", encoding="utf-8")
    if pixels is not None:
        Image.fromarray(pixels).save(root / f"{name}.png")
    if sound is not None:
        (root / f"{name}_desc.ogg").write_bytes(sound)
        (root / f"{name}_desc_de.ogg").write_bytes(b"no sound")
        (root / f"{name}.ogg").write_bytes(b"what the animal says")


@pytest.fixture
def stamps(tmp_path: Path) -> Path:
    root = tmp_path / "usr" / "share" / "tuxpaint" / "stamps"
    for name in (*EVEN, *ODD):
        add_stamp(root, name, f"A {name.rpartition('/')[2]}.", grain(), TONE)
    return root


@pytest.fixture
def theme(tmp_path: Path) -> Path:
    folder = tmp_path / "ktuberling" / "sounds"
    (folder / "en").mkdir(parents=True)
    names = ("egypt_birds", "umbrella", "pizzeria_tomato", "nose", "absent_star")
    lines = (f'<sound name="{name}" file="en/{name}.ogg" />' for name in names)
    (folder / "en.soundtheme").write_text(f'<language code="en">{"".join(lines)}</language>')
    (folder / "de.soundtheme").write_text("<language")
    for name in names[:-1]:
        (folder / "en" / f"{name}.ogg").write_bytes(TONE)
    return tmp_path / "ktuberling"


def test_only_the_half_with_an_even_digit_is_read(stamps: Path) -> None:
    assert all(map(is_measured, EVEN)) and not any(map(is_measured, ODD))
    assert [photograph.name for photograph in photographs(stamps)] == sorted(EVEN)
    assert [recording.name for recording in spoken_captions(stamps)] == sorted(EVEN)


def test_names_begin_below_the_innermost_folder_called_stamps(stamps: Path, tmp_path: Path) -> None:
    unpacked = tmp_path / "other" / "stamps"
    unpacked.mkdir(parents=True)
    (tmp_path / "usr").rename(unpacked / "usr")
    for folder in (unpacked, unpacked / "usr", unpacked / "usr" / "share" / "tuxpaint" / "stamps", tmp_path / "other"):
        assert [photograph.name for photograph in photographs(folder)] == sorted(EVEN)
    with pytest.raises(MmvizError) as refused:
        photographs(unpacked / "usr" / "share" / "tuxpaint" / "stamps" / "animals")
    assert refused.value.code == "stamps-folder"


def test_a_photograph_has_grain_and_a_known_word(tmp_path: Path) -> None:
    root = tmp_path / "stamps"
    add_stamp(root, "food/cartoon/pizza", "A pizza.", grain())
    add_stamp(root, "roadsigns/bicycle", "A bicycle.", grain())
    add_stamp(root, "things/star", "A star.", flat())
    add_stamp(root, "things/wheel", "A wheel.", grain(39, 30))
    add_stamp(root, "things/fire", "A fire.", grain())
    (root / "things" / "fire.svg").write_text("<svg/>")
    add_stamp(root, "things/clock", "A sundial.", grain())
    add_stamp(root, "things/bell", "A bell.")
    with pytest.raises(MmvizError) as refused:
        photographs(root)
    assert refused.value.code == "stamps-photographs"
    add_stamp(root, "food/pizza", "A pizza.", grain(40, 30, seed=3))
    (photograph,) = photographs(root)
    assert (photograph.name, photograph.word) == ("food/pizza", "pizza")
    assert np.array_equal(photograph.pixels, grain(40, 30, seed=3))


@pytest.mark.parametrize(
    ("caption", "word"),
    [
        ("An apple.", "apple"), ("A “Sierra Beauty” apple.", "apple"), ("Apples!", "apple"),
        ("A pair of cherries.", "cherries"), ("A cherry.", "cherries"), ("A grape", "grapes"),
        ("Three mice.", "mouse"), ("The full moon.", "moon"), ("A Magellanic penguin, from the south.", "penguin"),
        ("A wheel! It turns a bicycle.", "wheel"), ("A pair of small scissors.", "scissors"),
        ("Our moon as a crescent.", "moon"), ("A lion on a chair.", "lion"),
        ("A sea lion.", None), ("A computer mouse.", None), ("An apple tree.", "tree"), ("A wreath of apples.", None),
        ("An egg timer.", None), ("A candy cane is a traditional cookie.", None), ("", None), ("A pinefish.", None),
        ("Remember to flush the old green bed.", None),
    ],
)  # fmt: skip
def test_the_head_noun_of_a_caption_names_the_thing(caption: str, word: str | None) -> None:
    assert pictured_word(caption) == word


def test_what_is_spoken_holds_one_known_word() -> None:
    assert (
        spoken_word("A sea lion.") == "lion" and spoken_word("birds") == "bird" and spoken_word("An otter.") == "otter"
    )
    assert spoken_word("A dog and a cat.") is None and spoken_word("palmtree") is None


def test_the_sounds_of_the_english_list_are_read(theme: Path) -> None:
    recordings = {recording.name: recording.word for recording in spoken_names(theme)}
    assert recordings == {"egypt_birds": "bird", "umbrella": "umbrella", "pizzeria_tomato": "tomato"}
    assert spoken_names(theme)[0].audio.wave.shape == (8_000,)


def test_folders_without_what_is_measured_are_refused(theme: Path, tmp_path: Path) -> None:
    def code(read: Callable[[Path], object], folder: Path) -> str:
        with pytest.raises(MmvizError) as refused:
            read(folder)
        return refused.value.code

    empty, several = tmp_path / "empty", tmp_path / "several"
    (empty / "stamps").mkdir(parents=True)
    for name in ("a", "b"):
        add_stamp(several / name / "stamps", "animals/fox", "A fox.", grain())
    assert [code(photographs, folder) for folder in (tmp_path / "nowhere", theme, empty, several)] == [
        "stamps-folder"
    ] * 4
    assert [code(spoken_names, folder) for folder in (tmp_path / "nowhere", empty)] == ["speech-folder"] * 2
    (theme / "sounds" / "en.soundtheme").write_text(
        '<language code="en"><sound name="nose" file="en/nose.ogg" /></language>'
    )
    assert code(spoken_names, theme) == "speech-words"
    (theme / "sounds" / "en.soundtheme").write_text("<language")
    assert code(spoken_names, theme) == "speech-folder"


@pytest.fixture(scope="module")
def pictures() -> dict[str, list[NDArray[np.uint8]]]:
    """Views of a white square on a black, a dark grey and another dark ground."""
    thing = np.full((50, 50, 4), 255, np.uint8)
    grounds = [np.full((400, 500, 3), level, np.uint8) for level in (0, 40, 80)]
    views: dict[str, list[NDArray[np.uint8]]] = {}
    for name, pixels in real_photograph_views.views(Photograph("things/moon", "moon", thing), grounds):
        views.setdefault(name, []).append(pixels)
    return views


def test_a_thing_has_the_size_of_its_view(pictures: dict[str, list[NDArray[np.uint8]]]) -> None:
    assert list(pictures) == list(real_photograph_views.VIEWS)
    assert all(pixels.shape == (320, 320, 3) for views in pictures.values() for pixels in views)
    for view, side in (("photographic ground", 192), ("small, photographic ground", 64)):
        assert [int((pixels == 255).all(2).sum()) for pixels in pictures[view]] == [
            side * side
        ] * real_photograph_views.DRAWS
        assert sorted(int(pixels.min()) for pixels in pictures[view]) == [0, 40, 80]
    assert (pictures["plain ground"][0] == 255).all() and int(pictures["plain ground"][1].min()) == 200


def test_a_phone_like_picture_is_blurred_noisy_and_tinted(pictures: dict[str, list[NDArray[np.uint8]]]) -> None:
    sharp, soft = (
        pictures[view][0].astype(float) for view in ("photographic ground", "phone-like, photographic ground")
    )
    steps = [np.abs(np.diff(pixels, axis=1)).max() for pixels in (sharp, soft)]
    assert steps[1] < 0.7 * steps[0]
    sharp, soft = (pictures[view][1][..., 1].astype(float) for view in ("plain ground", "phone-like, plain ground"))
    noise = soft[sharp == 200] - np.median(soft[sharp == 200])
    assert 1.5 < 1.48 * np.median(np.abs(noise)) < 8  # of which JPEG took some
    ratios = [picture[..., 0].mean() / picture[..., 2].mean() for picture in pictures["phone-like, plain ground"][:2]]
    assert all(0.7 < ratio < 1.4 and abs(ratio - 1) > 0.005 for ratio in ratios)


def tones(*pitches: float) -> NDArray[np.float32]:
    return (
        np.sum([np.sin(2 * np.pi * pitch * np.arange(16_000) / 16_000) for pitch in pitches], 0).astype(np.float32) / 8
    )


def level(wave: NDArray[np.float32], pitch: int) -> float:
    return float(np.abs(np.fft.rfft(wave))[pitch])


def test_a_telephone_carries_its_band_alone() -> None:
    carried = real_speech_views.telephone(np.random.default_rng(1), tones(100, 1_000, 3_550))
    assert carried.shape == (16_000,) and carried.dtype == np.float32 and 0.4 < np.abs(carried).max() < 0.6
    assert level(carried, 100) < 0.02 * level(carried, 1_000) and level(carried, 3_550) < 0.02 * level(carried, 1_000)
    others = np.delete(np.abs(np.fft.rfft(carried))[400:3_300], 600)
    noise = np.sqrt((others**2).sum()) / level(carried, 1_000)
    assert 0.5 < 20 * np.log10(noise) / real_speech_views.LINE_NOISE < 1.3


def test_the_mu_law_has_255_levels() -> None:
    wave = np.linspace(-1, 1, 100_001)
    coded = real_speech_views.mu_law(wave)
    assert len(np.unique(coded)) == 255 and coded[-1] == pytest.approx(1) and coded[50_000] == 0
    assert coded[75_000] == pytest.approx(
        0.4953070507661406
    )  # ln(128.5) / ln(256) * 127 = 111.2, (256^(111/127) - 1) / 255
    assert np.allclose(real_speech_views.mu_law(coded), coded)


class Scripted:
    """A backend whose answers are given by the question."""

    def __init__(self, answer: Callable[[Sample], Sequence[str]]):
        self.answer = answer

    def models(self) -> tuple[Card, ...]:
        return ()

    def run(
        self, requests: Sequence[Request], progress: object = ignore_progress, stop: object = never_stop
    ) -> tuple[AttentionRecord, ...]:
        assert all(not request.maps for request in requests)
        return tuple(
            AttentionRecord("id", {}, (), tuple(Answer(label, 0.1) for label in self.answer(request.sample)), {})
            for request in requests
        )


def measured() -> dict[str, object]:
    """Figures of a model that sees moons in bright pictures, and hears nothing but cows, foxes thereafter."""

    def answer(sample: Sample) -> Sequence[str]:
        if sample.text == "What was said?":
            assert sample.image is None and sample.audio is not None
            return ("cow", "fox")
        assert sample.text == "What is it?" and sample.audio is None and sample.image is not None
        is_bright = sample.image.pixels.mean() > 150
        return ("moon", "yes", "1", "2", "3", "duck") if is_bright else ("yes", "duck")

    moon = np.full((50, 50, 4), 255, np.uint8)
    things = tuple(Photograph(f"things/{word}", word, moon) for word in ("moon", "moon", "duck"))
    wave = AudioInput(tones(500), 16_000, 1.0)
    recordings = tuple(Recording(word, word, wave) for word in ("cow", "fox"))
    world = real_world.RealWorld(things, (np.zeros((400, 400, 3), np.uint8),), recordings)
    ticks: list[str] = []
    result = real_world.measure(Scripted(answer), "any", world, ticks.append)
    assert world.count_runs() == len(ticks) == 3 * 6 * 3 + 2 * 2
    return result


def test_answers_are_counted_by_view_and_word() -> None:
    result = json.loads(json.dumps(measured()))
    small = result["photographs"]["small, photographic ground"]  # dark: always yes, then duck
    assert (small["count"], small["first"], small["five"], small["majority"]) == (9, 0, 3, 6)
    assert small["words"] == {
        "duck": {"count": 3, "first": 0, "wrong": {"yes": 3}}, "moon": {"count": 6, "first": 0, "wrong": {"yes": 6}},
    }  # fmt: skip
    clean = result["speech"]["clean"]
    assert (clean["count"], clean["first"], clean["five"], clean["majority"]) == (2, 1, 2, 1)
    white = result["photographs"]["plain ground"]["words"]
    assert white["moon"]["first"] >= 4 and white["duck"]["wrong"]["moon"] >= 2  # white and light grey at least


def test_the_tables_and_the_document_print_what_was_measured() -> None:
    result = measured()
    printed = real_world.tables(result)
    assert "| small, photographic ground | 2 | 0.67 | 0.00 (0 of 9) | 0.33 (3 of 9) |" in printed
    assert "| clean | 2 | 0.50 | 0.50 (1 of 2) | 1.00 (2 of 2) |" in printed
    assert "photographs" not in real_world.tables({"speech": result["speech"]})
    text = real_world.document(result)
    assert printed in text and "| fox | 0 of 1 | 0 of 1 | cow 2 |" in text and "| cow | 1 of 1 | 1 of 1 |  |" in text


def test_the_document_is_written_from_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trio").mkdir()
    (tmp_path / "docs").mkdir()
    result = measured()
    (tmp_path / "trio" / "card.json").write_text(json.dumps({"measured": {"real": result}}))
    monkeypatch.setattr(real_world, "assets_dir", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    real_world.main()
    assert (tmp_path / "docs" / "real-world.md").read_text(encoding="utf-8") == real_world.document(result)


def test_figures_of_the_real_world_stay_in_the_card_until_they_are_measured_again(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(json.dumps({"sha256": "1", "measured": {"count": 1, "real": {"speech": 1}}}))
    add_measured(tmp_path, {"count": 2})
    assert json.loads((tmp_path / "card.json").read_text())["measured"] == {"real": {"speech": 1}, "count": 2}
    add_measured(tmp_path, {"count": 3, "real": {"speech": 2}})
    assert json.loads((tmp_path / "card.json").read_text())["measured"] == {"count": 3, "real": {"speech": 2}}


def test_the_command_adds_the_real_world_to_its_tables(
    stamps: Path, theme: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    worlds: list[real_world.RealWorld] = []

    def measure(backend: object, model: str, world: real_world.RealWorld, tick: object) -> dict[str, object]:
        worlds.append(world)
        return {"speech": {}}

    monkeypatch.setattr(local, "LocalBackend", SimpleNamespace)
    monkeypatch.setattr(command, "_first_maps", lambda *_: ("5:mean", "relevance"))
    monkeypatch.setattr(measure_model, "measure", lambda *_: {"count": 1})
    monkeypatch.setattr(measure_model, "markdown", str)
    monkeypatch.setattr(real_world, "measure", measure)
    assert main(["evaluate", "--count", "1", "--real", str(stamps), "--speech", str(theme)]) == 0
    assert "'real': {'speech': {}}" in capsys.readouterr().out
    (world,) = worlds
    assert len(world.photographs) == len(EVEN) and len(world.recordings) == len(EVEN) + 3 and world.grounds
    assert main(["evaluate", "--count", "1"]) == 0
    assert "real" not in capsys.readouterr().out and len(worlds) == 1


def test_the_command_refuses_folders_before_it_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option, words in (
        ("--real", sentence("stamps-folder", folder=str(tmp_path), stamps="stamps")),
        ("--speech", sentence("speech-folder", folder=str(tmp_path), theme="en.soundtheme")),
    ):
        assert main(["evaluate", option, str(tmp_path)]) == 2
        printed, error = capsys.readouterr()
        assert printed == "" and error.splitlines()[-1].endswith(words)
