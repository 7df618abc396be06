"""Refusals and notices: codes with parameters, which `mmviz.i18n.messages` puts into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class MmvizError(Exception):
    """Every refusal of mmviz. ``code`` and ``parameters`` say what happened; ``str`` puts it into one clear sentence,
    in the language spoken then."""

    def __init__(self, code: str, **parameters: object):
        from mmviz.i18n.messages import sentence

        self.code = code
        self.parameters = parameters
        super().__init__(sentence(code, **parameters))

    def __str__(self) -> str:
        from mmviz.i18n.messages import sentence

        return sentence(self.code, **self.parameters)


class InputError(MmvizError):
    """A picture, sound or text that mmviz does not take."""


class CaptureError(MmvizError):
    """Attention that could not be read, or that is not what it claims to be."""


@dataclass(frozen=True)
class Notice:
    """Something the user should know: an input that was cut, resampled or converted. `mmviz.i18n.messages` has the words."""

    code: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        from mmviz.i18n.messages import sentence

        return sentence(self.code, **self.parameters)
