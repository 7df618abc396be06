"""Which routes the visitor has chosen to cut, and in which layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import streamlit as st

from mmviz.app.components.stack_select import stack_text
from mmviz.experiments.route_cut import LayerWindow, Route, RouteCell
from mmviz.i18n.page import say
from mmviz.i18n.viewer import viewer_words
from mmviz.types import AttentionRecord, CutRoute

EVERYWHERE: Final = LayerWindow()


@dataclass(frozen=True)
class RouteChoice:
    """The routes that are cut, and the layers in which the boxes for them began."""

    routes: tuple[Route, ...] = ()
    """In the order of the clicks."""
    start: LayerWindow = EVERYWHERE
    """The layers that the boxes show at first; the visitor may have moved them since."""
    serial: int = 0
    """Counts the settings of ``start``; each has boxes of its own."""


def current_choice(record: AttentionRecord) -> RouteChoice:
    """Returns what is chosen for a run; at first nothing is cut."""
    choice: RouteChoice = st.session_state.get(_key(record), RouteChoice())
    return choice


def toggle_route(record: AttentionRecord, route: Route) -> None:
    """Cuts a route, or restores it where it is cut."""
    choice = current_choice(record)
    is_cut = route in choice.routes
    kept = tuple(other for other in choice.routes if other != route)
    st.session_state[_key(record)] = replace(choice, routes=kept if is_cut else (*kept, route))


def restore_routes(record: AttentionRecord) -> None:
    """Restores all routes; the layers stay."""
    st.session_state[_key(record)] = replace(current_choice(record), routes=())


def choose_cell(record: AttentionRecord, cell: RouteCell) -> None:
    """Cuts the route of a cell alone, in its layers."""
    window = cell.window
    if len(cut_stacks(record)) == 1:  # it needs no name
        window = replace(window, stack="")
    serial = current_choice(record).serial + 1
    st.session_state[_key(record)] = RouteChoice(((cell.queries, cell.keys),), window, serial)


def cuts(choice: RouteChoice, window: LayerWindow) -> tuple[CutRoute, ...]:
    """Returns the changes that cut the chosen routes in a window, in an order of their own."""
    return tuple(
        CutRoute(queries, keys, window.stack, window.layers)
        for queries, keys in sorted(choice.routes, key=str)
    )  # fmt: skip


def cut_stacks(record: AttentionRecord) -> dict[str, list[int]]:
    """Returns the layers of each stack in which routes are cut: of all but those of towers."""
    layers: dict[str, list[int]] = {}
    for attn_map in record.maps:
        if attn_map.stack not in record.made_by.get("towers", ()):
            known = layers.setdefault(attn_map.stack, [])
            known += [attn_map.layer] if attn_map.layer not in known else []
    return {stack: sorted(numbers) for stack, numbers in layers.items()}


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


def _key(record: AttentionRecord) -> str:
    return f"routes-choice-{record.id}"
