"""Texts of the edges of a head on the page Debug, by code: which pairs of a query and a key carry its effect."""

from __future__ import annotations

HEAD_EDGES: dict[str, str] = {
    "edges-hint": "Click a head, in the grid or in the table below: its queries and keys are masked, and the viewer "
    "opens on the token that carries the head's effect.",
    "edges-title": "Edges of {head}",
    "edges-help": "An edge is a query, or every query, and a key in this head. It is masked before the softmax, so "
    "that the query attends to its other keys instead.",
    "edges-one": "One edge carries the effect of this head: without it log p({answer}) changes by {together:+.2f} "
    "nats, without the whole head by {effect:+.2f}.",
    "edges-few": "{count} edges carry the effect of this head: without them log p({answer}) changes by "
    "{together:+.2f} nats, without the whole head by {effect:+.2f}.",
    "edges-spread": "No few edges carry the effect of this head: without the {count} strongest log p({answer}) "
    "changes by {together:+.2f} nats, without the whole head by {effect:+.2f}.",
    "edges-weak": "No few edges carry the effect of this head: without it log p({answer}) changes by {effect:+.2f} "
    "nats.",
    "edges-query": "Of single tokens, {token} matters most as a query: without all that it attends to, by "
    "{change:+.2f}.",
    "edges-key": "Of single tokens, {token} matters most as a key: without the attention of every token to it, by "
    "{change:+.2f}.",
    "edges-idle": "This head does nothing for this answer: without it log p({answer}) changes by {effect:+.3f} nats.",
    "edges-stopped": "The measurement was stopped before the edges of this head were known.",
    "edges-open": "Open in the viewer",
    "edges-open-help": "Opens this head on the token that carries the most of its effect, or on the answer token.",
    "edges-opened": "{head}, opened on {query}: without its attention to {key} log p({answer}) changes by {edge:+.2f} "
    "nats, without the whole head by {effect:+.2f}.",
    "edges-opened-key": "{head}, opened on {key}: without the attention of every token to it log p({answer}) changes "
    "by {edge:+.2f} nats, without the whole head by {effect:+.2f}.",
    "edges-opened-key-most": "{head}, opened on {key}, its strongest single token: without the attention of every "
    "token to it log p({answer}) changes by {edge:+.2f} nats, without the whole head by {effect:+.2f}, which no few "
    "edges carry.",
    "edges-opened-query": "{head}, opened on {query}, its strongest single token: without all that it attends to "
    "log p({answer}) changes by {edge:+.2f} nats, without the whole head by {effect:+.2f}, which no few edges carry.",
    "edges-opened-spread": "{head}, opened on the answer token: without the head log p({answer}) changes by "
    "{effect:+.2f} nats, and no single query carries that.",
    "edges-opened-idle": "{head}, opened on the answer token. It does nothing for this answer: without it "
    "log p({answer}) changes by {effect:+.3f} nats.",
    "edges-every": "every token",
    "edges-column-query": "query",
    "edges-column-keys": "attends to",
    "edges-column-weight": "weight",
    "edges-column-effect": "alone (nats)",
    "edges-column-together": "with those above (nats)",
    "edges-help-weight": "The query's attention weight on this key, or on these keys together, from 0 to 1; of every "
    "token, the mean.",
    "edges-help-effect": "Change of the answer's log-probability when this edge alone is masked.",
    "edges-help-together": "The same when this edge and all above it are masked. Effects need not add up, since a "
    "query attends to its other keys instead.",
}
