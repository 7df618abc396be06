"""The tiny checkpoints of the tests, and transformers with as much of torchvision as there is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent.parent / "tests"
Build = Callable[[], tuple[Any, Any]]
"""Returns a model and its processor."""


def find_tests() -> None:
    """Makes the modules of the tests importable. Where they bring torchvision, it comes before transformers."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    if find_spec("torchvision_transforms") is not None:
        transforms = import_module("torchvision_transforms")
        if transforms.is_installed():
            transforms.import_torchvision()


def every_build() -> dict[str, Build]:
    """Returns what builds each checkpoint, by its name: all tables of builds in ``tests/*checkpoints.py``."""
    find_tests()
    builds: dict[str, Build] = {}
    for path in sorted(TESTS.glob("*checkpoints.py")):
        for table in vars(import_module(path.stem)).values():
            if isinstance(table, dict) and table and all(map(callable, table.values())):
                builds |= table
    return builds


def save_checkpoint(name: str, folder: Path) -> Path:
    """Saves a checkpoint into a folder of its name with the weights of the tests, and returns that."""
    builds = every_build()
    checkpoints = import_module("tiny_checkpoints")
    checkpoints.BUILDS.update(builds)
    saved: Path = checkpoints.save_checkpoint(name, folder)
    return saved
