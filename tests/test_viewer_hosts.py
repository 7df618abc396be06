"""The standalone document where it is not opened as it was meant: without scripts, behind a strict server, saved."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from made_up_tokens import ANSWER, PIXELS, WAVE, patches  # noqa: E402
from real_page import PATIENCE, serving  # noqa: E402
from records import PAIR, frames, record, words  # noqa: E402
from viewer_page import ROOT, ViewerPage, amounts, collect_errors  # noqa: E402

from mmviz.explain import Run  # noqa: E402
from mmviz.i18n.viewer import about  # noqa: E402
from mmviz.types import Answer, AudioInput, ImageInput, Notice, Sample  # noqa: E402

pytestmark = pytest.mark.long

expect = sync_api.expect
QUESTION = "¿qué está bajo el 猫 — 😀 or “naïve”?"
ANSWER_LABEL = "perché 狗 €"
JENKINS = "sandbox; default-src 'none'; img-src 'self'; style-src 'self';"
JENKINS_NEW = "sandbox allow-same-origin; default-src 'none'; img-src 'self'; style-src 'self';"
"""The policies under which Jenkins serves what its jobs archive, by default."""
CHARSETS = ("utf-8", "windows-1252", "gbk", "iso-2022-jp", None)
"""What a server may name; None is a server that names none."""
Serve = Callable[..., str]


@lru_cache(maxsize=1)
def run() -> Run:
    """A run whose text and answers have characters of many scripts, with a notice."""
    tokens = [ANSWER, *patches(301, 187, 3, 5), *words(QUESTION), *frames(6)]
    sample = Sample(ImageInput(PIXELS, 301, 187), QUESTION, AudioInput(WAVE, 16_000, 0.5), (Notice("image-alpha"),))
    plain_record = record({"all": tokens}, [(*PAIR, layer, 3) for layer in range(2)])
    return Run(sample, replace(plain_record, answers=(Answer(ANSWER_LABEL, 0.75), Answer("ни одной", 0.25))))


@lru_cache(maxsize=1)
def document() -> str:
    return run().to_html()


@contextmanager
def http_server() -> Iterator[Serve]:
    """Serves documents with the headers of a host, on this machine."""
    pages: dict[str, tuple[bytes, dict[str, str]]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, headers = pages.get(self.path, (b"", {}))
            self.send_response(200 if self.path in pages else 204)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Keeps the output of the tests clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def serve(body: str, charset: str | None = "utf-8", **headers: str) -> str:
        path = f"/{len(pages)}.html"
        kind = "text/html" + (f"; charset={charset}" if charset else "")
        pages[path] = (body.encode(), {"Content-Type": kind} | {key.replace("_", "-"): headers[key] for key in headers})
        return f"http://127.0.0.1:{server.server_port}{path}"

    yield serve
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def serve(chromium: str) -> Iterator[Serve]:
    with http_server() as serve:
        yield serve


@pytest.fixture
def page(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    yield from _page(browser)


@pytest.fixture
def page_without_scripts(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    yield from _page(browser, java_script_enabled=False)


def _page(browser: sync_api.Browser, **options: bool) -> Iterator[sync_api.Page]:
    context = browser.new_context(viewport={"width": 1200, "height": 1000}, **options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    context.close()


def expect_content(frame: sync_api.Page | sync_api.Frame | sync_api.FrameLocator) -> None:
    """Waits until what stands above the viewer is there, every character as it was."""
    expect(frame.locator("h1")).to_have_text(f"Answer: {ANSWER_LABEL} (75.0%)", timeout=PATIENCE)
    expect(frame.locator(".other-answers")).to_contain_text("ни одной 25.0%")
    expect(frame.locator(".about .notice")).to_have_text(str(Notice("image-alpha")))


def expect_still(frame: sync_api.Page | sync_api.Frame | sync_api.FrameLocator, has_images: bool = True) -> None:
    """Waits until the still is seen, with its sentence, the question and the images, and no viewer."""
    expect_content(frame)
    still = frame.locator(".mmviz-still")
    expect(still).to_be_visible()
    expect(still).to_contain_text(about("still"))
    expect(still).to_contain_text(QUESTION)
    expect(still).to_contain_text("From “answer”: layer 2, mean of heads. Strongest: ")
    expect(still.locator("img")).to_have_count(2)
    if has_images:
        for at, size in enumerate(((301, 187), (480, 96))):
            image = still.locator("img").nth(at)
            expect(image).to_be_visible()
            box = image.bounding_box()
            assert box and (round(box["width"]), round(box["height"])) == size
    expect(frame.locator(f"{ROOT}:visible")).to_have_count(0)


def expect_viewer(page: sync_api.Page, frame: sync_api.Page | sync_api.Frame) -> None:
    """Waits until the viewer has taken the place of the still, once, and answers."""
    viewer = ViewerPage(page, frame)
    expect(frame.locator(ROOT)).to_have_count(1)
    expect(frame.locator("h1")).to_have_count(1)
    expect(frame.locator(".mmviz-still")).to_be_hidden()
    expect_content(frame)
    viewer.shows(map="1:mean", tokens=[0])
    viewer.point(18)
    viewer.shows(tokens=[18])
    viewer.expect_chips(amounts(run(), "1:mean")[18])
    viewer.click(18)
    viewer.expect_pinned(True)
    assert viewer.panel("text").locator(".chip .word").all_inner_texts() == ["answer", *QUESTION.split()]
    assert viewer.pixels("image").std() > 10, "the picture is drawn"


def test_the_document_is_ascii() -> None:
    assert document().isascii() and run()._repr_html_().isascii()
    assert QUESTION.split()[-2] in html.unescape(document())


def test_the_still_is_seen_without_scripts(page_without_scripts: sync_api.Page, tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    path.write_text(document(), encoding="ascii")
    page_without_scripts.goto(path.as_uri())
    expect_still(page_without_scripts)


@pytest.mark.parametrize("policy", ["script-src 'none'", "default-src 'self'; img-src data:", JENKINS, JENKINS_NEW])
def test_the_still_is_seen_under_a_strict_policy(page: sync_api.Page, serve: Serve, policy: str) -> None:
    page.goto(serve(document(), Content_Security_Policy=policy))
    expect_still(page, has_images="img-src 'self'" not in policy)


@pytest.mark.parametrize("charset", CHARSETS, ids=str)
def test_the_viewer_opens_under_any_charset(page: sync_api.Page, serve: Serve, charset: str | None) -> None:
    errors: list[str] = []
    collect_errors(page, errors)
    page.goto(serve(document(), charset))
    expect_viewer(page, page)
    assert not errors


@pytest.mark.parametrize("sandbox", ["allow-scripts", "allow-scripts allow-same-origin", "", "allow-same-origin"])
@pytest.mark.parametrize("source", ["src", "srcdoc"])
def test_a_sandboxed_frame_shows_the_viewer_or_the_still(
    page: sync_api.Page, serve: Serve, source: str, sandbox: str
) -> None:
    content = html.escape(document()) if source == "srcdoc" else serve(document())
    page.goto(serve(f'<iframe {source}="{content}" sandbox="{sandbox}" width="1100" height="900"></iframe>'))
    if "allow-scripts" in sandbox:
        errors: list[str] = []
        collect_errors(page, errors)
        page.frame_locator("iframe").locator(ROOT).wait_for()
        expect_viewer(page, page.frames[1])
        assert not errors
    else:
        expect_still(page.frame_locator("iframe"))


def test_a_frame_under_a_strict_policy_shows_the_still(page: sync_api.Page, serve: Serve) -> None:
    page.goto(serve(f"<!doctype html>{run()._repr_html_()}", Content_Security_Policy="script-src 'none'"))
    expect_still(page.frame_locator("iframe"))


def test_a_notebook_that_takes_the_frame_away_shows_the_still(page: sync_api.Page, serve: Serve) -> None:
    page.goto(serve(f"<!doctype html>{run()._repr_html_()}"))
    still = page.locator("p", has_text=about("still"))
    box, frame = page.locator("div", has=page.locator("iframe")).bounding_box(), page.locator("iframe").bounding_box()
    covered = still.bounding_box()
    assert box and frame and covered
    assert frame["y"] == box["y"] and covered["y"] > box["y"] + box["height"], "the box is cut off above the still"
    page.locator("iframe").evaluate("frame => frame.remove()")
    uncovered = still.bounding_box()
    assert uncovered and box["y"] < uncovered["y"] < box["y"] + box["height"] / 2
    expect(page.locator("h1")).to_have_text(f"Answer: {ANSWER_LABEL} (75.0%)", timeout=PATIENCE)
    expect(page.locator("img")).to_have_count(2)


SAVED = "() => '<!doctype html>' + document.documentElement.outerHTML"


def test_a_saved_page_opens_once(page: sync_api.Page, tmp_path: Path) -> None:
    errors: list[str] = []
    collect_errors(page, errors)
    path = tmp_path / "run.html"
    path.write_text(document(), encoding="ascii")
    for generation in range(3):
        page.goto(path.as_uri())
        expect_viewer(page, page)
        assert page.locator("main#mmviz > *").count() == 5 and page.locator("style, script").count() == 3
        path = tmp_path / f"saved{generation}.html"
        path.write_text(page.evaluate(SAVED), encoding="utf-8")
    assert not errors


def test_a_saved_page_shows_the_still_without_scripts(
    page: sync_api.Page, page_without_scripts: sync_api.Page, tmp_path: Path
) -> None:
    path = tmp_path / "run.html"
    path.write_text(document(), encoding="ascii")
    page.goto(path.as_uri())
    expect_viewer(page, page)
    path.write_text(page.evaluate(SAVED), encoding="utf-8")
    page_without_scripts.goto(path.as_uri())
    expect_still(page_without_scripts)


def test_a_page_saved_as_one_archive_shows_the_still(page: sync_api.Page, tmp_path: Path) -> None:
    path, archive = tmp_path / "run.html", tmp_path / "run.mhtml"
    path.write_text(document(), encoding="ascii")
    page.goto(path.as_uri())
    expect_viewer(page, page)
    snapshot = page.context.new_cdp_session(page).send("Page.captureSnapshot")["data"]
    archive.write_bytes(snapshot.encode())
    page.goto(archive.as_uri())
    expect_still(page)


@pytest.mark.parametrize("problem", ["no DecompressionStream", "a cut file", "a changed byte"])
def test_a_viewer_that_cannot_start_leaves_the_still(page: sync_api.Page, tmp_path: Path, problem: str) -> None:
    path, body = tmp_path / "run.html", document()
    if problem == "no DecompressionStream":
        page.add_init_script("delete window.DecompressionStream")
    elif problem == "a cut file":
        body = body[: -len(body) // 2]
    else:
        at = body.index('id="mmviz-data">') + 1000
        body = body[:at] + ("B" if body[at] == "A" else "A") + body[at + 1 :]
    path.write_text(body, encoding="ascii")
    page.goto(path.as_uri())
    if problem == "a cut file":
        expect_still(page)
        return
    expect(page.locator(".mmviz-still")).to_contain_text(about("still-failed"), timeout=PATIENCE)
    expect(page.locator(".mmviz-still img").first).to_be_visible()
    expect_content(page)


STREAMLIT = """
from pathlib import Path
import streamlit as st
import streamlit.components.v1 as components

document = Path(r"{path}").read_text("ascii")
match st.query_params["with"]:
    case "iframe":
        st.iframe(document, height=900)
    case "component":
        components.html(document, height=900, scrolling=True)
    case "html":
        st.html(document)
"""


@pytest.fixture(scope="module")
def streamlit_page(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page of Streamlit that holds the document in one of three ways."""
    folder = tmp_path_factory.mktemp("streamlit")
    (folder / "run.html").write_text(document(), encoding="ascii")
    (folder / "page.py").write_text(STREAMLIT.format(path=folder / "run.html"), encoding="utf-8")
    with serving(folder / "page.py") as address:
        yield address


@pytest.mark.parametrize("element", ["iframe", "component"])
def test_a_frame_of_streamlit_shows_the_viewer(page: sync_api.Page, streamlit_page: str, element: str) -> None:
    page.goto(f"{streamlit_page}?with={element}")
    page.frame_locator("iframe").locator(ROOT).wait_for()
    expect_viewer(page, page.frames[1])


def test_sanitised_html_of_streamlit_shows_the_still(page: sync_api.Page, streamlit_page: str) -> None:
    page.goto(f"{streamlit_page}?with=html")
    expect_still(page)
