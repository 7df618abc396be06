"""Trios in files: the bundled ones, folders of one's own in both forms, and folders made to mislead."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from app_page import picture, wav

from mmviz.i18n.messages import SENTENCES
from mmviz.inputs import examples as examples
from mmviz.inputs.examples import Example, load_folder, load_gallery
from mmviz.types import InputError, MmvizError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one picture and one sound, beside a file that is nobody's business."""
    (tmp_path / "secret.png").write_bytes(picture())
    made = tmp_path / "trios"
    made.mkdir()
    (made / "cat.png").write_bytes(picture())
    (made / "cat.wav").write_bytes(wav())
    return made


def listed(folder: Path, entries: Any) -> tuple[Example, ...]:
    """What is loaded of a ``examples.json`` that holds ``entries``."""
    (folder / "trios.json").write_text(json.dumps(entries), encoding="utf-8")
    return load_folder(folder)


def refused(folder: Path | str) -> MmvizError:
    with pytest.raises(MmvizError) as caught:
        load_folder(folder)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    return caught.value


def test_the_gallery_has_truths_and_whole_samples() -> None:
    found = load_gallery()
    assert len(found) == 12 and len({example.id for example in found}) == 12
    for example in found:
        sample = example.sample()
        assert (
            example.truth
            and example.is_right(f" {example.truth.upper()} ") is True
            and example.is_right("gizmo") is False
        )
        assert (sample.image is None, sample.audio is None) == (example.image is None, example.audio is None)


def test_a_list_names_its_trios_in_its_order(folder: Path) -> None:
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


def test_a_list_rules_and_files_that_it_does_not_name_are_left_alone(folder: Path) -> None:
    (folder / "dog.txt").write_text("what is it?")
    (only,) = listed(folder, [{"image": "cat.png"}])
    assert only.id == "1" and only.question == ""


def test_files_that_share_a_name_are_one_trio(folder: Path) -> None:
    (folder / "cat.txt").write_text("\ufeffwhat is it?\n", encoding="utf-8")
    (folder / "cat.answer.txt").write_text("cat\n")
    for name in ("cat10.txt", "cat2.TXT"):
        (folder / name).write_text("who?")
    (folder / "dog.1.JPG").write_bytes(picture("JPEG"))
    for name in (".hidden.txt", "notes.md"):
        (folder / name).write_text("no trio")
    (folder / "folder.png").mkdir()
    found = load_folder(folder)
    assert [example.id for example in found] == ["cat", "cat2", "cat10", "dog.1"]
    assert found[0].question == "what is it?" and found[0].truth == "cat"
    sample = found[0].sample()
    assert sample.image is not None and sample.audio is not None and sample.text == "what is it?"
    assert found[1].truth is None and found[1].image is None
    image = found[3].sample().image
    assert image is not None and image.width == 40


def test_files_are_read_when_they_are_needed(folder: Path) -> None:
    (folder / "cat.png").write_text("no picture")
    (example,) = load_folder(folder)
    with pytest.raises(InputError):
        example.sample()


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "trios-empty"),
        ({"image": "cat.png"}, "trios-list"),
        (["cat.png"], "trios-list"),
        (3, "trios-list"),
        ([{"image": 3}], "trios-entry"),
        ([{"text": ["who?"]}], "trios-entry"),
        ([{"text": "who?", "truth": True}], "trios-entry"),
        ([{"id": 7, "text": "who?"}], "trios-entry"),
        ([{"truth": "cat"}], "trios-nothing"),
        ([{}], "trios-nothing"),
        ([{"image": "", "text": ""}], "trios-nothing"),
        ([{"id": "a", "text": "who?"}, {"id": "a", "text": "what?"}], "trios-twice"),
        ([{"id": "2", "text": "who?"}, {"text": "what?"}], "trios-twice"),
        ([{"image": "dog.png"}], "trios-file"),
        ([{"image": "."}], "trios-file"),
        ([{"image": "cat.png\0"}], "trios-file"),
        ([{"image": "\ud800.png"}], "trios-file"),
        ([{"image": "x" * 5_000}], "trios-file"),
        ([{"image": "../secret.png"}], "trios-outside"),
        ([{"audio": "sub/../../secret.png"}], "trios-outside"),
        ([{"image": "/etc/hostname"}], "trios-outside"),
        ([{"text": "who?"}] * 1_001, "trios-many"),
    ],
)
def test_a_list_that_is_wrong_is_one_sentence(folder: Path, entries: Any, code: str) -> None:
    (folder / "trios.json").write_text(json.dumps(entries), encoding="utf-8")
    found = refused(folder)
    assert found.code == code and code in SENTENCES
    str(found).encode()  # it can be printed, whatever stood in the list
    assert str(folder) not in str(found), "no path of this machine"


@pytest.mark.parametrize(
    "data", [b"", b"[", b"[{]", b"\xff\xfe[]", b"[" * 200_000, b"[" + b"9" * 5_000 + b"]", b'[{"text": "who?"}] x']
)
def test_a_list_that_is_no_json_is_one_sentence(folder: Path, data: bytes) -> None:
    (folder / "trios.json").write_bytes(data)
    assert refused(folder).code == "trios-list"


def test_a_list_without_end_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "LARGEST_LIST", 100)
    (folder / "trios.json").write_text('[{"text": "who?"}]'.ljust(100))
    assert len(load_folder(folder)) == 1
    (folder / "trios.json").write_text('[{"text": "who?"}]'.ljust(101))
    assert refused(folder).code == "trios-list"


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_out_of_the_folder_is_refused_in_both_forms(folder: Path) -> None:
    (folder / "dog.png").symlink_to(folder.parent / "secret.png")
    assert refused(folder).code == "trios-outside"
    (folder / "trios.json").write_text('[{"image": "dog.png"}]')
    assert refused(folder).code == "trios-outside"
    (folder / "trios.json").write_text('[{"image": "circle.png"}]')
    (folder / "circle.png").symlink_to(folder / "circle.png")
    assert refused(folder).code == "trios-file"
    linked = folder.parent / "linked"
    linked.symlink_to(folder)
    (folder / "trios.json").write_text('[{"image": "cat.png"}]')
    (example,) = load_folder(linked)
    assert example.sample().image is not None, "the folder itself may be a link"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes there")
def test_a_pipe_is_no_file(folder: Path) -> None:
    os.mkfifo(folder / "dog.txt")
    assert [example.id for example in load_folder(folder)] == ["cat"]
    (folder / "trios.json").write_text('[{"image": "dog.txt"}]')
    assert refused(folder).code == "trios-file"


def test_texts_that_are_none_are_refused(folder: Path) -> None:
    for data in (b"\xff\xfe\x00", b"x" * 10_001, b"x" * 50_000):
        (folder / "cat.txt").write_bytes(data)
        assert refused(folder).code == "trios-text"
    (folder / "cat.txt").write_text("é" * 10_000, encoding="utf-8")
    assert len(load_folder(folder)[0].question) == 10_000
    (folder / "cat.txt").write_text(" \n")
    assert load_folder(folder)[0].question == ""
    (folder / "dog.answer.txt").write_text("dog")
    assert refused(folder).code == "trios-nothing"


def test_two_pictures_of_one_name_are_refused(folder: Path) -> None:
    (folder / "cat.jpg").write_bytes(picture("JPEG"))
    found = refused(folder)
    assert found.code == "trios-same" and "cat.jpg" in str(found) and "cat.png" in str(found)


def test_what_is_no_folder_of_trios_is_refused(folder: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "nowhere", folder / "cat.png", "zero\0character"):
        assert refused(place).code == "trios-folder"
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty").code == "trios-empty"


def test_a_thousand_is_the_most(folder: Path) -> None:
    for number in range(999):
        (folder / f"{number}.txt").write_text("who?")
    assert len(load_folder(folder)) == 1_000
    (folder / "more.txt").write_text("who?")
    assert refused(folder).parameters["count"] == 1_001


def test_names_can_be_printed(folder: Path) -> None:
    names = ["\x1b[31mred", "two\nlines", "\u202eback", "\udcff", "x" * 1_000]
    found = listed(folder, [{"id": name, "text": "who?"} for name in names])
    for example in found:
        assert len(example.id) <= 255 and example.id.encode() and "\n" not in example.id
        assert not {"\x1b", "\u202e"} & set(example.id)
