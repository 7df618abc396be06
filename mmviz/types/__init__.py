"""The nouns of mmviz: frozen dataclasses that check themselves and whose arrays are read-only.

Axes of attention are always ``[head, query, key]``. Each query (row) attends to the keys (columns) and its weights sum
to 1; the row of a fully masked query is all zero. Locations are in the ORIGINAL input: pixels of the image as the user
sees it (after EXIF rotation), seconds of the audio, characters of the text.

Nouns compare by value, arrays included, and can be hashed, pickled and copied.
"""

from __future__ import annotations

from mmviz.types.attention_tensors import AttentionTensors
from mmviz.types.derived_tokens import StreamLink
from mmviz.types.errors import CaptureError, InputError, MmvizError, Notice
from mmviz.types.frozen import ValueSemantics, read_only
from mmviz.types.lens import TokenLens
from mmviz.types.map_ref import MapRef, Method
from mmviz.types.maps import TOLERANCE, AttentionMap, PooledMap, check_rows
from mmviz.types.receptive_fields import FieldsOf, InputFields, TokenFields
from mmviz.types.records import Answer, AttentionRecord, Columns, ModalitySums, Rows, View, Zoom, is_batch
from mmviz.types.requests import (
    ANSWER,
    AblateHead,
    Card,
    Change,
    ChosenTokens,
    CutRoute,
    DropModality,
    DropTokens,
    InputBaseline,
    ReplaceInput,
    Request,
    ShuffleWeights,
    TokenGroup,
    UniformAttention,
)
from mmviz.types.samples import MAX_PICTURES, AudioInput, ImageInput, Sample
from mmviz.types.stream_pairs import pairs_by_pattern
from mmviz.types.tokens import (
    ABSENT,
    INPUT_MODALITIES,
    MODALITIES,
    Chars,
    Location,
    Modality,
    PictureBox,
    PixelBox,
    Seconds,
    SpectrogramPatch,
    Token,
    TokenSequence,
    VideoPatch,
    as_tokens,
    index_tokens,
    is_unlocated_word,
    location_numbers,
)

__all__ = [
    "ABSENT",
    "ANSWER",
    "INPUT_MODALITIES",
    "MAX_PICTURES",
    "MODALITIES",
    "TOLERANCE",
    "AblateHead",
    "Answer",
    "AttentionMap",
    "AttentionRecord",
    "AttentionTensors",
    "AudioInput",
    "CaptureError",
    "Card",
    "Change",
    "Chars",
    "ChosenTokens",
    "Columns",
    "CutRoute",
    "DropModality",
    "DropTokens",
    "FieldsOf",
    "ImageInput",
    "InputBaseline",
    "InputError",
    "InputFields",
    "Location",
    "MapRef",
    "Method",
    "MmvizError",
    "Modality",
    "ModalitySums",
    "Notice",
    "PictureBox",
    "PixelBox",
    "PooledMap",
    "ReplaceInput",
    "Request",
    "Rows",
    "Sample",
    "Seconds",
    "ShuffleWeights",
    "SpectrogramPatch",
    "StreamLink",
    "Token",
    "TokenFields",
    "TokenGroup",
    "TokenLens",
    "TokenSequence",
    "UniformAttention",
    "ValueSemantics",
    "VideoPatch",
    "View",
    "Zoom",
    "as_tokens",
    "check_rows",
    "index_tokens",
    "is_batch",
    "is_unlocated_word",
    "location_numbers",
    "pairs_by_pattern",
    "read_only",
]
