"""The visitor's own inputs in a real browser: files, a photo and a recording are run, and figures follow the token."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sync_api = pytest.importorskip("playwright.sync_api")

from audio_files import encoded, muxed, tone  # noqa: E402
from real_page import (  # noqa: E402
    AUDIO,
    IMAGE,
    PATIENCE,
    changed,
    close_popover,
    drawn,
    empty_form,
    panel_text,
    press,
    settle,
    until,
    viewer_state,
)

from mmviz.i18n.page import say  # noqa: E402

pytestmark = pytest.mark.slow


def upload(page: sync_api.Page, file: Path) -> None:
    """Gives a file to the uploader of its kind, and waits until the form has it; before, a run has the old one."""
    modality = "image" if file.suffix in (".png", ".gif") else "audio"
    page.locator(f".st-key-{modality}-sources [data-testid=stFileUploaderDropzoneInput]").set_input_files(file)
    page.locator(f"[data-testid=stFileChipName][title='{file.name}']").wait_for()
    sync_api.expect(page.locator(f".st-key-{modality}-line .source")).to_have_text(say("source-own"), timeout=PATIENCE)
    sync_api.expect(page.locator(".answer")).to_contain_text(say("changed"), timeout=PATIENCE)
    settle(page)


def submit(page: sync_api.Page, text: str) -> None:
    page.get_by_role("textbox", name="Text").fill(text)
    press(page, "Run")


def source(page: sync_api.Page, modality: str) -> str:
    """Returns where a modality comes from, as the form says."""
    return page.locator(f".st-key-{modality}-line .source").inner_text()


def click_inside(page: sync_api.Page, panel: str, across: float, down: float) -> None:
    """Clicks into a panel and moves the pointer away again."""
    canvas = page.locator(f"{panel} canvas").first
    box = canvas.bounding_box()
    assert box is not None
    canvas.click(position={"x": box["width"] * across, "y": box["height"] * down})
    page.mouse.move(0, 0)


@pytest.mark.pages
def test_uploads_are_run_and_the_figures_follow_the_pinned_token(
    visit_to: Callable[..., sync_api.Page], server: str, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    (tmp_path / "mine.wav").write_bytes(encoded(tone(440, 44_100), 44_100))
    page = visit_to(server)
    gallery_image, gallery_audio = drawn(page, IMAGE), drawn(page, AUDIO)

    empty_form(page)
    upload(page, tmp_path / "mine.png")
    upload(page, tmp_path / "mine.wav")
    submit(page, "is there a dog in the picture?")
    image, audio = changed(page, IMAGE, gallery_image), changed(page, AUDIO, gallery_audio)
    assert page.locator(".answer .word").inner_text().strip()
    assert "computed on" in page.locator(".answer").inner_text()
    assert "44,100 Hz" in (page.locator(".note.notice").text_content() or "")
    before = panel_text(page)
    assert "dog" in before

    click_inside(page, IMAGE, 0.35, 0.45)
    from_patch = changed(page, IMAGE, image)
    page.locator(".heading", has_text="“patch").first.wait_for()
    page.wait_for_url(f"**query={viewer_state(page)['tokens']}&**")
    assert panel_text(page) != before
    from_patch_audio = changed(page, AUDIO, audio)

    page.keyboard.press("Escape")
    changed(page, IMAGE, from_patch)
    click_inside(page, AUDIO, 0.5, 0.5)
    changed(page, AUDIO, from_patch_audio)
    page.wait_for_url(f"**query={viewer_state(page)['tokens']}&**")
    page.locator(".heading", has_text=" s”").first.wait_for()


def test_a_change_outside_a_fragment_is_drawn_with_one_inside_it(
    visit_to: Callable[..., sync_api.Page], server: str
) -> None:
    page = visit_to(server)
    assert page.locator(".st-key-panel-own").is_hidden()
    page.evaluate(
        """() => [".st-key-talk summary", ".st-key-panel-own-toggle button"].forEach(name =>
            document.querySelector(name).click())"""
    )
    page.locator(".st-key-talk-add-view").wait_for()
    page.locator(".st-key-panel-own").wait_for()

    press(page, say("page-debug"))
    page.locator(".st-key-section-audit button:visible").click()
    page.locator(".st-key-averages-start").wait_for(state="attached")  # it is folded away
    settle(page)
    page.evaluate(
        """() => [".st-key-averages-start button", ".st-key-panel-own-toggle button"].forEach(name =>
            document.querySelector(name).click())"""
    )
    page.locator(".st-key-panel-own").wait_for(state="hidden")
    page.locator("[class*=st-key-experiment-progress]").wait_for(state="attached")


@pytest.mark.pages
def test_a_gif_and_recordings_of_phones_and_browsers_run(
    visit_to: Callable[..., sync_api.Page], server: str, tmp_path: Path
) -> None:
    frames = [Image.new("RGB", (90, 60), colour) for colour in ("navy", "orange", "teal")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=100)
    (tmp_path / "phone.m4a").write_bytes(muxed(tone(440, 44_100), 44_100, "ipod"))
    (tmp_path / "browser.webm").write_bytes(muxed(tone(660, 48_000), 48_000, "webm", "libopus"))
    page = visit_to(server)
    before_image, before_audio = drawn(page, IMAGE), drawn(page, AUDIO)
    empty_form(page)
    upload(page, tmp_path / "moving.gif")
    upload(page, tmp_path / "phone.m4a")
    submit(page, "what was said?")
    changed(page, IMAGE, before_image)
    phone = changed(page, AUDIO, before_audio)
    notice = page.locator(".note.notice").text_content() or ""
    assert "of 3" in notice and "90 x 60" in notice and "44,100 Hz" in notice
    upload(page, tmp_path / "browser.webm")
    press(page, "Run")
    changed(page, AUDIO, phone)
    assert "48,000 Hz" in (page.locator(".note.notice").text_content() or "")
    assert page.locator(".note.error").count() == 0


@pytest.mark.pages
def test_a_photo_is_taken_and_run(visit_to: Callable[..., sync_api.Page], server: str) -> None:
    page = visit_to(server)
    before = drawn(page, IMAGE)
    empty_form(page)
    press(page, "Camera")
    shutter = page.get_by_test_id("stCameraInputButton")
    sync_api.expect(shutter).to_be_enabled(timeout=PATIENCE)
    page.wait_for_function("document.querySelector('[data-testid=stCameraInput] video')?.videoWidth > 0")

    def photo_is_taken() -> bool:
        if shutter.inner_text() == "Take Photo":  # a click before the first frame takes none
            shutter.click()
        return shutter.inner_text() == "Clear photo"

    until(page, photo_is_taken)
    settle(page)
    width, height = page.evaluate(
        "async () => { const photo = document.querySelector('[data-testid=stCameraInput] img'); await photo.decode();"
        " return [photo.naturalWidth, photo.naturalHeight] }"
    )
    # the form knows of it once it has been sent
    sync_api.expect(page.locator(".st-key-image-line .source")).to_have_text(say("source-own"), timeout=PATIENCE)
    close_popover(page, page.get_by_test_id("stCameraInput"))
    assert source(page, "image") == say("source-own") and source(page, "audio") == say("source-none")
    press(page, "Run")
    changed(page, IMAGE, before)
    assert f"The image is {width} x {height}" in (page.locator(".note.notice").text_content() or "")
    assert page.locator(".answer .unknown").count() == 1 and page.locator(".note.error").count() == 0
    assert page.locator(f"{IMAGE} [data-token]").count() >= 144, "its patches can be reached"


@pytest.mark.pages
def test_a_recording_is_made_and_run(visit_to: Callable[..., sync_api.Page], server: str) -> None:
    page = visit_to(server)
    before = drawn(page, AUDIO)
    empty_form(page)
    press(page, "Record")
    device = page.get_by_test_id("stAudioInput")
    device.get_by_role("button", name="Record", exact=True).click()
    device.get_by_role("button", name="Stop recording").wait_for()
    length = device.get_by_test_id("stAudioInputWaveformTimeCode")
    sync_api.expect(length).to_have_text(re.compile("00:(0[2-9]|1.)"), timeout=PATIENCE)  # a second may pass unseen
    device.get_by_role("button", name="Stop recording").click()
    page.wait_for_function("document.querySelector('.st-key-audio-line .source').innerText === 'yours'")
    settle(page)
    close_popover(page, device)
    press(page, "Run")
    changed(page, AUDIO, before)
    seconds = re.findall(r"/ ([0-9.]+) s", page.locator(AUDIO).inner_text())
    assert len(seconds) == 1 and 1.0 < float(seconds[0]) < 30, "the waveform is as long as the recording"
    assert not any("silen" in notice for notice in page.locator(".note.notice").all_text_contents()), (
        "the microphone beeps"
    )
    assert page.locator(".answer .unknown").count() == 1 and page.locator(".note.error").count() == 0
