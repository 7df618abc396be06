"""How the command line names a checkpoint: ``hf:OWNER/NAME[@REVISION]``, ``hf:FOLDER``, or ``hf:PRESET``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mmviz.models.huggingface.presets import PRESETS, preset_of
from mmviz.types import MmvizError

PREFIX = "hf:"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", re.ASCII)


@dataclass(frozen=True)
class CheckpointSpec:
    """A checkpoint on this machine, or in a repository of the Hugging Face hub."""

    name: str
    """Its name for people: ``OWNER/NAME``, or that of the folder."""
    folder: Path | None = None
    """The folder; None for a repository."""
    revision: str | None = None
    """Branch, tag or commit of a repository; None for its main branch."""


def is_checkpoint(spec: str) -> bool:
    """Returns whether ``spec`` names a checkpoint of Hugging Face."""
    return spec.startswith(PREFIX)


def parse_checkpoint(spec: str) -> CheckpointSpec:
    """Returns what ``spec`` names. A folder comes before a preset or repository of the same name.

    Raises ``MmvizError`` (``hf-spec``) for what can be neither, ``hf-folder`` for a folder that does not exist.
    """
    value = spec.removeprefix(PREFIX)
    folder = Path(value).expanduser()
    if value and folder.is_dir():
        return CheckpointSpec(folder.resolve().name, folder)
    if value.startswith((".", "/", "~")) or "\\" in value:
        raise MmvizError("hf-folder", folder=value)
    if preset := preset_of(value):
        return CheckpointSpec(preset.repository)
    if not _REPOSITORY.fullmatch(value):
        raise MmvizError("hf-spec", spec=spec, presets=", ".join(preset.name for preset in PRESETS))
    name, _, revision = value.partition("@")
    return CheckpointSpec(name, revision=revision or None)
