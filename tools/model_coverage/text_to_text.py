"""Encoders with a decoder of text: their own attention, and from the decoder to the encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.model_coverage.model_build import (
    IDS,
    LENGTH,
    TEXT,
    ExpectedStack,
    ModelBuild,
    text,
    token_ids,
)

DECODED = 5
"""Tokens of the decoder."""
STREAMS = {"text": LENGTH, "decoded": DECODED}
NGRAMS = STREAMS | {"ngrams": 3 * DECODED, "ngrams, decoded": DECODED, "ngrams, predicted": 2 * DECODED}
INPUTS = text() | {"decoder_input_ids": token_ids(DECODED, seed=1)}
T5: dict[str, Any] = {
    "vocab_size": 100, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4,
    "decoder_start_token_id": 0, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
BART: dict[str, Any] = {
    "vocab_size": 100, "d_model": 32, "encoder_layers": 2, "decoder_layers": 3, "encoder_attention_heads": 4,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 64,
    "decoder_start_token_id": 1, "forced_eos_token_id": None, **IDS,
}  # fmt: skip
T5_STACKS = (
    ExpectedStack("encoder.block.*.layer.0.SelfAttention", "text", "num_heads", "num_layers"),
    ExpectedStack("decoder.block.*.layer.0.SelfAttention", "decoded", "num_heads", "num_decoder_layers"),
    ExpectedStack("decoder.block.*.layer.1.EncDecAttention", "decoded", "num_heads", "num_decoder_layers", "text"),
)


def bart_stacks(
    prefix: str = "model.", encoder: str = "self_attn", decoder: str = "self_attn", cross: str = "encoder_attn"
) -> tuple[ExpectedStack, ...]:
    """Returns the stacks of an encoder and a decoder, by the names of their modules."""
    heads, depth = "decoder_attention_heads", "decoder_layers"
    return (
        ExpectedStack(f"{prefix}encoder.layers.*.{encoder}", "text", "encoder_attention_heads", "encoder_layers"),
        ExpectedStack(f"{prefix}decoder.layers.*.{decoder}", "decoded", heads, depth),
        ExpectedStack(f"{prefix}decoder.layers.*.{cross}", "decoded", heads, depth, "text"),
    )


def translator(
    family: str, model: str, config: Mapping[str, Any], stacks: tuple[ExpectedStack, ...], **more: Any
) -> ModelBuild:  # fmt: skip
    """Returns a model that reads a text and writes one."""
    return ModelBuild(
        family, model, config, INPUTS, **{"streams": STREAMS, "stacks": stacks, "generates": True, "spread": 0.1} | more
    )


EAGER: dict[str, Any] = {"implementations": ("eager",)}
EQUAL = text() | {"decoder_input_ids": token_ids(LENGTH, seed=1)}

# fmt: off
BUILDS = (
    translator("T5", "T5ForConditionalGeneration", T5, T5_STACKS),
    ModelBuild(
        "T5, equal lengths", "T5ForConditionalGeneration", T5, EQUAL, {"text": LENGTH, "decoded": LENGTH}, T5_STACKS,
            spread=0.1,
    ),
    translator("mT5", "MT5ForConditionalGeneration", T5, T5_STACKS),
    translator("UMT5", "UMT5ForConditionalGeneration", T5, T5_STACKS),
    translator("LongT5", "LongT5ForConditionalGeneration", T5 | {"local_radius": 3,
        "encoder_attention_type": "local"}, (
        ExpectedStack("encoder.block.*.layer.0.LocalSelfAttention", "text", "num_heads", "num_layers",
            own_axes=None), *T5_STACKS[1:]), note="blocks that attend to their neighbours, too", **EAGER),
    translator("Switch Transformers", "SwitchTransformersForConditionalGeneration", T5 | {"num_decoder_layers": 2,
        "num_experts": 4, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1}, T5_STACKS, **EAGER,
        note="experts"),
    translator("BART", "BartForConditionalGeneration", BART, bart_stacks()),
    translator("mBART", "MBartForConditionalGeneration", BART, bart_stacks()),
    translator("Pegasus", "PegasusForConditionalGeneration", BART, bart_stacks()),
    translator("Marian", "MarianMTModel", BART, bart_stacks()),
    translator("M2M-100", "M2M100ForConditionalGeneration", BART, bart_stacks()),
    translator("NLLB-MoE", "NllbMoeForConditionalGeneration", BART | {"num_experts": 4, "encoder_sparse_step": 2,
        "decoder_sparse_step": 2, "expert_capacity": 8}, bart_stacks(cross="cross_attention"), **EAGER,
        note="experts"),
    translator("Blenderbot", "BlenderbotForConditionalGeneration", BART, bart_stacks()),
    translator("LED", "LEDForConditionalGeneration", BART | {"attention_window": 4,
        "max_encoder_position_embeddings": 64, "max_decoder_position_embeddings": 64}, (
        ExpectedStack("led.encoder.layers.*.self_attn.longformer_self_attn", "text", "encoder_attention_heads",
            "encoder_layers", why_left_out="its weights are of overlapping chunks"),
        *bart_stacks("led.")[1:]), **EAGER, pads=False),
    translator("ProphetNet", "ProphetNetForConditionalGeneration", {"vocab_size": 100, "hidden_size": 32,
        "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "num_encoder_layers": 2, "num_decoder_layers": 2,
        "num_encoder_attention_heads": 4, "num_decoder_attention_heads": 4, "max_position_embeddings": 64,
        "decoder_start_token_id": 1, "ngram": 2, **IDS}, (ExpectedStack("prophetnet.encoder.layers.*.self_attn",
        "text", "num_encoder_attention_heads", "num_encoder_layers"),
        ExpectedStack("prophetnet.decoder.layers.*.self_attn", "ngrams, decoded", "num_decoder_attention_heads",
        "num_decoder_layers", part=0, parts=2), ExpectedStack("prophetnet.decoder.layers.*.self_attn",
        "ngrams, predicted", "num_decoder_attention_heads", "num_decoder_layers", "ngrams", part=1, parts=2,
        own_axes=None),
        ExpectedStack("prophetnet.decoder.layers.*.cross_attn", "ngrams", "num_decoder_attention_heads",
        "num_decoder_layers", "text")), streams=NGRAMS, **EAGER),
    translator("T5Gemma", "T5GemmaForConditionalGeneration", {"encoder": {"vocab_size": 100, "hidden_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "intermediate_size": 64, "sliding_window": 4, "query_pre_attn_scalar": 8, **IDS},
        "decoder": {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 64, "sliding_window": 4,
        "query_pre_attn_scalar": 8, "cross_attention_hidden_size": 32, **IDS}, **IDS}, (
        ExpectedStack("model.encoder.layers.*.self_attn", "text", "encoder.num_attention_heads",
            "encoder.num_hidden_layers"),
        ExpectedStack("model.decoder.layers.*.self_attn", "decoded", "decoder.num_attention_heads",
            "decoder.num_hidden_layers"),
        ExpectedStack("model.decoder.layers.*.cross_attn", "decoded", "decoder.num_attention_heads",
            "decoder.num_hidden_layers", "text")), **EAGER, generate_options={"decoder_start_token_id": 1}),
    ModelBuild("Encoder-decoder of two BERTs", "EncoderDecoderModel", {"encoder": {"model_type": "bert", **TEXT},
        "decoder": {"model_type": "bert", "is_decoder": True, "add_cross_attention": True, **TEXT},
        "decoder_start_token_id": 1, **IDS}, INPUTS, STREAMS, (
        ExpectedStack("encoder.encoder.layer.*.attention.self", "text", "encoder.num_attention_heads",
            "encoder.num_hidden_layers"),
        ExpectedStack("decoder.bert.encoder.layer.*.attention.self", "decoded", "decoder.num_attention_heads",
            "decoder.num_hidden_layers"),
        ExpectedStack("decoder.bert.encoder.layer.*.crossattention.self", "decoded", "decoder.num_attention_heads",
            "decoder.num_hidden_layers", "text")), generates=True),
)
