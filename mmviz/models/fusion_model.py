"""The compared fusion kinds as models of mmviz: inputs, encoders and projections of the bundled `trio`."""

from __future__ import annotations

import copy
import lzma
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from mmviz.models.cards import REDUCED, kind_card, kind_file
from mmviz.models.fusion_networks import (
    BOTTLENECK_TOKENS,
    LAYERS,
    MLP_RATIO,
    STREAMS,
    TIED_LAYERS,
    FusionNetwork,
    attention_modules,
)
from mmviz.models.int8_weights import unpacked
from mmviz.models.lens_readout import LensReadout
from mmviz.models.protocol import BatchOutput, CaptureTargets, Prepared
from mmviz.models.shared_early_layers import joining_rows
from mmviz.models.trio_model import BundledTrio, sound_targets
from mmviz.models.trio_network import STREAM, Trio, TrioInput
from mmviz.types import MmvizError, Modality, Notice, Sample, Token, as_tokens

FROZEN = ("encoders", "image_projection", "audio_projection", "token_embedding")
"""Modules that every kind takes from `trio` and does not train."""


class FusionModel:
    """A kind of `mmviz.models.fusion_networks`, or `trio` in the same size.

    ``weights``: the bytes of a safetensors file (None: the weights in ``assets/fusions``). Raises ``MmvizError``
    (``weights-unreadable``) for damaged weights, or those of another model.
    """

    takes_batches = True

    def __init__(self, device: str, kind: str, weights: bytes | None = None):
        self.kind, self.device = kind, device
        self.joins_rows = kind == REDUCED  # the others have several streams
        self._trio = BundledTrio(device)
        module, _ = build_network(kind, self._trio.module)
        try:
            data = weights if weights is not None else lzma.decompress(kind_file(kind).read_bytes())
            state = unpacked(load(data))
            missing, unknown = module.load_state_dict(state, strict=False)
        except (SafetensorError, lzma.LZMAError, EOFError, RuntimeError, ValueError, LookupError) as problem:
            raise MmvizError("weights-unreadable", name=kind_file(kind).name) from problem
        if unknown or any(not any(f"{part}." in name for part in FROZEN) for name in missing):
            raise MmvizError("weights-unreadable", name=kind_file(kind).name)
        self.module: nn.Module = module.to(device).eval()
        self.card = kind_card(kind, weights)
        attention = (
            attention_modules(kind)
            if isinstance(module, FusionNetwork)
            else [(f"blocks.{layer}.attention", STREAM, STREAM) for layer in range(LAYERS)]
        )
        self.capture_targets: CaptureTargets | None = CaptureTargets(
            tuple(path for path, _, _ in attention), tuple((queries, keys) for _, queries, keys in attention)
        )
        self.towers: CaptureTargets | None = sound_targets("encoders" if kind == REDUCED else "trio.encoders")

    def __call__(self, tensors: TrioInput) -> Tensor:
        """Returns logits ``[answer]``."""
        output: Tensor = self.module(tensors).logits[0]
        return output

    def prepare(self, sample: Sample) -> Prepared:
        """Returns one row of input, as `trio` reads it, and its tokens: one stream per modality, each led by its
        answer token."""
        return self._as_streams(self._trio.prepare(sample))

    def doubts(self, sample: Sample) -> tuple[Notice, ...]:
        """Returns the notices of `trio`, with which it shares encoders and projections."""
        return self._trio.doubts(sample)

    def lens_readout(self, tensors: TrioInput) -> LensReadout:
        """Returns the layers and the readout of ``trio-reduced``.

        Raises ``MmvizError`` (``lens-joined``) for the other kinds, whose answer no single token gives.
        """
        if self.kind != REDUCED:
            raise MmvizError("lens-joined", model=self.kind, count=len(STREAMS))
        model = copy.copy(self._trio)
        model.module, model.card = self.module, self.card
        return model.lens_readout(tensors)

    def vary(self, prepared: Prepared, dropped: frozenset[Modality], hidden: Sequence[int]) -> Prepared:
        """Returns ``prepared`` without some modalities.

        Raises ``MmvizError`` (``hide-model``) for single tokens: with several streams an index is ambiguous.
        """
        if hidden and self.kind != REDUCED:
            raise MmvizError("hide-model", model=self.kind)
        whole = replace(prepared, streams={STREAM: self._as_sequence(prepared)})
        return self._as_streams(self._trio.vary(whole, dropped, hidden))

    def join(self, rows: Sequence[Prepared]) -> TrioInput:
        """Returns a batch of ``rows``."""
        return self._trio.join(rows)

    def batch(self, tensors: TrioInput, rows: int) -> Tensor:
        """Returns logits ``[row, answer]``."""
        return self.batch_output(tensors, rows).logits

    def batch_output(self, tensors: TrioInput, rows: int) -> BatchOutput:
        """Returns the logits of every row, and which tokens of a batch are its own."""
        output = self.module(tensors)
        return BatchOutput(output.logits, output.valid_masks)

    def batch_from(self, tensors: TrioInput, layers: Sequence[int]) -> Tensor:
        """See `SupportsVariants.batch_from`."""
        with joining_rows(self.module.get_submodule("blocks"), layers):  # type: ignore[arg-type]
            return self.batch(tensors, 1 + len(layers))

    def _as_streams(self, prepared: Prepared) -> Prepared:
        """Returns ``prepared`` with the sequence of `trio` split into one stream per modality."""
        if self.kind == REDUCED:
            return prepared
        assert isinstance(prepared.streams, Mapping)
        answer, *tokens = as_tokens(prepared.streams[STREAM])
        shared = [Token(Modality.SPECIAL, f"shared {k + 1}") for k in range(BOTTLENECK_TOKENS)]
        shared = shared if self.kind == "bottleneck" else []
        streams = {name: (answer, *shared, *(token for token in tokens if token.modality == name)) for name in STREAMS}
        return replace(prepared, streams=streams)

    def _as_sequence(self, prepared: Prepared) -> tuple[Token, ...]:
        """Returns the tokens of all streams as the one sequence of `trio`."""
        assert isinstance(prepared.streams, Mapping)
        if self.kind == REDUCED:
            return as_tokens(prepared.streams[STREAM])
        streams = {name: as_tokens(tokens) for name, tokens in prepared.streams.items()}
        inputs = (token for name in STREAMS for token in streams[name] if token.modality is not Modality.SPECIAL)
        return (streams["text"][0], *inputs)


def build_network(kind: str, source: nn.Module) -> tuple[Trio | FusionNetwork, Trio]:
    """Returns a new network of this kind, and its part that is a `Trio`, with the frozen modules of ``source``."""
    assert isinstance(source, Trio)
    config = replace(source.config, layers=LAYERS, mlp_ratio=MLP_RATIO)
    network = Trio(config, tied_layers=TIED_LAYERS) if kind == REDUCED else FusionNetwork(config, kind)
    trio = network if isinstance(network, Trio) else network.trio
    for name in FROZEN:
        setattr(trio, name, source.get_submodule(name))
    return network, trio


TrioReduced = partial(FusionModel, kind=REDUCED)
Crossmodal = partial(FusionModel, kind="crossmodal")
Bottleneck = partial(FusionModel, kind="bottleneck")
Late = partial(FusionModel, kind="late")
