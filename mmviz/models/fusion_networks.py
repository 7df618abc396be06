"""Three more ways to fuse, on the encoders, the common space and the answer head of `trio`.

Each modality keeps a stream of its own, which begins with an answer token. Answered is what the three answer tokens
hold at the end: their mean, and a small network over them. They differ in who may ask whom:

- ``crossmodal``: six pairs, one modality asks another (MulT, Tsai et al. 2019, sections 3.1 and 3.2), then each stream
  asks itself.
- ``bottleneck``: each stream asks itself and four tokens that all three share (MBT, Nagrani et al. 2021, section 3.2).
- ``late``: each stream asks itself alone; the modalities meet in the join only.

Axes in the comments: B batch, n tokens of a stream, D width.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from mmviz.models.cards import COMPARED
from mmviz.models.trio import (
    FRAMES,
    PATCHES,
    Attention,
    Block,
    Trio,
    TrioConfig,
    TrioInput,
    TrioOutput,
    key_padding_mask,
)

FUSION_KINDS = COMPARED[1:]
STREAMS = ("text", "image", "audio")
"""In the order in which `trio` has them."""
_IN_TURN = ("image", "text", "audio")
"""The order in which streams are worked on where none waits for another: whoever looks begins with the picture."""
SHARED = 4
"""Bottleneck tokens, as the paper has it."""
LAYERS, EXPANSION, ALIKE = 4, 2, 2
"""Layers a token passes, here as in the `trio` that is compared with these; hidden units of a layer, in widths; layers
whose queries and keys start equal."""
Streams = dict[str, Tensor]
"""By the name of the stream: tokens ``[B, n, D]``, or which of their keys are blocked, ``[B, 1, 1, n]``."""


class Bottleneck(nn.Module):
    """Streams that ask themselves and ``shared`` tokens, of which each stream makes its own and all keep the mean."""

    labelled = (2, 3, 3)

    def __init__(self, config: TrioConfig, shared: int):
        super().__init__()
        self.shared = nn.Parameter(torch.randn(shared, config.width) * 0.5)
        self.blocks = nn.ModuleDict({name: _layers(config, config.layers) for name in STREAMS})

    def forward(self, x: Streams, blocked: Streams) -> list[Streams]:
        """States of the streams after every layer."""
        batch = len(x["text"])
        shared = self.shared.expand(batch, -1, -1)
        free = shared.new_zeros(batch, 1, 1, len(self.shared))
        states = []
        for layer in range(len(self.blocks["text"])):  # type: ignore[arg-type]
            made, updates = {}, []
            for name in _IN_TURN:
                tokens = x[name]
                block = self.blocks[name][layer]  # type: ignore[index]
                both = block(torch.cat([tokens, shared], 1), torch.cat([blocked[name], free], -1))
                made[name], update = torch.split(both, [tokens.shape[1], len(self.shared)], 1)
                updates.append(update)
            x, shared = made, torch.stack(updates).mean(0)
            states.append(x)
        return states


class Crossmodal(nn.Module):
    """Each stream asks each of the two others as they came in, twice; then itself, about both."""

    labelled = (1, 2, 2)

    def __init__(self, config: TrioConfig):
        super().__init__()
        half = config.layers // 2
        self.pairs = nn.ModuleDict({f"{asks}_{asked}": _layers(config, half) for asks, asked in pairs()})
        self.join = nn.ModuleDict({name: nn.Linear(2 * config.width, config.width) for name in STREAMS})
        self.alone = nn.ModuleDict({name: _layers(config, half, alike=False) for name in STREAMS})

    def forward(self, x: Streams, blocked: Streams) -> list[Streams]:
        """States of the streams after the pairs, and after every layer from there."""
        told: dict[str, list[Tensor]] = {name: [] for name in STREAMS}
        for asks, asked in pairs():
            z = x[asks]
            for block in self.pairs[f"{asks}_{asked}"]:  # type: ignore[attr-defined]
                z = block(z, blocked[asked], x[asked])
            told[asks].append(z)
        states = [{name: self.join[name](torch.cat(told[name], -1)) for name in STREAMS}]
        for layer in range(len(self.alone["text"])):  # type: ignore[arg-type]
            last = states[-1]
            states.append({name: self.alone[name][layer](last[name], blocked[name]) for name in STREAMS})  # type: ignore[index]
        return states


class FusionNetwork(nn.Module):
    """A whole model of one of the ``FUSION_KINDS``: what comes in as in `Trio`, streams, and an answer as in `Trio`."""

    def __init__(self, config: TrioConfig, kind: str):
        super().__init__()
        self.front = Trio(replace(config, layers=0))
        self.mix = Crossmodal(config) if kind == "crossmodal" else Bottleneck(config, SHARED * (kind == "bottleneck"))
        width = config.width
        self.together = nn.Sequential(
            nn.LayerNorm(3 * width), nn.Linear(3 * width, width), nn.GELU(), nn.Linear(width, width)
        )

    def forward(self, batch: TrioInput) -> TrioOutput:
        """Answers; tokens that are padding in every row are left out."""
        front = self.front
        x, real = front.sequence(batch, front.encode_image(batch.image), front.encode_audio(batch.mel))
        used = real.any(0)
        sizes = [int(part.sum()) for part in torch.split(used[1:], [batch.text.shape[1], PATCHES**2, FRAMES])]
        return self.fuse(x[:, used], real[:, used], sizes)

    def fuse(self, x: Tensor, real: Tensor, sizes: list[int]) -> TrioOutput:
        """Fusion of tokens ``x`` ``[B, 1 + sum(sizes), D]`` as `Trio.sequence` gives them, of which ``real`` are not
        padding; ``sizes``: tokens of text, image and audio. States are in the order of ``x``, without the answer tokens
        of image and audio."""
        x = self.front.tokens(x)
        answer, *parts = torch.split(x, [1, *sizes], 1)
        first, *shown = torch.split(real, [1, *sizes], 1)
        streams = {name: torch.cat([answer, part], 1) for name, part in zip(STREAMS, parts, strict=True)}
        blocked = {
            name: key_padding_mask(torch.cat([first, part], 1), x) for name, part in zip(STREAMS, shown, strict=True)
        }
        states = self.mix(streams, blocked)
        heads = torch.stack([states[-1][name][:, 0] for name in STREAMS], 1)
        rows = [torch.cat([one["text"], one["image"][:, 1:], one["audio"][:, 1:]], 1) for one in states]
        return TrioOutput(self.front.say(heads.mean(1) + self.together(heads.flatten(1))), rows)


def pairs() -> list[tuple[str, str]]:
    """Who asks whom in ``crossmodal``."""
    return [(asks, asked) for asks in STREAMS for asked in STREAMS if asks != asked]


def attends(kind: str, layers: int = LAYERS) -> list[tuple[str, str, str]]:
    """Where attention lives in a kind, in order of execution: path of the module, stream that asks, stream that is
    asked. Of a ``bottleneck`` a stream is its own tokens and those that all share."""
    if kind == "crossmodal":
        across = [
            (f"mix.pairs.{asks}_{asked}.{k}.attention", asks, asked)
            for asks, asked in pairs()
            for k in range(layers // 2)
        ]
        return across + [
            (f"mix.alone.{name}.{k}.attention", name, name) for k in range(layers // 2) for name in STREAMS
        ]
    return [(f"mix.blocks.{name}.{k}.attention", name, name) for k in range(layers) for name in _IN_TURN]


def _layers(config: TrioConfig, count: int, alike: bool = True) -> nn.ModuleList:
    return nn.ModuleList(
        Block(config.width, config.heads, config.expansion, alike=alike and layer < ALIKE) for layer in range(count)
    )


@torch.no_grad()
def copying(module: nn.Module) -> None:
    """Let every attention begin by passing on what it looks at, and the answer head by saying what it holds.

    In a common space a thing that is found is named already; else this map is learned first, for thousands of scenes.
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
            last = part.together[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
        elif isinstance(part, Trio):
            nn.init.eye_(part.speak.weight)
            nn.init.zeros_(part.speak.bias)
