"""Texts of the section Routes and of cut routes, by code, in English."""

from __future__ import annotations

ROUTES: dict[str, str] = {
    "section-routes": "Routes",
    "section-routes-help": "Cut what one group of tokens reads from another, and see whether the answer needs it.",
    "routes-cut-in-run": "Cut in this run: {routes}.",
    "routes-restore-run": "Restore these routes",
    "routes-restore-run-help": "Run the form again with every route in place.",
    # names
    "name-answer": "answer",
    "route": "{queries} to {keys}",
    "route-in": "{routes}, in {layers}",
    # the matrix
    "routes-matrix": "Click a cell to cut that route",
    "routes-matrix-help": "A cut route adds minus infinity to the attention scores of these queries for these keys, "
    "before the softmax: no token of the row can attend to a token of the column. What is left grows in turn.",
    "routes-direction": "The row attends to the column. Each number is the share of its attention that a query token "
    "of the row gives to all key tokens of the column, as a mean over queries, heads and {layers}. Answer: the token "
    "that the answer is read from.",
    "routes-unit": "share of attention",
    "routes-corner": "query ↓ key →",
    "routes-cell": "from {queries} to {keys}",
    "routes-cell-cut": "cut: from {queries} to {keys}",
    "routes-cell-help": "From {queries} to {keys}: {share} of the attention; uniform attention would give {uniform}.",
    "routes-cell-missing": "No attention of this model runs from {queries} to {keys} there.",
    "routes-selected": "Cut the selected tokens",
    "routes-selected-help": "The tokens that are selected in Explore, as queries, as keys, or both: choose which no "
    "longer attend to which. They are cut in the same layers, beside the cells above.",
    "routes-selected-queries": "Queries",
    "routes-selected-keys": "Keys",
    "routes-selected-tokens": "selected: {tokens}",
    "routes-selected-cut": "Cut",
    "routes-selected-restore": "Restore",
    "routes-selected-none": "Choose the selected tokens as queries or as keys. The cells above cut whole groups.",
    "routes-slider": "Layers in which routes are cut",
    "routes-slider-help": "Routes are cut in these layers alone, and the shares are those of these layers.",
    "routes-stack-all": "all stacks",
    "routes-restore": "Cut nothing",
    "routes-run": "Run the form with these cuts",
    "routes-run-help": "The run on the screen becomes the one with these cuts, in Explore and in all sections.",
    "routes-unknown": "This run has no attention between picture, words, sound and the answer that could be cut.",
    # before and after
    "routes-nothing-cut": "Nothing is cut. Click a cell to see the answer without that route.",
    "routes-before": "Before",
    "routes-after": "After",
    "routes-cut": "Cut: {routes}",
    "routes-change": "log p({answer}) changes by {change} nats: {before:.1%} before, {after:.1%} after.",
    "routes-stays": "The answer stays “{answer}”.",
    "routes-changes": "The answer changes from “{answer}” to “{other}” ({probability:.1%}).",
    "routes-card-before": "Before: no route cut here",
    "routes-card-after": "After the cut",
    "routes-scale": "One scale for before and after:",
    "routes-map-help": "The same map before and after the cut. Layers after the first cut one read other values, so "
    "their attention may change as well.",
    # the table
    "routes-table": "Every route in every window of layers",
    "routes-table-help": "Each route is cut alone, in each window of layers alone and in all layers. The change of the "
    "answer's log-probability stands beside the attention that the route has.",
    "routes-estimate": "{cells} cuts, each a variant of this run: {most} at most, and far less where many share a "
    "batch. Click a cell of the table to cut it above.",
    "routes-estimate-unknown": "{cells} cuts, each a variant of this run. Click a cell of the table to cut it above.",
    "routes-measure": "Measure the table",
    "routes-stopped": "Cut before the measurement was stopped: {done} of {of}.",
    "routes-effects": "Effect of cutting each route",
    "routes-effects-note": "Query to key: the first attends to the second. Below 0, the answer needs the route.",
    "routes-effects-unit": "change of log p({answer}), nats",
    "routes-shares": "Attention of each route",
    "routes-shares-note": "The same routes without a cut. Mean over queries, heads and layers; 1 is all of it.",
    "routes-shares-unit": "share of attention",
    "routes-axis": "layer",
    "routes-axis-all": "all",
    "routes-hover": "{route}, {layers}<br>change of log p({answer}): {effect} nats<br>share of attention: {share} "
    "(uniform: {uniform})<br>answer without it: {other} {probability:.1%}",
    "routes-legend": "Framed cells: attention and effect disagree. Solid frame: less than {little:.2f} of the "
    "attention, yet a change of at least {large} nats. Dotted frame: at least {much:.2f} of the attention, yet a "
    "change below {small} nats. The thresholds are ours.",
    "routes-agree": "Attention and effect agree here: no cell passes the thresholds.",
    "routes-more": "{count} more are framed in the table.",
    # interactions
    "interactions": "Do two modalities act together?",
    "interactions-help": "Shapley interaction index in nats (Grabisch and Roubens 1999), from the same eight subsets "
    "of the modalities as the section Effect.",
    "interactions-about": "Above 0: together they raise log p({answer}) by more than each alone, so one is of use "
    "with the other. Below 0: by less, so one tells what the other tells.",
    "interactions-pair": "{first} with {second}",
    "interactions-unit": "nats",
    "interactions-none": "There are fewer than two modalities that this model can do without, so there is no pair.",
}  # fmt: skip
