"""Files of other people in a real browser: each is taken, or refused in words at the place where it was dropped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

sync_api = pytest.importorskip("playwright.sync_api")

from audio_files import encoded, muxed, tone  # noqa: E402
from real_page import PATIENCE, empty_form, press, serving, settle, unfold, until  # noqa: E402

from mmviz.app.server_setup import app_options  # noqa: E402
from mmviz.i18n.input_messages import INPUT_SENTENCES  # noqa: E402
from mmviz.i18n.language import use_language  # noqa: E402
from mmviz.i18n.page import say  # noqa: E402
from mmviz.inputs.audio_formats import AUDIO_SUFFIXES  # noqa: E402
from mmviz.inputs.image_formats import IMAGE_SUFFIXES  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.pages]
pillow_heif.register_heif_opener()
LARGE = 60_000_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with one file of each kind; the large ones hold nothing on the disk."""
    folder = tmp_path_factory.mktemp("files")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8))
    image.save(folder / "phone.heic", "HEIF")
    image.save(folder / "noending", "JPEG")
    image.save(folder / "wrong.txt", "AVIF")
    (folder / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "video.mkv").write_bytes(muxed(tone(440, 48_000), 48_000, "matroska", "flac", video="libvpx"))
    (folder / "recording").write_bytes(encoded(tone(440, 16_000), 16_000))
    for name in ("long.wav", "huge.tif"):
        with (folder / name).open("wb") as file:
            file.truncate(LARGE)
    yield folder
    for name in ("long.wav", "huge.tif"):
        (folder / name).unlink()


def uploader(page: sync_api.Page, modality: str) -> sync_api.Locator:
    return page.locator(f".st-key-{modality}-sources [data-testid=stFileUploaderDropzone]")


def drop(page: sync_api.Page, modality: str, file: Path) -> None:
    """Drags a file from the system onto an uploader and lets it go."""
    unfold(page, "own")
    uploader(page, modality).hover(trial=True)  # once it has stopped moving, and nothing covers it
    box = uploader(page, modality).bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})
    session.detach()


def choose(page: sync_api.Page, modality: str, file: Path) -> None:
    """Chooses a file in the dialogue of an uploader."""
    uploader(page, modality).locator("input").set_input_files(file)


def column(page: sync_api.Page, modality: str) -> sync_api.Locator:
    return page.locator("[data-testid=stColumn]", has=page.locator(f".st-key-{modality}-sources")).last


def refusal(page: sync_api.Page, modality: str, other_than: str = "") -> str:
    """Waits for the words below an uploader, other than those of the file before, and returns them."""
    words = column(page, modality).locator(".note.refused")
    words.wait_for(timeout=PATIENCE)
    until(page, lambda: words.all_inner_texts() not in ([], [other_than]))
    settle(page)
    return words.inner_text()


def is_taken(page: sync_api.Page, modality: str, name: str) -> None:
    """Waits until a file is in the form, and checks that nothing is said against it."""
    chip = uploader(page, modality).locator(f"[data-testid=stFileChipName][title='{name}']")
    chip.wait_for(timeout=PATIENCE)
    sync_api.expect(page.locator(f".st-key-{modality}-line .source")).to_have_text(say("source-own"), timeout=PATIENCE)
    settle(page)
    assert page.locator(".note.refused").count() == 0
    assert uploader(page, modality).locator("[aria-invalid]").count() == 0


def test_files_of_phones_and_without_an_ending_are_taken(
    visit_to: Callable[..., sync_api.Page], server: str, files: Path
) -> None:
    page = visit_to(server)
    unfold(page, "own")
    for modality, endings in (("image", IMAGE_SUFFIXES), ("audio", AUDIO_SUFFIXES)):
        with page.expect_file_chooser() as chooser:
            uploader(page, modality).locator("button").first.click()
        accepted = chooser.value.element.get_attribute("accept") or ""
        assert endings <= set(accepted.split(",")), "the chooser suggests every ending that is read"

    empty_form(page)
    for give, name in ((drop, "phone.heic"), (choose, "noending"), (drop, "wrong.txt")):
        give(page, "image", files / name)
        is_taken(page, "image", name)
    for give, name in ((choose, "video.mkv"), (drop, "recording")):
        give(page, "audio", files / name)
        is_taken(page, "audio", name)
    page.get_by_role("textbox", name="Text").fill("what was said?")
    press(page, "Run")
    sync_api.expect(page.locator(".answer")).to_contain_text("computed on", timeout=PATIENCE)
    sync_api.expect(page.locator(".note.notice")).to_contain_text("160 x 120")
    assert page.locator(".note.error").count() == 0


@pytest.mark.parametrize(
    ("modality", "refused"),
    [
        ("image", [(choose, "drawing.svg", "SVG"), (drop, "video.mkv", "no video"), (choose, "huge.tif", "57 MB")]),
        ("audio", [(drop, "long.wav", "57 MB"), (choose, "drawing.svg", "")]),
    ],
)
def test_a_refused_file_is_refused_in_words_and_no_run_answers_without_it(
    visit_to: Callable[..., sync_api.Page], server: str, files: Path, modality: str,
    refused: list[tuple[Callable[..., None], str, str]],
) -> None:  # fmt: skip
    page = visit_to(server)
    empty_form(page)
    before = page.locator(".answer .word").inner_text()
    text = ""
    for give, name, words in refused:
        give(page, modality, files / name)
        uploader(page, modality).locator(f"[title='{name}']").wait_for(timeout=PATIENCE)  # the file is named
        text = refusal(page, modality, other_than=text)
        assert words in text and text.endswith(".")
        assert page.locator(".note.refused").count() == 1
        assert uploader(page, modality).locator(f"[title='{name}']").count() == 1
        assert "not allowed" not in page.content() and "or smaller" not in page.content(), "Streamlit's own words"
        assert page.get_by_text("Drag and drop").count() == 0, "the drawing of a file that hovers has ended"

    page.get_by_role("textbox", name="Text").fill("what was said?")
    press(page, "Run")
    error = page.locator(".note.error")
    error.wait_for(timeout=PATIENCE)
    settle(page)
    assert "Nothing was run" in error.inner_text() and text in error.inner_text()
    assert (
        page.locator(".answer .word").inner_text() == before and say("changed") in page.locator(".answer").inner_text()
    )

    page.locator(f".st-key-use-{modality} label").first.click()
    page.locator(".note.refused").wait_for(state="detached", timeout=PATIENCE)
    press(page, "Run")
    error.wait_for(state="detached", timeout=PATIENCE)
    sync_api.expect(page.locator(".answer")).to_contain_text("computed on", timeout=PATIENCE)


def test_a_file_that_is_dropped_while_the_page_is_drawn_again_is_taken(
    visit_to: Callable[..., sync_api.Page], chromium: str, files: Path
) -> None:
    with serving(Path(__file__).with_name("interrupted_app.py")) as address:
        page = visit_to(address)
        empty_form(page)
        for give, name in ((drop, "phone.heic"), (choose, "noending")):
            give(page, "image", files / name)
            is_taken(page, "image", name)
        page.context.close()  # before its server is gone


def test_addresses_of_uploads_outlast_the_messages_of_a_drawing() -> None:
    app_options()
    for options, expected in (
        ({"retain_lifecycle_msgs": True}, ["new_session", "file_urls_response"]),
        ({"retain_lifecycle_msgs": True, "fragment_ids_this_run": ["a"]}, ["new_session", "file_urls_response"]),
        ({}, []),
    ):
        queue = ForwardMsgQueue()
        for name in ("new_session", "file_urls_response", "delta"):
            message = ForwardMsg()
            getattr(message, name).SetInParent()
            if name == "delta":
                message.delta.fragment_id = "a"
            queue.enqueue(message)
        queue.clear(**options)
        assert [message.WhichOneof("type") for message in queue.flush()] == expected


def test_a_refused_file_gives_way_to_the_next_one(
    visit_to: Callable[..., sync_api.Page], server: str, files: Path
) -> None:
    page = visit_to(server)
    empty_form(page)
    drop(page, "image", files / "huge.tif")
    refusal(page, "image")
    drop(page, "image", files / "phone.heic")
    page.locator(".note.refused").wait_for(state="detached", timeout=PATIENCE)
    is_taken(page, "image", "phone.heic")
    drop(page, "image", files / "huge.tif")
    refusal(page, "image")
    page.get_by_role("button", name="Remove huge.tif").last.click()  # the one before is still listed, and not used
    page.locator(".note.refused").wait_for(state="detached", timeout=PATIENCE)
    is_taken(page, "image", "phone.heic")
    assert column(page, "image").locator(".note.remark").inner_text() == say("only-last-image", count=2)


def test_refusals_are_chinese_on_the_chinese_page(
    visit_to: Callable[..., sync_api.Page], server: str, files: Path
) -> None:
    page = visit_to(f"{server}/?lang=zh")
    drop(page, "image", files / "drawing.svg")
    first = refusal(page, "image")
    drop(page, "audio", files / "long.wav")
    texts = first, refusal(page, "audio")
    with use_language("zh"):
        until(page, lambda: page.locator(".note.refused").count() == 2)
        assert "SVG" in texts[0] and "57 MB" in texts[1]
        assert all(not re.search("[a-z]{4}", text.replace("mmviz", "")) for text in texts)
    assert texts[0] != INPUT_SENTENCES["image-format"]


def test_an_upload_that_does_not_arrive_is_said_at_the_uploader(
    browser: sync_api.Browser, server: str, files: Path
) -> None:
    context = browser.new_context()  # of its own, since the console holds the error that is provoked here
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(server)
    page.locator(".answer .word").wait_for()
    settle(page)
    page.route("**/_stcore/upload_file/**", lambda route: route.abort())
    unfold(page, "own")
    choose(page, "image", files / "phone.heic")
    zone = uploader(page, "image")
    zone.locator("[aria-invalid=true]").wait_for()
    words = zone.evaluate("zone => getComputedStyle(zone, '::after').content")
    context.close()
    assert words.strip('"') == say("drop-failed")
