"""All builds by area, and the twelve that the tests try."""

from __future__ import annotations

from tools.model_coverage import (
    audio_llms,
    build_variants,
    pictures,
    pictures_with_text,
    sounds,
    text_decoders,
    text_encoders,
    text_to_text,
    time_series_models,
    vision_llms,
)
from tools.model_coverage.model_build import ModelBuild

AREAS: dict[str, tuple[ModelBuild, ...]] = {
    "text": text_encoders.BUILDS + text_decoders.BUILDS + text_to_text.BUILDS,
    "pictures": pictures.BUILDS,
    "sounds": sounds.BUILDS,
    "mixed": pictures_with_text.BUILDS + vision_llms.BUILDS + audio_llms.BUILDS,
    "series": time_series_models.BUILDS,
    "special": build_variants.BUILDS,
}
"""Builds by area, in the order of the table."""

TESTED = (
    "BERT", "Llama", "gpt-oss", "T5", "Swin", "CLIP", "LLaVA", "Qwen2.5-VL", "Whisper", "Mllama", "BLIP-2",
    "Qwen2.5-Omni",
)  # fmt: skip
"""The families that the tests try."""


def build_of(family: str) -> ModelBuild:
    """Returns the build of a family. Raises ``KeyError`` where there is none."""
    return {build.family: build for builds in AREAS.values() for build in builds}[family]
