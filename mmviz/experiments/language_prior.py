"""Language prior against evidence: how probable each word of an answer is without the picture and without the sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mmviz.backends import Backend, Progress, Stop, ignore_progress, never_stop
from mmviz.experiments.removals import modality_removal, present_modalities
from mmviz.experiments.sweep_requests import answers_only
from mmviz.types import AttentionRecord, MmvizError, Modality, Request, Sample, read_only

_UNREAD = "hf-unread"
"""The code of the notice that a model does not read a modality."""
_REQUIRED = "own-required-drop"
"""The code of the error of a model that cannot do without a modality."""


@dataclass(frozen=True, eq=False)
class LanguagePrior:
    """The same answer, word by word, with everything and without some of the inputs."""

    words: tuple[str, ...]
    """The tokens of the answer."""
    removed: tuple[tuple[Modality, ...], ...]
    """What each row lacks: nothing in the first one."""
    log_probabilities: NDArray[np.float64]
    """float64 ``[row, word]``: log-probability of each token given those before it, in nats."""
    required: tuple[Modality, ...] = ()
    """The modalities that the model cannot do without, so that there is no row without them."""

    @property
    def evidence(self) -> NDArray[np.float64]:
        """What the inputs add: the first row less the last one, which lacks most, float64 ``[word]``, in nats."""
        return np.asarray(self.log_probabilities[0] - self.log_probabilities[-1])


def removals(sample: Sample) -> list[tuple[Modality, ...]]:
    """Returns what is removed: nothing, the picture, the sound, then both, as far as ``sample`` has them."""
    evidence = [modality for modality in present_modalities(sample) if modality is not Modality.TEXT]
    return [removed for size in range(len(evidence) + 1) for removed in combinations(evidence, size)]


def measure_language_prior(
    backend: Backend, request: Request, progress: Progress = ignore_progress, stop: Stop = never_stop
) -> LanguagePrior | None:
    """Returns the `LanguagePrior` of the answer of ``request``, or None if it was stopped.

    Formula: ``log p(word t | prompt without the modalities, words before t)``, for the words that the model wrote with
    everything (teacher forcing), in one pass for each of the `removals`. Each modality is dropped as the model itself
    does without it. Raises ``MmvizError``: ``prior-model`` for a model that writes no answer, and the model's own.
    Source: Goyal et al. 2017, "Making the V in VQA Matter" (language priors); Favero et al. 2024, "Multi-Modal
    Hallucination Control by Visual Information Grounding", section 3 (the ratio of the two probabilities).
    """
    (whole, *variants) = removals(request.sample)
    rows: list[tuple[tuple[Modality, ...], AttentionRecord]] = []
    required: set[Modality] = set()
    unread: set[str] = set()
    for done, removed in enumerate((whole, *variants)):
        if unread & set(removed):  # the model has never had it
            continue
        changes = (*request.changes, *modality_removal(removed, "learned"))
        records = _run(backend, replace(answers_only(request), changes=changes), removed, required, stop)
        if records is None:
            return None
        rows += [(removed, record) for record in records]
        if not removed:  # the answer that the model has just written stays the same
            request = replace(request, answer=tuple(records[0].made_by.get("answer", ())))
            unread = {str(n.parameters["modality"]) for n in records[0].notices if n.code == _UNREAD}
        progress(done + 1, len(variants) + 1)
    tables = [record.answer_log_probabilities for _, record in rows]
    if any(table is None for table in tables):
        raise MmvizError("prior-model", model=request.model)
    values = np.stack([table[0] for table in tables if table is not None])
    (tokens,) = rows[0][1].streams.values()
    words = tuple(token.label for token in tokens[-values.shape[1] :])
    return LanguagePrior(words, tuple(removed for removed, _ in rows), read_only(values), tuple(sorted(required)))


def _run(
    backend: Backend, request: Request, removed: Sequence[Modality], required: set[Modality], stop: Stop
) -> tuple[AttentionRecord, ...] | None:
    """Returns the record of a variant; nothing where the model requires what it removes, None where it was stopped."""
    if required & set(removed):
        return ()
    try:
        return backend.run([request], stop=stop) or None
    except MmvizError as error:
        if error.code != _REQUIRED:
            raise
        required.add(Modality(error.parameters["modality"]))
        return ()
