"""A part of lesson 6: cross-attention heads that follow the words of speech through the sound."""

from __future__ import annotations

import html

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.analysis.word_moments import rising_share, strongest_moments
from mmviz.app.components import page_elements
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.i18n.page import say
from mmviz.types import Rows

COMMAND = "mmviz app --model hf:openai/whisper-tiny.en"
"""What a reader types to see it."""
Head = tuple[int, int]
"""Layer and head, from 0."""


def words_and_moments(context: LessonContext) -> None:
    """Draws the strongest moment of each written word, for the alignment heads or a head that is chosen.

    For a model without alignment heads, draws the command that shows one.
    """
    record = context.run.record
    st.subheader(say("learn-cross-modal-moments"))
    alignment: list[Head] = [(layer, head) for layer, head in record.made_by.get("alignment_heads", ())]
    maps = {attn_map.layer: number for number, attn_map in enumerate(record.maps)
            if attn_map.stack == record.default_stack}  # fmt: skip
    if not alignment or not all(layer in maps for layer, _ in alignment):
        page_elements.note(say("learn-cross-modal-moments-none", command=COMMAND), "remark")
        return
    first_map = record.maps[maps[alignment[0][0]]]
    heads = [(layer, head) for layer in sorted(maps) for head in range(record.maps[maps[layer]].heads)]
    chosen = context.choice("head", (None, *heads), None, lambda head: _label(head, alignment))
    keys, names = record.streams[first_map.keys], context.token_names(first_map.queries)
    written = range(len(names) - len(record.made_by["answer"]), len(names))
    weights = _weights(context, [chosen] if chosen else alignment, maps, [number - 1 for number in written])
    moments = strongest_moments(weights, keys)
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(names[number])}</th>"
        f"<td>{'–' if moment is None else f'{moment.start:.2f} s'}</td><td>{row.max():.3f}</td></tr>"
        for number, moment, row in zip(written, moments, weights, strict=True)
    )
    columns = "".join(
        f"<th scope='col'>{html.escape(say(f'learn-cross-modal-{code}'))}</th>" for code in ("word", "moment", "weight")
    )
    caption = html.escape(say("learn-cross-modal-moments-caption"))
    st.html(f"<table class='facts wide' tabindex='0'><caption>{caption}</caption><tr>{columns}</tr>{rows}</table>")
    context.number("rising", f"{rising_share(moments):.0%}")


def _weights(
    context: LessonContext, heads: list[Head], maps: dict[int, int], queries: list[int]
) -> NDArray[np.float64]:  # fmt: skip
    """Returns the mean over ``heads`` of the exact weights from some queries, ``[query, key]``."""
    run = context.run
    views = [run.view(Rows(run.record.map_ref(maps[layer], head), tuple(queries))) for layer, head in heads]
    return np.asarray(np.mean(views, axis=0, dtype=np.float64))


def _label(head: Head | None, alignment: list[Head]) -> str:
    if head is None:
        return say("learn-cross-modal-all-heads", count=len(alignment))
    code = "alignment-head" if head in alignment else "one-head"
    return say(f"learn-cross-modal-{code}", layer=head[0] + 1, head=head[1] + 1)
