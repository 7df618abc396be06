"""Routes and windows of layers in words."""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.experiments.route_cut import LayerWindow, Route
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.language import join_list
from mmviz.i18n.page import say
from mmviz.types import ChosenTokens, CutRoute, TokenGroup


def group_text(group: TokenGroup) -> str:
    """Returns a group of tokens in words; of chosen tokens, their numbers."""
    if isinstance(group, ChosenTokens):
        return join_list(f"{group.stream} {token}".strip() for token in group.tokens)
    return say(f"name-{group}")


def route_text(route: Route) -> str:
    """Returns a route in words: from which queries to which keys."""
    queries, keys = map(group_text, route)
    return say("route", queries=queries, keys=keys)


def layers_text(window: LayerWindow) -> str:
    """Returns the layers of a window in words, counted from 1, with its stack where it names one."""
    layers = window.layers
    if layers is None:
        text = say("route-all-layers")
    elif len(layers) == 1:
        text = say("route-layer", layer=layers[0] + 1)
    elif layers == tuple(range(layers[0], layers[-1] + 1)):
        text = say("route-layers", first=layers[0] + 1, last=layers[-1] + 1)
    else:
        text = say("route-chosen-layers", layers=join_list(str(layer + 1) for layer in layers))
    return sentence("map-of-stack", stack=window.stack, map=text) if window.stack else text


def cuts_text(cuts: Sequence[CutRoute]) -> str:
    """Returns cut routes in words, those of the same layers together."""
    routes: dict[LayerWindow, list[str]] = {}
    for cut in cuts:
        window = LayerWindow(cut.stack, cut.layers)
        routes.setdefault(window, []).append(route_text((cut.queries, cut.keys)))
    return "; ".join(
        say("route-in", route=join_list(texts), layers=layers_text(window)) for window, texts in routes.items()
    )
