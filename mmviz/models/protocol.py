"""The protocol of a model that mmviz can show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mmviz.types import Card, FieldsOf, Modality, Notice, Sample, Token

if TYPE_CHECKING:
    import torch

    from mmviz.models.lens_readout import LensReadout

AnswerToken = int | tuple[str, int] | None
"""The token that answers: its index in the stream of the queries, or its stream and index; None where mmviz chooses."""


@dataclass(frozen=True)
class CaptureTargets:
    """The attention modules of a model, and the streams that each runs between."""

    modules: tuple[str, ...]
    """Module paths, in order of execution."""
    pairs: tuple[tuple[str, str], ...]
    """Query stream and key stream of each module."""


@dataclass(frozen=True)
class Prepared:
    """A sample, ready for a model."""

    tensors: Any
    """What the model is called with."""
    streams: Sequence[str | Token] | Mapping[str, Sequence[str | Token]]
    """Every token that attention runs over, as `mmviz.capture.CaptureResult.record` takes them."""
    notices: tuple[Notice, ...] = field(default=())
    """What is to be known of the inputs, such as a text that was cut or a word that the model does not know."""
    answer_token: AnswerToken = None
    """The token that answers."""
    rows: Mapping[str, Sequence[Sequence[str | Token]]] = field(default_factory=dict)
    """The tokens of each row, for a stream of which the model takes a batch; ``streams`` holds those of the first."""
    sample: Sample | None = None
    """What of the sample the model reads, for a model that locates its tokens after a capture."""
    answers: tuple[str, ...] = ()
    """The labels of the answers, the one that the run is about first, for a model that writes its answer; empty where
    they are those of the card."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further facts on the prompt for the record, as plain values."""
    towers: Mapping[str, Sequence[Token]] = field(default_factory=dict)
    """Tokens of the streams of the model's towers; empty where these have no input, and nothing of them is shown."""


@dataclass(frozen=True)
class BatchOutput:
    """What one call of a model with several samples returns."""

    logits: torch.Tensor
    """``[row, answer]``."""
    own_tokens: Mapping[str, torch.Tensor]
    """By stream, as in `Prepared.streams`: which tokens of the batch are a row's own, in their order, and which are
    padding or masked out, bool ``[row, token]``. A stream that is missing has no padding."""


class Model(Protocol):
    """What mmviz needs of a model.

    A model may also have ``embedding``, the path of the module whose output ``[1, token, width]`` are the tokens that
    enter the layers (``"PATH:input"``: its input; a mapping names such a place for each stream), and
    ``baseline_tokens(prepared, tokens)``, which returns the same tokens without content (zeros where it is missing).
    Both serve integrated gradients. ``pairs`` names the streams of attention modules by glob patterns, ``required`` the
    modalities that it cannot do without, ``top`` limits the answers that a record keeps, and ``takes_several`` is True
    where a sample may hold several pictures or sounds (`ImageInput.parts`). ``towers`` are `CaptureTargets` of
    attention that a run records only under `Request.towers`, between the streams of `Prepared.towers`; a
    model that has them has ``capture_targets``, too.
    """

    card: Card
    """Describes the model for requests, records and people."""
    capture_targets: CaptureTargets | None
    """None: every attention that is captured, under the names of `Prepared.streams`."""
    module: torch.nn.Module
    """The module in which attention is captured."""

    def prepare(self, sample: Sample) -> Prepared:
        """Returns tensors and token streams of one sample. Raises ``InputError`` for a sample that does not fit."""
        ...

    def __call__(self, tensors: Any) -> torch.Tensor:
        """Returns logits ``[answer]``, in the order of ``card.answers``."""
        ...


class SupportsDoubts(Model, Protocol):
    """A model that knows what it does not know. Both members are optional."""

    temperature: float | None
    """By which the logits are divided so that probabilities are calibrated; None where that is not known."""

    def doubts(self, sample: Sample) -> Sequence[Notice]:
        """Returns notices of inputs for which the model's answer means little."""
        ...


class SupportsGeneration(Model, Protocol):
    """A model that writes its answer, a token at a time."""

    def with_options(self, options: Mapping[str, Any]) -> SupportsGeneration:
        """Returns the model under other settings, by their names. Raises ``MmvizError`` for one that it lacks."""
        ...

    def generate(
        self, prepared: Prepared, stop: Callable[[], bool], step: Callable[[int, int], None]
    ) -> tuple[int, ...]:
        """Returns the ids of the tokens of the answer; ``stop`` ends it early, ``step`` is told how far it is."""
        ...

    def answering(
        self, answer: tuple[int, ...], part: tuple[int, ...] = (), sample: Sample | None = None
    ) -> SupportsGeneration:
        """Returns the model with an answer, the ids of its tokens, whose log-probability it gives for any input.

        ``part``: the tokens of the answer, counted from 0, whose log-probability its logits are about; empty for all.
        ``sample``: what the answer was written for, by which the model may choose what else its answers begin with.
        Raises ``MmvizError`` (``answer-part``) for one that the answer lacks.
        """
        ...

    def token_log_probabilities(self, tensors: Any) -> torch.Tensor:
        """Returns the log-probability of each token of the answer, given the prompt and those before it,
        ``[row, token]``."""
        ...

    def answer_logits(self, log_p: torch.Tensor) -> torch.Tensor:
        """Returns the logits ``[answer]`` that the log-probabilities ``[token]`` of the answer's tokens make."""
        ...

    def located_tokens(self, prepared: Prepared, fields_of: FieldsOf) -> Mapping[str, Sequence[Token]]:
        """Returns the tokens of each stream of a capture, by its default name, with their places in the inputs.

        ``fields_of``: tells by the capture from which part of an input each token comes.
        """
        ...


class SupportsLens(Model, Protocol):
    """A model whose hidden states can be read as answers after each layer."""

    def lens_readout(self, tensors: Any) -> LensReadout:
        """Returns how, for one sample. Raises ``MmvizError`` where that is not known."""
        ...


class SupportsSimilarity(Model, Protocol):
    """A model of two encoders without attention across modalities."""

    def similarity(self, tensors: Any) -> Mapping[str, Any]:
        """Returns the cosines between the tokens of the two, as plain values.

        ``places``, ``words``: the paths of the two modules whose last tokens are compared; ``values`` ``[place][word]``
        and ``text`` ``[place]``, the cosine with the vector of the whole text.
        """
        ...


class SupportsVariants(Model, Protocol):
    """A model that also runs many variants of a sample in one call.

    Each of these methods is optional. A model without them is called once per variant.
    """

    def vary(self, prepared: Prepared, dropped: frozenset[Modality], hidden: Sequence[int]) -> Prepared:
        """Returns ``prepared`` without some modalities and tokens, as the model itself represents their absence."""
        ...

    def batches(self, rows: Sequence[Prepared]) -> list[list[int]]:
        """Returns the indices of the rows that run in one call, for each call; all rows at once where it is missing."""
        ...

    def join(self, rows: Sequence[Prepared]) -> Any:
        """Returns the tensors of a batch; None where these rows do not fit into one."""
        ...

    def batch(self, tensors: Any, rows: int) -> torch.Tensor | None:
        """Returns logits ``[row, answer]``; None where the model does not return one row per sample."""
        ...

    joins_rows: bool
    """Whether it has `batch_from`."""

    def batch_from(self, tensors: Any, layers: Sequence[int]) -> torch.Tensor:
        """Returns logits ``[1 + row, answer]`` of one prepared row and of copies of it, each of which joins the batch
        before one of ``layers``, in ascending order: the attention of ``capture_targets``, from 0."""
        ...


class SupportsBatches(SupportsVariants, Protocol):
    """A model that runs several samples in one call, each as it would run alone, to rounding.

    No row depends on another, and no token of a row on what the row is padded with.
    """

    takes_batches: bool
    """Where False, a sample runs by itself, though its variants may still share a call."""

    def batch_output(self, tensors: Any, rows: int) -> BatchOutput:
        """Returns the logits of a batch, and the tokens of its rows."""
        ...
