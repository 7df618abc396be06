"""Time series, and other sequences without text, picture or sound."""

from __future__ import annotations

from typing import Any

import torch

from tools.model_coverage.model_build import (
    ENCODER_DECODER,
    ExpectedStack,
    ModelBuild,
    drawn,
    runs,
)

EAGER: dict[str, Any] = {"implementations": ("eager",)}
SERIES = {
    "prediction_length": 4,
    "context_length": 10,
    "lags_sequence": [1, 2],
    "input_size": 1,
    "num_time_features": 2,
    **ENCODER_DECODER,
}
PAST = {
    "past_values": drawn(2, 12),
    "past_time_features": drawn(2, 12, 2),
    "past_observed_mask": torch.ones(2, 12),
    "future_values": drawn(2, 4),
    "future_time_features": drawn(2, 4, 2),
}
CORRELATION = "its weights belong to delays, found by a Fourier transform"
BOTH = (
    ExpectedStack("model.encoder.layers.*.self_attn", "past", "encoder_attention_heads", "encoder_layers"),
    ExpectedStack("model.decoder.layers.*.self_attn", "future", "decoder_attention_heads", "decoder_layers"),
    ExpectedStack("model.decoder.layers.*.encoder_attn", "future", "decoder_attention_heads", "decoder_layers", "past"),
)
# fmt: off
BUILDS = (
    ModelBuild("Time Series Transformer", "TimeSeriesTransformerForPrediction", SERIES, PAST, {"past": 10,
        "future": 4}, BOTH),
    ModelBuild("Informer", "InformerForPrediction", SERIES | {"attention_type": "prob", "distil": False,
        "sampling_factor": 2}, PAST, {"past": 10, "future": 4}, BOTH, **EAGER),
    ModelBuild("Autoformer", "AutoformerForPrediction", SERIES | {"label_length": 4, "moving_average": 3,
        "autocorrelation_factor": 1}, PAST, {"past": 10, "future": 8},
        (ExpectedStack("model.encoder.layers.*.self_attn", "past", "encoder_attention_heads", "encoder_layers",
        why_left_out=CORRELATION), ExpectedStack("model.decoder.layers.*.self_attn", "future",
        "decoder_attention_heads", "decoder_layers", why_left_out=CORRELATION),
        ExpectedStack("model.decoder.layers.*.encoder_attn", "future", "decoder_attention_heads", "decoder_layers",
        "past", why_left_out=CORRELATION)), **EAGER),
    ModelBuild("PatchTST", "PatchTSTModel", {"num_input_channels": 3, "context_length": 32, "patch_length": 8,
        "patch_stride": 8, "d_model": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64},
        {"past_values": drawn(2, 32, 3)}, {"patches": 12}, (ExpectedStack("encoder.layers.*.self_attn", "patches",
        windows=runs(3, 4)),)),
    ModelBuild("TimesFM", "TimesFmModelForPrediction", {"patch_length": 8, "context_length": 32, "horizon_length": 8,
        "freq_size": 3, "hidden_size": 32, "intermediate_size": 64, "head_dim": 8, "num_hidden_layers": 2,
        "num_attention_heads": 4}, {"past_values": [drawn(32), drawn(32, seed=1)], "freq": [0, 0]}, {"patches": 4},
        (ExpectedStack("decoder.layers.*.self_attn", "patches"),)),
    ModelBuild("Decision Transformer", "DecisionTransformerModel", {"state_dim": 3, "act_dim": 2, "hidden_size": 32,
        "n_layer": 2, "n_head": 4, "max_ep_len": 20}, {"states": drawn(2, 5, 3), "actions": drawn(2, 5, 2),
        "rewards": drawn(2, 5, 1), "returns_to_go": drawn(2, 5, 1), "timesteps": torch.arange(5).repeat(2, 1),
        "attention_mask": torch.ones(2, 5, dtype=torch.long)}, {"steps": 15}, (ExpectedStack("encoder.h.*.attn",
        "steps", "n_head", "n_layer"),), pads=False),
)
