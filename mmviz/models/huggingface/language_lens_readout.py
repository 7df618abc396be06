"""How the hidden states of a language model of Hugging Face become words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from mmviz.models.lens_readout import LensModules, LensReadout, detected_readout


def language_readout(module: nn.Module, run: Callable[[], Any], label: Callable[[int], str]) -> LensReadout:
    """Returns the layers, norm and head of ``module``, detected in one call of ``run``.

    The head is that of ``get_output_embeddings``. Where the model returns other logits than its head, they are scaled
    and bounded as its config says. Raises ``MmvizError`` (``lens-undetected``).
    """
    model: Any = module
    head = model.get_output_embeddings()
    path = next((name for name, part in module.named_modules() if part is head and head is not None), None)
    of_head: list[Tensor] = []
    returned: list[Any] = []
    with ExitStack() as hooks:
        if path is not None:
            hooks.callback(head.register_forward_hook(lambda _, __, output: of_head.append(output)).remove)
        handle = module.register_forward_hook(lambda _, __, output: returned.append(getattr(output, "logits", None)))
        hooks.callback(handle.remove)
        text = model.config.get_text_config(decoder=True)
        readout = detected_readout(module, run, int(text.vocab_size), label, LensModules(head=path))
    if not of_head or not returned or returned[-1] is None or torch.equal(of_head[-1], returned[-1]):
        return readout
    scale = (getattr(text, "logit_scale", None) or 1) / (getattr(text, "logits_scaling", None) or 1)
    cap = getattr(text, "final_logit_softcapping", None)

    def read(states: Tensor) -> Tensor:
        logits = readout.read(states) * scale
        return logits if cap is None else cap * torch.tanh(logits / cap)

    return LensReadout(readout.layers, read, readout.through, label)
