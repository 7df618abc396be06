"""Records the runs of the gallery, which the page shows before torch is loaded.

``python -m mmviz.training.release.record_gallery`` records those of the assets.
"""

from __future__ import annotations

from pathlib import Path

from mmviz.assets_path import assets_dir
from mmviz.backends import Backend
from mmviz.backends.local import LocalBackend
from mmviz.backends.replay import recording_bytes
from mmviz.inputs.examples import read_gallery
from mmviz.training.release.record_stories import record_stories
from mmviz.types import Request, Sample


def gallery_samples(folder: Path) -> dict[str, Sample]:
    """Returns the samples of the gallery in ``folder``, by id."""
    return {example.id: example.sample() for example in read_gallery(folder)}


def record_gallery(folder: Path, backend: Backend) -> None:
    """Runs every example of the gallery in ``folder``, with what its first view needs, into ``folder/runs/ID.npz``.

    Other recordings in the folder are deleted. The stories of the recorded answers follow, see `record_stories`.
    """
    runs = folder / "runs"
    runs.mkdir(exist_ok=True)
    samples = gallery_samples(folder)
    for path in runs.glob("*.npz"):
        if path.stem not in samples:
            path.unlink()
    for name, sample in samples.items():
        (record,) = backend.run([Request("trio", sample, relevance=True, depends_on=True)])
        (runs / f"{name}.npz").write_bytes(recording_bytes(name, sample, record))
    record_stories(folder, backend)


def main() -> None:
    """Records the gallery of the assets, with the weights of the assets, on the CPU as most users have it."""
    record_gallery(assets_dir() / "gallery", LocalBackend("cpu"))


if __name__ == "__main__":
    main()
