"""Tiny random checkpoints of families that read pictures, saved with their real processors.

Those of `WITHOUT_TORCHVISION` load as they are. The processors of the others import torchvision, see
`torchvision_transforms`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tiny_checkpoints  # first: it sets what transformers reads
import transformers as hf
from tiny_checkpoints import (
    TILES,
    TINY,
    Pieces,
    chat,
    clip_pixels,
    speech_encoder,
    text_config,
    tokenizer,
    vision_config,
)
from tiny_sound_checkpoints import qwen3_omni as omni_without_video
from tokenizers import processors

ROPE: dict[str, Any] = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4}
QWEN = {
    "vision_start_token": "<|vision_start|>", "image_token": "<|image_pad|>", "video_token": "<|video_pad|>",
    "vision_end_token": "<|vision_end|>",
}  # fmt: skip
QWEN_CHAT = chat("<|vision_start|><|image_pad|><|vision_end|>", video="<|vision_start|><|video_pad|><|vision_end|>")
OMNI = {
    "vision_bos_token": "<|vision_bos|>", "vision_eos_token": "<|vision_eos|>", "image_token": "<|IMAGE|>",
    "video_token": "<|VIDEO|>", "audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>",
    "audio_token": "<|AUDIO|>",
}  # fmt: skip


def named_tokenizer(names: Mapping[str, str], more: Sequence[str] = ()) -> tuple[Pieces, dict[str, int]]:
    """Returns a tokenizer whose special tokens a processor knows by these names, and their ids by name."""
    pieces = tokenizer([*names.values(), *more], names)
    return pieces, {name: pieces.convert_tokens_to_ids(token) for name, token in names.items()}


def ids_of(ids: Mapping[str, int]) -> dict[str, int]:
    """Returns ids as configs name them, such as ``image_token_id``."""
    return {f"{name}_id": number for name, number in ids.items()}


def qwen_pixels(patch: int = 14) -> Any:
    """Returns the processor of Qwen's pictures, which keeps their shape."""
    area = (2 * patch) ** 2
    return hf.Qwen2VLImageProcessor(min_pixels=area * 4, max_pixels=area * 32, patch_size=patch)


def qwen_frames() -> Any:
    """Returns the processor of Qwen's videos, which joins two frames."""
    return hf.Qwen2VLVideoProcessor(min_pixels=28 * 28 * 4, max_pixels=28 * 28 * 32)


def qwen2_vl() -> tuple[Any, Any]:
    pieces, ids = named_tokenizer(QWEN)
    processor = hf.Qwen2VLProcessor(qwen_pixels(), pieces, qwen_frames(), QWEN_CHAT)
    vision = {
        "depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 4, "mlp_ratio": 2, "patch_size": 14,
        "spatial_merge_size": 2,
    }  # fmt: skip
    text = text_config(pieces, num_key_value_heads=2, rope_parameters=ROPE)
    config = hf.Qwen2VLConfig(text_config=text, vision_config=vision, **ids_of(ids))
    return hf.Qwen2VLForConditionalGeneration(config), processor


def windowed_tower(**more: Any) -> dict[str, Any]:
    """Returns the config of a tower whose first layer attends within windows."""
    return {
        "depth": 2, "hidden_size": 32, "out_hidden_size": 32, "num_heads": 4, "intermediate_size": 64, **more,
    }  # fmt: skip


def qwen2_5_vl() -> tuple[Any, Any]:
    pieces, ids = named_tokenizer(QWEN)
    processor = hf.Qwen2_5_VLProcessor(qwen_pixels(), pieces, qwen_frames(), QWEN_CHAT)
    text = text_config(pieces, num_key_value_heads=2, rope_parameters=ROPE)
    vision = windowed_tower(patch_size=14, window_size=56, fullatt_block_indexes=[1])
    config = hf.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **ids_of(ids))
    return hf.Qwen2_5_VLForConditionalGeneration(config), processor


def qwen3_vl() -> tuple[Any, Any]:
    pieces, ids = named_tokenizer(QWEN)
    processor = hf.Qwen3VLProcessor(
        qwen_pixels(16),
        pieces,
        hf.Qwen3VLVideoProcessor(size={"shortest_edge": 4096, "longest_edge": 131_072}),
        QWEN_CHAT,
    )
    rope = ROPE | {"mrope_interleaved": True}
    text = text_config(pieces, num_key_value_heads=2, head_dim=8, rope_parameters=rope)
    vision = windowed_tower(patch_size=16, num_position_embeddings=16, deepstack_visual_indexes=[0])
    config = hf.Qwen3VLConfig(text_config=text, vision_config=vision, **ids_of(ids))
    return hf.Qwen3VLForConditionalGeneration(config), processor


def qwen2_5_omni() -> tuple[Any, Any]:
    pieces, ids = named_tokenizer(OMNI)
    processor = hf.Qwen2_5OmniProcessor(
        qwen_pixels(), qwen_frames(), hf.WhisperFeatureExtractor(feature_size=16), pieces,
        chat_template=chat(
            "<|vision_bos|><|IMAGE|><|vision_eos|>", "<|audio_bos|><|AUDIO|><|audio_eos|>",
            "<|vision_bos|><|VIDEO|><|vision_eos|>",
        ),
    )  # fmt: skip
    numbers = {f"{kind}_token_{end}": ids[f"{kind}_token"] for kind in ("image", "video", "audio")
               for end in ("id", "index")}  # fmt: skip
    config = hf.Qwen2_5OmniThinkerConfig(
        audio_config={**speech_encoder(), "n_window": 100, "output_dim": 32},
        vision_config=windowed_tower(patch_size=14, window_size=56, fullatt_block_indexes=[1]),
        text_config=text_config(pieces, num_key_value_heads=2, rope_parameters=ROPE), position_id_per_seconds=25,
        vision_start_token_id=ids["vision_bos_token"], vision_end_token_id=ids["vision_eos_token"],
        audio_start_token_id=ids["audio_bos_token"], audio_end_token_id=ids["audio_eos_token"], **numbers,
    )  # fmt: skip
    return hf.Qwen2_5OmniThinkerForConditionalGeneration(config), processor


def qwen3_omni() -> tuple[Any, Any]:
    """Returns a model of large patches: whatever its settings, its processor scales videos to 131,072 pixels."""
    model, reader = omni_without_video(patch=32)
    processor = hf.Qwen3OmniMoeProcessor(
        qwen_pixels(32), hf.Qwen2VLVideoProcessor(patch_size=32), reader.feature_extractor, reader.tokenizer,
        chat_template=chat(
            "<|vision_bos|><|image_pad|><|vision_eos|>", "<|audio_bos|><|audio_pad|><|audio_eos|>",
            "<|vision_bos|><|video_pad|><|vision_eos|>",
        ),
    )  # fmt: skip
    return model, processor


def llava_onevision() -> tuple[Any, Any]:
    pieces, ids = named_tokenizer({"image_token": "<image>", "video_token": "<video>"})
    processor = hf.LlavaOnevisionProcessor(
        hf.LlavaOnevisionImageProcessor(size={"height": 32, "width": 32}, image_grid_pinpoints=TILES), pieces,
        hf.LlavaOnevisionVideoProcessor(size={"height": 32, "width": 32}), num_image_tokens=16,
        vision_feature_select_strategy="full", chat_template=chat("<image>", video="<video>"),
    )  # fmt: skip
    config = hf.LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **text_config(pieces, num_key_value_heads=2)},
        vision_config=vision_config("siglip_vision_model", vision_use_head=False), image_grid_pinpoints=TILES,
        image_token_index=ids["image_token"], image_token_id=ids["image_token"],
        video_token_index=ids["video_token"], video_token_id=ids["video_token"],
        vision_feature_select_strategy="full", vision_feature_layer=-1,
    )  # fmt: skip
    return hf.LlavaOnevisionForConditionalGeneration(config), processor


def internvl() -> tuple[Any, Any]:
    pieces, ids = named_tokenizer({
        "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    })  # fmt: skip
    processor = hf.InternVLProcessor(
        hf.GotOcr2ImageProcessor(size={"height": 32, "width": 32}, crop_to_patches=True, max_patches=4), pieces,
        hf.InternVLVideoProcessor(size={"height": 32, "width": 32}), image_seq_length=4,
        chat_template=chat("<IMG_CONTEXT>", video="<video>"),
    )  # fmt: skip
    config = hf.InternVLConfig(
        text_config={"model_type": "qwen2", **text_config(pieces, num_key_value_heads=2)},
        vision_config=vision_config("internvl_vision") | {"image_size": [32, 32], "patch_size": [8, 8]},
        image_token_id=ids["context_image_token"], image_seq_length=4,
    )  # fmt: skip
    return hf.InternVLForConditionalGeneration(config), processor


def smolvlm() -> tuple[Any, Any]:
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)]
    names = {
        "image_token": "<image>", "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
    }  # fmt: skip
    pieces, ids = named_tokenizer(names, ["<end_of_utterance>", *tiles])
    processor = hf.SmolVLMProcessor(
        hf.SmolVLMImageProcessor(size={"longest_edge": 128}, max_image_size={"longest_edge": 64}), pieces,
        hf.SmolVLMVideoProcessor(size={"longest_edge": 128}, max_image_size={"longest_edge": 64}), image_seq_len=16,
        chat_template=chat("<image>", video="<video>"),
    )  # fmt: skip
    config = hf.SmolVLMConfig(
        text_config={"model_type": "llama", **text_config(pieces)}, vision_config=vision_config("smolvlm_vision", 64),
        image_token_id=ids["image_token"], scale_factor=2,
    )  # fmt: skip
    return hf.SmolVLMForConditionalGeneration(config), processor


def pixtral() -> tuple[Any, Any]:
    pieces = tokenizer(["[IMG]", "[IMG_BREAK]", "[IMG_END]"])
    image = pieces.convert_tokens_to_ids("[IMG]")
    patch = {"height": 8, "width": 8}
    processor = hf.PixtralProcessor(
        hf.PixtralImageProcessor(size={"longest_edge": 64}, patch_size=patch), pieces, patch_size=8,
        image_token="[IMG]", image_break_token="[IMG_BREAK]", image_end_token="[IMG_END]", chat_template=chat("[IMG]"),
    )  # fmt: skip
    config = hf.LlavaConfig(
        text_config={"model_type": "mistral", **text_config(pieces, num_key_value_heads=2)},
        vision_config=vision_config("pixtral", 64), image_token_index=image, image_token_id=image,
        vision_feature_select_strategy="full", vision_feature_layer=-1,
    )  # fmt: skip
    return hf.LlavaForConditionalGeneration(config), processor


def blip2() -> tuple[Any, Any]:
    pieces = tokenizer(["<image>"])
    image = pieces.convert_tokens_to_ids("<image>")
    processor = hf.Blip2Processor(
        hf.BlipImageProcessorPil(size={"height": 32, "width": 32}), pieces, num_query_tokens=4
    )  # fmt: skip
    queries = TINY | {"encoder_hidden_size": 32, "cross_attention_frequency": 1, "vocab_size": 100}
    config = hf.Blip2Config(
        vision_config={"image_size": 32, "patch_size": 8, **TINY}, qformer_config=queries,
        text_config={"model_type": "opt", **text_config(pieces), "ffn_dim": 64, "word_embed_proj_dim": 32},
        num_query_tokens=4, image_token_index=image, image_text_hidden_size=16,
    )  # fmt: skip
    return hf.Blip2ForConditionalGeneration(config), processor


def mllama() -> tuple[Any, Any]:
    pieces, ids = named_tokenizer({"image_token": "<|image|>"})
    pixels = hf.MllamaImageProcessorPil(size={"height": 32, "width": 32}, max_image_tiles=4)
    processor = hf.MllamaProcessor(pixels, pieces, chat_template=chat("<|image|>"))
    vision = vision_config("mllama_vision_model") | {
        "attention_heads": 4, "num_global_layers": 1, "intermediate_layers_indices": [0], "vision_output_dim": 64,
    }  # fmt: skip
    text = text_config(pieces, num_key_value_heads=2, cross_attention_layers=[1]) | {"num_hidden_layers": 3}
    config = hf.MllamaConfig(
        text_config={"model_type": "mllama_text_model", **text}, vision_config=vision,
        image_token_index=ids["image_token"],
    )  # fmt: skip
    return hf.MllamaForConditionalGeneration(config), processor


def kosmos2() -> tuple[Any, Any]:
    pieces = tokenizer(["<unk>", *[f"<picture_{k}>" for k in range(64)]])
    pieces.unk_token = "<unk>"
    processor = hf.Kosmos2Processor(clip_pixels(), pieces, num_patch_index_tokens=4)
    text = {"vocab_size": len(pieces), "max_position_embeddings": 512, "embed_dim": 32, "layers": 2, "ffn_dim": 64,
            "attention_heads": 4, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}  # fmt: skip
    config = hf.Kosmos2Config(
        text_config=text, vision_config=vision_config("kosmos_2_vision_model"), latent_query_num=64
    )  # fmt: skip
    return hf.Kosmos2ForConditionalGeneration(config), processor


def florence2() -> tuple[Any, Any]:
    pieces, ids = named_tokenizer({"image_token": "<image>"})
    pixels = clip_pixels()
    pixels.image_seq_length = 17
    text = {
        "model_type": "bart", "vocab_size": len(pieces), "d_model": 32, "encoder_layers": 2, "decoder_layers": 2,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
        "max_position_embeddings": 256, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
        "decoder_start_token_id": 2, "forced_eos_token_id": None,
    }  # fmt: skip
    vision = {
        "depths": [1, 1], "patch_size": [7, 3], "patch_stride": [4, 2], "patch_padding": [3, 1],
        "patch_prenorm": [False, True], "embed_dim": [16, 32], "num_heads": [2, 4], "num_groups": [2, 4],
        "window_size": 4, "projection_dim": 32, "drop_path_rate": 0.0,
    }  # fmt: skip
    config = hf.Florence2Config(
        text_config=text, vision_config={"model_type": "florence_vision", **vision}, image_token_id=ids["image_token"],
    )  # fmt: skip
    return hf.Florence2ForConditionalGeneration(config), hf.Florence2Processor(pixels, pieces)


def blip() -> tuple[Any, Any]:
    pieces = tokenizer([])
    pieces.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    text = text_config(pieces, max_position_embeddings=128, sep_token_id=2, encoder_hidden_size=32)
    vision = vision_config("blip_vision_model")
    config = hf.BlipConfig(text_config=text, vision_config=vision, projection_dim=32, image_text_hidden_size=32)
    pixels = hf.BlipImageProcessorPil(size={"height": 32, "width": 32})
    return hf.BlipForQuestionAnswering(config), hf.BlipProcessor(pixels, pieces)


def minicpmv4_6() -> tuple[Any, Any]:
    names = {
        "image_token": "<|image|>", "video_token": "<|video|>", "image_start_token": "<image>",
        "image_end_token": "</image>", "slice_start_token": "<slice>", "slice_end_token": "</slice>",
        "image_id_start_token": "<image_id>", "image_id_end_token": "</image_id>",
    }  # fmt: skip
    pieces, ids = named_tokenizer(names)
    pixels = hf.MiniCPMV4_6ImageProcessor(patch_size=8, scale_resolution=64, max_slice_nums=4)
    video = hf.MiniCPMV4_6VideoProcessor(patch_size=8, scale_resolution=64)
    processor = hf.MiniCPMV4_6Processor(
        pixels, video, pieces, chat_template=chat("<|image|>", video="<|video|>")
    )  # fmt: skip
    text = text_config(pieces, num_key_value_heads=2, head_dim=16) | {
        "model_type": "qwen3_5_text", "layer_types": ["linear_attention", "full_attention"],
        "linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    }  # fmt: skip
    config = hf.MiniCPMV4_6Config(
        text_config=text, vision_config=vision_config("minicpmv4_6_vision", 64), insert_layer_id=0,
        image_token_id=ids["image_token"], video_token_id=ids["video_token"],
    )  # fmt: skip
    return hf.MiniCPMV4_6ForConditionalGeneration(config), processor


def gemma4() -> tuple[Any, Any]:
    names = {
        "image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>", "audio_token": "<|audio|>",
        "boa_token": "<|audio>", "eoa_token": "<audio|>",
    }  # fmt: skip
    pieces, ids = named_tokenizer(names, ["<|video|>"])
    processor = hf.Gemma4Processor(
        hf.Gemma4AudioFeatureExtractor(), hf.Gemma4ImageProcessor(patch_size=8, max_soft_tokens=70), pieces,
        hf.Gemma4VideoProcessor(patch_size=8, max_soft_tokens=70),
        chat_template=chat("<|image|>", "<|audio|>", "<|video|>"),
    )  # fmt: skip
    text = text_config(
        pieces, num_key_value_heads=2, head_dim=8, global_head_dim=8, hidden_size_per_layer_input=8,
        vocab_size_per_layer_input=len(pieces), layer_types=["sliding_attention", "full_attention"],
    )  # fmt: skip
    audio = {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "subsampling_conv_channels": [128, 4],
        "output_proj_dims": 32,
    }  # fmt: skip
    vision = {**TINY, "num_key_value_heads": 4, "head_dim": 8, "patch_size": 8, "position_embedding_size": 64}
    config = hf.Gemma4Config(
        text_config=text, vision_config=vision, audio_config=audio, boi_token_id=ids["boi_token"],
        eoi_token_id=ids["eoi_token"], boa_token_id=ids["boa_token"], eoa_token_index=ids["eoa_token"],
        image_token_id=ids["image_token"], audio_token_id=ids["audio_token"],
        video_token_id=pieces.convert_tokens_to_ids("<|video|>"),
    )  # fmt: skip
    return hf.Gemma4ForConditionalGeneration(config), processor


def phi4_multimodal() -> tuple[Any, Any]:
    pieces, ids = named_tokenizer({"image_token": "<|image|>", "audio_token": "<|audio|>"})
    pixels = hf.Phi4MultimodalImageProcessor(size={"height": 448, "width": 448}, patch_size=14, dynamic_hd=4)
    processor = hf.Phi4MultimodalProcessor(
        pixels, hf.Phi4MultimodalFeatureExtractor(), pieces, chat_template=chat("<|image|>", "<|audio|>")
    )  # fmt: skip
    vision = {**TINY, "image_size": 448, "patch_size": 14, "crop_size": 448, "image_token_id": ids["image_token"]}
    audio = {
        "hidden_size": 32, "intermediate_size": 64, "num_blocks": 2, "num_attention_heads": 4,
        "ext_pw_out_channel": 32, "depthwise_separable_out_channel": 32, "nemo_conv_channels": 8,
        "audio_token_id": ids["audio_token"],
    }  # fmt: skip
    config = hf.Phi4MultimodalConfig(
        **text_config(pieces, num_key_value_heads=2), vision_config=vision, audio_config=audio
    )  # fmt: skip
    return hf.Phi4MultimodalForCausalLM(config), processor


def attending_tower() -> str:
    """Returns the name under which timm knows a tower whose last stages attend, as that of Gemma 3n does."""
    from timm.models import is_model, register_model
    from timm.models.mobilenetv5 import MobileNetV5Encoder, decode_arch_def

    def tiny_mobilenetv5(pretrained: bool = False, **_: Any) -> Any:
        stages = [
            ["er_r1_k3_s2_e2_c16"], ["uir_r1_a3_k5_s2_e2_c16"],
            ["uir_r1_a5_k5_s2_e2_c32", "mqa_r1_k3_h2_v2_s1_d8_c32", "uir_r1_a0_k0_s1_e2_c32"],
            ["uir_r1_a5_k5_s2_e2_c32", "mqa_r1_k3_h4_s1_d8_c32", "uir_r1_a0_k0_s1_e2_c32"],
        ]  # fmt: skip
        return MobileNetV5Encoder(decode_arch_def(stages), stem_size=16, pad_type="same", msfa_output_resolution=4)

    tiny_mobilenetv5.__module__ = "timm.models.mobilenetv5"  # where timm looks for its settings
    name = tiny_mobilenetv5.__name__
    if not is_model(name):
        register_model(tiny_mobilenetv5)
    return name


def gemma3n(tower: str = "test_efficientnet", width: int = 256) -> tuple[Any, Any]:
    """A tower of convolutions by timm; pictures and sounds have ids beyond those of the text."""
    names = {
        "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "boa_token": "<start_of_audio>",
        "eoa_token": "<end_of_audio>", "image_token": "<image_soft_token>", "audio_token": "<audio_soft_token>",
    }  # fmt: skip
    pieces = tokenizer([*names.values()], names, are_last=True)
    ids = {name: pieces.convert_tokens_to_ids(token) for name, token in names.items()}
    processor = hf.Gemma3nProcessor(
        hf.Gemma3nAudioFeatureExtractor(), hf.SiglipImageProcessor(size={"height": 128, "width": 128}), pieces,
        chat_template=chat("<image_soft_token>", "<audio_soft_token>"), audio_seq_length=20, image_seq_length=16,
    )  # fmt: skip
    first = ids["image_token"]
    text = text_config(
        pieces, num_key_value_heads=2, head_dim=8, vocab_size_per_layer_input=first, hidden_size_per_layer_input=8,
        layer_types=["sliding_attention", "full_attention"] * 2, num_kv_shared_layers=2, laurel_rank=4,
        altup_num_inputs=2, activation_sparsity_pattern=[0.0] * 4,
    ) | {"num_hidden_layers": 4}  # fmt: skip
    vision = {"architecture": tower, "hidden_size": width, "vocab_size": 1, "vocab_offset": first}
    audio = {
        "vocab_size": 1, "vocab_offset": first + 1, "hidden_size": 32, "conf_num_attention_heads": 4,
        "conf_num_hidden_layers": 2, "sscp_conv_channel_size": [8, 4],
    }  # fmt: skip
    config = hf.Gemma3nConfig(
        text_config=text, vision_config=vision, audio_config=audio, vision_soft_tokens_per_image=16,
        audio_soft_tokens_per_image=20, **ids_of(ids),
    )  # fmt: skip
    return hf.Gemma3nForConditionalGeneration(config), processor


WITH_TIMM = {gemma3n.__name__: gemma3n}
"""Those whose towers are by timm, and whose processors need torchvision."""
WITHOUT_TORCHVISION = {build.__name__: build for build in (blip2, mllama, kosmos2, florence2, blip)}
WITH_TORCHVISION = {
    build.__name__: build
    for build in (
        qwen2_vl, qwen2_5_vl, qwen3_vl, qwen2_5_omni, qwen3_omni, llava_onevision, internvl, smolvlm, pixtral,
        minicpmv4_6, gemma4, phi4_multimodal,
    )
}  # fmt: skip


def save_checkpoint(name: str, folder: Path) -> Path:
    """Saves a checkpoint as `tiny_checkpoints.save_checkpoint` does."""
    tiny_checkpoints.BUILDS.update(WITHOUT_TORCHVISION | WITH_TORCHVISION | WITH_TIMM)
    return tiny_checkpoints.save_checkpoint(name, folder)
