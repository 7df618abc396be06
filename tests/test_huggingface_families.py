"""The table of Hugging Face families: what it takes, and that its probes see what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints  # first: it sets what transformers reads

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mmviz.models.huggingface.encoder_models import DualEncoderModel, EncoderModel
from mmviz.types import MmvizError
from tools.huggingface_families import every_user_interface
from tools.huggingface_families import judge_checkpoint as judging
from tools.huggingface_families.checkpoint_builds import every_build
from tools.huggingface_families.families_table import COLUMNS, families_document
from tools.huggingface_families.judge_checkpoint import CheckpointOutcome, judge_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clip() -> CheckpointOutcome:
    return judge_checkpoint("clip")


def test_all_checkpoints_of_the_tests_are_taken() -> None:
    assert {*tiny_checkpoints.BUILDS, "siglip", "siglip2"} <= set(every_build())


def test_a_family_that_works_has_a_row_with_what_was_measured(clip: CheckpointOutcome) -> None:
    assert clip.is_right and clip.places == {"picture": "", "words": ""}
    assert clip.means == {"CLI, HTML, .npz": "", "serve": "", "page": ""}
    assert clip.streams == {"vision_model": 17, "text_model": 13} and clip.maps == 4 and 0 < clip.parity < 2e-6
    document = families_document([clip])
    (row,) = [line for line in document.splitlines() if line.startswith("| CLIP")]
    assert row.count("|") == len(COLUMNS) + 1 and "`CLIPModel`" in row and "picture: yes; words: yes" in row
    assert f"{clip.parity:.1e}" in row and "1 of 1 checkpoints ran" in document and "Whisper" in document
    assert "Granite Speech (its feature extractor needs torchaudio" in document


@pytest.mark.long
@pytest.mark.slow
def test_a_family_whose_tokens_are_elsewhere_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    located = EncoderModel.located_tokens

    def turned(self: Any, prepared: Any, fields_of: Any) -> Any:
        return {name: tokens[::-1] for name, tokens in located(self, prepared, fields_of).items()}

    monkeypatch.setattr(DualEncoderModel, "located_tokens", turned, raising=False)
    outcome = judge_checkpoint("clip")
    assert not outcome.is_right and all(outcome.places.values())
    assert "a square" in outcome.places["picture"] and "words: a character" in families_document([outcome])


def test_a_checkpoint_that_cannot_be_loaded_is_listed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(spec: str, device: str) -> None:
        raise MmvizError("hf-package", name="clip", package="torchvision")

    monkeypatch.setattr(judging, "load", refuse)
    outcome = judge_checkpoint("clip")
    assert "pip install torchvision" in outcome.problem and not outcome.is_right
    assert "## Not run" in families_document([outcome]) and "0 of 1 checkpoints ran" in families_document([outcome])


@pytest.mark.long
@pytest.mark.slow
def test_a_way_of_running_that_fails_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(arguments: list[str]) -> int:
        raise MmvizError("hf-extra")

    monkeypatch.setattr(every_user_interface, "main", refuse)
    outcome = judge_checkpoint("clip")
    assert (
        not outcome.is_right and outcome.means["CLI, HTML, .npz"].startswith("MmvizError") and not outcome.means["page"]
    )
    assert "MmvizError" in families_document([outcome])
