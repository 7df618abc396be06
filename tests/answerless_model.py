"""A model of one's own with attention, a picture, words and sound, and no answers."""

from __future__ import annotations

from dataclasses import replace

from routed_model import Routed, prepare

import mmviz


def answerless() -> mmviz.CustomModel:
    """Returns the model whose logits are left out, such as one that only makes states of its inputs."""
    model = mmviz.CustomModel(
        Routed("fused"), prepare, ["none"], name="answerless", logits=lambda output: output[:, :0], answer_token=0,
        pairs={"layers.*": ("tokens", "tokens")}, batches=True,
    )  # fmt: skip
    model.card = replace(model.card, answers=())
    return model
