"""A refusal as JSON: its code and parameters, so that each side has its own words."""

from __future__ import annotations

import json

from mmviz.i18n.messages import SENTENCES
from mmviz.types import CaptureError, InputError, MmvizError

_KINDS = {kind.__name__: kind for kind in (MmvizError, InputError, CaptureError)}


def refusal_to_bytes(refusal: MmvizError) -> bytes:
    """A refusal as JSON."""
    about = {"kind": type(refusal).__name__, "code": refusal.code, "parameters": refusal.parameters}
    return json.dumps(about, default=str).encode()


def refusal_from_bytes(data: bytes, code: str, **known: object) -> MmvizError:
    """What `refusal_to_bytes` wrote, ``known`` parameters added. Raises ``MmvizError`` (``code``) for anything else."""
    try:
        found = json.loads(data)
        if found["code"] not in SENTENCES:
            raise ValueError
        refusal: MmvizError = _KINDS[found["kind"]](found["code"], **{**found["parameters"], **known})
        return refusal
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise MmvizError(code) from problem
