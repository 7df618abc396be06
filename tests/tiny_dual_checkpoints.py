"""Tiny random checkpoints of two encoders without attention across modalities, beside `tiny_checkpoints.clip`."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import tiny_checkpoints  # first: it sets what transformers reads
import transformers as hf
from tiny_checkpoints import text_config, tokenizer, vision_config


def siglip() -> tuple[Any, Any]:
    pieces = tokenizer([])
    words = text_config(pieces, max_position_embeddings=24)
    config = hf.SiglipConfig(text_config=words, vision_config=vision_config("siglip_vision_model"))
    pixels = hf.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    return hf.SiglipModel(config), hf.SiglipProcessor(pixels, pieces)


def siglip2() -> tuple[Any, Any]:
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *string.ascii_lowercase, *string.punctuation]
    pieces = hf.Siglip2Tokenizer(vocab={word: k for k, word in enumerate(words)})
    texts = text_config(pieces, max_position_embeddings=24)
    vision = {**tiny_checkpoints.TINY, "num_patches": 256, "patch_size": 16}
    config = hf.Siglip2Config(text_config=texts, vision_config=vision)
    return hf.Siglip2Model(config), hf.Siglip2Processor(hf.Siglip2ImageProcessorPil(), pieces)


DUAL_BUILDS = {"siglip": siglip, "siglip2": siglip2}


def save_dual_checkpoint(name: str, folder: Path) -> Path:
    """Saves a checkpoint as `tiny_checkpoints.save_checkpoint` does."""
    tiny_checkpoints.BUILDS.update(DUAL_BUILDS)
    return tiny_checkpoints.save_checkpoint(name, folder)
