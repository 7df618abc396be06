"""Talks: their slides, their document, and their file."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import wave
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from made_up_talk import FIRST_MOMENT, FIRST_PATCH, FIRST_WORD, recorded_run, story
from made_up_tokens import WAVE
from numpy.typing import NDArray
from records import TEXT, towers

from mmviz.cli import main
from mmviz.explain import Run
from mmviz.figures.colour_scale import hex_colour, short
from mmviz.figures.image import READ_COLOUR, READER_COLOUR, data_uri, outline_reading, spotlight
from mmviz.figures.signed_colours import signed, signed_image, signed_rgb
from mmviz.i18n.language import use_language
from mmviz.i18n.page import say
from mmviz.i18n.viewer import about
from mmviz.io.talk_file import MAX_RUNS, pack_talk, read_talk
from mmviz.present import Lit, Slide, Talk, load_run_or_talk, make_talk
from mmviz.present.lit_inputs import lit_inputs
from mmviz.types import ChosenTokens, MapRef, MmvizError, Modality, TokenGroup

KINDS = ["inputs", "answer", "reads_from", "depends_on"]


@pytest.fixture(scope="module")
def talk() -> Talk:
    return make_talk(recorded_run(), story())


@pytest.fixture(scope="module")
def document(talk: Talk) -> str:
    return talk.to_html()


class Elements(HTMLParser):
    """Collects the names of all attributes of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.attributes |= {name for name, _ in attributes}


def section(document: str, number: int) -> str:
    """Returns the HTML of a slide, from 1."""
    sections: list[str] = re.findall(r"<section.*?</section>", document, re.DOTALL)
    return sections[number - 1]


def test_a_run_has_its_slides_and_a_story_one_for_each_step(talk: Talk) -> None:
    assert [slide.kind for slide in talk.slides] == [*KINDS, "step", "step", "step"]
    assert talk.title == TEXT and talk.slides[1].title == "Answer: word 0 (50.0%)"
    assert talk.slides[1].caption == about("recorded")
    hears, reads, sees = talk.slides[4:]
    assert hears.lit == (Lit("all", (FIRST_MOMENT + 2, FIRST_MOMENT + 3)), Lit("all", (FIRST_PATCH + 6,), True))
    assert hears.modalities == (Modality.IMAGE, Modality.AUDIO) and reads.modalities == (Modality.TEXT,)
    assert sees.modalities == (Modality.IMAGE,) and not sees.lit, "no place of the picture is claimed"
    assert (
        "“cat”" in reads.title
        and reads.size == "−1.0 nats for “word 0” without it"
        and reads.caption == "Without it: “dog”."
    )


def told_of(queries: TokenGroup, keys: TokenGroup, modality: Modality) -> tuple[Slide, str]:
    """Returns the slide of one step, and its HTML."""
    (step, *_) = story().steps
    alone = replace(story(), steps=(replace(step, queries=queries, keys=keys, modality=modality),))
    told = make_talk(recorded_run(), alone)
    return told.slides[-1], section(told.to_html(), len(told.slides))


def test_a_whole_input_that_reads_is_shown_bright_beside_what_it_reads(document: str) -> None:
    slide, shown = told_of(Modality.AUDIO, ChosenTokens((FIRST_WORD + 5,)), Modality.TEXT)
    assert slide.modalities == (Modality.TEXT, Modality.AUDIO) and "moments of the sound read “cat”" in slide.title
    (spectrogram,) = re.findall(r"<figure class='sound'><img src='([^']*)'", shown)
    assert spectrogram in section(document, 1), "the whole sound, as among the inputs"
    assert "<audio controls" in shown and "data-sound='0'" in shown


def test_where_patches_read_patches_the_slide_tells_which(talk: Talk) -> None:
    read, readers = (FIRST_PATCH, FIRST_PATCH + 1), (FIRST_PATCH + 12, FIRST_PATCH + 14)
    slide, shown = told_of(ChosenTokens(readers), ChosenTokens(read), Modality.IMAGE)
    assert slide.lit == (Lit("all", read), Lit("all", readers, True))
    assert "patches at several places see this place" in slide.title, "of the readers no two touch"
    run = talk.runs[0]
    image = run.sample.image
    assert image is not None
    size = (image.width, image.height)
    amounts = np.isin(np.arange(len(run.tokens)), [*read, *readers]).astype(float)
    lit = spotlight(image.pixels, run.tokens, amounts, 1.0, size)
    of = [[run.tokens[k] for k in group] for group in (read, readers)]
    assert data_uri(outline_reading(lit, of[0], of[1], size)) in shown
    for colour, code in ((READER_COLOUR, "talk-reads-here"), (READ_COLOUR, "talk-read-here")):
        assert f"border-color:{colour}'></i>{html.escape(say(code))}" in shown


def test_a_title_of_ones_own_heads_the_first_slide() -> None:
    told = make_talk(recorded_run(), title="My photo")
    assert told.title == told.slides[0].title == "My photo"
    document = told.to_html()
    assert "<title>My photo</title>" in document and ">My photo</h2>" in section(document, 1)
    assert make_talk(recorded_run()).slides[0].title == say("talk-inputs")


def test_a_story_without_steps_says_so() -> None:
    told = make_talk(recorded_run(), replace(story(), steps=()))
    assert told.slides[-1].kind == "text" and "No single route" in told.slides[-1].caption


def test_what_is_on_screen_is_a_slide_unless_it_is_there_already() -> None:
    run = recorded_run()
    view = {"tokens": [FIRST_WORD], "direction": "to", "map": "relevance"}
    slide = make_talk(run, view=view).slides[-1]
    assert (slide.kind, slide.map, slide.tokens, slide.direction) == ("selection", "relevance", (FIRST_WORD,), "to")
    lit = lit_inputs(run, slide)
    assert slide.caption.startswith("Strongest: “")
    assert lit is not None and np.array_equal(lit.amounts, run.attention(MapRef("relevance"), FIRST_WORD, "to"))
    same = {"tokens": [run.answer_query], "direction": "from", "map": str(run.map_ref)}
    assert [slide.kind for slide in make_talk(run, view=same).slides] == KINDS


def test_two_pins_are_a_slide_of_their_difference() -> None:
    run, ref = recorded_run(), MapRef("attention", 1)
    view = {"tokens": [FIRST_WORD], "versus": [FIRST_PATCH], "direction": "from", "map": str(ref)}
    talk = make_talk(run, view=view)
    slide = talk.slides[-1]
    assert (slide.tokens, slide.versus) == ((FIRST_WORD,), (FIRST_PATCH,)) and "“patch " in slide.title
    lit = lit_inputs(run, slide)
    assert lit is not None and lit.is_difference
    expected = run.attention(ref, FIRST_WORD) - run.attention(ref, FIRST_PATCH)
    np.testing.assert_array_equal(lit.amounts, expected)
    drawn = [amount for token, amount in zip(run.tokens, expected, strict=True) if token.location is not None]
    assert lit.scale_max == max(map(abs, drawn)) and min(drawn) < 0 < max(drawn)
    furthest = int(np.abs(expected).argmax())
    assert slide.caption.startswith("Strongest: “") and signed(float(expected[furthest])) in slide.caption
    shown = html.unescape(section(talk.to_html(), len(talk.slides)))
    image = run.sample.image
    assert image is not None
    picture = signed_image(image.pixels, run.tokens, expected, lit.scale_max, size=(image.width, image.height))
    assert data_uri(picture) in shown
    words = [float(expected[FIRST_WORD + k]) for k in range(6)]
    colours = ["#" + bytes(signed_rgb(np.array(value), lit.scale_max, dark=False)).hex() for value in words]
    assert re.findall(r"<span style='background:(#\w{6});", shown) == colours
    assert [signed(value) for value in words] == re.findall(r"title='([^']+)'", shown)
    assert f"−{short(lit.scale_max)}<i" in shown and f"</i>+{short(lit.scale_max)}" in shown, "the scale has both ends"
    assert Talk.from_bytes(talk.to_bytes()).slides == talk.slides
    one_pin = make_talk(run, view={**view, "versus": []}).slides[-1]
    assert one_pin.versus == () and one_pin.title == say("talk-selection-from", token="“what”")


def test_a_map_that_the_run_does_not_hold_is_told_in_the_notes() -> None:
    run = towers()  # without gradient relevance
    told = make_talk(run)
    assert [slide.kind for slide in told.slides] == KINDS[:3]
    assert "Depends on" in told.slides[0].notes


def test_the_picture_has_the_light_and_the_words_the_colours_of_the_map(talk: Talk, document: str) -> None:
    run, row = talk.runs[0], talk.runs[0].attention()
    shown = section(document, 3)
    image = run.sample.image
    assert image is not None
    largest = row[1:].max()  # the answer token has no place
    lit = spotlight(image.pixels, run.tokens, row, largest, (image.width, image.height))
    assert f"<img src='{data_uri(lit)}' alt='The picture, lit" in shown
    colours = re.findall(r"<span style='background:(#\w{6});", shown)
    assert colours == [hex_colour(row[FIRST_WORD + k], largest) for k in range(6)]
    assert f"<span>{short(largest)}</span>" in shown and "attention weight" in shown, "unit and range"


def samples_of(audio: str) -> NDArray[np.float64]:
    """Returns the samples of an audio element, -1 .. 1."""
    data = base64.b64decode(audio.split("base64,")[1].split("'")[0])
    with wave.open(io.BytesIO(data)) as wav:
        assert (wav.getframerate(), wav.getsampwidth(), wav.getnchannels()) == (16_000, 2, 1)
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2") / 32_767


def test_the_sound_is_in_the_document_once_and_a_step_plays_its_moments(document: str) -> None:
    sounds = {number: re.findall(r"<audio [^>]*>", section(document, number)) for number in range(1, 8)}
    assert [len(sounds[number]) for number in range(1, 8)] == [1, 0, 1, 1, 1, 0, 0]
    whole, moments = (samples_of(sounds[number][0]) for number in (1, 5))
    assert len(whole) == len(WAVE) and np.abs(whole - WAVE).max() < 1e-4
    step = 8000 / 6
    assert np.abs(moments - WAVE[round(2 * step) : round(4 * step)]).max() < 1e-4
    assert all("src" not in sounds[number][0] and "data-sound='0'" in sounds[number][0] for number in (3, 4))


def test_the_first_slide_with_the_whole_sound_brings_it_also_after_a_step_with_moments(talk: Talk) -> None:
    hears = talk.slides[4]
    told = replace(talk, slides=(hears, *talk.slides[:5])).to_html()
    sounds = [re.findall(r"<audio [^>]*>", section(told, number)) for number in range(1, 7)]
    assert [len(sound) for sound in sounds] == [1, 1, 0, 1, 1, 1]
    moments, whole, later, last, again = (sound[0] for sound in sounds if sound)
    assert "data-sound" not in moments and len(samples_of(moments)) < len(WAVE)
    assert "data-sound='0'" in whole and len(samples_of(whole)) == len(WAVE)
    assert again == moments and not any(" src=" in sound for sound in (later, last))


def test_the_document_is_ascii_stable_and_asks_for_nothing(talk: Talk, document: str) -> None:
    assert document.isascii() and document == make_talk(recorded_run(), story()).to_html()
    assert not re.findall(r"(?:src|href)=['\"](?!data:)|url\(|@import|https?://", document)
    assert "default-src 'none'" in document and talk.to_bytes() == make_talk(recorded_run(), story()).to_bytes()


def test_what_people_write_is_text_and_never_markup() -> None:
    hostile = "</section><script>alert(1)</script>' onload='x \u202e"
    run = recorded_run()
    answers = tuple(replace(answer, label=hostile) for answer in run.record.answers)
    run = replace(run, sample=replace(run.sample, text=hostile), record=replace(run.record, answers=answers))
    slide = Slide("step", hostile, hostile, hostile, lit=(Lit("all", (1,)),), size=hostile)
    for told in (make_talk(run, title=hostile), Talk(hostile, (run,), (slide,))):
        document = told.to_html()
        assert document.count("<script") == 1 and document.count("</section>") == len(told.slides)
        elements = Elements()
        elements.feed(document)
        assert not [name for name in elements.attributes if name.startswith("on")]
        assert "<script>alert(1)" in html.unescape(document), "it is shown as text"


def test_untrained_weights_are_named_on_every_slide() -> None:
    run = recorded_run()
    run = replace(run, record=replace(run.record, made_by={**run.record.made_by, "trained": False}))
    assert make_talk(run).to_html().count(html.escape(about("untrained"))) == 4


def test_a_talk_keeps_its_language(talk: Talk) -> None:
    with use_language("zh"):
        told = make_talk(recorded_run())
        document = talk.to_html()
    assert told.language == "zh" and '<html lang="zh-CN">' in told.to_html()
    assert '<html lang="en">' in document and say("talk-full") in document


def test_a_talk_is_read_back(talk: Talk, document: str, tmp_path: Path) -> None:
    first, *others = talk.slides
    edited = replace(talk, slides=(*others, replace(first, caption="My own words.")))
    edited.save(tmp_path / "talk.mmviz")
    back = Talk.load(tmp_path / "talk.mmviz")
    assert back.slides == edited.slides and back.title == edited.title
    assert back.runs[0].record == edited.runs[0].record and back.to_html() == edited.to_html() != document
    assert load_run_or_talk(tmp_path / "talk.mmviz") == back
    edited.runs[0].save(tmp_path / "run.npz")
    run = load_run_or_talk(tmp_path / "run.npz")
    assert isinstance(run, Run) and run.record == edited.runs[0].record


def test_a_slide_of_what_is_not_there_is_refused(talk: Talk) -> None:
    run = talk.runs[0]
    wrong = [
        Slide("inputs", "", run=1), Slide("selection", "", map="rollout"), Slide("step", "", lit=(Lit("all", (99,)),)),
        Slide("selection", "", map="9:0", tokens=(0,)), Slide("step", "", lit=(Lit("none", (0,)),)),
        Slide("other", ""),  # type: ignore[arg-type]
    ]  # fmt: skip
    for slide in wrong:
        with pytest.raises((ValueError, LookupError)):
            Talk("", (run,), (slide,))
    with pytest.raises(ValueError, match="slides"):
        Talk("", (run,), ())


def members_of(data: bytes) -> dict[str, bytes]:
    """Returns the members of a talk by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repacked(data: bytes, members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Returns a talk with other members in the place of its own, or after them."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in {**members_of(data), **members}.items():
            archive.writestr(name, content)
    return file.getvalue()


def refusal(data: bytes, **options: int) -> str:
    with pytest.raises(MmvizError) as caught:
        Talk.from_bytes(data) if not options else read_talk(data, **options)
    return caught.value.code


def test_a_damaged_or_hostile_talk_is_refused(talk: Talk) -> None:
    data = talk.to_bytes()
    header, run = json.loads(members_of(data)["talk.json"]), members_of(data)["run0.npz"]
    assert Talk.from_bytes(repacked(data, {"run1.npz": run})).slides == talk.slides
    assert refusal(data[: len(data) // 2]) == refusal(b"") == refusal(b"PK") == "talk-unreadable"
    assert refusal(repacked(data, {}, zipfile.ZIP_DEFLATED)) == "talk-unreadable", "packed twice, it could be a bomb"
    for name in ("../run1.npz", "run2.npz", "run1.py"):
        assert refusal(repacked(data, {name: run})) == "talk-unreadable"
    assert refusal(repacked(data, {"run0.npz": b"no run"})) == "talk-unreadable"
    assert refusal(repacked(data, {"talk.json": b"[]"})) == "talk-unreadable"
    assert refusal(data, largest=1000) == "npz-large", "before it is inflated"
    changes: list[dict[str, object]] = [{"slides": []}, {"slides": [{}]}, {"language": "xx"}, {"title": 3}]
    slides = [{"run": 7}, {"run": True}, {"tokens": [-1]}, {"kind": "x"}, {"title": "x" * 30_000}]
    slides += [{"lit": [{"stream": "all", "tokens": [1], "is_reader": 1}]}]
    changes += [{"slides": [header["slides"][0] | slide]} for slide in slides]
    for change in changes:
        assert refusal(repacked(data, {"talk.json": json.dumps(header | change).encode()})) == "talk-unreadable"
    other = json.dumps(header | {"format": "talk-99"}).encode()
    assert refusal(repacked(data, {"talk.json": other})) == "talk-format"
    with pytest.raises(ValueError, match="at most"):
        pack_talk({}, [b""] * (MAX_RUNS + 1))


def test_flipped_bytes_never_raise_anything_else(talk: Talk) -> None:
    data, rng = talk.to_bytes(), np.random.default_rng(0)
    for place in (*rng.integers(0, 2000, 40), *rng.integers(len(data) - 400, len(data), 40)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        try:
            Talk.from_bytes(bytes(damaged))
        except MmvizError:
            continue


def test_the_command_writes_a_talk_and_a_file_that_reopens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["present", "--text", "word0 word1 word2", "--model", "planted_story:chain", "--story", "--out"]
    assert main([*command, str(tmp_path / "talk.mmviz")]) == 0
    assert main(["present", str(tmp_path / "talk.mmviz"), "--out", str(tmp_path / "talk.html")]) == 0
    told = Talk.load(tmp_path / "talk.mmviz")
    assert [slide.kind for slide in told.slides].count("step") == 3, "as planted"
    assert (tmp_path / "talk.html").read_text("ascii") == told.to_html()
    assert f"talk.html: {len(told.slides)} slides" in capsys.readouterr().out
    assert main(["present", str(tmp_path / "talk.html"), "--out", str(tmp_path / "x.html")]) == 2
    for option, value in (("--text", "x"), ("--model", "late"), ("--token-file", "x"), ("--new-tokens", "3")):
        assert main(["present", str(tmp_path / "talk.mmviz"), option, value, "--out", str(tmp_path / "x.html")]) == 2
        told_why = capsys.readouterr().err
        assert "its own inputs" in told_why and option in told_why and not (tmp_path / "x.html").exists()
    assert main(["present", "--text", "x", "--out", str(tmp_path / "no" / "x.html")]) == 2
    for name in ("x.pdf", "x.pptx"):
        assert main(["present", "--text", "x", "--out", str(tmp_path / name)]) == 2
        assert ".html" in (told_why := capsys.readouterr().err) and ".mmviz" in told_why and name in told_why
        assert not (tmp_path / name).exists()
