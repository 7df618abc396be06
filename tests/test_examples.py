"""Examples in files: the bundled gallery, folders with and without a listing, and hostile folders."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from app_page import image_bytes, wav
from audio_files import encoded, muxed, tone

from mmviz.cli import main
from mmviz.i18n.errors_and_notices import SENTENCES
from mmviz.i18n.language import use_language
from mmviz.inputs import examples
from mmviz.inputs.audio_formats import AUDIO_SUFFIXES
from mmviz.inputs.examples import Example, load_examples, load_gallery
from mmviz.inputs.image_formats import IMAGE_SUFFIXES
from mmviz.types import InputError, MmvizError

pillow_heif.register_heif_opener()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one image and one audio file, next to a file outside it."""
    (tmp_path / "secret.png").write_bytes(image_bytes())
    folder = tmp_path / "examples"
    folder.mkdir()
    (folder / "cat.png").write_bytes(image_bytes())
    (folder / "cat.wav").write_bytes(wav())
    return folder


def listed(folder: Path, entries: Any) -> tuple[Example, ...]:
    """Returns what is loaded of an ``examples.json`` with ``entries``."""
    (folder / "examples.json").write_text(json.dumps(entries), encoding="utf-8")
    return load_examples(folder)


def refused(folder: Path | str) -> MmvizError:
    with pytest.raises(MmvizError) as caught:
        load_examples(folder)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    return caught.value


def test_the_gallery_has_expected_answers_and_complete_samples() -> None:
    gallery = load_gallery()
    assert len(gallery) >= 12 and len({example.id for example in gallery}) == len(gallery)
    for example in gallery:
        sample = example.sample()
        assert (
            example.truth
            and example.is_right(f" {example.truth.upper()} ") is True
            and example.is_right("gizmo") is False
        )
        assert (sample.image is None, sample.audio is None) == (example.image is None, example.audio is None)


def test_a_listing_gives_its_examples_in_order(folder: Path) -> None:
    first, second, third = listed(folder, [
        {"id": "b", "image": "cat.png", "audio": "cat.wav", "text": "what is it?", "truth": "cat", "more": [1]},
        {"question": "who?", "truth": None},
        {"id": "a", "audio": "cat.wav"},
    ])  # fmt: skip
    assert (first.id, second.id, third.id) == ("b", "2", "a")
    assert (first.question, first.truth, first.is_right("CAT")) == ("what is it?", "cat", True)
    assert first.sample().image is not None and first.sample().audio is not None
    assert second.question == "who?" and second.truth is None and second.is_right("cat") is None
    assert third.sample().text is None and third.sample().image is None


def test_files_that_a_listing_does_not_name_are_ignored(folder: Path) -> None:
    (folder / "dog.txt").write_text("what is it?")
    (only,) = listed(folder, [{"image": "cat.png"}])
    assert only.id == "1" and only.question == ""


def test_files_of_the_same_name_are_one_example(folder: Path) -> None:
    (folder / "cat.txt").write_text("\ufeffwhat is it?\n", encoding="utf-8")
    (folder / "cat.answer.txt").write_text("cat\n")
    for name in ("cat10.txt", "cat2.TXT"):
        (folder / name).write_text("who?")
    (folder / "dog.1.JPG").write_bytes(image_bytes("JPEG"))
    for name in (".hidden.txt", "notes.md"):
        (folder / name).write_text("no example")
    (folder / "folder.png").mkdir()
    cat, cat2, cat10, dog, *others = load_examples(folder)
    assert [example.id for example in (cat, cat2, cat10, dog)] == ["cat", "cat2", "cat10", "dog.1"]
    assert [example.id for example in others] == ["folder.png", "notes.md"]
    assert cat.question == "what is it?" and cat.truth == "cat"
    sample = cat.sample()
    assert sample.image is not None and sample.audio is not None and sample.text == "what is it?"
    assert cat2.truth is None and cat2.image is None
    image = dog.sample().image
    assert image is not None and image.width == 40


def test_files_are_read_when_they_are_needed(folder: Path) -> None:
    (folder / "cat.png").write_text("no image")
    (example,) = load_examples(folder)
    with pytest.raises(InputError):
        example.sample()


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "examples-empty"),
        ({"image": "cat.png"}, "examples-list"),
        (["cat.png"], "examples-list"),
        (3, "examples-list"),
        ([{"text": "who?"}] * 1_001, "examples-many"),
    ],
)
def test_a_wrong_listing_is_refused_with_one_sentence(folder: Path, entries: Any, code: str) -> None:
    (folder / "examples.json").write_text(json.dumps(entries), encoding="utf-8")
    error = refused(folder)
    assert error.code == code and code in SENTENCES
    str(error).encode()  # it can be printed, whatever the listing contains
    assert str(folder) not in str(error), "no path of this machine"


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ("cat.png", "examples-object"),
        (None, "examples-object"),
        ({"id": "a", "text": "who?"}, "examples-twice"),
        ({"image": 3}, "examples-entry"),
        ({"text": ["who?"]}, "examples-entry"),
        ({"text": "who?", "truth": True}, "examples-entry"),
        ({"id": 7, "text": "who?"}, "examples-entry"),
        ({"truth": "cat"}, "examples-nothing"),
        ({}, "examples-nothing"),
        ({"image": "", "text": ""}, "examples-nothing"),
        ({"image": "dog.png"}, "examples-file"),
        ({"image": "."}, "examples-file"),
        ({"image": "cat.png\0"}, "examples-file"),
        ({"image": "\ud800.png"}, "examples-file"),
        ({"image": "x" * 5_000}, "examples-file"),
        ({"image": "../secret.png"}, "examples-outside"),
        ({"audio": "sub/../../secret.png"}, "examples-outside"),
        ({"image": "/etc/hostname"}, "examples-outside"),
    ],
)
def test_a_wrong_entry_of_a_listing_is_named_and_stops_no_other_example(folder: Path, entry: Any, code: str) -> None:
    first, wrong, last = listed(folder, [{"id": "a", "image": "cat.png"}, entry, {"text": "who?"}])
    assert first.sample().image is not None and last.sample().text == "who?"
    error = sample_error(wrong)
    assert error.code == code and code in SENTENCES
    str(error).encode()  # it can be printed, whatever the listing contains
    assert str(folder) not in str(error), "no path of this machine"
    assert wrong.id == ("a (2)" if code == "examples-twice" else "2"), "names are unique"


def test_a_number_may_be_the_name_of_another_example(folder: Path) -> None:
    first, second = listed(folder, [{"id": "2", "text": "who?"}, {"text": "what?"}])
    assert first.sample().text == "who?" and sample_error(second).code == "examples-twice"


@pytest.mark.parametrize(
    "data", [b"", b"[", b"[{]", b"\xff\xfe[]", b"[" * 200_000, b"[" + b"9" * 5_000 + b"]", b'[{"text": "who?"}] x']
)
def test_a_listing_that_is_no_json_is_refused_with_one_sentence(folder: Path, data: bytes) -> None:
    (folder / "examples.json").write_bytes(data)
    assert refused(folder).code == "examples-list"


def test_a_listing_beyond_the_limit_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "MAX_LISTING_BYTES", 100)
    (folder / "examples.json").write_text('[{"text": "who?"}]'.ljust(100))
    assert len(load_examples(folder)) == 1
    (folder / "examples.json").write_text('[{"text": "who?"}]'.ljust(101))
    assert refused(folder).code == "examples-list"


@pytest.mark.skipif(os.name == "nt", reason="links need special rights on Windows")
def test_a_link_out_of_the_folder_is_refused_with_and_without_a_listing(folder: Path) -> None:
    (folder / "dog.png").symlink_to(folder.parent / "secret.png")
    (folder / "dog.txt").write_text("who?")
    cat, dog = load_examples(folder)
    assert cat.sample().image is not None and sample_error(dog).code == "examples-outside"
    (folder / "circle.png").symlink_to(folder / "circle.png")
    outside, circle = listed(folder, [{"image": "dog.png"}, {"image": "circle.png"}])
    assert sample_error(outside).code == "examples-outside" and sample_error(circle).code == "examples-file"
    linked = folder.parent / "linked"
    linked.symlink_to(folder)
    (folder / "examples.json").write_text('[{"image": "cat.png"}]')
    (example,) = load_examples(linked)
    assert example.sample().image is not None, "the folder itself may be a link"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_not_read(folder: Path) -> None:
    os.mkfifo(folder / "dog.txt")
    cat, pipe = load_examples(folder)
    assert cat.id == "cat" and pipe.id == "dog.txt" and sample_error(pipe).code == "examples-pipe"
    (only,) = listed(folder, [{"image": "dog.txt"}])
    assert sample_error(only).code == "examples-file"


def test_what_is_part_of_no_example_is_listed_with_the_reason(folder: Path) -> None:
    for name in ("film.avi", "jx.jxl", "cat.json", "notes.md"):
        (folder / name).write_text("no example")
    (folder / "dir.webp").mkdir()
    (folder / "nowhere.png").symlink_to(folder / "gone.png")
    cat, *others = load_examples(folder)
    assert cat.sample().image is not None
    assert {example.id: sample_error(example).code for example in others} == {
        **dict.fromkeys(("cat.json", "film.avi", "jx.jxl", "notes.md"), "examples-ending"),
        "dir.webp": "examples-folder-inside", "nowhere.png": "examples-link",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["dog.svg", "dog.jxl", "dog.avi", "dog.webp/", "dog.wav/"])
def test_an_example_with_a_part_that_cannot_be_read_is_left_out(folder: Path, name: str) -> None:
    (folder / "dog.txt").write_text("who?")
    (folder / name).mkdir() if name.endswith("/") else (folder / name).write_text("<svg/>")
    cat, dog = load_examples(folder)
    assert cat.sample().image is not None
    error = sample_error(dog)
    assert dog.id == "dog" and error.code == "examples-part" and name.rstrip("/") in str(error)


def test_a_folder_of_other_files_has_no_examples_but_a_film_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("no example")
    assert refused(tmp_path).code == "examples-empty"
    (tmp_path / "film.avi").write_text("RIFF")
    assert [example.id for example in load_examples(tmp_path)] == ["film.avi", "notes.md"]


def sample_error(example: Example) -> MmvizError:
    with pytest.raises(MmvizError) as caught:
        example.sample()
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    return caught.value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_texts_that_name_their_encoding_are_read(folder: Path, encoding: str) -> None:
    (folder / "cat.txt").write_bytes("wie heißt das? 猫\r\n".encode(encoding))
    (folder / "cat.answer.txt").write_bytes("猫\n".encode(encoding))
    (example,) = load_examples(folder)
    assert (example.question, example.truth) == ("wie heißt das? 猫", "猫")
    assert example.sample().text == "wie heißt das? 猫"


@pytest.mark.parametrize("name", ["dog.txt", "dog.answer.txt"])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("wie heißt das?".encode("latin-1"), "text-file-encoding"),
        ("wie heißt das?".encode("utf-16-le"), "text-file-encoding"),
        ("who?".encode("utf-16-le"), "text-file-encoding"),  # which is UTF-8 too, with zero bytes
        ("这是什么？".encode("gb18030"), "text-file-encoding"),
        (b"\xff\xfe\x00", "text-file-encoding"),
        (b"x" * 10_001, "text-file-long"),
        (("é" * 30_000).encode(), "text-file-long"),
    ],
)
def test_a_text_that_cannot_be_read_is_named_and_stops_no_other_example(
    folder: Path, name: str, data: bytes, code: str
) -> None:
    (folder / "cat.txt").write_text("what is it?")
    (folder / "dog.png").write_bytes(image_bytes())
    (folder / name).write_bytes(data)
    cat, dog = load_examples(folder)
    assert cat.sample().text == "what is it?"
    error = sample_error(dog)
    assert error.code == code and name in str(error)
    with use_language("zh"):
        assert name in str(error) and "text" not in str(error).replace(name, "")


def test_the_longest_text_and_an_empty_one(folder: Path) -> None:
    (folder / "cat.txt").write_text("é" * 10_000, encoding="utf-8")
    assert len(load_examples(folder)[0].question) == 10_000
    (folder / "cat.txt").write_text(" \n")
    assert load_examples(folder)[0].question == ""
    (folder / "dog.answer.txt").write_text("dog")
    (folder / "empty.txt").write_text("\n")
    cat, dog, empty = load_examples(folder)
    assert cat.error is None and sample_error(dog).code == sample_error(empty).code == "examples-nothing"


@pytest.mark.slow
def test_one_text_in_another_encoding_stops_nothing_of_the_audit(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "dog.txt").write_bytes("wie heißt das?".encode("latin-1"))
    assert main(["audit", str(folder), "--json", "-"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in report["rows"]] == ["cat"]
    assert "dog.txt" in str(report["skipped"]) and "UTF-8" in str(report["skipped"])


def test_names_in_different_unicode_forms_are_one_example(folder: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert composed != decomposed
    (folder / f"{composed}.webp").write_bytes(image_bytes("WEBP"))
    (folder / f"{decomposed}.wav").write_bytes(wav())
    (folder / f"{decomposed}.txt").write_text("what is it?")
    café, cat = load_examples(folder)
    assert (café.id, cat.id) == (composed, "cat") and café.question == "what is it?"
    sample = café.sample()
    assert sample.image is not None and sample.audio is not None


@pytest.mark.parametrize(("listed_form", "stored_form"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_listing_may_name_a_file_in_another_unicode_form(folder: Path, listed_form: str, stored_form: str) -> None:
    names = {form: unicodedata.normalize(form, "café.png") for form in ("NFC", "NFD")}
    (folder / names[stored_form]).write_bytes(image_bytes())
    (example,) = listed(folder, [{"image": names[listed_form]}])
    assert example.sample().image is not None


def test_two_images_of_the_same_name_are_named_and_stop_no_other_example(folder: Path) -> None:
    (folder / "cat.jpg").write_bytes(image_bytes("JPEG"))
    (folder / "dog.png").write_bytes(image_bytes())
    cat, dog = load_examples(folder)
    assert dog.sample().image is not None
    error = sample_error(cat)
    assert error.code == "examples-same" and "cat.jpg" in str(error) and "cat.png" in str(error)


def test_a_path_that_is_no_folder_of_examples_is_refused(folder: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", folder / "cat.png", "zero\0character"):
        assert refused(path).code == "examples-folder"
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty").code == "examples-empty"


def test_a_folder_has_a_thousand_examples_at_most(folder: Path) -> None:
    for number in range(999):
        (folder / f"{number}.txt").write_text("who?")
    assert len(load_examples(folder)) == 1_000
    (folder / "more.txt").write_text("who?")
    assert refused(folder).parameters["count"] == 1_001


def test_names_are_printable(folder: Path) -> None:
    names = ["\x1b[31mred", "two\nlines", "\u202eback", "\udcff", "x" * 1_000]
    for example in listed(folder, [{"id": name, "text": "who?"} for name in names]):
        assert len(example.id) <= 255 and example.id.encode() and "\n" not in example.id
        assert not {"\x1b", "\u202e"} & set(example.id)


@pytest.mark.parametrize("suffix", sorted(AUDIO_SUFFIXES))
def test_a_file_of_every_audio_suffix_is_part_of_its_example(folder: Path, suffix: str) -> None:
    (folder / "cat.wav").unlink()
    containers = {
        ".flac": lambda: encoded(tone(440, 16_000), 16_000, "FLAC"),
        ".ogg": lambda: encoded(tone(440, 16_000), 16_000, "OGG", "VORBIS"),
        ".oga": lambda: encoded(tone(440, 16_000), 16_000, "OGG", "VORBIS"),
        ".opus": lambda: encoded(tone(440, 16_000), 16_000, "OGG", "OPUS"),
        ".mp3": lambda: encoded(tone(440, 16_000), 16_000, "MP3"),
        ".aac": lambda: muxed(tone(440, 16_000), 16_000, "adts"),
        ".webm": lambda: muxed(tone(440, 48_000), 48_000, "webm", "libopus"),
        ".mkv": lambda: muxed(tone(440, 48_000), 48_000, "matroska", "flac", video="libvpx"),
        ".mka": lambda: muxed(tone(440, 48_000), 48_000, "matroska", "flac"),
        ".wav": wav,
    }
    make = containers.get(suffix, lambda: muxed(tone(440, 16_000), 16_000, "ipod"))  # MP4 and its kin
    (folder / f"cat{suffix.upper()}").write_bytes(make())
    (example,) = load_examples(folder)
    audio = example.sample().audio
    assert example.audio is not None and audio is not None and audio.seconds > 0.4


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_a_file_of_every_image_suffix_is_part_of_its_example(folder: Path, suffix: str) -> None:
    (folder / "cat.png").unlink()
    formats = {".apng": "PNG", ".tif": "TIFF", ".heic": "HEIF", ".hif": "HEIF"}
    format = formats.get(suffix, "JPEG" if suffix[1] == "j" else suffix[1:].upper())
    (folder / f"cat{suffix}").write_bytes(image_bytes(format))
    (example,) = load_examples(folder)
    assert example.sample().image is not None


def test_a_table_by_its_own_path_lists_examples_beside_it(folder: Path) -> None:
    table = folder / "List.CSV"
    table.write_text("name;image;text\nfirst;cat.png;who?\n;cat.png;\nthird;nowhere.png;\n")
    link = folder.parent / "link.csv"
    link.symlink_to(table)
    for path in (table, link):
        first, second, third = load_examples(path)
        assert (first.id, first.question, first.image) == ("first", "who?", (folder / "cat.png").resolve())
        assert second.id == "2" and third.error is not None and third.error.code == "examples-file"
    table.write_text("x,y\n1,2\n")
    with pytest.raises(MmvizError, match=r"List\.CSV"):
        load_examples(table)
    assert refused(folder / "nowhere.csv").code == "file-missing"
