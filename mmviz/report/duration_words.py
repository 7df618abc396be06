"""How long something takes, in words."""

from __future__ import annotations

from mmviz.i18n.page import say


def duration_words(seconds: float) -> str:
    """Returns about how long that is: whole seconds, or minutes from 90 seconds on."""
    if seconds < 90:
        return say("seconds", count=max(1, round(seconds)))
    return say("minutes", count=round(seconds / 60))
