"""Custom models that end the interpreter: each becomes one error, and nothing that waits for a run waits for ever."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from serving import running_service

import mmviz
from mmviz.app.jobs import Job
from mmviz.backends.local import LocalBackend
from mmviz.backends.local.backend import this_machine
from mmviz.backends.remote import RemoteBackend
from mmviz.cli import main
from mmviz.explain import run_sample
from mmviz.i18n.errors_and_notices import sentence
from mmviz.models.toy import Toy
from mmviz.types import MmvizError, Request, Sample

SAMPLE = Sample(text="is it so")
ARGPARSE = 'import argparse\nargparse.ArgumentParser().parse_args(["--unknown"])\n'
FACTORIES = {
    "at import": f"{ARGPARSE}def make(): pass\n",
    "in a package": "def make(): pass\n",
    "in the factory": "import sys\ndef make(): sys.exit(3)\n",
    "other": "class Halt(BaseException): pass\ndef make(): raise Halt('now')\n",
}


class Exit(BaseException):
    """An exception that `except Exception` does not catch."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in sys.modules if name.startswith("exiting_")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


@pytest.mark.parametrize("place", FACTORIES)
def test_a_factory_that_ends_the_interpreter_is_one_error(
    place: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"exiting_{place.replace(' ', '_')}"
    if place == "in a package":
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(ARGPARSE)
        name += ".inner"
    path = folder / f"{name.replace('.', '/')}.py"
    path.write_text(FACTORIES[place])
    with pytest.raises(MmvizError) as error:
        this_machine(f"{name}:make")
    assert error.value.code == "own-exit"
    assert ".py, line" in error.value.parameters["where"] and "argparse" not in error.value.parameters["where"]
    capsys.readouterr()
    assert main(["explain", "--text", "hi", "--model", f"{name}:make"]) == 2
    assert "mmviz: " in capsys.readouterr().err.splitlines()[-1]


def _prepare(sample: Sample) -> tuple[torch.Tensor, list[str]]:
    return torch.randn(1, 3, 8), ["is", "it", "so"]


def _custom(kind: type[BaseException], place: str) -> mmviz.CustomModel:
    class Words(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if place == "forward":
                raise kind("now")
            return self.attention(x, x, x)[0][:, 0, :2]

    def prepare(sample: Sample) -> tuple[torch.Tensor, list[str]]:
        if place == "prepare":
            raise kind("now")
        return _prepare(sample)

    return mmviz.CustomModel(Words(), prepare, ["yes", "no"])


class ExitingToy(Toy):
    """A model that is not a `CustomModel`."""

    def __call__(self, tensors: object) -> torch.Tensor:
        raise SystemExit(1)


MODELS: dict[str, Callable[[], object]] = {
    "prepare": lambda: _custom(SystemExit, "prepare"),
    "forward": lambda: _custom(SystemExit, "forward"),
    "forward, another exception": lambda: _custom(Exit, "forward"),
    "a model of the protocol": lambda: ExitingToy("cpu"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_run_that_ends_the_interpreter_is_one_error_wherever_it_runs(name: str) -> None:
    backend = LocalBackend("cpu", {"own": MODELS[name]()})  # type: ignore[dict-item]
    with pytest.raises(MmvizError) as error:
        run_sample(SAMPLE, model="own", backend=backend)
    assert error.value.code == "own-exit"
    job = Job(lambda *_: run_sample(SAMPLE, model="own", backend=backend))
    assert job.wait(60) and isinstance(job.error, MmvizError) and job.error.code == "own-exit"
    with running_service(backend) as url:
        with pytest.raises(MmvizError) as error:
            RemoteBackend(url).run([Request("own", SAMPLE)])
        assert error.value.code == "own-exit" and str(error.value) == sentence("own-exit", **error.value.parameters)
        assert RemoteBackend(url).run([Request("toy", SAMPLE)])[0].answers
