"""The door of the library: inputs in, a run out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.modality import ModalityMatrix, matrix_of_sums, modality_matrix
from mmviz.analysis.select import Direction, Way, looked, map_number, weights
from mmviz.analysis.views import view_of
from mmviz.inputs import make_sample
from mmviz.io import from_bytes, place, to_bytes
from mmviz.texts import sentence
from mmviz.types import (
    AttentionRecord,
    CaptureError,
    Change,
    Columns,
    LongMap,
    MmvizError,
    Modality,
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
    kept: Callable[[View], NDArray[np.float32]] | None = None
    """Answers views of a record without all its weights, where it was made."""

    def __post_init__(self) -> None:
        if self.record.batch is not None:
            raise CaptureError("run-batch", count=self.record.batch)
        try:  # the way of looking that a record names is one that it has
            if self.way.layer is not None:
                map_number(self.record, self.way)
            elif self.way.method == "relevance" and self.record.relevance is None and not self.record.is_long:
                raise LookupError(self.way)
        except (ValueError, LookupError) as problem:
            raise MmvizError("run-way", way=self.record.made_by.get("way")) from problem

    def view(self, view: View) -> NDArray[np.float32]:
        """A part of the attention: of the record where it has all weights, else of what is kept where it was made.

        Raises ``MmvizError`` (``view-gone``) where nothing is kept any more.
        """
        is_long = self.record.is_long if isinstance(view, Rollout) else isinstance(self.record.maps[view.map], LongMap)
        if not is_long:
            return view_of(self.record, view)
        if self.kept is None:
            raise MmvizError("view-gone")
        return self.kept(view)

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens that are attended to, in the model's order."""
        return self.record.streams[self.record.maps[-1].keys]

    @property
    def way(self) -> Way:
        """The way of looking chosen for this model; the mean of the last layer's heads where none was chosen."""
        chosen = self.record.made_by.get("way")
        return Way.parse(chosen) if chosen else Way("mean", layer=self.record.maps[-1].layer)

    @property
    def asker(self) -> int:
        """Index of the query that answers: the first special token, else the first token."""
        asking = self.record.streams[self.record.maps[-1].queries]
        return next((k for k, token in enumerate(asking) if token.modality is Modality.OTHER), 0)

    def attention(
        self, way: Way | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from"
    ) -> NDArray[np.float64]:
        """Attention from (or ``"to"``) ``token``, an amount for every token, ``[token]``; the mean of a group.

        None stands for the chosen way of looking, and for the answer token.
        """
        seen, asked = way or self.way, self.asker if token is None else token
        if not self.record.is_long:
            return looked(self.record, seen, asked, direction, self.record.relevance)
        tokens = tuple(int(one) for one in np.atleast_1d(asked))
        if seen.method == "relevance":
            raise MmvizError("view-relevance")
        view: View
        if seen.method == "rollout":
            view = Rollout(tokens, direction)
        else:
            view = (Rows if direction == "from" else Columns)(map_number(self.record, seen), seen.head, tokens)
        return np.asarray(self.view(view).mean(0 if direction == "from" else 1), np.float64)

    @property
    def is_exact(self) -> bool:
        """Whether `attention` can be had: not of a long run that is no longer kept where it was made."""
        if not self.record.is_long:
            return True
        number = next(k for k, found in enumerate(self.record.maps) if isinstance(found, LongMap))
        try:
            self.view(Rows(number, 0, (0,)))
        except MmvizError:
            return False
        return True

    def about(
        self, way: Way | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from"
    ) -> NDArray[np.float64]:
        """`attention` of a long run from its overview alone: of each token the mean over its bin and that of those who
        ask. Raises ``MmvizError`` (``view-flow``) for rollout and relevance."""
        seen = way or self.way
        if seen.layer is None:
            raise MmvizError("view-flow")
        found = self.record.maps[map_number(self.record, seen)]
        assert isinstance(found, LongMap)
        overview = found.overview.mean(0, dtype=np.float64) if seen.head is None else found.overview[seen.head]
        sides = [np.repeat(np.arange(len(edges) - 1), np.diff(edges)) for edges in (found.query_edges, found.key_edges)]
        chosen = np.atleast_1d(self.asker if token is None else token)
        if direction == "from":
            return np.asarray(overview[sides[0][chosen]].mean(0)[sides[1]], np.float64)
        return np.asarray(overview[:, sides[1][chosen]].mean(1)[sides[0]], np.float64)

    def matrix(self, way: Way | None = None) -> ModalityMatrix:
        """Attention between modalities. Raises ``MmvizError`` (``view-flow``) for a flow through a long run."""
        seen = way or self.way
        if seen.layer is None:
            if self.record.is_long:
                raise MmvizError("view-flow")
            queries = self.record.streams[self.record.maps[-1].queries]
            return modality_matrix(weights(self.record, seen, self.record.relevance), queries, self.tokens)
        found = self.record.maps[map_number(self.record, seen)]
        queries, keys = self.record.streams[found.queries], self.record.streams[found.keys]
        if isinstance(found, LongMap):
            given = found.given.mean(0, dtype=np.float64) if seen.head is None else found.given[seen.head]
            return matrix_of_sums(given, queries, keys)
        return modality_matrix(weights(self.record, seen), queries, keys)

    def summary(self) -> dict[str, Any]:
        """Plain values: answer (None where there is none), probabilities, tokens and their places, attention of the
        answer token, modality matrix, notices, made_by."""
        by_modality = {
            modality: [
                k for k, token in enumerate(self.tokens) if token.modality is modality and token.where is not None
            ]
            for modality in (Modality.IMAGE, Modality.TEXT, Modality.AUDIO)
        }
        is_exact = self.is_exact
        attention = self.attention() if is_exact else self.about()
        matrix = self.matrix()
        return {
            "answer": self.record.answers[0].label if self.record.answers else None,
            "probabilities": {answer.label: answer.probability for answer in self.record.answers},
            "tokens": {
                "image": [place(self.tokens[k].where) for k in by_modality[Modality.IMAGE]],
                "text": [
                    {"label": self.tokens[k].label, **place(self.tokens[k].where)} for k in by_modality[Modality.TEXT]
                ],
                "audio": [place(self.tokens[k].where) for k in by_modality[Modality.AUDIO]],
            },
            "attention": {
                "query": self.tokens[self.asker].label,
                "method": str(self.way) if is_exact else f"{self.way}, means over bins",
                **{str(modality): [float(attention[k]) for k in found] for modality, found in by_modality.items()},
            },
            "modality_matrix": {
                "queries": [str(modality) for modality in matrix.queries],
                "keys": [str(modality) for modality in matrix.keys],
                "sums": matrix.sums.tolist(),
                "per_token": matrix.per_token.tolist(),
                "ratio": matrix.ratio.tolist(),
            },
            "notices": [str(notice) for notice in (*self.sample.notices, *self.record.notices)],
            "made_by": dict(self.record.made_by),
        }

    def png(
        self, way: Way | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from",
        scale_max: float | None = None,
    ) -> bytes:  # fmt: skip
        """One picture to show, 1600 x 900 PNG: `attention` on the inputs, its scale from 0 to ``scale_max`` (None: the
        largest amount shown)."""
        from mmviz.figures.paper import png
        from mmviz.inputs.mel import HOP, SAMPLE_RATE, log_mel

        image, sound, made = self.sample.image, self.sample.audio, self.record.made_by
        is_exact = self.is_exact
        amounts = (self.attention if is_exact else self.about)(way, token, direction)
        asking, asked = self._sides(way or self.way)
        lit, chosen = (asked, asking) if direction == "from" else (asking, asked)
        return png(
            picture=image.pixels if image else None,
            size=(image.width, image.height) if image else None,
            text=self.sample.text,
            wave=sound.wave if sound else None,
            rate=sound.rate if sound else SAMPLE_RATE,
            mel=log_mel(sound.wave) if sound else None,
            hop_seconds=HOP / SAMPLE_RATE,
            tokens=lit,
            chosen_from=chosen,
            amounts=amounts,
            scale_max=scale_max or float(amounts.max()) or 1.0,
            answers=self.record.answers,
            title=self._title(),
            caption=sentence("figure-caption", model=made["model"], device=made.get("device_name", made.get("device"))),
            way=(way or self.way).words() if is_exact else sentence("way-about", way=(way or self.way).words()),
            direction=direction,
            token=self.asker if token is None else token,
        )

    def _sides(self, way: Way) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
        """The tokens that ask and those that are asked."""
        number = len(self.record.maps) - 1 if way.layer is None else map_number(self.record, way)
        found = self.record.maps[number]
        return self.record.streams[found.queries], self.record.streams[found.keys]

    def _title(self) -> str:
        if not self.record.answers:
            return sentence("figure-no-answers")
        best = self.record.answers[0]
        return sentence("figure-title", answer=best.label, probability=best.probability)

    def to_html(self) -> str:
        """The linked viewer with this run inside: one HTML document that opens from disk and needs no network."""
        from mmviz.report import Scene

        return Scene(self).to_html()

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
    backend: Backend | str | None = None, seed: int = 0, relevance: bool = False,
) -> Run:  # fmt: skip
    """Run a fusion model on a picture, a text and a sound, and keep its attention.

    ``image``: path, bytes, PIL image or array; ``audio``: path, bytes or ``(array, rate in Hz)``; any may be missing.
    ``backend``: where it runs, or the address of an ``mmviz serve``, whose token is taken from MMVIZ_TOKEN; None for
    this machine.
    ``relevance``: keep gradient relevance of the winning answer as well, for which a backward pass is made.
    Raises ``InputError`` for inputs that cannot be used, ``MmvizError`` for a model that is not known.
    """
    sample = make_sample(image=image, text=text, audio=audio)
    return run_sample(sample, model=model, backend=backend, seed=seed, relevance=relevance)


def run_sample(
    sample: Sample, *, model: str = "trio", backend: Backend | str | None = None, seed: int = 0,
    changes: tuple[Change, ...] = (), relevance: bool = False,
) -> Run:  # fmt: skip
    """`explain` for a sample that has been checked already, with ``changes`` to the model or the sample."""
    backend = _remote(backend) if isinstance(backend, str) else backend or _local()
    (record,) = backend.run([Request(model, sample, changes, seed, relevance)])
    return Run(sample, record, partial(backend.view, record.id))
