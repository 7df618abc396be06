"""Gradient relevance of tokens for one answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmviz.capture.heard import Heard
from mmviz.types import CaptureError


def relevance(logit: Tensor, heard: Sequence[Heard], row: int = 0) -> NDArray[np.float32]:
    """Relevance ``[query, key]`` of self-attention layers for ``logit`` (Chefer, Gur and Wolf 2021, section 3.1).

    Per layer ``A' = mean over heads of max(0, dlogit/dA * A)``, then ``R <- R + A' R`` from the first layer up, with
    ``R = I`` at the start.  ``heard`` must still be in the graph.  Returned is ``R - I``: what attention added.
    Raises ``CaptureError`` (``relevance-fused``) where a fused kernel kept its weights to itself.
    """
    maps = [one.weights for one in heard if one.weights is not None]  # a fused kernel has none to take gradients of
    if len(maps) < len(heard):
        raise CaptureError("relevance-fused", name=next(one.module for one in heard if one.weights is None))
    gradients = torch.autograd.grad(logit, maps)
    tokens = maps[0].shape[-1]
    carried = torch.zeros(tokens, tokens, dtype=torch.float64)
    for weights, gradient in zip(maps, gradients, strict=True):
        mean = (gradient[row] * weights[row]).clamp(min=0).mean(0).detach().double().cpu()
        carried = carried + mean + mean @ carried
    return carried.float().numpy()
