"""Representations that fit on a few lines of a terminal: sizes in place of arrays, counts in place of long tuples."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, ClassVar

import numpy as np

LONGEST = 300
"""Characters of a representation, at most."""
_FEW = 3
"""Entries of a tuple or mapping that are written out."""
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 60


class ShortRepr:
    """Gives a dataclass a short ``repr``: its fields by name, without those that have their default value.

    Use it with ``@dataclass(repr=False)``.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __repr__(self) -> str:
        parts = (
            f"{field.name}={short(getattr(self, field.name))}" for field in fields(self) if not _is_default(self, field)
        )
        return call_repr(self, *parts)


def call_repr(value: object, *parts: str) -> str:
    """Returns the name of the class of ``value`` with ``parts`` in brackets, cut to `LONGEST` characters."""
    text = f"{type(value).__name__}({', '.join(parts)})"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 2]}…)"


def short(value: Any) -> str:
    """Returns a value as in a `ShortRepr`: an array by its type and shape, a long tuple by its start and length."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, tuple):
        more = [f"… {len(value)} in all"] if len(value) > _FEW else []
        entries = [*map(short, value[:_FEW]), *more]
        return f"({', '.join(entries)}{',' if len(value) == 1 else ''})"
    if isinstance(value, Mapping):
        entries = [f"{key!r}: {short(value[key])}" for key in list(value)[:_FEW]]
        return f"{{{', '.join([*entries, *(['…'] if len(value) > _FEW else [])])}}}"
    return repr(value) if isinstance(value, ShortRepr) else _REPR.repr(value)


def _is_default(value: Any, field: Field[Any]) -> bool:
    current = getattr(value, field.name)
    if field.default is not MISSING:
        return current is field.default or (isinstance(current, str | int | tuple) and current == field.default)
    return field.default_factory is not MISSING and not current
