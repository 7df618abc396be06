"""Encoders of text."""

from __future__ import annotations

from tools.model_coverage.model_build import (
    IDS,
    LENGTH,
    TEXT,
    ExpectedStack,
    ModelBuild,
    drawn,
    runs,
    text,
)

STREAMS = {"text": LENGTH}
SELF = "encoder.layer.*.attention.self"
BERT = (ExpectedStack(SELF, "text"),)
WIDE = TEXT | {"max_position_embeddings": 80}
EAGER = ("eager",)
DIM = {"vocab_size": 100, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 64}
XLNET = {"vocab_size": 100, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64, **IDS}

# fmt: off
BUILDS = (
    ModelBuild("BERT", "BertModel", TEXT, text(), STREAMS, BERT),
    ModelBuild("RoBERTa", "RobertaModel", WIDE, text(), STREAMS, BERT),
    ModelBuild("XLM-RoBERTa", "XLMRobertaModel", WIDE, text(), STREAMS, BERT),
    ModelBuild(
        "ALBERT", "AlbertModel", TEXT | {"embedding_size": 16}, text(), STREAMS,
        (ExpectedStack("encoder.albert_layer_groups.0.albert_layers.0.attention", "text"),),
        note="one layer that runs twice",
    ),
    ModelBuild(
        "DistilBERT", "DistilBertModel", DIM, text(), STREAMS,
        (ExpectedStack("transformer.layer.*.attention", "text", "n_heads", "n_layers"),),
    ),
    ModelBuild("ELECTRA", "ElectraModel", TEXT | {"embedding_size": 16}, text(), STREAMS, BERT),
    ModelBuild("DeBERTa", "DebertaModel", TEXT, text(), STREAMS, BERT, implementations=EAGER),
    ModelBuild(
        "DeBERTa-v2", "DebertaV2Model", TEXT | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}, text(),
        STREAMS, BERT, implementations=EAGER, note="batch and heads in one axis (bmm)",
    ),
    ModelBuild(
        "MPNet", "MPNetModel", WIDE, text(), STREAMS, (ExpectedStack("encoder.layer.*.attention.attn", "text"),),
        implementations=EAGER,
    ),
    ModelBuild(
        "ModernBERT", "ModernBertModel",
        TEXT | {"cls_token_id": 1, "sep_token_id": 2, "global_attn_every_n_layers": 2, "local_attention": 4}, text(),
        STREAMS, (ExpectedStack("layers.*.attn", "text"),), note="local and global layers",
    ),
    ModelBuild(
        "XLNet", "XLNetModel", XLNET, text(), STREAMS, (ExpectedStack("layer.*.rel_attn", "text", "n_head", "n_layer",
            own_axes=(2, 3, 0, 1)),),
        implementations=EAGER, note="einsum",
    ),
    ModelBuild(
        "Funnel", "FunnelBaseModel",
        {"vocab_size": 100, "block_sizes": [2], "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 64}, text(),
        STREAMS, (ExpectedStack("encoder.blocks.0.*.attention", "text", "n_head", 2),), implementations=EAGER,
    ),
    ModelBuild(
        "Longformer", "LongformerModel", TEXT | {"attention_window": [4, 4], "max_position_embeddings": 80},
        text(12), {"text": 12}, (ExpectedStack(SELF, "text", why_left_out="its weights are of overlapping chunks"),),
        implementations=EAGER,
    ),
    ModelBuild(
        "BigBird, full", "BigBirdModel", TEXT | {"attention_type": "original_full"}, text(), STREAMS, BERT,
        implementations=EAGER,
    ),
    ModelBuild(
        "BigBird, blocks", "BigBirdModel",
        TEXT | {"attention_type": "block_sparse", "block_size": 4, "num_random_blocks": 1,
            "max_position_embeddings": 96},
        text(72), {"text": 72}, (ExpectedStack(SELF, "text", why_left_out="its softmaxes are of blocks"),),
        implementations=EAGER, pads=False,
    ),
    ModelBuild(
        "Nyströmformer", "NystromformerModel", TEXT | {"num_landmarks": 4, "segment_means_seq_len": 8}, text(8),
        {"text": 8, "landmarks of each layer": 4},
        (
            ExpectedStack(SELF, "landmarks of each layer", part=0, parts=3),
            ExpectedStack(SELF, "text", keys="landmarks of each layer", part=1, parts=3),
            ExpectedStack(SELF, "landmarks of each layer", keys="text", part=2, parts=3),
        ),
        implementations=EAGER, pads=False, note="a product of three softmaxes over tokens and landmarks",
    ),
    ModelBuild(
        "SqueezeBERT", "SqueezeBertModel", TEXT | {"embedding_size": 32, "q_groups": 2, "k_groups": 2, "v_groups": 2},
        text(), STREAMS, (ExpectedStack("encoder.layers.*.attention", "text"),), implementations=EAGER,
    ),
    ModelBuild(
        "ConvBERT", "ConvBertModel", TEXT | {"embedding_size": 16, "head_ratio": 2}, text(), STREAMS,
        (ExpectedStack(SELF, "text", 2),), implementations=EAGER,
        note="half the heads are attention, half are convolutions whose kernels are a softmax",
    ),
    ModelBuild(
        "RoFormer", "RoFormerModel", TEXT | {"embedding_size": 32}, text(), STREAMS, BERT, implementations=EAGER,
    ),
    ModelBuild(
        "MobileBERT", "MobileBertModel",
        TEXT | {"embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16,
            "num_feedforward_networks": 1},
        text(), STREAMS, BERT,
    ),
    ModelBuild("ESM", "EsmModel", TEXT | {"position_embedding_type": "rotary"}, text(), STREAMS, BERT),
    ModelBuild(
        "Perceiver", "PerceiverModel",
        {"d_model": 16, "d_latents": 16, "num_latents": 5, "num_blocks": 1, "num_self_attends_per_block": 2,
         "num_self_attention_heads": 4, "num_cross_attention_heads": 4, "qk_channels": 16, "v_channels": 16},
        {"inputs": drawn(2, LENGTH, 16)},
        {"array": LENGTH, "latents": 5},
        (
            ExpectedStack("encoder.cross_attention.attention.self", "latents", "num_cross_attention_heads", 1, "array"),
            ExpectedStack(
                "encoder.self_attends.*.attention.self", "latents", "num_self_attention_heads",
                "num_self_attends_per_block",
            ),
        ),
        implementations=EAGER, note="learned queries",
    ),
    ModelBuild(
        "CANINE", "CanineModel",
        TEXT | {"num_hash_functions": 2, "num_hash_buckets": 50, "local_transformer_stride": 4, "downsampling_rate": 4},
        text(12), {"text": 12, "molecules": 3},
        (
            ExpectedStack("initial_char_encoder.layer.*.attention.self", "text", depth=1, windows=runs(3, 4)),
            ExpectedStack(SELF, "molecules"),
            ExpectedStack("final_char_encoder.layer.*.attention.self", "text", depth=1),
        ),
        implementations=EAGER, note="local attention, calls of one module in turn",
    ),
    ModelBuild(
        "EuroBERT", "EuroBertModel", TEXT | {"num_key_value_heads": 2}, text(), STREAMS,
        (ExpectedStack("layers.*.self_attn", "text"),),
    ),
    ModelBuild(
        "Reformer", "ReformerModel",
        {"vocab_size": 100, "hidden_size": 32, "num_attention_heads": 4, "attention_head_size": 8,
            "attn_layers": ["lsh", "local"],
         "feed_forward_size": 64, "axial_pos_embds_dim": [16, 16], "axial_pos_shape": [4, 4], "is_decoder": True,
         "num_buckets": 2, "lsh_attn_chunk_length": 4, "local_attn_chunk_length": 4, **IDS},
        text(16), {"text": 16}, (ExpectedStack("encoder.layers.*.attention", "text", depth=2,
            why_left_out="hashed chunks whose softmax is exp(x - logsumexp)"),), implementations=EAGER,
    ),
    ModelBuild("XLM", "XLMModel", {"vocab_size": 100, "emb_dim": 32, "n_layers": 2, "n_heads": 4, "pad_index": 0,
        "use_lang_emb": False},
        text(), STREAMS, (ExpectedStack("attentions.*", "text", "n_heads", "n_layers"),), implementations=EAGER),
    ModelBuild("NomicBERT", "NomicBertModel", TEXT, text(), STREAMS, (ExpectedStack("layers.*.self_attn", "text"),)),
    ModelBuild("Data2Vec text", "Data2VecTextModel", WIDE, text(), STREAMS, BERT),
    ModelBuild("Megatron-BERT", "MegatronBertModel", TEXT, text(), STREAMS, BERT),
)
