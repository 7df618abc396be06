"""Definitions of the terms of the lessons, by code, in English, and the forms in which they stand in the texts.

``glossary-TERM`` is the definition. ``glossary-TERM-forms`` is a regular expression of the forms, which differs by
language: where letters separate words, only whole words match.
"""

from __future__ import annotations

GLOSSARY: dict[str, str] = {
    "glossary-answer-token": "A special token of the model, whose last vector is turned into the answer.",
    "glossary-answer-token-forms": "answer token",
    "glossary-attention-weight": "How much of a key token's value goes into the output for a query token: 0 to 1. The "
    "weights of one query sum to 1.",
    "glossary-attention-weight-forms": "attention weights?",
    "glossary-cross-attention": "Attention whose queries come from one sequence and whose keys and values come from "
    "another.",
    "glossary-cross-attention-forms": "cross-attention",
    "glossary-self-attention": "Attention whose queries, keys and values all come from one sequence.",
    "glossary-self-attention-forms": "self-attention",
    "glossary-embedding": "A table with a vector for each word piece. The vectors are learned in training.",
    "glossary-embedding-forms": "embedding table",
    "glossary-encoder": "The part of a model that turns one kind of input into tokens.",
    "glossary-encoder-forms": "encoders?",
    "glossary-entropy": "How spread out the weights are. exp(entropy) is the effective number of keys: n where n keys "
    "share the weight equally.",
    "glossary-entropy-forms": "entropy|effective number of keys",
    "glossary-fusion": "How a model combines picture, text and sound.",
    "glossary-fusion-forms": "fusion",
    "glossary-gradient": "The direction in which the parameters of a model must change so that its loss changes most.",
    "glossary-gradient-forms": "gradient",
    "glossary-head": "One of several attentions that run side by side in a layer, each with its own queries, keys and "
    "values.",
    "glossary-head-forms": "heads?",
    "glossary-key": "A vector that says what a token offers. Queries are compared with it.",
    "glossary-key-forms": "keys?",
    "glossary-layer": "One step of the model: attention between all tokens, then a small network for each token alone.",
    "glossary-layer-forms": "layers?",
    "glossary-logits": "The model's raw numbers, one for each answer. A softmax turns them into probabilities.",
    "glossary-logits-forms": "logits?",
    "glossary-loss": "The number that training makes small: here minus the log-probability of the correct word.",
    "glossary-loss-forms": "loss",
    "glossary-mask": "Minus infinity added to a score, so that the weight of that key is 0.",
    "glossary-mask-forms": "masks?|masked",
    "glossary-mel": "Energy of a sound in bands of frequency that are spaced as the ear hears them.",
    "glossary-mel-forms": "log-mel|mel",
    "glossary-modality": "A kind of input: picture, text or sound.",
    "glossary-modality-forms": "modality|modalities",
    "glossary-nats": "The unit of natural log-probabilities. One nat less makes an answer 2.7 times less probable.",
    "glossary-nats-forms": "nats?",
    "glossary-patch": "A square part of the picture, which becomes one token.",
    "glossary-patch-forms": "patch|patches",
    "glossary-query": "A vector that says what a token looks for. It is compared with the keys of all tokens.",
    "glossary-query-forms": "query|queries",
    "glossary-residual": "A layer adds its output to the token's vector and does not replace it.",
    "glossary-residual-forms": "residual connection",
    "glossary-rollout": "The attention of all layers multiplied, with the residual connections, so that it leads from "
    "the answer to the inputs (Abnar and Zuidema 2020).",
    "glossary-rollout-forms": "rollout",
    "glossary-score": "The dot product of a query and a key, before the softmax.",
    "glossary-score-forms": "scores?",
    "glossary-softmax": "Turns scores into weights above 0 that sum to 1: exp(score) over the sum of exp(score).",
    "glossary-softmax-forms": "softmax",
    "glossary-temperature": "A number that divides the scores before the softmax. Below 1 it sharpens the weights, "
    "above 1 it evens them out.",
    "glossary-temperature-forms": "temperature",
    "glossary-token": "A piece of the input, as a vector: a word piece, a patch of the picture, or a moment of the "
    "sound.",
    "glossary-token-forms": "tokens?",
    "glossary-uniform": "A control in which every token attends to all tokens equally.",
    "glossary-uniform-forms": "uniform attention",
    "glossary-value": "A vector with what a token passes on to the tokens that attend to it.",
    "glossary-value-forms": "values?",
}
