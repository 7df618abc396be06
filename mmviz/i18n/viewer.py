"""Texts of the viewer, by code: ``WORDS`` for its JavaScript, which fills in the ``{names}``, and ``ABOUT`` for Python.

``ABOUT`` holds what Python puts beside the views, and in their place where scripts are blocked.
"""

from __future__ import annotations

from mmviz.i18n.language import translate, translated

WORDS: dict[str, str] = {
    "viewer": "Attention between picture, words and sound",
    # controls
    "direction": "Direction",
    "direction-from": "From",
    "direction-to": "To",
    "direction-help": "From: what the chosen token attends to (it is the query, a row of the map). To: which tokens "
    "attend to the chosen one (it is the key, a column). Key: D",
    "method": "Method",
    "method-layer": "layer and head",
    "method-layer-help": "Raw attention of one head, or the mean over a layer's heads. Choose it in the small maps.",
    "method-rollout": "rollout",
    "method-rollout-help": "Attention rollout: the product of (A + I) / 2 over all layers, where I stands for the "
    "residual connection (Abnar and Zuidema 2020).",
    "method-relevance": "gradient relevance",
    "method-relevance-help": "Attention weighted by the gradients of the answer, through all layers (Chefer et al. "
    "2021).",
    "method-to": "{method} to {stream}",
    "flow-keys": "To",
    "flow-keys-help": "The stream at whose tokens the flow ends, as they enter it. Streams that cannot be followed are "
    "left out.",
    "stack": "Stack",
    "stack-help": "The run of layers, by its path in the model, and which tokens attend to which. Layers count within "
    "it.",
    "stack-streams": "from {from} to {to}",
    "absorbed-sink": "A sink, a score of the model that belongs to no token, takes {share} % of this row.",
    "absorbed-sink-mean": "A sink, a score of the model that belongs to no token, takes {share} % of a row on average.",
    "absorbed-padding": "Padding, which fills a window up, takes {share} % of this row.",
    "absorbed-padding-mean": "Padding, which fills windows up, takes {share} % of a row on average.",
    "absorbed-mask": "The model sets weights to 0 after the softmax: {share} % of this row is lost.",
    "absorbed-mask-mean": "The model sets weights to 0 after the softmax: {share} % of a row is lost on average.",
    "windows": "Attention runs within {count} windows: tokens of different windows do not attend to each other.",
    "style": "Show as",
    "style-spotlight": "light",
    "style-heat": "heat",
    "style-help": "Light: the less attention, the dimmer. Heat: the colours of the scale.",
    "scale": "Scale up to",
    "scale-view": "this view",
    "scale-map": "whole map",
    "scale-help": "The scale runs from 0 to the largest value of this view or of the whole map. Use the whole map to "
    "compare tokens, and this view to see more detail.",
    "unit-attention": "attention weight",
    "unit-rollout": "rollout",
    "unit-relevance": "gradient relevance",
    "unit-difference": "first minus second",
    "unpin": "Unpin",
    "unpin-help": "Remove the second pin, then the first. Key: Escape",
    "fetching": "Fetching {method} …",
    "not-here": "This file does not contain {method}, which was too large. Choose another layer or head.",
    "approximate": "Approximate: means over neighbouring tokens, until the exact row arrives …",
    "computing": "Computing {method} through all layers …",
    "approximate-flow": "Approximate: means over neighbouring tokens. Click a token for its exact amounts.",
    "approximate-many": "Approximate: means over neighbouring tokens. Choose fewer tokens for exact weights.",
    "approximate-only": "Approximate: means over neighbouring tokens. Exact rows are not kept for this run.",
    # readout
    "comma": ", ",
    "mean-over": "mean over {tokens}",
    "group": "{names} … ({count} tokens)",
    "title-from": "From: {token}.",
    "title-to": "To: {token}.",
    "title-difference": "{method}: {first} minus {second}.",
    "readout-pointed": "{title} “{token}”: {amount}",
    "reverse-weight": " (reverse: {amount})",
    "readout-strongest": "{title} Strongest: {most}",
    "weight": "“{from}” attends to “{to}”: {amount}",
    # training timeline
    "timeline": "Training timeline",
    "timeline-after": "after {scenes} scenes",
    "timeline-answers": "Answer probabilities",
    "timeline-play": "Play training",
    "timeline-pause": "Pause training",
    "timeline-play-help": "Step through the training, checkpoint by checkpoint.",
    "timeline-note": "Each map is the mean over the heads of a layer, which hides how they differ, rounded to about "
    "three digits. The colour scales are the same at every checkpoint: each ends at the largest value of the whole "
    "training.",
    # panels
    "roving-label": "{name}, {count} tokens: arrow keys, Home and End move between them, Return pins",
    "more-special": "and {count} more, in the matrix",
    "folded": "{count} × {name}",
    "folded-numbers": "{count} tokens, {first} to {last}",
    "folded-padding": "{count} padding tokens",
    "folded-help": "Tokens that are alike, shown as one. The amount is their mean. A click chooses all of them.",
    "folded-number": "Choose one of these tokens by its number, {first} to {last}",
    "image": "Picture",
    "image-none": "No picture was given.",
    "image-light": "Brightness: amount of attention. Outline: the strongest. Ring: pinned.",
    "text": "Words",
    "text-none": "No text was given.",
    "special": "special tokens",
    "written": "answer",
    "written-help": "The words that the model wrote. Each is a query; it was written from the token before it.",
    "unplaced": "words",
    "unplaced-help": "Words whose place in the text is not known.",
    "answer-shares": "Attention while each word was written",
    "answer-shares-help": "A word is written from the token before it, the query. Lines: the share of its attention "
    "that goes to each group of keys (sum of the weights, 0 to 1).",
    "answer-shares-word": "“{word}”, written from “{query}”: {list}",
    "answer-shares-point": "Point at a word to read its shares.",
    "group-prompt": "words of the prompt",
    "group-answer": "the answer's earlier words",
    "group-words": "words of prompt and answer",
    "audio": "Sound",
    "audio-none": "No sound was given.",
    "play": "Play",
    "pause": "Pause",
    "modality-bars": "Attention by modality",
    "modality-sum": "sum",
    "modality-per-token": "per token",
    "modality-ratio": "× uniform",
    "modality-sum-help": "The total attention of this modality. It grows with the number of tokens.",
    "modality-per-token-help": "The sum divided by the number of tokens.",
    "modality-ratio-help": "The mean per token, divided by its value under uniform attention (equal weight for all "
    "tokens).",
    "modality-image": "picture",
    "modality-text": "words",
    "modality-audio": "sound",
    "modality-special": "special",
    "one-token": "1 token",
    "tokens": "{count} tokens",
    "modality-matrix": "Between modalities",
    "modality-matrix-help": "Rows are queries, columns are keys. Special tokens have their own row and column. Point "
    "at a cell to choose all its tokens.",
    "query-key-corner": "query ↓ key →",
    "counted": "Count as",
    "count-sums": "sum",
    "count-per-token": "per token",
    "count-ratio": "× uniform",
    "cell": "{from} attends to {to}: {amount}",
    "scale-cells": "Colour: attention, 0 to {largest}.",
    "scale-ratio": "Colour: purple below uniform attention, orange above; 1/8 to 8 on a log2 scale.",
    "overview": "Layers and heads",
    "overview-help": "Each small map is one head: rows are queries, columns are keys. The last column is the mean "
    "over the layer's heads, which hides how they differ. Arrow keys move between maps.",
    "overview-note": "Rows: layers. Each map has its own colour scale, from 0 to its largest cell.",
    "mean-short": "mean",
    "cell-mean": "layer {layer}, mean of heads",
    "cell-head": "layer {layer}, head {head}",
    "cell-in-stack": "{stack}, {map}",
    # matrix
    "matrix": "Token by token",
    "matrix-of": "Token by token: {method}",
    "matrix-keys": "Token-by-token matrix: plus and minus zoom, 0 shows all, Shift and arrows move",
    "matrix-note": "Rows are queries, columns are keys. Colour: 0 to {largest}. Drag a box to zoom; zoomed in, the "
    "cells show their values.",
    "weight-mean": "around “{from}” and “{to}”: {amount} (mean over {queries} x {keys} tokens)",
    "matrix-means": "Each pixel is a mean over its tokens. Zoom in for exact weights.",
    "matrix-means-only": "Each pixel is a mean over its tokens. Exact weights are not kept for this run.",
    "matrix-pooled": "Each pixel shows the largest of its cells.",
    "matrix-point": "Point at a cell to read its weight.",
    "zoom": "Zoom",
    "zoom-in": "+",
    "zoom-in-help": "Zoom in",
    "zoom-out": "−",
    "zoom-out-help": "Zoom out",
    "zoom-all": "all",
    "zoom-all-help": "Show the whole matrix",
    # help
    "help": "How to use the viewer",
    "help-1": "Point at a patch, a word, a moment or a small map: everything else lights up by attention.",
    "help-2": "Click to pin it. Then pointing elsewhere reads exact weights. Click a second one to see the difference.",
    "help-3": "Drag over several patches, words or moments to choose them all together, or click the first and the "
    "last with Shift, or single ones with Ctrl (Cmd on a Mac). Amounts are then means over them.",
    "help-4": "Play the sound: each moment is chosen as it plays. Words of an answer are framed while the moment plays "
    "that they attended to most while they were written.",
    "help-5": "Keys: arrows move through layers and heads. Tab leads to the picture, the words and the sound; there, "
    "arrows, Home and End move between patches, words and moments, and Return pins. D switches the direction, Escape "
    "unpins.",
    "help-6": "Numbers are exact to the digits shown. For groups and differences the last digit may be off by one.",
    # attention calculator
    "calculator": "Attention calculator",
    "calculator-help": "The attention of one head for one query, computed here step by step from the model's own "
    "vectors (scaled dot-product attention, Vaswani et al. 2017, section 3.2). It follows the selection above. Change "
    "a score, a mask or the temperature, and the weights and the output follow.",
    "calc-map": "Layer",
    "calc-head": "Head",
    "calc-query": "Query token",
    "calc-key": "Key token",
    "calc-flow": "Rollout and gradient relevance combine all layers, so this shows the first head of the last layer.",
    "calc-mean": "A mean over heads is not a single computation, so this shows the layer's first head.",
    "calc-direction-to": "A computation starts from a query, so the first chosen token is the query here.",
    "calc-several": "Several tokens are chosen; the first is the query here.",
    "calc-fetching": "Fetching the vectors …",
    "calc-not-here": "The file does not contain the vectors of this layer, which were too large. Choose another layer.",
    "calc-edits": "Edit",
    "calc-temperature": "Temperature",
    "calc-temperature-help": "Scores are divided by the temperature before the softmax. Below 1 the weights become "
    "sharper, above 1 more uniform.",
    "calc-scale-root": "divide by √{size} (× {scale})",
    "calc-scale": "multiply by {scale}",
    "calc-mask": "Mask",
    "calc-mask-help": "A masked key is excluded: minus infinity is added to its score.",
    "calc-mask-key": "mask this key",
    "calc-mask-key-help": "Mask or unmask the chosen key",
    "calc-score": "Score of “{token}”",
    "calc-less": "−",
    "calc-less-help": "Lower the score by 0.5",
    "calc-more": "+",
    "calc-more-help": "Raise the score by 0.5",
    "calc-reset": "Reset",
    "calc-reset-help": "Undo all edits",
    "calc-parity": "Matches the model. Largest differences: {weights} for the weights, {attn_output} for this head's "
    "vector, {output} for the output.",
    "calc-parity-head": "Matches the model. Largest differences: {weights} for the weights, {attn_output} for this "
    "head's vector. The output projection was not recorded.",
    "calc-edited": "Edited, so this is not what the model computed: the output moved by {moved} (its length was "
    "{length}).",
    "calc-edited-head": "Edited, so this is not what the model computed: this head's vector moved by {moved} (its "
    "length was {length}).",
    "calc-difference": "Largest difference from the model: {difference}",
    "calc-moved": "Edited: moved by {moved} (length {length})",
    "calc-shifted": "Edited: {moved} of the attention moved to other keys",
    "calc-signed": "Colour of numbers:",
    "calc-vectors": "From tokens to queries, keys and values",
    "calc-vectors-formula": "q = W_q x + b_q     k = W_k x + b_k     v = W_v x + b_v",
    "calc-vectors-help": "Three linear maps turn each token's state x into three vectors: a query (matched against "
    "keys), a key (matched against queries) and a value (passed on).",
    "calc-vectors-live": "q of “{query}”, k and v of “{key}”. Each entry of a vector is a row of W times x, plus a "
    "bias.",
    "calc-map-query": "q = W_q x + b_q",
    "calc-map-key": "k = W_k x + b_k",
    "calc-map-value": "v = W_v x + b_v",
    "calc-number-x": "x",
    "calc-ranges": "Colours: x ± {x}, W ± {w}, {symbol} ± {y}",
    "calc-scores": "Scores: query times key",
    "calc-scores-formula": "score = q · k = q₁k₁ + q₂k₂ + … ({size} terms)",
    "calc-scores-help": "The better a key aligns with the query, the larger their dot product. Click a key, or choose "
    "it with the arrow keys.",
    "calc-scores-live": "“{token}”: {terms} + … = {score}",
    "calc-score-set": "You set it to {score}.",
    "calc-keys": "Keys as columns, the query on the left",
    "calc-raw-bars": "Score of each key",
    "calc-key-score": "“{token}”: score {score}",
    "calc-term-by-term": "“{query}” times “{key}”, term by term",
    "calc-q": "q",
    "calc-k": "k",
    "calc-products": "q × k",
    "calc-scaled": "Scale and mask",
    "calc-scaled-formula": "s = score × {scale} + mask",
    "calc-scaled-formula-root": "s = score / √{size} + mask",
    "calc-scaled-help": "Scaling keeps long vectors from making the softmax too sharp. A mask of minus infinity "
    "excludes a key.",
    "calc-scaled-live": "“{token}”: {score} × {scale} + {mask} = {logit}",
    "calc-masked": "{count} of {of} keys are masked.",
    "calc-logit-bars": "Scaled and masked score of each key",
    "calc-key-logit": "“{token}”: {score}",
    "calc-softmax": "Softmax: from scores to weights",
    "calc-softmax-formula": "weight = exp(s / T) / Σ exp(s / T)",
    "calc-softmax-help": "Each score becomes a positive weight, and the weights of a query sum to 1. T is the "
    "temperature.",
    "calc-softmax-live": "“{token}”: exp({logit} / {temperature} − {top}) = {part}; sum over all keys {sum}; {part} / "
    "{sum} = {weight}. The maximum {top} is subtracted from each s / T first, which does not change the weights.",
    "calc-all-masked": "The query is fully masked, so all its weights are 0.",
    "calc-weight-bars": "Weight of each key",
    "calc-table": "Largest weights",
    "calc-sums": "By modality",
    "calc-column-key": "key",
    "calc-column-raw": "score",
    "calc-column-logit": "s",
    "calc-column-exp": "exp",
    "calc-column-weight": "weight",
    "calc-column-model": "model",
    "calc-column-modality": "modality",
    "calc-column-keys": "keys",
    "calc-attn-output": "Weighted sum of the values",
    "calc-attn-output-formula": "o = Σ weight × v",
    "calc-attn-output-help": "Each key passes on its value, scaled by its weight. The sum is this head's output for "
    "the query.",
    "calc-attn-output-live": "o = {terms} + … Its length is {length}.",
    "calc-part": "Contribution of a key",
    "calc-number-part": "weight × v",
    "calc-number-own": "{name} of the model",
    "calc-o": "o, computed",
    "calc-o-model": "o of the model",
    "calc-concatenated": "Concatenated heads, then the output projection",
    "calc-concatenated-formula": "output = W_o [o of heads 1 … {heads}] + b_o",
    "calc-concatenated-help": "The vectors of all heads are concatenated (framed: this head's) and go through one "
    "linear map. The edits above change this head only; the others stay as they are.",
    "calc-concatenated-live": "This head's contribution to the output has length {part}, the whole output {length}.",
    "calc-ablated": "This head is ablated: it contributes nothing to the output, whose length is {length}.",
    "calc-projection": "Concatenated heads above W_o, the output on its right",
    "calc-number-output": "output",
    "calc-ranges-output": "Colours: o ± {x}, W ± {w}, output ± {y}",
    "calc-output": "output, computed",
    "calc-output-model": "output of the model",
}

ABOUT: dict[str, str] = {
    "no-answers": "Attention (routing) in one run",
    "untrained": "These weights are untrained or shuffled. What you see is chance, not something learned.",
    "uniform": "Control: uniform attention. Every token attends to all tokens equally, whatever the model computed.",
    "recorded": "A recorded run, shown without running the model.",
    "other-answers": "Next: {answers}",
    "patch-sees": "A patch token sees more than its patch: of its sensitivity to pixels (squared gradient), {patch} % "
    "lies in the patch, {around} % in it and the eight around it.",
    "disclaimer": "Attention shows how information is routed between tokens, not what decided the answer.",
    # the still that stands there without scripts
    "still": "This is a still of the viewer. The viewer itself needs scripts. If it does not take the place of the "
    "still, scripts are blocked here or the file is incomplete: open the whole file in a browser, or trust the "
    "notebook.",
    "still-failed": "The viewer could not start in this browser, so this is a still of it. Open the file in a current "
    "version of Chrome, Edge, Firefox or Safari.",
    "still-view": "From {token}: {method}. Strongest: {strongest}",
    "still-image": "The picture: the brighter a patch, the more attention. Outline: the strongest.",
    "still-image-plain": "The picture.",
    "still-audio": "The sound, {seconds} s, as a spectrogram: the brighter a moment, the more attention.",
    "still-audio-plain": "The sound, {seconds} s, as a spectrogram.",
}


def viewer_words() -> dict[str, str]:
    """Returns all of `WORDS` in the current language."""
    return {code: translated(template) for code, template in WORDS.items()}


def about(code: str, **parameters: object) -> str:
    """Returns one of `ABOUT` in the current language. Raises ``KeyError`` for an unknown code."""
    return translate(ABOUT, code, **parameters)
