"""Where shares of attention and shares of the measured effect disagree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mmviz.types import INPUT_MODALITIES, Modality

LARGE_DIFFERENCE = 0.3
"""Two shares of one modality disagree if they differ by at least this much and the smaller is below `SMALL_SHARE`."""
SMALL_SHARE = 0.05
"""A share below this is hardly any."""


@dataclass(frozen=True)
class Disagreement:
    """A modality whose share of attention says something else than its share of the effect."""

    kind: Literal["most", "unused", "unattended"]
    """``most``: most attention goes to ``modality``, but the answer depends most on ``other``. ``unused``: ``modality``
    gets attention and has hardly any effect. ``unattended``: ``modality`` has an effect and gets hardly any attention.
    """
    modality: Modality
    """Image, text or audio; for ``most`` the one with the most attention."""
    other: Modality | None
    """The modality with the largest effect, for ``most`` only."""
    attention: float
    """Share of attention of ``modality``, 0 to 1."""
    effect: float
    """Share of the effect, 0 to 1, of ``other`` for ``most``, else of ``modality``."""


def disagreements(attention: Mapping[Modality, float], effect: Mapping[Modality, float]) -> list[Disagreement]:
    """Returns where shares of attention and shares of the effect disagree.

    Both map image, text and audio to shares from 0 to 1. The thresholds are `LARGE_DIFFERENCE` and `SMALL_SHARE`, and
    are ours.
    """
    results = []
    for modality in INPUT_MODALITIES:
        attended, used = attention[modality], effect[modality]
        if used < SMALL_SHARE and attended >= used + LARGE_DIFFERENCE:
            results.append(Disagreement("unused", modality, None, attended, used))
        elif attended < SMALL_SHARE and used >= attended + LARGE_DIFFERENCE:
            results.append(Disagreement("unattended", modality, None, attended, used))
    most_attended, most_used = (
        max(INPUT_MODALITIES, key=lambda modality: shares[modality]) for shares in (attention, effect)
    )
    differ = (
        attention[most_attended] - attention[most_used] >= SMALL_SHARE
        and effect[most_used] - effect[most_attended] >= SMALL_SHARE
    )
    is_reported = any(result.kind == "unused" and result.modality is most_attended for result in results)
    if most_attended != most_used and differ and not is_reported:
        results.append(Disagreement("most", most_attended, most_used, attention[most_attended], effect[most_used]))
    return results
