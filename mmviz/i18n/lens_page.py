"""Texts of the section Lens of the page Debug, by code, in English; what commands print too is in `lens_messages`."""

from __future__ import annotations

LENS_PAGE: dict[str, str] = {
    "section-lens": "Lens",
    "section-lens-help": "The answer as it forms: what each token would answer after each layer.",
    "lens-what": "A lens reads a model before it has finished: after each layer, the state of a token goes straight "
    "through the final norm and head of the model ({through}), which turn it into an answer (the logit lens; "
    "nostalgebraist 2020).",
    "lens-follows": "It follows {answer}, the first token of the answer. Choose another word on Explore, under "
    "“{words}”.",
    "lens-follows-word": "It follows {answer}, token {number} of the answer. Choose another word on Explore, under "
    "“{words}”.",
    "lens-title": "How {answer} forms",
    "lens-x": "layers that have run",
    "lens-table-caption": "The answer token after each layer",
    "lens-grid": "What every other token would answer",
    "lens-grid-help": "Each token is read as if it were the one that answers. The brighter, the more probable {answer} "
    "would be; the brightest patches, three at most, are framed. Point at a token for its most probable answers.",
    "lens-legend": "probability of {answer}, logarithmic, one scale for all layers:",
    "lens-chance": "1 in {answers:,} or less",
    "lens-patches": "Patches of the picture",
    "lens-words": "Words: the most probable answer of each",
    "lens-moments": "Moments of the sound",
    "lens-picture-alt": "The picture after {layer}: the brighter a patch, the more probable {answer}",
    "lens-first": "{answer} first in {count} of {of}",
    "lens-answer-token": "answer token",
    "lens-moment": "start of the moment in the sound",
    "lens-hover": "{place}\n{best}\n{answer}: rank {rank:,}, {probability}",
    "lens-large": "{cells:,} cells are too many to point at: each has its most probable answers in the table below.",
    "lens-last-words": "The last {shown:,} of {of:,} words. The table below has all.",
    "lens-misleads": "Where it misleads",
}  # fmt: skip
