"""Tiny random checkpoints of further families that read sounds, saved with their real processors."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tiny_checkpoints  # first: it sets what transformers reads
import torch
import transformers as hf
from tiny_checkpoints import Build, chat, seeded, text_config, tokenizer, vision_config
from torch import Tensor

from mmviz.models.huggingface.chat_model import ChatModel
from mmviz.models.huggingface.families import FAMILIES
from mmviz.types import Card

ENCODER: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_mel_bins": 16,
    "max_source_positions": 1500,
}  # fmt: skip
CONTROL = ["[INST]", "[/INST]", "[BEGIN_AUDIO]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"]


def moonshine() -> tuple[Any, Any]:
    pieces = tokenizer([])
    config = hf.MoonshineConfig(
        vocab_size=len(pieces), hidden_size=32, intermediate_size=64, encoder_num_hidden_layers=2,
        decoder_num_hidden_layers=2, encoder_num_attention_heads=4, decoder_num_attention_heads=4,
        max_position_embeddings=64, decoder_start_token_id=1, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    processor = hf.Wav2Vec2Processor(hf.Wav2Vec2FeatureExtractor(do_normalize=False), pieces)
    return hf.MoonshineForConditionalGeneration(config), processor


def clap() -> tuple[Any, Any]:
    pieces = tokenizer([])
    audio = {
        "spec_size": 32, "num_mel_bins": 8, "patch_size": 4, "patch_stride": [4, 4], "patch_embeds_hidden_size": 16,
        "window_size": 4, "depths": [2, 1], "num_attention_heads": [2, 4], "hidden_size": 32, "num_classes": 4,
        "enable_fusion": False, "num_hidden_layers": 2,
    }  # fmt: skip
    words = text_config(pieces, max_position_embeddings=80)
    config = hf.ClapConfig(text_config=words, audio_config=audio, projection_dim=16)
    extractor = hf.ClapFeatureExtractor(
        feature_size=8, hop_length=3840, max_length_s=10, fft_window_size=4096, truncation="rand_trunc"
    )  # fmt: skip
    return hf.ClapModel(config), hf.ClapProcessor(extractor, pieces)


def ast() -> tuple[Any, Any]:
    """Returns a model whose patches overlap in time and in frequency, in two rows."""
    sizes = {"max_length": 200, "num_mel_bins": 26}
    config = hf.ASTConfig(
        patch_size=16, frequency_stride=10, time_stride=10, **sizes, **tiny_checkpoints.LABELS, **tiny_checkpoints.TINY
    )  # fmt: skip
    return hf.ASTForAudioClassification(config), hf.ASTFeatureExtractor(**sizes)


def voxtral() -> tuple[Any, Any]:
    filler = [f"<{k}>" for k in range(24 - 3 - len(CONTROL))]
    pieces = tokenizer([*CONTROL, *filler, "[AUDIO]"])
    assert pieces.convert_tokens_to_ids("[AUDIO]") == 24, "where Voxtral's own tokenizer has it"
    text = {"model_type": "llama", **text_config(pieces, num_key_value_heads=2, head_dim=8)}
    config = hf.VoxtralConfig(audio_config=ENCODER | {"intermediate_size": 128}, text_config=text, audio_token_id=24)
    return hf.VoxtralForConditionalGeneration(config), hf.VoxtralProcessor(
        hf.WhisperFeatureExtractor(feature_size=16), pieces
    )


def granite_speech() -> tuple[Any, Any]:
    """Returns the model, and a processor with made-up features in place of those that torchaudio would make."""
    pieces = tokenizer(["<|audio|>"])
    encoder = {
        "input_dim": 16, "hidden_dim": 32, "num_heads": 4, "dim_head": 8, "num_layers": 2, "output_dim": 20,
        "context_size": 8, "max_pos_emb": 16, "conv_kernel_size": 3,
    }  # fmt: skip
    projector = {
        "model_type": "blip_2_qformer", **tiny_checkpoints.TINY, "encoder_hidden_size": 32,
        "cross_attention_frequency": 1, "vocab_size": 100,
    }  # fmt: skip
    config = hf.GraniteSpeechConfig(
        encoder_config=encoder, projector_config=projector, window_size=15, downsample_rate=5, has_lora_adapter=False,
        text_config={"model_type": "granite", **text_config(pieces, num_key_value_heads=2)},
        audio_token_index=pieces.convert_tokens_to_ids("<|audio|>"),
    )  # fmt: skip
    return hf.GraniteSpeechForConditionalGeneration(config), MadeUpGranite(pieces)


class MadeUpGranite:
    """Stands for Granite Speech's processor: the same inputs in the same shapes, with loudness for a spectrogram."""

    chat_template = None
    audio_token = "<|audio|>"

    def __init__(self, pieces: Any):
        self.tokenizer, self.audio_token_id = pieces, pieces.convert_tokens_to_ids(self.audio_token)
        self.audio_processor = SimpleNamespace(
            sampling_rate=16_000, feature_size=8, melspec_kwargs={"hop_length": 160}
        )  # fmt: skip

    def __call__(self, text: list[str], audio: Any = None, **options: Any) -> dict[str, Any]:
        if audio is None:
            return dict(self.tokenizer(text, **options))
        frames = len(audio) // 160 // 2 * 2
        loudness = torch.from_numpy(audio[: frames * 160]).reshape(frames, 160).std(1, keepdim=True)
        features = (loudness * torch.linspace(1, 2, 8)).reshape(1, frames // 2, 16)
        count = -(-(frames // 2) // 15) * 3
        batch: Any = self.tokenizer([text[0].replace(self.audio_token, self.audio_token * count)], **options)
        mask: Tensor = torch.ones(1, count, dtype=torch.bool)
        return {**batch, "input_features": features, "input_features_mask": mask}


class OmniWithoutVideo(hf.Qwen3OmniMoeProcessor):
    """The real processor, without the part for videos, which needs torchvision."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        return None if argument is None else super().check_argument_for_proper_class(argument_name, argument)


def qwen3_omni(patch: int = 8) -> tuple[Any, Any]:
    named = {f"{kind}_token": f"<|{kind}_pad|>" for kind in ("image", "video", "audio")} | {
        f"{kind}_{end}_token": f"<|{kind}_{end}|>" for kind in ("vision", "audio") for end in ("bos", "eos")
    }
    pieces = tokenizer([*named.values()], named)
    at = pieces.convert_tokens_to_ids
    rope = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10_000.0}
    text = {
        "model_type": "qwen3_omni_moe_text", **text_config(pieces, num_key_value_heads=2, head_dim=8), "num_experts": 4,
        "num_experts_per_tok": 2, "moe_intermediate_size": 16, "rope_parameters": rope,
    }  # fmt: skip
    audio = {
        **tiny_checkpoints.speech_encoder(), "n_window": 50, "n_window_infer": 400, "output_dim": 32,
        "downsample_hidden_size": 8, "conv_chunksize": 4,
    }  # fmt: skip
    vision = {
        **vision_config("qwen3_omni_moe_vision_encoder", patch_size=patch), "depth": 2, "num_heads": 4,
        "out_hidden_size": 32, "num_position_embeddings": 16, "deepstack_visual_indexes": [0], "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }  # fmt: skip
    ids = {
        "image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>", "audio_token_id": "<|audio_pad|>",
        "vision_start_token_id": "<|vision_bos|>", "vision_end_token_id": "<|vision_eos|>",
        "audio_start_token_id": "<|audio_bos|>", "audio_end_token_id": "<|audio_eos|>",
    }  # fmt: skip
    config = hf.Qwen3OmniMoeThinkerConfig(
        text_config=text, audio_config=audio, vision_config=vision, position_id_per_seconds=13,
        **{name: at(word) for name, word in ids.items()},
    )  # fmt: skip
    processor = OmniWithoutVideo(
        image_processor=hf.Qwen2VLImageProcessorPil(patch_size=8, merge_size=2, min_pixels=1024, max_pixels=4096),
        video_processor=None, feature_extractor=hf.WhisperFeatureExtractor(feature_size=16),
        tokenizer=pieces, chat_template=chat(audio="<|audio_bos|><|audio_pad|><|audio_eos|>"),
    )  # fmt: skip
    return hf.Qwen3OmniMoeThinkerForConditionalGeneration(config), processor


SOUND_BUILDS: dict[str, Build] = {build.__name__: build for build in (moonshine, clap, ast, voxtral)}
"""What builds each checkpoint that can be loaded here, by its name."""
SEEDS = {"ast": 5, "voxtral": 5}
"""Seeds of weights under which a beep changes the patch with its middle most, and fused and eager scores agree to 2e-6;
0 elsewhere."""
UNSAVED: dict[str, tuple[str, Build]] = {
    "granite_speech": ("granite_speech", granite_speech), "qwen3_omni": ("qwen3_omni_moe_thinker", qwen3_omni),
}  # fmt: skip
"""``model_type`` and build of those whose processor needs torchaudio or torchvision to be loaded."""


def unsaved_model(name: str) -> ChatModel:
    """Returns a model whose processor cannot be loaded from a folder here."""
    kind, build = UNSAVED[name]
    module, processor = seeded(build)
    return ChatModel(module, processor, FAMILIES[kind], Card(name, name, "", False, ("", ""), "0"), "cpu")


def save_sound_checkpoint(name: str, folder: Path) -> Path:
    """Saves a checkpoint with weights of a fixed seed into a folder of its name, and returns that."""
    model, processor = seeded(SOUND_BUILDS[name], SEEDS.get(name, 0))
    model.save_pretrained(folder / name)
    processor.save_pretrained(folder / name)
    return folder / name
