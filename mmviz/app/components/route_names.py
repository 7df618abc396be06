"""Routes in words: in short for a label, and cut ones in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.experiments.route_cut import LayerWindow, Route
from mmviz.i18n.language import join_list
from mmviz.i18n.page import say
from mmviz.report.routes_table import group_words, window_words
from mmviz.types import AttentionRecord, ChosenTokens, CutRoute, TokenGroup


def group_text(group: TokenGroup) -> str:
    """Returns the short name of a group of tokens."""
    return group_words(group) if isinstance(group, ChosenTokens) else say(f"name-{group}")


def route_text(route: Route) -> str:
    """Returns the short name of a route: from which queries to which keys."""
    queries, keys = map(group_text, route)
    return say("route", queries=queries, keys=keys)


def cuts_text(record: AttentionRecord, cuts: Sequence[CutRoute]) -> str:
    """Returns routes that are cut in words, those of the same layers together."""
    routes: dict[LayerWindow, list[str]] = {}
    for cut in cuts:
        words = say("routes-route", queries=group_words(cut.queries), keys=group_words(cut.keys))
        routes.setdefault(LayerWindow(cut.stack, cut.layers), []).append(words)
    return "; ".join(
        say("route-in", routes=join_list(texts), layers=window_words(record, window))
        for window, texts in routes.items()
    )
