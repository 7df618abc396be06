"""``mmviz story``: the few routes that carry an answer, each confirmed by its own cut."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mmviz.cli.experiment_command import Measured, Printed, add_experiment, run_experiment
from mmviz.cli.progress_line import ProgressLine

if TYPE_CHECKING:
    from mmviz.backends import Stop
    from mmviz.experiments.story import Story
    from mmviz.explain import Run


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    add_experiment(commands, "story", _run)


def _run(options: argparse.Namespace) -> int:
    return run_experiment(options, lambda run, stop: _measure(options, run, stop))


def _measure(options: argparse.Namespace, run: Run, stop: Stop) -> Measured | None:
    from mmviz.experiments.story_search import most_cuts
    from mmviz.report.story_table import story_table

    record = run.record
    story = run.story(ProgressLine(record, most_cuts(record)), stop)
    if not story.steps and not story.is_complete:
        return None
    table = story_table(run.rerun_request(), record, story, options.command_line)
    return Measured(table, [_printed(run, story)] if story.steps else [])


def _printed(run: Run, story: Story) -> Printed:
    from mmviz.i18n.page import say
    from mmviz.report.story_cards import step_sentence

    rows = [[say(f"story-column-{column}") for column in ("step", "effect", "sentence")]]
    for number, step in enumerate(story.steps, 1):
        sentence = step_sentence(run.record, step, names_patches=True)
        rows.append([str(number), say("story-effect", size=-step.effect), sentence])
    return Printed(rows, say("story"))
