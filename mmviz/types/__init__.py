"""The nouns of mmviz: frozen, self-checking, with read-only arrays.

Axes, wherever an attention array appears: ``[head, query, key]``.  A query (a row) asks, a key (a column) is asked,
and every row sums to 1, but where a query may ask nobody: its row is 0.  Places are in the ORIGINAL input: pixels of
the picture as the user sees it (after EXIF turning), seconds of the sound, characters of the text; so that no figure
ever guesses a grid.
"""

from __future__ import annotations

from mmviz.types.errors import CaptureError, InputError, MmvizError, Notice
from mmviz.types.maps import TOLERANCE, AttentionMap, LongMap, check_rows
from mmviz.types.records import Answer, AttentionRecord, Columns, Rollout, Rows, View, Zoom, is_batch
from mmviz.types.requests import Card, Change, Drop, Fill, HeadOff, Hide, Randomise, Replace, Request, Uniform
from mmviz.types.samples import Picture, Sample, Sound, frozen
from mmviz.types.steps import Steps
from mmviz.types.tokens import ABSENT, Chars, Modality, PixelBox, Seconds, Token, Where, as_tokens, is_word, numbered

__all__ = [
    "ABSENT",
    "TOLERANCE",
    "Answer",
    "AttentionMap",
    "AttentionRecord",
    "CaptureError",
    "Card",
    "Change",
    "Chars",
    "Columns",
    "Drop",
    "Fill",
    "HeadOff",
    "Hide",
    "InputError",
    "LongMap",
    "MmvizError",
    "Modality",
    "Notice",
    "Picture",
    "PixelBox",
    "Randomise",
    "Replace",
    "Request",
    "Rollout",
    "Rows",
    "Sample",
    "Seconds",
    "Sound",
    "Steps",
    "Token",
    "Uniform",
    "View",
    "Where",
    "Zoom",
    "as_tokens",
    "check_rows",
    "frozen",
    "is_batch",
    "is_word",
    "numbered",
]
