"""The stages of a run that a run by itself and one of several in a call have in common."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import mmviz
from mmviz.backends.local.answers import answers_at, kept_answers, log_probabilities
from mmviz.backends.local.prepare import changed_sample, check_parts, prepare
from mmviz.backends.local.required_modalities import check_dropped, without_required
from mmviz.models import Model, Prepared
from mmviz.models.confidence import unsure_notices
from mmviz.types import AttentionRecord, Change, Request, Sample, ShuffleWeights


def checked_request(model: Model, request: Request) -> None:
    """Raises ``MmvizError`` where ``model`` cannot run a request, as far as that is known before it runs."""
    check_dropped(model, request.changes)
    check_parts(model, request.sample)


def prepared_sample(model: Model, request: Request) -> Prepared:
    """Returns the sample of a request under its changes, as in a run by itself. Raises as `prepare` does."""
    checked_request(model, request)
    torch.manual_seed(request.seed)
    prepared = prepare(model, request.sample, request.changes, request.seed)
    return with_doubts(prepared, model, changed_sample(request.sample, request.changes, request.seed))


def with_doubts(prepared: Prepared, model: Model, sample: Sample) -> Prepared:
    """Returns ``prepared`` with the notices of a model that tells what of ``sample`` is out of its world."""
    if not hasattr(model, "doubts"):
        return prepared
    return replace(prepared, notices=(*prepared.notices, *model.doubts(sample)))


def variants_of(model: Model, request: Request) -> tuple[list[tuple[Change, ...]], dict[str, Any]]:
    """Returns all changes of each variant in the sweep of a request, and what a record tells of modalities that were
    left in, since ``model`` cannot do without them."""
    swept, left_in = without_required(model, request.sweep)
    told = {"left_in": [str(modality) for modality in left_in]} if left_in else {}
    return [(*request.changes, *variant) for variant in swept], told


def finished_record(
    record: AttentionRecord, model: Model, request: Request, prepared: Prepared, logits: Tensor,
    table: NDArray[np.float64] | None, made_by: Mapping[str, Any],
) -> AttentionRecord:  # fmt: skip
    """Returns the record of a run with its answers, those of its sweep, and how it was made.

    ``table``: the log-probabilities of the sweep ``[variant, answer]``. ``made_by``: device and times of the run, and
    what goes before the rest.
    """
    log_p = log_probabilities(logits)
    kept = list(range(len(log_p))) if prepared.answers else kept_answers(log_p, table, getattr(model, "top", None))
    answers = answers_at(kept, log_p, prepared.answers or model.card.answers)
    record = replace(record, answers=answers, sweep=None if table is None else table[:, kept])
    is_shuffled = any(isinstance(change, ShuffleWeights) for change in request.changes)
    if (temperature := getattr(model, "temperature", None)) is not None and not is_shuffled:
        record = replace(record, notices=(*record.notices, *unsure_notices(answers, temperature)))
    return replace(record, made_by={
        "model": model.card.id,
        "weights": model.card.weights_digest,
        "trained": model.card.trained and not is_shuffled,
        "map_ref": model.card.details.get("map_ref") if request.maps else None,
        "depends_on": model.card.details.get("depends_on") if request.maps else None,
        **({"receptive_field": field} if (field := model.card.details.get("receptive_field")) else {}),
        "changes": [str(change) for change in request.changes],
        "dtype": "float32",
        "seed": request.seed,
        **prepared.details,
        **({"answer": list(model.answer)} if hasattr(model, "answer") else {}),
        **({"answer_part": list(part)} if (part := getattr(model, "answer_part", ())) else {}),
        **({"options": list(map(list, request.options))} if request.options else {}),
        **({"pairs": list(map(list, request.pairs))} if request.pairs else {}),
        "versions": {"mmviz": mmviz.__version__, "torch": torch.__version__, "python": platform.python_version()},
        **made_by,
    })  # fmt: skip
