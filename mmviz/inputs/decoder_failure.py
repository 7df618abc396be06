"""An exception of a decoder that no damage of a file explains: logged without content, and said as what it is."""

from __future__ import annotations

import logging
import platform
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from mmviz.types import InputError, MmvizError

CODES = ("decoder-failed", "reading-failed")
"""Codes of errors whose cause is a decoder, or mmviz itself, and not the file."""
_PROJECTS = {"av": "PyAV", "pillow": "Pillow"}
"""Names of projects where they differ from those of their packages."""
_MAX_LENGTH = 120
_log = logging.getLogger(__name__)


@contextmanager
def unexpected_errors(package: str = "", save_as: str = "") -> Iterator[None]:
    """Turns an exception that nobody expected into ``InputError`` (``decoder-failed``), and logs it.

    Its cause is mmviz or the package, so it must not be called damage of the file. Too little memory is neither.

    Args:
        package: name of the decoder's package as pip knows it, such as ``av``; without one, mmviz itself is named as
            the cause (``reading-failed``).
        save_as: a format that another decoder reads, such as ``WAV``.

    Examples::

        with unexpected_errors("av", "WAV"):
            try:
                decode(file)
            except av.error.FFmpegError as error:
                raise InputError("audio-damaged") from error
    """
    try:
        yield
    except (MmvizError, MemoryError):
        raise
    except Exception as error:
        raise _failure(error, package, save_as) from error


def _failure(error: Exception, package: str, save_as: str) -> InputError:
    name = _PROJECTS.get(package, package or "mmviz")
    failure = InputError(
        CODES[0] if package else CODES[1], decoder=f"{name} {_version(package or 'mmviz')}",
        error=type(error).__name__, package=name, format=save_as, place=_place(error),
    )  # fmt: skip
    log_decoder_failure(failure)
    return failure


def log_decoder_failure(failure: InputError) -> None:
    """Logs what `unexpected_errors` raised, which holds types, versions and lines of code, and nothing of the file.

    A process that reads files may be hostile, so its strings are cut and escaped.
    """
    decoder, error, place = (
        ascii(str(failure.parameters.get(key, ""))[:_MAX_LENGTH]) for key in ("decoder", "error", "place")
    )
    _log.error(
        "A file could not be read for an unexpected reason: decoder %s, exception %s, at %s, mmviz %s, Python %s",
        decoder, error, place, _version("mmviz"), platform.python_version(),
    )  # fmt: skip


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "(unknown version)"


def _place(error: Exception) -> str:
    """Returns file and line of the innermost call, and of the innermost one in this package if that is another."""
    frames = traceback.extract_tb(error.__traceback__)
    package = Path(__file__).parent.parent
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(package)]
    last = dict.fromkeys(f"{Path(frame.filename).name}:{frame.lineno}" for frame in (*own[-1:], *frames[-1:]))
    return ", ".join(last)
