"""The sentences and labels of the lesson on what attention costs, by code."""

from __future__ import annotations

COST: dict[str, str] = {
    "learn-cost-short": "Cost",
    "learn-cost-title": "What attention costs, and what keeping it costs",
    "learn-cost-question": "Twice as many tokens go in. How much longer does attention take?",
    "learn-cost-option-a": "As long as before",
    "learn-cost-option-b": "Twice as long",
    "learn-cost-option-c": "Nearly four times as long",
    "learn-cost-because": "Every token asks every token, so n tokens make n² pairs: twice as many tokens, four times "
    "as many pairs to work out.",
    "learn-cost-tokens": "Tokens, n",
    "learn-cost-tokens-help": "At first as many as the loaded run has. Up to 4,096 tokens are measured on this page's "
    "machine, more are estimated.",
    "learn-cost-is-run": "{tokens} tokens: the run that is loaded.",
    "learn-cost-is-picture": "{tokens} tokens: a picture of {amount} × {amount} pixels in patches of {side} × {side}.",
    "learn-cost-is-sound": "{tokens} tokens: {amount} of sound, {rate} tokens a second.",
    "learn-cost-is-video": "{tokens} tokens: {amount} of video, {rate} pictures a second of {patches} patches each.",
    "learn-cost-is-other": "{tokens} tokens.",
    "learn-cost-pairs": "A map of them has n² = {pairs} weights. A model like the bundled one, {layers} layers of "
    "{heads} heads, makes {maps} maps: {every} numbers.",
    "learn-cost-measured": "measured",
    "learn-cost-estimated": "estimated",
    "learn-cost-maps": "All weights, {maps} maps",
    "learn-cost-kept": "Kept for the exact view ({how})",
    "learn-cost-eager": "One layer, all weights ({how})",
    "learn-cost-fused": "One layer, fused ({how})",
    "learn-cost-seconds": "Time for one layer by tokens, n",
    "learn-cost-seconds-note": "Of one processor core; straight: a power of n.",
    "learn-cost-bytes": "Memory for one layer by tokens, n",
    "learn-cost-bytes-note": "What is kept when the layer is done, float32.",
    "learn-cost-line-eager": "all weights",
    "learn-cost-line-fused": "fused",
    "learn-cost-line-lazy": "exact view",
    "learn-cost-line-power": "{method}: power {power}",
    "learn-cost-double-eager": "{half} → {tokens} tokens, all weights",
    "learn-cost-double-fused": "{half} → {tokens} tokens, fused",
    "learn-cost-view": "Exact view of {tokens}, not {full}",
    "learn-cost-difference": "The two differ by at most",
    "learn-cost-how": "Measured on this page's machine while other work may run, which is not counted: computing time "
    "of one CPU core. {heads} heads, d_k = {size}, random numbers, medians of at least {least} turns. Beyond: time by "
    "n², memory by its straight line.",
    "learn-cost-left-out": "Left out, as they would take too long on the busy machine: {tokens} tokens.",
    "learn-cost-again": "Measure again",
    "learn-cost-again-help": "Takes about ten seconds, much longer on a busy machine. All who use this page's machine "
    "share a measurement for ten minutes.",
    "learn-cost-notice": "Attention brings two troubles. It costs compute: time rises with about n². And it adds "
    "complexity: n² weights in every head of every layer, more than anyone can read. A fused kernel never writes the "
    "weights down, so its memory rises with n alone. From the queries, the keys and one sum for each row mmviz works "
    "out any row exactly, and an overview of at most 512 × 512 bins.",
    "learn-cost-misleads": "Fused saves memory, not pairs: all n² are still worked out. With few tokens fixed costs "
    "hide the square, and up to about 600 tokens the view takes more memory than all weights would (mmviz keeps all up "
    "to 512). Counted is computing alone: making room for large maps takes as long again, and on a busy machine you "
    "wait longer than any of these numbers.",
    "learn-cost-do": "Write down how time and memory change with each doubling of n, with all weights and fused. Then "
    "look up how much memory your own computer has: for which of these inputs could it not hold all weights?",
}  # fmt: skip
