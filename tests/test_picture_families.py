"""Families of Hugging Face models that read pictures: places, words, attention weights and answers of each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torchvision_transforms
from picture_checkpoints import WITH_TIMM, WITH_TORCHVISION, WITHOUT_TORCHVISION, save_checkpoint
from picture_family_checks import Checkpoint, answers_as_they_were_written, checks_of, weights_of_eager_attention
from processes import ROOT

from mmviz.models.custom_model_factory import load

pytestmark = pytest.mark.slow

PATIENCE = 540
"""Seconds for the checks of all families whose processors need torchvision."""
PROGRAM = Path(__file__).with_name("families_with_torchvision.py")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    """Checkpoints by name, each loaded when it is first asked for."""
    folder = tmp_path_factory.mktemp("checkpoints")

    class Checkpoints(dict[str, Checkpoint]):
        def __missing__(self, name: str) -> Checkpoint:
            path = save_checkpoint(name, folder)
            self[name] = Checkpoint(name, str(path), load(f"hf:{path}", "cpu"))
            return self[name]

    return Checkpoints()


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    """What came of each check of the families whose processors need torchvision."""
    if not torchvision_transforms.is_installed():
        pytest.skip(f"torchvision is not installed; type: {torchvision_transforms.INSTALL}")
    finished = subprocess.run(
        [sys.executable, str(PROGRAM)], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=PATIENCE, env=os.environ | {"PYTHONPATH": str(ROOT)},  # of this checkout, wherever mmviz is installed
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr[-3000:]
    outcomes: dict[str, str] = json.loads(finished.stdout.splitlines()[-1])
    return outcomes


def cases(names: object) -> list[tuple[str, str]]:
    return [(name, check) for name in names for check in checks_of(name)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "check"), cases(WITHOUT_TORCHVISION))
def test_a_family(checkpoints: dict[str, Checkpoint], name: str, check: str) -> None:
    checks_of(name)[check](checkpoints[name])


@pytest.mark.parametrize("name", ["llava_next", "idefics3", "gemma3", "paligemma", "qwen2_audio"])
def test_the_record_of_an_answer_is_that_of_one_eager_pass(checkpoints: dict[str, Checkpoint], name: str) -> None:
    """Of the families whose places are tested elsewhere."""
    weights_of_eager_attention(checkpoints[name])


@pytest.mark.parametrize("name", ["llava", "llava_next", "idefics3", "gemma3", "paligemma", "qwen2_audio"])
def test_an_answer_is_as_probable_as_when_it_was_written(checkpoints: dict[str, Checkpoint], name: str) -> None:
    answers_as_they_were_written(checkpoints[name])


@pytest.mark.long
@pytest.mark.timeout(PATIENCE + 60)
@pytest.mark.parametrize(("name", "check"), cases((*WITH_TORCHVISION, *WITH_TIMM)))
def test_a_family_whose_processor_needs_torchvision(outcomes: dict[str, str], name: str, check: str) -> None:
    if name in WITH_TIMM and f"{name}: {check}" not in outcomes:
        pytest.skip(f"timm is not installed; type: {torchvision_transforms.INSTALL}")
    outcome = outcomes[f"{name}: {check}"]
    assert not outcome, outcome
