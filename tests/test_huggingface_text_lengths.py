"""Texts as long as a text tower reads, and longer ones: which are refused, and which are cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints  # first: it sets what transformers reads
import tiny_dual_checkpoints
import tiny_sound_checkpoints
import torch

from mmviz import Modality, Sample, make_sample
from mmviz.models.custom_model_factory import load
from mmviz.types import Chars, MmvizError

PIXELS = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
WAVE = (np.random.default_rng(0).standard_normal(16_000) / 10).astype(np.float32)
LETTERS = "the cat sat there and looked at a bird that flew by, "


def sample_of(model: Any, text: str) -> Sample:
    is_sound = model.family.reads_audio
    return make_sample(image=None if is_sound else PIXELS, text=text, audio=(WAVE, 16_000) if is_sound else None)


@pytest.mark.parametrize(("name", "save", "limit"), [
    ("clip", tiny_checkpoints.save_checkpoint, 64), ("vilt", tiny_checkpoints.save_checkpoint, 64),
    ("clap", tiny_sound_checkpoints.save_sound_checkpoint, 79),  # 80 positions from that after the padding, 0
])  # fmt: skip
def test_a_text_is_read_up_to_the_last_position_and_refused_beyond(
    tmp_path: Path, name: str, save: Any, limit: int
) -> None:
    model: Any = load(f"hf:{save(name, tmp_path)}", "cpu")
    text = (LETTERS * 2)[:limit]  # a byte a token
    longest = model.prepare(sample_of(model, text))
    assert longest.tensors.inputs["input_ids"].shape == (1, limit)
    with torch.no_grad():
        assert model(longest.tensors).isfinite().all(), "the module itself takes as many"
    with pytest.raises(MmvizError) as refused:
        model.prepare(sample_of(model, text + "s"))
    assert refused.value.code == "hf-text-long" and f"{limit + 1} tokens" in str(refused.value)


@pytest.mark.parametrize("name", ["siglip", "siglip2"])
def test_a_text_that_is_cut_says_so_and_keeps_the_places_of_its_beginning(tmp_path: Path, name: str) -> None:
    model: Any = load(f"hf:{tiny_dual_checkpoints.save_dual_checkpoint(name, tmp_path)}", "cpu")
    limit = model.module.config.text_config.max_position_embeddings
    cut = model.prepare(sample_of(model, LETTERS))
    assert [(n.code, n.parameters) for n in cut.notices if n.code == "text-cut"] == [("text-cut", {"limit": limit})]
    words = [token for token in cut.streams if token.modality is Modality.TEXT]
    assert len(cut.streams) == limit and len(words) > limit - 3, "all but what ends the text"
    end = 0
    for token in words:
        assert isinstance(token.location, Chars) and token.location.start == end, "one after the other"
        end = token.location.end
        assert token.label == LETTERS[token.location.start : end]
    ids = model.tokenizer(LETTERS[:end])["input_ids"]
    assert cut.tensors.inputs["input_ids"][0].tolist() == ids, "the same as the beginning alone"
    short = model.prepare(sample_of(model, "a cat"))
    assert "text-cut" not in [notice.code for notice in short.notices]
