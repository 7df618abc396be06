"""What a run leaves behind, and the views of its parts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, TypeGuard

import numpy as np
from numpy.typing import NDArray

from mmviz.types.attention_tensors import AttentionTensors
from mmviz.types.derived_tokens import StreamLink
from mmviz.types.errors import CaptureError, Notice
from mmviz.types.frozen import ValueSemantics, read_only, read_only_mapping
from mmviz.types.lens import TokenLens
from mmviz.types.map_ref import MapRef
from mmviz.types.maps import AttentionMap, PooledMap
from mmviz.types.short_repr import ShortRepr, call_repr, short
from mmviz.types.tokens import ABSENT, INPUT_MODALITIES, Modality, Token, TokenSequence


@dataclass(frozen=True)
class Answer:
    """One possible answer of a model."""

    label: str
    """The answer as text."""
    probability: float
    """The model's probability for it, 0 .. 1."""
    index: int | None = field(default=None, compare=False)
    """Its index among all answers of the model, which tells answers of one label apart; None where it is not known."""

    def is_same(self, other: Answer) -> bool:
        """Returns whether ``other`` is the same answer of the same model, by index, or by label where one has none."""
        is_known = self.index is not None and other.index is not None
        return self.index == other.index if is_known else self.label == other.label


@dataclass(frozen=True, eq=False, repr=False)
class AttentionRecord(ShortRepr, ValueSemantics):
    """Everything that one run recorded, in numpy arrays and plain values.

    All arrays and mappings are read-only. Raises ``CaptureError``: ``map-tokens`` where a map does not fit its token
    streams, ``steps-shape`` where the steps do not fit the maps, ``lens-shape`` where the lens does not fit its stream;
    ``KeyError`` where a map names an unknown stream.
    """

    id: str
    """Unique name of the run; `Run.view` uses it to ask a backend for the parts of a long run."""
    streams: Mapping[str, tuple[Token, ...]]
    """The token sequences that attention runs over, by name."""
    maps: tuple[AttentionMap | PooledMap, ...]
    """Attention maps in order of execution, those of towers (`Request.towers`) last; empty where only answers were
    requested."""
    answers: tuple[Answer, ...]
    """Answers, most probable first; empty for a model without answers."""
    made_by: Mapping[str, Any]
    """How the record was made: model, digest of the weights, device, dtype, seed, versions, milliseconds of each stage,
    how each map was captured (``routes``) with its largest difference from the module's output (``parity``), and which
    shares of what a patch token sees lie in the ``patch`` and ``around`` it (``receptive_field``), where known."""
    notices: tuple[Notice, ...] = ()
    """What the user should know, such as an input that was cut to the model's limits."""
    relevance: NDArray[np.float32] | None = None
    """float32 ``[query, key]``: gradient relevance of the winning answer (Chefer et al. 2021), if requested."""
    norms: tuple[NDArray[np.float32], ...] = ()
    """float32 ``[query, key]`` for each map: value-weighted attention (`mmviz.capture.value_norms`), if requested."""
    integrated: NDArray[np.float32] | None = None
    """float32 ``[key]``: integrated gradients for the keys of the last map of the default stack, if requested."""
    steps: tuple[AttentionTensors, ...] = ()
    """From which each map can be computed again (`mmviz.capture.qkv_and_projections`), if requested."""
    sweep: NDArray[np.float64] | None = None
    """float64 ``[variant, answer]``: log-probabilities of the variants in ``Request.sweep``, in the order of
    ``answers``."""
    answer_log_probabilities: NDArray[np.float64] | None = None
    """float64 ``[1 + variant, token]``: log-probability of each token of an answer that the model wrote, given those
    before it, in nats: of the run itself, then of the variants in ``Request.sweep``. None for a model that writes
    none."""
    links: tuple[StreamLink, ...] | None = None
    """The tokens that are made of those of other streams, where all ways between several streams are known, but for
    those that a notice ``flow-lost`` names; then rollout runs through all of them. None where nothing is known."""
    relevance_to: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """float32 ``[query, key]`` by the name of the stream of keys: gradient relevance for the queries of ``relevance``
    of the tokens of other streams than its own, as they enter these, if requested."""
    integrated_of: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """float32 ``[token]`` by the name of the stream: integrated gradients of the tokens of each stream where it enters
    its layers, if requested and the model names the places."""
    relevance_on_request: bool = False
    """Whether the backend that keeps a run too long for ``relevance`` computes any part of it when it is viewed."""
    lens: TokenLens | None = None
    """What each token would answer after each layer, if requested."""

    def __post_init__(self) -> None:
        streams = MappingProxyType({name: TokenSequence(tokens) for name, tokens in self.streams.items()})
        object.__setattr__(self, "streams", streams)
        object.__setattr__(self, "made_by", read_only_mapping(self.made_by))
        for name in ("relevance", "integrated", "sweep", "answer_log_probabilities"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, read_only(getattr(self, name)))
        object.__setattr__(self, "norms", tuple(map(read_only, self.norms)))
        for name in ("relevance_to", "integrated_of"):
            arrays = {stream: read_only(array) for stream, array in getattr(self, name).items()}
            object.__setattr__(self, name, MappingProxyType(arrays))
        for name in ("maps", "answers", "notices", "steps", *(["links"] if self.links is not None else [])):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for attn_map in self.maps:
            expected = (len(self.streams[attn_map.queries]), len(self.streams[attn_map.keys]))
            if attn_map.shape != expected:
                raise CaptureError("map-tokens", name=attn_map.name, shape=attn_map.shape, expected=expected)
        if self.lens is not None and self.lens.top.shape[1] != len(self.streams[self.lens.stream]):
            raise CaptureError("lens-shape", count=self.lens.top.shape[1], expected=len(self.streams[self.lens.stream]))
        if self.steps and [(s.heads, s.shape) for s in self.steps] != [(m.heads, m.shape) for m in self.maps]:
            raise CaptureError("steps-shape", part="steps")

    def __repr__(self) -> str:
        parts = [f"model={short(self.made_by['model'])}"] if "model" in self.made_by else []
        if self.answers:
            parts.append(f"answer={short(self.answers[0].label)} {self.answers[0].probability:.2f}")
        parts.append(f"maps={len(self.maps)}")
        parts.append(f"tokens={short({name: len(tokens) for name, tokens in self.streams.items()})}")
        for name in ("relevance", "norms", "integrated", "steps", "sweep", "notices"):
            value = getattr(self, name)
            if value is not None and len(value):
                parts.append(f"{name}={len(value) if isinstance(value, tuple) else short(value)}")
        return call_repr(self, *parts)

    @property
    def is_long(self) -> bool:
        """Whether the input was too long for at least one map to hold all its weights."""
        return any(isinstance(attn_map, PooledMap) for attn_map in self.maps)

    def holds(self, ref: MapRef) -> bool:
        """Returns whether the maps hold all weights that ``ref``, a map or a flow, needs. Raises ``LookupError``."""
        maps = self.maps if ref.layer is None else (self.maps[self.map_number(ref)],)
        return not any(isinstance(attn_map, PooledMap) for attn_map in maps)

    @property
    def batch(self) -> int | None:
        """Number of samples that the maps hold; None where they are of one sample without a batch axis."""
        return next((attn_map.weights.shape[0] for attn_map in self.maps if is_batch(attn_map)), None)

    def has_change(self, kind: type) -> bool:
        """Returns whether the run was made with a change of ``kind``, such as `UniformAttention`."""
        return any(str(change).startswith(f"{kind.__name__}(") for change in self.made_by.get("changes", ()))

    @property
    def stacks(self) -> tuple[str, ...]:
        """The names of the stacks that have maps, in order of execution."""
        return tuple(dict.fromkeys(attn_map.stack for attn_map in self.maps))

    @property
    def absent_modalities(self) -> frozenset[Modality]:
        """Modalities of which the record has a token in a missing input's place, and no other."""
        labels: dict[Modality, set[str]] = {}
        for token in itertools.chain.from_iterable(self.streams.values()):
            labels.setdefault(token.modality, set()).add(token.label if token.location is None else "")
        return frozenset(modality for modality in INPUT_MODALITIES if labels.get(modality) == {ABSENT})

    @cached_property
    def default_stack(self) -> str:
        """The last stack in which modalities meet: whose queries and keys have two of image, text and audio.

        Where they meet in none, the last stack that is no tower's; "" for a record without maps.
        """
        meeting = [m.stack for m in self.maps if len(self._modalities(m)) > 1]
        towers = self.made_by.get("towers") or ()
        own = [m.stack for m in self.maps if m.stack not in towers]
        return [*self.stacks[-1:], *own, *meeting][-1] if self.maps else ""

    @property
    def flow_streams(self) -> tuple[str, str]:
        """The streams of queries and keys that a flow runs between where it names none: those of the last map of the
        default stack. Raises ``LookupError`` for a record without maps."""
        stack = self.default_stack
        last = next((attn_map for attn_map in reversed(self.maps) if attn_map.stack == stack), None)
        if last is None:
            raise LookupError("the record has no maps")
        return last.queries, last.keys

    def _modalities(self, attn_map: AttentionMap | PooledMap) -> set[Modality]:
        tokens = (*self.streams[attn_map.queries], *self.streams[attn_map.keys])
        return {token.modality for token in tokens} - {Modality.SPECIAL}

    def map_ref(self, number: int, head: int | None = None) -> MapRef:
        """Returns the reference to a head of map ``number`` (in order of execution), or to the mean over its heads.

        It names the stack where the record has several. Raises ``IndexError`` where the record has no such map.
        """
        number = range(len(self.maps))[number]
        stack, layer = self.maps[number].stack, self.maps[number].layer
        index = sum((other.stack, other.layer) == (stack, layer) for other in self.maps[:number])
        return MapRef("attention", layer, head, index, stack if len(self.stacks) > 1 else "")

    def map_number(self, ref: MapRef) -> int:
        """Returns the position in ``maps`` of the map that ``ref`` names; without a stack it is in `default_stack`.

        Raises ``LookupError`` where the record has no such map or head, or ``ref`` is a flow through all layers.
        """
        stacks = self.stacks
        stack = ref.stack or (self.default_stack if len(stacks) > 1 else "".join(stacks))
        numbers = [k for k, attn_map in enumerate(self.maps) if (attn_map.stack, attn_map.layer) == (stack, ref.layer)]
        if ref.method != "attention" or ref.index >= len(numbers):
            raise LookupError(f"the record has no attention map {ref}")
        number = numbers[ref.index]
        heads = self.maps[number].heads
        if ref.head is not None and ref.head >= heads:
            raise LookupError(f"layer {ref.layer} has {heads} heads, counted from 0; there is no head {ref.head}")
        return number

    def sample(self, index: int) -> AttentionRecord:
        """Returns the record of one sample of a batch. Raises ``IndexError`` where the batch has no such sample."""
        maps = (replace(m, weights=m.weights[index]) if is_batch(m) else m for m in self.maps)
        return replace(self, maps=tuple(maps))


def is_batch(attn_map: AttentionMap | PooledMap) -> TypeGuard[AttentionMap]:
    """Returns whether a map has a batch axis."""
    return isinstance(attn_map, AttentionMap) and attn_map.weights.ndim == 4


@dataclass(frozen=True)
class Rows:
    """A view: the weights from some queries to all keys, ``[token, key]``."""

    map: MapRef
    """Which map and head, or which flow; the mean over heads where it names none."""
    tokens: tuple[int, ...]
    """Indices of the queries."""


@dataclass(frozen=True)
class Columns:
    """A view: the weights from all queries to some keys, ``[query, token]``."""

    map: MapRef
    """Which map and head, or which flow; the mean over heads where it names none."""
    tokens: tuple[int, ...]
    """Indices of the keys."""


@dataclass(frozen=True)
class Zoom:
    """A view: mean weights over bins, ``[query bin, key bin]``. Edges that are 1 apart give single weights."""

    map: MapRef
    """Which map and head, or which flow; the mean over heads where it names none."""
    query_edges: tuple[int, ...]
    """Edges of the bins of queries, ascending; they need not begin at 0."""
    key_edges: tuple[int, ...]
    """Edges of the bins of keys, ascending; they need not begin at 0."""


@dataclass(frozen=True)
class ModalitySums:
    """A view: sums by modality, ``[token, 4]`` in the order of `MODALITIES`."""

    map: MapRef
    """Which map and head, or which flow; the mean over heads where it names none."""
    direction: Literal["from", "to"]
    """``from``: of each query over the keys of a modality; ``to``: of each key over the queries of a modality."""


View = Rows | Columns | Zoom | ModalitySums
"""A part of a map of a run, or of a flow through it, computed by a backend where the record does not hold it."""
