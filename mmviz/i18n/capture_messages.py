"""The texts of errors and notices about what captured attention means, by code; `errors_and_notices` has the rest."""

from __future__ import annotations

CAPTURE_SENTENCES: dict[str, str] = {
    "axes-heads": "{name} is left out: its attention has {heads} heads, but the module names {expected}, so heads "
    "cannot be told from samples.",
    "axes-tokens": "{name} is left out: its tokens are rearranged before the attention in a way that cannot be "
    "followed, so weights cannot be put under their tokens.",
    "axes-samples": "{name} is left out: its attention does not run over the samples that the rest of the model runs "
    "over, so they cannot be told apart.",
    "cut-group": "There is no group of tokens called {name!r}. A route runs between: {known}, or chosen tokens.",
    "cut-stack": "There is no stack {name!r} whose routes could be cut. There are: {known}.",
    "cut-layer": "There is no layer {layer} in {name} (layers count from 0). It has {count} layers.",
    "cut-head": "There is no head {head} in {name} (heads count from 0). It has {count} heads.",
    "cut-stream": "There is no stream {name!r} with tokens to choose. There are: {known}.",
    "cut-token": "There is no token {token} in {name}. It has {count} tokens, counted from 0.",
    "edges-long": "This run is too long to keep all attention weights, so which pairs of a head carry its effect is "
    "not measured. Run a shorter input.",
    "cut-missing": "A route was to be cut in {name}, but no attention ran there.",
    "cut-shape": "The route cannot be cut in {name}: its attention is of shape {shape} (rows, heads, queries, keys), "
    "but {expected} was expected.",
    "cut-kernel": "The route cannot be cut in {name}: the weights of this kind of attention cannot be masked.",
    "cut-scores": "The route cannot be cut in {name}: its weights cannot be followed back to their softmax.",
    "cut-unknown": "No route is cut in {name}, since it is not known which tokens attend there.",
    "cut-rows": "The cut leaves {count} of {of} queries nothing to attend to, in {maps} attention maps: their rows are "
    "0.",
    "streams-guessed": "The tokens {name!r} fit several streams of the same length. By their order they were taken for "
    "those of {stream}. If that is wrong, give streams= or pairs= with a pattern of the modules.",
    "stream-names": "{option}={value!r} names no streams. Give patterns of modules with the names of their streams: "
    "streams={{'vision.*': 'image'}} where modules attend to themselves, or pairs={{'*.cross': ('text', 'image')}} for "
    "the streams of queries and keys.",
    "uncaptured-thread": "{module} ran in a thread that was there before the model was called. Attention in such a "
    "thread is not recorded: call the module in the thread of the capture, or in one that the model starts.",
    "capture-call-empty": "In call {call} nothing attends. The calls are: {calls}. Choose another one with call=.",
}
