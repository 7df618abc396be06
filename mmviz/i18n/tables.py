"""Texts of the tables that experiments leave: their downloads on the page, and what their commands print, by code."""

from __future__ import annotations

TABLES: dict[str, str] = {
    # downloads on the page
    "save-column": "Column (.pdf)",
    "save-column-help": "The same figure for a column of a paper: 3.3 inches wide, with no text below 6 points.",
    "save-table": "Weights (.csv)",
    "save-table-help": "A row for each token and its amount on screen, with all digits: its place, and the map, head, "
    "stack and unit that it belongs to.",
    "table-csv": "Table (.csv)",
    "table-csv-help": "The rows of this table, with all digits.",
    "table-json": "Table (.json)",
    "table-json-help": "The rows of this table with all digits, what holds for all of them, and the command that makes "
    "it again.",
    "table-again": "The same by command:",
    # time
    "experiment-left": "Measuring: {done} of {of} batches, {seconds:.0f} s, about {left} left",
    "experiment-most": "Measuring: {seconds:.0f} s of at most about {most}",
    "seconds": "{count} s",
    "minutes": "{count} min",
    # what pairs of modalities do
    "interaction-with": "{first} and {second} need each other: together they add {value:.2f} nats more than one by "
    "one.",
    "interaction-same": "{first} and {second} tell the same in part: together they add {value:.2f} nats less than one "
    "by one.",
    # printed tables
    "heads-printed": "{title}, the {shown} of {of} that the answer needs most",
    "redundant-column-head": "head",
    "redundant-column-other": "like",
    "redundant-column-distance": "distance",
    "methods-title": "How much better than random orders each method finds the tokens that matter",
    "methods-column-method": "method",
    "methods-column-score": "over chance",
    "methods-column-deletion": "deletion",
    "methods-column-insertion": "insertion",
    "methods-column-random": "random",
    "compare-title-from": "From {token}, {method}: the {shown} of {of} tokens that differ most",
    "compare-title-to": "To {token}, {method}: the {shown} of {of} tokens that differ most",
    "compare-column-token": "token",
    "compare-modalities-title": "By modality",
    "routes-title": "Effect of cutting each route, beside its attention",
    "routes-column-route": "route",
    "routes-column-layers": "layers",
    "routes-column-attention": "attention",
    "routes-column-uniform": "if uniform",
    "routes-column-effect": "effect (nats)",
    "routes-column-answer": "answer without it",
    "routes-column-note": "note",
    "routes-note-unused": "much attention, no effect",
    "routes-note-unattended": "little attention, large effect",
    # routes
    "routes-route": "{queries} reading {keys}",
    "the-answer": "the answer token",
    "routes-chosen": "{count} chosen tokens",
    "routes-all-layers": "all layers",
    "routes-layers": "layers {first} to {last}",
    "routes-none": "No single route carries “{answer}”: cutting one in one window of layers never lowers "
    "log p({answer}) by more than {least:.1f} nats.",
    "routes-none-measured": "None of the routes that were cut carries “{answer}” alone: log p({answer}) is never "
    "lowered by more than {least:.1f} nats.",
    "routes-strongest": "“{answer}” depends most on {route} ({layers}): cut there, log p({answer}) changes by "
    "{effect:+.2f} nats, and the answer stays.",
    "routes-strongest-untold": "“{answer}” depends most on {route} ({layers}): cut there, log p({answer}) changes by "
    "{effect:+.2f} nats.",
    "routes-strongest-changed": "“{answer}” depends most on {route} ({layers}): cut there, log p({answer}) changes by "
    "{effect:+.2f} nats, and the answer becomes “{other}”.",
    "routes-unused": "{route} ({layers}) gets {attention:.2f} of the attention, but cutting it has hardly any effect "
    "({effect:+.2f} nats).",
    "routes-unattended": "{route} ({layers}) gets hardly any attention ({attention:.2f}), yet cutting it changes the "
    "answer's log-probability by {effect:+.2f} nats.",
}

TABLE_SENTENCES: dict[str, str] = {
    # what the commands print
    "measure-most": "Measuring {variants} variants of the inputs or the model, at most about {most}.",
    "measure-progress": "{done} of {of} batches, about {left} left",
    "run-layers": "Running the model: layer {done} of {of}",
    "run-words": "Writing the answer: word {done} of at most {of}",
    "run-left": ", about {left} left",
    "measure-done": "{done} of {of} batches, {seconds:.0f} s",
    "measure-stopped": "Stopped. Below is what was measured until then: {done} of {of}.",
    "measure-answer": "answer: {answer} ({probability:.1%})",
    "measure-answer-unsure": "answer: not sure: {answers}",
    "measure-again": "The same by command: {command}",
    "answer-none": "{model} gives no answer to this input, and this measures what an answer depends on. Choose a model "
    "that has answers, or writes them.",
    "methods-run-long": "This run is too long for methods that need all its weights. Give a shorter input.",
    "compare-none": "Name what to compare with: --other, --other-image, --other-text, --other-audio, --other-control, "
    "--other-cut or --other-drop.",
    "compare-token-alone": "{token} has no counterpart in B. Choose another token with --token.",
    "compare-token-range": "--token {token} is not possible. Give a number from 0 to {most}.",
}
