"""The viewer as a document from disk in a real browser: opens it without a network, and reads what it shows."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from made_up_tokens import ANSWER
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Frame, Locator, Page, expect
from real_page import PATIENCE, until
from records import PAIR, TEXT, frames, patches, record, words

from mmviz.explain import Run
from mmviz.figures.colour_scale import short
from mmviz.i18n.language import translate
from mmviz.i18n.viewer import WORDS
from mmviz.types import AudioInput, ImageInput, MapRef, Modality, Sample, Seconds, Token

Show = Callable[..., "ViewerPage"]
ROOT = "[data-mmviz=viewer]"
GREY = 200


def grey_run(layers: int = 2, heads: int = 3, audio_tokens: int = 12, seconds: float = 6.0) -> Run:
    """A trio whose image is of one grey, so that brightness can be read off it, with audio long enough to stop."""
    step = seconds / audio_tokens
    audio = [Token(Modality.AUDIO, "a", Seconds(k * step, (k + 1) * step)) for k in range(audio_tokens)]
    tokens = [ANSWER, *patches(300, 180, 3, 5), *words(), *audio]
    wave = np.sin(np.arange(int(16_000 * seconds)) / 9).astype(np.float32) / 2
    sample = Sample(
        ImageInput(np.full((180, 300, 3), GREY, np.uint8), 300, 180), TEXT, AudioInput(wave, 16_000, seconds)
    )  # fmt: skip
    return Run(sample, record({"all": tokens}, [(*PAIR, layer, heads) for layer in range(layers)]))


def run_of_size(count: int, layers: int = 6, heads: int = 6) -> Run:
    """A run of ``count`` tokens: an answer token, an image of about half of them, text and audio."""
    side = int((count / 2) ** 0.5)
    text = " ".join(f"word{k}" for k in range(count // 8))
    tokens = [ANSWER, *patches(300, 300, side, side), *words(text)]
    tokens += frames(count - len(tokens))
    pixels = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    sample = Sample(
        ImageInput(pixels, 300, 300), text, AudioInput(np.sin(np.arange(8000) / 9).astype(np.float32), 16_000, 0.5)
    )
    return Run(sample, record({"all": tokens}, [(*PAIR, layer, heads) for layer in range(layers)]))


def amounts(run: Run, map_ref: str) -> NDArray[np.float64]:
    """Returns a head or a mean over heads, ``[query, key]``, straight from the record."""
    ref = MapRef.parse(map_ref)
    heads = run.record.maps[run.record.map_number(ref)].weights.astype(np.float64)
    return heads.mean(axis=0) if ref.head is None else heads[ref.head]


def say(code: str, **values: object) -> str:
    """Returns a text of the viewer."""
    return translate(WORDS, code, **values)


def three_digits(amount: float) -> str:
    if amount == 0:
        return "0"
    return "<0.0001" if abs(amount) < 0.0001 else f"{amount:#.3g}"


def number(text: str) -> float:
    """Returns the value of an amount as the viewer writes it."""
    return float(text.replace("−", "-").replace("<", ""))


class ViewerPage:
    """An open viewer, in a page or in a frame of one."""

    def __init__(self, page: Page, frame: Page | Frame):
        self.page, self.frame = page, frame
        self.root = frame.locator(ROOT)
        expect(self.root).to_have_attribute("data-ready", "true", timeout=PATIENCE)

    def panel(self, name: str) -> Locator:
        return self.root.locator(f"[data-panel={name}]")

    def part(self, name: str) -> Locator:
        return self.root.locator(f"[data-part={name}]")

    def token(self, token: int, stream: str = "all") -> Locator:
        """Returns the button of a token: a chip, or an invisible one over a canvas."""
        return self.root.locator(f'[data-token="{token}"][data-stream="{stream}"]')

    def thumbnail(self, map_ref: str) -> Locator:
        return self.panel("overview").locator(f'[data-map="{map_ref}"]')

    def shows(self, **values: object) -> None:
        """Waits until the viewer shows this: ``map``, ``tokens``, ``versus``, ``direction`` or ``checkpoint``."""
        for name, value in values.items():
            text = ",".join(map(str, value)) if isinstance(value, (list, tuple, range)) else str(value)
            expect(self.root).to_have_attribute(f"data-{name}", text, timeout=PATIENCE)

    def says(self, part: str, text: str) -> None:
        expect(self.part(part)).to_contain_text(text, timeout=PATIENCE)

    @property
    def is_pinned(self) -> bool:
        return self.part("unpin").is_visible()

    def expect_pinned(self, pinned: bool) -> None:
        """Waits until something is pinned, or nothing."""
        expect(self.part("unpin")).to_be_visible(visible=pinned, timeout=PATIENCE)

    def position(self, token: int, stream: str = "all") -> tuple[float, float]:
        """Scrolls a token into view, and returns the middle of it on the screen."""
        scroll = "button => button.scrollIntoView({ block: 'center', behavior: 'instant' })"
        self.token(token, stream).evaluate(scroll)
        return self.middle(token, stream)

    def middle(self, token: int, stream: str = "all") -> tuple[float, float]:
        """Returns the middle of a token on the screen, where the page is scrolled to."""
        box = self.token(token, stream).bounding_box()
        assert box is not None
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def point(self, token: int, stream: str = "all") -> None:
        self.page.mouse.move(*self.position(token, stream))

    def click(self, token: int, stream: str = "all") -> None:
        self.page.mouse.move(*self.position(token, stream))
        self.page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        self.page.mouse.click(*self.position(token, stream))  # once more: what the viewer says of it may have moved it

    def drag(self, first: int, last: int) -> None:
        start, end = self.position(first), self.middle(last)
        size = self.page.viewport_size
        assert size and start != end and 0 < end[1] < size["height"], "both are in view at once"
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=5)
        self.page.mouse.up()

    def leave(self) -> None:
        """Moves the pointer off the viewer."""
        self.page.mouse.move(1, 1)

    def chips(self, stream: str = "all") -> dict[int, str]:
        """Returns the amounts printed under the words, by token."""
        texts: dict[str, str] = self.root.evaluate(
            """(root, stream) => Object.fromEntries([...root.querySelectorAll(`.chip[data-stream="${stream}"]`)].map(
              (chip) => [chip.dataset.token, chip.querySelector(".amount").textContent]))""",
            stream,
        )
        return {int(token): text for token, text in texts.items()}

    def pixels(self, panel: str) -> NDArray[np.uint8]:
        """Returns what is drawn on a panel's canvas, ``[y, x, RGBA]`` in device pixels."""
        canvas = self.panel(panel).locator("canvas:not(.overlay)")
        address: str = canvas.evaluate("canvas => canvas.toDataURL()")
        with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as image:
            return np.asarray(image.convert("RGBA"))

    def pixel(self, panel: str, token: int, at: tuple[float, float] = (0.5, 0.5)) -> NDArray[np.int64]:
        """Returns the colour drawn in the box of a token, ``at`` a fraction of its width and height."""
        box, canvas = self.token(token).bounding_box(), self.panel(panel).locator("canvas").first.bounding_box()
        assert box and canvas
        pixels = self.pixels(panel)
        ratio = pixels.shape[1] / canvas["width"]
        x = (box["x"] - canvas["x"] + at[0] * box["width"]) * ratio
        y = (box["y"] - canvas["y"] + at[1] * box["height"]) * ratio
        return pixels[int(y), int(x), :3].astype(np.int64)

    def all_drawn(self) -> dict[str, bytes]:
        return {name: self.pixels(name).tobytes() for name in ("image", "audio", "overview", "matrix")}

    def expect_chips(self, expected: Sequence[float] | NDArray[np.float64], stream: str = "all") -> None:
        """Waits for the amounts under the words to be those of ``expected`` ``[token]``."""
        wanted = {token: short(float(expected[token])) for token in self.chips(stream)}
        until(self.page, lambda: self.chips(stream) == wanted)


@contextmanager
def showing(browser: Browser, folder: Path) -> Iterator[Show]:
    """Opens documents with the network off. At the end, nothing was requested, and no console holds an error."""
    contexts, requests, opened, errors = [], [], [], []

    def show(run: Run | Path, fragment: str = "", script: str = "", **options: Any) -> ViewerPage:
        path = run if isinstance(run, Path) else folder / f"run{len(contexts)}.html"
        if isinstance(run, Run):
            path.write_text(run.to_html(), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 1000}, "offline": True} | options)
        contexts.append(context)
        context.on("request", lambda request: requests.append(request.url))
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        collect_errors(page, errors)
        address = path.as_uri() + fragment
        opened.append(address)
        page.goto(address)
        return ViewerPage(page, page)

    yield show
    for context in contexts:
        context.close()
    assert not errors
    assert [url.partition("#")[0] for url in requests] == [url.partition("#")[0] for url in opened]


def collect_errors(page: Page, errors: list[str]) -> None:
    """Appends what goes wrong in a page to ``errors``: messages of its console, exceptions and dialogs."""
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: (errors.append(dialog.message), dialog.dismiss()))
