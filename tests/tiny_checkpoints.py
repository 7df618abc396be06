"""Tiny random checkpoints of Hugging Face, saved with their real processors and a tokenizer of one byte a token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import eager_attention  # noqa: F401  # first: it sets what transformers reads
import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TINY: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
}  # fmt: skip
TILES = [[32, 64], [64, 32], [64, 64]]
CHAT = (
    "{% for message in messages %}{{ message.role }}: {% for part in message.content %}"
    "{% if part.type == 'image' %}IMAGE{% elif part.type == 'audio' %}AUDIO"
    "{% elif part.type == 'video' %}VIDEO{% else %}{{ part.text }}{% endif %}"
    "{% endfor %} {% endfor %}assistant:"
)
Pieces = hf.PreTrainedTokenizerFast
Build = Callable[[], tuple[Any, Any]]


def tokenizer(special: Sequence[str], named: Mapping[str, str] | None = None, are_last: bool = False) -> Pieces:
    """Returns a tokenizer with ``special`` tokens, some of which a processor knows by name.

    ``are_last``: whether they have the highest ids.
    """
    parts = (special, sorted(pre_tokenizers.ByteLevel.alphabet()))
    words = ["<pad>", "<s>", "</s>", *(word for part in (parts[::-1] if are_last else parts) for word in part)]
    pieces = Tokenizer(models.BPE({word: k for k, word in enumerate(words)}, []))
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return Pieces(
        tokenizer_object=pieces, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        additional_special_tokens=list(special), model_specific_special_tokens=dict(named or {}),
    )  # fmt: skip


def chat(image: str = "", audio: str = "", video: str = "") -> str:
    """Returns a chat template with these placeholders."""
    return CHAT.replace("IMAGE", image).replace("AUDIO", audio).replace("VIDEO", video)


def text_config(pieces: Pieces, **more: Any) -> dict[str, Any]:
    """Returns the config of a small language model."""
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    return {"vocab_size": len(pieces), "max_position_embeddings": 4096, **ids, **TINY, **more}


def vision_config(kind: str, size: int = 32, **more: Any) -> dict[str, Any]:
    """Returns the config of a tower of patches of 8 pixels."""
    return {"model_type": kind, "image_size": size, "patch_size": 8, **TINY, **more}


def clip_pixels() -> Any:
    """Returns a processor that crops a square out of the middle."""
    return hf.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def llava() -> tuple[Any, Any]:
    pieces = tokenizer(["<image>"])
    image = pieces.convert_tokens_to_ids("<image>")
    processor = hf.LlavaProcessor(
        image_processor=clip_pixels(), tokenizer=pieces, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=chat("<image>"),
    )  # fmt: skip
    config = hf.LlavaConfig(
        text_config={"model_type": "llama", **text_config(pieces)}, vision_config=vision_config("clip_vision_model"),
        image_token_id=image, image_token_index=image,
    )  # fmt: skip
    return hf.LlavaForConditionalGeneration(config), processor


def llava_next() -> tuple[Any, Any]:
    pieces = tokenizer(["<image>"])
    image = pieces.convert_tokens_to_ids("<image>")
    pixels = hf.LlavaNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=TILES
    )  # fmt: skip
    processor = hf.LlavaNextProcessor(
        image_processor=pixels, tokenizer=pieces, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=chat("<image>"),
    )  # fmt: skip
    config = hf.LlavaNextConfig(
        text_config={"model_type": "llama", **text_config(pieces)}, vision_config=vision_config("clip_vision_model"),
        image_token_id=image, image_token_index=image, image_grid_pinpoints=TILES,
    )  # fmt: skip
    return hf.LlavaNextForConditionalGeneration(config), processor


def idefics3() -> tuple[Any, Any]:
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)]
    pieces = tokenizer(["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *tiles])
    pixels = hf.Idefics3ImageProcessorPil(size={"longest_edge": 128}, max_image_size={"longest_edge": 64})
    processor = hf.Idefics3Processor(
        image_processor=pixels, tokenizer=pieces, image_seq_len=16, chat_template=chat("<image>")
    )  # fmt: skip
    config = hf.Idefics3Config(
        text_config={"model_type": "llama", **text_config(pieces)}, vision_config=vision_config("idefics3_vision", 64),
        image_token_id=pieces.convert_tokens_to_ids("<image>"), scale_factor=2,
    )  # fmt: skip
    return hf.Idefics3ForConditionalGeneration(config), processor


def gemma3() -> tuple[Any, Any]:
    soft, start, end = "<image_soft_token>", "<start_of_image>", "<end_of_image>"
    pieces = tokenizer([soft, start, end], {"image_token": soft, "boi_token": start, "eoi_token": end})
    processor = hf.Gemma3Processor(
        image_processor=hf.Gemma3ImageProcessorPil(size={"height": 64, "width": 64}), tokenizer=pieces,
        image_seq_length=16, chat_template=chat(start),
    )  # fmt: skip
    at = pieces.convert_tokens_to_ids
    config = hf.Gemma3Config(
        text_config=text_config(pieces, num_key_value_heads=2, head_dim=8), mm_tokens_per_image=16,
        vision_config=vision_config("siglip_vision_model", 64, vision_use_head=False), image_token_index=at(soft),
        boi_token_index=at(start), eoi_token_index=at(end),
    )  # fmt: skip
    return hf.Gemma3ForConditionalGeneration(config), processor


def paligemma() -> tuple[Any, Any]:
    pieces = tokenizer(["<image>"])
    image = pieces.convert_tokens_to_ids("<image>")
    pixels = hf.SiglipImageProcessorPil(size={"height": 32, "width": 32})
    pixels.image_seq_length = 16
    config = hf.PaliGemmaConfig(
        text_config={"model_type": "gemma", **text_config(pieces, num_key_value_heads=2, head_dim=8)},
        vision_config=vision_config("siglip_vision_model", vision_use_head=False), image_token_id=image,
        image_token_index=image, projection_dim=32,
    )  # fmt: skip
    processor = hf.PaliGemmaProcessor(image_processor=pixels, tokenizer=pieces)
    return hf.PaliGemmaForConditionalGeneration(config), processor


def qwen2_audio() -> tuple[Any, Any]:
    pieces = tokenizer(["<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"])
    audio = pieces.convert_tokens_to_ids("<|AUDIO|>")
    processor = hf.Qwen2AudioProcessor(
        feature_extractor=hf.WhisperFeatureExtractor(feature_size=16), tokenizer=pieces,
        chat_template=chat(audio="<|audio_bos|><|AUDIO|><|audio_eos|>"),
    )  # fmt: skip
    config = hf.Qwen2AudioConfig(
        text_config={"model_type": "qwen2", **text_config(pieces, num_key_value_heads=2)},
        audio_config=speech_encoder(), audio_token_index=audio, audio_token_id=audio,
    )  # fmt: skip
    return hf.Qwen2AudioForConditionalGeneration(config), processor


def whisper() -> tuple[Any, Any]:
    pieces = tokenizer(["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|notimestamps|>"])
    config = hf.WhisperConfig(
        vocab_size=len(pieces), **speech_encoder(), decoder_layers=2, decoder_attention_heads=4, decoder_ffn_dim=64,
        max_target_positions=128, decoder_start_token_id=3, suppress_tokens=[], begin_suppress_tokens=[],
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    processor = hf.WhisperProcessor(hf.WhisperFeatureExtractor(feature_size=16), pieces)
    return hf.WhisperForConditionalGeneration(config), processor


def speech_encoder() -> dict[str, Any]:
    """Returns the config of an encoder of 30 s of sound, 50 tokens a second."""
    return {
        "num_mel_bins": 16, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 64, "d_model": 32,
        "max_source_positions": 1500,
    }  # fmt: skip


def clip() -> tuple[Any, Any]:
    pieces = tokenizer([])
    words = text_config(pieces, max_position_embeddings=64)
    config = hf.CLIPConfig(
        text_config=words, vision_config=vision_config("clip_vision_model"), projection_dim=16
    )  # fmt: skip
    return hf.CLIPModel(config), hf.CLIPProcessor(clip_pixels(), pieces)


def vilt() -> tuple[Any, Any]:
    pieces = tokenizer([])
    config = hf.ViltConfig(
        vocab_size=len(pieces), max_position_embeddings=64, image_size=32, patch_size=8, **LABELS, **TINY
    )  # fmt: skip
    pixels = hf.ViltImageProcessorPil(size={"shortest_edge": 32}, size_divisor=8)
    return hf.ViltForQuestionAnswering(config), hf.ViltProcessor(pixels, pieces)


def vit() -> tuple[Any, Any]:
    config = hf.ViTConfig(image_size=32, patch_size=8, **LABELS, **TINY)
    return hf.ViTForImageClassification(config), hf.ViTImageProcessorPil(size={"height": 32, "width": 32})


def dinov2() -> tuple[Any, Any]:
    config = hf.Dinov2Config(image_size=32, patch_size=8, mlp_ratio=2, **LABELS, **TINY)
    size = {"height": 32, "width": 32}
    return hf.Dinov2ForImageClassification(config), hf.BitImageProcessorPil(
        size={"shortest_edge": 32}, crop_size=size
    )  # fmt: skip


def ast() -> tuple[Any, Any]:
    sizes = {"max_length": 200, "num_mel_bins": 16}
    config = hf.ASTConfig(patch_size=16, frequency_stride=16, time_stride=10, **sizes, **LABELS, **TINY)
    return hf.ASTForAudioClassification(config), hf.ASTFeatureExtractor(**sizes)


LABELS: dict[str, Any] = {"num_labels": 3, "id2label": {0: "cat", 1: "dog", 2: "fox"}}
BUILDS: dict[str, Build] = {
    build.__name__: build
    for build in (
        llava, llava_next, idefics3, gemma3, paligemma, qwen2_audio, whisper, clip, vilt, vit, dinov2, ast,
    )
}  # fmt: skip
"""What builds each checkpoint, by its name. Their processors need no torchvision."""


def save_checkpoint(name: str, folder: Path) -> Path:
    """Saves a checkpoint with weights of a fixed seed into a folder of its name, and returns that."""
    model, processor = seeded(BUILDS[name])
    model.save_pretrained(folder / name)
    processor.save_pretrained(folder / name)
    return folder / name


def seeded(build: Build, seed: int = 0) -> tuple[Any, Any]:
    """Returns a model with weights of a fixed seed, and its processor.

    The seed is not that of torch: threads that an earlier test left behind draw from its generator too.
    """
    model, processor = build()
    own = torch.Generator().manual_seed(seed)
    for key, parameter in model.named_parameters():
        if parameter.dim() > 1 and "norm" not in key:
            parameter.data.normal_(0, 0.2, generator=own)
        elif len(parameter.unique()) > 1:  # not a bias of zeros, nor a scale of ones
            parameter.data.normal_(0, 0.02, generator=own)
    return model.eval(), processor
