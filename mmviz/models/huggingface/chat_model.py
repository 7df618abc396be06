"""A Hugging Face model that reads pictures, sounds and text in one prompt, and writes an answer after it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmviz.models.huggingface.families import Family
from mmviz.models.huggingface.input_reader import CheckpointInputs, InputReader, binary_logits, located_tokens
from mmviz.models.huggingface.prompt_tokens import chat_prompt, placeholder_ids, prompt_tokens, token_label
from mmviz.models.protocol import AnswerToken, CaptureTargets, Prepared
from mmviz.types import Card, FieldsOf, MmvizError, Modality, Sample, Token

NEW_TOKENS = 32
"""Tokens that an answer may have."""
ANY_OTHER = "any other text"
OPTIONS = ("new_tokens", "system", "template")
_SEQUENCES = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "image_embeds_position_mask")
"""Inputs that have an entry for each token of the prompt."""
_SEEN_PICTURES = "cross_attention_mask"
"""The pictures that each token of the prompt sees, ``[sample, token, picture, tile]``: the answer sees those that the
last one does."""


class ChatModel:
    """One checkpoint of a model that writes its answer.

    Its two answers are the text that it wrote, and any other. Settings: ``new_tokens``, the most tokens that an answer
    may have; ``system``, the system prompt; ``template``, a chat template in Jinja in place of the checkpoint's own.
    """

    capture_targets: CaptureTargets | None = None

    def __init__(self, module: nn.Module, processor: Any, family: Family, card: Card, device: str):
        self.module, self.processor, self.family, self.card = module, processor, family, card
        self.required = family.required
        self.new_tokens, self.system = NEW_TOKENS, ""
        self.template = str(getattr(processor, "chat_template", None) or "")
        self.answer: tuple[int, ...] = ()
        """The ids of the answer's tokens; empty before `answering`."""
        self._reader = InputReader(module, processor, family, device)
        self._placeholders = placeholder_ids(processor)

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the checkpoint."""
        return getattr(self.processor, "tokenizer", self.processor)

    def with_options(self, options: Mapping[str, Any]) -> ChatModel:
        """Returns the model under other settings. Raises ``MmvizError`` (``options-name``)."""
        model = copy.copy(self)
        for name, value in options.items():
            if name not in OPTIONS or type(value) is not type(getattr(self, name)):
                raise MmvizError("options-name", name=name, known=", ".join(OPTIONS))
            setattr(model, name, value)
        return model

    def answering(self, answer: tuple[int, ...]) -> ChatModel:
        """Returns the model with an answer, the ids of its tokens, whose log-probability it gives for any input."""
        model = copy.copy(self)
        model.answer = answer
        return model

    def prepare(self, sample: Sample) -> Prepared:
        """Returns the inputs of a sample, with the answer after the prompt where there is one.

        Raises ``MmvizError``: ``hf-template``, ``hf-processor``, ``hf-needs``, and ``hf-long`` for a prompt beyond the
        model's length.
        """
        sample, notices = self._reader.readable(sample)
        inputs, tokens, prompt = self._prompt(sample)
        limit = self._longest
        if limit and len(tokens) + self.new_tokens > limit:
            raise MmvizError("hf-long", count=len(tokens), answer=self.new_tokens, limit=limit)
        words = [Token(Modality.TEXT, token_label(self.tokenizer, token_id)) for token_id in self.answer]
        label = str(self.tokenizer.decode(self.answer, skip_special_tokens=True)).strip()
        answers = (label or "".join(word.label for word in words), ANY_OTHER) if words else ()
        return Prepared(
            inputs, [*tokens, *words], notices, answer_token=self._answer_token, sample=sample, answers=answers,
            details={"prompt": prompt, "settings": {name: getattr(self, name) for name in OPTIONS}},
        )  # fmt: skip

    def generate(
        self, prepared: Prepared, stop: Callable[[], bool], step: Callable[[int, int], None]
    ) -> tuple[int, ...]:
        """Returns the ids of what the model writes, the most probable token each time; ``stop`` ends it early.

        ``step`` is called after each token with the number of tokens so far and the most that there may be.
        """
        from transformers import StoppingCriteria, StoppingCriteriaList

        total = self.new_tokens

        class Watch(StoppingCriteria):
            """Counts tokens, and ends where a person asks for it."""

            written = 0

            def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
                self.written += 1
                step(min(self.written, total), total)
                return torch.full((len(input_ids),), stop(), device=input_ids.device)

        with torch.no_grad():
            output = self.module.generate(  # type: ignore[operator]
                **prepared.tensors.inputs, max_new_tokens=total, do_sample=False, num_beams=1,
                suppress_tokens=sorted(self._placeholders) or None, stopping_criteria=StoppingCriteriaList([Watch()]),
            )  # fmt: skip
        return tuple(output[0].tolist()[self._written_before(prepared) :])

    def __call__(self, tensors: CheckpointInputs) -> Tensor:
        """Returns the logits of the answer and of any other text, ``[2]``."""
        return binary_logits(self.token_log_probabilities(tensors).sum())

    def token_log_probabilities(self, tensors: CheckpointInputs) -> Tensor:
        """Returns the log-probability of each token of the answer after the prompt and those before it, ``[token]``."""
        answer = torch.tensor([tensors.answer], device=self._reader.device)
        logits: Tensor = self._logits(tensors, answer).double()
        return logits.log_softmax(-1).gather(-1, answer[..., None])[0, :, 0]

    def located_tokens(self, prepared: Prepared, fields_of: FieldsOf) -> dict[str, list[Token]]:
        """See `SupportsGeneration.located_tokens`."""
        return located_tokens(prepared, fields_of)

    def _prompt(self, sample: Sample) -> tuple[CheckpointInputs, list[Token], str]:
        """Returns the inputs of a sample, the tokens of its prompt, and the prompt with a placeholder for each file."""
        prompt = chat_prompt(self.processor, self.family, sample, self.system, self.template)
        fast = {"return_offsets_mapping": True} if getattr(self.tokenizer, "is_fast", False) else {}
        batch = self._reader.process(sample, text=[prompt.text], **fast)
        offsets = batch.pop("offset_mapping", None)
        pairs = None if offsets is None else np.asarray(offsets)[0].tolist()
        ids = batch["input_ids"][0].tolist()
        tokens = prompt_tokens(self.tokenizer, ids, pairs, prompt, self._placeholders)
        return self._reader.checked(sample, batch, self.answer), tokens, prompt.text

    def _written_before(self, prepared: Prepared) -> int:
        """Returns how many tokens stand before the answer in what ``generate`` returns."""
        return int(prepared.tensors.inputs["input_ids"].shape[1])

    def _logits(self, tensors: CheckpointInputs, answer: Tensor) -> Tensor:
        """Returns the logits of each token of the answer, ``[1, token, vocabulary]``."""
        logits: Tensor = self.module(**_extended(tensors.inputs, answer), use_cache=False).logits
        return logits[:, -answer.shape[1] - 1 : -1]

    @property
    def _answer_token(self) -> AnswerToken:
        """The token that writes the first word of the answer, see `Prepared.answer_token`."""
        return -len(self.answer) - 1

    @property
    def _longest(self) -> int:
        """Tokens that the language model can read; 0 where its config does not say."""
        config: Any = self.module.config
        text = config.get_text_config(decoder=True)
        return int(getattr(text, "max_position_embeddings", 0) or getattr(text, "max_target_positions", 0) or 0)


def _extended(inputs: Mapping[str, Any], answer: Tensor) -> dict[str, Any]:
    """Returns the inputs of prompt and answer as one sequence: ones in the mask, zeros in types of tokens."""
    extended = dict(inputs)
    for name in _SEQUENCES:
        if name in inputs:
            tail = answer if name == "input_ids" else torch.full_like(answer, int(name == "attention_mask"))
            extended[name] = torch.cat([inputs[name], tail.to(inputs[name].dtype)], 1)
    if _SEEN_PICTURES in inputs:
        mask = inputs[_SEEN_PICTURES]
        extended[_SEEN_PICTURES] = torch.cat([mask, mask[:, -1:].expand(-1, answer.shape[1], -1, -1)], 1)
    return extended
