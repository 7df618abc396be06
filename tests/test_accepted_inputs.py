"""What the form offers for a model: several pictures and sounds, and videos."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmviz.app import resources
from mmviz.app.accepted_inputs import ModelInputs, model_inputs
from mmviz.app.jobs import WarmBackend
from mmviz.app.operator_config import OperatorConfig
from mmviz.backends import Backend
from mmviz.backends.local import LocalBackend
from mmviz.models.custom_model_factory import load

UNKNOWN, ONE, SEVERAL = ModelInputs(None, None), ModelInputs(False, False), ModelInputs(True, True)


@pytest.mark.parametrize(
    ("family", "accepted"),
    [("llava", SEVERAL), ("qwen2_audio", ModelInputs(True, False)), ("paligemma", ONE), ("vit", ONE), ("whisper", ONE)],
)
def test_a_checkpoint_on_the_disk_says_it_before_it_is_loaded(
    tmp_path: Path, family: str, accepted: ModelInputs
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    assert model_inputs(OperatorConfig(f"hf:{tmp_path}")) == accepted


def test_bundled_models_take_one_and_what_is_not_on_the_disk_is_unknown(tmp_path: Path) -> None:
    assert model_inputs(OperatorConfig()) == ONE
    assert model_inputs(OperatorConfig("hf:nobody/nothing")) == UNKNOWN


@pytest.mark.slow
@pytest.mark.parametrize("takes_several", [True, False])
def test_a_custom_model_says_it_once_it_is_loaded(monkeypatch: pytest.MonkeyPatch, takes_several: bool) -> None:
    model = load("custom_model:make", "cpu")
    if takes_several:
        model.takes_several = True  # type: ignore[attr-defined]
    warm: list[Backend] = []
    backend = WarmBackend(lambda: LocalBackend("cpu", {"mine": model}), warm.append, "mine")
    monkeypatch.setattr(resources, "warm_backend", lambda config: backend)
    assert model_inputs(OperatorConfig("mine")) == UNKNOWN
    backend._warm_up()
    assert len(warm) == 1 and model_inputs(OperatorConfig("mine")) == (SEVERAL if takes_several else ONE)
