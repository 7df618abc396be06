"""Tiny random models of Hugging Face as a user would make them his own: Qwen2.5-Omni's thinker, CLIP and Whisper."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import eager_attention  # noqa: F401  # first: it sets what transformers reads
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    PreTrainedTokenizerFast,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

import mmviz
from mmviz import Modality, Sample, Token
from mmviz.inputs.token_builders import audio_moments, image_patches, prompt_tokens

SPECIAL = (
    "<|pad|>", "<|bos|>", "<|eos|>", "<|vision_bos|>", "<|vision_eos|>", "<|IMAGE|>", "<|VIDEO|>", "<|audio_bos|>",
    "<|audio_eos|>", "<|AUDIO|>",
)  # fmt: skip
NAMED = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
WIDTHS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
Tokens = Sequence[Token] | Mapping[str, Sequence[Token]]


class OwnModel(NamedTuple):
    """The module of Hugging Face, what prepares its inputs and tokens, and both as a model of one's own."""

    module: nn.Module
    prepare: Callable[[Sample], tuple[dict[str, Any], Tokens]]
    own: mmviz.CustomModel


def tokenizer() -> Any:
    """A byte a token, and the special ones."""
    vocabulary = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    pieces = Tokenizer(models.BPE({piece: k for k, piece in enumerate(vocabulary)}, []))
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces, pad_token=SPECIAL[0], additional_special_tokens=list(SPECIAL[1:])
    )


def thinker(pieces: Any) -> nn.Module:
    """Two layers in each tower and in the language model; pictures in windows of four patches a side."""
    at = {name: k for k, name in enumerate(SPECIAL)}
    text = WIDTHS | NAMED | {
        "num_key_value_heads": 2, "vocab_size": len(pieces), "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4},
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 32, "out_hidden_size": 32, "num_heads": 4, "intermediate_size": 64,
        "patch_size": 14, "window_size": 56, "fullatt_block_indexes": [1],
    }  # fmt: skip
    audio = {
        "num_mel_bins": 16, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 64, "d_model": 32,
        "max_source_positions": 1500, "n_window": 100, "output_dim": 32,
    }  # fmt: skip
    kinds = {f"{kind}_token_{key}": at[f"<|{kind.upper()}|>"] for kind in ("image", "video", "audio")
             for key in ("id", "index")}  # fmt: skip
    edges = {f"{kind}_{side}_token_id": at[f"<|{kind}_{short}|>"] for kind in ("vision", "audio")
             for side, short in (("start", "bos"), ("end", "eos"))}  # fmt: skip
    torch.manual_seed(0)
    return Qwen2_5OmniThinkerForConditionalGeneration(Qwen2_5OmniThinkerConfig(
        audio_config=audio, vision_config=vision, text_config=text, position_id_per_seconds=25, **kinds, **edges
    )).eval()  # fmt: skip


def omni() -> OwnModel:
    """Picture, sound and text in one stream, which ends with a special token that asks for the answer."""
    pieces = tokenizer()
    images = Qwen2VLImageProcessorPil(min_pixels=28 * 28 * 4, max_pixels=28 * 28 * 64)
    sounds = WhisperFeatureExtractor(feature_size=16)

    def prepare(sample: Sample) -> tuple[dict[str, Any], list[Token]]:
        prompt, inputs, placeholders = "", {}, {}
        if sample.image is not None:
            inputs |= images(images=[sample.image.pixels], return_tensors="pt")
            _, rows, columns = inputs["image_grid_thw"][0].tolist()
            placeholders["<|IMAGE|>"] = image_patches(sample.image, rows // 2, columns // 2)
            prompt += f"<|vision_bos|>{'<|IMAGE|>' * len(placeholders['<|IMAGE|>'])}<|vision_eos|>"
        if sample.audio is not None:
            frames = sounds(
                sample.audio.wave, sampling_rate=sample.audio.rate, padding="max_length", return_attention_mask=True,
                return_tensors="pt",
            )  # fmt: skip
            inputs |= {
                "input_features": frames["input_features"], "feature_attention_mask": frames["attention_mask"],
            }  # fmt: skip
            count = ((int(frames["attention_mask"].sum()) - 1) // 2 - 1) // 2 + 1
            placeholders["<|AUDIO|>"] = audio_moments(sample.audio, count, 1 / 25)
            prompt += f"<|audio_bos|>{'<|AUDIO|>' * count}<|audio_eos|>"
        prompt += f"{sample.text or ''}<|bos|>"
        encoded = pieces(prompt, return_offsets_mapping=True, return_tensors="pt")
        inputs |= {"input_ids": encoded["input_ids"], "attention_mask": encoded["attention_mask"]}
        offsets = encoded["offset_mapping"][0].tolist()
        return inputs, prompt_tokens(prompt, offsets, sample.text or "", placeholders)

    module = thinker(pieces)
    own = mmviz.CustomModel(module, prepare, pieces, trained=False, name="tiny omni")
    return OwnModel(module, prepare, own)


def clip(texts: Sequence[str] = ()) -> OwnModel:
    """A tower for the picture and one for the text; ``texts`` of one length as answers, each a row of its own."""
    pieces = tokenizer()
    text = WIDTHS | NAMED | {"vocab_size": len(pieces), "max_position_embeddings": 64}
    vision = WIDTHS | {"image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    module = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).eval()
    size = {"height": 32, "width": 32}
    images = CLIPImageProcessorPil(size=size, crop_size=size, do_center_crop=False)

    def prepare(sample: Sample) -> tuple[dict[str, Any], dict[str, Any]]:
        assert sample.image is not None
        said = list(texts) or [sample.text or "nothing"]
        prompts = [text + "<|eos|>" for text in said]
        encoded = pieces(prompts, return_offsets_mapping=True, return_tensors="pt")
        words = [prompt_tokens(*row) for row in zip(prompts, encoded["offset_mapping"].tolist(), said, strict=True)]
        inputs = dict(images(images=[sample.image.pixels], return_tensors="pt")) | {"input_ids": encoded["input_ids"]}
        return inputs, {
            "picture": [Token(Modality.SPECIAL, "[CLS]"), *image_patches(sample.image, 4, 4)], "text": words,
        }  # fmt: skip

    own = mmviz.CustomModel(
        module, prepare, list(texts) or ["fits"], logits=lambda output: output.logits_per_image, trained=False,
        name="tiny clip", required=("image",),
    )  # fmt: skip
    return OwnModel(module, prepare, own)


def whisper(frames: int = 100) -> OwnModel:
    """A sound of ``frames`` moments of 20 ms, and what is said of it, twelve pieces."""
    pieces = tokenizer()
    torch.manual_seed(0)
    module = WhisperForConditionalGeneration(WhisperConfig(
        vocab_size=len(pieces), d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, num_mel_bins=16,
        max_source_positions=frames, max_target_positions=64, decoder_start_token_id=1, suppress_tokens=[],
        begin_suppress_tokens=[], **NAMED,
    )).eval()  # fmt: skip
    sounds = WhisperFeatureExtractor(feature_size=16, chunk_length=math.ceil(frames / 50))

    def prepare(sample: Sample) -> tuple[dict[str, Any], dict[str, list[Token]]]:
        assert sample.audio is not None
        inputs = sounds(sample.audio.wave, sampling_rate=sample.audio.rate, return_tensors="pt")["input_features"]
        with torch.no_grad():
            said = module.generate(inputs, max_new_tokens=12, min_new_tokens=12, do_sample=False)
        if said[0, 0] != 1:
            said = torch.cat([torch.tensor([[1]]), said], 1)
        words = [Token(Modality.TEXT, f"piece {k}: {pieces.decode([int(said[0, k])])}") for k in range(1, len(said[0]))]
        return {"input_features": inputs, "decoder_input_ids": said[:, :-1]}, {
            "memory": audio_moments(sample.audio, frames, 1 / 50),
            "tokens": [Token(Modality.SPECIAL, "<start>"), *words[:-1]],
        }

    own = mmviz.CustomModel(module, prepare, pieces, trained=False, name="tiny whisper", required=("audio",))
    return OwnModel(module, prepare, own)
