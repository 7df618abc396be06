"""Errors as JSON: code and parameters, so that each side words them in its own language."""

from __future__ import annotations

import json

from mmviz.i18n.errors_and_notices import SENTENCES
from mmviz.types import CaptureError, InputError, MmvizError

_CLASSES = {cls.__name__: cls for cls in (MmvizError, InputError, CaptureError)}


def error_to_bytes(error: MmvizError) -> bytes:
    """Returns an error as JSON."""
    fields = {"kind": type(error).__name__, "code": error.code, "parameters": error.parameters}
    return json.dumps(fields, default=str).encode()


def error_from_bytes(data: bytes, code: str, **parameters: object) -> MmvizError:
    """Returns the error that `error_to_bytes` wrote, with ``parameters`` added to its own.

    Raises ``MmvizError`` (``code``) for any other data.
    """
    try:
        fields = json.loads(data)
        if fields["code"] not in SENTENCES:
            raise ValueError(fields["code"])
        error: MmvizError = _CLASSES[fields["kind"]](fields["code"], **{**fields["parameters"], **parameters})
        return error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise MmvizError(code) from problem
