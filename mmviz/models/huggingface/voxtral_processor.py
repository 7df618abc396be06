"""The processor of Voxtral, called as those of other families are: with a prompt and a sound.

Its own takes sounds as files in a conversation alone, and only beside mistral-common's tokenizer. The prompt is put
together here as mistral-common's ``InstructTokenizerV7`` does: each control token by its name, the text between them by
the tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

CHUNK_SECONDS = 30
"""The encoder reads whole pieces of this length."""
TOKENS = 375
"""Tokens of a piece in the prompt."""
_CONTROL = ("<s>", "[INST]", "[/INST]", "[BEGIN_AUDIO]", "[AUDIO]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]")
_PARTS = re.compile("|".join(map(re.escape, _CONTROL)))
TEMPLATE = (
    "<s>{% for message in messages %}{% set open, close = ('[SYSTEM_PROMPT]', '[/SYSTEM_PROMPT]') if message.role == "
    "'system' else ('[INST]', '[/INST]') %}{{ open }}{% for part in message.content %}{% if part.type == 'audio' %}"
    "[AUDIO]{% else %}{{ part.text }}{% endif %}{% endfor %}{{ close }}{% endfor %}"
)
"""The chat template in Jinja of what mistral-common does; ``[AUDIO]`` stands for a whole sound."""


class VoxtralCalls:
    """Voxtral's processor."""

    def __init__(self, processor: Any):
        self.tokenizer, self.feature_extractor = processor.tokenizer, processor.feature_extractor
        self.audio_token, self.audio_token_id = "[AUDIO]", int(processor.audio_token_id)
        self.chat_template = TEMPLATE

    def apply_chat_template(self, messages: list[dict[str, Any]], chat_template: str, **_: Any) -> str:
        """Returns the prompt of a conversation. Raises what Jinja raises."""
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        return ImmutableSandboxedEnvironment().from_string(chat_template).render(messages=messages)

    def __call__(
        self, text: Sequence[str], audio: NDArray[np.float32] | list[Any] | None = None, **_: Any
    ) -> dict[str, Any]:
        """Returns ``input_ids``, ``attention_mask``, ``offset_mapping`` ``[1, token(, 2)]`` and ``input_features``.

        Offsets count the characters of the prompt with one placeholder for each token of a sound.
        """
        prompt, inputs = text[0], {}
        if audio is not None:
            features = [self._pieces(wave) for wave in (audio if isinstance(audio, list) else [audio])]
            inputs["input_features"] = torch.cat(features)
            sounds = ["[BEGIN_AUDIO]" + self.audio_token * TOKENS * len(pieces) for pieces in features]
            texts = prompt.split(self.audio_token)
            prompt = texts[0] + "".join(map("".join, zip(sounds, texts[1:], strict=True)))
        ids, offsets = self._tokenized(prompt)
        return {
            "input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
            "offset_mapping": np.array([offsets]), **inputs,
        }  # fmt: skip

    def _pieces(self, wave: NDArray[np.float32]) -> torch.Tensor:
        """Returns the features of a sound, padded to whole pieces, ``[piece, mel, frame]``."""
        rate = self.feature_extractor.sampling_rate
        features: Any = self.feature_extractor(
            wave, sampling_rate=rate, truncation=False, padding=True, pad_to_multiple_of=CHUNK_SECONDS * rate,
            return_tensors="pt",
        )["input_features"]  # fmt: skip
        return torch.cat(features.split(CHUNK_SECONDS * rate // self.feature_extractor.hop_length, -1))

    def _tokenized(self, prompt: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Returns the ids of a prompt, and the characters of each."""
        ids: list[int] = []
        offsets: list[tuple[int, int]] = []
        place = 0
        for control in [*_PARTS.finditer(prompt), None]:
            end = len(prompt) if control is None else control.start()
            pieces = self.tokenizer(prompt[place:end], add_special_tokens=False)["input_ids"] if end > place else []
            edges = [place + len(self.tokenizer.decode(pieces[:count])) for count in range(len(pieces) + 1)]
            ids += pieces
            offsets += pairwise(edges)
            if control is not None:
                ids.append(int(self.tokenizer.convert_tokens_to_ids(control.group())))
                offsets.append(control.span())
                place = control.end()
        return ids, offsets
