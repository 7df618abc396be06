"""An audit of a model as rows, CSV, JSON and sentences: what ``mmviz audit`` writes and the page shows."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmviz.analysis.attention_vs_effect import SMALL_SHARE
from mmviz.experiments.audit import SURE, Assessment, decides, findings, is_ignored, is_overruled, modality_use
from mmviz.experiments.removals import Baseline
from mmviz.i18n.audit import audit_words
from mmviz.i18n.language import join_sentences
from mmviz.i18n.unicode_display import one_line
from mmviz.report import pointing_table
from mmviz.report.csv_table import csv_text
from mmviz.report.run_facts import option_texts
from mmviz.types import INPUT_MODALITIES, MmvizError

REMARKABLE_ATTENTION = 0.25
"""If an ignored modality gets at least this share of attention, the sentence says so."""
COLUMNS = ("present", "decides", "ignored", "overruled", "effect", "attention")
"""The columns of `table`."""
_VERDICTS = {"decides": decides, "ignored": is_ignored, "overruled": is_overruled}
_MODALITY_FIELDS = ("phi", "effect", "attention", "decides", "ignored", "overruled")


@dataclass(frozen=True)
class Audit:
    """The result of `mmviz.experiments.audit.evaluate_examples`, and what it was run on."""

    model: str
    """Id of the model."""
    baseline: Baseline
    """What stood in the place of a removed modality."""
    examples: int
    """Number of examples that were to be evaluated."""
    assessments: Sequence[Assessment]
    """One for each example that was evaluated."""
    skipped: Sequence[tuple[str, MmvizError]] = ()
    """Id of each example that could not be evaluated, and the error."""
    trained: bool = True
    """Whether the model is trained."""
    options: Sequence[tuple[str, str | int]] = ()
    """Settings under which the model wrote its answers, as in `mmviz.types.Request`."""

    @property
    def is_stopped(self) -> bool:
        """Whether the audit was stopped before all examples were evaluated or skipped."""
        return len(self.assessments) + len(self.skipped) < self.examples


def rows(audit: Audit) -> list[dict[str, Any]]:
    """Returns one row of plain values for each example that was evaluated.

    A row holds ``name``, ``answer``, ``probability``, ``correct`` (None: not known), and for each of ``image``,
    ``text`` and ``audio`` a dict of ``phi`` (Shapley value, nats), shares of ``effect`` and ``attention``, and the
    booleans ``decides``, ``ignored`` and ``overruled`` (None: it cannot be told if the answer changes); None if the
    example has no such modality.
    """
    return [_row(assessment) for assessment in audit.assessments]


def _row(assessment: Assessment) -> dict[str, Any]:
    effect, attention = assessment.effect, assessment.attention
    row: dict[str, Any] = {
        "name": assessment.name,
        "answer": effect.answer,
        "probability": math.exp(effect.values[effect.everything]),
        "correct": assessment.is_correct,
    }
    for modality in INPUT_MODALITIES:
        row[str(modality)] = None if modality not in effect.everything else {
            "phi": effect.phi[modality],
            "effect": effect.shares[modality],
            "attention": None if attention is None else attention[modality],
            **{key: verdict(effect, modality) if effect.tells_changes else None for key, verdict in _VERDICTS.items()},
        }  # fmt: skip
    return row


def to_json(audit: Audit) -> str:
    """Returns the whole audit as one JSON document."""
    correct, with_truth = correct_answers(audit)
    modalities = {
        str(use.modality): {name: value for name, value in asdict(use).items() if name != "modality"}
        for use in modality_use(audit.assessments)
    }
    document = {
        "model": audit.model,
        "trained": audit.trained,
        "baseline": audit.baseline,
        "options": option_texts(audit.options),
        "examples": audit.examples,
        "evaluated": len(audit.assessments),
        "stopped": audit.is_stopped,
        "correct": correct,
        "with_truth": with_truth,
        "thresholds": {"ignored": SMALL_SHARE, "overruled": SURE},
        "modalities": modalities,
        "findings": sentences(audit),
        **({"pointing": pointing_table.to_plain(audit.assessments)} if has_places(audit) else {}),
        "rows": rows(audit),
        "skipped": [{"name": name, "reason": str(error)} for name, error in audit.skipped],
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def to_csv(audit: Audit) -> str:
    """Returns one line for each example, those that were skipped last, with the reason in the column ``skipped``.

    Text that came with the examples never becomes a formula of a spreadsheet.
    """
    names = [f"{modality}_{field}" for modality in INPUT_MODALITIES for field in _MODALITY_FIELDS]
    table: list[list[object]] = []
    for row in rows(audit):
        values = [row[name] for name in ("name", "answer", "probability", "correct")]
        values += [(row[str(modality)] or {}).get(field) for modality in INPUT_MODALITIES for field in _MODALITY_FIELDS]
        table.append([*values, None])
    table += [[name, *[None] * (3 + len(names)), str(error)] for name, error in audit.skipped]
    return csv_text(["name", "answer", "probability", "correct", *names, "skipped"], table)


def has_places(audit: Audit) -> bool:
    """Returns whether any example that was evaluated has places that heads could point to."""
    return any(assessment.hits for assessment in audit.assessments)


def correct_answers(audit: Audit) -> tuple[int, int]:
    """Returns how many answers are correct, and of how many that is known."""
    known = [assessment.is_correct for assessment in audit.assessments if assessment.is_correct is not None]
    return sum(known), len(known)


def summary(audit: Audit) -> str:
    """Returns in words how many examples were evaluated, and how many answers are correct."""
    code = "stopped" if audit.is_stopped else "evaluated"
    evaluated = len(audit.assessments)
    baseline = audit_words(f"baseline-{audit.baseline}")
    parts = [audit_words(code, model=audit.model, baseline=baseline, of=audit.examples, evaluated=evaluated)]
    if not audit.trained:
        parts.append(audit_words("untrained"))
    untold = sum(not assessment.effect.tells_changes for assessment in audit.assessments)
    if untold:
        parts.append(audit_words("untold", count=untold, of=evaluated))
    correct, with_truth = correct_answers(audit)
    if with_truth:
        code = "correct" if with_truth == evaluated else "correct-some"
        parts.append(audit_words(code, correct=correct, known=with_truth))
    return join_sentences(parts)


def table(audit: Audit) -> list[tuple[str, list[tuple[str, float | None]]]]:
    """Returns a row for each modality, with its name.

    A row has a cell for each of `COLUMNS`: the text, and the share it stands for. Without a share the text is "–" and
    the share None.
    """
    table_rows = []
    for use in modality_use(audit.assessments):
        counts = (
            (use.present, len(audit.assessments)),
            *((count, use.told) for count in (use.decides, use.ignored, use.overruled)),
        )
        cells: list[tuple[str, float | None]] = [
            (f"{count} ({count / of * 100:.0f} %)", count / of) if of else ("–", None) for count, of in counts
        ]
        cells += [("–", None) if mean is None else (f"{mean:.2f}", mean) for mean in (use.effect, use.attention)]
        table_rows.append((str(use.modality), cells))
    return table_rows


def sentences(audit: Audit) -> list[str]:
    """Returns a sentence for each finding, or one that says there is none. Empty if no example was evaluated, or where
    findings of all kinds but those on shares cannot be told."""
    if not audit.assessments:
        return []
    lines = []
    for finding in findings(audit.assessments):
        attention = finding.attention
        is_remarkable = finding.kind == "ignored" and attention is not None and attention >= REMARKABLE_ATTENTION
        code = f"find-{finding.kind}-attended" if is_remarkable else f"find-{finding.kind}"
        modalities = {"modality": finding.modality, "other": finding.other}
        names = {key: audit_words(f"the-{modality}") for key, modality in modalities.items() if modality is not None}
        lines.append(
            audit_words(
                code, **names, count=finding.count, of=finding.of, attention=attention, effect=finding.effect
            )
        )  # fmt: skip
    is_told = any(assessment.effect.tells_changes for assessment in audit.assessments)
    return lines or ([audit_words("find-nothing")] if is_told else [])


def meanings() -> dict[str, str]:
    """Returns what each of `COLUMNS` means, in one line."""
    return {column: audit_words(f"{column}-means", small=SMALL_SHARE, sure=SURE) for column in COLUMNS}


def reasons(audit: Audit) -> dict[str, list[str]]:
    """Returns the names of the skipped examples, by reason."""
    names_by_reason: dict[str, list[str]] = {}
    for name, error in audit.skipped:
        names_by_reason.setdefault(one_line(str(error)), []).append(name)
    return names_by_reason
