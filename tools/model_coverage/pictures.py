"""Towers for pictures and video: whole, in windows, in stages, with reduced keys, with learned queries."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tools.model_coverage.model_build import (
    ENCODER_DECODER,
    IMAGE,
    PATCHES,
    ExpectedStack,
    ModelBuild,
    Windows,
    drawn,
    picture,
    runs,
    token_ids,
)

SAMPLED = "a softmax over sampled points, not over tokens"
REDUCED = {"image": 64, "reduced": 16, "merged": 16}
PIXELS = {"pixel_values": picture()}
SEEN = {"image": PATCHES + 1}
SELF = "encoder.layer.*.attention.attention"
EAGER: dict[str, Any] = {"implementations": ("eager",)}


def square_windows(grid: int, window: int, shift: int = 0) -> Windows:
    """Returns windows of ``window`` patches a side; in odd layers the grid is rolled by ``shift`` first."""

    def windows(layer: int) -> NDArray[np.int64]:
        places = np.arange(grid * grid).reshape(grid, grid)
        if shift and layer % 2:
            places = np.roll(places, (-shift, -shift), (0, 1))
        count = grid // window
        return places.reshape(count, window, count, window).swapaxes(1, 2).reshape(count * count, window * window)

    return windows


def whole(size: int) -> Windows:
    """Returns a single window over the whole stream."""
    return lambda layer: np.arange(size)[None]


def mask_units(layer: int) -> NDArray[np.int64]:
    """Returns the units of Hiera, whose tokens lie four apart in its stream."""
    return np.arange(64).reshape(16, 4).T


def vit(
    family: str,
    model: str,
    path: str = "layers.*.attention",
    config: dict[str, Any] = IMAGE,
    tokens: int = PATCHES + 1,
    **more: Any,
) -> ModelBuild:
    return ModelBuild(
        family, model, config, more.pop("inputs", PIXELS), {"image": tokens}, (ExpectedStack(path, "image"),), **more
    )


RESNET = {
    "model_type": "resnet",
    "embedding_size": 8,
    "hidden_sizes": [8, 16],
    "depths": [1, 1],
    "out_features": ["stage2"],
    "layer_type": "basic",
}
DETR = {
    "use_timm_backbone": False,
    "use_pretrained_backbone": False,
    "backbone": None,
    "backbone_config": RESNET,
    **ENCODER_DECODER,
    "num_queries": 5,
}

# fmt: off
BUILDS = (
    vit("ViT", "ViTModel"),
    vit("DeiT", "DeiTModel", tokens=PATCHES + 2),
    vit("BEiT", "BeitModel"),
    vit("Data2Vec vision", "Data2VecVisionModel", SELF),
    vit("DINOv2", "Dinov2Model", "encoder.layer.*.attention"),
    vit("DINOv2 with registers", "Dinov2WithRegistersModel", "encoder.layer.*.attention",
        config=IMAGE | {"num_register_tokens": 3}, tokens=PATCHES + 4),
    vit("DINOv3 ViT", "DINOv3ViTModel", "model.layer.*.attention", config=IMAGE | {"num_register_tokens": 3},
        tokens=PATCHES + 4),
    vit("I-JEPA", "IJepaModel", tokens=PATCHES),
    vit("ViT-MSN", "ViTMSNModel"),
    vit("ViT-MAE", "ViTMAEModel", config=IMAGE | {"mask_ratio": 0.5, "decoder_hidden_size": 32},
        tokens=PATCHES // 2 + 1),
    vit("YOLOS", "YolosModel", SELF, config=IMAGE | {"image_size": [32, 32], "num_detection_tokens": 4},
        tokens=PATCHES + 5),
    vit("VideoMAE", "VideoMAEModel", SELF, config=IMAGE | {"num_frames": 4, "tubelet_size": 2},
        inputs={"pixel_values": drawn(2, 4, 3, 32, 32)}, tokens=2 * PATCHES),
    vit("ViViT", "VivitModel", config=IMAGE | {"num_frames": 4, "tubelet_size": [2, 8, 8]},
        inputs={"pixel_values": drawn(2, 4, 3, 32, 32)}, tokens=2 * PATCHES + 1),
    ModelBuild("TimeSformer", "TimesformerModel", IMAGE | {"num_frames": 4}, {"pixel_values": drawn(2, 4, 3, 32, 32)},
        {"tubes": 64, "frames": 68}, (ExpectedStack("encoder.layer.*.temporal_attention.attention", "tubes",
        windows=runs(16, 4)), ExpectedStack("encoder.layer.*.attention.attention", "frames", windows=runs(4, 17)))),
    ModelBuild("V-JEPA 2", "VJEPA2Model", IMAGE | {"crop_size": 32, "frames_per_clip": 4, "tubelet_size": 2,
        "pred_hidden_size": 32, "pred_num_attention_heads": 4, "pred_num_hidden_layers": 2},
        {"pixel_values_videos": drawn(2, 4, 3, 32, 32)}, {"tubes": 32, "predicted": 64},
        (ExpectedStack("encoder.layer.*.attention", "tubes"), ExpectedStack("predictor.layer.*.attention",
        "predicted", "pred_num_attention_heads", "pred_num_hidden_layers"))),
    ModelBuild("ViTDet", "VitDetModel", IMAGE | {"window_size": 2, "window_block_indices": [0]}, PIXELS,
        {"image": PATCHES}, (ExpectedStack("encoder.layer.*.attention", "image",
        windows=lambda layer: whole(16)(0) if layer else square_windows(4, 2)(0)),), **EAGER),
    ModelBuild("Swin", "SwinModel", {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [2, 1],
        "num_heads": [2, 4], "window_size": 4}, PIXELS, {"image": 64, "merged": 16}, (
        ExpectedStack("encoder.layers.0.blocks.*.attention", "image", "num_heads.0", "depths.0",
            windows=square_windows(8, 4, 2), tower="stages"),
        ExpectedStack("encoder.layers.1.blocks.*.attention", "merged", "num_heads.1", "depths.1", tower="stages"))),
    ModelBuild("Swin v2", "Swinv2Model", {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [2, 1],
        "num_heads": [2, 4], "window_size": 4}, PIXELS, {"image": 64, "merged": 16}, (
        ExpectedStack("encoder.layers.0.blocks.*.attention", "image", "num_heads.0", "depths.0",
            windows=square_windows(8, 4, 2), tower="stages"),
        ExpectedStack("encoder.layers.1.blocks.*.attention", "merged", "num_heads.1", "depths.1", tower="stages")),
            **EAGER),
    ModelBuild("Donut Swin", "DonutSwinModel", {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [2, 1],
        "num_heads": [2, 4], "window_size": 4}, PIXELS, {"image": 64, "merged": 16}, (
        ExpectedStack("encoder.layers.0.blocks.*.attention", "image", "num_heads.0", "depths.0",
            windows=square_windows(8, 4, 2), tower="stages"),
        ExpectedStack("encoder.layers.1.blocks.*.attention", "merged", "num_heads.1", "depths.1", tower="stages")),
            **EAGER),
    ModelBuild("Hiera", "HieraModel", {"image_size": [32, 32], "patch_size": [7, 7], "patch_stride": [4, 4],
        "patch_padding": [3, 3], "embed_dim": 16, "depths": [1, 2], "num_heads": [2, 4], "masked_unit_size": [4, 4],
        "masked_unit_attention": [True, False], "query_stride": [2, 2], "num_query_pool": 1,
        "embed_dim_multiplier": 2.0}, PIXELS, {"image": 64, "pooled": 16, "pooled, in units": 16},
        (ExpectedStack("encoder.stages.0.layers.*.attn", "image", "num_heads.0", "depths.0", windows=mask_units,
        own_axes=(0, 2, 1, 3, 4), tower="stages"),
        ExpectedStack("encoder.stages.1.layers.0.attn", "pooled, in units",
        "num_heads.1", 1, "image", tower="stages", own_axes=None), ExpectedStack("encoder.stages.1.layers.1.attn",
        "pooled", "num_heads.1", 1, tower="stages", own_axes=(0, 2, 1, 3, 4)))),
    ModelBuild("SAM", "SamModel", {"vision_config": IMAGE | {"output_channels": 16, "window_size": 2,
        "global_attn_indexes": [1], "mlp_dim": 64, "num_pos_feats": 8}, "prompt_encoder_config": {"hidden_size": 16,
        "image_size": 32, "patch_size": 8, "mask_input_channels": 4, "image_embedding_size": 4},
        "mask_decoder_config": {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "num_hidden_layers": 2,
        "iou_head_hidden_dim": 16, "attention_downsample_rate": 2}}, PIXELS | {"input_points": drawn(2, 1, 1, 2)},
        {"image": 16, "prompt": 7, "image, embedded": 16}, (ExpectedStack("vision_encoder.layers.*.attn", "image",
        "vision_config.num_attention_heads", "vision_config.num_hidden_layers",
        windows=lambda layer: whole(16)(0) if layer else square_windows(4, 2)(0)),
        ExpectedStack("mask_decoder.transformer.layers.*.self_attn", "prompt",
        "mask_decoder_config.num_attention_heads", "mask_decoder_config.num_hidden_layers"),
        ExpectedStack("mask_decoder.transformer.layers.*.cross_attn_token_to_image", "prompt",
        "mask_decoder_config.num_attention_heads", "mask_decoder_config.num_hidden_layers", "image, embedded"),
        ExpectedStack("mask_decoder.transformer.layers.*.cross_attn_image_to_token", "image, embedded",
        "mask_decoder_config.num_attention_heads", "mask_decoder_config.num_hidden_layers", "prompt"),
        ExpectedStack("mask_decoder.transformer.final_attn_token_to_image", "prompt",
        "mask_decoder_config.num_attention_heads", 1, "image, embedded"))),
    ModelBuild("PVT", "PvtModel", {"image_size": 32, "depths": [1, 1], "num_encoder_blocks": 2,
        "sequence_reduction_ratios": [2, 1], "hidden_sizes": [16, 32], "patch_sizes": [4, 2], "strides": [4, 2],
        "num_attention_heads": [2, 4], "mlp_ratios": [2, 2]}, PIXELS, REDUCED | {"merged": 17},
        (ExpectedStack("encoder.block.0.*.attention.self", "image", "num_attention_heads.0", "depths.0", "reduced",
        tower="stages"), ExpectedStack("encoder.block.1.*.attention.self", "merged", "num_attention_heads.1",
        "depths.1", tower="stages"))),
    ModelBuild("PVT v2", "PvtV2Model", {"image_size": 32, "depths": [1, 1], "num_encoder_blocks": 2, "sr_ratios": [2,
        1], "hidden_sizes": [16, 32], "patch_sizes": [7, 3], "strides": [4, 2], "num_attention_heads": [2, 4],
        "mlp_ratios": [2, 2]}, PIXELS, REDUCED, (ExpectedStack("encoder.layers.0.blocks.*.attention", "image",
        "num_attention_heads.0", "depths.0", "reduced", tower="stages"),
        ExpectedStack("encoder.layers.1.blocks.*.attention", "merged", "num_attention_heads.1", "depths.1",
        tower="stages")), **EAGER),
    ModelBuild("SegFormer", "SegformerModel", {"num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [2, 1],
        "hidden_sizes": [16, 32], "patch_sizes": [7, 3], "strides": [4, 2], "num_attention_heads": [2, 4],
        "mlp_ratios": [2, 2]}, PIXELS, REDUCED, (ExpectedStack("stages.0.blocks.*.attention", "image",
        "num_attention_heads.0", "depths.0", "reduced", tower="stages"), ExpectedStack("stages.1.blocks.*.attention",
        "merged", "num_attention_heads.1", "depths.1", tower="stages"))),
    ModelBuild("GLPN", "GLPNModel", {"num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [2, 1],
        "hidden_sizes": [16, 32], "patch_sizes": [7, 3], "strides": [4, 2], "num_attention_heads": [2, 4],
        "mlp_ratios": [2, 2]}, PIXELS, REDUCED, (ExpectedStack("encoder.block.0.*.attention.self", "image",
        "num_attention_heads.0", "depths.0", "reduced", tower="stages"),
        ExpectedStack("encoder.block.1.*.attention.self", "merged", "num_attention_heads.1", "depths.1",
        tower="stages")), **EAGER),
    ModelBuild("CvT", "CvtModel", {"patch_sizes": [7, 3], "patch_stride": [4, 2], "patch_padding": [2, 1],
        "embed_dim": [16, 32], "num_heads": [2, 4], "depth": [1, 2], "mlp_ratio": [2.0, 2.0],
        "attention_drop_rate": [0.0, 0.0], "drop_rate": [0.0, 0.0], "drop_path_rate": [0.0, 0.0], "qkv_bias": [True,
        True], "cls_token": [False, True], "qkv_projection_method": ["dw_bn", "dw_bn"], "kernel_qkv": [3, 3],
        "padding_kv": [1, 1], "stride_kv": [2, 2], "padding_q": [1, 1], "stride_q": [1, 1]}, PIXELS, {"image": 64,
        "reduced": 16, "merged": 17, "merged and reduced": 5},
        (ExpectedStack("encoder.stages.0.layers.*.attention.attention", "image", "num_heads.0", "depth.0", "reduced",
        tower="stages"), ExpectedStack("encoder.stages.1.layers.*.attention.attention", "merged", "num_heads.1",
        "depth.1", "merged and reduced", tower="stages")), **EAGER),
    ModelBuild("LeViT", "LevitModel", {"image_size": 64, "hidden_sizes": [16, 32], "num_attention_heads": [2, 4],
        "depths": [1, 1], "key_dim": [8, 8], "mlp_ratio": [2, 2], "attention_ratio": [2, 2],
        "down_ops": [["Subsample", 8, 2, 4, 2, 2], [""]]}, {"pixel_values": picture(64)}, {"image": 16, "fewer": 4,
        "fewer, of the image": 4}, (ExpectedStack("encoder.stages.0.layers.0.module", "image",
        "num_attention_heads.0", 1, tower="stages"), ExpectedStack("encoder.stages.0.layers.2", "fewer, of the image",
        2, 1, "image", tower="stages"), ExpectedStack("encoder.stages.1.layers.0.module", "fewer",
        "num_attention_heads.1", 1, tower="stages")), **EAGER),
    ModelBuild("MobileViT", "MobileViTModel", {"image_size": 64, "hidden_sizes": [16, 20, 24],
        "neck_hidden_sizes": [8, 8, 8, 8, 8, 8, 16], "num_attention_heads": 4}, {"pixel_values": picture(64)},
        {"pixels of 8×8": 64, "pixels of 4×4": 16, "pixels of 2×2": 4},
        (ExpectedStack("encoder.layer.2.transformer.layer.*.attention.attention", "pixels of 8×8", depth=2,
        windows=runs(4, 16), tower="stages"), ExpectedStack("encoder.layer.3.transformer.layer.*.attention.attention",
        "pixels of 4×4", depth=4, windows=runs(4, 4), tower="stages"),
        ExpectedStack("encoder.layer.4.transformer.layer.*.attention.attention", "pixels of 2×2", depth=3,
        windows=runs(4, 1), tower="stages")), **EAGER),
    ModelBuild("DPT", "DPTForDepthEstimation", IMAGE | {"is_hybrid": False, "num_hidden_layers": 4,
        "backbone_out_indices": [0, 1, 2, 3], "neck_hidden_sizes": [8, 8, 8, 8], "fusion_hidden_size": 8,
        "reassemble_factors": [4, 2, 1, 0.5], "neck_ignore_stages": []}, PIXELS, SEEN,
        (ExpectedStack("dpt.encoder.layer.*.attention.attention", "image"),)),
    ModelBuild("Depth Anything", "DepthAnythingForDepthEstimation", {"backbone_config": {"model_type": "dinov2",
        **IMAGE, "out_features": ["stage1", "stage2"], "reshape_hidden_states": False}, "reassemble_hidden_size": 32,
        "patch_size": 8, "neck_hidden_sizes": [8, 8], "fusion_hidden_size": 8, "reassemble_factors": [2, 1],
        "head_in_index": -1, "head_hidden_size": 8}, PIXELS, SEEN,
        (ExpectedStack("backbone.encoder.layer.*.attention", "image", 4, 2),)),
    ModelBuild("DETR", "DetrModel", DETR, {"pixel_values": picture()}, {"image": 16, "queries": 5},
        (ExpectedStack("encoder.layers.*.self_attn", "image", "encoder_attention_heads", "encoder_layers"),
        ExpectedStack("decoder.layers.*.self_attn", "queries", "decoder_attention_heads", "decoder_layers"),
        ExpectedStack("decoder.layers.*.encoder_attn", "queries", "decoder_attention_heads", "decoder_layers",
        "image")), spread=0.05),
    ModelBuild("Conditional DETR", "ConditionalDetrModel", DETR, {"pixel_values": picture()}, {"image": 16,
        "queries": 5}, (ExpectedStack("encoder.layers.*.self_attn", "image", "encoder_attention_heads",
        "encoder_layers"), ExpectedStack("decoder.layers.*.self_attn", "queries", "decoder_attention_heads",
        "decoder_layers"), ExpectedStack("decoder.layers.*.encoder_attn", "queries", "decoder_attention_heads",
        "decoder_layers", "image")), spread=0.05),
    ModelBuild("Deformable DETR", "DeformableDetrModel", DETR | {"num_feature_levels": 1},
        {"pixel_values": picture()}, {"image": 16, "queries": 5}, (ExpectedStack("encoder.layers.*.self_attn",
        "image", "encoder_attention_heads", "encoder_layers", why_left_out=SAMPLED),
        ExpectedStack("decoder.layers.*.self_attn", "queries", "decoder_attention_heads", "decoder_layers"),
        ExpectedStack("decoder.layers.*.encoder_attn", "queries", "decoder_attention_heads", "decoder_layers",
        why_left_out=SAMPLED)), spread=0.05),
    ModelBuild("RT-DETR", "RTDetrModel", {"backbone_config": {"model_type": "rt_detr_resnet", "embedding_size": 8,
        "hidden_sizes": [8, 16, 16], "depths": [1, 1, 1], "out_features": ["stage1", "stage2", "stage3"],
        "layer_type": "basic"}, "d_model": 32, "encoder_hidden_dim": 32, "encoder_in_channels": [8, 16, 16],
        "feat_strides": [4, 8, 16], "encode_proj_layers": [2], "encoder_layers": 1, "decoder_layers": 2,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
        "decoder_in_channels": [32, 32, 32], "num_queries": 5, "num_feature_levels": 3}, {"pixel_values": picture()},
        {"image": 4, "queries": 5}, (ExpectedStack("encoder.aifi.*.layers.*.self_attn", "image",
        "encoder_attention_heads", "encoder_layers"), ExpectedStack("decoder.layers.*.self_attn", "queries",
        "decoder_attention_heads", "decoder_layers"), ExpectedStack("decoder.layers.*.encoder_attn", "queries",
        "decoder_attention_heads", "decoder_layers", why_left_out=SAMPLED)), spread=0.05),
    ModelBuild("Mask2Former", "Mask2FormerModel", {"backbone_config": {"model_type": "swin", "image_size": 32,
        "patch_size": 4, "embed_dim": 16, "depths": [1, 1, 1, 1], "num_heads": [2, 2, 2, 2], "window_size": 2,
        "out_features": ["stage1", "stage2", "stage3", "stage4"]}, "feature_size": 32, "mask_feature_size": 32,
        "hidden_dim": 32, "encoder_feedforward_dim": 32, "dim_feedforward": 32, "encoder_layers": 1,
        "decoder_layers": 3, "num_attention_heads": 2, "num_queries": 5}, {"pixel_values": picture(64)},
        {"stage 0": 256, "stage 1": 64, "stage 2": 16, "stage 3": 4, "stage 2, decoded": 16,
        "stage 3, decoded": 4, "queries": 5},
        (ExpectedStack("pixel_level_module.encoder.swin.encoder.layers.0.blocks.*.attention", "stage 0", 2, 1,
        windows=square_windows(16, 2), tower="stages"),
        ExpectedStack("pixel_level_module.encoder.swin.encoder.layers.1.blocks.*.attention", "stage 1", 2, 1,
        windows=square_windows(8, 2), tower="stages"),
        ExpectedStack("pixel_level_module.encoder.swin.encoder.layers.2.blocks.*.attention", "stage 2", 2, 1,
        windows=square_windows(4, 2), tower="stages"),
        ExpectedStack("pixel_level_module.encoder.swin.encoder.layers.3.blocks.*.attention", "stage 3", 2, 1,
        windows=square_windows(2, 2), tower="stages"),
        ExpectedStack("pixel_level_module.decoder.encoder.layers.*.self_attn", "stage 1", 2, 1, why_left_out=SAMPLED),
        ExpectedStack("transformer_module.decoder.layers.0.cross_attn", "queries", 2, 1, "stage 3, decoded",
        tower="cross", own_axes=None), ExpectedStack("transformer_module.decoder.layers.1.cross_attn", "queries", 2,
        1, "stage 2, decoded", tower="cross", own_axes=None),
        ExpectedStack("transformer_module.decoder.layers.*.self_attn", "queries", 2,
        2)), **EAGER),
    ModelBuild("EoMT", "EomtForUniversalSegmentation", IMAGE | {"num_blocks": 1, "num_queries": 5,
        "num_register_tokens": 0, "num_upscale_blocks": 1}, PIXELS, {"image": 17, "with queries": 22},
        (ExpectedStack("layers.0.attention", "image", depth=1, tower="layers"), ExpectedStack("layers.1.attention",
        "with queries", depth=1, tower="layers"))),
    ModelBuild("ImageGPT", "ImageGPTModel", {"vocab_size": 20, "n_positions": 64, "n_embd": 32, "n_layer": 2,
        "n_head": 4}, {"input_ids": token_ids(16, lowest=0, highest=19)}, {"image": 16}, (ExpectedStack("h.*.attn",
        "image", "n_head", "n_layer"),), **EAGER),
    ModelBuild("ViTPose", "VitPoseForPoseEstimation", {"backbone_config": {"model_type": "vitpose_backbone", **IMAGE,
        "image_size": [32, 32], "patch_size": [8, 8], "out_features": ["stage2"]}, "num_labels": 3}, PIXELS,
        {"image": 16}, (ExpectedStack("backbone.encoder.layer.*.attention.attention", "image", 4, 2),)),
    ModelBuild("TrOCR", "VisionEncoderDecoderModel", {"encoder": {"model_type": "vit", **IMAGE},
        "decoder": {"model_type": "trocr", "vocab_size": 100, "d_model": 32, "decoder_layers": 2,
        "decoder_attention_heads": 4, "decoder_ffn_dim": 64, "max_position_embeddings": 64, "is_decoder": True,
        "add_cross_attention": True}, "decoder_start_token_id": 1, "pad_token_id": 0},
        PIXELS | {"decoder_input_ids": token_ids(5)}, {"image": 17, "decoded": 5},
        (ExpectedStack("encoder.layers.*.attention", "image", "encoder.num_attention_heads",
        "encoder.num_hidden_layers"), ExpectedStack("decoder.model.decoder.layers.*.self_attn", "decoded",
        "decoder.decoder_attention_heads", "decoder.decoder_layers"),
        ExpectedStack("decoder.model.decoder.layers.*.encoder_attn", "decoded", "decoder.decoder_attention_heads",
        "decoder.decoder_layers", "image")), **EAGER),
    ModelBuild("MGP-STR", "MgpstrForSceneTextRecognition", IMAGE | {"image_size": [32, 32], "max_token_length": 5,
        "num_character_labels": 10, "num_bpe_labels": 10, "num_wordpiece_labels": 10}, PIXELS,
        SEEN | {"char queries": 5, "bpe queries": 5, "wp queries": 5}, (ExpectedStack("mgp_str.encoder.blocks.*.attn",
        "image"), ExpectedStack("char_a3_module", "char queries", 1, 1, "image"), ExpectedStack("bpe_a3_module",
        "bpe queries", 1, 1, "image"), ExpectedStack("wp_a3_module", "wp queries", 1, 1, "image")), **EAGER),
    ModelBuild("Pix2Struct", "Pix2StructForConditionalGeneration", {"text_config": {"vocab_size": 100,
        "hidden_size": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0,
        "eos_token_id": 2, "pad_token_id": 0}, "vision_config": {"hidden_size": 32, "patch_embed_hidden_size": 12,
        "d_kv": 8, "d_ff": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "seq_len": 10}},
        {"flattened_patches": torch.cat([torch.arange(1, 10.0).view(1, 9, 1).expand(2, 9, 2) % 8, drawn(2, 9, 12)],
        -1), "decoder_input_ids": token_ids(5)}, {"image": 9, "decoded": 5},
        (ExpectedStack("encoder.encoder.layer.*.attention", "image", "vision_config.num_attention_heads",
        "vision_config.num_hidden_layers"), ExpectedStack("decoder.layer.*.self_attention.attention", "decoded",
        "text_config.num_heads", "text_config.num_layers"),
        ExpectedStack("decoder.layer.*.encoder_decoder_attention.attention", "decoded", "text_config.num_heads",
        "text_config.num_layers", "image")), **EAGER),
)
