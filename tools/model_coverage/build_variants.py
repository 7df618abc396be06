"""Builds under special conditions: compiled, in bfloat16, with an adapter, quantised, and probed while they train."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from tools.model_coverage import pictures_with_text, text_decoders, text_encoders
from tools.model_coverage.model_build import ModelBuild


class LoraLinear(nn.Module):
    """A linear map with a low-rank adapter beside it (Hu et al. 2021), as peft puts it in place of a projection."""

    def __init__(self, base: nn.Linear, rank: int = 4) -> None:
        super().__init__()
        self.base_layer = base
        self.lora_a = nn.Linear(base.in_features, rank, bias=False)
        self.lora_b = nn.Linear(rank, base.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        adapted: Tensor = self.base_layer(x) + 2 * self.lora_b(self.lora_a(x))
        return adapted


def add_adapters(model: nn.Module) -> None:
    """Puts adapters beside the projections of queries and values."""
    torch.manual_seed(7)
    for path, module in list(model.named_modules()):
        name = path.rpartition(".")[2]
        if name in ("q_proj", "v_proj", "query", "value") and isinstance(module, nn.Linear):
            setattr(model.get_submodule(path.rpartition(".")[0]), name, LoraLinear(module))


def quantise(model: nn.Module) -> None:
    """Quantises all linear maps to int8, as they run."""
    torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, torch.qint8, inplace=True)


def compile_whole(model: nn.Module) -> None:
    """Compiles the model in place; graphs are kept whole by Dynamo and run as they are, without a C++ compiler."""
    model.compile(backend="eager", dynamic=False)


def in_bfloat16(model: nn.Module) -> None:
    model.bfloat16()


def probe_while_training(model: nn.Module) -> None:
    """Takes two steps of training; a callback captures the model after each, as one that logs attention would."""
    import mmviz  # what is tried: its capture must leave gradients and weights alone

    ids = torch.randint(5, 90, (2, 9), generator=torch.Generator().manual_seed(0))
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def train(probe: bool) -> dict[str, Tensor]:
        model.load_state_dict(start)
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        torch.manual_seed(8)
        for _ in range(2):
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
            if probe:
                model.eval()
                with torch.no_grad(), mmviz.capture(model) as result:
                    model(input_ids=ids)
                assert result.record(batch=0).maps
                model.train()
            optimizer.step()
            optimizer.zero_grad()
        return {name: tensor.clone() for name, tensor in model.state_dict().items()}

    plain, probed = train(False), train(True)
    assert all(torch.equal(plain[name], probed[name]) for name in plain), "the callback changes the training"
    model.eval()


def variant(build: ModelBuild, name: str, **changes: Any) -> ModelBuild:
    """Returns a build under another condition."""
    return replace(build, family=f"{build.family}, {name}", **changes)


BUILD = {build.family: build for build in text_encoders.BUILDS + text_decoders.BUILDS + pictures_with_text.BUILDS}
BERT, LLAMA, CLIP = BUILD["BERT"], BUILD["Llama"], BUILD["CLIP"]
HALF: dict[str, Any] = {"prepare": in_bfloat16, "tolerance": 2e-2}

BUILDS = (
    variant(BERT, "torch.compile", prepare=compile_whole),
    variant(LLAMA, "torch.compile", prepare=compile_whole, generates=False),
    variant(BERT, "bfloat16", **HALF),
    variant(LLAMA, "bfloat16", **HALF, generates=False),
    variant(LLAMA, "LoRA", prepare=add_adapters),
    variant(CLIP, "LoRA", prepare=add_adapters),
    variant(BERT, "int8", prepare=quantise, tolerance=5e-2),
    variant(CLIP, "int8", prepare=quantise, tolerance=5e-2),
    variant(LLAMA, "callback in training", prepare=probe_while_training),
)
