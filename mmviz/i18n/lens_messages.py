"""The texts of the lens, by code: what a lens shows, where it misleads, and why there is none."""

from __future__ import annotations

LENS_SENTENCES: dict[str, str] = {
    "lens-about": "What each token would answer after each layer, read through {through} of the model. The final "
    "answer is {answer}, one of {answers:,}.",
    "lens-forming": "From layer {layer} of {layers} on, the token that answers has {answer} as its most probable "
    "answer.",
    "lens-formed-first": "The token that answers has {answer} as its most probable answer before the first layer.",
    "lens-unformed": "After the last layer, the most probable answer of the token that answers is {best}, not "
    "{answer}.",
    "lens-misleads-early": "Early layers may hold an answer in directions that the head does not read. An answer that "
    "seems to be missing there may be in the layer all the same (Belrose et al. 2023, the tuned lens, "
    "arXiv:2303.08112).",
    "lens-misleads-tokens": "The model uses its head for the token that answers alone. What another token would "
    "answer shows how near its state is to an answer, not what the token does.",
    "lens-misleads-written": "A word is read as the token that the model would write after it. Nothing is "
    "written after patches and moments: what is read there shows which words are near.",
    "lens-column-layer": "layer",
    "lens-column-best": "most probable",
    "lens-column-probability": "probability",
    "lens-column-rank": "rank of {answer}",
    "lens-column-log-probability": "log p({answer})",
    "lens-input": "input",
    # why there is none
    "lens-model": "{model} has no lens: mmviz does not know how its hidden states become answers.",
    "lens-joined": "{model} has no lens: its answer is read from the tokens of {count} streams at once, so that no "
    "single token gives one. Choose trio or trio-reduced.",
    "lens-path": "{option}={path!r} names no such part of the model. Near it: {known}.",
    "lens-undetected": "The lens is left out: mmviz cannot detect in the model what {option} names. Give its path "
    "there.",
    "lens-stream": "The lens is left out: the attention in {layers} runs over several streams, or over none that is "
    "known ({streams}). Name the layers with lens_layers.",
    "lens-tokens": "The lens is left out: {layer} gives states of shape {shape}, which are not those of {count} tokens "
    "of one sample. Name the layers with lens_layers.",
    "lens-parity": "The lens is left out: what is read after {layers} through {through} differs from the answer of the "
    "model by {gap} nats. Name the parts with lens_layers, lens_norm and lens_head, which may be a function of "
    "hidden states.",
    "lens-shape": "The lens of this run is that of {count} tokens, but its stream has {expected}.",
}
