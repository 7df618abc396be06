"""Ways to run a model: threads, gradient checkpointing, the meta device, calls in which nothing attends."""

from __future__ import annotations

import threading

import pytest
import torch
import torch.nn.functional as F
from eager_attention import FusedAttention, drawn
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import mmviz
from mmviz import CaptureError

DEADLINE = 60.0
"""Seconds."""


class Own(nn.Module):
    """Tokens that attend to each other."""

    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x)


class Threaded(nn.Module):
    """Two towers, each in a thread of its own, and what joins them."""

    def __init__(self) -> None:
        super().__init__()
        self.vision, self.audio, self.fusion = Own(), Own(), Own()

    def forward(self, x: Tensor) -> Tensor:
        outputs: list[Tensor] = []
        towers = [
            threading.Thread(target=lambda tower: outputs.append(tower(x)), args=(tower,), daemon=True)
            for tower in (self.vision, self.audio)
        ]
        for tower in towers:
            tower.start()
        for tower in towers:
            tower.join(DEADLINE)
        if len(outputs) != len(towers):
            raise RuntimeError("a tower did not finish")
        mixed: Tensor = self.fusion(sum(outputs))
        return mixed


def test_towers_that_run_in_threads_are_captured_or_named() -> None:
    with torch.no_grad(), mmviz.capture(model := Threaded()) as result:
        model(drawn(1, 2, 5, 4))
    captured = {attn_map.name for attn_map in result.record().maps}
    named = " ".join(str(notice) for notice in result.notices)
    assert [tower for tower in ("vision", "audio", "fusion") if tower not in captured and tower not in named] == []


class Checkpointed(nn.Module):
    """Four heads of queries and two of keys, whose attention is worked out again in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.query, self.key = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = checkpoint(self.attend, x, use_reentrant=False)
        return mixed

    def attend(self, x: Tensor) -> Tensor:
        query, key = (part(x).view(1, 6, -1, 2).transpose(1, 2) for part in (self.query, self.key))
        return F.scaled_dot_product_attention(query, key, key, enable_gqa=True)


@pytest.mark.parametrize("is_within", [False, True], ids=["after the capture", "during the capture"])
def test_a_checkpointed_model_still_has_its_gradients(is_within: bool) -> None:
    model, x = Checkpointed(), drawn(1, 6, 8)
    model(x).square().sum().backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    with mmviz.capture(model):
        output = model(x)
        if is_within:
            output.square().sum().backward()
    if not is_within:
        output.square().sum().backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_a_model_on_the_meta_device_still_runs_and_has_no_record() -> None:
    model, x = FusedAttention(), torch.randn(1, 2, 5, 4, device="meta")
    with mmviz.capture(model) as result:
        output = model(x, x)
    assert output.shape == x.shape
    with pytest.raises(CaptureError):
        result.record()


def projector_and_layer() -> mmviz.capture.CaptureResult:
    """Two calls, as a projector goes first and on its own."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.ModuleDict({"projector": nn.Linear(8, 8), "layer": layer}).eval()
    with torch.no_grad(), mmviz.capture(model) as result:
        model["layer"](model["projector"](drawn(1, 5, 8)))
    return result


def test_a_call_in_which_nothing_attends_is_refused_in_a_sentence() -> None:
    with pytest.raises(CaptureError):
        projector_and_layer().record(call=0)


def test_the_call_beside_it_has_its_record() -> None:
    result = projector_and_layer()
    assert result.calls == ("projector", "layer")
    assert [attn_map.name for attn_map in result.record(call=1).maps] == ["layer.self_attn"]
