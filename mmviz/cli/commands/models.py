"""``mmviz models``: the models of the catalogue."""

from __future__ import annotations

import argparse
from typing import Any


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser(
        "models",
        help="list the models",
        description="List the models that come with mmviz, each with the id that --model takes.",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from mmviz.backends.local import LocalBackend

    for card in LocalBackend().models():
        print(f"{card.id:8} {card.description} (weights {card.weights_digest[:12]})")
    return 0
