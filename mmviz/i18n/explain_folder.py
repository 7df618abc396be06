"""The texts of ``mmviz explain FOLDER_OR_CSV``."""

from __future__ import annotations

EXPLAIN_FOLDER_SENTENCES: dict[str, str] = {
    "explain-single": "{option} is for a single example. With FOLDER_OR_CSV leave it out: --out names the folder of "
    "the results, and --formats says which files are written.",
    "explain-out": "FOLDER_OR_CSV needs --out, the folder that the results are written to.",
    "explain-out-inside": "The examples lie in the folder of --out, {name}, or around it, so that results would be "
    "read as examples, or written over them. Choose another folder.",
    "explain-formats": "--formats {value!r} is not possible. Write some of html, json, npz, png, pdf and svg, with "
    "commas between them.",
    "explain-finished": "{done} of {of} examples are finished and have not changed since.",
    "explain-progress": "Explaining examples: {done} of {of}",
    "explain-remaining": "Explaining examples: {done} of {of}, about {left} left",
    "explain-done": "Model {model}. {done} of {of} examples explained, listed in {index}.",
    "explain-failed": "Model {model}. {done} of {of} examples explained, {failed} failed. {index} says why.",
    "explain-stopped": "Stopped; {done} of {of} examples explained. The same command goes on from there.",
}
