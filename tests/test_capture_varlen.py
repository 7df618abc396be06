"""Packed attention of torch, which only a GPU computes: it is named by its operator, as nothing of it is recorded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from eager_attention import drawn
from torch import Tensor, nn

import mmviz
from mmviz.types import CaptureError

varlen = pytest.importorskip("torch.nn.attention.varlen", reason="This torch has no varlen_attn.")
EDGES = torch.tensor([0, 3, 7], dtype=torch.int32)


class Packed(nn.Module):
    """Two samples in one sequence, and attention over both samples where ``has_more``."""

    def __init__(self, has_more: bool) -> None:
        super().__init__()
        self.has_more = has_more

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = varlen.varlen_attn(x, x, x, EDGES, EDGES, 4, 4)
        if self.has_more:
            heads = output.transpose(0, 1)[None]
            output = F.scaled_dot_product_attention(heads, heads, heads)
        return output


def by_definition(query: Tensor, key: Tensor, value: Tensor, edges: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    """The operator on the CPU: its output, the log-sum-exp ``[head, query]`` and the state of a generator."""
    sample = torch.bucketize(torch.arange(len(query)), edges, right=True)
    scores = torch.einsum("qhd,khd->hqk", query, key) / query.shape[-1] ** 0.5
    scores = scores.masked_fill(sample[:, None] != sample, -torch.inf)
    output = torch.einsum("hqk,khd->qhd", scores.softmax(-1), value)
    return output, scores.logsumexp(-1), torch.zeros(2, dtype=torch.uint64)


@pytest.fixture(scope="module", autouse=True)
def on_the_cpu() -> None:
    """Lets the CPU compute the operator, as long as torch itself does not."""
    try:
        varlen.varlen_attn(*[drawn(7, 2, 4)] * 3, EDGES, EDGES, 4, 4)
    except NotImplementedError:
        varlen._varlen_attn.register_kernel("cpu")(by_definition)


def test_packed_attention_is_named_by_its_operator() -> None:
    with torch.no_grad(), mmviz.capture(model := Packed(has_more=True)) as result:
        model(drawn(7, 2, 4))
    (notice,) = result.record().notices
    assert notice.code == "uncaptured-kernel"
    assert notice.parameters == {"module": "Packed", "kernel": "torch_attn._varlen_attn"}


def test_a_record_without_its_packed_attention_is_refused_with_its_name() -> None:
    with torch.no_grad(), mmviz.capture(model := Packed(has_more=False)) as result:
        model(drawn(7, 2, 4))
    with pytest.raises(CaptureError, match="_varlen_attn") as error:
        result.record()
    assert error.value.code == "capture-nothing"
