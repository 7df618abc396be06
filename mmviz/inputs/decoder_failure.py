"""An exception of a decoder that no damage of a file explains: logged without content, and said as what it is."""

from __future__ import annotations

import logging
import platform
import traceback
from importlib import metadata
from pathlib import Path

from mmviz.types import InputError

CODE = "decoder-failed"
_PROJECTS = {"av": "PyAV", "pillow": "Pillow"}
"""Names of projects where they differ from those of their packages."""
_MAX_LENGTH = 120
_log = logging.getLogger(__name__)


def decoder_failure(error: Exception, package: str, save_as: str) -> InputError:
    """Logs an exception that nobody expected, and returns the error to raise from it.

    Its cause is mmviz or the package, so it must not be called damage of the file.

    Args:
        package: name of the decoder's package as pip knows it, such as ``av``.
        save_as: the format that another decoder reads, such as ``WAV``.

    Examples::

        try:
            decode(file)
        except av.error.FFmpegError as error:
            raise InputError("audio-damaged") from error
        except Exception as error:
            raise decoder_failure(error, "av", "WAV") from error
    """
    name = _PROJECTS.get(package, package)
    failure = InputError(
        CODE, decoder=f"{name} {_version(package)}", error=type(error).__name__, package=name, format=save_as,
        place=_place(error),
    )  # fmt: skip
    log_decoder_failure(failure)
    return failure


def log_decoder_failure(failure: InputError) -> None:
    """Logs what `decoder_failure` returned, which holds types, versions and lines of code, and nothing of the file.

    A process that reads files may be hostile, so its strings are cut and escaped.
    """
    decoder, error, place = (
        ascii(str(failure.parameters.get(key, ""))[:_MAX_LENGTH]) for key in ("decoder", "error", "place")
    )
    _log.error(
        "A decoder failed in an unexpected way: decoder %s, exception %s, at %s, mmviz %s, Python %s",
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
