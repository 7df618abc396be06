"""The texts of errors and notices about what captured attention means, by code; `errors_and_notices` has the rest."""

from __future__ import annotations

CAPTURE_SENTENCES: dict[str, str] = {
    "axes-heads": "{name} is left out: its attention has {heads} heads, but the module names {expected}, so heads "
    "cannot be told from samples.",
    "axes-tokens": "{name} is left out: its tokens are rearranged before the attention in a way that cannot be "
    "followed, so weights cannot be put under their tokens.",
    "axes-samples": "{name} is left out: its attention does not run over the samples that the rest of the model runs "
    "over, so they cannot be told apart.",
    "streams-guessed": "The tokens {name!r} fit several streams of the same length. By their order they were taken for "
    "those of {stream}. If that is wrong, give pairs= with a pattern of the modules.",
    "uncaptured-thread": "{module} ran in a thread that was there before the model was called. Attention in such a "
    "thread is not recorded: call the module in the thread of the capture, or in one that the model starts.",
    "capture-call-empty": "In call {call} nothing attends. The calls are: {calls}. Choose another one with call=.",
}
