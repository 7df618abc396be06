"""The nouns of mmviz: frozen, self-checking, with read-only arrays.

Axes, wherever an attention array appears: ``[head, query, key]``.  A query (a row) asks, a key (a column) is asked,
and every row sums to 1, but where a query may ask nobody: its row is 0.  Places are in the ORIGINAL input: pixels of
the picture as the user sees it (after EXIF turning), seconds of the sound, characters of the text; so that no figure
ever guesses a grid.
"""

from __future__ import annotations

from mmviz.types.attention_steps import AttentionSteps
from mmviz.types.errors import CaptureError, InputError, MmvizError, Notice
from mmviz.types.map_ref import MapRef, Method
from mmviz.types.maps import TOLERANCE, AttentionMap, PooledMap, check_rows
from mmviz.types.records import Answer, AttentionRecord, Columns, Rollout, Rows, View, Zoom, is_batch
from mmviz.types.requests import (
    AblateHead,
    Card,
    Change,
    DropModality,
    DropTokens,
    InputBaseline,
    ReplaceInput,
    Request,
    ShuffleWeights,
    UniformAttention,
)
from mmviz.types.samples import AudioInput, ImageInput, Sample, frozen
from mmviz.types.tokens import (
    ABSENT,
    INPUT_MODALITIES,
    MODALITIES,
    Chars,
    Location,
    Modality,
    PixelBox,
    Seconds,
    Token,
    as_tokens,
    index_tokens,
    is_word,
)

__all__ = [
    "ABSENT",
    "INPUT_MODALITIES",
    "MODALITIES",
    "TOLERANCE",
    "AblateHead",
    "Answer",
    "AttentionMap",
    "AttentionRecord",
    "AttentionSteps",
    "AudioInput",
    "CaptureError",
    "Card",
    "Change",
    "Chars",
    "Columns",
    "DropModality",
    "DropTokens",
    "ImageInput",
    "InputBaseline",
    "InputError",
    "Location",
    "MapRef",
    "Method",
    "MmvizError",
    "Modality",
    "Notice",
    "PixelBox",
    "PooledMap",
    "ReplaceInput",
    "Request",
    "Rollout",
    "Rows",
    "Sample",
    "Seconds",
    "ShuffleWeights",
    "Token",
    "UniformAttention",
    "View",
    "Zoom",
    "as_tokens",
    "check_rows",
    "frozen",
    "index_tokens",
    "is_batch",
    "is_word",
]
