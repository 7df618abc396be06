"""A photograph and a person's voice in a real browser: the microphone of Chromium hears a recording of a word."""

from __future__ import annotations

import re
import wave
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import LAUNCH, PATIENCE, VIEWER, close_popover, empty_form, press, settle  # noqa: E402

from mmviz.assets_path import assets_dir  # noqa: E402
from mmviz.i18n.page import say  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.pages]
GALLERY = assets_dir() / "gallery"
QUIET = 0.8
"""Seconds before the word, in which the recording begins."""


@pytest.fixture
def microphone(tmp_path: Path) -> Path:
    """What the microphone hears, once: a moment of silence, a person who says "star", silence."""
    with wave.open(str(GALLERY / "voices" / "star.wav")) as voice:
        rate, word = voice.getframerate(), voice.readframes(voice.getnframes())
    silence = bytes(2 * int(rate * QUIET))
    with wave.open(str(tmp_path / "microphone.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(silence + word + 3 * silence)
    return tmp_path / "microphone.wav"


def test_a_photograph_is_named_and_a_spoken_word_understood(
    browser: sync_api.Browser, chromium: str, server: str, microphone: Path
) -> None:
    recording = f"--use-file-for-fake-audio-capture={microphone}%noloop"
    with browser.browser_type.launch(executable_path=chromium, args=[*LAUNCH, recording]) as hearing:
        page = hearing.new_context(permissions=["microphone"]).new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(server)
        page.locator(f"{VIEWER}[data-ready=true]").wait_for()
        settle(page)
        empty_form(page)
        photograph = GALLERY / "photographs" / "owl.webp"
        page.locator(".st-key-image-sources [data-testid=stFileUploaderDropzoneInput]").set_input_files(photograph)
        sync_api.expect(page.locator(".st-key-image-line .source")).to_have_text(say("source-own"), timeout=PATIENCE)
        press(page, "Record")
        device = page.get_by_test_id("stAudioInput")
        device.get_by_role("button", name="Record", exact=True).click()
        time = device.get_by_test_id("stAudioInputWaveformTimeCode")
        sync_api.expect(time).to_have_text(re.compile("00:0[2-9]"), timeout=PATIENCE)
        device.get_by_role("button", name="Stop recording").click()
        sync_api.expect(page.locator(".st-key-audio-line .source")).to_have_text(say("source-own"), timeout=PATIENCE)
        settle(page)
        close_popover(page, device)
        for question, answer in (("What was said?", "star"), ("What is in the picture?", "owl")):
            page.get_by_role("textbox", name="Text").fill(question)
            press(page, "Run")
            sync_api.expect(page.locator(".answer .word")).to_have_text(answer, timeout=PATIENCE)
        assert page.locator(".note.error").count() == 0
