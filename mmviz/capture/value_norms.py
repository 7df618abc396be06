"""What each token brings to each through one attention: the norm of weight times transformed value."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mmviz.capture.call import AttentionCall
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.types import CaptureError


def norms(heard: AttentionCall, batch: int = 0) -> NDArray[np.float32]:
    """Norms ``[query, key]`` of what keys bring to queries, all heads together, for sample ``batch``.

    Formula: ``n[i, j] = || sum over heads h of a_h[i, j] W_h v_h[j] ||``, with the weights ``a_h``, the values ``v_h``
    and the part ``W_h`` of the linear map that brings the heads together; worked out as the root of
    ``a[i, j]^T G[j] a[i, j]``, ``G[j][g, h] = (W_g v_g[j]) . (W_h v_h[j])``. The map's bias, which belongs to no token,
    is left out, and so are heads that were switched off.
    Source: Kobayashi, Kuribayashi, Yokoi and Inui 2020, "Attention is Not Only a Weight", section 3.
    Raises ``CaptureError`` (``norms-projection``) where no linear map was seen to follow.
    """
    if heard.projection is None:
        raise CaptureError("norms-projection", name=heard.module)
    exact = LazyAttention(heard, batch)
    with torch.no_grad(), torch.inference_mode(False):
        value = heard.value[batch].detach().float()
        value = value.repeat_interleave(exact.heads // value.shape[0], 0)
        matrix = heard.projection.detach().float().view(len(heard.projection), exact.heads, -1)
        brought = torch.einsum("dhv,hkv->khd", matrix, value)
        gram = brought @ brought.transpose(1, 2)
        weights = torch.from_numpy(exact.full()).to(gram.device)
        if heard.ablated_heads is not None:
            weights[heard.ablated_heads[batch]] = 0
        square = torch.einsum("hqk,khg,gqk->qk", weights, gram, weights)
        return np.ascontiguousarray(square.clamp_(min=0).sqrt_().cpu().numpy())
