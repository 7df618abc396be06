"""The heads that point, as rows, CSV, plain values for JSON, and sentences: what ``mmviz audit`` writes of places."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mmviz.experiments.audit import Assessment
from mmviz.experiments.pointing_heads import CHOSEN, LEVEL, PointingHead, pointing_heads
from mmviz.i18n.audit import audit_words
from mmviz.i18n.language import join_list
from mmviz.report.csv_table import csv_text
from mmviz.report.result_table import ExperimentTable
from mmviz.report.run_facts import option_texts
from mmviz.types import Modality

COLUMNS = ("head", "chosen-half", "held-out-half", "chance", "by-chance")
"""The columns of `table`."""


def heads_of(assessments: Sequence[Assessment]) -> list[PointingHead]:
    """Returns the heads of an audit, see `mmviz.experiments.pointing_heads.pointing_heads`."""
    return pointing_heads(assessment.hits for assessment in assessments)


def to_plain(assessments: Sequence[Assessment]) -> dict[str, Any]:
    """Returns plain values for JSON: ``heads``, a row of `PointingHead` each, the thresholds, and sentences."""
    heads, examples = heads_of(assessments), sum(bool(assessment.hits) for assessment in assessments)
    return {
        "examples": examples,
        "thresholds": {"chosen": CHOSEN, "level": LEVEL},
        "findings": sentences(heads) if examples else [],
        "heads": [asdict(head) | {"modality": str(head.modality)} for head in heads],
    }


def to_csv(assessments: Sequence[Assessment]) -> str:
    """Returns one line for each head and modality."""
    names = [name for name in PointingHead.__dataclass_fields__]
    return csv_text(names, ([getattr(head, name) for name in names] for head in heads_of(assessments)))


def experiment_table(
    assessments: Sequence[Assessment], model: str, options: Sequence[tuple[str, str | int]], words: Sequence[str]
) -> ExperimentTable:
    """Returns the rows of `to_plain`, named ``heads``, with its other values and the settings ``options`` as facts;
    ``words`` are those settings in its command."""
    document = to_plain(assessments)
    heads = document.pop("heads")
    of_model = [] if model == "trio" else ["--model", model]
    command = shlex.join(["mmviz", "audit", "FOLDER", *of_model, *words, "--heads-csv", "heads.csv"])
    facts = {"model": model, "options": option_texts(options)} | document
    return ExperimentTable("heads", tuple(PointingHead.__dataclass_fields__), heads, facts, command)


def table(heads: Sequence[PointingHead]) -> list[tuple[str, list[str]]]:
    """Returns a row of `COLUMNS` for each chosen head, with the name of its modality."""
    return [
        (
            str(head.modality),
            [
                head.head, f"{head.chosen_hits} / {head.chosen_of}", f"{head.held_out_hits} / {head.held_out_of}",
                f"{head.chance:.2f}", f"{head.p_value:.1g}",
            ],
        )
        for head in heads if head.is_chosen
    ]  # fmt: skip


def sentences(heads: Sequence[PointingHead]) -> list[str]:
    """Returns a sentence for each modality that has places: which heads point there, that none does, or that the
    examples are too few to tell. Without any head, one that says why."""
    lines = [] if heads else [audit_words("find-pointing-unmeasured")]
    for modality in dict.fromkeys(head.modality for head in heads):
        own = [head for head in heads if head.modality is modality]
        pointing = [head for head in own if head.points]
        place = audit_words("place-image" if modality is Modality.IMAGE else "place-audio")
        if pointing:
            best = pointing[0]
            words = {"heads": join_list(head.head for head in pointing), "best": best.head, "chance": best.chance}
            hits = {"hits": best.held_out_hits, "of": best.held_out_of}
            lines.append(audit_words("find-pointing", place=place, count=len(pointing), **words, **hits))
        elif max(head.held_out_of for head in own) and _could_point(own):
            lines.append(audit_words("find-pointing-none", place=place))
        else:
            lines.append(audit_words("find-pointing-few", place=place, of=max(head.held_out_of for head in own)))
    return lines


def _could_point(heads: Sequence[PointingHead]) -> bool:
    """Returns whether a head with nothing but hits would be told from chance."""
    return any(head.chance**head.held_out_of <= LEVEL / CHOSEN for head in heads if head.held_out_of)
