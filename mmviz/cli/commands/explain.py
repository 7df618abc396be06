"""``mmviz explain``: one run of a model, or one of each example of a folder, and the files that show it."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from mmviz.cli.change_options import add_change_options, changes_of
from mmviz.cli.map_options import add_map_options, check_map_options, figure_of, needs_relevance, shown_map
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
from mmviz.i18n.command_help import help_text
from mmviz.i18n.errors_and_notices import sentence
from mmviz.io.write_file import write_file
from mmviz.types import MmvizError


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser("explain", help=help_text("explain"), description=help_text("explain-description"))
    parser.add_argument("folder", nargs="?", metavar="FOLDER_OR_CSV", help=help_text("explain FOLDER_OR_CSV"))
    parser.add_argument("--out", metavar="DIR", help=help_text("explain --out"))
    parser.add_argument("--formats", metavar="F,F", help=help_text("explain --formats"))
    add_input_options(parser)
    add_model_options(parser)
    add_prompt_options(parser)
    add_change_options(parser)
    parser.add_argument("--words", metavar="N,N", help=help_text("explain --words"))
    parser.add_argument("--json", metavar="FILE", help=help_text("explain --json"))
    parser.add_argument("--npz", metavar="FILE", help=help_text("explain --npz"))
    parser.add_argument("--keep", choices=("overview", "exact"), default="overview", help=help_text("explain --keep"))
    parser.add_argument("--relevance", action="store_true", help=help_text("explain --relevance"))
    parser.add_argument("--png", metavar="FILE", help=help_text("explain --png"))
    parser.add_argument("--pdf", metavar="FILE", help=help_text("explain --pdf"))
    parser.add_argument("--svg", metavar="FILE", help=help_text("explain --svg"))
    parser.add_argument("--column", metavar="FILE", help=help_text("explain --column"))
    parser.add_argument("--csv", metavar="FILE", help=help_text("explain --csv"))
    parser.add_argument("--html", metavar="FILE", help=help_text("explain --html"))
    add_map_options(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from mmviz.cli.explain_folder import explain_folder
    from mmviz.explain import run_sample
    from mmviz.inputs import make_sample
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
    shows_map = any(getattr(options, name) for name in (*FIGURES, "column", "csv", "html"))
    check_map_options(options, shows_map, "--html, --csv, --png, --pdf, --svg or --column")
    run = run_sample(
        make_sample(image=options.image, text=options.text, audio=options.audio, video=options.video),
        model=options.model, backend=backend_from(options), changes=changes_of(options),
        relevance=needs_relevance(options), options=prompt_settings(options),
    )  # fmt: skip
    if words:
        run = run.about_words(words)
    shown = shown_map(options, run)
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
            write_file(path, figure_of(run, file_format, shown))
    if options.column:
        write_file(options.column, figure_of(run, "pdf", shown, "column"))
    if options.csv:
        write_file(options.csv, run.table(*(shown.choice if shown else ())).to_csv().encode())
    if options.html:
        write_file(options.html, run.to_html(prior, shown.view(run) if shown else None).encode())
    return 0


def _print_answer(summary: dict[str, Any]) -> None:
    for notice in summary["notices"]:
        print(notice)
    best = list(summary["probabilities"].items())[:5]
    shares, prior = summary["answer_shares"], summary["language_prior"]
    if summary["made_by"].get("answer"):
        print(sentence("explain-answer", answer=summary["answer"]))
    elif not best:
        print(sentence("explain-no-answer"))
    else:
        answers = " | ".join(f"{label} {probability:.1%}" for label, probability in best)
        unsure = sentence("measure-answer-unsure", answers=answers)
        print(unsure if summary["not_sure"] else sentence("explain-answer", answer=answers))
    part = summary["made_by"].get("answer_part") or slice(None)  # of a written answer, the tokens that it is about
    if shares:
        means = np.mean(np.asarray(shares["shares"])[part], axis=0)
        named = ", ".join(f"{group} {mean:.2f}" for group, mean in zip(shares["groups"], means, strict=True))
        print(sentence("explain-while-written", shares=named))
    for row in prior["rows"] if prior else ():
        without, log_p = " and ".join(row["without"]), np.asarray(row["log_probabilities"])[part].sum()
        code = "explain-log-probability-without" if without else "explain-log-probability"
        print(sentence(code, without=without, nats=float(log_p)))
    for kind in ("reads_from", "depends_on"):
        shown = summary[kind]
        print(f"{shown['title'].lower()}: {shown.get('reason') or shown['about']}")
    device, method = summary["made_by"]["device_name"], summary["attention"]["method"]
    print(sentence("explain-computed", device=device, method=method))
