"""Value-weighted attention: the norm of what each key adds to each query, weight times transformed value."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from mmviz.capture.attention_call import AttentionCall
from mmviz.capture.lazy_attention import LazyAttention
from mmviz.types import CaptureError


def value_norms(call: AttentionCall, batch: int = 0) -> NDArray[np.float32]:
    """Returns the norms ``[query, key]`` of what keys add to queries, all heads together, for sample ``batch``.

    Formula: ``n[i, j] = || sum over heads h of a_h[i, j] W_h v_h[j] ||``, with the weights ``a_h``, the values ``v_h``
    and the part ``W_h`` of the linear map that joins the heads. It is computed as the root of
    ``a[i, j]^T G[j] a[i, j]``, ``G[j][g, h] = (W_g v_g[j]) . (W_h v_h[j])``. The map's bias, which belongs to no token,
    is left out, and so are ablated heads. The unit is that of the model's hidden states.
    Source: Kobayashi, Kuribayashi, Yokoi and Inui 2020, "Attention is Not Only a Weight", section 3.
    Raises ``CaptureError`` (``norms-projection``) where no linear map was seen to join the heads.
    """
    if call.projection is None:
        raise CaptureError("norms-projection", name=call.module)
    attention = LazyAttention(call, batch)
    with torch.no_grad(), torch.inference_mode(False):
        value = call.value[batch].detach().float()
        value = value.repeat_interleave(attention.heads // value.shape[0], 0)
        projection = call.projection.detach().float().view(len(call.projection), attention.heads, -1)
        transformed = torch.einsum("dhv,hkv->khd", projection, value)
        gram = transformed @ transformed.transpose(1, 2)
        weights = torch.from_numpy(attention.full()).to(gram.device)
        if call.ablated_heads is not None:
            weights[call.ablated_heads[batch]] = 0
        squares = torch.einsum("hqk,khg,gqk->qk", weights, gram, weights)
        return np.ascontiguousarray(squares.clamp_(min=0).sqrt_().cpu().numpy())
