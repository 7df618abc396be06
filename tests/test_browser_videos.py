"""Several pictures and videos on the page, in a real browser: they are offered where the model in use takes them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import tiny_checkpoints  # first: it sets what transformers reads

sync_api = pytest.importorskip("playwright.sync_api")

from processes import ROOT  # noqa: E402
from real_page import IMAGE, PATIENCE, changed, drawn, empty_form, press, serving, settle, unfold  # noqa: E402

from mmviz.i18n.page import say  # noqa: E402

pytestmark = pytest.mark.long
WIDTH, HEIGHT = 64, 36
"""Eight frames of this shape fill two lines of three, and a third one but for its last place."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Iterator[str]:
    """The address of a page that offers a model of one picture and one of several."""
    folder = tmp_path_factory.mktemp("models")
    specs = [f"hf:{tiny_checkpoints.save_checkpoint(name, folder)}" for name in ("vit", "llava")]
    with serving(ROOT / "app.py", "--model", specs[0], "--model", specs[1]) as url:
        yield url


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of one second that gets lighter."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(8):
            pixels = np.full((HEIGHT, WIDTH, 3), number * 30, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    path = tmp_path_factory.mktemp("videos") / "lighter.mp4"
    path.write_bytes(file.getvalue())
    return path


def suggested(page: sync_api.Page) -> tuple[set[str], bool]:
    """Returns what the file chooser of pictures suggests, and whether it takes several."""
    unfold(page, "own")
    with page.expect_file_chooser() as chooser:
        page.locator(".st-key-image-sources [data-testid=stFileUploaderDropzone] button").first.click()
    return set((chooser.value.element.get_attribute("accept") or "").split(",")), chooser.value.is_multiple()


def give(page: sync_api.Page, file: Path) -> None:
    page.locator(".st-key-image-sources input").set_input_files(file)
    page.locator(f"[data-testid=stFileChipName][title='{file.name}']").wait_for(timeout=PATIENCE)
    settle(page)


def test_a_video_is_offered_and_shown_where_the_model_takes_one(
    visit_to: Callable[..., sync_api.Page], address: str, video: Path
) -> None:
    page = visit_to(address)
    endings, is_multiple = suggested(page)
    assert "image/*" in endings and not endings & {"video/*", ".mp4"} and not is_multiple
    empty_form(page)
    give(page, video)
    sync_api.expect(page.locator(".note.refused")).to_have_text(
        "vit takes no video. Choose a picture.", timeout=PATIENCE
    )

    page.get_by_role("button", name="Model: vit").click()
    page.locator(".st-key-model-1 button").click()
    page.locator(".tagline", has_text="inside llava").wait_for(timeout=PATIENCE)
    settle(page)
    endings, is_multiple = suggested(page)
    assert {"image/*", "video/*", ".mp4"} <= endings and is_multiple
    page.get_by_role("textbox", name="Text").fill("to be emptied")
    empty_form(page)
    give(page, video)
    page.get_by_role("textbox", name="Text").fill("What is this?")
    before = drawn(page, IMAGE)
    press(page, "Run")
    changed(page, IMAGE, before)
    sync_api.expect(page.locator(".note.notice")).to_contain_text("Of the video, 8 frames are used", timeout=PATIENCE)
    names = page.locator(f"{IMAGE} [data-token]").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert any(name.startswith("frame at 0.88 s") for name in names)
    opacity = page.locator(f"{IMAGE} canvas").first.evaluate(
        """canvas => {
          const { width, height } = canvas;
          const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
          const column = width - 2;
          return [2, height - 2].map((row) => data[4 * (row * width + column) + 3]);
        }"""
    )
    assert opacity == [255, 0], "the last frame of the first line, and what lies beside the last of all"
    page.locator(".st-key-image-sources input").set_input_files([video, video])
    sync_api.expect(page.locator(".st-key-image-line .source")).to_have_text(
        say("source-own-several", count=3), timeout=PATIENCE
    )
    sync_api.expect(page.locator(".note.refused")).to_contain_text(
        "A video takes the place of the image", timeout=PATIENCE
    )
