"""Hugging Face models that write nothing: those that choose among labels, and those that compare two encoders."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mmviz.models.huggingface.families import Family
from mmviz.models.huggingface.input_reader import CheckpointInputs, InputReader, located_tokens
from mmviz.models.huggingface.prompt_tokens import Prompt, prompt_tokens
from mmviz.models.protocol import CaptureTargets, Prepared
from mmviz.types import Card, FieldsOf, Sample, Token


class EncoderModel:
    """One checkpoint of a model whose answer is one of its labels, or how well a text fits."""

    capture_targets: CaptureTargets | None = None

    def __init__(self, module: nn.Module, processor: Any, family: Family, card: Card, device: str):
        self.module, self.processor, self.family = module, processor, family
        self.required = family.required
        self._reader = InputReader(module, processor, family, device)
        config: Any = module.config
        labels = tuple(str(config.id2label[k]) for k in range(config.num_labels)) if family.task == "labels" else ()
        self.card = replace(card, answers=labels or ("fits", "does not fit"))

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the checkpoint; None for a model without text."""
        return getattr(self.processor, "tokenizer", None)

    def prepare(self, sample: Sample) -> Prepared:
        """Returns the inputs of a sample. Raises ``MmvizError`` (``hf-processor``, ``hf-needs``)."""
        sample, notices = self._reader.readable(sample)
        if self.tokenizer is None:
            batch, tokens = self._reader.process(sample), []
        else:
            text = sample.text or ""
            batch = self._reader.process(sample, text=[text], return_offsets_mapping=True)
            offsets = batch.pop("offset_mapping")[0].tolist()
            tokens = prompt_tokens(self.tokenizer, batch["input_ids"][0].tolist(), offsets, Prompt(text, text), {})
        inputs = self._reader.checked(sample, batch)
        return Prepared(inputs, tokens, (*notices, *inputs.cut_notices(sample, self.family.title)), sample=sample)

    def __call__(self, tensors: CheckpointInputs) -> Tensor:
        """Returns logits ``[answer]``."""
        output = self.module(**tensors.inputs)
        if self.family.task == "labels":
            logits: Tensor = output.logits[0]
            return logits
        fits = (output.logits_per_audio if self.family.reads_audio else output.logits_per_image)[0, 0]
        return torch.stack([fits, torch.zeros_like(fits)])

    def located_tokens(self, prepared: Prepared, fields_of: FieldsOf) -> dict[str, list[Token]]:
        """See `SupportsGeneration.located_tokens`."""
        return located_tokens(prepared, fields_of)
