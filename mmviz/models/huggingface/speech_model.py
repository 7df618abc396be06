"""A Hugging Face model that reads a sound alone and writes down what is said, such as Whisper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from inspect import signature
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from mmviz.models.huggingface.chat_model import ChatModel
from mmviz.models.huggingface.families import Family
from mmviz.models.huggingface.processor_inputs import CheckpointInputs
from mmviz.models.huggingface.prompt_tokens import Prompt, token_label
from mmviz.models.protocol import Prepared
from mmviz.types import Card, Modality, Sample, Token


class SpeechModel(ChatModel):
    """One checkpoint of a model that writes down a sound: an encoder of the sound, and a decoder that attends to it.

    The decoder begins with a prefix of special tokens, such as Whisper's start, language, task and
    ``<|notimestamps|>``. They are those that ``generate`` itself begins with, and stay the same for every change of the
    sound.
    """

    settings = ("new_tokens",)
    pads_prompts = False

    def __init__(self, module: nn.Module, processor: Any, family: Family, card: Card, device: str):
        super().__init__(module, processor, family, card, device)
        self._prefix: tuple[int, ...] = ()
        """The ids that the decoder begins with; empty before `answering`."""
        self._prefixes: WeakKeyDictionary[nn.Module, dict[bytes, tuple[int, ...]]] = WeakKeyDictionary()
        """The latest prefix of each module (its weights may be shuffled), by the sound that it was chosen for."""

    def answering(
        self, answer: tuple[int, ...], part: tuple[int, ...] = (), sample: Sample | None = None
    ) -> SpeechModel:  # fmt: skip
        """See `SupportsGeneration.answering`. The prefix is that of the sound that the answer was written for."""
        model: Any = super().answering(answer, part, sample)
        model._prefix = () if sample is None else self._prefix_for(sample)
        answered: SpeechModel = model
        return answered

    def prepare(self, sample: Sample) -> Prepared:
        """See `ChatModel.prepare`. The record's details tell the model's ``alignment_heads``, ``[layer, head]``."""
        prepared = super().prepare(sample)
        config: Any = self.module.generation_config
        heads = [[int(layer), int(head)] for layer, head in getattr(config, "alignment_heads", None) or ()]
        return replace(prepared, details={**prepared.details, **({"alignment_heads": heads} if heads else {})})

    def _prompt(self, sample: Sample) -> tuple[CheckpointInputs, list[Token], Prompt]:
        prefix = self._prefix or self._prefix_for(sample)
        inputs = self._reader.checked(sample, self._reader.process(sample), self.answer)
        labels = [token_label(self.tokenizer, token_id) for token_id in prefix]
        return (
            replace(inputs, prefix=prefix, encoded=0),
            [Token(Modality.SPECIAL, label) for label in labels],
            Prompt("".join(labels), sample.text or ""),
        )

    def _written(
        self, inputs: Mapping[str, Any], total: int, stop: Callable[[], bool], step: Callable[[int, int], None]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:  # fmt: skip
        generate: Any = self.module.generate
        if "force_unique_generate_call" in signature(generate).parameters:
            inputs = {**inputs, "force_unique_generate_call": True}  # Whisper would go on where a moment is written
        return super()._written(inputs, total, stop, step)

    def _logits(self, tensors: CheckpointInputs, answer: Tensor) -> Tensor:
        prefix = torch.tensor([tensors.prefix], device=answer.device).expand(len(answer), -1)
        logits: Tensor = self.module(
            **tensors.inputs, decoder_input_ids=torch.cat([prefix, answer], 1), use_cache=False
        ).logits  # fmt: skip
        return logits[:, -answer.shape[1] - 1 : -1]

    def _prefix_for(self, sample: Sample) -> tuple[int, ...]:
        """Returns the ids that stand before what ``generate`` writes for a sound, whose language it may detect."""
        sample, _ = self._reader.readable(sample)
        config: Any = self.module.generation_config
        is_detected = getattr(config, "lang_to_id", None) and not getattr(config, "language", None)
        key = sha256(sample.audio.wave.tobytes()).digest() if is_detected and sample.audio is not None else b""
        prefixes = self._prefixes.setdefault(self.module, {})
        if key not in prefixes:
            inputs = self._reader.checked(sample, self._reader.process(sample)).inputs
            prefixes.clear()
            prefixes[key] = self._written(inputs, 1, lambda: False, lambda done, of: None)[0]
        return prefixes[key]
