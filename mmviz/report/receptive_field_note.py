"""What a reader must know about patches: how much of what a patch token sees lies in the patch."""

from __future__ import annotations

from mmviz.i18n.viewer import about
from mmviz.types import AttentionRecord


def patch_note(record: AttentionRecord) -> str:
    """Returns a sentence on the receptive field of a patch token, as the card of the model has it measured; else ""."""
    shares = record.made_by.get("receptive_field")
    if not shares:
        return ""
    percents = {name: round(100 * shares[name]) for name in ("patch", "around")}
    return about("patch-sees", **percents)
