"""The table of families in Markdown."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence

import torch
import transformers

import mmviz
from mmviz.models.huggingface.families import FAMILIES
from tools.huggingface_families.judge_checkpoint import CheckpointOutcome

COLUMNS = ("family", "class", "task", "reads", "streams (tokens)", "stacks", "places", "flows", "maps", "parity",
           "runs by")  # fmt: skip
WHY_UNTRIED = {
    "Granite Speech": " (its feature extractor needs torchaudio; the tests run the model with made-up features)"
}  # fmt: skip
"""Why a family has no checkpoint here, by its title."""


def families_document(outcomes: Sequence[CheckpointOutcome]) -> str:
    """Returns the whole document."""
    ran = [outcome for outcome in outcomes if not outcome.problem]
    tried = {outcome.family.title for outcome in outcomes if outcome.family}
    untried = sorted({family.title for family in FAMILIES.values()} - tried)
    problems = [outcome for outcome in outcomes if outcome.problem]
    wrong = [outcome for outcome in ran if not outcome.is_right]
    lines = [
        "# Families of Hugging Face models", "",
        "`make huggingface` builds a tiny random checkpoint of each family, saves it with its real processor, loads it "
        "by `hf:FOLDER`, runs it with everything that it reads, and probes its places: white squares in a picture, "
        "beeps in a sound and the characters of a question must change the tokens that are said to hold them. Parity "
        "is the largest relative difference, of all maps, between a map's weights times the values and the output of "
        "its module. It is also run by `mmviz explain`, which writes a summary, the viewer and a run file that is "
        "opened again, by a service on this machine, whose record must be equal, and by the page. Answers have four "
        "tokens. A run with an attention of over 512 tokens holds no flows.", "",
        f"Made on {datetime.date.today()} with Python {platform.python_version()}, torch {torch.__version__}, "
        f"transformers {transformers.__version__}, mmviz {mmviz.__version__}.", "",
        f"- {len(ran)} of {len(outcomes)} checkpoints ran; every probe and every way of running "
        f"agreed in {len(ran) - len(wrong)}.",
        f"- Attention was left out in {sum(bool(outcome.left_out) for outcome in ran)} of them.",
        f"- Supported, but without a checkpoint here: "
        f"{', '.join(title + WHY_UNTRIED.get(title, '') for title in untried) or 'none'}.", "",
        f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS),
        *(_row(outcome) for outcome in ran), "",
    ]  # fmt: skip
    if problems:
        lines += ["## Not run", "", *(f"- {outcome.name}: {outcome.problem}" for outcome in problems), ""]
    return "\n".join(lines)


def _row(outcome: CheckpointOutcome) -> str:
    family = outcome.family
    reads = [name for name in ("image", "text", "audio") if getattr(family, f"reads_{name}")]
    places = [f"{what}: {wrong or 'yes'}" for what, wrong in outcome.places.items()]
    maps = f"{outcome.maps}, {outcome.left_out} left out" if outcome.left_out else str(outcome.maps)
    cells = (
        family.title, f"`{family.model_class}`", family.task, ", ".join(reads),
        ", ".join(f"{name} ({count})" for name, count in outcome.streams.items()),
        ", ".join(f"`{stack}`" for stack in outcome.stacks), "; ".join(places), ", ".join(outcome.flows) or "–", maps,
        f"{outcome.parity:.1e}",
        ", ".join(f"{name}: {wrong}" if wrong else name for name, wrong in outcome.means.items()),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"
