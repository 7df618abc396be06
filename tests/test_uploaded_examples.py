"""Examples that visitors send: .zip files and several files, hostile ones as well, and tables that list examples."""

from __future__ import annotations

import io
import json
import unicodedata
import zipfile
from pathlib import Path

import pytest
from app_page import image_bytes, wav

from mmviz.i18n.errors_and_notices import SENTENCES
from mmviz.inputs import make_sample, uploaded_examples
from mmviz.inputs.examples import Example, load_examples, load_uploaded
from mmviz.inputs.uploaded_examples import files_of
from mmviz.types import InputError, MmvizError, PixelBox, Sample, Seconds


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Returns a .zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    return files_of([("mine.zip", data)])


def refused(data: bytes | list[tuple[str, bytes]]) -> InputError:
    with pytest.raises(InputError) as caught:
        files_of([("mine.zip", data)] if isinstance(data, bytes) else data)
    error = caught.value
    assert error.code in SENTENCES and "\n" not in str(error) and str(error).endswith(".")
    return error


def test_the_folder_around_all_files_and_what_a_mac_adds_are_left_out() -> None:
    files = {
        "mine/cat.png": b"1", "mine/cat.txt": b"2", "__MACOSX/mine/._cat.png": b"3", "mine/.DS_Store": b"4",
        "mine/more/": b"", "mine/more/dog.png": b"5",
    }  # fmt: skip
    expected = {"cat.png": b"1", "cat.txt": b"2", "more/dog.png": b"5"}
    assert unpacked(packed(files)) == expected
    assert files_of([file for file in files.items() if not file[0].endswith("/")]) == expected, (
        "the files of a folder alike"
    )
    assert files_of([("a/b/cat.png", b"1")]) == {"cat.png": b"1"}
    assert unpacked(packed({"mine\\cat.png": b"1", "mine\\cat.txt": b"2"})) == {"cat.png": b"1", "cat.txt": b"2"}


@pytest.mark.parametrize("name", ["/etc/passwd", "../cat.png", "a/../../cat.png", "C:/cat.png", "..\\cat.png"])
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str) -> None:
    for data in (packed({"cat.txt": b"", name: b""}), [("cat.txt", b""), (name, b"")]):
        assert refused(data).code == "archive-name"


def test_a_bomb_is_not_unpacked_further_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploaded_examples, "MAX_BYTES", 3_000_000)
    bomb = packed({"cat.png": bytes(5_000_000)})
    assert len(bomb) < 10_000 and refused(bomb).code == "archive-large"
    many = packed({f"{k}.png": bytes(1_000_000) for k in range(4)})
    assert refused(many).code == "archive-large", "all files together count"
    assert len(unpacked(packed({f"{k}.png": bytes(1_000_000) for k in range(3)}))) == 3
    assert refused([(f"{k}.png", bytes(1_000_000)) for k in range(4)]).code == "archive-large"
    # one that claims to be small: the size in its directory is 1 byte
    place = bomb.rindex(b"PK\x01\x02") + 24
    liar = bomb[:place] + (1).to_bytes(4, "little") + bomb[place + 4 :]
    assert refused(liar).code in ("archive-large", "archive-unreadable")


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploaded_examples, "MAX_FILES", 2)
    files = {f"{k}.txt": b"" for k in range(3)}
    assert refused(packed(files)).code == refused(list(files.items())).code == "archive-many"


def test_a_zip_file_within_a_zip_file_stays_packed() -> None:
    inner = packed({"cat.png": image_bytes()})
    files = unpacked(packed({"cat.txt": b"who?", "inner.zip": inner}))
    assert files["inner.zip"] == inner
    cat, other = load_uploaded(files, "folder", make_sample)
    assert cat.id == "cat" and other.id == "inner.zip" and error_of(other).code == "examples-ending"


def test_damaged_and_unusual_archives_are_refused() -> None:
    whole = packed({"cat.png": image_bytes(), "cat.txt": b"who?"})
    for data in (b"", b"PK", whole[:-30], whole[:60] + bytes(20) + whole[80:], b"no archive"):
        assert refused(data).code == "archive-unreadable"
    lzma = packed({"cat.txt": b"who?"}, zipfile.ZIP_LZMA)
    assert "compression" in str(refused(lzma))
    place = whole.index(b"PK\x01\x02") + 8
    assert "password" in str(refused(whole[:place] + b"\x01" + whole[place + 1 :]))
    link = zipfile.ZipInfo("cat.png")
    link.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "a link" in str(refused(buffer.getvalue()))
    assert refused([("a.zip", whole), ("cat.png", b"")]).code == "archive-mixed"


def test_two_files_of_one_name_are_refused() -> None:
    names = [unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD")]
    assert refused(packed(dict.fromkeys(names, b"1"))).code == "archive-twice"
    assert refused([("a.png", b""), ("a.png", b"")]).code == "archive-twice"


def error_of(example: Example) -> MmvizError:
    with pytest.raises(MmvizError) as caught:
        example.sample()
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    return caught.value


FILES = {
    "cat.png": image_bytes(), "cat.wav": wav(), "cat.txt": "what is it?\n".encode("utf-16"), "cat.answer.txt": b"cat",
    "cat.places.json": b'{"image": [[1, 2, 10, 12]]}', "dog.png": image_bytes(), "dog.jpg": image_bytes("JPEG"),
    "film.avi": b"no film", "owl.txt": b"\xff who", "sub/x.png": image_bytes(), ".hidden.png": b"",
}  # fmt: skip


def summary(examples: tuple[Example, ...]) -> list[tuple[object, ...]]:
    """Returns what a loader made of the files, but the form in which it keeps them."""
    return [
        (
            e.id,
            e.question,
            e.truth,
            e.places,
            e.image is None,
            e.audio is None,
            e.error and (e.error.code, str(e.error)),
        )
        for e in examples
    ]


@pytest.mark.parametrize(
    "listing",
    [
        {},
        {"examples.json": [{"id": "a", "image": "sub/x.png", "truth": "owl"}, {"image": "../secret.png"}, {"text": 3}]},
        {"examples.json": [{"image": "gone.png"}, {"image": "sub/../cat.png", "text": "who?"}]},
    ],
)
def test_files_in_memory_are_the_examples_that_they_are_on_disk(tmp_path: Path, listing: dict[str, object]) -> None:
    files = FILES | {name: json.dumps(entries).encode() for name, entries in listing.items()}
    (tmp_path / "secret.png").write_bytes(image_bytes())
    folder = tmp_path / "folder"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    on_disk, in_memory = load_examples(folder), load_uploaded(files, "folder", make_sample)
    assert summary(on_disk) == summary(in_memory) and len(on_disk) > 1
    for example, other in zip(on_disk, in_memory, strict=True):
        if example.error is None:
            assert example.sample().text == other.sample().text and isinstance(other.image, bytes | None)
    assert image_bytes() not in str(in_memory).encode() and "IHDR" not in repr(in_memory), "no content in a log"


def test_the_sample_is_read_by_what_was_named() -> None:
    read_with: list[tuple[object, ...]] = []

    def read(image: object, text: str | None, audio: object) -> Sample:
        read_with.append((image, text, audio))
        return make_sample(text="read")

    (cat,) = load_uploaded({"cat.png": b"1", "cat.wav": b"2"}, "folder", read)
    assert not read_with and cat.sample().text == "read" and read_with == [(b"1", None, b"2")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_lists_examples(tmp_path: Path, delimiter: str) -> None:
    rows = [
        ["Id", "image", "audio", "text", "truth", "places", "notes"],
        ["a", "cat.png", "cat.wav", '"what, is it; now?"', "cat", '"{""audio"": [[0.1, 0.2]]}"', "mine"],
        ["", "cat.png", "", "", "", '"{""image"": [1, 2, 10, 12]}"', ""],
        ["c", "", "", "who?", "", "", "", "too", "many"],
        [],
        ["d", "gone.png"],
        ["e", "cat.png", "", "", "", "[[", ""],
    ]
    text = "\ufeff" + "\r\n".join(delimiter.join(row) for row in rows)
    files = {"cat.png": image_bytes(), "cat.wav": wav(), "examples.csv": text.encode()}
    first, second, wide, gone, wrong = load_uploaded(files, "folder", make_sample)
    assert (first.id, first.question, first.truth) == ("a", "what, is it; now?", "cat")
    assert first.places == (Seconds(0.1, 0.2),) and first.sample().audio is not None
    assert second.id == "2" and second.places == (PixelBox(1, 2, 10, 12),) and second.sample().text is None
    assert error_of(wide).code == "examples-row" and "9 cells" in str(wide.error)
    assert error_of(gone).code == "examples-file" and error_of(wrong).code == "examples-places"
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert summary(load_examples(tmp_path)) == summary((first, second, wide, gone, wrong))


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"a,b\n1,2", b"image,image\na.png,b.png", b"\xff\xfeimage", b"image\0\n", b'"' * 200_000],
)
def test_a_table_that_is_none_is_refused_with_one_sentence(data: bytes) -> None:
    with pytest.raises(MmvizError) as caught:
        load_uploaded({"examples.csv": data, "cat.png": image_bytes()}, "folder", make_sample)
    assert caught.value.code == "examples-csv" and str(caught.value).count(".") >= 2 and "\n" not in str(caught.value)


def test_json_comes_before_the_table() -> None:
    files = {"examples.json": b'[{"text": "json"}]', "examples.csv": b"text\ncsv"}
    (only,) = load_uploaded(files, "folder", make_sample)
    assert only.question == "json"
    with pytest.raises(MmvizError, match="no examples"):
        load_uploaded({"notes.md": b""}, "folder", make_sample)
