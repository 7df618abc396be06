"""Attention during training: records of two fixed examples at log-spaced snapshots, small enough to distribute.

A file holds the mean over heads of every layer, ``[step, layer, query, key]``, rounded to about three digits (half
precision with 7 bits of the mantissa, which stand apart from the exponents, so that both deflate well), and the
probabilities of the five answers that are most probable at the end of training.
`mmviz.io.training_timeline_file` reads it.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.assets_path import assets_dir
from mmviz.backends.local import LocalBackend
from mmviz.io.npz import pack_npz
from mmviz.io.training_timeline_file import MANTISSA_BITS
from mmviz.models.trio_model import BundledTrio
from mmviz.training.release.record_gallery import gallery_samples
from mmviz.types import AttentionRecord, Request, Sample

EXAMPLES = ("spoken-place", "said")
"""The gallery examples that are recorded."""


def split(weights: NDArray[Any]) -> dict[str, NDArray[np.uint8]]:
    """Returns the exponents of weights in half precision, and the upper ``MANTISSA_BITS`` bits of their mantissas."""
    bits = np.ascontiguousarray(weights, np.float16).view(np.uint16)
    drop = 10 - MANTISSA_BITS
    kept = (bits + (1 << (drop - 1))) >> drop
    return {
        "exponents": (kept >> MANTISSA_BITS).astype(np.uint8),
        "mantissas": (kept & ((1 << MANTISSA_BITS) - 1)).astype(np.uint8),
    }


def pack(sample: str, scenes: Sequence[int], records: Sequence[AttentionRecord]) -> bytes:
    """Returns the records of one example, one per snapshot, as the bytes of an ``.npz``."""
    final = [answer.label for answer in records[-1].answers[:5]]
    probabilities = [[{a.label: a.probability for a in record.answers}[label] for label in final] for record in records]
    header = {
        "sample": sample, "scenes": list(scenes), "answers": final,
        "labels": [token.label for token in records[-1].streams[records[-1].maps[-1].keys]],
    }  # fmt: skip
    weights = np.stack([[attn_map.weights.mean(0) for attn_map in record.maps] for record in records])
    arrays: dict[str, NDArray[Any]] = {**split(weights), "probabilities": np.array(probabilities, np.float32)}
    return pack_npz(header, arrays, method=zipfile.ZIP_LZMA)


def choose_snapshots(folders: Sequence[Path], count: int = 8) -> list[Path]:
    """Returns about ``count`` snapshots, equally many of each stage in ``folders``; they are log-spaced already."""
    chosen: list[Path] = []
    for folder in folders:
        snapshots = sorted((folder / "snapshots").glob("*.safetensors"), key=_scenes)
        picks = np.linspace(0, len(snapshots) - 1, min(len(snapshots), count // len(folders))).round().astype(int)
        chosen += [snapshots[k] for k in picks]
    return chosen


def _scenes(path: Path) -> int:
    return int(path.stem)


def record_timelines(folders: Sequence[Path], samples: dict[str, Sample], out: Path) -> None:
    """Runs every sample through every chosen snapshot and writes ``out/NAME.npz``."""
    out.mkdir(parents=True, exist_ok=True)
    records: dict[str, list[AttentionRecord]] = {name: [] for name in samples}
    chosen = choose_snapshots(folders)
    for path in chosen:
        backend = LocalBackend("cpu", {"trio": BundledTrio("cpu", path.read_bytes())})
        for name, sample in samples.items():
            records[name] += backend.run([Request("trio", sample)])
    for name, timeline in records.items():
        (out / f"{name}.npz").write_bytes(pack(name, [_scenes(path) for path in chosen], timeline))


def main(arguments: Sequence[str]) -> None:
    """Runs ``python -m mmviz.training.release.record_training_timeline RUN...``, one folder per stage of training."""
    gallery = gallery_samples(assets_dir() / "gallery")
    samples = {name: gallery[name] for name in EXAMPLES}
    record_timelines([Path(argument) for argument in arguments], samples, assets_dir() / "learning")


if __name__ == "__main__":
    main(sys.argv[1:])
