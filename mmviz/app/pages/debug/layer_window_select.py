"""The layers in which the section Routes cuts."""

from __future__ import annotations

import streamlit as st

from mmviz.app.chosen_routes import RouteChoice, cut_stacks
from mmviz.app.components.stack_select import stack_text
from mmviz.experiments.route_cut import LayerWindow
from mmviz.i18n.page import say
from mmviz.i18n.viewer import viewer_words
from mmviz.types import AttentionRecord


def window_select(record: AttentionRecord, choice: RouteChoice) -> LayerWindow:
    """Draws a box for the stack, where there are several, and a slider for its layers. Returns what they show."""
    stacks = cut_stacks(record)
    key, start = f"{record.id}-{choice.serial}", choice.start
    if len(stacks) > 1:
        words, names = viewer_words(), ["", *stacks]
        stack = st.selectbox(
            words["stack"], names, index=names.index(start.stack), key=f"routes-stack-{key}",
            help=words["stack-help"], persist_state="session",
            format_func=lambda name: stack_text(record, name) if name else say("routes-stack-all"),
        )  # fmt: skip
    else:
        stack = ""
    layers = stacks[stack or next(iter(stacks))]
    if (len(stacks) > 1 and not stack) or len(layers) == 1:  # layers of several stacks are not the same
        return LayerWindow(stack)
    chosen = start.layers if start.layers and stack == start.stack else tuple(layers)
    first, last = st.select_slider(
        say("routes-slider"), layers, value=(chosen[0], chosen[-1]), format_func=lambda layer: str(layer + 1),
        key=f"routes-layers-{key}-{stack}", help=say("routes-slider-help"), persist_state="session",
    )  # fmt: skip
    window = tuple(layer for layer in layers if first <= layer <= last)
    return LayerWindow(stack, None if len(window) == len(layers) else window)
