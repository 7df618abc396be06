"""What people call a stack of layers."""

from __future__ import annotations

from mmviz.i18n.errors_and_notices import sentence
from mmviz.types import AttentionRecord, Modality


def stack_words(record: AttentionRecord, stack: str) -> str:
    """Returns the plain name of a stack of a model with towers, such as "fusion" or "sound encoder"; else its path.

    A tower is named by the one modality that it reads, where no other tower reads the same; all else is the fusion,
    where that is one stack. In links and tables of data a stack has its path.
    """
    towers = record.made_by.get("towers") or ()
    if not towers:
        return stack
    if stack not in towers:
        return sentence("stack-fusion") if len(set(record.stacks) - set(towers)) == 1 else stack
    read = _modalities(record, stack)
    same = [tower for tower in towers if _modalities(record, tower) == read]
    return sentence(f"stack-encoder-{min(read)}") if len(read) == len(same) == 1 else stack


def _modalities(record: AttentionRecord, stack: str) -> set[Modality]:
    """Returns the modalities of the tokens that a stack runs over."""
    streams = {name for each in record.maps if each.stack == stack for name in (each.queries, each.keys)}
    return {token.modality for stream in streams for token in record.streams[stream]} - {Modality.SPECIAL}
