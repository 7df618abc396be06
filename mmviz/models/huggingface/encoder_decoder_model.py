"""A Hugging Face model whose encoder reads picture and question, and whose decoder attends to both and answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mmviz.models.huggingface.chat_model import ChatModel
from mmviz.models.huggingface.processor_inputs import CheckpointInputs
from mmviz.models.huggingface.prompt_tokens import Prompt, token_label
from mmviz.models.protocol import AnswerToken
from mmviz.types import Modality, Sample, Token

OWN_DECODER = "text_decoder"
"""The part of BLIP that answers, whose stream has its name; the picture meets the question in another part before."""


class PromptEncoderModel(ChatModel):
    """One checkpoint of a model whose encoder reads the prompt, and whose decoder attends to it and answers."""

    pads_prompts = False

    def _prompt(self, sample: Sample) -> tuple[CheckpointInputs, list[Token], Prompt]:
        inputs, tokens, prompt = super()._prompt(sample)
        return replace(inputs, encoded=len(tokens)), [*tokens, self._start_token], prompt

    def _logits(self, tensors: CheckpointInputs, answer: Tensor) -> Tensor:
        start = torch.full_like(answer[:, :1], self._start)
        inputs = {**tensors.inputs, "decoder_input_ids": torch.cat([start, answer], 1)}
        decoder = getattr(self.module, OWN_DECODER, None)
        if decoder is None:
            logits: Tensor = self.module(**inputs, use_cache=False).logits
            return logits[:, :-1]
        written: list[Tensor] = []  # BLIP keeps the logits of its decoder to itself
        handle = decoder.register_forward_hook(lambda module, given, output: written.append(output.logits))
        try:
            self.module(**inputs)
        finally:
            handle.remove()
        return written[0][:, :-1]

    @property
    def _answer_token(self) -> AnswerToken:
        return (OWN_DECODER, self._first_word) if hasattr(self.module, OWN_DECODER) else super()._answer_token

    @property
    def _start_token(self) -> Token:
        return Token(Modality.SPECIAL, token_label(self.tokenizer, self._start))

    @property
    def _start(self) -> int:
        """The id of the token that the decoder begins with."""
        config: Any = self.module.config
        named = (config, config.get_text_config(decoder=True))
        ids = [getattr(entry, "decoder_start_token_id", None) for entry in named]
        ids += [getattr(self.module, "decoder_start_token_id", None)]
        return int(next(token_id for token_id in ids if token_id is not None))
