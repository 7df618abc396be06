"""The card and the documents hold the measured figures of the bundled weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from mmviz.assets_path import assets_dir
from mmviz.models.question_templates import FAMILIES
from mmviz.training.evaluate.compare_fusions import ALL, is_cross_modal
from mmviz.training.evaluate.compare_fusions import markdown as fusions_markdown
from mmviz.training.evaluate.measure_model import markdown
from mmviz.training.evaluate.route_effects import EVEN, balanced_share, totals
from mmviz.training.evaluate.route_effects import markdown as routes_markdown
from mmviz.training.fit.train_fusions import SCENES

FUSIONS = json.loads((assets_dir() / "fusions" / "card.json").read_text(encoding="utf-8"))
CARD = json.loads((assets_dir() / "trio" / "card.json").read_text(encoding="utf-8"))
DOCS = Path(__file__).parent.parent / "docs"
MODEL_CARD = (DOCS / "model-card.md").read_text(encoding="utf-8")
FUSION_KINDS = (DOCS / "fusion-kinds.md").read_text(encoding="utf-8")


def test_the_card_is_of_these_weights() -> None:
    weights = (assets_dir() / "trio" / "weights.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == CARD["sha256"] and len(weights) <= 16 * 2**20


def test_the_model_card_prints_the_figures_of_the_card() -> None:
    assert markdown(CARD["measured"]) in MODEL_CARD


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_beats_its_majority_by_far(family: str) -> None:
    row = CARD["measured"]["accuracy"]["unseen scenes"][family]
    assert row["accuracy"] >= max(0.6, row["majority"] + 0.25)


@pytest.mark.parametrize(("world", "least"), [("unseen scenes", 0.85), ("held-out art", 0.7), ("held-out voices", 0.7)])
def test_most_answers_are_right(world: str, least: float) -> None:
    rows = CARD["measured"]["accuracy"][world].values()
    assert sum(row["accuracy"] for row in rows) / len(rows) >= least


def test_what_the_answer_depends_on_is_shown_by_the_most_faithful_method() -> None:
    choice = CARD["faithfulness"]
    assert (choice["map_ref"], choice["depends_on"]) == (CARD["map_ref"], CARD["depends_on"])
    assert choice["seed"] != CARD["measured"]["seed"] and next(iter(choice["scores"])) == CARD["depends_on"]


def test_the_chosen_method_points_at_the_truth() -> None:
    measured = CARD["measured"]
    assert measured["map_ref"] == CARD["map_ref"] and measured["depends_on"] == CARD["depends_on"]
    assert measured["count"] >= 50
    chosen, control = measured["pointing"][CARD["depends_on"]], measured["shuffled"]
    assert chosen["image"] >= 0.8 and chosen["audio"] >= 0.8 and chosen["audio"] > measured["loudest frame"]["audio"]
    assert control["image"] <= 2 * chosen["image chance"] and control["audio"] <= 2 * chosen["audio chance"]
    assert control["spearman"] < 0.25


def test_a_modality_that_is_not_needed_has_the_smallest_effect() -> None:
    rows = CARD["measured"]["effect"]
    assert {row["unneeded"] for row in rows.values()} == {"image", "audio"} and len(rows) == 8
    assert all(row["rate"] >= 0.85 for row in rows.values()), rows
    assert sum(row["rate"] for row in rows.values()) / len(rows) >= 0.9


def test_the_model_card_prints_the_routes_that_an_answer_needs() -> None:
    assert routes_markdown(CARD["routes"]) in MODEL_CARD
    assert CARD["routes"]["families"].keys() == CARD["routes"]["shuffled"].keys() == set(FAMILIES)
    assert CARD["routes"]["seed"] == CARD["measured"]["seed"]


def test_answers_come_by_the_routes_that_their_questions_need() -> None:
    families = CARD["routes"]["families"]
    for family, row in families.items():
        assert row["needed_rate"] >= 0.9 and (row["idle_rate"] is None or row["idle_rate"] >= 0.9), family
    assert totals(families)["beside_text_rate"] >= 0.9
    assert balanced_share(families) >= 0.95
    assert balanced_share(CARD["routes"]["shuffled"]) <= EVEN, "shuffled weights are no better than an even share"


def test_the_documents_print_the_figures_of_the_fusion_kinds() -> None:
    assert fusions_markdown(FUSIONS["measured"]) in FUSION_KINDS
    assert set(FUSIONS["measured"]["kinds"]) == set(ALL) and FUSIONS["measured"]["count"] >= 50


def test_every_fusion_kind_had_the_same_budget() -> None:
    assert {kind["scenes"] for kind in FUSIONS["kinds"].values()} == {SCENES}


def test_late_fusion_fails_where_modalities_must_be_related() -> None:
    kinds = FUSIONS["measured"]["kinds"]
    for family in ("relheard", "rel", "seen", "mask"):
        assert is_cross_modal(family)
        assert kinds["late"]["accuracy"][family] <= kinds["trio-reduced"]["accuracy"][family] - 0.1, family
    assert kinds["late"]["cross-modal"] <= kinds["trio-reduced"]["cross-modal"] - 0.15
    behind = {
        questions: kinds["trio-reduced"][questions] - kinds["late"][questions]
        for questions in ("cross-modal", "single modality")
    }
    assert behind["cross-modal"] >= 2 * behind["single modality"]
