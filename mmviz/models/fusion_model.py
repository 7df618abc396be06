"""The compared kinds of fusion as models of mmviz: the inputs and encoders of the bundled `trio`, and weights of their
own for what comes after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from mmviz.assets_path import assets_dir
from mmviz.models import CaptureTargets, Prepared
from mmviz.models.bundled import STREAM, BundledTrio
from mmviz.models.cards import REDUCED, kind_card
from mmviz.models.fusion_networks import ALIKE, EXPANSION, LAYERS, SHARED, STREAMS, FusionNetwork, attends
from mmviz.models.trio import Trio, TrioInput
from mmviz.types import MmvizError, Modality, Sample, Token, as_tokens

FROZEN = ("image_encoder", "audio_encoder", "words")
"""What every kind has from `trio`, and does not learn."""


class FusionModel:
    """One of the kinds of `mmviz.models.fusion_networks`, or `trio` made as small, with the weights in ``assets/fusions`` or
    with ``weights`` (safetensors bytes) of one's own."""

    def __init__(self, device: str, kind: str, weights: bytes | None = None):
        self.kind, self.device = kind, device
        self._reader = BundledTrio(device)
        data = weights if weights is not None else (assets_dir() / "fusions" / f"{kind}.safetensors").read_bytes()
        module, _ = made(kind, self._reader.module)
        try:
            state = {name: tensor.float() for name, tensor in load(data).items()}
            missing, unknown = module.load_state_dict(state, strict=False)
        except (SafetensorError, RuntimeError, ValueError) as problem:
            raise MmvizError("weights-unreadable", name=f"{kind}.safetensors") from problem
        if unknown or any(not any(f"{part}." in name for part in FROZEN) for name in missing):
            raise MmvizError("weights-unreadable", name=f"{kind}.safetensors")
        self.module: nn.Module = module.to(device).eval()
        self.card = kind_card(kind, data)
        heard = (
            attends(kind)
            if isinstance(module, FusionNetwork)
            else [(f"blocks.{layer}.attention", STREAM, STREAM) for layer in range(LAYERS)]
        )
        self.capture_targets: CaptureTargets | None = CaptureTargets(
            tuple(path for path, _, _ in heard), tuple((asks, asked) for _, asks, asked in heard)
        )

    def __call__(self, tensors: TrioInput) -> Tensor:
        """Logits ``[answer]``."""
        output: Tensor = self.module(tensors).logits[0]
        return output

    def prepare(self, sample: Sample) -> Prepared:
        """One row of input, as `trio` reads it, and its tokens: a stream for each modality, each led by its answer
        token."""
        return self._split(self._reader.prepare(sample))

    def vary(self, prepared: Prepared, dropped: frozenset[Modality], hidden: Sequence[int]) -> Prepared:
        """``prepared`` without some modalities. Raises ``MmvizError`` (``hide-model``) for single tokens: where there
        are several streams, an index does not tell which is meant."""
        if hidden and self.kind != REDUCED:
            raise MmvizError("hide-model", model=self.kind)
        whole = Prepared(prepared.tensors, {STREAM: self._whole(prepared)}, prepared.notices)
        return self._split(self._reader.vary(whole, dropped, hidden))

    def join(self, rows: Sequence[Prepared]) -> TrioInput:
        """A batch of ``rows``."""
        return self._reader.join(rows)

    def batch(self, tensors: TrioInput, rows: int) -> Tensor:
        """Logits ``[row, answer]``."""
        output: Tensor = self.module(tensors).logits
        return output

    def _split(self, prepared: Prepared) -> Prepared:
        if self.kind == REDUCED:
            return prepared
        assert isinstance(prepared.streams, Mapping)
        answer, *rest = as_tokens(prepared.streams[STREAM])
        shared = (
            [Token(Modality.SPECIAL, f"shared {k + 1}") for k in range(SHARED)] if self.kind == "bottleneck" else []
        )
        streams = {name: (answer, *(token for token in rest if token.modality == name), *shared) for name in STREAMS}
        return Prepared(prepared.tensors, streams, prepared.notices)

    def _whole(self, prepared: Prepared) -> tuple[Token, ...]:
        """The tokens of all streams as `trio` has them, in one."""
        assert isinstance(prepared.streams, Mapping)
        if self.kind == REDUCED:
            return as_tokens(prepared.streams[STREAM])
        streams = {name: as_tokens(tokens) for name, tokens in prepared.streams.items()}
        own = (token for name in STREAMS for token in streams[name] if token.modality is not Modality.SPECIAL)
        return (streams["text"][0], *own)


def made(kind: str, source: nn.Module) -> tuple[Trio | FusionNetwork, Trio]:
    """A new model of this kind whose encoders and word table are those of ``source``, a `Trio`; and the part of it that
    has them."""
    assert isinstance(source, Trio)
    config = replace(source.config, layers=LAYERS, expansion=EXPANSION)
    module = Trio(config, alike=ALIKE) if kind == REDUCED else FusionNetwork(config, kind)
    front = module if isinstance(module, Trio) else module.front
    for name in FROZEN:
        setattr(front, name, source.get_submodule(name))
    return module, front


Reduced = partial(FusionModel, kind=REDUCED)
Crossmodal = partial(FusionModel, kind="crossmodal")
Bottleneck = partial(FusionModel, kind="bottleneck")
Late = partial(FusionModel, kind="late")
