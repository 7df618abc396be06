"""``mmviz models``: the models of the catalogue, and the checkpoints of Hugging Face on this disk."""

from __future__ import annotations

import argparse
from typing import Any


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser(
        "models",
        help="list the models",
        description="List the models that come with mmviz and the Hugging Face checkpoints on this disk, each with "
        "what --model takes.",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from mmviz.backends.local import LocalBackend

    for card in LocalBackend().models():
        print(f"{card.id:8} {card.description} (weights {card.weights_digest[:12]})")
    from mmviz.models.huggingface.checkpoint_files import gigabytes
    from mmviz.models.huggingface.disk_checkpoints import disk_checkpoints

    for checkpoint in disk_checkpoints():
        millions, size = checkpoint.parameters / 1e6, gigabytes(checkpoint.disk_bytes)
        print(f"{checkpoint.spec} {checkpoint.family}, {millions:,.0f} million weights, {size}.")
    return 0
