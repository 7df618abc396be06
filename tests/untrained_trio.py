"""`trio` with weights that nothing has trained, for tests of what does not depend on them."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mmviz.models import cards, trio_model
from mmviz.models.trio_model import BundledTrio
from mmviz.training.fit.train_trio import TrainedTrio
from mmviz.training.release.export import export


@cache
def untrained_trio() -> BundledTrio:
    """Returns the model on the CPU, with the words of the world as it is now; its encoders are those of the assets."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        weights = Path(folder) / "weights.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in TrainedTrio().state_dict().items()}, weights)
        export(weights, Path(folder) / "trio")
        for module in (cards, trio_model):
            patch.setattr(module, "assets_dir", lambda: Path(folder))
        return BundledTrio("cpu")
