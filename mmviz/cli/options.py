"""What several commands share: options, extras, progress bars, Ctrl-C, and files that they write."""

from __future__ import annotations

import argparse
import errno
import math
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmviz.i18n.command_help import help_text
from mmviz.inputs.audio_formats import AUDIO_SUFFIXES
from mmviz.inputs.image_formats import IMAGE_SUFFIXES
from mmviz.types import MmvizError, Notice

if TYPE_CHECKING:
    from mmviz.backends import Backend
    from mmviz.backends.local import LocalBackend
    from mmviz.figures.printed_parts import FigureFormat

FIGURES: tuple[FigureFormat, ...] = ("png", "pdf", "svg")
"""Options that write the figure of a run, each called as its format."""
PROMPT_SETTINGS = ("system", "new_tokens", "template")
"""Settings of a model that writes its answer, each an option."""


def add_input_options(command: argparse.ArgumentParser) -> None:
    """Adds the options for an image, a video, a text and a sound."""
    command.add_argument(
        "--image", metavar="FILE", action="append", help=help_text("--image", formats=_endings(IMAGE_SUFFIXES))
    )
    command.add_argument("--video", metavar="FILE", help=help_text("--video"))
    command.add_argument("--text", metavar="TEXT", help=help_text("--text"))
    command.add_argument(
        "--audio", metavar="FILE", action="append", help=help_text("--audio", formats=_endings(AUDIO_SUFFIXES))
    )


def _endings(suffixes: Iterable[str]) -> str:
    return ", ".join(sorted(suffix[1:] for suffix in suffixes))


def word_numbers(text: str | None) -> list[int]:
    """Returns the numbers of words, from 0; none for None. Raises ``MmvizError`` (``option-words``)."""
    parts = [] if text is None else text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise MmvizError("option-words", value=text)
    return [int(part) - 1 for part in parts]


def add_prompt_options(command: argparse.ArgumentParser) -> None:
    """Adds the options for the settings under which a model writes its answer."""
    command.add_argument("--system", metavar="TEXT", help=help_text("--system"))
    command.add_argument("--new-tokens", type=int, metavar="N", help=help_text("--new-tokens"))
    command.add_argument("--template", metavar="TEXT", help=help_text("--template"))


def prompt_settings(options: argparse.Namespace) -> dict[str, str | int]:
    """Returns those of these settings that are given, as `Request.options`.

    Raises ``MmvizError`` (``option-number``) for fewer than one new token.
    """
    if options.new_tokens is not None:
        check_number("--new-tokens", options.new_tokens, 1)
    given = {name: getattr(options, name) for name in PROMPT_SETTINGS}
    return {name: value for name, value in given.items() if value is not None}


def add_model_options(command: argparse.ArgumentParser) -> None:
    """Adds the options for the model, and for the backend that runs it."""
    command.add_argument("--model", default="trio", help=help_text("--model"))
    add_backend_options(command)


def add_backend_options(command: argparse.ArgumentParser) -> None:
    """Adds the options for a backend elsewhere that runs the model."""
    command.add_argument("--backend", metavar="URL", help=help_text("--backend"))
    command.add_argument("--token-file", type=Path, metavar="FILE", help=help_text("--token-file"))


def add_tls_options(command: argparse.ArgumentParser) -> None:
    """Adds the options for HTTPS."""
    command.add_argument("--tls-cert", type=Path, metavar="FILE", help=help_text("--tls-cert"))
    command.add_argument("--tls-key", type=Path, metavar="FILE", help=help_text("--tls-key"))


def check_number(option: str, value: float, least: float) -> None:
    """Raises ``MmvizError`` (``option-number``) unless ``value`` is finite and at least ``least``."""
    if not least <= value < math.inf:
        raise MmvizError("option-number", option=option, value=value, least=least)


def check_folder(folder: Path) -> None:
    """Raises ``MmvizError`` (``file-unwritable``) for a folder that can neither be written to nor made."""
    above = next((path for path in (folder, *folder.absolute().parents) if os.path.lexists(path)), folder)
    if not above.is_dir() or not os.access(above, os.W_OK):
        why = os.strerror(errno.EACCES if above.is_dir() else errno.ENOTDIR)
        raise MmvizError("file-unwritable", name=folder.name, why=why)


def check_file(path: str) -> None:
    """Refuses an output file without a folder before the work is done. Raises ``MmvizError`` (``file-unwritable``)."""
    if not Path(path).absolute().parent.is_dir():
        raise MmvizError("file-unwritable", name=Path(path).name, why=Notice("reason-no-folder"))


def check_outputs(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Refuses the output files that these options name before the work is done; only ``--json`` takes ``-``.

    Raises ``MmvizError`` (``option-file``, ``file-unwritable``).
    """
    for name in names:
        path = getattr(options, name)
        if path == "" or (path == "-" and name != "json"):
            raise MmvizError("option-file", option=f"--{name.replace('_', '-')}")
        if path not in (None, "-"):
            check_file(path)


def check_ending(path: str, endings: Sequence[str], code: str) -> None:
    """Refuses an output file that is named as of another format. Raises ``MmvizError`` (``code``).

    A name without an ending claims nothing, and may be a device.
    """
    if Path(path).suffix.lower() not in ("", *endings):
        raise MmvizError(code, name=Path(path).name)


def require_extra(command: str, extra: str, *modules: str) -> None:
    """Raises ``MmvizError`` (``extra-missing``) unless all ``modules`` are installed, which ``extra`` brings."""
    if any(find_spec(module) is None for module in modules):
        raise MmvizError("extra-missing", extra=extra, command=command)


def backend_from(options: argparse.Namespace, model: str | None = None) -> Backend | None:
    """Returns the backend that the options name: a remote one, or this machine with a custom model.

    ``model``: by default that of the options. None stands for a model of the catalogue on this machine. Raises
    ``MmvizError`` (``option-needs``) for a token file without a backend.
    """
    if not options.backend:
        if options.token_file:
            raise MmvizError("option-needs", option="--token-file", needed="--backend")
        return custom_backend(model or options.model)
    from mmviz.backends.remote import RemoteBackend
    from mmviz.cli.token_file import read_token

    token = read_token(options.token_file) if options.token_file else os.environ.get("MMVIZ_TOKEN")
    return RemoteBackend(options.backend, token)


def backend_with(backend: Backend | None, model: str) -> tuple[Backend, bool]:
    """Returns the backend, and whether the model is trained. Raises ``MmvizError`` (``model-unknown``).

    Without this check every single example would be skipped for an unknown model. None stands for this machine.
    """
    if backend is None:
        from mmviz.backends.backend_for_run import this_machine_backend

        backend = this_machine_backend()  # one for all models of a command, so that each is loaded once
    trained = {card.id: card.trained for card in backend.models()}
    if model not in trained:
        raise MmvizError("model-unknown", model=model, known=", ".join(trained))
    return backend, trained[model]


def custom_backend(model: str) -> LocalBackend | None:
    """Returns a backend with the custom model that ``model`` names; None for a model of the catalogue."""
    from mmviz.backends.backend_for_run import custom_spec

    spec = custom_spec(model)
    if spec is None:
        return None
    from mmviz.backends.local.backend import this_machine

    return this_machine(spec)


@contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Yields a function that returns whether Ctrl-C was pressed, so that a command can keep what is done so far.

    A second Ctrl-C raises ``KeyboardInterrupt`` as usual.
    """
    is_pressed = False

    def press(*_: object) -> None:
        nonlocal is_pressed
        is_pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: is_pressed
    finally:
        signal.signal(signal.SIGINT, before)


def progress_bar(total: int) -> Any:
    """Returns a ``tqdm`` progress bar. The command must have called `require_extra` for it."""
    from tqdm import tqdm

    return tqdm(total=total, dynamic_ncols=True)
