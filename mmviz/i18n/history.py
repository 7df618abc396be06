"""The texts of the history of runs, by code, in English."""

from __future__ import annotations

HISTORY: dict[str, str] = {
    "history": "History ({count})",
    "history-help": "The runs of this session, those shown last first. A click shows one again, with its inputs in "
    "the form.",
    "history-line": "{time} {question} → {answer}",
    "history-without-words": "(no words)",
    "history-shown": "This run is on the screen.",
    "history-heads": "heads ablated: {count}",
    "history-cuts": "routes cut: {count}",
    "history-link": "A link to this view",
    "history-gone": "This server no longer keeps that run; give its inputs again to make it anew.",
}
"""Labels, and what is said of a run that is no longer kept."""
