"""The texts of errors and notices about a custom model and its options, by code; `errors_and_notices` has the rest."""

from __future__ import annotations

CUSTOM_MODEL_SENTENCES: dict[str, str] = {
    "own-place": "embedding={path!r} names no place. Give the path of a module for its output, or PATH:input for its "
    "input.",
    "own-pattern": "{option}={pattern!r} matches no module. Patterns are globs on module paths, such as: {known}.",
    "own-answer-token": "answer_token={token} is none of the tokens. Give an index, -1 for the last token, or (stream, "
    "index). Streams and their numbers of tokens: {streams}.",
    "own-required-name": "required={name!r} is no modality. Name image, text or audio.",
    "own-required": "{model} cannot run without {modality}. Give one.",
    "own-required-drop": "{model} cannot run without {modality}. Replace it instead: choose mean, blur or noise as the "
    "baseline.",
    "own-rows": "prepare returned {count} rows of tokens for {stream!r}, of {lengths} tokens. Every row of a batch "
    "needs the same number of tokens; label padding as special tokens.",
    "own-placeholders": "The prompt has {places} places of {placeholder}, but {tokens} tokens were given for them. "
    "Write the placeholder once for each token.",
    "own-row": "The model ran {count} rows as one batch. Attention over {stream} is that of row {row} (counted from "
    "0).",
    "integrated-overwritten": "Integrated gradients are left out: after {path} the model writes over {count} of {of} "
    "tokens, among them {labels}. Name a place where all tokens stand, such as embedding='PATH:input' with the path "
    "of the first layer.",
    "integrated-stream": "Integrated gradients of {stream} are left out: there is no such stream. The streams are: "
    "{known}.",
    "integrated-order": "Integrated gradients of {stream} are left out: {count} of its {of} tokens cannot be told "
    "apart among those at {path} ({labels}). Name the place where the tokens of the stream enter its first layer.",
    "integrated-input": "Integrated gradients are left out: {path} does not take tokens of shape [1, token, width] "
    "as an input once per call.",
}
