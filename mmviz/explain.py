"""The door of the library: inputs in, a run out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.map_weights import Direction, attention_row, weights
from mmviz.analysis.modality_matrix import ModalityMatrix, matrix_of_sums, modality_matrix
from mmviz.analysis.record_views import view_of
from mmviz.experiments.modality_shapley import Baseline
from mmviz.experiments.runs import answer_query, measure_modality_effect
from mmviz.inputs import make_sample
from mmviz.io.run_file import from_bytes, to_bytes
from mmviz.models import CATALOGUE
from mmviz.types import (
    AttentionRecord,
    CaptureError,
    Change,
    Columns,
    MapRef,
    MmvizError,
    PooledMap,
    Request,
    Rollout,
    Rows,
    Sample,
    Token,
    View,
)

if TYPE_CHECKING:
    from mmviz.backends import Backend


@dataclass(frozen=True)
class Run:
    """One sample through one model: what went in, and what was recorded."""

    sample: Sample
    record: AttentionRecord
    backend: Backend | None = None
    """Where it was made: there views are answered of a record without all its weights, and variants are run."""
    request: Request | None = None
    """What was asked for."""

    def __post_init__(self) -> None:
        if self.record.batch is not None:
            raise CaptureError("run-batch", count=self.record.batch)
        if not self.record.maps:
            raise MmvizError("run-unreadable")
        try:  # the way of looking that a record names is one that it has
            if self.map_ref.layer is not None:
                self.record.map_number(self.map_ref)
            elif self.map_ref.method == "relevance" and self.record.relevance is None and not self.record.is_long:
                raise LookupError(self.map_ref)
        except (ValueError, LookupError) as problem:
            raise MmvizError("run-way", map_ref=self.record.made_by.get("map_ref")) from problem

    def view(self, view: View) -> NDArray[np.float32]:
        """A part of the attention: of the record where it has all weights, else of what is kept where it was made.

        Raises ``MmvizError`` (``view-gone``) where nothing is kept any more.
        """
        is_long = (
            self.record.is_long
            if isinstance(view, Rollout)
            else isinstance(self.record.maps[self.record.map_number(view.map)], PooledMap)
        )
        if not is_long:
            return view_of(self.record, view)
        if self.backend is None:
            raise MmvizError("view-gone")
        return self.backend.view(self.record.id, view)

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens that are attended to, in the model's order."""
        return self.record.streams[self.record.maps[-1].keys]

    @property
    def map_ref(self) -> MapRef:
        """The way of looking chosen for this model; the mean of the last layer's heads where none was chosen."""
        chosen = self.record.made_by.get("map_ref")
        return MapRef.parse(chosen) if chosen else self.record.map_ref(len(self.record.maps) - 1)

    @property
    def answer_query(self) -> int:
        """Index of the query that answers: the first special token, else the first token."""
        return answer_query(self.record)

    def attention(
        self, map_ref: MapRef | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from"
    ) -> NDArray[np.float64]:
        """Attention from (or ``"to"``) ``token``, an amount for every token, ``[token]``; the mean of a group.

        None stands for the chosen way of looking, and for the answer token.
        """
        seen, asked = map_ref or self.map_ref, self.answer_query if token is None else token
        if not self.record.is_long:
            return attention_row(self.record, seen, asked, direction, self.record.relevance)
        tokens = tuple(int(one) for one in np.atleast_1d(asked))
        if seen.method == "relevance":
            raise MmvizError("view-relevance")
        view: View
        if seen.method == "rollout":
            view = Rollout(tokens, direction)
        else:
            view = (Rows if direction == "from" else Columns)(seen, tokens)
        return np.asarray(self.view(view).mean(0 if direction == "from" else 1), np.float64)

    @property
    def is_exact(self) -> bool:
        """Whether `attention` can be had: not of a long run that is no longer kept where it was made."""
        if not self.record.is_long:
            return True
        number = next(k for k, found in enumerate(self.record.maps) if isinstance(found, PooledMap))
        try:
            self.view(Rows(self.record.map_ref(number, 0), (0,)))
        except MmvizError:
            return False
        return True

    def about(
        self, map_ref: MapRef | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from"
    ) -> NDArray[np.float64]:
        """`attention` of a long run from its overview alone: of each token the mean over its bin and that of those who
        ask. Raises ``MmvizError`` (``view-flow``) for rollout and relevance."""
        seen = map_ref or self.map_ref
        if seen.layer is None:
            raise MmvizError("view-flow")
        found = self.record.maps[self.record.map_number(seen)]
        assert isinstance(found, PooledMap)
        overview = found.overview.mean(0, dtype=np.float64) if seen.head is None else found.overview[seen.head]
        sides = [np.repeat(np.arange(len(edges) - 1), np.diff(edges)) for edges in (found.query_edges, found.key_edges)]
        chosen = np.atleast_1d(self.answer_query if token is None else token)
        if direction == "from":
            return np.asarray(overview[sides[0][chosen]].mean(0)[sides[1]], np.float64)
        return np.asarray(overview[:, sides[1][chosen]].mean(1)[sides[0]], np.float64)

    def matrix(self, map_ref: MapRef | None = None) -> ModalityMatrix:
        """Attention between modalities. Raises ``MmvizError`` (``view-flow``) for a flow through a long run."""
        seen = map_ref or self.map_ref
        if seen.layer is None:
            if self.record.is_long:
                raise MmvizError("view-flow")
            queries = self.record.streams[self.record.maps[-1].queries]
            return modality_matrix(weights(self.record, seen, self.record.relevance), queries, self.tokens)
        found = self.record.maps[self.record.map_number(seen)]
        queries, keys = self.record.streams[found.queries], self.record.streams[found.keys]
        if isinstance(found, PooledMap):
            given = (
                found.row_modality_sums.mean(0, dtype=np.float64)
                if seen.head is None
                else found.row_modality_sums[seen.head]
            )
            return matrix_of_sums(given, queries, keys)
        return modality_matrix(weights(self.record, seen), queries, keys)

    def effect(self, baseline: Baseline = "learned", backend: Backend | None = None) -> dict[str, float]:
        """What the answer depends on: exact Shapley values of the three modalities in its log-probability.

        ``{"image", "text", "audio", "total"}``, in nats; a modality that was not given has 0, and the three add up to
        the total, which is the way from nothing to everything. ``baseline``: what taking away means, ``learned`` (the
        model's own way to be without), or the ``mean``, a ``blur`` or ``noise`` in the place of what was there. See
        `mmviz.experiments.modality_shapley`. ``backend``: where to run it (None: where this run was made, else this machine).
        Raises ``MmvizError``: ``effect-model`` where the model is not to be had there with the same weights, and
        whatever the model says to a modality that is missing.
        """
        request = self.asked()
        found = measure_modality_effect(backend or self.backend or _local(), request, baseline)
        assert found is not None  # nobody stops it
        return {**{str(modality): value for modality, value in found.phi.items()}, "total": found.total}

    def asked(self) -> Request:
        """The request behind this run; of a run from a file one that would give it again."""
        if self.request is not None:
            return self.request
        made = self.record.made_by
        if made.get("changes") or made.get("model") not in CATALOGUE:
            raise MmvizError("effect-model", model=made.get("model"))
        card = next(card for card in _local().models() if card.id == made["model"])
        if card.weights_digest != made.get("weights"):
            raise MmvizError("effect-model", model=made["model"])
        return Request(card.id, self.sample, seed=made.get("seed", 0))

    def summary(self) -> dict[str, Any]:
        """Plain values: answer (None where there is none), probabilities, tokens and their places, attention of the
        answer token, modality matrix, effect (None where the model cannot be run again, or cannot do without a
        modality), notices, made_by."""
        from mmviz.report.summary import summary_of

        return summary_of(self)

    def png(
        self, map_ref: MapRef | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from",
        scale_max: float | None = None,
    ) -> bytes:  # fmt: skip
        """One picture to show, 1600 x 900 PNG: `attention` on the inputs, its scale from 0 to ``scale_max`` (None: the
        largest amount shown)."""
        from mmviz.report.picture import picture_of

        return picture_of(self, map_ref, token, direction, scale_max)

    def to_html(self) -> str:
        """The linked viewer with this run inside: one HTML document that opens from disk and needs no network."""
        from mmviz.report import ViewerData

        return ViewerData(self).to_html()

    def _repr_html_(self) -> str:
        """What a notebook shows: `to_html` in a frame of its own."""
        from mmviz.viewer.pack import frame

        return frame(self.to_html())

    def to_bytes(self) -> bytes:
        """The run as the bytes of one ``.npz`` file."""
        return to_bytes(self.sample, self.record)

    def save(self, path: str | Path) -> None:
        """Write the run to one ``.npz`` file."""
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Read what `save` wrote. Raises ``MmvizError`` for any other file, and where there is none."""
        try:
            data = Path(path).read_bytes()
        except OSError as problem:
            code = "file-missing" if isinstance(problem, FileNotFoundError) else "file-unreadable"
            raise MmvizError(code, name=Path(path).name) from problem
        return cls(*from_bytes(data))


@lru_cache(maxsize=1)
def _local() -> Backend:
    from mmviz.backends.local import LocalBackend

    return LocalBackend()


def _remote(url: str) -> Backend:
    from mmviz.backends.remote import RemoteBackend

    return RemoteBackend(url, os.environ.get("MMVIZ_TOKEN"))


def explain(
    image: Any = None, text: str | None = None, audio: Any = None, *, model: str = "trio",
    backend: Backend | str | None = None, seed: int = 0, relevance: bool = False, steps: bool = False,
) -> Run:  # fmt: skip
    """Run a fusion model on a picture, a text and a sound, and keep its attention.

    ``image``: path, bytes, PIL image or array; ``audio``: path, bytes or ``(array, rate in Hz)``; any may be missing.
    ``backend``: where it runs, or the address of an ``mmviz serve``, whose token is taken from MMVIZ_TOKEN; None for
    this machine.
    ``relevance``: keep gradient relevance of the winning answer as well, for which a backward pass is made.
    ``steps``: keep the vectors by which every attention can be worked out again; the viewer then has the calculator.
    Raises ``InputError`` for inputs that cannot be used, ``MmvizError`` for a model that is not known.
    """
    sample = make_sample(image=image, text=text, audio=audio)
    return run_sample(sample, model=model, backend=backend, seed=seed, relevance=relevance, steps=steps)


def run_sample(
    sample: Sample, *, model: str = "trio", backend: Backend | str | None = None, seed: int = 0,
    changes: tuple[Change, ...] = (), relevance: bool = False, steps: bool = False,
) -> Run:  # fmt: skip
    """`explain` for a sample that has been checked already, with ``changes`` to the model or the sample."""
    backend = _remote(backend) if isinstance(backend, str) else backend or _local()
    request = Request(model, sample, changes, seed, relevance, steps=steps)
    (record,) = backend.run([request])
    return Run(sample, record, backend, request)
