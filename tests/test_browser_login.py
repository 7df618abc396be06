"""The page over HTTPS behind its login, in a real browser."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import Browser
from processes import free_port, running_server
from real_page import PATIENCE, VIEWER, settle, unfold

from mmviz.i18n.page import say

pytestmark = pytest.mark.long

TOKEN = "the-token-of-this-class"


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Returns the files of a self-signed certificate and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True, timeout=60)
    return cert, key


def test_over_https_the_page_opens_for_the_token_and_the_microphone_can_be_used(
    browser: Browser, tmp_path: Path
) -> None:
    cert, key = _certificate(tmp_path)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    url = f"https://localhost:{(port := free_port())}"
    command = [
        sys.executable, "-m", "mmviz.cli", "app", "--host", "localhost", "--port", str(port), "--headless",
        "--tls-cert", str(cert), "--tls-key", str(key), "--access-token-file", str(token),
    ]  # fmt: skip
    context = browser.new_context(ignore_https_errors=True, permissions=["microphone"])
    try:
        with running_server(command, f"{url}/_stcore/health") as server:
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            page.goto(url)
            field = page.get_by_role("textbox", name=say("login"))
            field.fill("not-this-token-at-all")
            field.press("Enter")
            page.get_by_text(say("login-wrong")).wait_for()
            assert page.locator(VIEWER).count() == 0
            field.fill(TOKEN)
            field.press("Enter")
            page.locator(f"{VIEWER}[data-ready=true]").wait_for()
            settle(page)
            assert page.evaluate("isSecureContext")
            assert page.evaluate("navigator.mediaDevices.getUserMedia({audio: true}).then(media => media.active)")
            unfold(page, "own")
            page.locator(".st-key-audio-popover button:visible").click()
            page.locator("[data-testid=stAudioInput]:visible").wait_for()
            assert page.get_by_text(say("audio-live-insecure")).count() == 0
            output = server.output()
    finally:
        context.close()
    assert TOKEN not in output and "token" in output
