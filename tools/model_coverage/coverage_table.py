"""The table of the coverage in Markdown: model family, attention module, route, and what became of it."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Mapping, Sequence

import torch
import transformers

import mmviz
from tools.model_coverage.judge_build import BuildOutcome, StackOutcome
from tools.model_coverage.model_build import BATCH

TITLES = {
    "text": "Text", "pictures": "Pictures and video", "sounds": "Sound", "mixed": "Pictures, sound and text together",
    "series": "Time series and other sequences", "special": "Compiled, adapted, quantised, and in training",
}  # fmt: skip


def summary(outcomes: Sequence[BuildOutcome]) -> list[str]:
    """Returns what all builds together show, in five lines."""
    stacks = [stack for outcome in outcomes for stack in outcome.stacks]
    whole = sum(outcome.is_whole for outcome in outcomes)
    wrong = sum(bool(outcome.all_wrong) for outcome in outcomes)
    recorded = sum(stack.recorded for stack in stacks)
    compared = sum(stack.compared for stack in stacks)
    left_out = sum(bool(stack.left_out) for stack in stacks)
    exact = [outcome for outcome in outcomes if outcome.build.tolerance <= 2e-6]
    parity = max((stack.parity for outcome in exact for stack in outcome.stacks), default=0.0)
    definition = max((outcome.definition for outcome in exact), default=0.0)
    classes = len({outcome.build.model for outcome in outcomes})
    ways = sum(len(outcome.trials) for outcome in outcomes)
    return [
        f"{len(outcomes)} builds of {classes} classes, run in {ways} ways.",
        f"Every softmax over tokens is recorded in {whole} builds; {left_out} of {len(stacks)} stacks are left out "
        "with the reason.",
        f"A map, a label or an axis is silently wrong in {wrong} builds.",
        f"{recorded:,} maps: those of fused kernels are at most {definition:.1e} from a float64 softmax of the very "
        f"queries, keys and mask, those of eager code are what it computed. {compared:,} comparisons with the model's "
        f"own eager weights, at most {parity:.1e} apart.",
        "Heads, samples, tokens, windows, streams, stacks and layers are compared with each config; the output of each "
        "model is equal to the bit.",
    ]


def coverage_document(areas: Mapping[str, Sequence[BuildOutcome]]) -> str:
    """Returns the whole document."""
    outcomes = [outcome for area in areas.values() for outcome in area]
    lines = [
        "# Models that capture was tried with", "",
        "`make coverage` builds tiny random models of transformers, runs each without and with capture, and judges "
        "what was recorded: the numbers by the model's own eager weights and by a float64 softmax, their meaning by "
        f"the config. A batch has {BATCH} samples. Texts are also padded on the left and on the right. Models that "
        "write take two steps of `generate`. A row is a stack: the attention of one repeated module. "
        "Recorded by definition: eager code computed these weights, and gives none of its own to compare with them.",
        "",
        f"Made on {datetime.date.today()} on {platform.system()} {platform.machine()} with {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, torch {torch.__version__}, transformers {transformers.__version__}, "
        f"mmviz {mmviz.__version__}.", "",
        *(f"- {line}" for line in summary(outcomes)), "",
    ]  # fmt: skip
    wrong = [(outcome, what, trial) for outcome in outcomes for what, trial in outcome.all_wrong.items()]
    if wrong:
        lines += ["## Silently wrong", ""]
        lines += [f"- {outcome.build.family}: {what} ({trial})" for outcome, what, trial in wrong]
        lines.append("")
    for area, of_area in areas.items():
        lines += [f"## {TITLES[area]}", "", "| family | class | attention | streams | heads | routes | result |"]
        lines.append("|---|---|---|---|---|---|---|")
        lines += [row for outcome in of_area for row in _rows(outcome)]
        lines.append("")
    notes = [
        (outcome.build.family, note) for outcome in outcomes for note in (outcome.build.note, *outcome.not_compared)
    ]
    lines += ["## Notes", "", *(f"- {family}: {note}." for family, note in notes if note), ""]
    return "\n".join(lines)


def _rows(outcome: BuildOutcome) -> list[str]:
    build = outcome.build
    return [
        "| "
        + " | ".join(
            [
                build.family if number == 0 else "",
                f"`{build.model}`" if number == 0 else "",
                f"`{stack.stack.path}`",
                _streams(stack),
                ", ".join(map(str, sorted(stack.heads))) or "–",
                ", ".join(outcome.routes) if stack.recorded else "–",
                _result(outcome, stack),
            ]
        )
        + " |"
        for number, stack in enumerate(outcome.stacks)
    ]


def _streams(outcome: StackOutcome) -> str:
    stack = outcome.stack
    within = " in windows" if stack.windows else ", packed" if stack.packed else ""
    return f"{stack.queries} to {stack.keys}{within}" if stack.keys else f"{stack.queries}{within}"


def _result(outcome: BuildOutcome, stack: StackOutcome) -> str:
    wrong = [*stack.wrong, *outcome.wrong]
    parts = [f"**wrong**: {'; '.join(wrong)}"] if wrong else []
    if stack.recorded and not wrong:
        parts.append(f"recorded, {stack.parity:.1e}" if stack.compared else "recorded, by definition")
    if stack.left_out:
        reasons = "; ".join(dict.fromkeys(text.replace("|", "\\|") for text in stack.left_out))
        parts.append(f"left out: {stack.stack.why_left_out or reasons}")
    return "; ".join(parts) or "–"
