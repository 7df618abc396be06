"""The page under names that it does not answer to, and behind proxies, in a real browser: never an empty page."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import Browser, Page, expect
from processes import ROOT, Server, free_port, running_server, wait_until
from real_page import PATIENCE, VIEWER, settle, unfold
from reverse_proxy import nginx_default, nginx_documented, nginx_upgrading, reverse_proxy

from mmviz.app.host_refusal import NGINX
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.language import use_language
from mmviz.i18n.page import say

pytestmark = pytest.mark.long

TOKEN = "the-token-of-this-class"
LAYER = "#mmviz-refusal"


@contextmanager
def serving_hosts(hosts: Sequence[str], folder: Path) -> Iterator[tuple[Server, int]]:
    """Yields ``mmviz app`` with these ``--host``, and its port."""
    (folder / "token").write_text(TOKEN)
    port = free_port()
    command = [
        sys.executable, "-m", "mmviz.cli", "app", "--port", str(port), "--headless",
        "--access-token-file", str(folder / "token"), *(f"--host={host}" for host in hosts),
    ]  # fmt: skip
    with running_server(command, f"http://localhost:{port}/_stcore/health") as server:
        yield server, port


@pytest.fixture(scope="module")
def open_to_all(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int]]:
    with serving_hosts(["0.0.0.0"], tmp_path_factory.mktemp("all")) as serving:
        yield serving


@pytest.fixture(scope="module")
def behind_proxy(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int]]:
    with serving_hosts(["127.0.0.1", "lab.example"], tmp_path_factory.mktemp("proxy")) as serving:
        yield serving


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    context.close()


def _enter(page: Page) -> None:
    """Enters the access token, and waits until the page is complete."""
    field = page.get_by_role("textbox", name=say("login"))
    field.fill(TOKEN)
    field.press("Enter")
    page.locator(f"{VIEWER}[data-ready=true]").wait_for()
    settle(page)


def test_under_a_name_not_given_the_page_and_the_terminal_say_which_line_to_type(
    visitor: Page, open_to_all: tuple[Server, int]
) -> None:
    server, port = open_to_all
    for _ in range(2):
        visitor.goto(f"http://lab.example:{port}")
        expect(visitor.locator(LAYER)).to_contain_text("mmviz app --host lab.example", timeout=PATIENCE)
    assert sentence("refused-name", visitor="lab.example") in visitor.locator(LAYER).inner_text()
    visitor.goto(f"http://lab.example:{port}/?lang=zh")
    with use_language("zh"):
        expect(visitor.locator(LAYER)).to_contain_text(sentence("refused-name", visitor="lab.example"))
    assert server.output().count("--host lab.example") == 1


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost"])
def test_under_an_address_in_figures_the_page_opens(host: str, visitor: Page, open_to_all: tuple[Server, int]) -> None:
    visitor.goto(f"http://{host}:{open_to_all[1]}")
    visitor.get_by_role("textbox", name=say("login")).wait_for()
    assert visitor.locator(LAYER).count() == 0


def test_behind_a_proxy_that_renames_the_page_it_says_what_to_do(
    visitor: Page, open_to_all: tuple[Server, int]
) -> None:
    server, port = open_to_all
    with reverse_proxy(port, nginx_upgrading) as proxy:
        visitor.goto(f"http://lab.example:{proxy}")
        layer = visitor.locator(LAYER)
        expect(layer).to_contain_text("mmviz app --host lab.example", timeout=PATIENCE)
        assert sentence("refused-proxy", visitor="lab.example", host="127.0.0.1") in layer.inner_text()
        assert NGINX in layer.inner_text()
    words = sentence("app-refused-proxy", visitor="lab.example", host="127.0.0.1")
    assert server.output().count(words) == 1


def test_behind_a_proxy_without_websockets_the_page_and_the_terminal_say_what_to_do(
    visitor: Page, behind_proxy: tuple[Server, int]
) -> None:
    server, port = behind_proxy
    with reverse_proxy(port, nginx_default) as proxy:
        visitor.goto(f"http://lab.example:{proxy}")
        expect(visitor.locator(LAYER)).to_contain_text(sentence("refused-websocket"), timeout=PATIENCE)
        assert NGINX in visitor.locator(LAYER).inner_text()
    wait_until(lambda: server.output().count(sentence("app-refused-websocket")) == 1, "the terminal said nothing")


@pytest.mark.parametrize("change", [nginx_upgrading, nginx_documented])
def test_behind_a_proxy_under_a_name_given_the_page_works_with_uploads(
    change: object, visitor: Page, behind_proxy: tuple[Server, int]
) -> None:
    with reverse_proxy(behind_proxy[1], change) as proxy:  # type: ignore[arg-type]
        visitor.goto(f"http://lab.example:{proxy}")
        _enter(visitor)
        visitor.locator("input[type=file]").first.set_input_files(ROOT / "assets" / "gallery" / "caption.webp")
        visitor.locator(".source").get_by_text(say("source-own"), exact=True).first.wait_for()
        assert visitor.locator(LAYER).count() == 0


def test_over_plain_http_a_sentence_stands_in_for_camera_and_microphone(
    visitor: Page, behind_proxy: tuple[Server, int]
) -> None:
    with reverse_proxy(behind_proxy[1], nginx_documented) as proxy:
        visitor.goto(f"http://lab.example:{proxy}")
        _enter(visitor)
        assert not visitor.evaluate("isSecureContext")
        unfold(visitor, "own")
        for modality in ("image", "audio"):
            visitor.locator(f".st-key-{modality}-popover button:visible").click()
            visitor.get_by_text(say(f"{modality}-live-insecure")).wait_for()
            visitor.keyboard.press("Escape")
        assert visitor.locator("[data-testid=stCameraInput], [data-testid=stAudioInput]").count() == 0


def test_the_page_listens_on_ipv6_where_it_is_told_to(visitor: Page, tmp_path: Path) -> None:
    with serving_hosts(["::"], tmp_path) as (server, port):
        for host in ("[::1]", "127.0.0.1"):
            visitor.goto(f"http://{host}:{port}")
            visitor.get_by_role("textbox", name=say("login")).wait_for()
        assert sentence("app-addresses", addresses="http") in server.output()
