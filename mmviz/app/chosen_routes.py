"""Which routes the visitor has chosen to cut, and in which layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import streamlit as st

from mmviz.app.session_state import current_state
from mmviz.experiments.route_cut import LayerWindow, Route, RouteCell
from mmviz.report.routes_table import maps_with
from mmviz.types import ANSWER, INPUT_MODALITIES, AttentionRecord, ChosenTokens, CutRoute, Modality, TokenGroup

EVERYWHERE: Final = LayerWindow()
QUERIES: tuple[TokenGroup, ...] = (*INPUT_MODALITIES, ANSWER)
"""The groups of queries that the section cuts."""
KEYS: tuple[TokenGroup, ...] = (*INPUT_MODALITIES, Modality.SPECIAL)
"""The groups of keys: those of every key, so that a row of the matrix has the whole attention of its queries."""
SWITCHES: tuple[Route, ...] = tuple((queries, keys) for queries in QUERIES for keys in KEYS)


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


def toggle_route(record_id: str, route: Route) -> None:
    """Cuts a route of the run on the screen, or restores it where it is cut; nothing where that is another by now."""
    run = current_state().shown_run(record_id)
    if run is None:
        return
    choice = current_choice(run.record)
    is_cut = route in choice.routes
    kept = tuple(other for other in choice.routes if other != route)
    st.session_state[_key(run.record)] = replace(choice, routes=kept if is_cut else (*kept, route))


def restore_shown_routes(record_id: str) -> None:
    """Restores all routes of the run on the screen; nothing where that is another by now."""
    run = current_state().shown_run(record_id)
    if run is not None:
        restore_routes(run.record)


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


def choose_linked(record: AttentionRecord, linked: Sequence[CutRoute]) -> bool:
    """Cuts what a link cuts, and nothing else. Returns False where that cannot be chosen here, and then cuts nothing.

    A browser may send anything: only routes of `SWITCHES`, or of chosen tokens, that the run has, in layers that the
    boxes can show.
    """
    windows = {LayerWindow(cut.stack, cut.layers) for cut in linked}
    routes = tuple((cut.queries, cut.keys) for cut in linked)
    window = _shown_window(record, windows.pop()) if len(windows) == 1 else None
    if (
        window is None or any(cut.heads is not None for cut in linked)
        or not all(_is_offered(record, route) and has_route(record, window, route) for route in routes)
    ):  # fmt: skip
        restore_routes(record)
        return not linked
    st.session_state[_key(record)] = RouteChoice(
        tuple(dict.fromkeys(routes)), window, current_choice(record).serial + 1
    )  # fmt: skip
    return True


def has_route(record: AttentionRecord, window: LayerWindow, route: Route) -> bool:
    """Returns whether queries and keys of a route meet in any attention of a window."""
    return bool(maps_with(record, window, *route))


def _is_offered(record: AttentionRecord, route: Route) -> bool:
    """Returns whether the section offers a route: of `SWITCHES`, or between chosen tokens of ``record`` and others."""
    chosen = [group for group in route if isinstance(group, ChosenTokens)]
    is_known = all(
        group.stream in record.streams and max(group.tokens) < len(record.streams[group.stream]) for group in chosen
    )
    sides = zip(route, (QUERIES, KEYS), strict=True)
    return is_known and all(group in chosen or group in offered for group, offered in sides)


def _shown_window(record: AttentionRecord, window: LayerWindow) -> LayerWindow | None:
    """Returns a window as the boxes show it; None for one that they cannot show."""
    stacks = cut_stacks(record)
    if len(stacks) == 1 and window.stack in stacks:  # it needs no name
        window = replace(window, stack="")
    if window.stack and window.stack not in stacks:
        return None
    if window.layers is None:
        return window
    if not window.layers or (len(stacks) > 1 and not window.stack) or not stacks:
        return None
    layers = stacks[window.stack or next(iter(stacks))]
    first, last = window.layers[0], window.layers[-1]
    return window if window.layers == tuple(layer for layer in layers if first <= layer <= last) else None


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


def _key(record: AttentionRecord) -> str:
    return f"routes-choice-{record.id}"
