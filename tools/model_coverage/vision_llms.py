"""Language models that read pictures as tokens of their stream."""

from __future__ import annotations

from typing import Any

import torch

from tools.model_coverage.model_build import (
    IMAGE,
    PATCHES,
    TEXT,
    ExpectedStack,
    ModelBuild,
    drawn,
    picture,
    runs,
    text,
)

IMAGE_ID = 95
LLAMA = {"model_type": "llama", **TEXT, "num_key_value_heads": 2}
QWEN2 = {"model_type": "qwen2", **TEXT, "num_key_value_heads": 2}
MROPE = {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}}
CLIP_VISION = {"model_type": "clip_vision_model", **IMAGE}
SIGLIP_VISION = {"model_type": "siglip_vision_model", **IMAGE}
VL = {"patch_size": 4, "temporal_patch_size": 2, "spatial_merge_size": 2, "in_channels": 3, "in_chans": 3}
"""The pictures of Qwen-VL: 16 patches that become 4 tokens of the text."""
GRID = torch.tensor([[1, 4, 4], [1, 4, 4]])
PACKED = {"pixel_values": drawn(32, 3 * 2 * 4 * 4), "image_grid_thw": GRID}
QWEN_IDS = {"image_token_id": IMAGE_ID, "video_token_id": 96, "vision_start_token_id": 94, "vision_end_token_id": 93}
AROUND = 6
"""Tokens before and after the placeholders of a picture."""


def reading(tokens: int, **more: Any) -> dict[str, Any]:
    """Returns a text with ``tokens`` placeholders of a picture, and more inputs."""
    return text(tokens + AROUND, id=IMAGE_ID, count=tokens) | more


def qwen_reading(tokens: int = 4) -> dict[str, Any]:
    """Returns a text with a mark before its placeholders, and a picture packed into one sequence with the other's."""
    inputs = reading(tokens)
    inputs["input_ids"][:, 2] = QWEN_IDS["vision_start_token_id"]
    inputs["mm_token_type_ids"] = (inputs["input_ids"] == IMAGE_ID).long()
    return inputs | PACKED


def chat(
    family: str, model: str, config: dict[str, Any], tokens: int, vision: tuple[ExpectedStack, ...] = (),
    image: int = PATCHES, *, language: str = "model.language_model.layers.*.self_attn",
    inputs: dict[str, Any] | None = None, streams: dict[str, int] | None = None, **more: Any,
) -> ModelBuild:  # fmt: skip
    """Returns a language model that reads a picture as ``tokens`` of its stream."""
    heads, depth = "text_config.num_attention_heads", "text_config.num_hidden_layers"
    stacks = (*vision, ExpectedStack(language, "text", heads, depth))
    counts = {"image": image, "text": tokens + AROUND} | (streams or {})
    given = reading(tokens, pixel_values=picture()) if inputs is None else inputs
    return ModelBuild(family, model, config, given, counts, stacks, **{"generates": True} | more)


def vision_tower(path: str, **more: Any) -> ExpectedStack:
    """Returns the stack of a vision tower."""
    return ExpectedStack(path, "image", "vision_config.num_attention_heads", "vision_config.num_hidden_layers", **more)


# fmt: off
BUILDS = (
    chat("LLaVA", "LlavaForConditionalGeneration", {"vision_config": CLIP_VISION, "text_config": LLAMA,
        "image_token_index": IMAGE_ID, "vision_feature_layer": -1}, PATCHES,
        (vision_tower("model.vision_tower.encoder.layers.*.self_attn"),), PATCHES + 1),
    chat("LLaVA, equal lengths", "LlavaForConditionalGeneration", {"vision_config": CLIP_VISION | {"image_size": 40},
        "text_config": LLAMA, "image_token_index": IMAGE_ID, "vision_feature_layer": -1}, 25,
        (vision_tower("model.vision_tower.encoder.layers.*.self_attn"),), 26,
        inputs=reading(25, pixel_values=picture(40))),
    chat("VipLLaVA", "VipLlavaForConditionalGeneration", {"vision_config": CLIP_VISION, "text_config": LLAMA,
        "image_token_index": IMAGE_ID, "vision_feature_layers": [-1, -2]}, PATCHES,
        (vision_tower("model.vision_tower.encoder.layers.*.self_attn"),), PATCHES + 1),
    chat("LLaVA-NeXT", "LlavaNextForConditionalGeneration", {"vision_config": CLIP_VISION, "text_config": LLAMA,
        "image_token_index": IMAGE_ID, "vision_feature_layer": -1, "image_grid_pinpoints": [[32, 32]]}, 36,
        inputs=reading(36, pixel_values=drawn(2, 2, 3, 32, 32), image_sizes=torch.tensor([[32, 32], [32, 32]])),
        vision=(vision_tower("model.vision_tower.encoder.layers.*.self_attn", windows=runs(2, PATCHES + 1)),),
        image=2 * (PATCHES + 1)),
    chat("LLaVA-OneVision", "LlavaOnevisionForConditionalGeneration",
        {"vision_config": SIGLIP_VISION | {"vision_use_head": False}, "text_config": QWEN2,
        "image_token_index": IMAGE_ID, "video_token_index": 96, "vision_feature_layer": -1,
        "image_grid_pinpoints": [[32, 32]]}, 36, inputs=reading(36, pixel_values=drawn(2, 2, 3, 32, 32),
        image_sizes=torch.tensor([[32, 32], [32, 32]])),
        vision=(vision_tower("model.vision_tower.encoder.layers.*.self_attn", windows=runs(2, PATCHES)),),
        image=2 * PATCHES),
    chat("PaliGemma", "PaliGemmaForConditionalGeneration",
        {"vision_config": SIGLIP_VISION | {"vision_use_head": False, "projection_dim": 32},
        "text_config": {"model_type": "gemma", **TEXT, "num_key_value_heads": 1, "head_dim": 8},
        "image_token_index": IMAGE_ID, "projection_dim": 32}, PATCHES,
        vision=(vision_tower("model.vision_tower.encoder.layers.*.self_attn"),)),
    chat("Gemma 3", "Gemma3ForConditionalGeneration", {"vision_config": SIGLIP_VISION | {"vision_use_head": False},
        "text_config": {"model_type": "gemma3_text", **TEXT, "num_key_value_heads": 2, "head_dim": 8,
        "sliding_window": 8, "query_pre_attn_scalar": 8, "layer_types": ["sliding_attention", "full_attention"]},
        "image_token_index": IMAGE_ID, "mm_tokens_per_image": 4}, 4, inputs=reading(4, pixel_values=picture(),
        token_type_ids=torch.tensor([[0] * 3 + [1] * 4 + [0] * 3] * 2)),
        vision=(vision_tower("model.vision_tower.encoder.layers.*.self_attn"),)),
    chat("Aya Vision", "AyaVisionForConditionalGeneration",
        {"vision_config": SIGLIP_VISION | {"vision_use_head": False}, "text_config": {"model_type": "cohere2", **TEXT,
        "num_key_value_heads": 2, "sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]},
        "image_token_index": IMAGE_ID, "downsample_factor": 2}, 4,
        vision=(vision_tower("model.vision_tower.encoder.layers.*.self_attn"),)),
    chat("Mistral 3", "Mistral3ForConditionalGeneration", {"vision_config": {"model_type": "pixtral", **IMAGE},
        "text_config": {"model_type": "mistral", **TEXT, "num_key_value_heads": 2}, "image_token_index": IMAGE_ID,
        "spatial_merge_size": 2, "vision_feature_layer": -1}, 4, inputs=reading(4, pixel_values=picture(),
        image_sizes=torch.tensor([[32, 32], [32, 32]])),
        vision=(vision_tower("model.vision_tower.transformer.layers.*.attention", packed=True),)),
    chat("Pixtral", "LlavaForConditionalGeneration", {"vision_config": {"model_type": "pixtral", **IMAGE},
        "text_config": {"model_type": "mistral", **TEXT, "num_key_value_heads": 2}, "image_token_index": IMAGE_ID,
        "vision_feature_layer": -1, "vision_feature_select_strategy": "full"}, PATCHES, inputs=reading(PATCHES,
        pixel_values=picture(), image_sizes=torch.tensor([[32, 32], [32, 32]])),
        vision=(vision_tower("model.vision_tower.transformer.layers.*.attention", packed=True),)),
    chat("Idefics 2", "Idefics2ForConditionalGeneration", {"vision_config": IMAGE,
        "perceiver_config": {"hidden_size": 32, "resampler_n_latents": 4, "resampler_depth": 2,
        "resampler_n_heads": 4, "resampler_head_dim": 8, "num_key_value_heads": 2},
        "text_config": {"model_type": "mistral", **TEXT, "num_key_value_heads": 2}, "image_token_id": IMAGE_ID}, 4,
        inputs=reading(4, pixel_values=drawn(2, 1, 3, 32, 32)), language="model.text_model.layers.*.self_attn",
        vision=(vision_tower("model.vision_model.encoder.layers.*.self_attn"),
        ExpectedStack("model.connector.perceiver_resampler.layers.*.self_attn", "latents",
        "perceiver_config.resampler_n_heads", "perceiver_config.resampler_depth", "image and latents")),
        streams={"latents": 4, "image and latents": 20}),
    chat("Idefics 3", "Idefics3ForConditionalGeneration", {"vision_config": IMAGE, "text_config": LLAMA,
        "image_token_id": IMAGE_ID, "scale_factor": 2}, 4, inputs=reading(4, pixel_values=drawn(2, 1, 3, 32, 32)),
        language="model.text_model.layers.*.self_attn",
        vision=(vision_tower("model.vision_model.encoder.layers.*.self_attn"),)),
    chat("SmolVLM", "SmolVLMForConditionalGeneration", {"vision_config": IMAGE, "text_config": LLAMA,
        "image_token_id": IMAGE_ID, "scale_factor": 2}, 4, inputs=reading(4, pixel_values=drawn(2, 1, 3, 32, 32)),
        language="model.text_model.layers.*.self_attn",
        vision=(vision_tower("model.vision_model.encoder.layers.*.self_attn"),)),
    chat("InternVL", "InternVLForConditionalGeneration", {"vision_config": IMAGE | {"image_size": [32, 32],
        "patch_size": [8, 8]}, "text_config": QWEN2, "image_token_id": IMAGE_ID, "downsample_ratio": 0.5,
        "vision_feature_layer": -1}, 4, vision=(vision_tower("model.vision_tower.encoder.layer.*.attention"),),
        image=PATCHES + 1),
    chat("Qwen2-VL", "Qwen2VLForConditionalGeneration",
        {"text_config": QWEN2 | {"model_type": "qwen2_vl_text"} | MROPE, "vision_config": VL | {"depth": 2,
        "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "mlp_ratio": 2}, **QWEN_IDS}, 4,
        inputs=qwen_reading(), vision=(ExpectedStack("model.visual.blocks.*.attn", "image",
        "vision_config.num_heads", "vision_config.depth", packed=True),)),
    chat("Qwen2.5-VL", "Qwen2_5_VLForConditionalGeneration",
        {"text_config": QWEN2 | {"model_type": "qwen2_5_vl_text"} | MROPE, "vision_config": VL | {"depth": 2,
        "hidden_size": 32, "out_hidden_size": 32, "num_heads": 4, "intermediate_size": 64, "window_size": 8,
        "fullatt_block_indexes": [1]}, **QWEN_IDS}, 4, inputs=qwen_reading(),
        vision=(ExpectedStack("model.visual.blocks.*.attn", "image", "vision_config.num_heads", "vision_config.depth",
        packed=True),)),
    chat("Qwen3-VL", "Qwen3VLForConditionalGeneration", {"text_config": {"model_type": "qwen3_vl_text", **TEXT,
        "num_key_value_heads": 2, "head_dim": 8} | MROPE, "vision_config": VL | {"depth": 2, "hidden_size": 32,
        "out_hidden_size": 32, "num_heads": 4, "intermediate_size": 64, "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0]}, **QWEN_IDS}, 4, inputs=qwen_reading(),
        vision=(ExpectedStack("model.visual.blocks.*.attn", "image", "vision_config.num_heads", "vision_config.depth",
        packed=True),)),
)
