"""The viewer as a document from disk in a real browser: opening it without a network, and reading what it shows."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Frame, Locator, Page, expect
from real_page import PATIENCE
from records import PAIR, TEXT, frames, patches, record, words
from made_up_tokens import ANSWER

from mmviz.explain import Run
from mmviz.figures.colour_scale import short
from mmviz.types import AudioInput, ImageInput, Modality, Sample, Seconds, Token

Show = Callable[..., "Seen"]
ROOT = "[data-mmviz=viewer]"
GREY = 200


def grey(layers: int = 2, heads: int = 3, moments: int = 12, seconds: float = 6.0) -> Run:
    """A trio whose picture is of one grey, so that light can be read off it, and whose sound is long enough to stop."""
    step = seconds / moments
    heard = [Token(Modality.AUDIO, "m", Seconds(k * step, (k + 1) * step)) for k in range(moments)]
    tokens = [ANSWER, *patches(300, 180, 3, 5), *words(), *heard]
    wave = np.sin(np.arange(int(16_000 * seconds)) / 9).astype(np.float32) / 2
    sample = Sample(
        ImageInput(np.full((180, 300, 3), GREY, np.uint8), 300, 180), TEXT, AudioInput(wave, 16_000, seconds)
    )  # fmt: skip
    return Run(sample, record({"all": tokens}, [(*PAIR, layer, heads) for layer in range(layers)]))


def of_size(count: int, layers: int = 6, heads: int = 6) -> Run:
    """``count`` tokens: an answer, a picture of about half of them, words, and moments of the sound."""
    side = int((count / 2) ** 0.5)
    text = " ".join(f"word{k}" for k in range(count // 8))
    tokens = [ANSWER, *patches(300, 300, side, side), *words(text)]
    tokens += frames(count - len(tokens))
    picture = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    sample = Sample(
        ImageInput(picture, 300, 300), text, AudioInput(np.sin(np.arange(8000) / 9).astype(np.float32), 16_000, 0.5)
    )
    return Run(sample, record({"all": tokens}, [(*PAIR, layer, heads) for layer in range(layers)]))


def amounts(run: Run, plane: str) -> NDArray[np.float64]:
    """A plane of heads or of their mean, ``[query, key]``, straight from the record."""
    number, head = plane.split(":")
    heads = run.record.maps[int(number)].weights.astype(np.float64)
    return heads.mean(axis=0) if head == "mean" else heads[int(head)]


def three(amount: float) -> str:
    """Three digits that count."""
    if amount == 0:
        return "0"
    return "<0.0001" if abs(amount) < 0.0001 else f"{amount:#.3g}"


def number(written: str) -> float:
    """What a written amount stands for."""
    return float(written.replace("−", "-").replace("<", ""))


class Seen:
    """A viewer that is open: in a page, or in a frame of one."""

    def __init__(self, page: Page, inside: Page | Frame):
        self.page, self.inside = page, inside
        self.root = inside.locator(ROOT)
        expect(self.root).to_have_attribute("data-ready", "true", timeout=PATIENCE)

    def panel(self, name: str) -> Locator:
        return self.root.locator(f"[data-panel={name}]")

    def part(self, name: str) -> Locator:
        return self.root.locator(f"[data-part={name}]")

    def token(self, token: int, stream: str = "all") -> Locator:
        """The button that stands where a token is: a chip, or a hidden one on a canvas."""
        return self.root.locator(f'[data-token="{token}"][data-stream="{stream}"]')

    def small(self, plane: str) -> Locator:
        """A small map."""
        return self.panel("overview").locator(f'[data-plane="{plane}"]')

    def shows(self, **values: object) -> None:
        """Wait until the viewer shows this: ``plane``, ``tokens``, ``versus``, ``direction``, as they are written."""
        for name, value in values.items():
            written = ",".join(map(str, value)) if isinstance(value, (list, tuple, range)) else str(value)
            expect(self.root).to_have_attribute(f"data-{name}", written, timeout=PATIENCE)

    def says(self, part: str, text: str) -> None:
        expect(self.part(part)).to_contain_text(text, timeout=PATIENCE)

    @property
    def is_pinned(self) -> bool:
        return self.part("unpin").is_visible()

    def pins(self, pinned: bool) -> None:
        """Wait until something is pinned, or nothing."""
        expect(self.part("unpin")).to_be_visible(visible=pinned, timeout=PATIENCE)

    def place(self, token: int, stream: str = "all", share: tuple[float, float] = (0.5, 0.5)) -> tuple[float, float]:
        """A point of the screen on a token, which is brought into view."""
        found = self.token(token, stream)
        found.evaluate("one => one.scrollIntoView({ block: 'center', behavior: 'instant' })")
        box = found.bounding_box()
        assert box is not None
        return box["x"] + share[0] * box["width"], box["y"] + share[1] * box["height"]

    def point(self, token: int, stream: str = "all") -> None:
        self.page.mouse.move(*self.place(token, stream))

    def click(self, token: int, stream: str = "all") -> None:
        self.page.mouse.click(*self.place(token, stream))

    def drag(self, first: int, last: int) -> None:
        start, end = self.place(first), self.place(last)
        assert start != end and self.place(first) == start, "both are in view at once"
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=5)
        self.page.mouse.up()

    def leave(self) -> None:
        """Take the pointer off the viewer."""
        self.page.mouse.move(1, 1)

    def chips(self, stream: str = "all") -> dict[int, str]:
        """The amounts printed under the words, by token."""
        found: dict[str, str] = self.root.evaluate(
            """(root, stream) => Object.fromEntries([...root.querySelectorAll(`.chip[data-stream="${stream}"]`)].map(
              (chip) => [chip.dataset.token, chip.querySelector(".amount").textContent]))""",
            stream,
        )
        return {int(token): amount for token, amount in found.items()}

    def pixels(self, panel: str, over: bool = False) -> NDArray[np.uint8]:
        """What is drawn on a panel's canvas, ``[down, across, RGBA]`` in device pixels."""
        canvas = self.panel(panel).locator("canvas.over" if over else "canvas:not(.over)")
        address: str = canvas.evaluate("canvas => canvas.toDataURL()")
        with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as image:
            return np.asarray(image.convert("RGBA"))

    def pixel(self, panel: str, token: int, share: tuple[float, float] = (0.5, 0.5)) -> NDArray[np.int64]:
        """The colour drawn at a share of the box of a token."""
        box, canvas = self.token(token).bounding_box(), self.panel(panel).locator("canvas").first.bounding_box()
        assert box and canvas
        drawn = self.pixels(panel)
        ratio = drawn.shape[1] / canvas["width"]
        x = (box["x"] - canvas["x"] + share[0] * box["width"]) * ratio
        y = (box["y"] - canvas["y"] + share[1] * box["height"]) * ratio
        return drawn[int(y), int(x), :3].astype(np.int64)

    def all_drawn(self) -> dict[str, bytes]:
        return {name: self.pixels(name).tobytes() for name in ("picture", "sound", "overview", "matrix")}


def expect_chips(seen: Seen, run: Run, expected: Sequence[float] | NDArray[np.float64]) -> None:
    """Wait for the amounts under the words to be those of ``expected``, one for every token."""
    for token in seen.chips():
        amount = seen.token(token).locator(".amount")
        expect(amount).to_have_text(short(float(expected[token])), timeout=PATIENCE)


@contextmanager
def showing(browser: Browser, folder: Path) -> Iterator[Show]:
    """Opens documents with the network off. In the end no network was asked for anything, and no console has errors."""
    contexts, asked, opened, troubles = [], [], [], []

    def show(run: Run | Path, fragment: str = "", script: str = "", **options: Any) -> Seen:
        path = run if isinstance(run, Path) else folder / f"run{len(contexts)}.html"
        if isinstance(run, Run):
            path.write_text(run.to_html(), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 1000}, "offline": True} | options)
        contexts.append(context)
        context.on("request", lambda request: asked.append(request.url))
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda said: troubles.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda problem: troubles.append(str(problem)))
        page.on("dialog", lambda dialog: (troubles.append(dialog.message), dialog.dismiss()))
        address = path.as_uri() + fragment
        opened.append(address)
        page.goto(address)
        return Seen(page, page)

    yield show
    for context in contexts:
        context.close()
    assert not troubles
    assert [one.partition("#")[0] for one in asked] == [one.partition("#")[0] for one in opened]
