"""Requests to a backend, changes to a run, and the description of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from mmviz.types.errors import MmvizError
from mmviz.types.frozen import ValueSemantics, read_only_mapping
from mmviz.types.samples import Sample
from mmviz.types.short_repr import ShortRepr
from mmviz.types.tokens import MODALITIES, Chars, Modality, PixelBox, Seconds, Token

ANSWER: Final = "answer"
"""The group of the tokens that the answer is read from, see `TokenGroup`."""


@dataclass(frozen=True)
class DropModality:
    """A change: removes one modality from the input."""

    modality: Modality
    """Image, text or audio."""


@dataclass(frozen=True)
class ShuffleWeights:
    """A change: shuffles the entries of every weight tensor, so that nothing learned is left (a control).

    Source: Adebayo et al. 2018, Sanity checks for saliency maps.
    """

    seed: int
    """Seed of the permutations."""


@dataclass(frozen=True)
class UniformAttention:
    """A change: every query attends to every key equally (a control).

    Towers that a model can leave out (`Request.towers`) stay as they are: what they attend to is how an input is read.
    """


@dataclass(frozen=True)
class DropTokens:
    """A change: removes single tokens from the sequence that the model attends to.

    A modality that has no token left is replaced as `DropModality` replaces it.
    """

    tokens: tuple[int, ...]
    """Indices in the model's order, among the tokens that the changes before this one leave."""


InputBaseline = Literal["mean", "blur", "noise"]
"""What stands in a removed input's place.

``mean``: the mean colour of the image, silence for audio. ``blur``: only what is coarse stays: a wide blur of the
image, the loudness of the audio. ``noise``: noise with the same mean and standard deviation.
"""


@dataclass(frozen=True)
class ReplaceInput:
    """A change: replaces parts of an input by a baseline before the model reads it. Text is left out instead.

    Raises ``ValueError`` for a location that the modality cannot have.
    """

    modality: Modality
    """The modality whose input is changed."""
    baseline: InputBaseline
    """What stands in the place of the parts."""
    locations: tuple[PixelBox | Seconds | Chars, ...] = ()
    """The parts to replace, in the original input; empty for the whole input."""

    def __post_init__(self) -> None:
        for location in self.locations:
            Token(self.modality, "", location)  # checks that the modality can have this location


@dataclass(frozen=True)
class AblateHead:
    """A change: sets the output of one attention head to 0."""

    map: int
    """Index of the head's attention map, as in `AttentionRecord.maps`, from 0."""
    head: int
    """Index of the head, from 0."""


@dataclass(frozen=True)
class ChosenTokens:
    """Single tokens of one stream."""

    tokens: tuple[int, ...]
    """Indices in the order of the record, among the tokens that the other changes of a run leave."""
    stream: str = ""
    """Name of the stream as in `AttentionRecord.streams`; "" for the queries of the last map of the default stack."""


TokenGroup = Modality | Literal["answer"] | ChosenTokens
"""Tokens of a modality (special tokens are one), those that the answer is read from, or chosen tokens."""


@dataclass(frozen=True)
class CutRoute:
    """A change: no query of one group attends to a key of another; what they attend to beside these grows in turn.

    It is as if these scores were minus infinity before the softmax: a weight is not removed after it, so what is left
    of a row still sums to 1. A query that is left with nothing to attend to has weights of 0, so that its attention
    adds nothing: to cut all that a head attends to is to ablate it. Raises ``MmvizError`` (``cut-group``) for an
    unknown group.

    Examples:
        >>> from dataclasses import replace
        >>> from mmviz.types import CutRoute
        >>> cut = CutRoute("answer", "image")  # in no layer does the token that answers read the picture
        >>> (record,) = run.backend.run([replace(run.request, changes=(cut,))])
        >>> record.answers[0].label, run.record.answers[0].label
        ('nothing', 'fire')
    """

    queries: TokenGroup
    """The tokens that attend, such as ``Modality.TEXT`` or ``"answer"``."""
    keys: TokenGroup
    """The tokens that they are not to attend to."""
    stack: str = ""
    """The stack as in `AttentionMap.stack`; "" for all but those of towers, see `Request.towers`."""
    layers: tuple[int, ...] | None = None
    """The layers within each of these stacks, from 0; None for all. Without any, nothing is cut."""
    heads: tuple[int, ...] | None = None
    """The heads in each of these layers, from 0; None for all. Without any, nothing is cut."""

    def __post_init__(self) -> None:
        for name in ("queries", "keys"):
            group = getattr(self, name)
            if isinstance(group, ChosenTokens) or group == ANSWER:
                continue
            if group not in MODALITIES:
                raise MmvizError("cut-group", name=str(group), known=", ".join((*MODALITIES, ANSWER)))
            object.__setattr__(self, name, Modality(group))
        for name in ("layers", "heads"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(getattr(self, name)))


Change = DropModality | DropTokens | ReplaceInput | AblateHead | CutRoute | ShuffleWeights | UniformAttention
"""A change to the input or to the model."""


@dataclass(frozen=True, repr=False)
class Request(ShortRepr):
    """One run of a model, and what to record of it."""

    model: str
    """Id of the model, as in its `Card`."""
    sample: Sample
    """The checked inputs."""
    changes: tuple[Change, ...] = ()
    """Changes to the input and the model, applied in this order."""
    seed: int = 0
    """Seed for everything random."""
    relevance: bool = False
    """Also record gradient relevance of the winning answer, which needs a backward pass."""
    maps: bool = True
    """Record attention maps; False for the answers alone."""
    norms: bool = False
    """Also record value-weighted attention: the norm of what each key contributes to each query."""
    integrated: bool = False
    """Also record integrated gradients of the winning answer."""
    depends_on: bool = False
    """Also record what is needed by the method that the model's card says shows what an answer depends on."""
    steps: bool = False
    """Also record the vectors from which each attention can be computed again."""
    towers: bool = False
    """Also record the attention within the model's towers, each a stack of its own, where the model has towers that it
    can leave out. A recording answers without them. Maps of towers follow all others, so a map has one number whether
    they are there or not."""
    lens: bool = False
    """Also record what each token would answer after each layer (`mmviz.experiments.lens`)."""
    sweep: tuple[tuple[Change, ...], ...] = ()
    """Further variants of which only the answers are recorded, each with its own changes in addition to ``changes``.
    A backend runs as many of them in one batch as it can."""
    pairs: tuple[tuple[str, str, str], ...] = ()
    """Names of streams that overrule those which the model or capture chooses: glob patterns on module paths, each with
    the stream of its queries and that of its keys. The first pattern that matches a module counts."""
    answer: tuple[int, ...] = ()
    """The ids of the answer's tokens that the run is about, for a model that writes its answer; empty to let it write
    one."""
    answer_part: tuple[int, ...] = ()
    """Which tokens of the answer the run is about, counted from 0: answers, effects and gradients are those of their
    log-probability, each given the tokens before it. Empty for the whole answer."""
    options: tuple[tuple[str, str | int], ...] = ()
    """Settings of a model that writes its answer, by their names, such as ``new_tokens`` and ``system``."""


@dataclass(frozen=True, eq=False, repr=False)
class Card(ShortRepr, ValueSemantics):
    """Describes a model."""

    id: str
    """Name of the model in requests."""
    title: str
    """Name of the model for people."""
    description: str
    """What the model is and does, in a sentence or two."""
    trained: bool
    """False where the weights are random."""
    answers: tuple[str, ...]
    """All answers that the model can give."""
    weights_digest: str
    """Digest of the weights; the same for the same weights."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Limits and measured figures, read-only."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "answers", tuple(self.answers))
        object.__setattr__(self, "details", read_only_mapping(self.details))
