"""Every sentence of the viewer, by code; templates whose ``{names}`` the JavaScript fills in.

``ABOUT`` has those that Python chooses itself, for the lines above and below the standalone document.
"""

from __future__ import annotations

WORDS: dict[str, str] = {
    "viewer": "Attention between picture, words and sound",
    # controls
    "direction": "Direction",
    "direction-from": "asks →",
    "direction-to": "← is asked",
    "direction-help": "In every layer each token asks all tokens (a query), and all tokens are asked (keys). “Asks” "
    "shows what the chosen token attends to; “is asked” shows who attends to it. Key: D",
    "way": "Way of looking",
    "way-layer": "layer and head",
    "way-layer-help": "The attention of one head, or the mean of a layer's heads, as chosen among the small maps.",
    "way-rollout": "rollout",
    "way-rollout-help": "Attention multiplied through all layers, each mixed half and half with the residual "
    "connection, (A + I) / 2 (Abnar and Zuidema 2020).",
    "way-relevance": "relevance",
    "way-relevance-help": "Attention weighted by gradients of the answer (Chefer et al. 2021).",
    "style": "Show as",
    "style-spotlight": "light",
    "style-heat": "heat",
    "style-help": "Light: what gets little attention is dimmed. Heat: the colours of the scale.",
    "scale": "Scale up to",
    "scale-view": "this view",
    "scale-map": "whole map",
    "scale-help": "The scale starts at 0 and ends at the largest amount of this view, or of the whole map. With the "
    "whole map you can compare tokens; with this view you see more.",
    "unit": "share of attention",
    "unit-relevance": "relevance",
    "unit-difference": "first minus second",
    "unpin": "Unpin",
    "unpin-help": "Take the second pin away, then the first. Key: Escape",
    "fetching": "Fetching {way} …",
    "not-here": "The file does not hold {way}: it was too large. Choose another layer or head.",
    "about": "About: means over neighbouring tokens, until the exact row is here …",
    "about-many": "About: means over neighbouring tokens. Choose fewer tokens for exact amounts.",
    "about-only": "About: means over neighbouring tokens. Exact rows are not kept here.",
    # what is told
    "group": "{count} tokens: {names} …",
    "title-from": "{token} asks →",
    "title-to": "← {token} is asked",
    "title-difference": "{first} minus {second} ({way})",
    "told-pointed": "{title} “{token}”: {amount}",
    "back": " (the other way round: {amount})",
    "told-most": "{title} Most: {most}",
    "weight": "“{from}” asks “{to}”: {amount}",
    # panels
    "skip": "Skip {count} tokens",
    "rove": "{count} tokens: arrow keys move through them, Return pins",
    "more-special": "and {count} more, in the matrix",
    "picture": "Picture",
    "picture-none": "No picture was given.",
    "picture-light": "Light: amount of attention. Outlined: the strongest. Ring: pinned.",
    "words": "Words",
    "words-none": "No text was given.",
    "special": "other tokens",
    "sound": "Sound",
    "sound-none": "No sound was given.",
    "play": "Play",
    "pause": "Pause",
    "shares": "Attention by modality",
    "share-sum": "sum",
    "share-per-token": "per token",
    "share-ratio": "× uniform",
    "share-sum-help": "All the attention of this kind together. It grows with the number of tokens.",
    "share-per-token-help": "The sum divided by the number of tokens.",
    "share-ratio-help": "The mean per token, divided by what attention spread evenly over all tokens would be.",
    "modality-image": "picture",
    "modality-text": "words",
    "modality-audio": "sound",
    "modality-other": "special",
    "one-token": "1 token",
    "tokens": "{count} tokens",
    "modalities": "Between modalities",
    "modalities-help": "Rows ask, columns are asked; special tokens keep their own row and column. Point at a cell to "
    "ask with all its tokens together.",
    "asks-asked": "asks ↓ asked →",
    "counted": "Counted as",
    "count-sums": "sum",
    "count-per-token": "per token",
    "count-ratio": "× uniform",
    "cell": "{from} asks {to}: {amount}",
    "scale-cells": "Colour: share of attention, 0 to {largest}.",
    "scale-ratio": "Colour: purple below uniform attention, orange above, 1/8 to 8 on a log2 scale.",
    "overview": "Layers and heads",
    "overview-help": "Each small map is one head: rows ask, columns are asked. The column at the edge is the mean of "
    "the layer's heads, which hides how they differ. Arrow keys move through them.",
    "overview-note": "Rows: layers. Each map has its own scale, from 0 to its largest cell.",
    "mean-short": "mean",
    "cell-mean": "layer {layer}, mean of heads",
    "cell-head": "layer {layer}, head {head}",
    # matrix
    "matrix": "Token by token",
    "matrix-of": "Token by token: {way}",
    "matrix-keys": "Matrix token by token: plus and minus zoom, 0 shows all, shift and arrows move",
    "matrix-note": "Rows ask, columns are asked. Colour: 0 to {largest}. Drag a box to zoom; closer up the cells show "
    "their numbers.",
    "weight-mean": "around “{from}” and “{to}”: {amount} (mean over {queries} x {keys} tokens)",
    "matrix-means": "Each pixel shows a mean over its tokens; closer up the weights are exact.",
    "matrix-pooled": "Each pixel shows the largest of its cells.",
    "matrix-point": "Point at a cell to read it.",
    "zoom": "Zoom",
    "zoom-in": "+",
    "zoom-in-help": "Zoom in",
    "zoom-out": "−",
    "zoom-out-help": "Zoom out",
    "zoom-all": "all",
    "zoom-all-help": "Show the whole matrix",
    # help
    "help": "How to use this",
    "help-1": "Point at a patch, a word, a moment or a small map: everything else lights up by attention.",
    "help-2": "Click to pin it; then pointing reads exact amounts. Click another one to see the difference.",
    "help-3": "Drag over several patches, words or moments to ask with all of them together.",
    "help-4": "Play the sound: each moment asks as it is heard.",
    "help-5": "Keys: arrows go through layers and heads, Tab through tokens, Return pins, D turns the direction, "
    "Escape unpins.",
    "help-6": "Numbers are exact to the digits shown; in those of groups and differences the last digit may be one "
    "off.",
    # the document
    "also": "Then {answers}",
    "honest": "Attention says how information is routed between tokens. It does not say what decided the answer.",
}

ABOUT: dict[str, str] = {
    "no-answers": "Attention (routing) in one run",
    "untrained": "These weights are untrained or shuffled. What you see is how chance attends, not something learned.",
    "evened": "A control: every token attends to all tokens alike, whatever the model computed.",
    "recorded": "A recorded run, shown again without running the model.",
}
