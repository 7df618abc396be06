"""Every sentence of the viewer, by code; templates whose ``{names}`` the JavaScript fills in.

``ABOUT`` has those that Python chooses itself, for the lines above and below the standalone document.
"""

from __future__ import annotations

from mmviz.i18n.language import translated

WORDS: dict[str, str] = {
    "viewer": "Attention between picture, words and sound",
    # controls
    "direction": "Direction",
    "direction-from": "asks →",
    "direction-to": "← is asked",
    "direction-help": "In every layer each token asks all tokens (a query), and all tokens are asked (keys). “Asks” "
    "shows what the chosen token attends to; “is asked” shows who attends to it. Key: D",
    "way": "MapRef of looking",
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
    "fetching": "Fetching {method} …",
    "not-here": "The file does not hold {method}: it was too large. Choose another layer or head.",
    "about": "About: means over neighbouring tokens, until the exact row is here …",
    "about-many": "About: means over neighbouring tokens. Choose fewer tokens for exact amounts.",
    "about-only": "About: means over neighbouring tokens. Exact rows are not kept here.",
    # what is told
    "comma": ", ",
    "group": "{count} tokens: {names} …",
    "title-from": "{token} asks →",
    "title-to": "← {token} is asked",
    "title-difference": "{first} minus {second} ({method})",
    "told-pointed": "{title} “{token}”: {amount}",
    "back": " (the other way round: {amount})",
    "told-most": "{title} Most: {most}",
    "weight": "“{from}” asks “{to}”: {amount}",
    # moments of training
    "moments": "Time of training",
    "moments-after": "after {scenes} scenes",
    "moments-answers": "Probability of the answers",
    "moments-play": "Play training",
    "moments-pause": "Pause training",
    "moments-play-help": "Go through the training, moment by moment.",
    "moments-note": "Attention is the mean over the heads of a layer, which hides how they differ, kept to about three "
    "digits. All colour scales are the same at every moment: they end at the largest amount of the whole training.",
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
    "modality-special": "special",
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
    "matrix-of": "Token by token: {method}",
    "matrix-keys": "Matrix token by token: plus and minus zoom, 0 shows all, shift and arrows move",
    "matrix-note": "Rows ask, columns are asked. Colour: 0 to {largest}. Drag a box to zoom; closer up the cells show "
    "their numbers.",
    "weight-mean": "around “{from}” and “{to}”: {amount} (mean over {queries} x {keys} tokens)",
    "matrix-means": "Each pixel shows a mean over its tokens; closer up the weights are exact.",
    "matrix-means-only": "Each pixel shows a mean over its tokens; exact weights are not kept here.",
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
    # the calculator
    "calculator": "The calculator",
    "calculator-help": "One head's attention for one query, worked out here step by step from the model's own vectors "
    "(scaled dot-product attention, Vaswani et al. 2017, section 3.2). It follows what you choose above. Change a "
    "score, a mask or the temperature, and weights and output follow.",
    "calc-map": "Layer",
    "calc-head": "Head",
    "calc-query": "Who asks (query)",
    "calc-key": "Who is asked (key)",
    "calc-flow": "Rollout and relevance go through all layers, so this is the first head of the last one.",
    "calc-mean": "A mean of heads is not one calculation, so this is the layer's first head.",
    "calc-asked": "A calculation begins with the token that asks: here the first chosen token asks.",
    "calc-several": "Several tokens are chosen: the first of them asks here.",
    "calc-fetching": "Fetching the vectors …",
    "calc-not-here": "The file does not hold the vectors of this layer: it was too large. Choose another layer.",
    "calc-edits": "Change something",
    "calc-temperature": "Temperature",
    "calc-temperature-help": "Scores are divided by it before the softmax: below 1 the weights become sharper, above 1 "
    "more even.",
    "calc-scale-root": "divide by √{size} (× {scale})",
    "calc-scale": "multiply by {scale}",
    "calc-mask": "Mask",
    "calc-mask-help": "A masked key takes no part: minus infinity is added to its score.",
    "calc-mask-key": "mask this key",
    "calc-mask-key-help": "Take the chosen key out, or let it take part again.",
    "calc-score": "Score of “{token}”",
    "calc-less": "−",
    "calc-less-help": "Lower the score by 0.5",
    "calc-more": "+",
    "calc-more-help": "Raise the score by 0.5",
    "calc-reset": "Reset",
    "calc-reset-help": "Take all changes back",
    "calc-parity": "The same as the model: the largest difference to its own weights is {weights}, to this head's "
    "vector {mixed}, to the output {output}.",
    "calc-parity-head": "The same as the model: the largest difference to its own weights is {weights}, to this head's "
    "vector {mixed}. Its output map is not known.",
    "calc-edited": "Edited, so this is not what the model did: the output moved by {moved} (its length was {length}).",
    "calc-edited-head": "Edited, so this is not what the model did: this head's vector moved by {moved} (its length "
    "was {length}).",
    "calc-difference": "Largest difference to the model's own: {difference}",
    "calc-moved": "Edited: moved by {moved} (length {length})",
    "calc-shifted": "Edited: {moved} of all attention went elsewhere",
    "calc-signed": "Colour of numbers:",
    "calc-vectors": "From tokens to query, key and value",
    "calc-vectors-formula": "q = W_q x + b_q     k = W_k x + b_k     v = W_v x + b_v",
    "calc-vectors-help": "Each token's state x becomes three vectors through three linear maps: what it looks for "
    "(query), what it can be found by (key), what it hands over (value).",
    "calc-vectors-live": "q of “{query}”, k and v of “{key}”. Each number of a vector is a row of W times x, plus "
    "a bias.",
    "calc-map-query": "q = W_q x + b_q",
    "calc-map-key": "k = W_k x + b_k",
    "calc-map-value": "v = W_v x + b_v",
    "calc-number-x": "x",
    "calc-ranges": "Colours: x ± {x}, W ± {w}, {made} ± {y}",
    "calc-scores": "Score: query times key",
    "calc-scores-formula": "score = q · k = q₁k₁ + q₂k₂ + … ({size} terms)",
    "calc-scores-help": "The more a key points where the query points, the larger their product. Click a key, or "
    "choose it with the arrow keys.",
    "calc-scores-live": "“{token}”: {terms} + … = {score}",
    "calc-score-set": "Set by you to {score}.",
    "calc-keys": "Keys as columns, the query at the left",
    "calc-raw-bars": "Score of every key",
    "calc-key-score": "“{token}”: score {score}",
    "calc-term-by-term": "“{query}” times “{key}”, term by term",
    "calc-q": "q",
    "calc-k": "k",
    "calc-products": "q × k",
    "calc-scaled": "Scale and mask",
    "calc-scaled-formula": "s = score × {scale} + mask",
    "calc-scaled-formula-root": "s = score / √{size} + mask",
    "calc-scaled-help": "Scaling keeps long vectors from making the softmax too sharp. A mask of minus infinity takes "
    "a key out.",
    "calc-scaled-live": "“{token}”: {score} × {scale} + {mask} = {seen}",
    "calc-masked": "{count} of {of} keys are masked.",
    "calc-seen-bars": "Scaled and masked score of every key",
    "calc-key-seen": "“{token}”: {score}",
    "calc-softmax": "Softmax: from scores to weights",
    "calc-softmax-formula": "weight = exp(s / T) / Σ exp(s / T)",
    "calc-softmax-help": "Every score becomes a positive weight, and all weights of the query add up to 1. T is the "
    "temperature.",
    "calc-softmax-live": "“{token}”: exp({seen} / {temperature} − {top}) = {part}; all keys together {sum}; "
    "{part} / {sum} = {weight}. The largest, {top}, is taken off every s / T first, which changes no weight.",
    "calc-nobody": "All keys are masked, so nobody is asked and all weights are 0.",
    "calc-weight-bars": "Weight of every key",
    "calc-table": "Largest weights",
    "calc-sums": "By modality",
    "calc-column-key": "key",
    "calc-column-raw": "score",
    "calc-column-seen": "s",
    "calc-column-exp": "exp",
    "calc-column-weight": "weight",
    "calc-column-model": "model's own",
    "calc-column-modality": "keys of",
    "calc-column-keys": "keys",
    "calc-mixed": "Weighted sum of the values",
    "calc-mixed-formula": "o = Σ weight × v",
    "calc-mixed-help": "Each key hands over its value, as much of it as its weight says. The sum is what this head "
    "found for the query.",
    "calc-mixed-live": "o = {terms} + … Its length is {length}.",
    "calc-part": "What a key brings",
    "calc-number-part": "weight × v",
    "calc-number-own": "{name} of the model",
    "calc-o": "o, worked out",
    "calc-o-model": "o of the model",
    "calc-joined": "Heads side by side, then the output",
    "calc-joined-formula": "output = W_o [o of heads 1 … {heads}] + b_o",
    "calc-joined-help": "The vectors of all heads are put side by side (framed: this head's) and go through one linear "
    "map. Changes above are of this head alone; the others stay as they are.",
    "calc-joined-live": "This head's part of the output has length {part}, the whole output {length}.",
    "calc-off": "This head is switched off: it brings nothing to the output, whose length is {length}.",
    "calc-projection": "Heads side by side above W_o, the output at its right",
    "calc-number-output": "output",
    "calc-ranges-output": "Colours: o ± {x}, W ± {w}, output ± {y}",
    "calc-output": "output, worked out",
    "calc-output-model": "output of the model",
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


def viewer_words() -> dict[str, str]:
    """All of `WORDS` in the language spoken."""
    return {code: translated(template) for code, template in WORDS.items()}


def about(code: str) -> str:
    """One of `ABOUT` in the language spoken."""
    return translated(ABOUT[code])
