"""Hugging Face models that write nothing: those that choose among labels, and those that compare two encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mmviz.models.huggingface.families import Family
from mmviz.models.huggingface.processor_inputs import CheckpointInputs, InputReader, located_tokens
from mmviz.models.huggingface.prompt_tokens import Prompt, prompt_tokens
from mmviz.models.huggingface.token_similarity import token_similarity
from mmviz.models.huggingface.variant_batches import batches_of, joined_inputs
from mmviz.models.protocol import CaptureTargets, Prepared
from mmviz.types import Card, FieldsOf, MmvizError, Notice, Sample, Token


class EncoderModel:
    """One checkpoint of a model whose answer is one of its labels."""

    capture_targets: CaptureTargets | None = None
    """None: every attention that is captured is recorded."""

    def __init__(self, module: nn.Module, processor: Any, family: Family, card: Card, device: str):
        self.module, self.processor, self.family = module, processor, family
        self.required = family.required
        self._reader = InputReader(module, processor, family, device)
        self.card = replace(card, answers=self._labels(module.config))

    def _labels(self, config: Any) -> tuple[str, ...]:
        return tuple(str(config.id2label[k]) for k in range(config.num_labels))

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the checkpoint; None for a model without text."""
        return getattr(self.processor, "tokenizer", None)

    def prepare(self, sample: Sample) -> Prepared:
        """Returns the inputs of a sample. A notice says where the model was trained on shorter texts and reads the
        beginning. Raises ``MmvizError`` (``hf-processor``, ``hf-needs``, ``hf-text-long``)."""
        sample, notices = self._reader.readable(sample)
        if self.tokenizer is None:
            batch, tokens = self._reader.process(sample), []
        else:
            text, limit = sample.text or "", self._longest_text
            count = len(self.tokenizer(text, verbose=False)["input_ids"])
            if count > limit and not self.family.pads_text:
                raise MmvizError("hf-text-long", count=count, model=self.family.title, limit=limit)
            batch = self._reader.process(sample, text=[text], return_offsets_mapping=True, **self._padding)
            offsets = batch.pop("offset_mapping")[0].tolist()
            if count > limit:
                notices = (*notices, Notice("text-cut", {"limit": limit}))
                text = text[: max(int(end) for _, end in offsets)]
            tokens = prompt_tokens(self.tokenizer, batch["input_ids"][0].tolist(), offsets, Prompt(text, text), {})
        inputs = self._reader.checked(sample, batch)
        return Prepared(inputs, tokens, (*notices, *inputs.cut_notices(sample, self.family.title)), sample=sample)

    @property
    def _padding(self) -> dict[str, Any]:
        """Options of the tokenizer for a model that was trained on texts of one length."""
        if not self.family.pads_text:
            return {}
        return {"padding": "max_length", "max_length": self._longest_text, "truncation": True}

    @property
    def _longest_text(self) -> int:
        """Tokens of a text that the model can read."""
        config: Any = self.module.config
        text = getattr(config, "text_config", config)
        unused = int(text.pad_token_id) + 1 if self.family.counts_from_padding else 0
        return int(text.max_position_embeddings) - unused

    def __call__(self, tensors: CheckpointInputs) -> Tensor:
        """Returns logits ``[answer]``."""
        return self.batch(tensors, 1)[0]

    def batches(self, rows: Sequence[Prepared]) -> list[list[int]]:
        """See `SupportsVariants.batches`: rows whose inputs have equal shapes run together."""
        return batches_of(rows, pads_prompts=False)

    def join(self, rows: Sequence[Prepared]) -> CheckpointInputs:
        """Returns the inputs of rows of equal shapes as one batch."""
        return joined_inputs(rows, 0)

    def batch(self, tensors: CheckpointInputs, rows: int) -> Tensor:
        """Returns logits ``[row, answer]``."""
        logits: Tensor = self.module(**tensors.inputs).logits
        return logits

    def located_tokens(self, prepared: Prepared, fields_of: FieldsOf) -> dict[str, list[Token]]:
        """See `SupportsGeneration.located_tokens`."""
        return located_tokens(prepared, fields_of)


class DualEncoderModel(EncoderModel):
    """One checkpoint of two encoders without attention across modalities; its answer is how well a text fits."""

    def batch(self, tensors: CheckpointInputs, rows: int) -> Tensor:
        """Returns the logits ``[row, fits or does not fit]``, of each row's own text."""
        output = self.module(**tensors.inputs)
        fits = (output.logits_per_audio if self.family.reads_audio else output.logits_per_image).diagonal()
        return torch.stack([fits, torch.zeros_like(fits)], 1)

    def prepare(self, sample: Sample) -> Prepared:
        """See `EncoderModel.prepare`. A notice says where the model has no scale for a text alone."""
        prepared = super().prepare(sample)
        if hasattr(self.module, "logit_bias"):
            return prepared
        unscaled = Notice("hf-no-scale", {"model": self.family.title})
        return replace(prepared, notices=(*prepared.notices, unscaled))

    def similarity(self, tensors: CheckpointInputs) -> dict[str, Any]:
        """Returns how similar patches and words are, see `mmviz.models.huggingface.token_similarity`."""
        return token_similarity(self.module, tensors.inputs)

    def _labels(self, config: Any) -> tuple[str, ...]:
        return ("fits", "does not fit")
