"""The page over HTTPS behind its access token, in a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import Browser
from real_page import PATIENCE, ROOT, VIEWER, settle

TOKEN = "the-token-of-this-class"


def _certificate(folder: Path) -> tuple[Path, Path]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


def _until_it_listens(port: int, app: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE / 1000
    context = ssl._create_unverified_context()  # the certificate is our own
    while time.monotonic() < end and app.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as found, context.wrap_socket(found):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the app does not answer")


def test_over_https_the_page_opens_for_the_token_and_the_browser_lends_its_microphone(
    browser: Browser, tmp_path: Path
) -> None:
    cert, key = _certificate(tmp_path)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mmviz.cli", "app", "--host", "localhost", "--port", str(port), "--headless",
        "--tls-cert", str(cert), "--tls-key", str(key), "--access-token-file", str(token),
    ]  # fmt: skip
    app = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    context = browser.new_context(ignore_https_errors=True, permissions=["microphone"])
    try:
        _until_it_listens(port, app)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"https://localhost:{port}")
        asked = page.get_by_role("textbox", name="Access token")
        asked.fill("not-this-token-at-all")
        asked.press("Enter")
        page.get_by_text("not the access token").wait_for()
        assert page.locator(VIEWER).count() == 0
        asked.fill(TOKEN)
        asked.press("Enter")
        page.locator(f"{VIEWER}[data-ready=true]").wait_for()
        settle(page)
        assert page.evaluate("isSecureContext")
        assert page.evaluate("navigator.mediaDevices.getUserMedia({audio: true}).then(found => found.active)")
    finally:
        context.close()
        os.killpg(app.pid, 15)
        said = app.stdout.read().decode() if app.stdout else ""
        app.wait(30)
    assert TOKEN not in said and "token" in said
