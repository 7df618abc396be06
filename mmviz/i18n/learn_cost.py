"""Texts of the lesson on the cost of attention, by code, in English."""

from __future__ import annotations

COST: dict[str, str] = {
    "learn-cost-short": "Cost",
    "learn-cost-title": "What attention costs, and what keeping its weights costs",
    "learn-cost-question": "The number of tokens doubles. How much longer does attention take?",
    "learn-cost-option-a": "As long as before",
    "learn-cost-option-b": "Twice as long",
    "learn-cost-option-c": "Nearly four times as long",
    "learn-cost-because": "Every token attends to every token, so n tokens make n² pairs: twice as many tokens, four "
    "times as many scores to compute.",
    "learn-cost-tokens": "Tokens, n",
    "learn-cost-tokens-help": "At first the number of tokens of the current run. Up to 4,096 tokens are measured on "
    "the machine that serves this page; above that, costs are estimated.",
    "learn-cost-is-run": "{tokens} tokens: the current run.",
    "learn-cost-is-picture": "{tokens} tokens: a picture of {amount} × {amount} pixels in patches of {side} × {side}.",
    "learn-cost-is-sound": "{tokens} tokens: {amount} of sound, {rate} tokens per second.",
    "learn-cost-is-video": "{tokens} tokens: {amount} of video, {rate} frames per second of {patches} patches each.",
    "learn-cost-is-other": "{tokens} tokens.",
    "learn-cost-pairs": "An attention map of them has n² = {pairs} weights. A model like the bundled one, with "
    "{layers} layers of {heads} heads, computes {maps} maps: {every} weights.",
    "learn-cost-measured": "measured",
    "learn-cost-estimated": "estimated",
    "learn-cost-maps": "All weights, {maps} maps",
    "learn-cost-kept": "Kept for exact views ({how})",
    "learn-cost-eager": "One layer, all weights ({how})",
    "learn-cost-fused": "One layer, fused kernel ({how})",
    "learn-cost-seconds": "Time of one layer by number of tokens, n",
    "learn-cost-seconds-note": "On one processor core. A straight line is a power of n.",
    "learn-cost-bytes": "Memory of one layer by number of tokens, n",
    "learn-cost-bytes-note": "Memory still in use after the layer has run, float32.",
    "learn-cost-line-eager": "all weights",
    "learn-cost-line-fused": "fused kernel",
    "learn-cost-line-lazy": "exact views",
    "learn-cost-line-power": "{method}: power {power}",
    "learn-cost-double-eager": "{half} → {tokens} tokens, all weights",
    "learn-cost-double-fused": "{half} → {tokens} tokens, fused kernel",
    "learn-cost-view": "Exact views of {tokens} tokens, not {full}",
    "learn-cost-difference": "Largest difference between the two",
    "learn-cost-how": "CPU time of one core of the machine that serves this page; other work on it is not counted. "
    "{heads} heads, dₖ = {size}, random inputs, medians of at least {least} runs. Above the measured sizes, time is "
    "extrapolated with n² and memory linearly.",
    "learn-cost-left-out": "Left out, because they would take too long on the busy machine: {tokens} tokens.",
    "learn-cost-again": "Measure again",
    "learn-cost-again-help": "Takes about ten seconds, much longer on a busy machine. All visitors of this page share "
    "a measurement for ten minutes.",
    "learn-cost-notice": "Attention has two costs. Compute: time grows with about n². Complexity: n² weights in every "
    "head of every layer, more than anyone can read. A fused kernel never stores the weights, so its memory grows only "
    "with n. From the queries, the keys and one log-sum-exp per row, mmviz computes any row exactly, and an overview "
    "of at most 512 × 512 bins.",
    "learn-cost-misleads": "A fused kernel saves memory, not pairs: all n² scores are still computed. With few tokens, "
    "fixed costs hide the square, and up to about 600 tokens exact views take more memory than all weights would "
    "(mmviz keeps all weights up to 512 tokens). Only computing is counted: allocating memory for large maps takes as "
    "long again, and on a busy machine you wait longer than any of these numbers.",
    "learn-cost-do": "Write down how time and memory change with each doubling of n, with all weights and with a fused "
    "kernel. Then look up how much memory your own computer has: for which of these inputs could it not hold all "
    "weights?",
}  # fmt: skip
