"""What a run must record for the method that shows what an answer depends on."""

from __future__ import annotations

from dataclasses import replace

from mmviz.types import Card, Request, UniformAttention

FIELDS = {"relevance": "relevance", "value": "norms", "integrated": "integrated"}
"""The field of `Request` that each method needs, by the name that `mmviz.analysis.attributions` gives it."""


def with_chosen_method(request: Request, card: Card) -> Request:
    """Returns ``request`` with what the method ``depends_on`` of the card needs, where the request wants that.

    A request without maps and one under uniform attention, which has no gradients, stay as they are.
    """
    is_uniform = any(isinstance(change, UniformAttention) for change in request.changes)
    field = FIELDS.get(card.details.get("depends_on", ""))
    if not request.depends_on or not request.maps or is_uniform:
        return request
    return replace(
        request,
        relevance=request.relevance or field == "relevance",
        norms=request.norms or field == "norms",
        integrated=request.integrated or field == "integrated",
    )
