"""Training on a world small enough for a test: it learns, it resumes, and it starts from weights alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from feature_chunks import FeatureStore

from mmviz.models.trio_model import BundledTrio
from mmviz.training.fit.checkpoints import load_weights
from mmviz.training.fit.data import ExampleEncoder, Recipe
from mmviz.training.fit.feature_store import open_chunks
from mmviz.training.fit.losses import label_loss
from mmviz.training.fit.question_batches import PairStream
from mmviz.training.fit.train_trio import (
    Stage,
    TrainedTrio,
    TrainingSession,
    _snapshots_until,
    learning_rate,
    make_stage,
    train,
)
from mmviz.training.release.export import add_choice, add_measured, export
from mmviz.training.world.sprites import concepts
from mmviz.training.world.tokenizer import build_tokenizer

pytestmark = pytest.mark.long


def tiny(scenes: int, fuse: bool = True) -> Stage:
    return Stage(Recipe(scenes=2, questions=2, drop=0.2, many_words=0.2), scenes, 1e-3, fuse)


def test_training_resumes_where_it_stopped(feature_store: FeatureStore, tmp_path: Path) -> None:
    train(tiny(4), *feature_store, tmp_path, 1, "cpu", report_every=1)
    reported: list[tuple[int, int]] = []
    train(
        tiny(10),
        *feature_store,
        tmp_path,
        1,
        "cpu",
        progress=lambda done, of, losses: reported.append((done, of)),
        report_every=1,
    )
    assert reported == [(6, 10), (8, 10), (10, 10)]
    scenes = [json.loads(line)["scenes"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert scenes == [2, 4, 6, 8, 10]
    assert json.loads((tmp_path / "weights.json").read_text())["scenes"] == 10


def test_stopped_by_hand_it_loses_nothing(feature_store: FeatureStore, tmp_path: Path) -> None:
    def stop(done: int, of: int, losses: dict[str, float]) -> None:
        if done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny(100), *feature_store, tmp_path, 1, "cpu", progress=stop, report_every=1)
    assert TrainingSession(tiny(100), tmp_path, 1, "cpu", None).scenes == 6


def test_the_last_steps_are_reported_too(feature_store: FeatureStore, tmp_path: Path) -> None:
    reported: list[int] = []
    train(
        tiny(10),
        *feature_store,
        tmp_path,
        1,
        "cpu",
        progress=lambda done, of, losses: reported.append(done),
        report_every=3,
    )
    assert reported == [6, 10]


def test_a_checkpoint_holds_everything(feature_store: FeatureStore, tmp_path: Path) -> None:
    train(tiny(4), *feature_store, tmp_path, 1, "cpu")
    first, second = (TrainingSession(tiny(8), tmp_path, seed, "cpu", None) for seed in (1, 2))
    assert first.scenes == second.scenes == 4
    for name, tensor in first.trained.state_dict().items():
        assert torch.equal(tensor, second.trained.state_dict()[name]), name
    assert first.optimizer.state_dict()["state"].keys() == second.optimizer.state_dict()["state"].keys() != set()


def test_training_starts_from_weights_alone(feature_store: FeatureStore, tmp_path: Path) -> None:
    train(tiny(4), *feature_store, tmp_path / "first", 1, "cpu")
    weights = tmp_path / "first" / "weights.safetensors"
    session = TrainingSession(tiny(4), tmp_path / "second", 9, "cpu", weights)
    assert (session.scenes, session.before) == (0, 4)
    loaded, fresh = TrainedTrio(), TrainedTrio()
    assert load_weights(loaded, weights) == []
    name = "model.blocks.0.attention.query.weight"
    assert torch.equal(session.trained.state_dict()[name], loaded.state_dict()[name])
    assert not torch.equal(fresh.state_dict()[name], loaded.state_dict()[name])


def test_projections_are_trained_into_the_space_that_weights_have(feature_store: FeatureStore, tmp_path: Path) -> None:
    train(tiny(4), *feature_store, tmp_path / "first", 1, "cpu")
    weights = tmp_path / "first" / "weights.safetensors"
    before = TrainedTrio()
    load_weights(before, weights)
    train(tiny(8, fuse=False), *feature_store, tmp_path / "second", 1, "cpu", weights)
    after = TrainedTrio()
    load_weights(after, tmp_path / "second" / "weights.safetensors")
    moved = {
        name.split(".")[0]
        for (name, old), new in zip(before.model.named_parameters(), after.model.parameters(), strict=True)
        if not torch.equal(old, new)
    }
    assert moved == {"image_projection", "audio_projection"}


def test_snapshots_are_log_spaced(feature_store: FeatureStore, tmp_path: Path) -> None:
    wide = Stage(Recipe(scenes=64, questions=0, drop=0, many_words=0), 128, 1e-3, fuse=False)
    many = [feature_store[0] * 11, feature_store[1]]  # a batch has 64 pictures
    train(wide, *many, tmp_path, 1, "cpu")
    assert [path.stem for path in sorted((tmp_path / "snapshots").glob("*.safetensors"))] == [
        "00000064", "00000128",
    ]  # fmt: skip
    assert [_snapshots_until(scenes) for scenes in (63, 64, 108, 109, 184, 185, 314, 315)] == [0, 1, 1, 2, 2, 3, 3, 4]


def test_it_learns(feature_store: FeatureStore, tmp_path: Path) -> None:
    session = TrainingSession(tiny(1_000), tmp_path, 1, "cpu", None)
    encoder = ExampleEncoder(build_tokenizer(concepts()), concepts())
    stream = PairStream(open_chunks(feature_store[0]), open_chunks(feature_store[1]), encoder, session.stage.recipe, 0)
    batch = next(iter(stream))
    session.scenes = 100  # past the warm-up
    losses = [session.step(batch, torch.tensor(encoder.rows)) for _ in range(25)]
    for name in ("answer", "patch word", "frame word"):
        assert losses[-1][name] < 0.5 * losses[0][name], name


def test_a_loss_on_labels_looks_only_where_they_are_known() -> None:
    logits = torch.tensor([4.0, -4.0, 9.0], requires_grad=True)
    loss = label_loss(logits, torch.tensor([1, 0, -1]))
    loss.backward()
    assert loss.item() == pytest.approx(np.log1p(np.exp(-4.0)), rel=1e-5)
    assert logits.grad is not None and logits.grad[2] == 0
    assert label_loss(logits, torch.tensor([-1, -1, -1])).item() == 0


def test_the_learning_rate_warms_up_and_comes_down() -> None:
    stage = make_stage("whole", 1_000)
    rates = [learning_rate(stage, scenes) for scenes in (0, 15, 30, 300, 600, 800, 999)]
    assert rates[0] == 0 and rates[1] == pytest.approx(stage.rate / 2)
    assert rates[2] == rates[3] == rates[4] == stage.rate
    assert rates[5] == pytest.approx(stage.rate / 2) and rates[6] == pytest.approx(0.02 * stage.rate)


def test_what_is_shipped_is_what_was_trained(feature_store: FeatureStore, tmp_path: Path) -> None:
    train(tiny(2), *feature_store, tmp_path, 1, "cpu")
    export(tmp_path / "weights.safetensors", tmp_path / "trio")
    choice = {"map_ref": "5:mean", "depends_on": "relevance", "scores": {"relevance": {"image": {"name": 0.3}}}}
    add_choice(tmp_path / "trio", choice)
    add_measured(tmp_path / "trio", {"count": 3})
    card = json.loads((tmp_path / "trio" / "card.json").read_text())
    assert card["map_ref"] == "5:mean" and card["depends_on"] == "relevance" and card["faithfulness"] == choice
    assert card["scenes"] == 2 and card["measured"] == {"count": 3}
    assert len(card["answers"]) == len(concepts()) + 12
    model = BundledTrio("cpu", (tmp_path / "trio" / "weights.safetensors").read_bytes())
    trained = TrainedTrio()
    load_weights(trained, tmp_path / "weights.safetensors")
    for name, tensor in trained.model.state_dict().items():
        assert torch.equal(tensor, model.module.state_dict()[name]), name
