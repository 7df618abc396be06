"""The command that makes a table of the page again on the visitor's own machine. No Streamlit."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmviz.app.draft import EMPTY, Source, VideoFile
from mmviz.app.operator_config import BUNDLED
from mmviz.app.selection_amounts import SelectionView
from mmviz.app.session_state import State
from mmviz.io.change_text import write_changes
from mmviz.types import Change, Request

UNNAMED = {"image": "picture.png", "video": "video.mp4", "audio": "sound.wav"}
"""What stands for a file whose name is not known: that of a photo, a recording, or a run from a file."""


def table_command(state: State, request: Request, command: str, **options: str) -> str:
    """Returns ``mmviz COMMAND`` for the inputs and the changes of the run on the screen, whose request is ``request``.

    Files have the names that the visitor gave them, or those of the example. ``options`` are further ones, by their
    names without dashes (``other_text`` for ``--other-text``).
    """
    draft, sample = state.run_draft or EMPTY, request.sample
    words = ["mmviz", command]
    if sample.image is not None:
        kind = "video" if isinstance(draft.image, VideoFile) else "image"
        words += _options(kind, _names(draft.image, draft.image_names, kind))
    words += _options("text", [sample.text] if sample.text else [])
    if sample.audio is not None:
        words += _options("audio", _names(draft.audio, draft.audio_names, "audio"))
    words += _options("model", [request.model] if request.model != BUNDLED else [])
    words += option_words(write_changes(request.changes).items())
    words += _options("words", [",".join(str(k + 1) for k in request.answer_part)] if request.answer_part else [])
    return shlex.join([*words, *option_words((*request.options, *options.items()))])


def compare_command(state: State, request: Request, a: SelectionView, changes: Sequence[Change]) -> str:
    """Returns the command that compares what is selected in ``a`` with the same run under further ``changes``."""
    selection = a.selection
    options = {f"other_{name}": text for name, text in write_changes(changes).items()}
    options |= {
        "method": str(selection.map_ref), "direction": selection.direction, "token": str(selection.tokens[0])
    }  # fmt: skip
    return table_command(state, request, "compare", **options)


def option_words(options: Iterable[tuple[str, str | int]]) -> list[str]:
    """Returns options by their names without dashes, and their values, as words of a command."""
    return [word for name, value in options for word in _options(name.replace("_", "-"), [str(value)])]


def _names(source: Source, names: tuple[str, ...], kind: str) -> tuple[str, ...]:
    """Returns the names of the files of an input, or those that stand for them."""
    if isinstance(source, Path):
        return (source.name,)
    count = len(source) if isinstance(source, tuple) else 1
    return names if len(names) == count else (UNNAMED[kind],) * count


def _options(name: str, values: Iterable[str]) -> list[str]:
    """Returns an option once for each value. A value that looks like an option itself is joined to its name."""
    return [
        word for value in values
        for word in ([f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value])
    ]  # fmt: skip
