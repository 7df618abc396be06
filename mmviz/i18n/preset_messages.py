"""Sentences about the checkpoints to begin with: what each costs, and what to expect of it."""

from __future__ import annotations

PRESET_SENTENCES: dict[str, str] = {
    "models-lesson": "A small convolution with one attention, which the lesson of the page Learn trains in about a "
    "minute, as mmviz train --model conv-attention does. It names ten drawn things; --model does not take it.",
    "models-disk": "Checkpoints of Hugging Face on this disk:",
    "models-presets": "Checkpoints to begin with; --model hf:NAME downloads one that is not on this disk:",
    "preset-size": "{family}, {millions:,.0f} million weights, {size} to download. Licence: {licence}.",
    "preset-on-disk": "{family}, {millions:,.0f} million weights, {size}, on this disk. Licence: {licence}.",
    "preset-gated": "Its licence must be accepted on its page of the hub before it can be downloaded.",
    "preset-memory": "Memory: {stored} as {dtype} on a GPU, {full} as float32 on a CPU.",
    "preset-fits": "Here: {memory} as {dtype} on {device}, of {free} that are free.",
    "preset-large": "Here: too large, since {free} are free on {device}.",
    "preset-whisper-tiny": "Writes down speech. Each word attends to moments of the sound, in windows of 30 seconds.",
    "preset-smolvlm-256m": "The smallest that answers questions about pictures: a laptop without a GPU is enough. "
    "A picture is read in tiles of 512 x 512 pixels, each of which becomes 64 tokens.",
    "preset-smolvlm-500m": "Twice the weights of smolvlm-256m and better answers, still for a laptop.",
    "preset-clip-base": "Tells how well a text fits a picture of 7 x 7 patches. It has no attention between the two, "
    "but similarities of patches and words.",
    "preset-siglip2-base": "As CLIP, for texts in many languages, with 14 x 14 patches.",
    "preset-qwen2-vl-2b": "Answers questions about pictures of any size, one token for 28 x 28 pixels. Wants a GPU.",
    "preset-gemma-3-4b": "Answers questions about pictures, each of which becomes 256 tokens. Wants a GPU.",
    "preset-gemma-4-e2b": "Reads pictures, sound and text in one prompt. Wants a GPU.",
    "preset-qwen2.5-omni-3b": "Reads pictures, sound and text in one prompt. Wants a GPU. Its part that writes text is "
    "loaded, not the one that speaks.",
}
