"""The texts of the story of an answer, by code, in English."""

from __future__ import annotations

STORY: dict[str, str] = {
    "story": "The story of this answer",
    "story-help": "The routes that carry the answer, in the order of the layers. Each was confirmed by cutting exactly "
    "what its card shows, and nothing else: the number is what the answer's log-probability loses by that.",
    "story-recorded": "It was measured beforehand, on this recorded run and with the same weights.",
    "story-trace": "Trace the answer",
    "story-trace-help": "Cuts routes between picture, words and sound, then the places that they read, and keeps "
    "what the answer needs. The model runs on about a hundred variants, in a few calls where it can.",
    "story-word": "The word of the answer that the story is about",
    "story-layer": "Layer {first}",
    "story-layers": "Layers {first} to {last}",
    "story-layers-all": "All layers",
    "story-layer-of": "{layers} of {stack}",
    "story-answer": "the answer token",
    "story-group-image": "the patches",
    "story-group-text": "the words",
    "story-group-audio": "the moments of the sound",
    "story-group-special": "special tokens",
    "story-some-image": "patches at one place",
    "story-some-audio": "the moments at {moments}",
    "story-reads-image-one": "{queries} sees this place",
    "story-reads-image-many": "{queries} see this place",
    "story-reads-text-one": "{queries} reads {words}",
    "story-reads-text-many": "{queries} read {words}",
    "story-reads-audio-one": "{queries} hears {moments}",
    "story-reads-audio-many": "{queries} hear {moments}",
    "story-all-image-one": "{queries} sees the picture, no single place alone",
    "story-all-image-many": "{queries} see the picture, no single place alone",
    "story-all-text-one": "{queries} reads the text, no single word alone",
    "story-all-text-many": "{queries} read the text, no single word alone",
    "story-all-audio-one": "{queries} hears the sound, no single moment alone",
    "story-all-audio-many": "{queries} hear the sound, no single moment alone",
    "story-step": "{layers}: {reads}.",
    "story-without": "Without it: “{answer}”.",
    "story-without-same": "Without it “{answer}” is less probable, and still the answer.",
    "story-effect": "−{size:.1f} nats",
    "story-show": "Show in the viewer",
    "story-show-help": "Opens the layer of this step below, with its tokens selected.",
    "story-none": "No single route carries it: cutting any one of them takes less than {least} nats from the answer.",
    "story-none-ways": "No single route carries it, but the answer needs {modalities}: it loses {effects} if nothing "
    "may read from there.",
    "story-stopped": "Stopped: more steps may be missing.",
    "story-picture-alt": "The picture, bright where the step reads it",
}
