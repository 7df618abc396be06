"""A run: one sample through one model, and what it shows, measures and saves."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.answer_maps import AnswerMap, depends_on, reads_from, reads_from_ref
from mmviz.analysis.answer_shares import AnswerShares
from mmviz.analysis.answer_token import answer_query, token_or_answer
from mmviz.analysis.available_maps import default_map_ref, streams_of
from mmviz.analysis.map_views import answer_shares_of, attention_of, modality_matrix_of, pooled_row_of, view_of
from mmviz.analysis.map_weights import Direction
from mmviz.analysis.modality_matrix import ModalityMatrix
from mmviz.backends.backend_for_run import rebuilt_request, this_machine_backend
from mmviz.backends.exact_runs import Keep, can_view_exact, exact_nbytes, kept_tensors, read_run
from mmviz.backends.protocol import Progress, Stop, ignore_progress, never_stop
from mmviz.experiments.modality_shapley import measure_modality_effect
from mmviz.experiments.removals import Baseline
from mmviz.experiments.story import Story, measure_story
from mmviz.io.run_file import to_bytes
from mmviz.io.write_file import write_file
from mmviz.types import AttentionRecord, CaptureError, MapRef, MmvizError, Request, Sample, Token, View
from mmviz.types.short_repr import call_repr

if TYPE_CHECKING:
    from mmviz.backends import Backend
    from mmviz.experiments.language_prior import LanguagePrior
    from mmviz.figures.printed_parts import FigureFormat, FigureLayout
    from mmviz.report.result_table import ExperimentTable


@dataclass(frozen=True, repr=False)
class Run:
    """One sample through one model: the inputs, and everything that was recorded.

    A run comes from `mmviz.explain` or `Run.load`, or is made of a sample and a record. A notebook shows it as the
    linked viewer. A pickle of a run leaves its backend behind; it shows everything that the record holds.
    Raises ``MmvizError``: ``run-no-maps`` without attention maps, ``run-map-ref`` for a default map that is not there,
    ``run-batch`` for several samples (see `AttentionRecord.sample`).

    Examples:
        >>> run = mmviz.explain(image="picture.png", text="What is right of the spoken thing?", audio="voice.wav")
        >>> run.record.answers[0].label
        'fire'
        >>> {name: round(nats) for name, nats in run.effect().items()}  # what the answer depends on
        {'image': 3, 'text': 2, 'audio': 2, 'total': 6}
        >>> run.save("run.npz")  # and mmviz.Run.load("run.npz")
    """

    sample: Sample
    """The checked inputs."""
    record: AttentionRecord
    """Tokens, attention maps, answers, and how they were computed."""
    backend: Backend | None = None
    """The backend that made the run. It computes views that a long run's record does not hold, and runs variants."""
    request: Request | None = None
    """The request that the run answers."""

    def __post_init__(self) -> None:
        if self.record.batch is not None:
            raise CaptureError("run-batch", count=self.record.batch)
        if not self.record.maps:
            raise MmvizError("run-no-maps")
        try:  # the default map that a record names must be in it
            default_map_ref(self.record)
        except (ValueError, LookupError) as problem:
            raise MmvizError("run-map-ref", map_ref=self.record.made_by.get("map_ref")) from problem

    def __repr__(self) -> str:
        backend = [f"backend={type(self.backend).__name__}"] if self.backend else []
        return call_repr(self, repr(self.sample), repr(self.record), *backend)

    def __reduce__(self) -> tuple[Any, ...]:
        return Run, (self.sample, self.record, None, self.request)

    def __copy__(self) -> Run:
        return replace(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Run:
        return Run(*copy.deepcopy((self.sample, self.record), memo), self.backend, copy.deepcopy(self.request, memo))

    def view(self, view: View) -> NDArray[np.float32]:
        """Returns rows, columns, a zoomed region or sums by modality of a map, or of a flow: rollout or relevance.

        The backend computes those of a map that does not hold all its weights. Raises ``MmvizError`` (``view-gone``)
        where it no longer keeps the run.
        """
        if self.record.holds(view.map):
            return view_of(self.record, view)
        if self.backend is None:
            raise MmvizError("view-gone")
        return self.backend.view(self.record.id, view)

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The key tokens of the default map, in the model's order."""
        return self.record.streams[streams_of(self.record, self.map_ref)[1]]

    @property
    def map_ref(self) -> MapRef:
        """The map chosen for the model; without one, the mean over heads of the last map in which modalities meet."""
        return default_map_ref(self.record)

    @property
    def answer_query(self) -> int:
        """Index of the token that answers among the queries of the default map, see `mmviz.analysis.answer_token`."""
        return answer_query(self.record)

    def attention(
        self, map_ref: MapRef | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from"
    ) -> NDArray[np.float64]:
        """Returns the weights from a query token to all keys, or to a key token from all queries, float64 ``[token]``.

        Args:
            map_ref: the map and head, or rollout or relevance (each in its own unit); the default map if None.
            token: index of the token; several give their mean; the one that answers if None.
            direction: ``"from"`` the token as query, or ``"to"`` the token as key.

        Raises ``LookupError`` where the record has no such map, head or flow; ``MmvizError`` (``view-gone``) where a
        long run is no longer kept.

        Examples:
            >>> head = mmviz.MapRef("attention", 1, head=2)
            >>> run.attention(head, token=range(9, 153)).shape  # mean of 144 patches, to all of 176 tokens
            (176,)
        """
        ref = map_ref or self.map_ref
        selected = token_or_answer(self.record, ref, token, direction)
        return attention_of(self.record, ref, selected, direction, self.view)

    @property
    def is_exact(self) -> bool:
        """Whether `attention` is available. It is not for a long run that its backend no longer keeps."""
        return can_view_exact(self.record, self.view)

    def pooled_attention(
        self, map_ref: MapRef | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from"
    ) -> NDArray[np.float64]:
        """Returns `attention` of a long run from its overview alone, averaged over the bins of queries and keys.

        Raises ``MmvizError`` (``view-flow``) for rollout and relevance.
        """
        ref = map_ref or self.map_ref
        return pooled_row_of(self.record, ref, token_or_answer(self.record, ref, token, direction), direction)

    def modality_matrix(self, map_ref: MapRef | None = None) -> ModalityMatrix:
        """Returns the attention between modalities: sums, means per token and ratios to uniform attention.

        Raises ``MmvizError`` (``view-flow``) for rollout or relevance of a long run.
        """
        return modality_matrix_of(self.record, map_ref or self.map_ref)

    def reads_from(self) -> AnswerMap:
        """Returns what the token that answers attends to in the last stack in which modalities meet."""
        row = self.attention if self.is_exact else self.pooled_attention
        return reads_from(self.record, row(*reads_from_ref(self.record)))

    def depends_on(self) -> AnswerMap:
        """Returns what the answer depends on, by the method that the model's card says is most faithful, else by
        gradient relevance. Raises ``MmvizError`` where the run does not hold it, see `depends_on`."""
        return depends_on(self.record)

    def answer_shares(self, map_ref: MapRef | None = None) -> AnswerShares | None:
        """Returns where attention went while each word of an answer was written, see `answer_shares_of`."""
        return answer_shares_of(self.record, map_ref or self.map_ref, self.view)

    def effect(self, baseline: Baseline = "learned", backend: Backend | None = None) -> dict[str, float]:
        """Returns what the answer depends on: exact Shapley values of the modalities in its log-probability, in nats.

        The model runs on every subset of the modalities. ``image``, ``text`` and ``audio`` sum to ``total``, the
        difference between all modalities and none. A modality that the model requires is left in and has no entry;
        the others are measured beside it. Sources: Shapley 1953; Parcalabescu and Frank 2023 (MM-SHAP).

        Args:
            baseline: what stands in a removed modality's place: ``"learned"``, the model's own token for a missing
                modality, or the ``"mean"``, a ``"blur"`` or ``"noise"`` of the input.
            backend: where the model runs; the backend of this run if None, else this machine.

        Raises ``MmvizError``: ``effect-model`` where the backend lacks the model with the same weights, and the model's
        own error where it cannot run without a modality.
        """
        backend = backend or self.backend or this_machine_backend()
        effect = measure_modality_effect(backend, self.rerun_request(backend), baseline)
        assert effect is not None  # nothing stops it
        return effect.measured

    def story(
        self, progress: Progress = ignore_progress, stop: Stop = never_stop, backend: Backend | None = None
    ) -> Story:
        """Returns the two to five routes that carry the answer, each confirmed by its own cut, see `measure_story`.

        Of a written answer it is about all words, or those of `about_words`. ``progress`` counts stages; a story that
        is stopped holds what was confirmed. Raises as `effect`, and ``MmvizError`` where the model's attention cannot
        be cut, or it has no answers (``answer-none``).

        Examples:
            >>> last = run.story().steps[-1]  # who reads what, its effect in nats, and the answer without it
            >>> str(last.queries), str(last.modality), round(last.effect), last.answer
            ('answer', 'image', -3, 'nothing')
        """
        backend = backend or self.backend or this_machine_backend()
        return measure_story(backend, self.rerun_request(backend), self.record, progress, stop)

    def about_words(self, words: Sequence[int], backend: Backend | None = None) -> Run:
        """Returns the run again, about the log-probability of some tokens of its answer, from 0: so are answers,
        `effect`, `story`, gradients and the token that answers. Raises ``MmvizError`` (``answer-part``)."""
        from mmviz.explain.requested_run import run_request

        backend = backend or self.backend or this_machine_backend()
        return run_request(replace(self.rerun_request(backend), answer_part=tuple(words)), backend)

    def rerun_request(self, backend: Backend | None = None) -> Request:
        """Returns the request by which ``backend``, or this machine, makes this run again, see `rebuilt_request`."""
        if self.request is not None and self.backend is not None:
            return self.request
        return rebuilt_request(self.record, self.sample, self.request, backend or this_machine_backend())

    def summary(self) -> dict[str, Any]:
        """Returns the run as plain values, for JSON.

        Keys: ``answer``, ``probabilities``, ``tokens`` with their locations, ``attention`` of the answer token,
        ``reads_from`` and ``depends_on`` (or the ``reason`` why not), ``modality_matrix``, ``answer_shares`` and
        ``language_prior`` of a written answer, ``effect``, ``notices``, ``made_by``; None for what cannot be measured.
        """
        from mmviz.report.json_summary import run_summary

        return run_summary(self)

    def png(
        self, map_ref: MapRef | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from",
        scale_max: float | None = None,
    ) -> bytes:  # fmt: skip
        """Returns a PNG of the inputs, 1600 pixels wide: under `reads_from`, and below it under `depends_on` where the
        run holds it; or under `attention`, 900 high, where any of its three parameters or ``scale_max`` is given.

        The colour scale goes from 0 to ``scale_max``, or to the largest value if None. `figure` has it as PDF or SVG.
        """
        return self.figure("png", map_ref, token, direction, scale_max)

    def figure(
        self, file_format: FigureFormat, map_ref: MapRef | None = None, token: int | Sequence[int] | None = None,
        direction: Direction = "from", scale_max: float | None = None, versus: Sequence[int] = (),
        layout: FigureLayout = "page",
    ) -> bytes:  # fmt: skip
        """Returns the figure of `png`, less the attention of tokens ``versus``; in ``pdf`` and ``svg`` text and bars
        are vectors. The layout ``"column"`` is 3.3 inches wide, for a column of a paper."""
        from mmviz.report.run_figure import run_figure

        return run_figure(self, file_format, map_ref, token, direction, scale_max, versus, layout)

    def table(
        self, map_ref: MapRef | None = None, token: int | Sequence[int] | None = None, direction: Direction = "from",
        versus: Sequence[int] = (),
    ) -> ExperimentTable:  # fmt: skip
        """Returns `attention`, less that of ``versus``, as the table that `attention_table` describes: each row names
        its token, map and unit. ``to_csv()`` is its text, ``to_frame()`` a data frame of pandas."""
        from mmviz.report.attention_table import attention_table

        return attention_table(self, map_ref, token, direction, versus)

    def to_html(self, prior: LanguagePrior | None = None, view: Mapping[str, Any] | None = None) -> str:
        """Returns the linked viewer as one HTML document that needs no network, with ``prior`` where it is measured.
        It opens with ``view``, as ``viewer/format_schema.json`` has it, or with the map of `map_ref` if None."""
        from mmviz.report import ViewerData

        return ViewerData(self).to_html(prior, view)

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: `to_html` in a frame."""
        from mmviz.report import ViewerData

        return ViewerData(self).to_frame()

    def exact_nbytes(self) -> int:
        """Returns the bytes that ``keep="exact"`` adds to the file of this run. Raises as `exact_nbytes` does."""
        return exact_nbytes(self.record, self.backend)

    def to_bytes(self, keep: Keep = "overview") -> bytes:
        """Returns the run as the bytes of one ``.npz`` file, see `save`."""
        return to_bytes(self.sample, self.record, exact=kept_tensors(self.record, self.backend, keep))

    def save(self, path: str | Path, keep: Keep = "overview") -> None:
        """Writes sample and record to one ``.npz`` file. Raises ``MmvizError`` (``file-unwritable``).

        ``keep="exact"`` also writes queries, keys and log-sum-exp of a long run: `exact_nbytes` bytes.
        """
        write_file(path, self.to_bytes(keep))

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Returns the run that `save` wrote. Raises ``MmvizError`` for any other file, and where there is none."""
        return cls(*read_run(Path(path)))
