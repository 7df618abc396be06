"""The temperature that calibrates how sure `trio` is of an answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from mmviz.models.confidence import confidence, expected_calibration_error, fitted_temperature
from mmviz.models.trio_network import Trio
from mmviz.training.fit.data import ExampleEncoder, Recipe
from mmviz.training.fit.feature_store import split_paths
from mmviz.training.fit.question_batches import PairStream
from mmviz.training.fit.train_trio import question_input
from mmviz.training.world.sprites import concepts
from mmviz.training.world.tokenizer import build_tokenizer

BATCHES = 16
"""Batches of questions, 64 each, that calibrate answers."""


def fit_confidence(trio: Trio, picture_folder: Path, sound_folder: Path, seed: int) -> dict[str, float]:
    """Returns the temperature of the answers, and the calibration error without it and with it.

    Of questions about held-out pictures and sounds of the training world, all families alike; the error is measured on
    other questions than the temperature is fitted to.
    """
    encoder = ExampleEncoder(build_tokenizer(concepts()), concepts())
    picture_chunks, sound_chunks = (
        [load_file(path) for path in split_paths(folder)[1]] for folder in (picture_folder, sound_folder)
    )
    recipe = Recipe(scenes=8, questions=8, drop=0.0, many_words=0.0)
    batches = iter(PairStream(picture_chunks, sound_chunks, encoder, recipe, seed))
    logits, truths = [], []
    with torch.inference_mode():
        for _ in range(BATCHES):
            batch = next(batches)
            patches = trio.project_image(batch["patch_features"].float(), batch["patch_words"].float())
            frames = trio.project_audio(batch["frame_features"].float())
            repeats = len(batch["text"]) // len(patches)
            x, valid_mask = trio.sequence(
                question_input(batch), patches.repeat_interleave(repeats, 0), frames.repeat_interleave(repeats, 0)
            )
            answered = batch["answer"] >= 0
            logits.append(trio.fuse(x, valid_mask).logits[answered].double().numpy())
            truths.append(batch["answer"][answered].numpy())
    half = BATCHES // 2
    temperature = fitted_temperature(np.concatenate(logits[:half]), np.concatenate(truths[:half]))
    rest, right = np.concatenate(logits[half:]), np.concatenate(truths[half:])
    probabilities = np.exp(rest - rest.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    is_right = rest.argmax(1) == right
    errors = {
        name: expected_calibration_error(np.array([confidence(row, by) for row in probabilities]), is_right)
        for name, by in (("ece_uncalibrated", 1.0), ("ece", temperature))
    }
    return {"temperature": temperature, **errors, "questions": len(right), "right": float(is_right.mean())}
