"""What a user's own code raises or returns, in one sentence."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmviz.types import MmvizError


@contextmanager
def user_code(what: str) -> Iterator[None]:
    """Turns whatever a user's code raises into an ``MmvizError``: ``own-raised``, or ``own-exit`` where it ends Python.

    An ``MmvizError`` and Ctrl-C (``KeyboardInterrupt``) pass unchanged. ``what`` names the code in the message.
    """
    try:
        yield
    except (MmvizError, KeyboardInterrupt):
        raise
    except BaseException as problem:
        raise user_error(what, problem) from problem


def user_error(what: str, problem: BaseException) -> MmvizError:
    """Returns an error that says what failed in a user's code, and where."""
    frames = traceback.extract_tb(problem.__traceback__)
    library = ("mmviz", "site-packages", sysconfig.get_path("stdlib"), "<")
    user_frames = [frame for frame in frames if not any(part in frame.filename for part in library)]
    last = user_frames[-1] if user_frames else frames[-1]
    location = f"{Path(last.filename).name}, line {last.lineno}"
    words = " ".join(str(problem).split()) or "no message"
    code = "own-raised" if isinstance(problem, Exception) else "own-exit"
    return MmvizError(code, what=what, kind=type(problem).__name__, words=words[:300], where=location)


def description(value: Any) -> str:
    """Returns the type of a value, with its shape or length where it has one."""
    shape = getattr(value, "shape", None)
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return type(value).__name__ + (f" of shape {list(shape)}" if shape is not None else "")
