"""Figures are the same under any settings of the caller's Matplotlib and Plotly, and leave them as they were."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
import pytest
from made_up_tokens import FRAMES, PATCHES
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from PIL import Image
from processes import ROOT
from records import plain
from test_lens_figures import lens_of

from mmviz.figures.difference import signed_matrix, signed_modalities
from mmviz.figures.faithfulness_curves import curve_figure
from mmviz.figures.fonts import missing_characters
from mmviz.figures.head_grid import head_grid
from mmviz.figures.key_bars import key_bars
from mmviz.figures.lens_forming import forming_figure
from mmviz.figures.lens_sound import sound_figure
from mmviz.figures.loglog import Series, growth_figure
from mmviz.figures.patch_heatmap import places_grid
from mmviz.figures.route_grids import effect_grid, share_grid
from mmviz.figures.theme import layout
from mmviz.figures.timeline_curves import timeline_figure
from mmviz.figures.token_matrix import token_matrix
from mmviz.figures.training_curves import training_figure
from mmviz.types import Modality

pytestmark = pytest.mark.slow

HOSTILE: dict[str, dict[str, Any]] = {
    "origin": {"image.origin": "lower"},
    "dark": dict(plt.style.library["dark_background"]),
    "tex": {"text.usetex": True, "text.parse_math": True},
    "saving": {"savefig.transparent": True, "savefig.bbox": "tight", "savefig.dpi": 31, "savefig.facecolor": "red",
               "savefig.pad_inches": 2, "savefig.format": "pdf"},
    "fonts": {"font.size": 31, "font.family": ["serif"], "font.weight": "bold", "font.style": "italic",
              "font.sans-serif": ["no such font"], "axes.unicode_minus": False},
    "axes": {"axes.facecolor": "red", "axes.edgecolor": "lime", "axes.linewidth": 9, "axes.grid": True,
             "axes.labelsize": 31, "axes.labelcolor": "red", "axes.xmargin": 0.4, "axes.spines.top": False,
             "axes.axisbelow": False, "axes.autolimit_mode": "round_numbers", "axes.labelpad": 31},
    "figure": {"figure.facecolor": "red", "figure.autolayout": True, "figure.dpi": 31, "figure.frameon": False,
               "figure.subplot.left": 0.4},
    "constrained": {"figure.constrained_layout.use": True},
    "images": {"image.interpolation": "bicubic", "image.resample": False, "image.cmap": "jet", "image.aspect": "auto"},
    "lines": {"lines.linewidth": 9, "lines.linestyle": ":", "lines.marker": "o", "lines.antialiased": False,
              "patch.linewidth": 9, "patch.edgecolor": "red", "patch.force_edgecolor": True, "path.snap": False,
              "hatch.linewidth": 9, "text.antialiased": False, "text.hinting": "none", "text.hinting_factor": 1},
    "ticks": {"xtick.labelsize": 31, "ytick.major.size": 31, "xtick.direction": "in", "xtick.bottom": False,
              "xtick.top": True, "ytick.labelleft": False, "xtick.minor.visible": True, "ytick.major.pad": 31},
    "sketch": {"path.sketch": (5, 100, 2), "path.simplify_threshold": 1.0, "agg.path.chunksize": 100},
    "classic": dict(plt.style.library["classic"]),
}  # fmt: skip
DRAW = """
import hashlib, sys
from records import plain
print(hashlib.sha256(plain().png()).hexdigest())
loaded = {name for name in sys.modules if name.startswith("matplotlib.backends.backend_")}
assert loaded == {"matplotlib.backends.backend_agg"}, "drawing loaded the caller's backend"
"""
"""Prints the digest of a figure in a process of its own."""
MODULES = os.pathsep.join(map(str, (Path(__file__).parent, ROOT)))
"""Where that process finds the tests and mmviz."""
MATRIX = np.array([[0.1, 0.9], [0.4, 0.6]])
SIDES = (Modality.IMAGE, Modality.TEXT)
TEXTS = dict.fromkeys(
    "title note x y curve band train held-out measured estimated unit axis rank best answer".split(), "x"
)
HOVERS = [["x", "y"], ["x", "y"]]
FIGURES: dict[str, Callable[[], go.Figure]] = {
    "matrix": lambda: token_matrix(MATRIX, PATCHES[:2], FRAMES[:2], "x", 1.0),
    "signed-matrix": lambda: signed_matrix(MATRIX, PATCHES[:2], FRAMES[:2], "x", 1.0),
    "signed-modalities": lambda: signed_modalities(MATRIX, MATRIX, SIDES, SIDES, "x", 1.0),
    "heads": lambda: head_grid(MATRIX, ["0", "1"], "x", "x", "x"),
    "bars": lambda: key_bars(
        PATCHES[:2], MATRIX[0], {"axis": "x", "all": "x", "strongest": "x"}, {Modality.IMAGE: "x"}
    ),
    "curve": lambda: curve_figure(MATRIX[0], [MATRIX[0], MATRIX[0], MATRIX[1]], TEXTS, (0.0, 1.0)),
    "training": lambda: training_figure([(0, 1)], [(0, 1)], 3, 2, TEXTS, at=1),
    "route-effects": lambda: effect_grid(MATRIX, ["x", "y"], ["1", "2"], TEXTS, HOVERS),
    "route-shares": lambda: share_grid(MATRIX, ["x", "y"], ["1", "2"], TEXTS, HOVERS),
    "places": lambda: places_grid(MATRIX, TEXTS, HOVERS),
    "lens-forming": lambda: forming_figure(lens_of(np.full((2, 7, 4), 0.25)).reading, 0, ["0", "1"], TEXTS),
    "lens-sound": lambda: sound_figure(FRAMES[:2], MATRIX, 1.0, HOVERS, ["0", "1"], TEXTS),
    "timeline": lambda: timeline_figure([1, 2], {"x": [0.1, 0.9]}, TEXTS),
    "growth": lambda: growth_figure([Series("x", [1, 2], [3, 4], (8, 9))], 2, "s", TEXTS),
}
"""Every figure of Plotly."""


def pixels(png: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


@pytest.fixture(scope="module")
def png() -> bytes:
    """The figure under Matplotlib's defaults."""
    with plt.style.context("default"):
        return plain().png()


@pytest.fixture(scope="module")
def expected(png: bytes) -> NDArray[np.uint8]:
    """The pixels of that figure."""
    return pixels(png)


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    """Puts all settings back, whatever a test did."""
    template = pio.templates.default
    with mpl.rc_context():
        yield
    pio.templates.default = template
    plt.close("all")


@pytest.mark.long
@pytest.mark.parametrize("name", HOSTILE)
def test_a_figure_for_print_is_the_same_under_any_settings(name: str, expected: NDArray[np.uint8]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of the settings are deprecated
        mpl.rcParams.update(HOSTILE[name])
    before = dict(mpl.rcParams)
    shown = pixels(plain().png())
    assert shown.shape == (1800, 1600, 4) and np.array_equal(shown, expected)
    assert dict(mpl.rcParams) == before


def test_settings_are_put_back_after_an_error() -> None:
    mpl.rcParams.update(HOSTILE["fonts"])
    before = dict(mpl.rcParams)
    with pytest.raises(ValueError, match="finite"):
        plain().png(scale_max=-1)
    assert dict(mpl.rcParams) == before


def test_the_callers_figure_stays_the_current_one(expected: NDArray[np.uint8]) -> None:
    plt.switch_backend("svg")  # not the one that draws a PNG
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    numbers = plt.get_fignums()
    assert np.array_equal(pixels(plain().png()), expected)
    assert plt.gcf() is figure and plt.gca() is axes and plt.get_fignums() == numbers
    assert mpl.get_backend() == "svg"


def test_threads_that_draw_at_once_leave_the_settings_as_they_were(expected: NDArray[np.uint8]) -> None:
    mpl.rcParams.update(HOSTILE["dark"])
    before = dict(mpl.rcParams)
    shown: list[NDArray[np.uint8]] = []
    threads = [threading.Thread(target=lambda: shown.append(pixels(plain().png())), daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(shown) == 2 and all(np.array_equal(each, expected) for each in shown)
    assert dict(mpl.rcParams) == before


@pytest.mark.long
def test_a_settings_file_and_a_backend_without_a_display_change_nothing(tmp_path: Path, png: bytes) -> None:
    settings = tmp_path / "matplotlibrc"
    settings.write_text("backend: TkAgg\nimage.origin: lower\ntext.usetex: True\naxes.facecolor: red\nfont.size: 31\n")
    digests = set()
    for changes in ({"MATPLOTLIBRC": str(settings)}, {"MPLBACKEND": "qtagg"}):
        process = subprocess.run(
            [sys.executable, "-c", DRAW], env={**os.environ, **changes, "PYTHONPATH": MODULES},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert process.returncode == 0, process.stderr
        digests.add(process.stdout.strip())
    assert digests == {hashlib.sha256(png).hexdigest()}


def test_settings_that_stop_matplotlib_do_not_stop_a_figure(tmp_path: Path, png: bytes) -> None:
    wrong, style = tmp_path / "wrong", tmp_path / "config" / "stylelib" / "own.mplstyle"
    wrong.mkdir()
    (wrong / "matplotlibrc").write_bytes("# größer\nfont.size: 31\n".encode("latin-1"))
    style.parent.mkdir(parents=True)
    style.write_bytes(b"# \xff\n")
    after = "import os; assert os.environ.get('MPLBACKEND') == {!r} and os.getcwd() == {!r}"
    for folder, changes in (
        (tmp_path, {"MPLBACKEND": "nope"}),
        (wrong, {"MPLBACKEND": "module://nowhere.inline", "MPLCONFIGDIR": str(style.parents[1])}),
    ):
        process = subprocess.run(
            [sys.executable, "-c", DRAW + after.format(changes["MPLBACKEND"], str(folder))], cwd=folder,
            env={**os.environ, **changes, "PYTHONPATH": MODULES},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert process.returncode == 0, process.stderr
        assert process.stdout.strip() == hashlib.sha256(png).hexdigest()


def test_which_characters_lack_a_font_does_not_depend_on_the_settings() -> None:
    text = "".join(map(chr, range(0x21, 0x3000)))
    with plt.style.context("default"):
        missing = missing_characters(text)
    mpl.rcParams.update(HOSTILE["fonts"])
    assert missing_characters(text) == missing


@pytest.mark.parametrize("name", FIGURES)
def test_a_plotly_figure_is_the_same_under_any_template(name: str) -> None:
    shown = []
    own = go.layout.Template(layout={"font": {"size": 31}, "xaxis": {"showgrid": False, "type": "log"}})
    for template in ("plotly", "plotly_dark", own, None):
        pio.templates.default = template
        shown.append(json.loads(FIGURES[name]().to_json()))
    assert all(figure == shown[0] for figure in shown)


def test_no_plotly_figure_is_left_out() -> None:
    folder = Path(layout.__code__.co_filename).parent
    makers = {path.stem for path in folder.glob("*.py") if "-> go.Figure" in path.read_text("utf-8")}
    names = (name for make in FIGURES.values() for name in make.__code__.co_names)
    assert makers <= {getattr(globals().get(name), "__module__", "").rpartition(".")[2] for name in names}
