"""``mmviz lens``: what each token of a model would answer after each layer."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from mmviz.cli.change_options import add_change_options, changes_of
from mmviz.cli.options import (
    add_input_options,
    add_model_options,
    add_prompt_options,
    backend_from,
    check_outputs,
    prompt_settings,
    stop_on_interrupt,
    word_numbers,
)
from mmviz.cli.progress_line import reported_run
from mmviz.i18n.command_help import help_text
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.minus_sign import signed_text
from mmviz.io.write_file import write_file

if TYPE_CHECKING:
    from mmviz.experiments.lens import Lens


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser("lens", help=help_text("lens"), description=help_text("lens-description"))
    add_input_options(parser)
    add_model_options(parser)
    add_prompt_options(parser)
    add_change_options(parser)
    parser.add_argument("--words", metavar="N,N", help=help_text("lens --words"))
    parser.add_argument("--json", metavar="FILE", help=help_text("lens --json"))
    parser.add_argument("--csv", metavar="FILE", help=help_text("lens --csv"))
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from mmviz.backends.backend_for_run import chosen_backend
    from mmviz.experiments.lens import lens_requests, read_lens
    from mmviz.inputs import make_sample
    from mmviz.report.lens_table import lens_table
    from mmviz.types import Request

    check_outputs(options, ("json", "csv"))
    words = tuple(word_numbers(options.words))
    sample = make_sample(image=options.image, text=options.text, audio=options.audio, video=options.video)
    backend = chosen_backend(backend_from(options), options.model)
    settings = tuple(prompt_settings(options).items())
    request = Request(options.model, sample, changes_of(options), answer_part=words, options=settings)
    with stop_on_interrupt() as stop, reported_run():
        records = backend.run(lens_requests(request), stop=stop)
    lens = read_lens(records)
    if lens is None:
        raise KeyboardInterrupt
    table = lens_table(request, records[0], lens, options.command_line)
    if options.json and options.json != "-":
        write_file(options.json, table.to_json().encode())
    if options.csv:
        write_file(options.csv, table.to_csv().encode())
    text = "\n".join([*table.facts["notices"], to_text(lens)])
    print(table.to_json().rstrip() if options.json == "-" else text)
    return 0


def to_text(lens: Lens) -> str:
    """Returns as text how the answer forms, a line for each layer, and where that misleads."""
    from mmviz.i18n.unicode_display import one_line
    from mmviz.report.lens_table import about, layer_names, misleads

    answer = one_line(lens.reading.answer)
    named = ("lens-column-layer", "lens-column-best", "lens-column-probability")
    ranked = ("lens-column-rank", "lens-column-log-probability")
    rows = [[*map(sentence, named), *(sentence(code, answer=answer) for code in ranked)]]
    for layer, step in zip(layer_names(lens), lens.forming(), strict=True):
        best, log_p = step.answers[0]
        log_p_answer = signed_text(step.log_probability).removeprefix("+")
        rows.append([layer, one_line(best), f"{math.exp(log_p):.2f}", str(step.rank), log_p_answer])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*map(one_line, about(lens)), "", *lines, "", *misleads(lens)])
