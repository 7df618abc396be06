"""Options for what is changed in a run, in the text of `mmviz.io.change_text`, as a command of the page has them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

from mmviz.io.change_text import CONTROLS, read_cuts, read_heads, read_removals
from mmviz.types import Change, MmvizError

T = TypeVar("T")
CHANGE_OPTIONS = ("control", "ablate", "cut", "drop")
"""The options, by their names without dashes."""


def add_change_options(command: argparse.ArgumentParser) -> None:
    """Adds the options for a control, ablated heads, cut routes and removed modalities."""
    command.add_argument(
        "--control",
        choices=[control for control in CONTROLS if CONTROLS[control]],
        help="run the model with shuffled weights, or with uniform attention",
    )
    command.add_argument(
        "--ablate",
        metavar="MAP:HEADS",
        help="run it with these heads ablated, such as 5:0-2.4,6:1; maps and heads count from 0, maps as they stand in "
        "a run",
    )
    command.add_argument(
        "--cut",
        metavar="ROUTES",
        help="run it with these routes cut, QUERIES:KEYS:STACK:LAYERS:HEADS, of which the end may be missing, such as "
        "text:image,answer:audio::2-3; a group is image, text, audio, special, answer, or tokens such as 3-5.9@",
    )
    command.add_argument(
        "--drop",
        metavar="MODALITIES",
        help="run it without these modalities, as it learned to be, or with a baseline in their place, such as "
        "image,audio:mean (mean, blur or noise)",
    )


def changes_of(options: argparse.Namespace) -> tuple[Change, ...]:
    """Returns the changes that the options name. Raises ``MmvizError`` (``option-changes``)."""
    heads = read_option("--ablate", options.ablate, read_heads)
    cuts = read_option("--cut", options.cut, read_cuts)
    removals = read_option("--drop", options.drop, read_removals)
    return (*CONTROLS[options.control or "trained"], *heads, *cuts, *removals)


def read_option(option: str, text: str | None, read: Callable[[str], tuple[T, ...] | None]) -> tuple[T, ...]:
    """Returns what ``read`` reads in the text of an option; nothing for None.

    Raises ``MmvizError`` (``option-changes``) for a text that cannot be read, or that names nothing.
    """
    changes = () if text is None else read(text)
    if changes is None or text == "":
        raise MmvizError("option-changes", option=option, value=text)
    return changes
