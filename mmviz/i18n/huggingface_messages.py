"""Sentences about checkpoints of Hugging Face."""

from __future__ import annotations

HUGGINGFACE_SENTENCES: dict[str, str] = {
    "hf-spec": "{spec!r} names no checkpoint. Write hf:OWNER/NAME, hf:OWNER/NAME@REVISION or hf:FOLDER.",
    "hf-folder": "There is no folder {folder!r}. Write hf:FOLDER with the folder of a checkpoint, or hf:OWNER/NAME "
    "for one of the Hugging Face hub.",
    "hf-extra": "Hugging Face models need transformers. Type: pip install 'mmviz[hf]'",
    "hf-family": "{name} is a model of the type {kind!r}, which mmviz cannot set up by itself. It knows: {known}. "
    "Any other torch model works as mmviz.CustomModel.",
    "hf-download": "Downloading {name}, {size}.",
    "hf-loading": "Loading {name}: {size} on disk, about {memory} of memory ({dtype} on {device}).",
    "hf-offline": "{name} is not on this disk, and the Hugging Face hub cannot be reached. Check the network, or "
    "download the checkpoint elsewhere and name its folder: hf:FOLDER.",
    "hf-login": "{name} is only for those who have accepted its licence. Accept it on its page of the Hugging Face "
    "hub, then type: hf auth login",
    "hf-unknown": "The Hugging Face hub has no {name} with the revision {revision}, or it is private. Check the "
    "name; for a private one type: hf auth login",
    "hf-disk": "{name} needs {size} of disk, and {free} are free.",
    "hf-memory": "{name} needs about {needed} of memory on {device}, and {free} are free. Choose a smaller model, "
    "or run it on another machine with mmviz serve.",
    "hf-pickle": "{name} has its weights as pickle files only, which can run any code when they are read. mmviz "
    "loads safetensors alone: choose a revision that has them, or convert it with save_pretrained.",
    "hf-no-weights": "{name} has no weights: the folder holds no file model.safetensors.",
    "hf-no-config": "{name} is no checkpoint: the file {file} is missing.",
    "hf-shard": "{name} is not whole: its index lists {file}, which is missing. Download it again.",
    "hf-damaged": "{name} is damaged: {file} cannot be read. Download it again.",
    "hf-incomplete": "{name} lacks {count} weights ({keys}), which would be random. It may be a checkpoint of "
    "another class.",
    "hf-package": "The processor of {name} needs {package}. Type: pip install {package}",
    "hf-load": "transformers cannot load {name}: {why}",
    "hf-template": "The chat template of this model cannot be filled in: {why}",
    "hf-processor": "The processor of this model cannot read these inputs: {why}",
    "hf-long": "The prompt has {count} tokens, and the answer may have {answer}; this model can read {limit}. "
    "Shorten the text, or give a smaller picture or a shorter sound.",
    "hf-places-lost": "Where the tokens of {stream} lie is not known: they come through {function}, which cannot be "
    "followed.",
    "hf-places-order": "Where the tokens of {stream} lie is not known: they are arranged in a way that cannot be "
    "followed.",
    "hf-unread": "{model} cannot read this modality, so it was left out: {modality}.",
    "hf-needs": "{model} needs this modality: {modality}. Add one and run again.",
    "gradients-large": "This model is too large for gradients here, so relevance was left out.",
    "options-model": "{model} has no setting {name!r}; only models that write their answer have settings.",
    "options-name": "{name!r} is no setting. There are: {known}.",
}
