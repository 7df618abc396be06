"""Fits what `trio` says of inputs that it does not know, and how sure it is of an answer.

    python -m mmviz.training.fit.out_of_distribution --things FOLDER

writes ``assets/trio/out_of_distribution.json`` for the weights in ``assets/trio`` (or ``--weights FILE``, which are to
be exported there): detectors of pictures and sounds out of the world, and the temperature that calibrates answers. New
weights need a new fit. The world comes as the features that `trio` was trained on (`mmviz.training.fit.feature_store`),
whose last tenth calibrates; what is out of it is made by `mmviz.training.fit.unknown_inputs` and kept on disk.
``--things`` holds drawings of things that no word names, cut out of their ground, such as those of
``@lobehub/fluent-emoji-3d`` without the ones that the world has. `mmviz.training.fit.measure_ood_detection` measures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import nn

from mmviz.assets_path import assets_dir
from mmviz.models.encoders.frozen_encoders import FrozenEncoders, load_encoders
from mmviz.models.out_of_distribution import (
    MAX_DEVIATION,
    Detector,
    FeatureSpace,
    Floats,
    Network,
    detectors_path,
    packed,
)
from mmviz.models.trio_network import Trio
from mmviz.models.word_recognition_statistics import Evidence, EvidenceReader
from mmviz.training.fit.answer_temperature import fit_confidence
from mmviz.training.fit.checkpoints import load_weights
from mmviz.training.fit.class_shifted_features import moved_to_classes
from mmviz.training.fit.data import ExampleEncoder
from mmviz.training.fit.feature_store import Chunk, split_paths
from mmviz.training.fit.train_trio import TrainedTrio
from mmviz.training.fit.unknown_inputs import (
    kept,
    picture_features,
    picture_groups,
    sound_features,
    sound_groups,
)
from mmviz.training.world.speech_bank import default_cache, open_bank
from mmviz.training.world.sprites import concepts
from mmviz.training.world.tokenizer import build_tokenizer

SEED = 61_000
HIDDEN_UNITS, EPOCHS = 32, 60
FLAGGED = {"pictures": 0.02, "sounds": 0.025}
"""Largest share of the world's held-out part that a network flags."""
FLAGGED_MOVED = {"nothing": 0.05, "other things": 0.01}
"""Largest share of pictures with features moved to a known word that the network for pictures of nothing, and that for
pictures of other things, flags: some are moved too little to show anything, but the nearer photographs of other things
are to those of known ones, the more of these would be flagged."""
AXES = 32
FITTED, HELD_OUT = 1_200, 500
"""Pictures, and sounds, of the world."""
MOVED = 500
"""Pictures with features moved to classes of words, and as many to other classes."""
_SHRINKAGE = 0.2
Rows = tuple[Floats, Floats]
"""Statistics ``[n, statistic]`` and features ``[n, feature]``."""


def reader_of(weights: Path, encoders: FrozenEncoders) -> tuple[Trio, EvidenceReader]:
    """Returns the trained model and a reader of evidence. Raises ``MmvizError`` (``weights-unreadable``)."""
    trained = TrainedTrio()
    load_weights(trained, weights)
    rows = ExampleEncoder(build_tokenizer(concepts()), concepts()).rows
    return trained.eval().model, EvidenceReader(trained.model, torch.tensor(rows), encoders)


def stacked(evidence: Iterator[Evidence]) -> Rows:
    """Returns the statistics and features of several inputs."""
    read = list(evidence)
    return tuple(  # type: ignore[return-value]
        torch.stack([getattr(item, name) for item in read]).numpy() for name in ("statistics", "features")
    )


def pictures(reader: EvidenceReader, chunk: Chunk) -> Rows:
    """Returns the evidence in all pictures of a chunk."""
    return stacked(reader.picture(features) for features in chunk["features"])


def sounds(reader: EvidenceReader, chunk: Chunk) -> Rows:
    """Returns the evidence in all sounds of a chunk."""
    rows = zip(chunk["features"], chunk["frames"].tolist(), strict=True)
    return stacked(reader.sound(features, frames) for features, frames in rows)


def some_rows(paths: Sequence[Path], count: int) -> Chunk:
    """Returns about ``count`` rows, evenly from all chunks."""
    each = -(-count // len(paths))
    chunks = [_first_rows(path, each) for path in paths]
    return {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _first_rows(path: Path, count: int) -> Chunk:
    with safe_open(path, "pt") as chunk:
        return {name: chunk.get_slice(name)[:count] for name in chunk.keys()}  # noqa: SIM118


def picture_space(features: Floats) -> FeatureSpace:
    """Returns the main directions of pooled features ``[n, feature]``, one centre."""
    mean, scale = features.mean(0), features.std(0) + 1e-3
    _, spread, rows = np.linalg.svd((features - mean) / scale, full_matrices=False)
    axes = rows[:AXES] / (spread[:AXES, None] / np.sqrt(len(features))) / scale
    return FeatureSpace(mean, axes.astype(np.float32), np.zeros((1, AXES), np.float32))


def sound_space(features: Floats, words: NDArray[np.integer]) -> FeatureSpace:
    """Returns the directions that tell words apart (linear discriminants), and the centre of each word."""
    from scipy.linalg import eigh

    mean = features.mean(0)
    spoken = np.unique(words)
    centres = np.stack([features[words == word].mean(0) for word in spoken])
    rest = features - centres[np.searchsorted(spoken, words)]
    within = rest.T @ rest / len(rest)
    within = (1 - _SHRINKAGE) * within + _SHRINKAGE * np.trace(within) / len(within) * np.eye(len(within))
    axes = eigh(np.cov(centres.T), within)[1][:, ::-1][:, :AXES].T.astype(np.float32)
    return FeatureSpace(mean, axes, ((centres - mean) @ axes.T).astype(np.float32))


def fit_network(
    name: str, space: FeatureSpace, inside: Sequence[Rows], outside: Sequence[Rows],
    held_out: Sequence[tuple[Rows, float]],
) -> Network:  # fmt: skip
    """Returns a network for two classes of equal weight, groups within a class too.

    ``held_out``: groups of the world, each with the largest share of it that may be flagged.
    """
    torch.manual_seed(SEED)
    groups = [_inputs(space, rows) for rows in (*inside, *outside)]
    inputs = np.concatenate(groups)
    mean, scale = inputs.mean(0), inputs.std(0) + 1e-3
    x = torch.from_numpy(_standardised(inputs, mean, scale))
    y = torch.cat([torch.full((len(rows),), float(k >= len(inside))) for k, rows in enumerate(groups)])
    share = [len(inside) if k < len(inside) else len(outside) for k in range(len(groups))]
    weight = torch.cat([torch.full((len(rows),), 1 / len(rows) / share[k]) for k, rows in enumerate(groups)])
    weight = weight / weight.mean()
    inner, outer = nn.Linear(x.shape[1], HIDDEN_UNITS), nn.Linear(HIDDEN_UNITS, 1)
    network = nn.Sequential(inner, nn.ReLU(), outer)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.2)
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for rows in torch.split(order, 256):
            noisy = x[rows] + 0.1 * torch.randn(len(rows), x.shape[1])
            loss = nn.functional.binary_cross_entropy_with_logits(network(noisy)[:, 0], y[rows], weight[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    with torch.no_grad():
        quantiles = []
        for group, largest in held_out:
            scores = network(torch.from_numpy(_standardised(_inputs(space, group), mean, scale)))[:, 0]
            quantiles.append(float(np.quantile(scores.numpy(), 1 - largest)))
        threshold = max(quantiles)
        flagged = float((network(x)[y > 0, 0] > threshold).float().mean())
    print(f"{name}: {int((y == 0).sum())} of the world; {int(y.sum())} others, {flagged:.3f} flagged", flush=True)
    weights, biases, outer_weights = (part.detach().numpy() for part in (inner.weight, inner.bias, outer.weight[0]))
    return Network(mean, scale, weights, biases, outer_weights, outer.bias.item() - threshold)


def _inputs(space: FeatureSpace, rows: Rows) -> Floats:
    distances = np.stack([space.distances(features) for features in rows[1]])
    return np.concatenate([rows[0], distances], 1)


def _standardised(inputs: Floats, mean: Floats, scale: Floats) -> Floats:
    return np.asarray(np.clip((inputs - mean) / scale, -MAX_DEVIATION, MAX_DEVIATION), np.float32)


def fit_pictures(
    reader: EvidenceReader, encoders: FrozenEncoders, folder: Path, unknown: Path, things: Path
) -> Detector:
    """Fits the detector of pictures; ``folder`` holds the chunks of the world, ``unknown`` what is out of it."""
    fitted, held_out = split_paths(folder)
    inside = pictures(reader, some_rows(fitted, FITTED))
    groups = {
        name: kept(unknown, name, lambda make=make: picture_features(encoders, make()))  # type: ignore[misc]
        for name, make in picture_groups(things).items()
    }
    bases = torch.cat([groups["things"]["features"], groups["grounds"]["features"]])
    photographs, other_photographs = (
        stacked(map(reader.picture, moved_to_classes(encoders, bases, MOVED, is_word, SEED)))
        for is_word in (True, False)
    )
    other = {name: pictures(reader, chunk) for name, chunk in groups.items()}
    outside = {
        "nothing": [other["grounds"], other["noise"]], "other things": [other["things"], other_photographs]
    }  # fmt: skip
    half = len(photographs[0]) // 2
    first, second = ((photographs[0][half], photographs[1][half]) for half in (slice(half), slice(half, None)))
    held, space = pictures(reader, some_rows(held_out, HELD_OUT)), picture_space(inside[1])
    networks = [
        fit_network(name, space, [inside, first], rows, [(held, FLAGGED["pictures"]), (second, FLAGGED_MOVED[name])])
        for name, rows in outside.items()
    ]
    return Detector(space, tuple(networks))


def fit_sounds(reader: EvidenceReader, encoders: FrozenEncoders, folder: Path, unknown: Path) -> Detector:
    """Fits the detector of sounds, as `fit_pictures`."""
    fitted, held_out = split_paths(folder)
    chunk = some_rows(fitted, 2 * FITTED)
    evidence = sounds(reader, chunk)
    bank = open_bank(default_cache(), "train", concepts())
    outside = [
        sounds(reader, kept(unknown, name, lambda make=make: sound_features(encoders, make())))  # type: ignore[misc]
        for name, make in sound_groups(bank).items()
    ]
    # the centres of words from one half, so that distances of the other are those of what is new
    half = np.arange(len(chunk["word"])) % 2 == 0
    space = sound_space(evidence[1][half], chunk["word"].numpy()[half])
    inside = (evidence[0][~half], evidence[1][~half])
    held = [(sounds(reader, some_rows(held_out, HELD_OUT)), FLAGGED["sounds"])]
    return Detector(space, (fit_network("sounds", space, [inside], outside, held),))


def weights_digest(weights: Path) -> str:
    """Returns the SHA-256 of the weights as `mmviz.training.release.export` writes them."""
    return hashlib.sha256(save(load_file(weights))).hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """Fits detectors and temperature, and writes them."""
    parser = argparse.ArgumentParser(prog="python -m mmviz.training.fit.out_of_distribution")
    parser.add_argument("--weights", type=Path, default=assets_dir() / "trio" / "weights.safetensors")
    parser.add_argument("--things", type=Path, required=True, help="drawings of things that no word names")
    for kind in ("pictures", "sounds"):
        parser.add_argument(f"--{kind}", type=Path, help="folder of features of the world (default: the fullest)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    folders = [getattr(options, kind) or fullest(kind) for kind in ("pictures", "sounds")]
    encoders, unknown = load_encoders(), default_cache() / "unknown"
    trio, reader = reader_of(options.weights, encoders)
    content: dict[str, Any] = {"weights": weights_digest(options.weights)}
    content["confidence"] = {
        name: round(value, 4) for name, value in fit_confidence(trio, folders[0], folders[1], SEED).items()
    }
    print(content["confidence"], flush=True)
    content["audio"] = packed(fit_sounds(reader, encoders, folders[1], unknown))
    content["image"] = packed(fit_pictures(reader, encoders, folders[0], unknown, options.things))
    detectors_path().write_text(json.dumps(content) + "\n", encoding="utf-8")


def fullest(kind: str) -> Path:
    """Returns the folder of features with the most chunks. Raises ``SystemExit`` where there is none."""
    folders = list((default_cache() / "features").glob(f"{kind}-*"))
    if not folders:
        raise SystemExit(f"There are no features of {kind}. mmviz train computes them.")
    return max(folders, key=lambda folder: len(list(folder.glob("*.safetensors"))))


if __name__ == "__main__":
    main()
