"""Examples in docstrings of public functions run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from spoken_place import QUESTION, write_inputs

import mmviz

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.FAIL_FAST
MODULES = (
    "mmviz", "mmviz.explain", "mmviz.explain.run", "mmviz.inputs", "mmviz.io.from_arrays",
    "mmviz.capture.context_manager", "mmviz.types.map_ref", "mmviz.types.requests", "mmviz.analysis.modality_matrix",
    "mmviz.analysis.rollout", "mmviz.experiments.modality_shapley", "mmviz.experiments.lens",
    "mmviz.experiments.head_ablation", "mmviz.experiments.route_cut", "mmviz.models.custom",
    "mmviz.backends.local.backend",
    "mmviz.present", "mmviz.present.talk", "mmviz.training.evaluate.real_folders",
)  # fmt: skip
"""Modules whose docstrings have examples: all that have any, as a test holds."""
LEAST = {
    "explain",
    "Run",
    "Run.attention",
    "make_sample",
    "record",
    "capture",
    "MapRef",
    "CutRoute",
    "CustomModel",
    "LocalBackend",
}
"""Names of the library that must have an example."""


@pytest.fixture(scope="module")
def example_names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The names that examples take for granted, and their files in the working directory."""
    folder = tmp_path_factory.mktemp("examples")
    write_inputs(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = mmviz.explain(image="picture.png", text=QUESTION, audio="voice.wav")
        yield {"mmviz": mmviz, "np": np, "torch": torch, "Path": Path, "run": run}


def module_of(name: str) -> ModuleType:
    return importlib.import_module(name)


def examples_of(name: str) -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [test for test in finder.find(module_of(name), name) if test.examples]


EXAMPLES = [test for name in MODULES for test in examples_of(name)]


@pytest.mark.slow
@pytest.mark.parametrize("test", EXAMPLES, ids=[test.name for test in EXAMPLES])
def test_an_example_runs(test: doctest.DocTest, example_names: dict[str, Any]) -> None:
    test.globs = test.globs | example_names
    written: list[str] = []
    outcome = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=written.append)
    assert outcome.failed == 0, "".join(written)


def test_the_main_functions_have_examples() -> None:
    documented = {test.name.removeprefix(name).removeprefix(".") for name in MODULES for test in examples_of(name)}
    assert documented >= LEAST


def test_no_example_is_forgotten() -> None:
    package = Path(mmviz.__file__).parent
    with_examples = {
        ".".join(("mmviz", *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__")
        for path in package.rglob("*.py")
        if any(line.lstrip().startswith(">>> ") for line in path.read_text(encoding="utf-8").splitlines())
    }
    assert with_examples == set(MODULES)
