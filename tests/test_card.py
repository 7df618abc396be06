"""The card and the README say what was measured, of the weights that are shipped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from mmviz.assets_path import assets_dir
from mmviz.training.questions import FAMILIES
from mmviz.training.tables import markdown

CARD = json.loads((assets_dir() / "trio" / "card.json").read_text(encoding="utf-8"))
README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_card_is_of_these_weights() -> None:
    weights = (assets_dir() / "trio" / "weights.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == CARD["sha256"] and len(weights) <= 16 * 2**20


def test_the_readme_prints_the_figures_of_the_card() -> None:
    assert markdown(CARD["measured"]) in README


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_beats_its_majority_by_fifteen_points(family: str) -> None:
    row = CARD["measured"]["accuracy"]["unseen scenes"][family]
    assert row["accuracy"] >= row["majority"] + 0.15


def test_the_chosen_way_points_at_the_truth() -> None:
    measured = CARD["measured"]
    assert measured["way"] == CARD["way"] and measured["count"] >= 200
    chosen, control = measured["pointing"][CARD["way"]], measured["shuffled"]
    assert chosen["image"] >= 0.6 and chosen["audio"] >= 0.6 and chosen["audio"] > measured["energy"]["audio"]
    assert control["image"] <= 2 * chosen["image chance"] and control["audio"] <= 2 * chosen["audio chance"]
    assert control["spearman"] < 0.25
