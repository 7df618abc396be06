"""Options of commands that choose a map, its token and direction, or the stack and layers in which is measured."""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from routed_model import Routed, prepare
from torch import Tensor, nn

import mmviz
from mmviz.analysis.available_maps import has_map
from mmviz.cli import main
from mmviz.experiments.head_ablation import measure_head_ablation
from mmviz.i18n.page import say
from mmviz.report import ViewerData
from mmviz.report.heads_table import heads_summary
from mmviz.report.routes_table import MOVES, layers_words
from mmviz.types import MapRef
from mmviz.viewer.binary_format import decode

MODEL, TWO_STACKS = "routed_model:routed", "test_cli_maps_and_layers:two_stacks"
TEXT = ["--text", "is it there"]


class TwoStacks(nn.Module):
    """Two models whose answer token reads 1 of the picture, by way of the words; the second counts twice."""

    def __init__(self) -> None:
        super().__init__()
        self.vision, self.language = Routed("fused"), Routed("fused")

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.vision(x) + 2 * self.language(x)
        return logits


def two_stacks() -> mmviz.CustomModel:
    return mmviz.CustomModel(
        TwoStacks(), prepare, ["seen", "unseen"], name="two", batches=True, answer_token=0,
        pairs={"*": ("tokens", "tokens")},
    )  # fmt: skip


def opened(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the viewer in a document has: the header and the sections."""
    packed = re.search(r'id="mmviz-data">([^<]*)<', path.read_text("utf-8"))
    assert packed is not None
    return decode(zlib.decompress(base64.b64decode(packed[1])))


def test_documents_and_figures_show_what_is_chosen(tmp_path: Path) -> None:
    files = [option for kind in ("html", "svg") for option in (f"--{kind}", str(tmp_path / f"run.{kind}"))]
    chosen = ["--map", "0:mean", "--token", "2", "--direction", "to"]
    assert main(["explain", "--model", MODEL, *TEXT, *files, *chosen]) == 0
    header, sections = opened(tmp_path / "run.html")
    view = {"tokens": [2], "versus": [], "direction": "to", "map": "0:mean", "style": "spotlight", "scale": "view"}
    assert header["view"] == view and "codes/0:mean" in sections
    run = mmviz.explain(text="is it there", model=MODEL)
    np.testing.assert_allclose(run.attention(MapRef("attention", 0), 2, "to"), [0, *[1 / 3] * 5, *[0] * 4], atol=1e-6)
    assert (tmp_path / "run.svg").read_bytes() == run.figure("svg", MapRef("attention", 0), (2,), "to")
    assert main(["explain", "--model", MODEL, *TEXT, *files[:2], "--direction", "to"]) == 0
    header, _ = opened(tmp_path / "run.html")
    first = ViewerData(run).initial_view
    assert header["view"] == first | {"direction": "to"}, "all else is as by default"


def test_relevance_is_recorded_where_it_is_to_be_shown(tmp_path: Path) -> None:
    path = tmp_path / "run.html"
    assert main(["explain", "--model", "custom_model:make", *TEXT, "--html", str(path), "--map", "relevance"]) == 0
    header, sections = opened(path)
    assert header["view"]["map"] == "relevance" and "codes/relevance" in sections


@pytest.mark.parametrize(
    ("options", "excerpts"),
    [
        (["--map", "7:0", "--html", "run.html"], ["7:0", "0:mean, 0:0", "1:mean", "rollout"]),
        (["--map", "0:1", "--png", "run.png"], ["0:1", "0:mean"]),
        (["--map", "relevant", "--png", "run.png"], ["'relevant' names no map", "5:mean"]),
        (["--token", "10", "--html", "run.html"], ["--token 10", "0 to 9"]),
        (["--direction", "to"], ["--direction", "--html"]),
    ],
    ids=["layer", "head", "text", "token", "without a file"],
)
def test_a_map_or_token_that_is_none_is_refused_with_those_that_there_are(
    options: list[str], excerpts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["explain", "--model", MODEL, *TEXT, *options]) == 2
    error = capsys.readouterr().err
    assert all(excerpt in error for excerpt in excerpts) and not [*tmp_path.iterdir()]


def test_each_example_of_a_folder_opens_on_the_chosen_map(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "first.txt").write_text("is it there")
    command = ["explain", str(tmp_path / "in"), "--model", MODEL, "--out", str(tmp_path / "out"), "--formats", "html"]
    for layer in ("0:0", "1:0"):  # the second command makes the file again
        assert main([*command, "--map", layer, "--token", "4"]) == 0
        (path,) = (tmp_path / "out").glob("**/*.html")
        header, _ = opened(path)
        assert (header["view"]["map"], header["view"]["tokens"]) == (layer, [4])
    assert main([*command[:-1], "json", "--map", "0:0"]) == 2
    assert "--map" in (error := capsys.readouterr().err) and "--formats html" in error and "--csv" not in error


def measured(arguments: list[str], path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The facts and rows of a table."""
    assert main([*arguments, "--json", str(path)]) == 0
    document = json.loads(path.read_text("utf-8"))
    return document, document[arguments[0]]


def log_sigmoid(value: float) -> float:
    return -math.log1p(math.exp(-value))


def test_heads_are_measured_in_the_chosen_stack_and_layers(tmp_path: Path) -> None:
    command = ["heads", "--model", TWO_STACKS, *TEXT]
    stacks = mmviz.explain(text="is it there", model=TWO_STACKS).record.stacks
    assert stacks == ("vision.layers", "language.layers")
    for stack, left in zip(stacks, (2, 1), strict=True):
        document, rows = measured([*command, "--stack", stack], tmp_path / "table.json")
        assert {(row["stack"], row["layer"]) for row in rows} == {(stack, 0), (stack, 1)} and document["planned"] == 2
        for row in rows:  # without its attention, nothing of the picture reaches the answer by this stack
            assert row["effect"] == pytest.approx(log_sigmoid(left) - log_sigmoid(3), abs=1e-5)
    (row,) = measured([*command, "--layers", "1"], tmp_path / "table.json")[1]
    assert (row["stack"], row["layer"]) == ("language.layers", 1), "of the default stack, as in a MapRef"
    assert len(measured(command, tmp_path / "table.json")[1]) == 4


def test_routes_are_cut_in_the_chosen_stack_and_layers(tmp_path: Path) -> None:
    command = ["routes", "--model", TWO_STACKS, *TEXT, "--image", str(picture(tmp_path)), "--stack", "vision.layers"]

    def effects(*options: str) -> dict[tuple[int, ...], float]:
        document, rows = measured([*command, *options], tmp_path / "table.json")
        assert {row["stack"] for row in rows} == {"vision.layers"} and len(rows) == document["planned"]
        read = [row for row in rows if (row["queries"], row["keys"]) == ("text", "image")]
        return {tuple(row["layers"]): row["effect"] for row in read}

    without = log_sigmoid(2) - log_sigmoid(3)
    expected = {(0,): without, (1,): 0, (0, 1): without}
    for options, layers in (((), [(0,), (1,), (0, 1)]), (("--layers", "0"), [(0,)]), (("--layers", "1"), [(1,)])):
        table = effects(*options)
        assert list(table) == layers
        assert all(table[part] == pytest.approx(expected[part], abs=1e-5) for part in layers)
    assert list(effects("--windows", "1", "--layers", "0-1")) == [(0, 1)]


def test_layers_are_named_as_they_were_chosen() -> None:
    assert [layers_words(layers) for layers in ((0, 1, 2), (3,), (0, 4, 5), None)] == [
        say("routes-layers", first=1, last=3), say("heads-layer", layer=4), say("heads-layer", layer="1, 5-6"),
        say("routes-all-layers"),
    ]  # fmt: skip


def test_a_verdict_on_some_layers_does_not_speak_of_all(tmp_path: Path) -> None:
    command = ["--model", TWO_STACKS, *TEXT, "--image", str(picture(tmp_path)), "--stack", "vision.layers"]
    document, rows = measured(["routes", *command, "--layers", "1"], tmp_path / "routes.json")
    assert all(abs(row["effect"]) < 0.1 for row in rows)
    assert document["verdict"][0] == say("routes-none-measured", answer=document["answer"], least=MOVES)
    run = mmviz.explain(text="is it there", model=TWO_STACKS)
    assert run.backend is not None and run.request is not None
    effects = [replace(each, effect=0.0) for each in measure_head_ablation(run.backend, run.request, run.record)]
    answer = run.record.answers[0].label
    assert heads_summary(run.record, effects) == say("heads-summary-none", answer=answer)
    assert heads_summary(run.record, effects[:1]) == say("heads-summary-none-of", answer=answer, of=1)


def picture(folder: Path) -> Path:
    """A picture that is there, so that the routes from it are."""
    from PIL import Image

    path = folder / "picture.png"
    Image.new("RGB", (8, 8)).save(path)
    return path


@pytest.mark.parametrize("command", ["heads", "routes"])
@pytest.mark.parametrize(
    ("options", "excerpts"),
    [
        (["--stack", "vison"], ["'vison'", "vision.layers, language.layers"]),
        (["--stack", "vision.layers", "--layers", "1,4"], ["no layer 4 in vision.layers", "0, 1"]),
        (["--layers", "3-1"], ["--layers '3-1'", "0,4-7"]),
        (["--layers", "last"], ["--layers 'last'"]),
    ],
    ids=["stack", "layer", "range", "text"],
)
def test_a_stack_or_layer_that_is_none_is_refused_with_those_that_there_are(
    command: str, options: list[str], excerpts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--model", TWO_STACKS, *TEXT, *options]) == 2
    error = capsys.readouterr().err
    assert all(excerpt in error for excerpt in excerpts)


def test_edges_of_a_head_take_no_layers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["heads", "--model", TWO_STACKS, *TEXT, "--edges", "0:0", "--layers", "1"]) == 2
    assert "--layers has no effect beside --edges" in capsys.readouterr().err


def test_every_map_that_an_error_lists_is_there() -> None:
    from mmviz.cli.map_options import _known_maps

    record = mmviz.explain(text="is it there", model=TWO_STACKS).record
    texts = [name for part in _known_maps(record).split("; ") for name in re.split(", | … ", part)]
    assert all(has_map(record, MapRef.parse(text)) for text in texts) and "vision.layers/1:mean" in texts
