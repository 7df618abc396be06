"""Recorded runs, shown again without running anything: neither a model nor torch is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmviz.backends import Progress, Stop, never, one_by_one, quiet
from mmviz.io.run_file import from_recording, made_by, to_recording
from mmviz.models import CATALOGUE
from mmviz.models.cards import trio_card
from mmviz.types import AttentionRecord, Card, MmvizError, Request, Sample, View

_Key = tuple[str, str, tuple[str, ...], int]


class ReplayBackend:
    """Answers from the recordings (``*.npz``) in ``folder``, which are looked through at the first request.

    A record comes back as it was recorded, with its own id and times, and says so: ``made_by["recorded"]`` holds the
    name and the digest of its sample. What other weights than those that travel with mmviz have left is never shown.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def models(self) -> tuple[Card, ...]:
        """The cards of the models of which a run can be shown."""
        return (self._card,) if self._card.weights_digest in {digest for _, digest in self._recordings.values()} else ()

    def run(
        self, requests: Sequence[Request], progress: Progress = quiet, stop: Stop = never
    ) -> tuple[AttentionRecord, ...]:
        """One record a request, in order; fewer where ``stop`` said so between two of them.

        A recording with relevance also answers a request without it. Raises ``MmvizError``: ``replay-not-recorded``,
        ``replay-stale``, ``model-unknown``, or ``run-unreadable`` where a file is damaged.
        """
        return one_by_one(requests, self._find, progress, stop)

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        """Recordings keep nothing beside the record. Raises ``MmvizError`` (``view-gone``)."""
        raise MmvizError("view-gone")

    def _find(self, request: Request) -> AttentionRecord:
        if request.model not in CATALOGUE:
            raise MmvizError("model-unknown", model=request.model, known=", ".join(CATALOGUE))
        changes = tuple(map(str, request.changes))
        key = (request.model, sample_digest(request.sample), changes, request.seed)
        if key not in self._recordings:
            raise MmvizError("replay-not-recorded", model=request.model)
        path, weights = self._recordings[key]
        if weights != self._card.weights_digest:
            raise MmvizError("replay-stale", model=request.model)
        record = from_recording(path)
        if (request.relevance and record.relevance is None) or _wants_more(request):
            raise MmvizError("replay-not-recorded", model=request.model)
        return record

    @cached_property
    def _recordings(self) -> dict[_Key, tuple[Path, str]]:
        """What each file answers, and the digest of the weights it was made with; two threads find the same."""
        found: dict[_Key, tuple[Path, str]] = {}
        for path in sorted(self.folder.glob("*.npz")):
            made = made_by(path)
            try:
                key = (made["model"], made["recorded"]["sample"], tuple(made["changes"]), made["seed"])
                found[key] = (path, made["weights"])
            except (KeyError, TypeError) as problem:
                raise MmvizError("run-unreadable") from problem
        return found

    @cached_property
    def _card(self) -> Card:
        return trio_card()


def _wants_more(request: Request) -> bool:
    """Whether something is wanted that recordings do not hold."""
    return bool(request.norms or request.integrated or request.steps or request.sweep or not request.maps)


def recording(name: str, sample: Sample, record: AttentionRecord) -> bytes:
    """The file from which ``record``, made of ``sample``, is replayed; ``name`` is what people call the sample."""
    noted = {**record.made_by, "recorded": {"name": name, "sample": sample_digest(sample)}}
    return to_recording(replace(record, made_by=noted))


def sample_digest(sample: Sample) -> str:
    """SHA-256 (hexadecimal) over what a model sees of a sample, and over the sizes that places are measured in."""
    image, audio = sample.image, sample.audio
    digest = hashlib.sha256()
    for part in (
        repr((image.width, image.height, image.pixels.shape) if image else None).encode(),
        image.pixels.tobytes() if image else b"",
        repr(sample.text).encode(),
        repr((audio.rate, audio.seconds, audio.wave.shape) if audio else None).encode(),
        audio.wave.tobytes() if audio else b"",
    ):
        digest.update(part)
    return digest.hexdigest()
