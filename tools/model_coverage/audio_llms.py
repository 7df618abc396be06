"""Language models that read sound, with pictures or without."""

from __future__ import annotations

from typing import Any

import torch

from tools.model_coverage.model_build import (
    IDS,
    TEXT,
    TINY,
    ExpectedStack,
    ModelBuild,
    drawn,
    runs,
    text,
)
from tools.model_coverage.vision_llms import (
    GRID,
    MROPE,
    QWEN2,
    VL,
)

AUDIO_ID, IMAGE_ID = 95, 94
WIDE = TINY | {"hidden_size": 128}
WHISPER_ENCODER = {
    "d_model": 32,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "num_mel_bins": 16,
    "max_source_positions": 20,
}
VOXTRAL_ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_mel_bins": 16,
    "max_source_positions": 20,
    "vocab_size": 100,
}
LLAMA = {"model_type": "llama", **TEXT, "num_key_value_heads": 2, "head_dim": 8}
OMNI_TEXT = QWEN2 | {"model_type": "qwen2_5_omni_text"} | MROPE
OMNI_AUDIO = {
    "num_mel_bins": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "d_model": 32,
    "max_source_positions": 40,
    "n_window": 10,
    "output_dim": 32,
}
OMNI_VISION = VL | {
    "depth": 2,
    "hidden_size": 32,
    "out_hidden_size": 32,
    "num_heads": 4,
    "intermediate_size": 64,
    "window_size": 8,
    "fullatt_block_indexes": [1],
}
OMNI_IDS = {
    "audio_token_id": AUDIO_ID,
    "audio_token_index": AUDIO_ID,
    "image_token_id": IMAGE_ID,
    "image_token_index": IMAGE_ID,
    "video_token_id": 93,
    "video_token_index": 93,
    "vision_start_token_id": 92,
    "vision_end_token_id": 91,
    "audio_start_token_id": 90,
    "audio_end_token_id": 89,
    "vision_token_id": 88,
}


def omni_text(sounds: int, pictures: int = 4) -> dict[str, Any]:
    """Returns a text with a picture and a sound in it, between their marks."""
    inputs = text(sounds + pictures + 9)
    ids = inputs["input_ids"]
    ids[:, 2], ids[:, 3 + pictures] = 92, 91
    ids[:, 3 : 3 + pictures] = IMAGE_ID
    ids[:, 4 + pictures], ids[:, 5 + pictures + sounds] = 90, 89
    ids[:, 5 + pictures : 5 + pictures + sounds] = AUDIO_ID
    return inputs


# fmt: off
OMNI_STACKS = (
    ExpectedStack("model.visual.blocks.*.attn", "image", "vision_config.num_heads", "vision_config.depth", packed=True),
    ExpectedStack("model.audio_tower.layers.*.self_attn", "sound", "audio_config.encoder_attention_heads",
        "audio_config.encoder_layers", packed=True),
    ExpectedStack("model.language_model.layers.*.self_attn", "text", "text_config.num_attention_heads",
        "text_config.num_hidden_layers"),
)
BUILDS = (
    ModelBuild("Qwen2-Audio", "Qwen2AudioForConditionalGeneration", {"audio_config": WHISPER_ENCODER,
        "text_config": QWEN2, "audio_token_index": AUDIO_ID}, text(16, id=AUDIO_ID,
        count=10) | {"input_features": drawn(2, 16, 40), "feature_attention_mask": torch.ones(2, 40,
        dtype=torch.long)}, {"text": 16, "sound": 20}, (
        ExpectedStack("model.audio_tower.layers.*.self_attn", "sound", "audio_config.encoder_attention_heads",
            "audio_config.encoder_layers"),
        ExpectedStack("model.language_model.layers.*.self_attn", "text", "text_config.num_attention_heads",
            "text_config.num_hidden_layers")), generates=True),
    ModelBuild("Audio Flamingo 3", "AudioFlamingo3ForConditionalGeneration",
        {"audio_config": {"model_type": "audioflamingo3_encoder", **VOXTRAL_ENCODER}, "text_config": QWEN2,
        "audio_token_id": AUDIO_ID}, text(16, id=AUDIO_ID, count=10) | {"input_features": drawn(2, 16, 40),
        "input_features_mask": torch.ones(2, 40, dtype=torch.long)}, {"text": 16, "sound": 20},
        (ExpectedStack("model.audio_tower.layers.*.self_attn", "sound", "audio_config.num_attention_heads",
        "audio_config.num_hidden_layers"), ExpectedStack("model.language_model.layers.*.self_attn", "text",
        "text_config.num_attention_heads", "text_config.num_hidden_layers")), generates=True),
    ModelBuild("Voxtral", "VoxtralForConditionalGeneration",
        {"audio_config": VOXTRAL_ENCODER | {"intermediate_size": 128}, "text_config": LLAMA,
        "audio_token_id": AUDIO_ID}, text(11, id=AUDIO_ID, count=5) | {"input_features": drawn(2, 16, 40)},
        {"text": 11, "sound": 20}, (ExpectedStack("model.audio_tower.layers.*.self_attn", "sound",
        "audio_config.num_attention_heads", "audio_config.num_hidden_layers"),
        ExpectedStack("model.language_model.layers.*.self_attn", "text", "text_config.num_attention_heads",
        "text_config.num_hidden_layers")), generates=True),
    ModelBuild("Granite Speech", "GraniteSpeechForConditionalGeneration", {"encoder_config": {"input_dim": 16,
        "hidden_dim": 32, "num_heads": 4, "dim_head": 8, "num_layers": 2, "output_dim": 20, "context_size": 8,
        "max_pos_emb": 16, "conv_kernel_size": 3}, "projector_config": {"model_type": "blip_2_qformer", **TINY,
        "encoder_hidden_size": 32, "cross_attention_frequency": 1, "vocab_size": 100},
        "text_config": {"model_type": "granite", **TEXT, "num_key_value_heads": 2}, "audio_token_index": AUDIO_ID,
        "window_size": 5, "downsample_rate": 5, "has_lora_adapter": False}, text(10, id=AUDIO_ID,
        count=4) | {"input_features": drawn(2, 20, 16), "input_features_mask": torch.ones(2, 4, dtype=torch.bool)},
        {"text": 10, "sound": 20, "queries": 4}, (ExpectedStack("model.encoder.layers.*.attn", "sound",
        "encoder_config.num_heads", "encoder_config.num_layers", own_axes=None),
        ExpectedStack("model.projector.qformer.encoder.layer.*.attention.attention", "queries",
        "projector_config.num_attention_heads", "projector_config.num_hidden_layers", windows=runs(4, 1)),
        ExpectedStack("model.projector.qformer.encoder.layer.*.crossattention.attention", "queries",
        "projector_config.num_attention_heads", "projector_config.num_hidden_layers", "sound", windows=runs(4, 1),
        key_windows=runs(4, 5)),
        ExpectedStack("model.language_model.layers.*.self_attn", "text", "text_config.num_attention_heads",
        "text_config.num_hidden_layers")), generates=True, spread=0.1,
        note="the last block of eight moments is filled up"),
    ModelBuild("Qwen2.5-Omni", "Qwen2_5OmniThinkerForConditionalGeneration", {"audio_config": OMNI_AUDIO,
        "vision_config": OMNI_VISION, "text_config": OMNI_TEXT, "position_id_per_seconds": 25, **OMNI_IDS},
        omni_text(10) | {"pixel_values": drawn(32, 96), "image_grid_thw": GRID, "input_features": drawn(2, 16, 40),
        "feature_attention_mask": torch.ones(2, 40, dtype=torch.long)}, {"text": 23, "image": 16, "sound": 20},
        OMNI_STACKS, generates=True),
    ModelBuild("Qwen3-Omni", "Qwen3OmniMoeThinkerForConditionalGeneration", {"audio_config": {"num_mel_bins": 16,
        "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 64, "d_model": 32,
        "max_source_positions": 40, "n_window": 50, "n_window_infer": 100, "output_dim": 32,
        "downsample_hidden_size": 8, "conv_chunksize": 4}, "vision_config": VL | {"depth": 2, "hidden_size": 32,
        "out_hidden_size": 32, "num_heads": 4, "intermediate_size": 64, "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0]}, "text_config": {"model_type": "qwen3_omni_moe_text", **TEXT,
        "num_key_value_heads": 2, "head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2,
        "moe_intermediate_size": 16} | MROPE, "position_id_per_seconds": 25, **OMNI_IDS},
        omni_text(26) | {"pixel_values": drawn(32, 96), "image_grid_thw": GRID, "input_features": drawn(2, 16, 200),
        "feature_attention_mask": torch.ones(2, 200, dtype=torch.long)}, {"text": 39, "image": 16, "sound": 26},
        OMNI_STACKS, generates=True),
    ModelBuild("CLVP", "ClvpModelForConditionalGeneration", {"text_config": {"vocab_size": 100, **WIDE,
        "projection_dim": 16, **IDS}, "speech_config": {"vocab_size": 100, **WIDE, "projection_dim": 16, **IDS},
        "decoder_config": {"vocab_size": 100, **WIDE, "max_position_embeddings": 64, "max_text_tokens": 64,
        "feature_size": 16, "num_mel_attn_blocks": 1, "n_inner": 64, **IDS}, "projection_dim": 16},
        text() | {"input_features": drawn(2, 16, 20)}, {"text": 9, "sound": 20, "speech": 11, "decoded": 12},
        (ExpectedStack("conditioning_encoder.mel_attn_blocks.*", "sound", "decoder_config.num_attention_heads",
        "decoder_config.num_mel_attn_blocks"), ExpectedStack("speech_decoder_model.model.decoder.layers.*.attn",
        "decoded", "decoder_config.num_attention_heads", "decoder_config.num_hidden_layers"),
        ExpectedStack("speech_encoder_model.layers.*.self_attn", "speech", "speech_config.num_attention_heads",
        "speech_config.num_hidden_layers"), ExpectedStack("text_encoder_model.layers.*.self_attn", "text",
        "text_config.num_attention_heads", "text_config.num_hidden_layers")), pads=False, implementations=("eager",)),
)
