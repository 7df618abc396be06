"""The widget's module in a real browser, with a model in the page that stands for that of a notebook."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import long_model
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from real_page import PATIENCE, until  # noqa: E402
from viewer_page import ViewerPage, collect_errors, grey_run, three_digits  # noqa: E402

import mmviz  # noqa: E402
from mmviz.backends.local import LocalBackend  # noqa: E402
from mmviz.explain import Run, run_sample  # noqa: E402
from mmviz.report import ViewerData  # noqa: E402
from mmviz.viewer import pack  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.pages]
PAGE = "<!doctype html><title>notebook</title><style>{css}</style><body style='{style}'><div id=cell></div>"
MODEL = """
// A model as anywidget's front end makes it: bytes come as a DataView, and every new value is told, whoever set it.
async ({ data, selection, source }) => {
  const viewOf = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const values = { data: viewOf(data), selection };
  const listeners = {};
  const tell = (name, ...values) => (listeners[name] ?? []).forEach((listener) => listener(...values));
  window.saved = [];
  window.model = {
    get: (name) => values[name],
    set: (name, value) => ((values[name] = value), tell(`change:${name}`)),
    save_changes: () => saved.push(structuredClone(values.selection)),
    on: (name, listener) => (listeners[name] ??= []).push(listener),
    off: (name, listener) => (listeners[name] = listeners[name].filter((each) => each !== listener)),
    send: (message) => askPython(message),
  };
  window.receive = (message, bytes) => tell("msg:custom", message, bytes ? [viewOf(bytes)] : []);
  window.listening = () => Object.values(listeners).flat().length;
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  window.remove = module.default.render({ model, el: document.getElementById("cell") });
}
"""


@dataclass(frozen=True)
class Notebook:
    """A page that shows the widget of a run."""

    viewer: ViewerPage
    requests: list[dict[str, Any]]
    """The messages that the widget has sent."""

    def evaluate(self, code: str, value: object = None) -> Any:
        return self.viewer.page.evaluate(code, value)

    def set_selection(self, **parts: object) -> None:
        """Sets the trait, as Python does."""
        self.evaluate("parts => model.set('selection', { ...model.get('selection'), ...parts })", parts)

    def receive(self, message: dict[str, Any], data: bytes = b"") -> None:
        text = base64.b64encode(data).decode()
        self.evaluate("([message, bytes]) => receive(message, bytes)", [message, text])


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Notebooks:
    """Opens pages that show the widget."""

    def __init__(self, browser: sync_api.Browser):
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.errors: list[str] = []

    def show(self, run: Run, style: str = "", **parts: object) -> Notebook:
        data = ViewerData(run)
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE)
        collect_errors(page, self.errors)
        requests: list[dict[str, Any]] = []
        page.expose_function("askPython", lambda message: requests.append(message))
        page.set_content(PAGE.format(css=pack.css(), style=style))
        selection = data.initial_view | parts
        values = {"data": text_of(data.to_bytes()), "selection": selection, "source": pack.widget_js()}
        page.evaluate(MODEL, values)
        return Notebook(ViewerPage(page, page), requests)


@pytest.fixture
def notebooks(browser: sync_api.Browser) -> Iterator[Notebooks]:
    notebooks = Notebooks(browser)
    yield notebooks
    notebooks.context.close()
    assert not notebooks.errors


@lru_cache(maxsize=1)
def long_run() -> Run:
    backend = LocalBackend("cpu", models={"long": long_model.make()})
    return run_sample(mmviz.make_sample(text="word0"), model="long", backend=backend)


def test_a_click_reaches_the_model_and_the_model_moves_the_viewer(notebooks: Notebooks) -> None:
    notebook = notebooks.show(grey_run(), tokens=[2])
    viewer = notebook.viewer
    viewer.shows(tokens=[2], map="1:mean")  # the selection of now, not that of the time when the run was encoded
    viewer.expect_pinned(True)
    viewer.click(5)  # a second pin
    viewer.shows(tokens=[2], versus=[5])
    until(viewer.page, lambda: notebook.evaluate("saved.length") > 0)
    saved = notebook.evaluate("saved.at(-1)")
    assert saved == notebook.evaluate("model.get('selection')")
    assert saved == {
        "tokens": [2], "versus": [5], "direction": "from", "map": "1:mean", "style": "spotlight", "scale": "view",
    }  # fmt: skip
    count = notebook.evaluate("saved.length")

    notebook.set_selection(tokens=[7, 8], versus=[1], map="0:2", direction="to", style="heat")
    viewer.leave()
    viewer.shows(tokens=[7, 8], versus=[1], map="0:2", direction="to")
    viewer.expect_pinned(True)
    notebook.set_selection(tokens=[0], versus=[], direction="from")
    viewer.shows(tokens=[0], versus=[])
    viewer.expect_pinned(False)
    assert notebook.evaluate("saved.length") == count, "what Python sets does not come back to it"


def test_a_requested_row_arrives_by_a_message(notebooks: Notebooks) -> None:
    run = long_run()
    notebook = notebooks.show(run)
    viewer = notebook.viewer
    token = 2000
    notebook.set_selection(tokens=[token])
    until(viewer.page, lambda: any(f"row/2:mean/from/{token}" in each["need"] for each in notebook.requests))
    viewer.says("readout", "≈")
    names = [f"row/2:mean/from/{token}"]
    notebook.receive({"sections": names}, ViewerData(run).encode_sections(names))
    sync_api.expect(viewer.part("readout")).not_to_contain_text("≈", timeout=PATIENCE)
    viewer.says("readout", three_digits(float(long_model.expected_mean_row(token).max())))
    sync_api.expect(viewer.part("waiting")).to_be_hidden(timeout=PATIENCE)


def test_a_problem_is_said_and_a_removed_widget_leaves_nothing(notebooks: Notebooks) -> None:
    notebook = notebooks.show(grey_run())
    problem = notebook.viewer.page.locator("[data-part=problem]")
    sync_api.expect(problem).to_be_hidden()
    notebook.receive({"problem": "It is <b>gone</b>."})
    sync_api.expect(problem).to_have_text("It is <b>gone</b>.")
    notebook.evaluate("remove()")
    assert notebook.viewer.root.count() == 0 and notebook.evaluate("listening()") == 0
    assert notebook.evaluate("document.getElementById('cell').childElementCount") == 0


def test_a_dark_notebook_has_a_dark_viewer(notebooks: Notebooks) -> None:
    dark = "--jp-layout-color0: #111; --jp-content-font-color0: rgba(255, 255, 255, 1); background: #111"
    colours = "root => [getComputedStyle(root).color, getComputedStyle(root.closest('.mmviz-widget')).backgroundColor]"
    shown = {dark: ["rgb(255, 255, 255)", "rgb(17, 17, 17)"], "": ["rgb(38, 39, 48)", "rgb(255, 255, 255)"]}
    for style, expected in shown.items():
        root = notebooks.show(grey_run(), style).viewer.root
        assert root.evaluate(colours) == expected
        accent = root.evaluate("root => getComputedStyle(root).getPropertyValue('--accent').trim()")
        assert accent == ("#9fb3dd" if style == dark else "#34466b")
        assert ("dark" in (root.get_attribute("class") or "").split()) is (style == dark)
