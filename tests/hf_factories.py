"""Tiny random models of Hugging Face as a user would make them his own: Qwen2.5-Omni's thinker, CLIP and Whisper."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import eager_attention  # noqa: F401  # first: it sets what transformers reads
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPImageProcessorPil,
    CLIPModel,
    PreTrainedTokenizerFast,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
)

import mmviz
from mmviz import Chars, Modality, PixelBox, Sample, Seconds, Token

SPECIAL = (
    "<|pad|>", "<|bos|>", "<|eos|>", "<|vision_bos|>", "<|vision_eos|>", "<|IMAGE|>", "<|VIDEO|>", "<|audio_bos|>",
    "<|audio_eos|>", "<|AUDIO|>",
)  # fmt: skip
NAMED = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
WIDTHS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
Tokens = Sequence[Token] | Mapping[str, Sequence[Token]]


class OwnModel(NamedTuple):
    """The module of Hugging Face, what prepares its inputs and tokens, and both as a model of one's own."""

    module: nn.Module
    prepare: Callable[[Sample], tuple[dict[str, Any], Tokens]]
    own: mmviz.CustomModel


def tokenizer() -> Any:
    """A byte a token, and the special ones."""
    vocabulary = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    pieces = Tokenizer(models.BPE({piece: k for k, piece in enumerate(vocabulary)}, []))
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces, pad_token=SPECIAL[0], additional_special_tokens=list(SPECIAL[1:])
    )


def patches(sample: Sample, rows: int, columns: int) -> list[Token]:
    """Patches of the picture, row by row."""
    assert sample.image is not None
    wide, high = sample.image.width / columns, sample.image.height / rows
    return [
        Token(Modality.IMAGE, f"patch {r}, {c}", PixelBox(c * wide, r * high, (c + 1) * wide, (r + 1) * high))
        for r in range(rows)
        for c in range(columns)
    ]


def thinker(pieces: Any) -> nn.Module:
    """Two layers in each tower and in the language model; pictures in windows of four patches a side."""
    at = {name: k for k, name in enumerate(SPECIAL)}
    text = WIDTHS | NAMED | {
        "num_key_value_heads": 2, "vocab_size": len(pieces), "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4},
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 32, "out_hidden_size": 32, "num_heads": 4, "intermediate_size": 64,
        "patch_size": 14, "window_size": 56, "fullatt_block_indexes": [1],
    }  # fmt: skip
    audio = {
        "num_mel_bins": 16, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 64, "d_model": 32,
        "max_source_positions": 1500, "n_window": 100, "output_dim": 32,
    }  # fmt: skip
    kinds = {f"{kind}_token_{key}": at[f"<|{kind.upper()}|>"] for kind in ("image", "video", "audio")
             for key in ("id", "index")}  # fmt: skip
    edges = {f"{kind}_{side}_token_id": at[f"<|{kind}_{short}|>"] for kind in ("vision", "audio")
             for side, short in (("start", "bos"), ("end", "eos"))}  # fmt: skip
    torch.manual_seed(0)
    return Qwen2_5OmniThinkerForConditionalGeneration(Qwen2_5OmniThinkerConfig(
        audio_config=audio, vision_config=vision, text_config=text, position_id_per_seconds=25, **kinds, **edges
    )).eval()  # fmt: skip


def omni() -> OwnModel:
    """Picture, sound and text in one stream, which ends with a special token that asks for the answer."""
    pieces = tokenizer()
    images = Qwen2VLImageProcessorPil(min_pixels=28 * 28 * 4, max_pixels=28 * 28 * 64)
    sounds = WhisperFeatureExtractor(feature_size=16)

    def prepare(sample: Sample) -> tuple[dict[str, Any], list[Token]]:
        tokens: list[Token] = []
        names: list[str] = []
        inputs: dict[str, Any] = {}

        def add(kind: str, placeholder: str, some: Sequence[Token]) -> None:
            edges = [f"<|{kind}_bos|>", f"<|{kind}_eos|>"]
            names.extend([edges[0], *[placeholder] * len(some), edges[1]])
            tokens.extend([Token(Modality.SPECIAL, edges[0]), *some, Token(Modality.SPECIAL, edges[1])])

        if sample.image is not None:
            inputs |= images(images=[sample.image.pixels], return_tensors="pt")
            _, rows, columns = inputs["image_grid_thw"][0].tolist()
            add("vision", "<|IMAGE|>", patches(sample, rows // 2, columns // 2))
        if sample.audio is not None:
            frames = sounds(
                sample.audio.wave, sampling_rate=sample.audio.rate, padding="max_length", return_attention_mask=True,
                return_tensors="pt",
            )  # fmt: skip
            inputs |= {
                "input_features": frames["input_features"], "feature_attention_mask": frames["attention_mask"],
            }  # fmt: skip
            count = ((int(frames["attention_mask"].sum()) - 1) // 2 - 1) // 2 + 1
            moments = [Token(Modality.AUDIO, f"{k / 25:.2f} s", Seconds(k / 25, (k + 1) / 25)) for k in range(count)]
            add("audio", "<|AUDIO|>", moments)
        text = sample.text or ""
        encoded = pieces(text, return_offsets_mapping=True, add_special_tokens=False)
        tokens += [Token(Modality.TEXT, text[a:b], Chars(a, b)) for a, b in encoded["offset_mapping"]]
        tokens.append(Token(Modality.SPECIAL, "<|bos|>"))
        ids = [*pieces.convert_tokens_to_ids(names), *encoded["input_ids"], 1]
        inputs |= {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
        return inputs, tokens

    module = thinker(pieces)
    answers = [pieces.decode([k]) or f"#{k}" for k in range(len(pieces))]
    own = mmviz.CustomModel(
        module, prepare, answers, trained=False, name="tiny omni", logits=lambda output: output.logits[:, -1]
    )
    return OwnModel(module, prepare, own)


class Fits(nn.Module):
    """How well each text fits the picture."""

    def __init__(self, clip: CLIPModel) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, **inputs: Any) -> torch.Tensor:
        logits: torch.Tensor = self.clip(**inputs).logits_per_image
        return logits


def clip(texts: Sequence[str] = ()) -> OwnModel:
    """A tower for the picture and one for the text; ``texts`` of one length as answers, each a row of its own."""
    pieces = tokenizer()
    text = WIDTHS | NAMED | {"vocab_size": len(pieces), "max_position_embeddings": 64}
    vision = WIDTHS | {"image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    module = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).eval()
    size = {"height": 32, "width": 32}
    images = CLIPImageProcessorPil(size=size, crop_size=size, do_center_crop=False)

    def prepare(sample: Sample) -> tuple[dict[str, Any], dict[str, list[Token]]]:
        assert sample.image is not None
        said = list(texts) or [sample.text or "nothing"]
        encoded = pieces([text + "<|eos|>" for text in said], return_offsets_mapping=True)
        looked_at = [Token(Modality.SPECIAL, "[CLS]"), *patches(sample, 4, 4)]
        words = [
            Token(Modality.TEXT, said[0][a:b], Chars(a, b)) if b <= len(said[0]) else Token(Modality.SPECIAL, "[EOS]")
            for a, b in encoded["offset_mapping"][0]
        ]
        inputs = dict(images(images=[sample.image.pixels], return_tensors="pt"))
        inputs["input_ids"] = torch.tensor(encoded["input_ids"])
        return inputs, {"picture": looked_at, "text": words}

    own = mmviz.CustomModel(Fits(module), prepare, list(texts) or ["fits"], trained=False, name="tiny clip")
    return OwnModel(module, prepare, own)


def whisper(frames: int = 100) -> OwnModel:
    """A sound of ``frames`` moments of 20 ms, and what is said of it, twelve pieces."""
    pieces = tokenizer()
    torch.manual_seed(0)
    module = WhisperForConditionalGeneration(WhisperConfig(
        vocab_size=len(pieces), d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, num_mel_bins=16,
        max_source_positions=frames, max_target_positions=64, decoder_start_token_id=1, suppress_tokens=[],
        begin_suppress_tokens=[], **NAMED,
    )).eval()  # fmt: skip
    sounds = WhisperFeatureExtractor(feature_size=16, chunk_length=math.ceil(frames / 50))

    def prepare(sample: Sample) -> tuple[dict[str, Any], dict[str, list[Token]]]:
        assert sample.audio is not None
        inputs = sounds(sample.audio.wave, sampling_rate=sample.audio.rate, return_tensors="pt")["input_features"]
        with torch.no_grad():
            said = module.generate(inputs, max_new_tokens=12, min_new_tokens=12, do_sample=False)
        if said[0, 0] != 1:
            said = torch.cat([torch.tensor([[1]]), said], 1)
        moments = []
        for k in range(frames):
            start, end = k / 50, min((k + 1) / 50, sample.audio.seconds)
            moment = Token(Modality.AUDIO, f"{start:.2f} s", Seconds(start, end)) if start < end else None
            moments.append(moment or Token(Modality.SPECIAL, "padding"))
        words = [Token(Modality.TEXT, f"piece {k}: {pieces.decode([int(said[0, k])])}") for k in range(1, len(said[0]))]
        asking = [Token(Modality.SPECIAL, "<start>"), *words[:-1]]
        return {"input_features": inputs, "decoder_input_ids": said[:, :-1]}, {"memory": moments, "tokens": asking}

    answers = [pieces.decode([k]) or f"#{k}" for k in range(len(pieces))]
    own = mmviz.CustomModel(
        module, prepare, answers, trained=False, name="tiny whisper", logits=lambda output: output.logits[:, -1]
    )
    return OwnModel(module, prepare, own)
