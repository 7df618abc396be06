"""A box to choose a stack, for runs that have several; its texts are those of the viewer."""

from __future__ import annotations

import streamlit as st

from mmviz.analysis.stack_words import stack_words
from mmviz.i18n.viewer import viewer_words
from mmviz.types import INPUT_MODALITIES, AttentionRecord


def stack_select(record: AttentionRecord, key: str, index: int | None = None) -> str:
    """Draws a box with the stacks of ``record``, at first number ``index``, by default the default stack.

    Returns the stack that was chosen. A record of one stack needs no box.
    """
    stacks = record.stacks
    if len(stacks) == 1:
        return stacks[0]
    words = viewer_words()
    choice: str = st.selectbox(
        words["stack"], stacks, index=stacks.index(record.default_stack) if index is None else index, key=key,
        format_func=lambda stack: stack_text(record, stack), help=words["stack-help"],
    )  # fmt: skip
    return choice


def stack_text(record: AttentionRecord, stack: str) -> str:
    """Returns a stack in words, as the viewer does: its name, and which modalities attend to which."""
    words = viewer_words()
    ends = {
        tuple(_modalities(record, stream) for stream in (attn_map.queries, attn_map.keys)): None
        for attn_map in record.maps
        if attn_map.stack == stack
    }
    pairs = [
        words["stack-streams-own" if queries == keys else "stack-streams"].format_map({"from": queries, "to": keys})
        for queries, keys in ends
    ]
    return f"{stack_words(record, stack)}: {'; '.join(pairs)}"


def _modalities(record: AttentionRecord, stream: str) -> str:
    """Returns the modalities of a stream; of one with special tokens alone, its name."""
    modalities = {token.modality for token in record.streams[stream]}
    present = [modality for modality in INPUT_MODALITIES if modality in modalities]
    return " + ".join(viewer_words()[f"modality-{modality}"] for modality in present) or stream
