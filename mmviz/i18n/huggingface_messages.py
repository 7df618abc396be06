"""Sentences about checkpoints of Hugging Face."""

from __future__ import annotations

HUGGINGFACE_SENTENCES: dict[str, str] = {
    "hf-spec": "{spec!r} names no checkpoint. Write hf:OWNER/NAME, hf:OWNER/NAME@REVISION, hf:FOLDER, or hf: and one "
    "of these short names: {presets}.",
    "hf-folder": "There is no folder {folder!r}. Write hf:FOLDER with the folder of a checkpoint, or hf:OWNER/NAME "
    "for one of the Hugging Face hub.",
    "hf-extra": "Hugging Face models need transformers. Type: pip install 'mmviz[hf]'",
    "hf-family": "{name} is a model of the type {kind!r}, which mmviz cannot set up by itself. It knows: {known}. "
    "Any other torch model works as mmviz.CustomModel.",
    "hf-download": "Downloading {name}, {size}.",
    "hf-loading": "Loading {name}: {size} on disk, about {memory} of memory ({dtype} on {device}).",
    "hf-no-scale": "{model} was trained to tell which of several texts fits best. How well a single text fits has no "
    "scale, so its probability means little.",
    "loading-stopped": "The loading of the model was stopped.",
    "hf-offline": "{name} is not on this disk, and the Hugging Face hub cannot be reached. Check the network, or "
    "download the checkpoint elsewhere and name its folder: hf:FOLDER.",
    "hf-login": "{name} is only for those who have accepted its licence. Accept it on its page of the Hugging Face "
    "hub, then type: hf auth login",
    "hf-unknown": "The Hugging Face hub has no {name} with the revision {revision}, or it is private. Check the "
    "name; for a private one type: hf auth login",
    "hf-disk": "{name} needs {size} of disk, and {free} are free.",
    "hf-memory": "{name} needs about {needed} of memory on {device}, and {free} are free. Choose a smaller model, "
    "or run it on another machine with mmviz serve.",
    "hf-spread": "{name} needs about {needed} of memory, more than is free on {device}. Together with the CPU and any "
    "other GPU, {free} are free: to spread the model over them, type: pip install accelerate",
    "hf-pickle": "{name} has its weights as pickle files only, which can run any code when they are read. mmviz "
    "loads safetensors alone: choose a revision that has them, or convert it with save_pretrained.",
    "hf-no-weights": "{name} has no weights: the folder holds no file model.safetensors.",
    "hf-no-config": "{name} is no checkpoint: the file {file} is missing.",
    "hf-shard": "{name} is not whole: its index lists {file}, which is missing. Download it again.",
    "hf-damaged": "{name} is damaged: {file} cannot be read. Download it again.",
    "ctranslate2-damaged": "{file} is not a whole CTranslate2 model of the format's version {version}. Get it again.",
    "hf-incomplete": "{name} lacks {count} weights ({keys}), which would be random. It may be a checkpoint of "
    "another class.",
    "hf-package": "The processor of {name} needs {package}. Type: pip install {package}",
    "hf-adapter": "{name} has an adapter for sounds, which transformers loads with peft alone. Type: pip install peft",
    "hf-load": "transformers cannot load {name}: {why}",
    "hf-template": "The chat template of this model cannot be filled in: {why}",
    "hf-template-limit": "The chat template takes more than {seconds} s, or more memory or characters than a prompt "
    "may have, so it was stopped. Shorten its loops, or use the template of the checkpoint.",
    "hf-processor": "The processor of this model cannot read these inputs: {why}",
    "hf-decoding": "The answer is decoded greedily: the most probable token each time, without sampling, so that "
    "it can be repeated.",
    "hf-decoding-own": "The answer is decoded greedily, without sampling, so that it can be repeated. The "
    "checkpoint's own settings change which token comes first: {settings}.",
    "hf-long": "The prompt has {count} tokens, and the answer may have {answer}; this model can read {limit}. "
    "Shorten the text, give a smaller picture or a shorter sound, or let the answer have fewer tokens.",
    "hf-text-long": "The text has {count} tokens, and {model} reads {limit} at most. Shorten it, and run again.",
    "hf-answer": "The answer that was given holds the token {id}, which this model cannot write: its tokens go from 0 "
    "to {last}, and those that stand for pictures and sounds are no words. Let the model write its answer again.",
    "hf-new-tokens": "The answer may have {count} tokens, and a model writes at least one. Give a number from 1.",
    "hf-question-changed": "The chat template does not repeat the question as it was written, so where its words stand "
    "in the prompt is not known, and the model may not read them all.",
    "hf-sound-cut": "{model} reads the first {read} s of a sound; the rest of {seconds} s was left out.",
    "hf-places-lost": "Where the tokens of {stream} lie is not known: they come through {function}, which cannot be "
    "followed.",
    "hf-places-order": "Where the tokens of {stream} lie is not known: they are arranged in a way that cannot be "
    "followed.",
    "hf-unread": "{model} cannot read this modality, so it was left out: {modality}.",
    "several-inputs": "{model} takes one input of this kind: {modality}. {count} were given. Give one, or choose a "
    "model that takes several.",
    "hf-sound-rows": "The feature extractor made {rows} pieces of {count} sounds, so their moments cannot be told "
    "apart. Give one sound.",
    "hf-needs": "{model} needs this modality: {modality}. Add one and run again.",
    "gradients-large": "This model is too large for gradients here, so relevance was left out.",
    "answer-part": "The answer has {count} tokens; there is no token {number}. Choose others.",
    "answer-part-model": "{model} chooses its answer from a list, so no single word of it can be chosen.",
    "prior-model": "{model} writes no answer, so there is no language prior to measure.",
    "options-model": "{model} has no setting {name!r}; only models that write their answer have settings.",
    "options-name": "{name!r} is no setting. There are: {known}.",
}
