"""A model over many trios, as rows, CSV, JSON and sentences: what ``mmviz audit`` writes and the page shows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmviz.experiments.audit import SURE, Assessment, decides, findings, is_ignored, is_overruled, modality_health
from mmviz.experiments.modality_shapley import SMALL_SHARE, Baseline
from mmviz.i18n.audit import health_words
from mmviz.i18n.language import joined
from mmviz.i18n.messages import one_line
from mmviz.types import INPUT_MODALITIES, MmvizError

SEEN = 0.25
"""From this share of attention on it is remarkable that what gets it is ignored."""
COLUMNS = ("given", "decides", "ignored", "overruled", "effect", "attention")
FORMULAS = tuple("=+-@＝＋－＠\t\r\n")
"""A cell that begins with one of them is a formula to some spreadsheet."""


@dataclass(frozen=True)
class Audit:
    """What `mmviz.experiments.runs.judge` found of ``of`` trios, with what "absent" meant; ``refused``: name and reason;
    ``trained``: whether the model is.

    Where it was stopped, ``judged`` and ``refused`` are fewer than ``of`` together.
    """

    model: str
    baseline: Baseline
    of: int
    judged: Sequence[Assessment]
    refused: Sequence[tuple[str, MmvizError]] = ()
    trained: bool = True

    @property
    def is_stopped(self) -> bool:
        """Whether there are trios that nobody came to."""
        return len(self.judged) + len(self.refused) < self.of


def rows(audit: Audit) -> list[dict[str, Any]]:
    """One row a judged trio, plain values: ``name``, ``answer``, ``probability``, ``right`` (None: not known), and for
    each modality ``phi`` (nats), shares of ``effect`` and ``attention``, and whether it ``decides``, is ``ignored``, is
    ``overruled``; None where the trio has no such modality."""
    return [_row(one) for one in audit.judged]


def _row(one: Assessment) -> dict[str, Any]:
    everything = max(one.effect.values, key=len)
    found: dict[str, Any] = {
        "name": one.name,
        "answer": one.effect.answer,
        "probability": one.effect.answers[everything][1],
        "right": one.is_right,
    }
    for modality in INPUT_MODALITIES:
        found[str(modality)] = None if modality not in everything else {
            "phi": one.effect.phi[modality],
            "effect": one.effect.shares[modality],
            "attention": None if one.attention is None else one.attention[modality],
            "decides": decides(one.effect, modality),
            "ignored": is_ignored(one.effect, modality),
            "overruled": is_overruled(one.effect, modality),
        }  # fmt: skip
    return found


def to_json(audit: Audit) -> str:
    """Everything as one JSON document."""
    right, known = verdicts(audit)
    table = {
        str(row.modality): {name: value for name, value in asdict(row).items() if name != "modality"}
        for row in modality_health(audit.judged)
    }
    whole = {
        "model": audit.model, "trained": audit.trained, "absent": audit.baseline, "trios": audit.of,
        "judged": len(audit.judged), "stopped": audit.is_stopped, "right": right, "known": known,
        "bounds": {"ignored": SMALL_SHARE, "overruled": SURE},
        "modalities": table, "findings": sentences(audit), "rows": rows(audit),
        "refused": [{"name": name, "why": str(why)} for name, why in audit.refused],
    }  # fmt: skip
    return json.dumps(whole, indent=1, allow_nan=False) + "\n"


def to_csv(audit: Audit) -> str:
    """One line a trio, those left out with their reason last. What came with the trios never becomes a formula."""
    file = io.StringIO()
    lines = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    inner = ("phi", "effect", "attention", "decides", "ignored", "overruled")
    names = [f"{modality}_{name}" for modality in INPUT_MODALITIES for name in inner]
    lines.writerow(["name", "answer", "probability", "right", *names, "left_out"])
    for row in rows(audit):
        cells = [(row[str(modality)] or {}).get(name) for modality in INPUT_MODALITIES for name in inner]
        lines.writerow([_cell(row[name]) for name in ("name", "answer", "probability", "right")]
                       + [*map(_cell, cells), ""])  # fmt: skip
    for name, why in audit.refused:
        lines.writerow([_cell(name), *[""] * (3 + len(names)), _cell(str(why))])
    return file.getvalue()


def _cell(value: object) -> str | float:
    """A number as it is; of words none that a spreadsheet would work out."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    words = str(value).encode("utf-8", "replace").decode()
    return f"'{words}" if words.startswith(FORMULAS) or words.lstrip().startswith(FORMULAS) else words


def verdicts(audit: Audit) -> tuple[int, int]:
    """How many answers are right, and of how many that is known."""
    known = [one.is_right for one in audit.judged if one.is_right is not None]
    return sum(known), len(known)


def summary(audit: Audit) -> str:
    """How many trios were judged, and how many answers are right."""
    code = "stopped" if audit.is_stopped else "trios"
    baseline = health_words(f"absent-{audit.baseline}")
    told = [health_words(code, model=audit.model, baseline=baseline, of=audit.of, judged=len(audit.judged))]
    if not audit.trained:
        told.append(health_words("untrained"))
    right, known = verdicts(audit)
    if known:
        told.append(health_words("right" if known == len(audit.judged) else "right-some", right=right, known=known))
    return joined(told)


def table(audit: Audit) -> list[tuple[str, list[tuple[str, float | None]]]]:
    """A row a modality, by name: for each of `COLUMNS` the words of its cell, and the share they stand for (None: there
    is none, the words then are "–")."""
    found = []
    for row in modality_health(audit.judged):
        counts = (row.of, len(audit.judged)), *((count, row.of) for count in (row.decides, row.ignored, row.overruled))
        cells: list[tuple[str, float | None]] = [
            (f"{count} ({count / of * 100:.0f} %)", count / of) if of else ("–", None) for count, of in counts
        ]
        cells += [("–", None) if mean is None else (f"{mean:.2f}", mean) for mean in (row.effect, row.attention)]
        found.append((str(row.modality), cells))
    return found


def sentences(audit: Audit) -> list[str]:
    """What strikes, a sentence each; one that says so where nothing does; none where nothing was judged."""
    if not audit.judged:
        return []
    told = []
    for one in findings(audit.judged):
        seen = one.kind == "ignored" and one.attention is not None and one.attention >= SEEN
        names = {"modality": one.modality, "other": one.other}
        words = {name: health_words(f"the-{modality}") for name, modality in names.items() if modality is not None}
        told.append(
            health_words(
                f"find-{one.kind}-seen" if seen else f"find-{one.kind}", **words, count=one.count, of=one.of,
                attention=one.attention, effect=one.effect,
            )
        )  # fmt: skip
    return told or [health_words("find-nothing")]


def meanings() -> dict[str, str]:
    """What each of `COLUMNS` means, in one line."""
    return {column: health_words(f"{column}-means", small=SMALL_SHARE, sure=SURE) for column in COLUMNS}


def reasons(audit: Audit) -> dict[str, list[str]]:
    """The names of those left out, by reason."""
    found: dict[str, list[str]] = {}
    for name, why in audit.refused:
        found.setdefault(one_line(str(why)), []).append(name)
    return found
