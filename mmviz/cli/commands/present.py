"""``mmviz present``: a talk about one run, as one HTML file, or as a ``.mmviz`` file that reopens."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmviz.cli.change_options import CHANGE_OPTIONS, add_change_options
from mmviz.cli.experiment_command import run_of_inputs
from mmviz.cli.options import (
    PROMPT_SETTINGS,
    add_input_options,
    add_model_options,
    add_prompt_options,
    check_ending,
    check_file,
    stop_on_interrupt,
)
from mmviz.cli.progress_line import ProgressLine
from mmviz.i18n.command_help import help_text
from mmviz.i18n.errors_and_notices import sentence
from mmviz.io.write_file import write_file
from mmviz.types import MmvizError

if TYPE_CHECKING:
    from mmviz.backends import Stop
    from mmviz.experiments.story import Story
    from mmviz.explain import Run
    from mmviz.present import Talk


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser("present", help=help_text("present"), description=help_text("present-description"))
    parser.add_argument("talk_file", nargs="?", metavar="TALK.mmviz", help=help_text("present TALK.mmviz"))
    add_input_options(parser)
    add_model_options(parser)
    add_prompt_options(parser)
    add_change_options(parser)
    parser.add_argument("--title", default="", help=help_text("present --title"))
    parser.add_argument("--story", action="store_true", help=help_text("present --story"))
    parser.add_argument("--out", metavar="FILE", required=True, help=help_text("present --out"))
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from mmviz.present import Talk
    from mmviz.report.exact_attention_size import size_text

    if not options.out or options.out == "-":
        raise MmvizError("option-file", option="--out")
    check_ending(options.out, (".html", ".htm", ".mmviz"), "talk-ending")
    check_file(options.out)
    if options.talk_file:
        _refuse_options(options)
    with stop_on_interrupt() as stop:
        talk = Talk.load(options.talk_file) if options.talk_file else _make(options, stop)
    is_bundle = Path(options.out).suffix.lower() == ".mmviz"
    data = talk.to_bytes() if is_bundle else talk.to_html().encode()
    write_file(options.out, data)
    count, name = len(talk.slides), Path(options.out).name
    print(sentence("talk-printed", count=count, title=talk.title, size=size_text(len(data)), name=name))
    return 0


def _refuse_options(options: argparse.Namespace) -> None:
    """Refuses what a saved talk brings itself. Raises ``MmvizError`` (``talk-inputs-twice``)."""
    defaults = {"title": "", "story": False, "model": "trio"}
    given = ("image", "video", "text", "audio", *defaults, "backend", "token_file")
    for name in (*given, *PROMPT_SETTINGS, *CHANGE_OPTIONS):
        if getattr(options, name) != defaults.get(name):
            raise MmvizError("talk-inputs-twice", option=f"--{name.replace('_', '-')}")


def _make(options: argparse.Namespace, stop: Stop) -> Talk:
    """Returns the talk of the inputs and the model that the options name.

    Raises ``KeyboardInterrupt`` where it was stopped before there was a run.
    """
    from mmviz.present import make_talk

    run = run_of_inputs(options, stop, relevance=True)
    return make_talk(run, _story(run, stop) if options.story else None, title=options.title)


def _story(run: Run, stop: Stop) -> Story:
    """Returns the story of the answer; what was confirmed until then where it was stopped."""
    from mmviz.experiments.story_search import most_cuts

    story = run.story(ProgressLine(run.record, most_cuts(run.record)), stop)
    if stop():
        print(file=sys.stderr)  # ends the line of progress
    return story
