"""What is built and what is expected of it: tiny models of Hugging Face, their inputs, and the attention in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # transformers reads both once, when it is imported
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor, nn

transformers.logging.set_verbosity_error()

BATCH = 2
"""Samples of every build."""
PADDING = 2
"""Tokens of the second sample that are padding, where a build is tried with padding."""
LENGTH = 9
"""Tokens of a text."""

TINY: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
}  # fmt: skip
IDS: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
TEXT: dict[str, Any] = TINY | {"vocab_size": 100, "max_position_embeddings": 64} | IDS
IMAGE: dict[str, Any] = TINY | {"image_size": 32, "patch_size": 8}
"""A vision tower of 16 patches."""
PATCHES = 16
ENCODER_DECODER: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
}  # fmt: skip


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Returns normal random numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def token_ids(length: int = LENGTH, *, seed: int = 0, lowest: int = 5, highest: int = 90) -> Tensor:
    """Returns random tokens ``[BATCH, length]``, none of them special."""
    return torch.randint(lowest, highest, (BATCH, length), generator=torch.Generator().manual_seed(seed))


def text(length: int = LENGTH, **special: Any) -> dict[str, Tensor]:
    """Returns a text. ``special``: ``id`` and ``count`` of placeholders, which begin at the fourth token."""
    ids = token_ids(length)
    if special:
        ids[:, 3 : 3 + special["count"]] = special["id"]
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def picture(size: int = 32, channels: int = 3, count: int = BATCH) -> Tensor:
    """Returns ``count`` pictures of noise, ``[count, channels, size, size]``."""
    return drawn(count, channels, size, size, seed=1)


Windows = Callable[[int], NDArray[np.int64]]
"""The places in the stream of the tokens of each window, ``[window, token]``, by the number of the layer."""


def runs(count: int, size: int) -> Windows:
    """Returns ``count`` windows of ``size`` tokens, one after another, in every layer."""
    return lambda layer: np.arange(count * size).reshape(count, size)


@dataclass(frozen=True)
class ExpectedStack:
    """The attention of one repeated module, as the config of the model has it."""

    path: str
    """The path of the modules; ``*`` stands for the number of the layer."""
    queries: str
    """The stream of the queries, a key of `ModelBuild.streams`."""
    heads: str | int = "num_attention_heads"
    """The number of heads, or its path in the config."""
    depth: str | int = "num_hidden_layers"
    """The number of layers, or its path in the config."""
    keys: str = ""
    """The stream of the keys; "" for the one of the queries."""
    windows: Windows | None = None
    """The windows within which attention runs; a layer in a single window sees the whole stream."""
    key_windows: Windows | None = None
    """The windows of the keys, where they are others than those of the queries."""
    part: int = 0
    """Which of the maps that its module computes one after another, of ``parts``."""
    parts: int = 1
    packed: bool = False
    """Whether the samples stand one after another in a single sequence."""
    tower: str = ""
    """Stacks of one name may share a stack in the record: the stages of a tower."""
    own_axes: tuple[int, ...] | None = ()
    """The order that brings the model's own weights to ``[batch, head, query, key]``; () where they have it, None where
    it returns none by head."""
    why_left_out: str = ""
    """Why its weights are not recorded, where that is known: it must then be named in a notice."""


@dataclass(frozen=True)
class ModelBuild:
    """One tiny random model, its inputs, and the attention that runs in it."""

    family: str
    """The name of the family."""
    model: str
    """The class of transformers."""
    config: Mapping[str, Any]
    """The arguments of its config."""
    inputs: Mapping[str, Any]
    """The inputs of a batch of `BATCH` samples."""
    streams: Mapping[str, int]
    """The token sequences that attention runs over, and the number of tokens of one sample in each. The one that is
    called ``text`` is padded together with ``input_ids``."""
    stacks: tuple[ExpectedStack, ...]
    """The attention that runs in a plain forward."""
    generates: bool = False
    """Whether two steps of ``generate`` are tried."""
    pads: bool | None = None
    """Whether padding is tried; None: where there is an ``attention_mask``."""
    implementations: tuple[str, ...] = ("sdpa", "eager")
    """The implementations that the class offers: ``sdpa`` is the default of those that have it, in all their parts."""
    prepare: Callable[[nn.Module], object] | None = None
    """A change of the model, such as another precision."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of ``forward`` that are no tensors."""
    generate_options: Mapping[str, Any] = field(default_factory=dict)
    """More arguments of ``generate``."""
    spread: float = 0.2
    """Standard deviation of its weights, larger than before training, so that attention differs between tokens; smaller
    where a model does not scale its scores, so that they stay where float32 has 2e-6 of a weight."""
    tolerance: float = 2e-6
    """Largest difference allowed between weights and their reference."""
    note: str = ""
    """What is special in it."""

    def make(self, implementation: str) -> nn.Module:
        """Returns the model, with weights of a fixed seed and random biases and norms, ready for inference."""
        torch.manual_seed(3)
        model_class = getattr(transformers, self.model)
        config = model_class.config_class(**self.config)
        model: nn.Module = model_class(config).eval()
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "norm" not in name:
                parameter.data.normal_(0, self.spread)
        if implementation == "eager":
            model.set_attn_implementation("eager")  # type: ignore[operator]
        if self.prepare is not None:
            self.prepare(model)
        return model

    @property
    def is_padded(self) -> bool:
        """Whether it is tried with padding."""
        return "attention_mask" in self.inputs if self.pads is None else self.pads

    def padded_inputs(self, side: str) -> dict[str, Any]:
        """Returns the inputs; the second text has `PADDING` tokens of padding on ``side``: left, right, or "" none."""
        inputs = {name: value.clone() if isinstance(value, Tensor) else value for name, value in self.inputs.items()}
        if side:
            places = slice(0, PADDING) if side == "left" else slice(-PADDING, None)
            inputs["attention_mask"][1, places] = 0
            inputs["input_ids"][1, places] = 0
        return inputs

    def count(self, number: str | int, model: nn.Module) -> int:
        """Returns a number of heads or layers, read from the config where it is the path of one."""
        if isinstance(number, int):
            return number
        value: Any = model.config
        for part in number.split("."):
            value = value[int(part)] if part.isdecimal() else getattr(value, part)
        return int(value)
