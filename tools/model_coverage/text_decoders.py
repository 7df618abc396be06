"""Decoders of text: attention to earlier tokens, whole and in steps of ``generate``."""

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
)

STREAMS = {"text": LENGTH}
LLAMA = "model.layers.*.self_attn"
GROUPED = TEXT | {"num_key_value_heads": 2, "head_dim": 8}
GPT = {"vocab_size": 100, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, **IDS}
EXPERTS = GROUPED | {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}


def decoder(
    family: str, model: str, config: Mapping[str, Any], path: str = LLAMA, heads: str | int = "num_attention_heads",
    depth: str | int = "num_hidden_layers", **more: Any,
) -> ModelBuild:  # fmt: skip
    """Returns a decoder with one stack."""
    stacks = (ExpectedStack(path, "text", heads, depth),)
    return ModelBuild(family, model, config, text(), STREAMS, stacks, **{"generates": True} | more)


EAGER: dict[str, Any] = {"implementations": ("eager",)}

# fmt: off
BUILDS = (
    decoder("GPT-2", "GPT2LMHeadModel", GPT, "transformer.h.*.attn", "n_head", "n_layer"),
    decoder("GPTBigCode", "GPTBigCodeForCausalLM", GPT, "transformer.h.*.attn", "n_head", "n_layer",
        note="one key head"),
    decoder(
        "GPT-Neo", "GPTNeoForCausalLM",
        {"vocab_size": 100, "hidden_size": 32, "num_layers": 2, "num_heads": 4, "attention_types": [[["global",
            "local"], 1]],
         "window_size": 4, "max_position_embeddings": 64, **IDS},
        "transformer.h.*.attn.attention", "num_heads", "num_layers", **EAGER, note="local and global layers",
    ),
    decoder("GPT-J", "GPTJForCausalLM", GPT | {"rotary_dim": 4}, "transformer.h.*.attn", "n_head", "n_layer", **EAGER),
    decoder("GPT-NeoX", "GPTNeoXForCausalLM", TEXT, "gpt_neox.layers.*.attention"),
    decoder("CodeGen", "CodeGenForCausalLM", GPT | {"rotary_dim": 4, "n_ctx": 64}, "transformer.h.*.attn", "n_head",
        "n_layer", **EAGER),
    decoder("OPT", "OPTForCausalLM", TEXT | {"ffn_dim": 64, "word_embed_proj_dim": 32},
        "model.decoder.layers.*.self_attn"),
    decoder("BLOOM", "BloomForCausalLM", {"vocab_size": 100, "hidden_size": 32, "n_layer": 2, "n_head": 4, **IDS},
        "transformer.h.*.self_attention", "n_head", "n_layer", **EAGER, note="baddbmm"),
    decoder("Falcon", "FalconForCausalLM", TEXT | {"new_decoder_architecture": False, "multi_query": True},
        "transformer.h.*.self_attention", note="one key head"),
    decoder("MPT", "MptForCausalLM", {"vocab_size": 100, "d_model": 32, "n_layers": 2, "n_heads": 4,
        "expansion_ratio": 2, "max_seq_len": 64, **IDS}, "transformer.blocks.*.attn", "n_heads", "n_layers", **EAGER),
    decoder("BioGPT", "BioGptForCausalLM", TEXT, "biogpt.layers.*.self_attn"),
    decoder("CTRL", "CTRLLMHeadModel", {"vocab_size": 100, "n_embd": 32, "n_layer": 2, "n_head": 4, "dff": 64,
        "n_positions": 64, **IDS}, "transformer.h.*.multi_head_attention", "n_head", "n_layer", **EAGER),
    decoder("XGLM", "XGLMForCausalLM", {"vocab_size": 100, "d_model": 32, "ffn_dim": 64, "num_layers": 2,
        "attention_heads": 4, "max_position_embeddings": 64, **IDS}, "model.layers.*.self_attn", "attention_heads",
        "num_layers"),
    decoder("Llama", "LlamaForCausalLM", GROUPED, note="grouped queries"),
    decoder("Mistral", "MistralForCausalLM", GROUPED | {"sliding_window": 4}, note="sliding window"),
    decoder("Mixtral", "MixtralForCausalLM", EXPERTS, note="experts"),
    decoder("Qwen2", "Qwen2ForCausalLM", GROUPED),
    decoder("Qwen2-MoE", "Qwen2MoeForCausalLM", EXPERTS | {"shared_expert_intermediate_size": 16}, note="experts"),
    decoder("Qwen3", "Qwen3ForCausalLM", GROUPED),
    decoder("Qwen3-MoE", "Qwen3MoeForCausalLM", EXPERTS, note="experts"),
    decoder("Qwen3-Next", "Qwen3NextForCausalLM", EXPERTS | {"shared_expert_intermediate_size": 16,
        "layer_types": ["linear_attention", "full_attention"], "linear_num_value_heads": 4, "linear_num_key_heads": 2,
        "linear_key_head_dim": 8, "linear_value_head_dim": 8}, "model.layers.*.self_attn", depth=1,
        note="gated delta rule beside attention"),
    decoder("Gemma", "GemmaForCausalLM", GROUPED | {"num_key_value_heads": 1}),
    decoder("Gemma 2", "Gemma2ForCausalLM", GROUPED | {"query_pre_attn_scalar": 8, "sliding_window": 4}, **EAGER,
        note="soft caps"),
    decoder("Gemma 3 text", "Gemma3ForCausalLM", GROUPED | {"query_pre_attn_scalar": 8, "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention"]}, note="sliding window"),
    decoder("gpt-oss", "GptOssForCausalLM", EXPERTS | {"sliding_window": 4, "layer_types": ["sliding_attention",
        "full_attention"]}, **EAGER, note="sinks"),
    decoder("Phi", "PhiForCausalLM", TEXT | {"partial_rotary_factor": 0.5}),
    decoder("Phi-3", "Phi3ForCausalLM", GROUPED),
    decoder("Cohere", "CohereForCausalLM", GROUPED),
    decoder("Cohere 2", "Cohere2ForCausalLM", GROUPED | {"sliding_window": 4}),
    decoder("OLMo 2", "Olmo2ForCausalLM", GROUPED),
    decoder("StableLM", "StableLmForCausalLM", GROUPED),
    decoder("StarCoder2", "Starcoder2ForCausalLM", GROUPED),
    decoder("Granite", "GraniteForCausalLM", GROUPED),
    decoder("SmolLM3", "SmolLM3ForCausalLM", GROUPED),
    decoder("GLM-4", "Glm4ForCausalLM", GROUPED),
    decoder("Nemotron", "NemotronForCausalLM", GROUPED, spread=0.1),
    decoder("Persimmon", "PersimmonForCausalLM", TEXT),
    decoder("DeepSeek-V3", "DeepseekV3ForCausalLM", EXPERTS | {"num_key_value_heads": 4, "n_routed_experts": 4,
        "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "q_lora_rank": 16, "kv_lora_rank": 16,
        "qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "v_head_dim": 8, "head_dim": 4}, note="latent keys"),
    decoder("DiffLlama", "DiffLlamaForCausalLM", GROUPED, note="differential attention"),
    decoder("Llama 4 text", "Llama4ForCausalLM", EXPERTS | {"intermediate_size_mlp": 64, "attention_chunk_size": 8,
        "num_local_experts": 2, "num_experts_per_tok": 1}, "model.layers.*.self_attn", note="experts, chunks"),
    decoder("Jamba", "JambaForCausalLM", EXPERTS | {"attn_layer_period": 2, "attn_layer_offset": 1,
        "use_mamba_kernels": False, "mamba_d_state": 4, "mamba_dt_rank": 4}, "model.layers.*.self_attn", depth=1,
        note="Mamba beside attention"),
    decoder("Zamba2", "Zamba2ForCausalLM", TEXT | {"attention_hidden_size": 64, "attention_head_dim": 16,
        "num_key_value_heads": 4, "mamba_d_state": 4, "mamba_headdim": 8, "n_mamba_heads": 8, "mamba_ngroups": 1,
        "hybrid_layer_ids": [1], "num_mem_blocks": 1, "use_mem_rope": True, "adapter_rank": 4,
        "layers_block_type": ["mamba", "hybrid"], "use_mamba_kernels": False},
        "model.layers.*.shared_transformer.self_attn", depth=1, note="Mamba beside attention"),
    decoder("Bamba", "BambaForCausalLM", GROUPED | {"attn_layer_indices": [1], "mamba_n_heads": 8, "mamba_d_head": 8,
        "mamba_d_state": 4, "mamba_n_groups": 1}, depth=1, note="Mamba beside attention"),
    decoder("Falcon-H1", "FalconH1ForCausalLM", GROUPED | {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8,
        "mamba_d_state": 4, "mamba_n_groups": 1}, note="Mamba beside attention"),
    decoder("RecurrentGemma", "RecurrentGemmaForCausalLM", GROUPED | {"num_key_value_heads": 1, "lru_width": 32,
        "block_types": ["recurrent", "attention"], "attention_window_size": 4}, "model.layers.*.temporal_block",
        depth=1),
    decoder("LFM2", "Lfm2ForCausalLM", GROUPED | {"layer_types": ["conv", "full_attention"]}, depth=1,
        note="convolutions beside attention"),
    decoder("MiniMax", "MiniMaxForCausalLM", EXPERTS | {"layer_types": ["linear_attention", "full_attention"],
        "block_size": 4}, depth=1, pads=False, note="lightning attention beside attention, which reads padding"),
)
