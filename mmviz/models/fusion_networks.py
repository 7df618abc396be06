"""Three more kinds of fusion, on the encoders, the common space and the answer head of `trio`.

Each modality has a stream of its own, which begins with an answer token. The answer is scored from the final states of
the three answer tokens: their mean, and a small MLP over them. The kinds differ in which stream attends to which:

- ``crossmodal``: six cross-attention pairs of modalities (MulT, Tsai et al. 2019, sections 3.1 and 3.2), then
  self-attention in each stream.
- ``bottleneck``: each stream attends to itself and to four tokens that all streams share (MBT, Nagrani et al. 2021,
  section 3.2).
- ``late``: each stream attends to itself alone; the modalities meet at the end only.

Axes: B batch, n tokens of a stream, D width.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from mmviz.models.batch_invariance import key_padding_mask, padding_last, row_by_row
from mmviz.models.cards import COMPARED
from mmviz.models.encoders.picture_encoder import PATCHES
from mmviz.models.trio_layers import Attention, Block
from mmviz.models.trio_network import (
    FRAMES,
    Trio,
    TrioConfig,
    TrioInput,
    TrioOutput,
)

FUSION_KINDS = COMPARED[1:]
STREAMS = ("text", "image", "audio")
"""In the order in which `trio` has them."""
_EXECUTION_ORDER = ("image", "text", "audio")
"""The order in which independent streams run, so that the image comes first in a list of maps."""
BOTTLENECK_TOKENS = 4
"""Shared tokens of ``bottleneck``, as in the paper."""
LAYERS, MLP_RATIO, TIED_LAYERS = 4, 2, 2
"""Layers that a token passes, here as in the `trio-reduced` that is compared with these; hidden units of an MLP, in
multiples of the width; layers whose query and key projections start equal."""
Streams = dict[str, Tensor]
"""By stream: tokens ``[B, n, D]``, or their attention mask ``[B, 1, 1, n]``."""


class Bottleneck(nn.Module):
    """Streams that attend to themselves and to shared tokens; each stream updates these, and the mean is kept."""

    labelled_layers = (2, 3, 3)

    def __init__(self, config: TrioConfig, count: int):
        super().__init__()
        self.bottleneck_tokens = nn.Parameter(torch.randn(count, config.width) * 0.5)
        self.blocks = nn.ModuleDict({name: _blocks(config, config.layers) for name in STREAMS})

    def forward(self, x: Streams, attn_masks: Streams) -> list[Streams]:
        """Returns the states of the streams after every layer."""
        batch = len(x["text"])
        shared = self.bottleneck_tokens.expand(batch, -1, -1)
        shared_mask = shared.new_zeros(batch, 1, 1, len(self.bottleneck_tokens))
        states = []
        for layer in range(len(self.blocks["text"])):  # type: ignore[arg-type]
            streams, updates = {}, []
            for name in _EXECUTION_ORDER:
                tokens = x[name]
                block = self.blocks[name][layer]  # type: ignore[index]
                # behind the answer token, so that padding stays last
                answer, inputs = tokens[:, :1], tokens[:, 1:]
                attn_mask = torch.cat([shared_mask, attn_masks[name]], -1)
                output = block(torch.cat([answer, shared, inputs], 1), attn_mask)
                answer, update, inputs = torch.split(output, [1, shared.shape[1], inputs.shape[1]], 1)
                streams[name] = torch.cat([answer, inputs], 1)
                updates.append(update)
            x, shared = streams, torch.stack(updates).mean(0)
            states.append(x)
        return states


class Crossmodal(nn.Module):
    """Each stream attends to the inputs of each of the two others, in two layers; then to itself, about both."""

    labelled_layers = (1, 2, 2)

    def __init__(self, config: TrioConfig):
        super().__init__()
        half = config.layers // 2
        self.pairs = nn.ModuleDict({f"{queries}_{keys}": _blocks(config, half) for queries, keys in pairs()})
        self.join = nn.ModuleDict({name: nn.Linear(2 * config.width, config.width) for name in STREAMS})
        self.self_blocks = nn.ModuleDict({name: _blocks(config, half, tie_qk_init=False) for name in STREAMS})

    def forward(self, x: Streams, attn_masks: Streams) -> list[Streams]:
        """Returns the states of the streams after the pairs, and after every layer from there."""
        outputs: dict[str, list[Tensor]] = {name: [] for name in STREAMS}
        for queries, keys in pairs():
            z = x[queries]
            for block in self.pairs[f"{queries}_{keys}"]:  # type: ignore[attr-defined]
                z = block(z, attn_masks[keys], x[keys])
            outputs[queries].append(z)
        states = [{name: self.join[name](torch.cat(outputs[name], -1)) for name in STREAMS}]
        for layer in range(len(self.self_blocks["text"])):  # type: ignore[arg-type]
            last = states[-1]
            states.append({
                name: self.self_blocks[name][layer](last[name], attn_masks[name])  # type: ignore[index]
                for name in STREAMS
            })  # fmt: skip
        return states


class FusionNetwork(nn.Module):
    """A whole model of one of the ``FUSION_KINDS``: inputs and answer as in `Trio`, with streams between."""

    def __init__(self, config: TrioConfig, kind: str):
        super().__init__()
        self.trio = Trio(replace(config, layers=0))
        self.fusion = (
            Crossmodal(config)
            if kind == "crossmodal"
            else Bottleneck(config, BOTTLENECK_TOKENS * (kind == "bottleneck"))
        )
        width = config.width
        self.join_head = nn.Sequential(
            nn.LayerNorm(3 * width), nn.Linear(3 * width, width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, batch: TrioInput) -> TrioOutput:
        """Returns the answers. Padding is left out, or stands behind all other tokens of its row and modality."""
        x, valid_mask = self.trio.encoded(batch)
        sizes = [1, batch.text.shape[1], PATCHES**2, FRAMES]
        parts = zip(torch.split(x, sizes, 1), torch.split(valid_mask, sizes, 1), strict=True)
        tokens, masks = zip(*(padding_last(*part) for part in parts), strict=True)
        return self.fuse(torch.cat(tokens, 1), torch.cat(masks, 1), [mask.shape[1] for mask in masks[1:]])

    def fuse(self, x: Tensor, valid_mask: Tensor, sizes: list[int]) -> TrioOutput:
        """Fuses tokens ``x`` ``[B, 1 + sum(sizes), D]`` in the order of `Trio.sequence`.

        ``valid_mask`` is False for padding; ``sizes``: tokens of text, image and audio. The states are in the order of
        ``x``, without the answer tokens of image and audio.
        """
        x = self.trio.fusion_input(x)
        answer, *tokens = torch.split(x, [1, *sizes], 1)
        answer_mask, *masks = torch.split(valid_mask, [1, *sizes], 1)
        streams = {name: torch.cat([answer, part], 1) for name, part in zip(STREAMS, tokens, strict=True)}
        valid_masks = {name: torch.cat([answer_mask, mask], 1) for name, mask in zip(STREAMS, masks, strict=True)}
        attn_masks = {name: key_padding_mask(mask, x) for name, mask in valid_masks.items()}
        states = self.fusion(streams, attn_masks)
        answers = torch.stack([states[-1][name][:, 0] for name in STREAMS], 1)
        joined = [torch.cat([state["text"], state["image"][:, 1:], state["audio"][:, 1:]], 1) for state in states]
        logits = self._joined_logits(answers) if self.training else row_by_row(self._joined_logits, answers)
        if isinstance(self.fusion, Bottleneck):
            shared = answer_mask.expand(-1, len(self.fusion.bottleneck_tokens))
            valid_masks = {name: torch.cat([shared, mask], 1) for name, mask in valid_masks.items()}
        return TrioOutput(logits, joined, valid_masks)

    def _joined_logits(self, answers: Tensor) -> Tensor:
        """Returns logits ``[B, answer]`` for the final states ``[B, 3, D]`` of the answer tokens."""
        return self.trio.answer_logits(answers.mean(1) + self.join_head(answers.flatten(1)))


def pairs() -> list[tuple[str, str]]:
    """Returns the pairs of query stream and key stream of ``crossmodal``."""
    return [(queries, keys) for queries in STREAMS for keys in STREAMS if queries != keys]


def attention_modules(kind: str, layers: int = LAYERS) -> list[tuple[str, str, str]]:
    """Returns module path, query stream and key stream of every attention of a kind, in order of execution.

    A stream of ``bottleneck`` is its answer token, the tokens that all streams share, and its own.
    """
    if kind == "crossmodal":
        cross = [
            (f"fusion.pairs.{queries}_{keys}.{k}.attention", queries, keys)
            for queries, keys in pairs()
            for k in range(layers // 2)
        ]
        return cross + [
            (f"fusion.self_blocks.{name}.{k}.attention", name, name) for k in range(layers // 2) for name in STREAMS
        ]
    return [(f"fusion.blocks.{name}.{k}.attention", name, name) for k in range(layers) for name in _EXECUTION_ORDER]


def _blocks(config: TrioConfig, count: int, tie_qk_init: bool = True) -> nn.ModuleList:
    return nn.ModuleList(
        Block(config.width, config.heads, config.mlp_ratio, tie_qk_init=tie_qk_init and layer < TIED_LAYERS)
        for layer in range(count)
    )


@torch.no_grad()
def init_as_identity(module: nn.Module) -> None:
    """Initialises value and output projections, joins and the answer head of ``module`` as the identity.

    Every attention then begins by passing on the states that it attends to, and the answer head by scoring the state
    itself. In the common space a state is named already; with ordinary initial weights these maps are learned first,
    for thousands of scenes.
    """
    for part in module.modules():
        if isinstance(part, Attention):
            for linear in (part.value, part.output):
                nn.init.eye_(linear.weight)
                nn.init.zeros_(linear.bias)
        elif isinstance(part, Crossmodal):
            for join in part.join.values():
                assert isinstance(join, nn.Linear)
                join.weight.copy_(torch.eye(join.out_features).repeat(1, 2) / 2)
                nn.init.zeros_(join.bias)
        elif isinstance(part, FusionNetwork):
            last = part.join_head[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
        elif isinstance(part, Trio):
            nn.init.eye_(part.answer_head.weight)
            nn.init.zeros_(part.answer_head.bias)
