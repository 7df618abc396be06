"""Checkpoints of the Hugging Face hub to begin with, small ones first: what they cost, and under which licence."""

from __future__ import annotations

from dataclasses import dataclass

from mmviz.models.huggingface.families import FAMILIES, Family


@dataclass(frozen=True)
class Preset:
    """A checkpoint of the hub. Its sizes are those of its files there."""

    name: str
    """The short name: ``hf:NAME``."""
    repository: str
    """``OWNER/NAME``."""
    model_type: str
    """That of its config, a key of `FAMILIES`."""
    licence: str
    """SPDX identifier of its licence, or the name where it has none."""
    parameters: int
    """Number of weights of the part that is loaded, see `Family.part`."""
    disk_bytes: int
    """Size of all files of weights, in bytes."""
    dtype: str
    """The type of most weights, as safetensors names it."""
    is_gated: bool = False
    """Whether only those may download it who have accepted its licence."""

    @property
    def family(self) -> Family:
        """The family that it belongs to."""
        return FAMILIES[self.model_type]


PRESETS = tuple(
    preset
    for preset in (
        Preset("whisper-tiny", "openai/whisper-tiny", "whisper", "Apache-2.0", 37_760_640, 151_061_672, "F32"),
        Preset(
            "smolvlm-256m", "HuggingFaceTB/SmolVLM-256M-Instruct", "idefics3", "Apache-2.0", 256_484_928, 513_028_808,
            "BF16",
        ),
        Preset("clip-base", "openai/clip-vit-base-patch32", "clip", "MIT", 151_277_313, 605_157_884, "F32"),
        Preset(
            "smolvlm-500m", "HuggingFaceTB/SmolVLM-500M-Instruct", "idefics3", "Apache-2.0", 507_482_304, 1_015_025_832,
            "BF16",
        ),
        Preset(
            "siglip2-base", "google/siglip2-base-patch16-224", "siglip", "Apache-2.0", 375_187_970, 1_500_800_904, "F32"
        ),
        Preset(
            "qwen2-vl-2b", "Qwen/Qwen2-VL-2B-Instruct", "qwen2_vl", "Apache-2.0", 2_208_985_600, 4_418_050_768, "BF16"
        ),
        Preset(
            "gemma-3-4b", "google/gemma-3-4b-it", "gemma3", "Gemma Terms of Use", 4_300_079_472, 8_600_158_944, "BF16",
            is_gated=True,
        ),
        Preset(
            "gemma-4-e2b", "google/gemma-4-E2B-it", "gemma4", "Apache-2.0", 5_123_178_979, 10_246_621_918, "BF16"
        ),
        Preset(
            "qwen2.5-omni-3b", "Qwen/Qwen2.5-Omni-3B", "qwen2_5_omni", "Qwen Research License", 4_703_464_448,
            11_970_000_000, "BF16",
        ),
    )
    if preset.model_type in FAMILIES
)  # fmt: skip
"""The presets of supported families, by the size of what is downloaded."""


def preset_of(name: str) -> Preset | None:
    """Returns the preset of a short name; None where there is none."""
    return next((preset for preset in PRESETS if preset.name == name.lower()), None)
