"""Models that mmviz can show: the protocol they keep, and the catalogue of those it brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mmviz.types import Card, MmvizError, Modality, Notice, Sample, Token

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class CaptureTargets:
    """Where attention lives, as data: module paths in order of execution, and of each the streams that its map runs
    between, queries and keys."""

    modules: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Prepared:
    """A sample as tensors: ``tensors`` goes into the model, ``streams`` names every token that will be attended to, as
    `mmviz.capture.Seen.record` takes them."""

    tensors: Any
    streams: Sequence[str | Token] | Mapping[str, Sequence[str | Token]]
    notices: tuple[Notice, ...] = field(default=())


class Model(Protocol):
    """What mmviz asks of a model. ``capture_targets`` None: whatever attention is heard in it, named by `Prepared.streams`.

    Two things it may have beside: ``embedding``, the path of the part whose output ``[1, token, width]`` is the tokens
    that enter the layers, and ``nothing(prepared, tokens)``, the same tokens without content (else zeros).
    """

    card: Card
    capture_targets: CaptureTargets | None
    module: torch.nn.Module

    def prepare(self, sample: Sample) -> Prepared:
        """Tensors and token streams for one sample. Raises ``InputError`` for a sample that the model cannot take."""
        ...

    def __call__(self, tensors: Any) -> torch.Tensor:
        """Logits ``[answer]``, in the order of ``card.answers``."""
        ...


class SupportsVariants(Model, Protocol):
    """A model that also answers many variants of a sample in one call. Optional, as are its parts: a model without them
    is run once for each variant."""

    def vary(self, prepared: Prepared, dropped: frozenset[Modality], hidden: Sequence[int]) -> Prepared:
        """``prepared`` without some modalities and tokens, as the model's own "absent" has it."""
        ...

    def join(self, rows: Sequence[Prepared]) -> Any:
        """The tensors of a batch; None where these rows do not fit into one."""
        ...

    def batch(self, tensors: Any, rows: int) -> torch.Tensor | None:
        """Logits ``[row, answer]``; None where the model does not give a row for each."""
        ...


CATALOGUE = {
    "trio": "mmviz.models.bundled:BundledTrio",
    "trio-reduced": "mmviz.models.fusion_model:Reduced",
    "crossmodal": "mmviz.models.fusion_model:Crossmodal",
    "bottleneck": "mmviz.models.fusion_model:Bottleneck",
    "late": "mmviz.models.fusion_model:Late",
    "toy": "mmviz.models.toy:Toy",
}
"""Model id -> where its class lives; each is made as ``Class(device)``."""


def load_model(model: str, device: str) -> Model:
    """Make a model of the catalogue on ``device``. Raises ``MmvizError`` (``model-unknown``)."""
    import importlib

    if model not in CATALOGUE:
        raise MmvizError("model-unknown", model=model, known=", ".join(CATALOGUE))
    module, name = CATALOGUE[model].split(":")
    made: Model = getattr(importlib.import_module(module), name)(device)
    return made
