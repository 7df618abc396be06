"""Texts of the viewer, by code: ``WORDS`` for its JavaScript, which fills in the ``{names}``, and ``ABOUT`` for Python.

``ABOUT`` holds what Python puts beside the views, and in their place where scripts are blocked.
"""

from __future__ import annotations

from mmviz.i18n.language import translate, translated
from mmviz.i18n.viewer_calculator import CALCULATOR
from mmviz.i18n.viewer_map_units import UNITS
from mmviz.i18n.viewer_touch import TOUCH

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
    "stack-streams-own": "within {from}",
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
    "style-help": "Light: the less, the dimmer and the greyer. Heat: the colours of the scale.",
    "scale": "Scale up to",
    "scale-view": "this view",
    "scale-map": "whole map",
    "scale-help": "The scale runs from 0 to the largest value of this view or of the whole map. Use the whole map to "
    "compare tokens, and this view to see more detail.",
    "compare": "Compare",
    "compare-help": "The next tap adds a second token, and the difference of the two is shown.",
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
    "same-map": "Nearly the same for every token (correlation {value}).",
    "tooltip-amount": "{title} Here: {unit} {amount}",
    "tooltip-same": "Its own map is nearly that one (correlation {value}).",
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
    "image-light": "Brightness and colour: {unit}, grey at 0, in full colour from {largest}. Outline: the strongest. "
    "Ring: pinned.",
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
    "answer-shares-help-rollout": "A word is written from the token before it, the query. Lines: the share of its "
    "rollout, of paths through all layers, that goes to each group of keys (sum, 0 to 1).",
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
    "overview": "Layers and heads",
    "overview-help": "Each small map is one head: rows are queries, columns are keys. The last column is the mean "
    "over the layer's heads, which hides how they differ. Arrow keys move between maps.",
    "overview-note": "Own scale for each map, 0 to its largest.",
    "mean-short": "mean",
    "cell-mean": "layer {layer}, mean of heads",
    "cell-head": "layer {layer}, head {head}",
    "cell-in-stack": "{stack}, {map}",
    # matrix
    "matrix": "Token by token",
    "matrix-of": "Token by token: {method}",
    "matrix-keys": "Token-by-token matrix: plus and minus zoom, 0 shows all, Shift and arrows move",
    "matrix-note": "Rows are queries, columns are keys. Colour: {unit}, 0 to {largest}.",
    "matrix-zoom": "Drag a box to zoom; zoomed in, the cells show their values.",
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
    "last with Shift, or single tokens with Ctrl (Cmd on a Mac). Amounts are then means over them.",
    "help-4": "Play the sound: each moment is chosen as it plays. Words of an answer are framed while the moment plays "
    "that they attended to most while they were written.",
    "help-5": "Keys: arrows move through layers and heads. Tab leads to the picture, the words and the sound; there, "
    "arrows, Home and End move between patches, words and moments, and Return pins. D switches the direction, Escape "
    "unpins.",
    "help-6": "Numbers are exact to the digits shown. For groups and differences the last digit may be off by one.",
    **UNITS,
    **TOUCH,
    **CALCULATOR,
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
