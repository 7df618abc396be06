"""The modality matrix whose cells are switches: a click cuts the route from the row to the column, or restores it."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import streamlit as st

from mmviz.analysis.route_attention import RouteAttention
from mmviz.app.chosen_routes import KEYS, QUERIES, RouteChoice, toggle_route
from mmviz.app.components import page_elements
from mmviz.app.components.page_elements import BUTTON, chip
from mmviz.app.components.route_names import group_text
from mmviz.experiments.route_cut import LayerWindow, Route, RouteCell
from mmviz.figures.colour_scale import hex_colour, short, text_colour
from mmviz.figures.legend import amount_legend_html
from mmviz.i18n.page import say
from mmviz.report.routes_table import window_words
from mmviz.types import AttentionRecord, Modality, TokenGroup


def route_matrix(record: AttentionRecord, cells: Sequence[RouteCell], choice: RouteChoice, window: LayerWindow) -> None:
    """Draws the switches of ``cells``, those of `SWITCHES` in ``window`` that ``record`` has."""
    shares = {(cell.queries, cell.keys): cell.attention for cell in cells}
    keys = [group for group in KEYS if any(route[1] == group for route in shares)]
    queries = [group for group in QUERIES if any(route[0] == group for route in shares)]
    scale_max = max((attention.share for attention in shares.values()), default=0.0) or 1.0
    page_elements.heading(say("routes-matrix"), say("routes-matrix-help"))
    st.html(f"<style>{_style(shares, choice, scale_max, len(keys))}</style>")
    with st.container(key="routes-matrix", gap=None):
        with st.container(horizontal=True, key="routes-head"):
            st.html(f"<span class='small'>{html.escape(say('routes-corner'))}</span>")
            for group in keys:
                st.html(f"<span class='route-group'>{_group_html(group)}</span>")
        for query in queries:
            with st.container(horizontal=True, key=f"routes-row-{query}"):
                st.html(f"<span class='route-group'>{_group_html(query)}</span>")
                for key in keys:
                    _switch(record, (query, key), shares.get((query, key)), (query, key) in choice.routes)
    st.html(amount_legend_html(scale_max, page_elements.is_dark(), say("routes-unit")))
    page_elements.note(say("routes-direction", layers=window_words(record, window)))


def _switch(record: AttentionRecord, route: Route, attention: RouteAttention | None, is_cut: bool) -> None:
    """Draws the switch of one route. Its name, in italics, is for screen readers alone."""
    names = dict(zip(("queries", "keys"), map(group_text, route), strict=True))
    if attention is None:
        st.button("–", key=_key(route), disabled=True, width="stretch", help=say("routes-cell-missing", **names))
        return
    share = f"{attention.share:.2f}"
    name = page_elements.as_label(say("routes-cell-cut" if is_cut else "routes-cell", **names))
    hint = say("routes-cell-help", **names, share=short(attention.share), uniform=short(attention.uniform))
    st.button(
        f"{share} _{name}_", key=_key(route), width="stretch", help=hint,
        on_click=toggle_route, args=(record.id, route),
        icon=":material/content_cut:" if is_cut else None,
    )  # fmt: skip


def _style(shares: Mapping[Route, RouteAttention], choice: RouteChoice, scale_max: float, columns: int) -> str:
    """Returns CSS: the number of columns, and the ground of each switch, hatched where its route is cut."""
    rules = [f".st-key-routes-matrix{{--columns:{columns}}}"]
    for route, attention in shares.items():
        ground = hex_colour(attention.share, scale_max)
        style = f"background:{ground} !important;color:{text_colour(ground)} !important"
        if route in choice.routes:
            style = "background:var(--hatching) !important;color:var(--ink) !important;outline:2px dashed var(--ink)"
        rules.append(f".st-key-{_key(route)} {BUTTON}{{{style}}}")
    return "".join(rules)


def _group_html(group: TokenGroup) -> str:
    return chip(group) if isinstance(group, Modality) else html.escape(group_text(group))


def _key(route: Route) -> str:
    return f"routes-cell-{route[0]}-{route[1]}"
