"""Notices name what was missed, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from eager_attention import drawn  # first: it sets what transformers reads
from transformers import LxmertConfig, LxmertModel

import mmviz


def lxmert() -> tuple[mmviz.capture.CaptureResult, Any]:
    """Returns the capture of an LXMERT with a layer of each kind, and its own output with all attention."""
    torch.manual_seed(0)
    config = LxmertConfig(
        vocab_size=99, hidden_size=32, num_attention_heads=4, l_layers=1, x_layers=1, r_layers=1, intermediate_size=64,
        visual_feat_dim=8,
    )  # fmt: skip
    places = torch.rand(1, 5, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), mmviz.capture(model := LxmertModel(config).eval()) as result:
        output = model(
            torch.arange(1, 10)[None], visual_feats=drawn(1, 5, 8), visual_pos=places, output_attentions=True
        )
    return result, output


def test_all_attention_of_lxmert_is_captured() -> None:
    result, output = lxmert()
    captured = {attn_map.name: attn_map.weights for attn_map in result.record().maps}
    assert len(result.record().maps) == 6
    for name, (eager,) in (
        ("encoder.layer.0.attention.self", output.language_attentions),
        ("encoder.r_layers.0.attention.self", output.vision_attentions),
    ):
        np.testing.assert_allclose(captured[name], eager[0].numpy(), atol=2e-6)


def test_projections_of_attention_that_was_captured_are_not_named_as_uncaptured() -> None:
    result, _ = lxmert()
    assert [str(notice) for notice in result.notices] == []
