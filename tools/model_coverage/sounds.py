"""Models of sound: waves, spectrograms, speech to text and text to speech."""

from __future__ import annotations

from typing import Any

from tools.model_coverage.model_build import (
    ENCODER_DECODER,
    IDS,
    TEXT,
    TINY,
    ExpectedStack,
    ModelBuild,
    drawn,
    token_ids,
)
from tools.model_coverage.pictures import (
    square_windows,
)

EAGER: dict[str, Any] = {"implementations": ("eager",)}
WAVE = {"input_values": drawn(2, 800)}
CONV = {
    "conv_dim": [16, 16],
    "conv_kernel": [10, 3],
    "conv_stride": [5, 4],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": 30,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
}
W2V = TINY | CONV
FRAMES = 40
"""Moments of a wave of 800 samples after two convolutions of steps 5 and 4."""
SELF = "encoder.layers.*.attention"
MEL = drawn(2, 16, 50, seed=2)
WHISPER = {
    "vocab_size": 100,
    **ENCODER_DECODER,
    "num_mel_bins": 16,
    "max_source_positions": 25,
    "max_target_positions": 20,
    "decoder_start_token_id": 1,
    "suppress_tokens": [],
    "begin_suppress_tokens": [],
    **IDS,
}


def wave(
    family: str, model: str, config: dict[str, Any] = W2V, path: str = SELF, tokens: int = FRAMES, **more: Any
) -> ModelBuild:
    return ModelBuild(family, model, config, WAVE, {"sound": tokens}, (ExpectedStack(path, "sound"),), **more)


# fmt: off
BUILDS = (
    wave("wav2vec 2.0", "Wav2Vec2Model"),
    wave("HuBERT", "HubertModel"),
    ModelBuild("WavLM", "WavLMModel", W2V | {"num_buckets": 8, "max_bucket_distance": 16}, WAVE, {"sound": FRAMES},
        (ExpectedStack(SELF, "sound", own_axes=None),), **EAGER, note="it returns the mean over its heads"),
    wave("Data2Vec audio", "Data2VecAudioModel", W2V | {"num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 3}),
    wave("UniSpeech", "UniSpeechModel"),
    wave("UniSpeech-SAT", "UniSpeechSatModel"),
    wave("SEW", "SEWModel", W2V | {"squeeze_factor": 2}, tokens=20),
    wave("SEW-D", "SEWDModel", W2V | {"squeeze_factor": 2, "pos_att_type": ["p2c", "c2p"], "relative_attention": True,
        "max_position_embeddings": 64, "share_att_key": True, "position_buckets": 8, "norm_rel_ebd": "layer_norm"},
        "encoder.encoder.layer.*.attention.self", 20, **EAGER),
    wave("wav2vec 2.0 Conformer", "Wav2Vec2ConformerModel", W2V | {"conv_depthwise_kernel_size": 3,
        "position_embeddings_type": "rotary"}, "encoder.layers.*.self_attn", **EAGER),
    ModelBuild("wav2vec 2.0 BERT", "Wav2Vec2BertModel", TINY | {"feature_projection_input_dim": 16,
        "conv_depthwise_kernel_size": 3, "left_max_position_embeddings": 8, "right_max_position_embeddings": 4,
        "vocab_size": 30, "mask_time_prob": 0.0}, {"input_features": drawn(2, 20, 16)}, {"sound": 20},
        (ExpectedStack("encoder.layers.*.self_attn", "sound"),), **EAGER),
    ModelBuild("Whisper", "WhisperForConditionalGeneration", WHISPER, {"input_features": MEL,
        "decoder_input_ids": token_ids(5)}, {"sound": 25, "decoded": 5}, (
        ExpectedStack("model.encoder.layers.*.self_attn", "sound", "encoder_attention_heads", "encoder_layers"),
        ExpectedStack("model.decoder.layers.*.self_attn", "decoded", "decoder_attention_heads", "decoder_layers"),
        ExpectedStack("model.decoder.layers.*.encoder_attn", "decoded", "decoder_attention_heads", "decoder_layers",
            "sound")), generates=True),
    ModelBuild("Moonshine", "MoonshineForConditionalGeneration", {"vocab_size": 100, "hidden_size": 32,
        "intermediate_size": 64, "encoder_num_hidden_layers": 2, "decoder_num_hidden_layers": 2,
        "encoder_num_attention_heads": 4, "decoder_num_attention_heads": 4, "decoder_start_token_id": 1, **IDS},
        {"input_values": drawn(2, 4000), "decoder_input_ids": token_ids(5)}, {"sound": 9, "decoded": 5}, (
        ExpectedStack("model.encoder.layers.*.self_attn", "sound", "encoder_num_attention_heads",
            "encoder_num_hidden_layers"),
        ExpectedStack("model.decoder.layers.*.self_attn", "decoded", "decoder_num_attention_heads",
            "decoder_num_hidden_layers"),
        ExpectedStack("model.decoder.layers.*.encoder_attn", "decoded", "decoder_num_attention_heads",
            "decoder_num_hidden_layers", "sound")), generates=True),
    ModelBuild("Speech2Text", "Speech2TextForConditionalGeneration", {"vocab_size": 100, "d_model": 32,
        "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
        "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "input_feat_per_channel": 16, "conv_channels": 16,
        "max_source_positions": 60, "max_target_positions": 20, "num_conv_layers": 2, "conv_kernel_sizes": [3, 3],
        "decoder_start_token_id": 1, **IDS}, {"input_features": drawn(2, 40, 16), "decoder_input_ids": token_ids(5)},
        {"sound": 10, "decoded": 5}, (
        ExpectedStack("model.encoder.layers.*.self_attn", "sound", "encoder_attention_heads", "encoder_layers"),
        ExpectedStack("model.decoder.layers.*.self_attn", "decoded", "decoder_attention_heads", "decoder_layers"),
        ExpectedStack("model.decoder.layers.*.encoder_attn", "decoded", "decoder_attention_heads", "decoder_layers",
            "sound")), generates=True),
    ModelBuild("AST", "ASTModel", TINY | {"patch_size": 4, "frequency_stride": 4, "time_stride": 4, "max_length": 24,
        "num_mel_bins": 16}, {"input_values": drawn(2, 24, 16)}, {"sound": 26}, (ExpectedStack("layers.*.attention",
        "sound"),)),
    ModelBuild("CLAP", "ClapModel", {"text_config": TEXT | {"max_position_embeddings": 80},
        "audio_config": {"spec_size": 32, "num_mel_bins": 8, "patch_size": 4, "patch_stride": [4, 4],
        "patch_embeds_hidden_size": 16, "window_size": 4, "depths": [2, 1], "num_attention_heads": [2, 4],
        "hidden_size": 32, "num_classes": 4, "enable_fusion": False, "num_hidden_layers": 2}, "projection_dim": 16},
        {"input_ids": token_ids(9), "attention_mask": token_ids(9) * 0 + 1, "input_features": drawn(2, 1, 128, 8),
        "is_longer": None}, {"text": 9, "sound": 64, "merged": 16},
        (ExpectedStack("text_model.encoder.layer.*.attention.self", "text", "text_config.num_attention_heads",
        "text_config.num_hidden_layers"), ExpectedStack("audio_model.audio_encoder.layers.0.blocks.*.attention.self",
        "sound", "audio_config.num_attention_heads.0", "audio_config.depths.0", windows=square_windows(8, 4, 2),
        tower="stages"), ExpectedStack("audio_model.audio_encoder.layers.1.blocks.*.attention.self", "merged",
        "audio_config.num_attention_heads.1", "audio_config.depths.1", tower="stages"))),
    ModelBuild("SpeechT5", "SpeechT5ForSpeechToText", {"vocab_size": 100, "hidden_size": 32, "encoder_layers": 2,
        "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64, "conv_dim": [16, 16], "conv_kernel": [10, 3], "conv_stride": [5, 4],
        "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
        "mask_time_prob": 0.0, "decoder_start_token_id": 1, **IDS}, WAVE | {"decoder_input_ids": token_ids(5)},
        {"sound": FRAMES, "decoded": 5}, (ExpectedStack("speecht5.encoder.wrapped_encoder.layers.*.attention",
        "sound", "encoder_attention_heads", "encoder_layers"),
        ExpectedStack("speecht5.decoder.wrapped_decoder.layers.*.self_attn", "decoded", "decoder_attention_heads",
        "decoder_layers"), ExpectedStack("speecht5.decoder.wrapped_decoder.layers.*.encoder_attn", "decoded",
        "decoder_attention_heads", "decoder_layers", "sound")), **EAGER, generates=True),
    ModelBuild("MusicGen", "MusicgenForCausalLM", {"vocab_size": 90, "hidden_size": 32, "ffn_dim": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_codebooks": 2, "max_position_embeddings": 64,
        "pad_token_id": 90, "bos_token_id": 90}, {"input_ids": token_ids(6).repeat_interleave(2, 0),
        "encoder_hidden_states": drawn(2, 7, 32)}, {"decoded": 6, "described": 7},
        (ExpectedStack("model.decoder.layers.*.self_attn", "decoded"),
        ExpectedStack("model.decoder.layers.*.encoder_attn", "decoded", "num_attention_heads", "num_hidden_layers",
        "described"))),
    ModelBuild("Bark", "BarkSemanticModel", {"vocab_size": 100, "input_vocab_size": 100, "output_vocab_size": 100,
        "hidden_size": 32, "num_layers": 2, "num_heads": 4, "block_size": 64}, {"input_ids": token_ids(9)},
        {"text": 9}, (ExpectedStack("layers.*.attn", "text", "num_heads", "num_layers"),), **EAGER),
    ModelBuild("SeamlessM4T", "SeamlessM4TForTextToText", {"vocab_size": 100, "t2u_vocab_size": 100,
        "hidden_size": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
        "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "speech_encoder_layers": 1,
        "max_position_embeddings": 64, "decoder_start_token_id": 3, **IDS}, {"input_ids": token_ids(9),
        "attention_mask": token_ids(9) * 0 + 1, "decoder_input_ids": token_ids(5)}, {"text": 9, "decoded": 5},
        (ExpectedStack("text_encoder.layers.*.self_attn", "text", "encoder_attention_heads", "encoder_layers"),
        ExpectedStack("text_decoder.layers.*.self_attn", "decoded", "decoder_attention_heads", "decoder_layers"),
        ExpectedStack("text_decoder.layers.*.cross_attention", "decoded", "decoder_attention_heads", "decoder_layers",
        "text")), **EAGER),
    ModelBuild("Parakeet", "ParakeetEncoder", {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 64, "num_mel_bins": 16, "subsampling_conv_channels": 8, "subsampling_factor": 4,
        "conv_kernel_size": 3, "max_position_embeddings": 64}, {"input_features": drawn(2, 40, 16)}, {"sound": 10},
        (ExpectedStack("layers.*.self_attn", "sound"),)),
    ModelBuild("VITS", "VitsModel", {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "window_size": 4, "ffn_dim": 64, "flow_size": 32, "spectrogram_bins": 9,
        "duration_predictor_filter_channels": 16, "upsample_initial_channel": 16, "upsample_rates": [2, 2],
        "upsample_kernel_sizes": [4, 4], "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1]],
        "wavenet_dilation_rate": 1, "prior_encoder_num_flows": 1, "prior_encoder_num_wavenet_layers": 1,
        "posterior_encoder_num_wavenet_layers": 1, "duration_predictor_num_flows": 1,
        "depth_separable_num_layers": 1}, {"input_ids": token_ids(9, highest=39),
        "attention_mask": token_ids(9) * 0 + 1}, {"text": 9},
        (ExpectedStack("text_encoder.encoder.layers.*.attention", "text"),), **EAGER, pads=False),
    ModelBuild("Mimi", "MimiModel", {"sampling_rate": 2000, "num_filters": 4, "upsampling_ratios": [4, 2],
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "intermediate_size": 64, "codebook_size": 16, "codebook_dim": 16, "num_quantizers": 4,
        "vector_quantization_hidden_dimension": 16, "upsample_groups": 32, "sliding_window": 8,
        "max_position_embeddings": 64, "num_semantic_quantizers": 1, "frame_rate": 125.0}, {"input_values": drawn(2,
        1, 320)}, {"sound": 40, "decoded": 40}, (ExpectedStack("encoder.encoder_transformer.layers.*.self_attn",
        "sound"), ExpectedStack("decoder.decoder_transformer.layers.*.self_attn", "decoded"))),
)
