"""How long it takes from moving the pointer to painting: printed, and never asserted."""

from __future__ import annotations

import long_model
import numpy as np
import pytest

sync_api = pytest.importorskip("playwright.sync_api")

from app_page import EXAMPLES  # noqa: E402
from viewer_page import ROOT, Show, run_of_size  # noqa: E402

from mmviz.backends.local import LocalBackend  # noqa: E402
from mmviz.explain import Run, run_sample  # noqa: E402

pytestmark = pytest.mark.slow

MOVES = 12
MEASURE = """
() => {
  const root = document.querySelector('[data-mmviz=viewer]');
  window.times = [];
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
  }).observe({ type: 'longtask' });
  document.addEventListener('pointermove', (event) => {
    const before = root.dataset.painted;
    // animation frames run in the order in which they were requested: this one after the viewer's own
    queueMicrotask(() => requestAnimationFrame(() => {
      if (root.dataset.painted !== before) window.times.push(performance.now() - event.timeStamp);
    }));
  });
}
"""


def long() -> Run:
    """2,304 patches, 1,696 audio tokens, 95 words and an answer token."""
    return run_sample(EXAMPLES[0].sample(), model="long", backend=LocalBackend("cpu", {"long": long_model.make()}))


@pytest.mark.long
def test_pointer_to_paint(show: Show, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["", "tokens | pointer to paint, median | 95th percentile | longest task (ms)"]
    for count in (64, 4096):
        viewer = show(run_of_size(count) if count < 4096 else long())
        viewer.page.evaluate(MEASURE)
        chosen = set()
        stage = viewer.panel("image").locator(".stage")
        stage.scroll_into_view_if_needed()
        box = stage.bounding_box()
        assert box is not None
        for move in range(MOVES):
            painted = int(viewer.root.get_attribute("data-painted") or 0)
            across, down = (0.05 + 0.9 * (move * step % MOVES) / MOVES for step in (7, 11))
            viewer.page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
            viewer.page.wait_for_function(
                f"before => Number(document.querySelector('{ROOT}').dataset.painted) > before", arg=painted
            )
            chosen.add(viewer.root.get_attribute("data-tokens"))
        times, longest = viewer.page.evaluate("[window.times, window.longest]")
        assert len(times) >= MOVES / 2 and len(chosen) > MOVES / 4, "many tokens were painted"
        median, late = np.percentile(times, [50, 95])
        lines.append(f"{count:6} | {median:6.1f} | {late:6.1f} | {longest:6.0f}")
    with capsys.disabled():
        print("\n".join(lines))
