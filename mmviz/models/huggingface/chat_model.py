"""A Hugging Face model that reads pictures, sounds and text in one prompt, and writes an answer after it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmviz.models.huggingface.families import Family
from mmviz.models.huggingface.language_lens_readout import language_readout
from mmviz.models.huggingface.processor_inputs import CheckpointInputs, InputReader, binary_logits, located_tokens
from mmviz.models.huggingface.prompt_tokens import (
    Prompt,
    chat_prompt,
    own_template,
    placeholder_ids,
    prompt_tokens,
    question_notices,
    token_label,
)
from mmviz.models.huggingface.variant_batches import (
    answer_positions,
    batches_of,
    extended_inputs,
    joined_inputs,
    longest_padding,
)
from mmviz.models.lens_readout import LensReadout
from mmviz.models.protocol import AnswerToken, CaptureTargets, Prepared
from mmviz.types import Card, FieldsOf, MmvizError, Modality, Sample, Token

NEW_TOKENS = 32
"""Tokens that an answer may have."""
DECODING = (
    "repetition_penalty", "encoder_repetition_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size",
    "min_length", "min_new_tokens", "bad_words_ids", "sequence_bias", "suppress_tokens", "begin_suppress_tokens",
    "forced_bos_token_id", "forced_eos_token_id", "exponential_decay_length_penalty", "guidance_scale",
)  # fmt: skip
"""Settings of a checkpoint that choose another token than the most probable one."""
ANY_OTHER = "any other text"


class ChatModel:
    """One checkpoint of a model that writes its answer.

    Its two answers are the text that it wrote, and any other.
    """

    capture_targets: CaptureTargets | None = None
    """None: every attention that is captured is recorded."""
    settings: tuple[str, ...] = ("new_tokens", "system", "template")
    """The most tokens that an answer may have; the system prompt; a chat template in Jinja in place of the checkpoint's
    own."""
    pads_prompts = True
    """Whether prompts of different lengths run in one batch: what follows a prompt changes nothing before it."""

    def __init__(self, module: nn.Module, processor: Any, family: Family, card: Card, device: str):
        self.module, self.processor, self.family, self.card = module, processor, family, card
        self.required, self.takes_several = family.required, family.takes_several
        self.new_tokens, self.system = NEW_TOKENS, ""
        self.template = own_template(processor)
        self._written_prompts: dict[str, str] = {}
        """The prompts of these settings, see `chat_prompt`."""
        self.answer: tuple[int, ...] = ()
        """The ids of the answer's tokens; empty before `answering`."""
        self.answer_part: tuple[int, ...] = ()
        """The tokens of the answer that the logits are about, counted from 0; empty for all of them."""
        self._reader = InputReader(module, processor, family, device)
        self._placeholders = placeholder_ids(processor)
        starts = (getattr(module.config, f"{kind}_start_token_id", None) for kind in ("vision", "audio"))
        self._unwritable = {*self._placeholders, *(token_id for token_id in starts if token_id is not None)}
        """Tokens that no answer has: behind those that begin a picture or sound, the model would look for one."""

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the checkpoint."""
        return getattr(self.processor, "tokenizer", self.processor)

    def with_options(self, options: Mapping[str, Any]) -> ChatModel:
        """Returns the model under other settings. Raises ``MmvizError`` (``options-name``, ``hf-new-tokens``)."""
        model = copy.copy(self)
        for name, value in options.items():
            if name not in self.settings or type(value) is not type(getattr(self, name)):
                raise MmvizError("options-name", name=name, known=", ".join(self.settings))
            setattr(model, name, value)
        model._written_prompts = {}
        if model.new_tokens < 1:
            raise MmvizError("hf-new-tokens", count=model.new_tokens)
        return model

    def answering(
        self, answer: tuple[int, ...], part: tuple[int, ...] = (), sample: Sample | None = None
    ) -> ChatModel:  # fmt: skip
        """See `SupportsGeneration.answering`. Raises ``hf-answer``, too, for ids that the model cannot write."""
        config: Any = self.module.config
        count = int(config.get_text_config(decoder=True).vocab_size)
        wrong = [token_id for token_id in answer if not 0 <= token_id < count or token_id in self._unwritable]
        if wrong:
            raise MmvizError("hf-answer", id=wrong[0], last=count - 1)
        if any(not 0 <= number < len(answer) for number in part):
            raise MmvizError("answer-part", number=max(part) + 1, count=len(answer))
        model = copy.copy(self)
        model.answer, model.answer_part = answer, tuple(sorted(set(part)))
        return model

    def prepare(self, sample: Sample) -> Prepared:
        """Returns the inputs of a sample, with the answer after the prompt where there is one.

        Raises ``MmvizError``: ``hf-template``, ``hf-template-limit``, ``hf-processor``, ``hf-needs``, and ``hf-long``
        for a prompt and an answer beyond the model's length.
        """
        sample, notices = self._reader.readable(sample)
        inputs, tokens, prompt = self._prompt(sample)
        limit = self._longest
        most = max(self.new_tokens, len(self.answer))
        if limit and len(tokens) + most > limit:
            raise MmvizError("hf-long", count=len(tokens), answer=most, limit=limit)
        words = [Token(Modality.TEXT, token_label(self.tokenizer, token_id)) for token_id in self.answer]
        answers = (self._answer_label(), ANY_OTHER) if words else ()
        cuts = (*inputs.cut_notices(sample, self.family.title), *question_notices(prompt, sample.text or ""))
        return Prepared(
            inputs, [*tokens, *words], (*notices, *cuts), answer_token=self._answer_token, sample=sample,
            answers=answers,
            details={
                "prompt": prompt.text, "settings": {name: getattr(self, name) for name in self.settings},
                "decoding": self._decoding,
            },
        )  # fmt: skip

    def generate(
        self, prepared: Prepared, stop: Callable[[], bool], step: Callable[[int, int], None]
    ) -> tuple[int, ...]:
        """Returns the ids of what the model writes, the most probable token each time; ``stop`` ends it early.

        ``step`` is called after each token with the number of tokens so far and the most that there may be.
        """
        return self._written(prepared.tensors.inputs, self.new_tokens, stop, step)[1]

    def __call__(self, tensors: CheckpointInputs) -> Tensor:
        """Returns the logits of the answer, or of its part, and of any other text, ``[2]``."""
        return self.answer_logits(self.token_log_probabilities(tensors)[0])

    def token_log_probabilities(self, tensors: CheckpointInputs) -> Tensor:
        """See `SupportsGeneration.token_log_probabilities`."""
        answer = torch.tensor([tensors.answer] * tensors.rows, device=self._reader.device)
        logits: Tensor = self._logits(tensors, answer)
        rows = [row.double().log_softmax(-1) for row in logits]  # one by one: a vocabulary in float64 is large
        return torch.stack([row.gather(-1, ids[:, None])[:, 0] for row, ids in zip(rows, answer, strict=True)])

    def answer_logits(self, log_p: Tensor) -> Tensor:
        """See `SupportsGeneration.answer_logits`."""
        return binary_logits((log_p[list(self.answer_part)] if self.answer_part else log_p).sum())

    def lens_readout(self, tensors: CheckpointInputs) -> LensReadout:
        """Returns the layers of the language model, its final norm and head, and the first token of the answer that
        the run is about. Raises ``MmvizError`` (``lens-undetected``)."""
        readout = language_readout(
            self.module, lambda: self.token_log_probabilities(tensors), lambda index: token_label(self.tokenizer, index)
        )
        return replace(readout, answer=self.answer[self._first_word], word=self._first_word)

    def batches(self, rows: Sequence[Prepared]) -> list[list[int]]:
        """See `SupportsVariants.batches`, and `mmviz.models.huggingface.variant_batches`."""
        return batches_of(rows, self.pads_prompts)

    def join(self, rows: Sequence[Prepared]) -> CheckpointInputs:
        """Returns the inputs of rows of one batch, shorter prompts padded behind."""
        return joined_inputs(rows, int(self.tokenizer.pad_token_id or 0), self.family.packs_pictures)

    def located_tokens(self, prepared: Prepared, fields_of: FieldsOf) -> dict[str, list[Token]]:
        """See `SupportsGeneration.located_tokens`."""
        return located_tokens(prepared, fields_of)

    def _prompt(self, sample: Sample) -> tuple[CheckpointInputs, list[Token], Prompt]:
        """Returns the inputs of a sample, the tokens of its prompt, and the prompt."""
        prompt = chat_prompt(self.processor, self.family, sample, self.system, self.template, self._written_prompts)
        fast = {"return_offsets_mapping": True} if getattr(self.tokenizer, "is_fast", False) else {}
        batch = self._reader.process(sample, prompt.has_video, text=[prompt.text], **fast)
        offsets = batch.pop("offset_mapping", None)
        pairs = None if offsets is None else np.asarray(offsets)[0].tolist()
        ids = batch["input_ids"][0].tolist()
        tokens = prompt_tokens(self.tokenizer, ids, pairs, prompt, self._placeholders)
        return self._reader.checked(sample, batch, self.answer, prompt.has_video), tokens, prompt

    def _written(
        self, inputs: Mapping[str, Any], total: int, stop: Callable[[], bool], step: Callable[[int, int], None]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:  # fmt: skip
        """Returns the ids that stand before the answer, as the model itself has them, and those of the answer.

        What ``generate`` returns differs between families: with the prompt, without it, without the last token. What
        it shows to its stopping criteria, after each token, is all that the language model has read and written.
        """
        from transformers import StoppingCriteria, StoppingCriteriaList

        class Watch(StoppingCriteria):
            """Keeps all tokens so far, counts those that were written, and ends when a person stops it."""

            ids: tuple[int, ...] = ()
            written = 0

            def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
                self.ids = tuple(input_ids[0].tolist())
                self.written += 1
                step(min(self.written, total), total)
                return torch.full((len(input_ids),), stop(), device=input_ids.device)

        watch = Watch()
        config: Any = self.module.generation_config
        hidden = sorted({*(config.suppress_tokens or ()), *self._unwritable})
        with torch.no_grad():
            self.module.generate(  # type: ignore[operator]
                **inputs, max_new_tokens=total, do_sample=False, num_beams=1, suppress_tokens=hidden or None,
                stopping_criteria=StoppingCriteriaList([watch]),
            )  # fmt: skip
        before = len(watch.ids) - watch.written
        return watch.ids[:before], watch.ids[before:]

    def _logits(self, tensors: CheckpointInputs, answer: Tensor) -> Tensor:
        """Returns the logits of each token of the answer, ``[1, token, vocabulary]``."""
        parameters = inspect.signature(self.module.forward).parameters
        last = answer.shape[1] + 1 + longest_padding(tensors)
        kept = {"logits_to_keep": last} if "logits_to_keep" in parameters else {}
        module: Any = self.module
        if self.family.adapts_to_sound and module._hf_peft_config_loaded:
            (module.enable_adapters if tensors.sounds else module.disable_adapters)()
        inputs = extended_inputs(tensors, answer, self.family.answer_type)
        logits: Tensor = self.module(**inputs, **kept, use_cache=False).logits
        return answer_positions(tensors, logits, answer.shape[1])

    def _answer_label(self) -> str:
        """Returns the answer as text, or its part: words beside each other as one piece, an ellipsis between pieces."""
        if not self.answer_part:
            label = str(self.tokenizer.decode(self.answer, skip_special_tokens=True)).strip()
            return label or "".join(token_label(self.tokenizer, token_id) for token_id in self.answer)
        pieces: list[list[int]] = []
        for before, number in zip((-2, *self.answer_part), self.answer_part, strict=False):
            if number != before + 1:
                pieces.append([])
            pieces[-1].append(self.answer[number])
        texts = [str(self.tokenizer.decode(piece)).strip() for piece in pieces]
        labels = ["".join(token_label(self.tokenizer, token_id) for token_id in piece) for piece in pieces]
        return " … ".join(text or label for text, label in zip(texts, labels, strict=True))

    @property
    def _decoding(self) -> dict[str, Any]:
        """What the checkpoint's own settings change of greedy decoding, by their names; of tokens their number."""
        config: Any = self.module.generation_config
        changed = {name: value for name, value in config.to_diff_dict().items() if name in DECODING and value}
        return {name: len(value) if isinstance(value, list | dict) else value for name, value in changed.items()}

    @property
    def _answer_token(self) -> AnswerToken:
        """The token that writes the first word of the answer, or of its part, see `Prepared.answer_token`."""
        return self._first_word - len(self.answer) - 1

    @property
    def _first_word(self) -> int:
        """The first token of the answer that the logits are about, counted from 0."""
        return self.answer_part[0] if self.answer_part else 0

    @property
    def _longest(self) -> int:
        """Tokens that the language model can read; 0 where its config does not say."""
        config: Any = self.module.config
        text = config.get_text_config(decoder=True)
        return int(getattr(text, "max_position_embeddings", 0) or getattr(text, "max_target_positions", 0) or 0)
