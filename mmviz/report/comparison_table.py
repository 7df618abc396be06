"""Two runs under one method as a table and in words: what ``mmviz compare`` and the section Compare show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.available_maps import streams_of
from mmviz.analysis.comparison import Pairing, difference, pair_tokens
from mmviz.analysis.map_weights import Direction
from mmviz.analysis.modality_matrix import modality_matrix
from mmviz.figures.colour_scale import short
from mmviz.figures.signed_colours import signed
from mmviz.figures.token_labels import names
from mmviz.i18n.page import say
from mmviz.report.map_id_columns import PLACE_COLUMNS, ref_place
from mmviz.report.result_table import ExperimentTable
from mmviz.report.run_facts import run_facts
from mmviz.report.run_interface import Run
from mmviz.types import MODALITIES, AttentionRecord, MapRef, Modality, Request, Token

NEARLY = 0.005
"""Shares of a modality that differ by less than this count as nearly equal. For attention *to* a token, the limit is
ten times this part of the larger mean."""
COLUMNS = (
    "token", "label", "modality", "token_b", "label_b", "a", "b", "a_minus_b", "method", *PLACE_COLUMNS,
)  # fmt: skip


class _Selected(Protocol):
    """Which token of a map, in which direction."""

    @property
    def tokens(self) -> tuple[int, ...]: ...
    @property
    def direction(self) -> Direction: ...
    @property
    def map_ref(self) -> MapRef: ...


class ComparedRun(Protocol):
    """A run, and the amounts of one token under one method."""

    @property
    def run(self) -> Run:
        """The run that the amounts are of."""
        ...

    @property
    def selection(self) -> _Selected:
        """Which tokens of which map are compared, and in which direction."""
        ...

    @property
    def selectable_tokens(self) -> tuple[Token, ...]:
        """The tokens on the side of the map that the selected ones are on."""
        ...

    @property
    def other_tokens(self) -> tuple[Token, ...]:
        """The tokens on the other side of the map."""
        ...

    @property
    def amounts(self) -> NDArray[np.float64]:
        """float64 ``[token]``: the amount of each of the `other_tokens`, mean over the selected tokens."""
        ...


def comparison_table(
    a: ComparedRun, b: ComparedRun, requests: tuple[Request, Request], command: str
) -> ExperimentTable:
    """Returns a row for each token of A and each token of B without a counterpart in A, named ``compare``.

    ``requests`` are those of A and B. A row holds ``token`` (its index in A from 0), ``label`` and ``modality``,
    ``token_b`` and ``label_b`` of its counterpart (see `mmviz.analysis.comparison.pair_tokens`), the amounts ``a`` and
    ``b``, ``a_minus_b``, and in every row the ``method`` with the columns of `mmviz.report.map_id_columns`, of A. What
    one of them lacks is None. The facts hold those of A, and of B under ``other``; the chosen token, the direction,
    ``answer_change`` (how much more the log-probability of A's answer is in B, in nats; None where B does not have that
    answer), the amounts by ``modality``, and the ``verdict`` in words.
    """
    pairing = pair_tokens(a.other_tokens, b.other_tokens)
    labels_a, labels_b = names(a.other_tokens), names(b.other_tokens)
    map_ref, direction = a.selection.map_ref, a.selection.direction
    place = {
        "method": str(map_ref), **ref_place(a.run.record, map_ref, streams_of(a.run.record, map_ref))
    }  # fmt: skip
    partners = dict(pairing.pairs)
    rows: list[dict[str, Any]] = []
    for k, token in enumerate(a.other_tokens):
        other = partners.get(k)
        amount, amount_b = float(a.amounts[k]), None if other is None else float(b.amounts[other])
        rows.append({
            "token": k, "label": labels_a[k], "modality": str(token.modality),
            "token_b": other, "label_b": None if other is None else labels_b[other],
            "a": amount, "b": amount_b, "a_minus_b": None if amount_b is None else amount - amount_b, **place,
        })  # fmt: skip
    for other in pairing.only_b:
        rows.append({
            "token": None, "label": None, "modality": str(b.other_tokens[other].modality), "token_b": other,
            "label_b": labels_b[other], "a": None, "b": float(b.amounts[other]), "a_minus_b": None, **place,
        })  # fmt: skip
    facts = {
        **run_facts(requests[0], a.run.record),
        "other": run_facts(requests[1], b.run.record),
        "of_token": names(a.selectable_tokens)[a.selection.tokens[0]],
        "of_token_b": names(b.selectable_tokens)[b.selection.tokens[0]],
        "direction": direction,
        "answer_change": _answer_change(a.run.record, b.run.record),
        "by_modality": _modality_rows(a, b),
        "verdict": comparison_sentences(a, b),
    }
    return ExperimentTable("compare", COLUMNS, rows, facts, command)


def _answer_change(a: AttentionRecord, b: AttentionRecord) -> float | None:
    if not a.answers:
        return None
    probability = next((answer.probability for answer in b.answers if answer.is_same(a.answers[0])), 0.0)
    return math.log(probability / a.answers[0].probability) if probability > 0 else None


def comparison_sentences(a: ComparedRun, b: ComparedRun) -> list[str]:
    """Returns sentences on the answer, on the modalities that differ most, and on the token that does."""
    sentences = []
    first, second = (view.run.record.answers[:1] for view in (a, b))
    if first and second:
        code = "compare-stays" if first[0].label == second[0].label else "compare-changes"
        answers = {"a": first[0].label, "b": second[0].label, "p": first[0].probability, "q": second[0].probability}
        sentences.append(say(code, **answers))
    sentences += _modality_sentences(a, b) or [say("compare-nearly")]
    pairing = pair_tokens(a.other_tokens, b.other_tokens)
    values = difference(a.amounts, b.amounts, pairing)
    if len(values):
        largest = int(np.abs(values).argmax())
        token = _quoted_in_both(a, b, pairing, largest)
        sentences.append(say("compare-most", token=token, amount=signed(float(values[largest]))))
    return sentences


def name_in_both(name_a: str, name_b: str) -> str:
    """Returns the name of a token of A, with the name of its partner in B where that differs."""
    return name_a if name_a == name_b else say("compare-both", a=name_a, b=name_b)


def modality_amounts(view: ComparedRun) -> dict[Modality, tuple[float, float, int]]:
    """Returns for each modality: its sum, its mean per token, and its number of tokens.

    For attention *to* the selected token the sum is the mean as well, since what different queries give is not one
    whole.
    """
    (token,) = view.selection.tokens
    is_from = view.selection.direction == "from"
    weights: NDArray[np.float64] = view.amounts[None] if is_from else view.amounts[:, None]
    sides = (view.selectable_tokens[token : token + 1], view.other_tokens)
    matrix = modality_matrix(weights, *(sides if is_from else sides[::-1]))
    if is_from:
        return dict(zip(matrix.keys, zip(matrix.sums[0], matrix.per_token[0], matrix.counts, strict=True), strict=True))
    means = matrix.sums[:, 0]
    return dict(zip(matrix.queries, zip(means, means, matrix.query_counts, strict=True), strict=True))


def _modality_rows(a: ComparedRun, b: ComparedRun) -> list[dict[str, Any]]:
    sides = modality_amounts(a), modality_amounts(b)
    return [
        {
            "modality": str(modality),
            "a": float(sides[0][modality][0]) if modality in sides[0] else None,
            "b": float(sides[1][modality][0]) if modality in sides[1] else None,
        }
        for modality in MODALITIES if any(modality in side for side in sides)
    ]  # fmt: skip


def _modality_sentences(a: ComparedRun, b: ComparedRun) -> list[str]:
    """Returns a sentence on the modality that gains most in A, and one on that which loses most."""
    of_a, of_b = modality_amounts(a), modality_amounts(b)
    changes = {m: of_a[m][0] - of_b[m][0] for m in MODALITIES if m in of_a and m in of_b}
    if not changes:
        return []
    direction = a.selection.direction
    sentences = []
    for kind, sign, modality in (
        ("more", 1, max(changes, key=lambda m: changes[m])),
        ("less", -1, min(changes, key=lambda m: changes[m])),
    ):
        amounts = of_a[modality][0], of_b[modality][0]
        least = NEARLY if direction == "from" else 10 * NEARLY * max(amounts)
        if sign * changes[modality] >= least:
            shown = {"a": short(amounts[0]), "b": short(amounts[1])}
            sentences.append(say(f"compare-{direction}-{kind}", modality=say(f"the-{modality}"), **shown))
    return sentences


def _quoted_in_both(a: ComparedRun, b: ComparedRun, pairing: Pairing, pair: int) -> str:
    labels: tuple[Sequence[str], ...] = names(a.other_tokens), names(b.other_tokens)
    name_a, name_b = (f"“{label[k]}”" for label, k in zip(labels, pairing.pairs[pair], strict=True))
    return name_in_both(name_a, name_b)
