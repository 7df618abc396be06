"""A backend that returns recorded runs. It loads neither a model nor torch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmviz.backends import Progress, Stop, ignore_progress, never_stop, run_each
from mmviz.io.recording_file import from_recording, read_made_by, to_recording
from mmviz.models import CATALOGUE
from mmviz.models.cards import trio_card
from mmviz.types import AttentionRecord, Card, MmvizError, Request, Sample, View

_Key = tuple[str, str, tuple[str, ...], int]
"""Model, digest of the sample, changes, seed."""


class ReplayBackend:
    """Answers requests from the recordings (``*.npz``) in ``folder``, which is read at the first request.

    A record comes back as it was recorded, with its own id and times. ``made_by["recorded"]`` holds the name and the
    digest of its sample. A recording made with other weights than those that mmviz ships is never shown.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def models(self) -> tuple[Card, ...]:
        """Returns the cards of the models that have a usable recording."""
        return (self._card,) if self._card.weights_digest in {digest for _, digest in self._recordings.values()} else ()

    def run(
        self, requests: Sequence[Request], progress: Progress = ignore_progress, stop: Stop = never_stop
    ) -> tuple[AttentionRecord, ...]:
        """See `Backend.run`. A recording with relevance also answers a request without it.

        Raises ``MmvizError``: ``replay-not-recorded``, ``replay-stale``, ``model-unknown``, or ``run-unreadable`` where
        a file is damaged.
        """
        return run_each(requests, self._load, progress, stop)

    def view(self, record_id: str, view: View) -> NDArray[np.float32]:
        """Raises ``MmvizError`` (``view-gone``): a recording is the record alone."""
        raise MmvizError("view-gone")

    def forget_inputs(self, record_ids: Sequence[str]) -> None:
        """Does nothing: recordings hold the inputs of examples alone."""

    def _load(self, request: Request) -> AttentionRecord:
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
        if (request.relevance and record.relevance is None) or _needs_a_model(request):
            raise MmvizError("replay-not-recorded", model=request.model)
        return record

    @cached_property
    def _recordings(self) -> dict[_Key, tuple[Path, str]]:
        """The file and the digest of the weights for each request that was recorded."""
        recordings: dict[_Key, tuple[Path, str]] = {}
        for path in sorted(self.folder.glob("*.npz")):
            origin = read_made_by(path)
            try:
                key = (origin["model"], origin["recorded"]["sample"], tuple(origin["changes"]), origin["seed"])
                recordings[key] = (path, origin["weights"])
            except (KeyError, TypeError) as problem:
                raise MmvizError("run-unreadable") from problem
        return recordings

    @cached_property
    def _card(self) -> Card:
        return trio_card()


def _needs_a_model(request: Request) -> bool:
    """Returns whether the request wants something that recordings do not hold."""
    return bool(
        request.norms or request.integrated or request.steps or request.lens or request.sweep or not request.maps
    )


def recording_bytes(name: str, sample: Sample, record: AttentionRecord) -> bytes:
    """Returns the recording of ``record``, which a run on ``sample`` made. ``name`` is the name of the example."""
    origin = {**record.made_by, "recorded": {"name": name, "sample": sample_digest(sample)}}
    return to_recording(replace(record, made_by=origin))


def sample_digest(sample: Sample) -> str:
    """Returns a SHA-256 digest (hexadecimal) of what a model reads of a sample, and of the original sizes."""
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
