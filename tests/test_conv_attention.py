"""The small model of convolution and attention: its architecture, training, attention, and stopping."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import mmviz
from mmviz.cli import main
from mmviz.i18n.learn_training import TRAINING
from mmviz.models.conv_attention_model import ConvAttention
from mmviz.training.fit import train_conv_attention
from mmviz.training.fit.train_conv_attention import WORDS, Recipe, TrainingRun, draw_images, fit, save, to_tensor

pytestmark = pytest.mark.long

TINY = Recipe(images=64, held_out=40, epochs=2)
ROOT = Path(__file__).resolve().parent.parent


def test_the_layers_are_those_of_the_recipe() -> None:
    model = ConvAttention(len(WORDS))
    first, relu, pool, second, relu_again, pool_again = model.features
    assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
    assert (first.in_channels, first.out_channels, first.kernel_size) == (3, 32, (3, 3))
    assert (second.in_channels, second.out_channels, second.kernel_size) == (32, 64, (3, 3))
    assert isinstance(relu, nn.ReLU) and isinstance(relu_again, nn.ReLU)
    assert isinstance(pool, nn.MaxPool2d) and isinstance(pool_again, nn.MaxPool2d)
    assert pool.kernel_size == pool_again.kernel_size == 2
    assert isinstance(model.classifier, nn.Linear) and model.classifier.out_features == len(WORDS) == 10
    logits, weights = model(torch.zeros(3, 3, 40, 40))
    assert logits.shape == (3, 10) and weights.shape == (3, 101, 101)


def test_attention_is_softmax_of_scaled_products_times_values() -> None:
    torch.manual_seed(0)
    model = ConvAttention(10)
    images = torch.rand(2, 3, 40, 40) * 2 - 1
    logits, weights = model(images)
    positions = model.features(images).flatten(2).transpose(1, 2)
    x = torch.cat([model.answer.expand(2, 1, 64), positions], 1)
    query, key, value = (part(x) for part in (model.attention.query, model.attention.key, model.attention.value))
    scores = torch.einsum("bqd,bkd->bqk", query, key) / math.sqrt(64)
    powers = scores.exp()
    by_hand = powers / powers.sum(-1, keepdim=True)
    assert torch.allclose(weights, by_hand, atol=1e-6)
    assert torch.allclose(logits, model.classifier(torch.einsum("bk,bkd->bd", by_hand[:, 0], value)), atol=1e-5)
    assert torch.equal(positions[:, 13], model.features(images)[:, :, 1, 3]), "positions are ordered row by row"


def test_capture_records_the_same_attention() -> None:
    torch.manual_seed(1)
    model = ConvAttention(10).eval()
    image = to_tensor(draw_images(np.random.default_rng(0), 1).pixels)
    with torch.no_grad(), mmviz.capture(model) as result:
        _, weights = model(image)
    (attn_map,) = result.record().maps
    assert np.allclose(attn_map.weights, weights.numpy(), atol=1e-6)


def test_the_recipe_is_adam_on_the_cross_entropy_of_the_word_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    optimizers: list[torch.optim.Adam] = []
    losses: list[tuple[Tensor, Tensor]] = []
    adam, cross_entropy = torch.optim.Adam, torch.nn.functional.cross_entropy

    def optimizer(*args: Any, **more: Any) -> torch.optim.Adam:
        optimizers.append(adam(*args, **more))
        return optimizers[-1]

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        losses.append((logits, labels))
        return cross_entropy(logits, labels)

    monkeypatch.setattr(torch.optim, "Adam", optimizer)
    monkeypatch.setattr(torch.nn.functional, "cross_entropy", loss)
    fit(TINY)
    (optimizer_used,) = optimizers
    assert type(optimizer_used) is adam and len(optimizer_used.param_groups) == 1
    trained = [(logits, labels) for logits, labels in losses if logits.requires_grad]
    assert [len(labels) for _, labels in trained] == [32] * 4, "two epochs of two batches of 32"
    assert all(logits.shape == (32, 10) for logits, _ in trained)
    recipe = Recipe()
    assert (recipe.epochs, recipe.batch) == (10, 32)
    for number in (f"{recipe.images:,} pictures", f"{recipe.epochs} epochs", f"batches of {recipe.batch}", "Adam"):
        assert number in TRAINING["learn-training-intro"]


def test_every_epoch_uses_every_image_once(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[np.ndarray] = []
    train_step = train_conv_attention.train_step

    def recorded(model: Any, adam: Any, batch: Any) -> tuple[float, float]:
        batches.append(batch.pixels)
        return train_step(model, adam, batch)

    monkeypatch.setattr(train_conv_attention, "train_step", recorded)
    fitted = fit(Recipe(images=80, held_out=10, epochs=3))
    assert [len(batch) for batch in batches] == [32, 32, 16] * 3
    epochs = [np.concatenate(batches[3 * k : 3 * k + 3]) for k in range(3)]
    keys = [[image.tobytes() for image in epoch] for epoch in epochs]
    assert set(keys[0]) == set(keys[1]) == set(keys[2]) and len(set(keys[0])) == 80
    assert keys[0] != keys[1] != keys[2], "in another order in each epoch"
    assert not set(keys[0]) & {image.tobytes() for image in fitted.tracked.pixels}, "held-out images are not trained on"
    assert len(set(fitted.tracked.labels.tolist())) == 4, "each tracked image shows another word"


def test_images_know_the_positions_of_their_drawing() -> None:
    images = draw_images(np.random.default_rng(3), 30)
    assert images.pixels.shape == (30, 40, 40, 3) and images.covered.shape == (30, 10, 10)
    assert 0.03 < images.covered.mean() < 0.25 and images.covered.any((1, 2)).all()
    again = draw_images(np.random.default_rng(3), 30)
    assert np.array_equal(images.pixels, again.pixels) and np.array_equal(images.labels, again.labels)


@pytest.mark.long
def test_training_moves_attention_to_the_drawing() -> None:
    fitted = fit(Recipe(images=1200, held_out=200, epochs=4, rate=2e-3, seed=1))
    first, last = fitted.snapshots[0], fitted.snapshots[-1]
    assert first.accuracy < 0.2 and last.accuracy > 0.35, "chance is 0.1"
    assert first.on_drawing == pytest.approx(fitted.area, rel=0.1), "uniform attention is the share of the area"
    assert last.on_drawing > 4 * fitted.area
    assert fitted.points[-1].accuracy > fitted.points[0].accuracy + 0.2
    assert fitted.points[-1].loss < fitted.points[0].loss - 0.4
    assert [snapshot.epoch for snapshot in fitted.snapshots] == [0, 1, 2, 3, 4]


def test_a_snapshot_holds_the_attention_of_the_model() -> None:
    fitted = fit(TINY)
    model = ConvAttention(10)
    model.load_state_dict(dict(fitted.weights))
    with torch.no_grad():
        logits, weights = model(to_tensor(fitted.tracked.pixels))
    last = fitted.snapshots[-1]
    assert np.allclose(last.attention.reshape(4, 100), weights[:, 0, 1:], atol=1e-5)
    assert np.allclose(last.self_attention, weights[:, 0, 0], atol=1e-5)
    assert np.allclose(last.attention.sum((1, 2)) + last.self_attention, 1, atol=1e-5)
    assert np.allclose(last.probabilities, logits.softmax(-1), atol=1e-5)
    again = fit(TINY)
    assert again.snapshots[-1].loss == pytest.approx(last.loss, rel=1e-3), "training is deterministic"
    other = fit(Recipe(64, 40, epochs=2, seed=2))
    assert not np.allclose(other.snapshots[-1].attention, last.attention, rtol=1e-3)
    assert not np.array_equal(other.tracked.pixels, fitted.tracked.pixels)


def test_the_global_random_state_is_unchanged() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(Recipe(32, 10, epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_stopping_keeps_what_was_learned() -> None:
    done: list[int] = []
    updates: list[TrainingRun] = []
    fitted = fit(TINY, lambda at, of: done.append(at), lambda: len(done) == 3, updates.append)
    assert done == [32, 64, 96] and fitted.images == 96 and not fitted.is_complete
    assert [snapshot.epoch for snapshot in fitted.snapshots] == [0, 1, 1.5]
    assert [len(update.snapshots) for update in updates] == [1, 2], "before training, and after an epoch"
    assert not np.array_equal(fitted.snapshots[-1].attention, fitted.snapshots[0].attention)
    none = fit(TINY, stop=lambda: True)
    assert none.images == 0 and len(none.snapshots) == 1 and not none.is_complete
    assert fit(TINY).is_complete


def test_two_concurrent_trainings_give_the_results_of_each_alone() -> None:
    alone = [fit(Recipe(64, 40, epochs=2, seed=seed)) for seed in (1, 2)]
    concurrent: dict[int, TrainingRun] = {}

    def train(seed: int) -> None:
        concurrent[seed] = fit(Recipe(64, 40, epochs=2, seed=seed))

    threads = [threading.Thread(target=train, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    for seed, run in zip((1, 2), alone, strict=True):
        assert concurrent[seed].snapshots[-1].loss == pytest.approx(run.snapshots[-1].loss, rel=1e-3)


def test_saved_files_hold_weights_and_curves(tmp_path: Path) -> None:
    fitted = fit(TINY)
    save(fitted, tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["log.jsonl", "weights.safetensors"]
    model = ConvAttention(10)
    model.load_state_dict(load_file(tmp_path / "new" / "weights.safetensors"))
    lines = [json.loads(line) for line in (tmp_path / "new" / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines if line["images"] == "held out"] == [0, 1, 2]
    assert [line["loss"] for line in lines if line["images"] == "training"] == [point.loss for point in fitted.points]
    assert lines[-1]["accuracy"] in {fitted.snapshots[-1].accuracy, fitted.points[-1].accuracy}


def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_conv_attention, "Recipe", lambda seed=1: Recipe(64, 40, epochs=2, seed=seed))


def test_the_command_trains_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny(monkeypatch)
    assert main(["train", "--model", "conv-attention", "--out", str(tmp_path / "out"), "--seed", "2"]) == 0
    printed = capsys.readouterr()
    fitted = fit(Recipe(64, 40, epochs=2, seed=2))
    assert f"{fitted.snapshots[-1].accuracy:.2f} on held-out ones" in printed.out
    assert (
        f"{fitted.snapshots[0].on_drawing:.2f} before training, {fitted.snapshots[-1].on_drawing:.2f} after"
        in printed.out
    )
    assert "128/128" in printed.err, "a progress bar"
    assert (tmp_path / "out" / "weights.safetensors").exists() and (tmp_path / "out" / "log.jsonl").exists()


def test_the_command_refuses_options_of_trio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    for option in (["--rate", "0.1"], ["--stage", "whole"], ["--pairs", "3", "4", "5"], ["--device", "cpu"]):
        assert main(["train", "--model", "conv-attention", "--out", out, *option]) == 2
        assert f"{option[0]} is an option of trio only" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        main(["train", "--model", "nothing"])


def test_ctrl_c_keeps_the_weights_trained_so_far(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mmviz.cli", "train", "--model", "conv-attention", "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as train:
        assert train.stderr is not None
        progress, deadline = "", threading.Timer(100, train.kill)
        deadline.start()
        while "accuracy=" not in progress:  # until some batches were trained on; the timer ends the read
            character = train.stderr.read(1)
            assert character, progress
            progress += character
        deadline.cancel()
        os.kill(train.pid, signal.SIGINT)
        out, _ = train.communicate(timeout=120)
    assert train.returncode == 0
    assert "Stopped after" in out and "The weights trained so far are kept" in out and "on held-out ones" in out
    assert (tmp_path / "out" / "weights.safetensors").exists()
