"""``mmviz explain``: one run of a model, or one of each example of a folder, and the files that show it."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from mmviz.cli.options import (
    FIGURES,
    add_input_options,
    add_model_options,
    add_prompt_options,
    backend_from,
    check_outputs,
    prompt_settings,
    word_numbers,
)
from mmviz.i18n.errors_and_notices import sentence
from mmviz.io.write_file import write_file
from mmviz.types import MmvizError


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser(
        "explain",
        help="run a model on an image, a text and an audio clip, or on each example of a folder",
        description="Run a model on an image, a text and an audio clip, print its answer, and write its attention to "
        "files. Any of the three inputs may be left out. With FOLDER_OR_CSV, do so for each example in it: --out says "
        "where the files go. The same command again goes on where it was stopped, and computes only what is new or "
        "was changed.",
    )
    parser.add_argument(
        "folder",
        nargs="?",
        metavar="FOLDER_OR_CSV",
        help="folder of examples (cat1.png, cat1.wav and cat1.txt are one), or a CSV file with the columns image, "
        "text, audio and name, whose files lie beside it or in folders there",
    )
    parser.add_argument("--out", metavar="DIR", help="with FOLDER_OR_CSV: the folder that the files are written to")
    parser.add_argument(
        "--formats",
        metavar="F,F",
        help="with FOLDER_OR_CSV: which files are written for each example, some of html, json, npz, png, pdf and "
        "svg, each as the option of this name (default: html,json)",
    )
    add_input_options(parser)
    add_model_options(parser)
    add_prompt_options(parser)
    parser.add_argument(
        "--words", metavar="N,N", help="which words of a written answer the effects are about, from 1 (default: all)"
    )
    parser.add_argument("--json", metavar="FILE", help="write a summary as JSON (- for standard output)")
    parser.add_argument("--npz", metavar="FILE", help="write the whole run, to be opened with `mmviz app FILE`")
    parser.add_argument(
        "--keep",
        choices=("overview", "exact"),
        default="overview",
        help="what --npz keeps of a run too long to hold all its weights: means and sums, or also queries, keys and "
        "log-sum-exp, from which exact rows, windows and rollout are computed; their size is told first "
        "(default: overview)",
    )
    parser.add_argument(
        "--relevance", action="store_true", help="also record gradient relevance, which needs a backward pass"
    )
    parser.add_argument("--png", metavar="FILE", help="write one figure of the attention on the inputs")
    parser.add_argument("--pdf", metavar="FILE", help="write that figure as PDF, for print")
    parser.add_argument("--svg", metavar="FILE", help="write that figure as SVG")
    parser.add_argument(
        "--column", metavar="FILE", help="write that figure as PDF for a column of a paper, 3.3 inches wide"
    )
    parser.add_argument(
        "--csv",
        metavar="FILE",
        help="write the attention of the token that answers, in the map that the viewer opens with, as CSV: a row for "
        "each token",
    )
    parser.add_argument("--html", metavar="FILE", help="write the interactive viewer as one HTML file")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from mmviz.cli.explain_folder import explain_folder
    from mmviz.explain import explain
    from mmviz.report.exact_attention_size import size_per_token, size_text
    from mmviz.report.json_summary import measured_prior, run_summary

    if options.folder is not None:
        return explain_folder(options)
    for option in ("out", "formats"):
        if getattr(options, option) is not None:
            raise MmvizError("option-needs", option=f"--{option}", needed="FOLDER_OR_CSV")
    check_outputs(options, ("json", "npz", *FIGURES, "column", "csv", "html"))
    if options.keep == "exact" and not options.npz:
        raise MmvizError("option-needs", option="--keep exact", needed="--npz")
    words = word_numbers(options.words)
    run = explain(
        image=options.image, text=options.text, audio=options.audio, video=options.video, model=options.model,
        backend=backend_from(options), relevance=options.relevance, options=prompt_settings(options),
    )  # fmt: skip
    if words:
        run = run.about_words(words)
    prior = measured_prior(run)  # once for both
    summary = run_summary(run, prior)
    if options.json == "-":
        print(json.dumps(summary, indent=1))
    else:
        _print_answer(summary)
    if options.json and options.json != "-":
        write_file(options.json, json.dumps(summary, indent=1).encode())
    if options.npz:
        if options.keep == "exact":
            nbytes = run.exact_nbytes()
            sizes = {"size": size_text(nbytes), "token": size_per_token(run.record, nbytes)}
            print(sentence("keep-size" if nbytes else "keep-short", **sizes), flush=True)
        write_file(options.npz, run.to_bytes(options.keep))
    for file_format in FIGURES:
        if path := getattr(options, file_format):
            write_file(path, run.figure(file_format))
    if options.column:
        write_file(options.column, run.figure("pdf", layout="column"))
    if options.csv:
        write_file(options.csv, run.table().to_csv().encode())
    if options.html:
        write_file(options.html, run.to_html(prior).encode())
    return 0


def _print_answer(summary: dict[str, Any]) -> None:
    for notice in summary["notices"]:
        print(notice)
    best = list(summary["probabilities"].items())[:5]
    shares, prior = summary["answer_shares"], summary["language_prior"]
    if summary["made_by"].get("answer"):
        print(f"answer: {summary['answer']}")
    else:
        doubt = "not sure: " if summary["not_sure"] else ""
        print(f"answer: {doubt}" + (" | ".join(f"{label} {probability:.1%}" for label, probability in best) or "none"))
    part = summary["made_by"].get("answer_part") or slice(None)  # of a written answer, the tokens that it is about
    if shares:
        means = np.mean(np.asarray(shares["shares"])[part], axis=0)
        named = ", ".join(f"{group} {mean:.2f}" for group, mean in zip(shares["groups"], means, strict=True))
        print(f"attention while it was written, mean over its words: {named}")
    for row in prior["rows"] if prior else ():
        without, log_p = " and ".join(row["without"]), np.asarray(row["log_probabilities"])[part].sum()
        print(f"log-probability{f' without {without}' if without else ''}: {log_p:.2f} nats")
    for kind in ("reads_from", "depends_on"):
        shown = summary[kind]
        print(f"{shown['title'].lower()}: {shown.get('reason') or shown['about']}")
    print(f"computed on {summary['made_by']['device_name']}; attention: {summary['attention']['method']}")
