"""The families of models that are shown by their checkpoint alone: how each is prompted, and which class loads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Task = Literal["chat", "speech", "encoded", "matching", "labels"]
"""How a model is prompted.

``chat``: a prompt with pictures and sounds, which it continues. ``speech``: a sound, which it writes down.
``encoded``: a prompt that an encoder reads, and which a decoder answers.
``matching``: two encoders without attention across modalities, whose outputs are compared. ``labels``: one of the
labels in its config.
"""


@dataclass(frozen=True)
class Family:
    """One family of models."""

    title: str
    """The name for people, such as ``Qwen2-VL``."""
    task: Task
    """How a model of the family is prompted."""
    model_class: str
    """The class of transformers."""
    prompt: str = ""
    """The prompt of a checkpoint without a chat template: ``{image}``, ``{audio}`` and ``{text}`` stand for what is
    given; the first two become the processor's placeholders."""
    reads_image: bool = True
    """Whether it takes images."""
    reads_audio: bool = False
    """Whether it takes audio."""
    reads_text: bool = True
    """Whether it takes text."""
    required: tuple[str, ...] = ()
    """Modalities that it cannot do without."""
    pads_text: bool = False
    """Whether texts are padded to one length, as in training, since the model attends to their padding."""
    part: str = ""
    """How the names of the weights begin that the class takes of a checkpoint with more parts; "" for all of it."""
    has_bands: bool = False
    """Whether its tokens are patches of a spectrogram, each of a band of frequencies."""
    has_plain_messages: bool = False
    """Whether its chat template takes a message as a text with placeholders, not as a list of parts."""
    processor_calls: Callable[[Any], Any] | None = None
    """Wraps its processor so that it is called as those of other families are; None where no wrapper is needed."""
    has_grid: bool = False
    """Whether the tokens of a picture are a square grid, row by row, over all that its processor makes of it: where
    convolutions see most of the picture, they do not tell the place of a token."""
    packs_pictures: bool = False
    """Whether its processor puts pictures beside each other along the last axis of one tensor, those of a batch too."""
    takes_one: bool = False
    """Whether a chat takes one picture or sound at most."""
    adapts_to_sound: bool = False
    """Whether it has an adapter that is on where a prompt has a sound, and off where it has none. Its ``generate``
    switches it, and so leaves it as another prompt needed it."""
    counts_from_padding: bool = False
    """Whether the position of a text's first token is the one after the id of padding, as in RoBERTa, so that those up
    to it are never used."""
    answer_type: int = 0
    """The type (``token_type_ids``) of what it writes. Where 0 means that prompt tokens attend to each other both ways,
    tokens of the answer of that type would see the answer."""

    @property
    def takes_several(self) -> bool:
        """Whether a prompt may hold several pictures or sounds."""
        return self.task == "chat" and not self.takes_one


def _speech(title: str, model_class: str) -> Family:
    return Family(
        title, "speech", model_class, reads_image=False, reads_audio=True, reads_text=False, required=("audio",)
    )


def _voxtral_calls(processor: Any) -> Any:
    from mmviz.models.huggingface.voxtral_processor import VoxtralCalls  # which needs torch; this table does not

    return VoxtralCalls(processor)


FAMILIES = {
    "qwen2_vl": Family("Qwen2-VL", "chat", "Qwen2VLForConditionalGeneration"),
    "qwen2_5_vl": Family("Qwen2.5-VL", "chat", "Qwen2_5_VLForConditionalGeneration"),
    "qwen3_vl": Family("Qwen3-VL", "chat", "Qwen3VLForConditionalGeneration"),
    "qwen2_5_omni": Family(
        "Qwen2.5-Omni", "chat", "Qwen2_5OmniThinkerForConditionalGeneration", reads_audio=True, part="thinker."
    ),
    "qwen2_5_omni_thinker": Family(
        "Qwen2.5-Omni", "chat", "Qwen2_5OmniThinkerForConditionalGeneration", reads_audio=True
    ),
    "llava": Family("LLaVA", "chat", "LlavaForConditionalGeneration", "USER: {image}\n{text} ASSISTANT:"),
    "llava_next": Family("LLaVA-NeXT", "chat", "LlavaNextForConditionalGeneration", "[INST] {image}\n{text} [/INST]"),
    "llava_onevision": Family("LLaVA-OneVision", "chat", "LlavaOnevisionForConditionalGeneration"),
    "internvl": Family("InternVL", "chat", "InternVLForConditionalGeneration"),
    "idefics3": Family("Idefics 3", "chat", "Idefics3ForConditionalGeneration"),
    "smolvlm": Family("SmolVLM", "chat", "SmolVLMForConditionalGeneration"),
    "paligemma": Family(
        "PaliGemma", "chat", "PaliGemmaForConditionalGeneration", "{image}{text}", required=("image",), takes_one=True,
        answer_type=1,
    ),
    "gemma3": Family("Gemma 3", "chat", "Gemma3ForConditionalGeneration"),
    "pixtral": Family("Pixtral", "chat", "LlavaForConditionalGeneration"),
    "blip-2": Family(
        "BLIP-2", "chat", "Blip2ForConditionalGeneration", "Question: {text} Answer:", required=("image",),
        takes_one=True,
    ),
    "mllama": Family("Mllama", "chat", "MllamaForConditionalGeneration"),
    "minicpmv4_6": Family(
        "MiniCPM-V 4.6", "chat", "MiniCPMV4_6ForConditionalGeneration", packs_pictures=True
    ),
    "gemma3n": Family(
        "Gemma 3n", "chat", "Gemma3nForConditionalGeneration", reads_audio=True, has_grid=True
    ),
    "gemma4": Family("Gemma 4", "chat", "Gemma4ForConditionalGeneration", reads_audio=True),
    "phi4_multimodal": Family(
        "Phi-4-multimodal", "chat", "Phi4MultimodalForCausalLM", "<|user|>{image}{audio}{text}<|end|><|assistant|>",
        reads_audio=True,
    ),
    "kosmos-2": Family(
        "Kosmos-2", "chat", "Kosmos2ForConditionalGeneration", "Question: {text} Answer:", required=("image",),
        takes_one=True,
    ),
    "florence2": Family(
        "Florence-2", "encoded", "Florence2ForConditionalGeneration", "{text}", required=("image",)
    ),
    "blip": Family("BLIP", "encoded", "BlipForQuestionAnswering", "{text}", required=("image",)),
    "qwen2_audio": Family(
        "Qwen2-Audio", "chat", "Qwen2AudioForConditionalGeneration", "<|audio_bos|>{audio}<|audio_eos|>{text}",
        reads_image=False, reads_audio=True,
    ),
    "qwen3_omni_moe": Family(
        "Qwen3-Omni", "chat", "Qwen3OmniMoeThinkerForConditionalGeneration", reads_audio=True, part="thinker."
    ),
    "qwen3_omni_moe_thinker": Family(
        "Qwen3-Omni", "chat", "Qwen3OmniMoeThinkerForConditionalGeneration", reads_audio=True
    ),
    "granite_speech": Family(
        "Granite Speech", "chat", "GraniteSpeechForConditionalGeneration", "{audio}{text}", reads_image=False,
        reads_audio=True, has_plain_messages=True, takes_one=True, adapts_to_sound=True,
    ),
    "voxtral": Family(
        "Voxtral", "chat", "VoxtralForConditionalGeneration", "<s>[INST]{audio}{text}[/INST]", reads_image=False,
        reads_audio=True, processor_calls=_voxtral_calls,
    ),
    "moonshine": _speech("Moonshine", "MoonshineForConditionalGeneration"),
    "whisper": _speech("Whisper", "WhisperForConditionalGeneration"),
    "clip": Family("CLIP", "matching", "CLIPModel", required=("image", "text")),
    "siglip": Family("SigLIP", "matching", "SiglipModel", required=("image", "text"), pads_text=True),
    "siglip2": Family("SigLIP 2", "matching", "Siglip2Model", required=("image", "text"), pads_text=True),
    "vit": Family("ViT", "labels", "ViTForImageClassification", reads_text=False, required=("image",)),
    "dinov2": Family("DINOv2", "labels", "Dinov2ForImageClassification", reads_text=False, required=("image",)),
    "vilt": Family("ViLT", "labels", "ViltForQuestionAnswering", required=("image", "text")),
    "audio-spectrogram-transformer": Family(
        "AST", "labels", "ASTForAudioClassification", reads_image=False, reads_audio=True, reads_text=False,
        required=("audio",), has_bands=True,
    ),
    "clap": Family(
        "CLAP", "matching", "ClapModel", reads_image=False, reads_audio=True, required=("audio", "text"),
        has_bands=True, counts_from_padding=True,
    ),
}  # fmt: skip
"""The families by ``model_type`` of their config."""


def family_of(config: Mapping[str, Any]) -> Family | None:
    """Returns the family of a checkpoint by its config; None where it is not supported."""
    kind = str(config.get("model_type"))
    vision = config.get("vision_config")
    if kind == "llava" and isinstance(vision, Mapping) and vision.get("model_type") == "pixtral":
        kind = "pixtral"  # whose config is that of LLaVA
    return FAMILIES.get(kind)
