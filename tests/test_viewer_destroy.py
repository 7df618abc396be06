"""A viewer that is removed leaves nothing behind: no listener, observer, timer or animation frame, and no viewer."""

from __future__ import annotations

import base64
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from playwright.sync_api import Browser, Page  # noqa: E402
from real_page import PATIENCE, until  # noqa: E402
from viewer_page import ROOT, ViewerPage, collect_errors, grey_run  # noqa: E402

from mmviz.io.training_timeline_file import TrainingTimeline  # noqa: E402
from mmviz.report import ViewerData  # noqa: E402
from mmviz.report.viewer_timeline import TrainingViewerData  # noqa: E402
from mmviz.viewer import pack  # noqa: E402

pytestmark = pytest.mark.slow

COUNT = """
// What is alive, by kind: whatever the page keeps once an element is gone.
window.alive = { listeners: 0, observers: 0, intervals: 0, timeouts: 0, frames: 0, audio: 0, images: 0, urls: 0 };
const isGlobal = (target) => target === document || target === window || target instanceof MediaQueryList;
for (const [name, step] of [["addEventListener", 1], ["removeEventListener", -1]]) {
  const original = EventTarget.prototype[name];
  EventTarget.prototype[name] = function (...args) {
    if (isGlobal(this ?? window)) alive.listeners += step;
    return original.apply(this, args);
  };
}
for (const name of ["ResizeObserver", "IntersectionObserver", "MutationObserver"]) {
  const Original = window[name];
  window[name] = class extends Original {
    observe(...args) {
      if (!this.isCounted) alive.observers += 1;
      this.isCounted = true;
      return super.observe(...args);
    }
    disconnect() {
      if (this.isCounted) alive.observers -= 1;
      this.isCounted = false;
      return super.disconnect();
    }
  };
}
const countCallbacks = (kind, start, stop, isOnce) => {
  const [startOriginal, stopOriginal] = [window[start], window[stop]];
  const ids = new Set();
  const update = () => (alive[kind] = ids.size);
  window[start] = (callback, ...args) => {
    const id = startOriginal((...values) => {
      if (isOnce) ids.delete(id);
      update();
      callback(...values);
    }, ...args);
    ids.add(id);
    update();
    return id;
  };
  window[stop] = (id) => {
    ids.delete(id);
    update();
    stopOriginal(id);
  };
};
countCallbacks("intervals", "setInterval", "clearInterval", false);
countCallbacks("timeouts", "setTimeout", "clearTimeout", true);
countCallbacks("frames", "requestAnimationFrame", "cancelAnimationFrame", true);
const count = (owner, name, step, kind) => {
  const original = owner[name];
  owner[name] = function (...args) {
    alive[kind] += step;
    return original.apply(this, args);
  };
};
const Context = window.AudioContext;
window.AudioContext = class extends Context {
  constructor() {
    super();
    alive.audio += 1;
  }
  close() {
    alive.audio -= 1;
    return super.close();
  }
};
count(URL, "createObjectURL", 1, "urls");
count(URL, "revokeObjectURL", -1, "urls");
count(window, "createImageBitmap", 1, "images");
count(ImageBitmap.prototype, "close", -1, "images");
"""
MOUNT = """async ([script, data]) => {
  window.component ??= (await import("data:text/javascript;base64," + script)).default;
  const parent = document.createElement("div");
  document.body.append(parent);
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const send = () => {};
  const unmount = component({ data: bytes, parentElement: parent, setStateValue: send, setTriggerValue: send });
  window.unmount = () => {
    unmount();
    parent.remove();
  };
}"""


@lru_cache(maxsize=1)
def container(has_timeline: bool) -> bytes:
    run = grey_run()
    if not has_timeline:
        return ViewerData(run).to_bytes()
    labels = tuple(token.label for token in run.tokens)
    weights = np.full((3, 2, len(labels), len(labels)), 1 / len(labels), np.float32)
    timeline = TrainingTimeline("grey", (0, 10, 20), labels, weights, ("yes",), np.ones((3, 1), np.float32))
    return TrainingViewerData(run, timeline).to_bytes()


def mount(page: Page, data: bytes) -> ViewerPage:
    script, encoded = (base64.b64encode(content).decode() for content in (pack.component_js().encode(), data))
    page.evaluate(MOUNT, [script, encoded])
    return ViewerPage(page, page)


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Any:
    """An empty page that counts what is alive."""
    host = tmp_path / "host.html"
    host.write_text(f"<!doctype html><title>host</title><style>{pack.css()}</style>", encoding="utf-8")
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.add_init_script(COUNT)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    errors: list[str] = []
    collect_errors(page, errors)
    page.goto(host.as_uri())
    yield page
    context.close()
    assert not errors


@pytest.mark.parametrize("has_timeline", [False, True], ids=["run", "timeline"])
def test_an_unmounted_viewer_leaves_nothing_behind(page: Page, has_timeline: bool) -> None:
    page.wait_for_function("true")  # Playwright's own listeners come with the first wait
    before = page.evaluate("alive")
    viewer = mount(page, container(has_timeline))
    viewer.click(18)  # starts the timers of the announcement and of the view that is reported
    viewer.part("play").click()
    page.wait_for_function("alive.audio === 1")
    if has_timeline:
        viewer.part("timeline").get_by_role("button").click()
    during = page.evaluate("alive")
    assert during["listeners"] and during["observers"] and during["audio"] and during["images"]
    assert bool(during["intervals"]) == has_timeline
    page.evaluate("unmount()")
    assert page.evaluate("alive") == before


def test_an_unmounted_viewer_is_collected(page: Page) -> None:
    for _ in range(3):
        mount(page, container(False))
        page.evaluate(f"() => {{ (window.roots ??= []).push(new WeakRef(document.querySelector('{ROOT}'))); }}")
        page.evaluate("unmount()")
    page.evaluate("() => { window.unmount = null; }")
    session = page.context.new_cdp_session(page)

    def are_collected() -> bool:
        session.send("HeapProfiler.collectGarbage")
        return bool(page.evaluate("roots.every((root) => root.deref() === undefined)"))

    until(page, are_collected)
