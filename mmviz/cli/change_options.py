"""Options for what is changed in a run, in the text of `mmviz.io.change_text`, as a command of the page has them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

from mmviz.i18n.command_help import help_text
from mmviz.io.change_text import CONTROLS, read_cuts, read_heads, read_removals
from mmviz.types import Change, MmvizError

T = TypeVar("T")
CHANGE_OPTIONS = ("control", "ablate", "cut", "drop")
"""The options, by their names without dashes."""


def add_change_options(command: argparse.ArgumentParser) -> None:
    """Adds the options for a control, ablated heads, cut routes and removed modalities."""
    controls = [control for control in CONTROLS if CONTROLS[control]]
    command.add_argument("--control", choices=controls, help=help_text("--control"))
    command.add_argument("--ablate", metavar="MAP:HEADS", help=help_text("--ablate"))
    command.add_argument("--cut", metavar="ROUTES", help=help_text("--cut"))
    command.add_argument("--drop", metavar="MODALITIES", help=help_text("--drop"))


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
