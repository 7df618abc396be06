"""Errors and notices: codes with parameters, which `mmviz.i18n.errors_and_notices` puts into sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmviz.types.frozen import ValueSemantics, read_only_mapping
from mmviz.types.short_repr import ShortRepr


class MmvizError(Exception):
    """The base class of all errors that mmviz raises on purpose.

    ``str`` gives one sentence that says what happened and what to do, in the language in use at that moment. Errors can
    be pickled and copied.
    """

    code: str
    """What happened: the key of the sentence in `mmviz.i18n.errors_and_notices`."""
    parameters: dict[str, Any]
    """The values of the case, for the sentence."""

    def __init__(self, code: str, **parameters: object):
        from mmviz.i18n.errors_and_notices import sentence

        self.code = code
        self.parameters = parameters
        super().__init__(sentence(code, **parameters))

    def __str__(self) -> str:
        from mmviz.i18n.errors_and_notices import sentence

        return sentence(self.code, **self.parameters)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_error, (type(self), self.code, self.parameters), self.__dict__


class InputError(MmvizError):
    """An image, text or audio that mmviz does not take."""


class CaptureError(MmvizError):
    """Attention that could not be captured, or that is not what it claims to be."""


@dataclass(frozen=True, eq=False, repr=False)
class Notice(ShortRepr, ValueSemantics):
    """Something the user should know, such as an input that was cut, resampled or converted.

    ``str`` gives the sentence, in the language in use at that moment.
    """

    code: str
    """Key of the sentence in `mmviz.i18n.errors_and_notices`."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Values for the sentence, read-only."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", read_only_mapping(self.parameters))

    def __str__(self) -> str:
        from mmviz.i18n.errors_and_notices import sentence

        return sentence(self.code, **self.parameters)


def _restore_error(kind: type[MmvizError], code: str, parameters: dict[str, Any]) -> MmvizError:
    """Rebuilds an error from its pickle."""
    return kind(code, **parameters)
