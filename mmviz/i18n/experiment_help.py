"""What ``--help`` says of the commands that explain, measure and present, and of their options."""

from __future__ import annotations

from mmviz.i18n.option_help import MODEL

_BASELINE = (
    "what stands in place of {replaced}: the model's own learned way to be without it (default), the mean, a blur, or "
    "noise"
)

EXPERIMENT_HELP: dict[str, str] = {
    "explain": "run a model on an image, a text and an audio clip, or on each example of a folder",
    "explain-description": "Run a model on an image, a text and an audio clip, print its answer, and write its "
    "attention to files. Any of the three inputs may be left out. With FOLDER_OR_CSV, do so for each example in it: "
    "--out says where the files go. The same command again goes on where it was stopped, and computes only what is "
    "new or was changed.",
    "explain FOLDER_OR_CSV": "folder of examples (cat1.png, cat1.wav and cat1.txt are one), or a CSV file with the "
    "columns image, text, audio and name, whose files lie beside it or in folders there",
    "explain --out": "with FOLDER_OR_CSV: the folder that the files are written to",
    "explain --formats": "with FOLDER_OR_CSV: which files are written for each example, some of html, json, npz, png, "
    "pdf and svg, each as the option of this name (default: html,json)",
    "explain --words": "which words of a written answer the effects are about, from 1 (default: all)",
    "explain --json": "write a summary as JSON (- for standard output)",
    "explain --npz": "write the whole run, to be opened with `mmviz app FILE`",
    "explain --keep": "what --npz keeps of a run too long to hold all its weights: means and sums, or also queries, "
    "keys and log-sum-exp, from which exact rows, windows and rollout are computed; their size is told first "
    "(default: overview)",
    "explain --relevance": "also record gradient relevance, which needs a backward pass",
    "explain --png": "write one figure of the attention on the inputs",
    "explain --pdf": "write that figure as PDF, for print",
    "explain --svg": "write that figure as SVG",
    "explain --column": "write that figure as PDF for a column of a paper, 3.3 inches wide",
    "explain --csv": "write the attention of the chosen token, in the chosen map, as CSV: a row for each token",
    "explain --html": "write the interactive viewer as one HTML file",
    "explain --map": "what figures, CSV and HTML file show: a map such as 5:mean, 5:2 (layer and head from 0) or "
    "vision.layers/5:2 (with its stack), rollout or relevance (default: that of the model)",
    "explain --token": "its token, from 0 (default: the one that answers)",
    "explain --direction": "what the token attends to (default), or what attends to it",
    "present": "make a talk about a run, in one HTML file",
    "present-description": "Run a model on an image, a text and an audio clip, and make a talk of it, one idea a "
    "slide: the inputs, the answer, what it reads and what it depends on. The HTML file needs no network; Right and "
    "Left, or a clicker, turn its slides, F is full screen, N shows the speaker notes.",
    "present TALK.mmviz": "a saved talk, to be shown in place of a new one",
    "present --title": "the title, above the first slide (default: the question)",
    "present --story": "search for the steps that carry the answer too, each a slide",
    "present --out": "write the talk: .html, or .mmviz to reopen it",
    "report": "write a report on one answer: attention, effects, routes, faithfulness, the model's card",
    "report-description": "Run a model on an image, a text and an audio clip, measure what its answer depends on, "
    "which routes carry it and which methods find the tokens that matter, and write all of it to one HTML file that "
    "needs no network, and to a PDF. The same command writes the same bytes. Ctrl-C writes what was measured until "
    "then.",
    "report --out": "write the report as HTML",
    "report --pdf": "write the report as PDF",
    "effect": "measure what an answer depends on: image, text and audio",
    "effect-description": "Run a model on every subset of the image, the text and the audio clip, and print what each "
    "of them does for the answer (its exact Shapley value, in nats), beside the attention that it gets.",
    "effect --subsets-csv": "write the answer to each subset of the inputs as CSV",
    "effect --interactions-csv": "write what each pair of modalities does together as CSV",
    "effect --baseline": _BASELINE.format(replaced="a modality that is left out"),
    "heads": "measure what each attention head does for an answer",
    "heads-description": "Run a model on an image, a text and an audio clip with each attention head ablated alone, "
    "and print how the answer's log-probability changes, and what the head attends to. Ctrl-C stops and prints the "
    "heads that were ablated until then. Files count layers and heads from 0, the printed table from 1.",
    "heads --redundant": "name the pairs of heads that attend almost alike instead",
    "heads --edges": "mask the queries and keys of one head instead, such as 5:2 (layer and head from 0), and print "
    "those that carry its effect",
    "routes": "measure which route between modalities carries an answer",
    "routes-description": "Run a model on an image, a text and an audio clip, cut each route (what one modality, or "
    "the answer token, reads from another) in each window of layers, and print how the answer's log-probability "
    "changes beside the attention that the route has. Ctrl-C stops and prints the routes that were cut until then. "
    "Files count layers from 0, the printed table from 1.",
    "routes --windows": "windows that the layers of a stack are cut in, at most (default: {windows}); all layers "
    "together are one more where there are several",
    "story": "tell the two to five steps that carry an answer",
    "story-description": "Run a model on an image, a text and an audio clip, search for the routes that carry its "
    "answer (what some tokens read from others, in which layers), and print each as a sentence, with what the "
    "answer's log-probability loses if exactly that is cut. Ctrl-C stops and prints the steps that were confirmed "
    "until then. Files count layers from 0, the printed sentences from 1.",
    "methods": "measure whether the tokens that each method marks matter for an answer",
    "methods-description": "Run a model on an image, a text and an audio clip, remove and add the tokens that each "
    "method marks most (deletion and insertion), and print how much better than random orders the method is.",
    "methods --head": "the single head that is one of the methods, such as 5:2 (layer and head from 0); by default "
    "the first of the last layer",
    "methods --baseline": _BASELINE.format(replaced="tokens that are removed"),
    "compare": "compare two models, or two inputs, under one method",
    "compare-description": "Run a model on an image, a text and an audio clip (A), then another model, or the same on "
    "other inputs or changed (B), and print what the answer token attends to in A, in B, and the "
    "difference. What is not given for B is as in A.",
    "compare --other": "the model of B",
    "compare --other-image": "the image of B; '' for none",
    "compare --other-text": "the question of B; '' for none",
    "compare --other-audio": "the sound of B; '' for none",
    "compare --other-control": "B with shuffled weights, with uniform attention, or as it was trained, without any "
    "change",
    "compare --other-cut": "B with these routes cut in addition, as in --cut",
    "compare --other-drop": "B without these modalities in addition, as in --drop",
    "compare --method": "what both are compared by: a map such as 5:mean or 5:2 (layer and head from 0), rollout or "
    "relevance (default: that of the model)",
    "compare --direction": "what the token attends to, or what attends to it",
    "compare --token": "the token of A, from 0 (default: the one that answers)",
    "lens": "see an answer form: what each token would answer after each layer",
    "lens-description": "Run a model on an image, a text and an audio clip, read the hidden states of all tokens "
    "after each layer through the model's own final norm and head (the logit lens), and print how the answer forms.",
    "lens --words": "which words of a written answer it is about, from 1; the first of them counts",
    "lens --json": "write the whole lens as JSON (- for standard output)",
    "lens --csv": "write one row for each layer and token as CSV",
    "audit": "measure over many examples how much a model uses image, text and audio",
    "audit-description": "Run a model on many examples, with and without each modality, and print how often each one "
    "decides the answer, is ignored, or is overruled. Ctrl-C stops and prints what was evaluated so far.",
    "audit --baseline": _BASELINE.format(replaced="a removed modality"),
    "audit --json": "write the whole audit as JSON (- for standard output)",
    "audit --csv": "write one row for each example as CSV",
    "audit --heads-csv": "write one row for each attention head as CSV: how often it points to the places that "
    "examples give",
    "average": "mean attention and mean effects of routes over many examples, or what two checkpoints do differently",
    "average-description": "Run a model on every example, and once more for each route that is cut, and print the "
    "mean effect of each route by question or answer. With --other, run two checkpoints on the same examples and "
    "print what changed. Ctrl-C stops and prints what was measured so far.",
    "average --other": f"compare with this model: {MODEL}",
    "average --by": "what the examples of a group have in common: their question (default), the model's answer, or "
    "nothing (default with --other)",
    "average --table": "which table --csv writes: effects of routes (default), attention between modalities by head, "
    "attention from the answer to patches and moments, or the answers. Routes are measured for it, and for --json, "
    "only",
    "average --json": "write all tables as JSON (- for standard output)",
    "average --csv": "write the table that --table names as CSV",
}
