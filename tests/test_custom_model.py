"""Models of one's own: the documented example, by command and in the page, and a sentence for each mistake."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from app_page import ROOT, markup, notes, now, payload, press, report_view, run, selected, view, visit, word
from records import ODD
from torch import Tensor, nn

import mmviz
from mmviz.backends.local import LocalBackend
from mmviz.cli import main
from mmviz.explain import run_sample
from mmviz.models.custom import CustomModel
from mmviz.models.custom_model_factory import check_spec, load
from mmviz.types import CaptureError, MmvizError, Sample

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with the first example of docs/custom-models.md as ``my_model``."""
    guide = (ROOT / "docs" / "custom-models.md").read_text(encoding="utf-8")
    example = next(iter(re.findall(r"```python\n(.*?)```", guide, re.DOTALL)))
    (tmp_path / "my_model.py").write_text(example, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before
    for name in [name for name, module in sys.modules.items() if str(tmp_path) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


def test_the_example_runs_from_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = ROOT / "assets" / "gallery" / "name.webp"
    picture = picture if picture.exists() else next((ROOT / "assets" / "gallery").glob("*.[pw][ne][gb]*"))
    arguments = [
        "explain", "--model", "my_model:make", "--image", str(picture), "--text", "is it a cat", "--json", "-",
        "--npz", "run.npz", "--png", "run.png", "--html", "run.html",
    ]  # fmt: skip
    assert main(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    assert set(summary["probabilities"]) == {"yes", "no"} and len(summary["tokens"]["image"]) == 16
    assert [m.name for m in mmviz.Run.load(folder / "run.npz").record.maps] == [
        f"layers.layers.{k}.self_attn" for k in (0, 1)
    ]
    assert summary["made_by"]["trained"] is False and (folder / "run.png").read_bytes()[:4] == b"\x89PNG"
    assert main(["doctor", "--model", "my_model:make"]) == 0
    printed = capsys.readouterr().out
    assert "layers.layers.1.self_attn" in printed and "All within tolerance" in printed


def test_the_example_runs_in_the_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMVIZ_MODEL", "my_model:make")
    page = visit()
    assert word(page) in ("yes", "no") and "inside my_model:make" in markup(page)
    assert now(page).run.record.made_by["model"] == "own" and "recorded" not in now(page).run.record.made_by
    header, _ = payload(page)
    assert set(header["streams"]) == {"tokens"}
    assert len(notes(page, "banner")) == 1, "these weights are untrained"
    assert not [button for button in page.button if button.key == "compose-ask"]
    assert "The correct answer is not known" in markup(page), "none of its answers is the true one"
    before = now(page).run
    press(page, "control-uniform")
    assert now(page).run is not before
    for attention_map in now(page).run.record.maps:
        weights = attention_map.weights
        assert weights.min() == pytest.approx(weights.max()), "uniform attention, through a fused kernel"


MISTAKES = {
    "syntax": "def make(:\n",
    "missing": "import nowhere_to_be_found\n",
    "fails": "def make():\n    raise ValueError('no weights here')\n",
    "thing": "make = 3\n",
    "other": "def make():\n    return {'model': 1}\n",
    "named": "def make_model():\n    pass\n",
}


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        ("my_model", "own-spec", "package.module:factory"),
        ("my model:make", "own-spec", "my model:make"),
        (":make", "own-spec", ""),
        ("my_model:", "own-spec", ""),
        ("os; print(1):make", "own-spec", ""),
        ("elsewhere:make", "own-missing", "elsewhere"),
        ("my_model.deeper:make", "own-raised", "deeper"),
        ("my_model:mak", "own-name", "make"),
        ("named:make", "own-name", "make_model"),
        ("syntax:make", "own-raised", "SyntaxError"),
        ("missing:make", "own-raised", "missing.py, line 1"),
        ("fails:make", "own-raised", "ValueError: no weights here (fails.py, line 2)"),
        ("thing:make", "own-factory", "int"),
        ("other:make", "own-made", "dict"),
    ],
)
def test_each_mistake_in_a_factory_has_its_sentence(folder: Path, spec: str, code: str, words: str) -> None:
    for name, source in MISTAKES.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    with pytest.raises(MmvizError) as raised:
        load(spec, "cpu")
    assert raised.value.code == code and words in str(raised.value), str(raised.value)


def test_what_can_be_told_early_is_told_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.npz").write_bytes(b"no run")
    for arguments, words in (
        (["--model", "elsewhere:make"], "no module elsewhere"),
        (["--model", "my_model"], "Known models: trio,"),
        (["nowhere.npz"], "no file nowhere.npz"),
        (["broken.npz"], "not a run saved by mmviz"),
    ):
        assert main(["app", *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error and "Traceback" not in error
    assert check_spec("my_model:make") is None


def test_a_factory_that_fails_is_a_refusal_in_the_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "fails.py").write_text(MISTAKES["fails"], encoding="utf-8")
    monkeypatch.setenv("MMVIZ_MODEL", "fails:make")
    page = visit()
    (refusal,) = notes(page, "error")
    assert "no weights here" in refusal and now(page).run is None


class Words(nn.Module):
    """Attention over words, and two logits."""

    def __init__(self, problem: Exception | None = None) -> None:
        super().__init__()
        self.attention, self.problem = nn.MultiheadAttention(8, 2, batch_first=True), problem

    def forward(self, x: Tensor) -> Tensor:
        if self.problem:
            raise self.problem
        return self.attention(x, x, x)[0][:, 0, :2]


def prepare(sample: Sample) -> tuple[Tensor, list[str]]:
    words = (sample.text or "").split()
    return torch.randn(1, len(words), 8), words


class WithoutAttention(nn.Module):
    """No attention at all."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0, :2]


def custom_model(**changes: Any) -> CustomModel:
    return CustomModel(**{"module": Words(), "prepare": prepare, "answers": ["yes", "no"]} | changes)


def raising(sample: Sample) -> Any:
    raise KeyError("a word")


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"module": "Words"}, "own-module", "str"),
        ({"answers": "yes"}, "own-answers", "label"),
        ({"answers": []}, "own-answers", "label"),
        ({"prepare": raising}, "own-raised", "prepare failed: KeyError"),
        ({"prepare": lambda sample: torch.zeros(2)}, "own-prepare", "Tensor of shape [2]"),
        ({"prepare": lambda sample: (1, 2, 3)}, "own-prepare", "a tuple of 3"),
        ({"prepare": lambda sample: (torch.zeros(1, 3, 8), ["a", "b"])}, "capture-tokens", "2 tokens"),
        ({"prepare": lambda sample: (torch.zeros(1, 3, 8), [1, 2, 3])}, "capture-token-kind", "int"),
        ({"module": Words(RuntimeError("too hot"))}, "own-raised", "RuntimeError: too hot (test_custom_model.py"),
        ({"logits": lambda output: "yes"}, "own-output", "str"),
        ({"answers": ["yes", "no", "maybe"]}, "own-logits", "[2] for 3"),
        ({"logits": lambda output: output[None].expand(2, 1, 2)}, "own-logits", "[2, 1, 2]"),
        ({"module": WithoutAttention()}, "capture-nothing", "WithoutAttention"),
    ],
)
def test_each_mistake_in_a_custom_model_has_its_own_error(changes: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(MmvizError) as raised:
        backend = LocalBackend("cpu", {"own": custom_model(**changes)})
        run_sample(Sample(text="is it so"), model="own", backend=backend, relevance=True)
    assert raised.value.code == code and words in str(raised.value), str(raised.value)


def test_inputs_may_be_a_tensor_a_tuple_or_a_dict() -> None:
    x = torch.randn(1, 3, 8)
    answers = set()
    for inputs in (x, (x,), {"x": x}):
        torch.manual_seed(0)
        model = custom_model(module=Words(), prepare=lambda sample, inputs=inputs: (inputs, ["a", "b", "c"]))
        own_run = run_sample(Sample(text="a"), model="own", backend=LocalBackend("cpu", {"own": model}), relevance=True)
        answers.add(tuple(answer.probability for answer in own_run.record.answers))
        assert own_run.record.relevance is not None and own_run.record.made_by["weights"] == model.card.weights_digest
    assert len(answers) == 1


def test_a_model_without_gradients_has_no_relevance() -> None:
    class WithoutGradients(Words):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                return super().forward(x)

    backend = LocalBackend("cpu", {"own": custom_model(module=WithoutGradients())})
    own_run = run_sample(Sample(text="is it so"), model="own", backend=backend, relevance=True)
    assert own_run.record.relevance is None and len(own_run.record.maps) == 1


def test_a_request_cannot_name_a_factory() -> None:
    with pytest.raises(MmvizError) as raised:
        run_sample(Sample(text="a"), model="os:getcwd", backend=LocalBackend("cpu"))
    assert raised.value.code == "model-unknown"


def test_a_saved_run_opens_first_and_examples_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = mmviz.record([torch.full((2, 3, 3), 1 / 3)] * 2, ["is", "it", "so"])
    mmviz.Run(mmviz.make_sample(text="is it so"), record).save(tmp_path / "run.npz")
    monkeypatch.setattr(sys, "argv", [*sys.argv[:1], "--run", str(tmp_path / "run.npz")])
    page = visit()
    assert now(page).is_saved and now(page).run.record.id == record.id
    assert word(page) == "none" and "saved run" in markup(page) and not notes(page, "error")
    press(page, "example-name")
    assert not now(page).is_saved and word(page) not in ("none", "")
    press(page, "saved")
    assert now(page).run.record.id == record.id
    run(page)
    assert now(page).is_saved


@pytest.mark.parametrize("name", [name for name in ODD if name != "long"])  # that one: in test_long_runs
def test_runs_of_every_shape_open_in_the_page(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ODD[name]().save(tmp_path / "run.npz")
    monkeypatch.setattr(sys, "argv", [*sys.argv[:1], "--run", str(tmp_path / "run.npz")])
    page = visit()
    assert now(page).is_saved and not notes(page, "error")
    header = payload(page)[0]
    record = now(page).run.record
    last = {(m.queries, m.keys): number for number, m in enumerate(record.maps)}
    for number in last.values():  # one map of each pair of streams; the page opens on another
        map_ref = record.map_ref(number)
        for direction in ("from", "to"):
            report_view(page, view(page, map=str(map_ref), tokens=[0], direction=direction))
            assert header["run"] == record.id and selected(page).map_ref == map_ref


def test_an_error_of_capture_is_a_note_on_the_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        (folder / "my_model.py").read_text(encoding="utf-8").replace("tokens.append(", "tokens[:0] and tokens.append(")
    )
    (folder / "wrong.py").write_text(source, encoding="utf-8")
    monkeypatch.setenv("MMVIZ_MODEL", "wrong:make")
    (refusal,) = notes(visit(), "error")
    assert "tokens were given" in refusal and issubclass(CaptureError, MmvizError)
