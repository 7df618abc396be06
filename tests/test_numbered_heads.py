"""Heads are ablated by their maps, whatever order and number of attention calls a model makes of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import mmviz
from mmviz.backends.local import LocalBackend
from mmviz.experiments.head_ablation import measure_head_ablation
from mmviz.types import AblateHead, CaptureError, Request, Sample

WIDTH, HEADS, TOKENS = 8, 2, 6
SAMPLE = Sample(text="a b c d e f")


class Windows(nn.Module):
    """Self-attention within windows of three tokens, one call of the kernel for each."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.kept_heads = torch.ones(HEADS)
        """0 for a head whose output is set to 0."""

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(x).view(1, TOKENS, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        windows = zip(*(part.split(3, 2) for part in parts), strict=True)
        return x + self.joined(torch.cat([functional.scaled_dot_product_attention(*window) for window in windows], 2))

    def joined(self, attended: Tensor) -> Tensor:
        return (attended * self.kept_heads[:, None, None]).transpose(1, 2).flatten(2)


class Layers(nn.Module):
    def __init__(self, *kinds: Callable[[], Windows]) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.layers = nn.ModuleList(kind() for kind in kinds)
        self.answer = nn.Linear(WIDTH, 2)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.answer(x.mean(1))


def prepare(sample: Sample) -> tuple[Tensor, list[str]]:
    generator = torch.Generator().manual_seed(5)
    return 3 * torch.randn(1, TOKENS, WIDTH, generator=generator), str(sample.text).split()


def on_paper(module: Layers, layer: int, head: int) -> Tensor:
    """The log-probabilities without a head of a layer, by its factor in the module."""
    kept = module.layers[layer].kept_heads
    kept[head] = 0
    log_p = module(prepare(SAMPLE)[0])[0].double().log_softmax(-1).detach()
    kept[head] = 1
    return log_p


def log_probabilities(record: mmviz.AttentionRecord) -> list[float]:
    answers = {answer.label: np.log(answer.probability) for answer in record.answers}
    return [answers["yes"], answers["no"]]


def backend_of(module: Layers) -> LocalBackend:
    return LocalBackend("cpu", {"m": mmviz.CustomModel(module.eval(), prepare, ["yes", "no"])})


@pytest.mark.parametrize("is_known", [True, False], ids=["after a run", "at once"])
def test_a_head_of_a_map_of_several_calls_is_ablated_in_all_of_them(is_known: bool) -> None:
    module = Layers(Windows, Windows)
    backend = backend_of(module)
    if is_known:
        (record,) = backend.run([Request("m", SAMPLE)])
        assert [attn_map.name for attn_map in record.maps] == ["layers.0", "layers.1"], "one map of two windows each"
    for layer in range(2):
        for head in range(HEADS):
            (record,) = backend.run([Request("m", SAMPLE, (AblateHead(layer, head),))])
            assert record.made_by["changes"] == [str(AblateHead(layer, head))], "as it was requested"
            expected = on_paper(module, layer, head).tolist()
            assert log_probabilities(record) == pytest.approx(expected, abs=1e-6)


def test_the_effects_of_heads_stand_at_their_maps() -> None:
    module = Layers(Windows, Windows)
    run = mmviz.explain(text=SAMPLE.text, model="m", backend=backend_of(module))
    assert run.backend is not None and run.request is not None
    whole = module(prepare(SAMPLE)[0])[0].double().log_softmax(-1)
    shown = int(whole.argmax())
    for effect in measure_head_ablation(run.backend, run.request, run.record):
        expected = on_paper(module, effect.map, effect.head)[shown] - whole[shown]
        assert effect.effect == pytest.approx(float(expected.detach()), abs=1e-6)


def test_a_map_that_there_is_not_is_named() -> None:
    with pytest.raises(CaptureError) as missing:
        backend_of(Layers(Windows, Windows)).run([Request("m", SAMPLE, (AblateHead(2, 0),))])
    assert missing.value.code == "head-missing" and missing.value.parameters["count"] == 2
