"""`trio` with weights that nothing has trained, for tests of what does not depend on them."""

from __future__ import annotations

from functools import cache

import torch
from safetensors.torch import save

from mmviz.models.trio_model import BundledTrio
from mmviz.training.fit.train import TrainedTrio


@cache
def untrained_trio() -> BundledTrio:
    """Returns the model on the CPU; its encoders are those of the assets."""
    torch.manual_seed(0)
    state = {name: tensor.contiguous() for name, tensor in TrainedTrio().state_dict().items()}
    return BundledTrio("cpu", save(state))
