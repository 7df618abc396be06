"""The effects of recorded runs as a file: read as written, refused where damaged, and true of the recordings."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mmviz.app.pages.explore.effect_card import removal_effects
from mmviz.assets_path import assets_dir
from mmviz.backends.local import LocalBackend
from mmviz.backends.replay import ReplayBackend
from mmviz.experiments.effect_file import effect_of_record, effects_to_json, read_effects
from mmviz.experiments.modality_shapley import Effect, measure_modality_effect, shapley
from mmviz.experiments.recorded_file import MAX_BYTES
from mmviz.inputs.examples import load_gallery
from mmviz.types import MmvizError, Modality, Request

EFFECTS = assets_dir() / "gallery" / "effects.json"
EXAMPLES = {example.id: example for example in load_gallery()}
IMAGE, TEXT, AUDIO, _ = Modality
NONE, SEEN, READ, BOTH = frozenset[Modality](), frozenset({IMAGE}), frozenset({TEXT}), frozenset({IMAGE, TEXT})
VALUES = {NONE: -4.0, SEEN: -3.0, READ: -2.0, BOTH: -0.5}
ANSWERS = {NONE: ("dog", 0.5), SEEN: ("dog", 0.5), READ: ("cat", 0.25), BOTH: ("cat", 0.75)}
MEASURED = Effect("cat", VALUES, ANSWERS, shapley(VALUES))


def test_effects_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "effects.json").write_text(effects_to_json({"a": MEASURED}), encoding="utf-8")
    assert read_effects(tmp_path / "effects.json") == {"a": MEASURED}


def test_the_effect_of_removing_an_input_alone() -> None:
    assert removal_effects(MEASURED) == {IMAGE: -1.5, TEXT: -2.5}
    needed = Effect("cat", {SEEN: -3.0, BOTH: -0.5}, {SEEN: ("dog", 0.5), BOTH: ("cat", 0.75)}, {})
    assert removal_effects(needed) == {TEXT: -2.5}, "what the model requires is not removed"


DAMAGES: dict[str, Callable[[Any], Any]] = {
    "another format": lambda content: content.update(format=2),
    "no effects": lambda content: content.pop("effects"),
    "an effect that is a list": lambda content: content["effects"].update(id=[]),
    "no subsets": lambda content: content["effects"]["id"].update(kept=[]),
    "a subset is missing": lambda content: content["effects"]["id"]["kept"].pop(),
    "an unknown modality": lambda content: content["effects"]["id"]["kept"][1].__setitem__(0, ["smell"]),
    "a probability over 1": lambda content: content["effects"]["id"]["kept"][0].__setitem__(3, 1.5),
    "a log-probability above 0": lambda content: content["effects"]["id"]["kept"][0].__setitem__(1, 0.5),
    "an answer that is a number": lambda content: content["effects"]["id"].update(answer=3),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "effects.json"
    content = json.loads(effects_to_json({"id": MEASURED}))
    DAMAGES[damage](content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(MmvizError) as error:
        read_effects(path)
    assert error.value.code == "stories-unreadable"


@pytest.mark.parametrize("data", [b"", b"[" * 100_000, b" " * MAX_BYTES + b"{}", None], ids=range(4))
def test_another_file_or_none_is_refused(data: bytes | None, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / "effects.json").write_bytes(data)
    with pytest.raises(MmvizError):
        read_effects(tmp_path / "effects.json")


@pytest.mark.long
@pytest.mark.slow
def test_every_recording_has_its_effect_and_a_changed_run_none(backend: LocalBackend) -> None:
    effects, recordings = read_effects(EFFECTS), ReplayBackend(assets_dir() / "gallery" / "runs")
    for name, example in EXAMPLES.items():
        (record,) = recordings.run([Request("trio", example.sample())])
        stored = effect_of_record(effects, record)
        assert stored is not None, name
        changed = replace(record, made_by={**record.made_by, "changes": ("UniformAttention()",)})
        assert effect_of_record(effects, changed) is None
        now = measure_modality_effect(backend, Request("trio", example.sample()))
        assert now is not None and stored.answers.keys() == now.answers.keys()
        assert stored.values == pytest.approx(now.values, abs=1e-3)
        assert [answer for answer, _ in stored.answers.values()] == [answer for answer, _ in now.answers.values()]
