"""Texts of the viewer for a touch screen. A code with ``-touch`` stands for the code without it there."""

from __future__ import annotations

TOUCH: dict[str, str] = {
    "modality-matrix-help-touch": "Rows are queries, columns are keys. Special tokens have their own row and column. "
    "Tap a cell to choose all its tokens.",
    "answer-shares-point-touch": "Tap a word to read its shares.",
    "approximate-flow-touch": "Approximate: means over neighbouring tokens. Tap a token for its exact amounts.",
    "folded-help-touch": "Tokens that are alike, shown as one. The amount is their mean. A tap chooses all of them.",
    "matrix-point-touch": "Tap a cell to read its weight.",
    "matrix-zoom-touch": "Pinch to zoom; zoomed in, a finger moves the cells, and they show their values.",
    "help-1-touch": "Tap a patch, a word, a moment or a small map: everything else lights up by attention. Tap it "
    "again to go back.",
    "help-2-touch": "Tap another to see its attention instead. To see the difference of two, press Compare before the "
    "second tap, or keep the finger on the second one.",
    "help-3-touch": "Drag sideways over patches, words or moments to choose them all together. Amounts are then means "
    "over them.",
    "help-5-touch": "From and To switch the direction. Pinch the matrix to zoom; zoomed in, a finger moves it.",
}
