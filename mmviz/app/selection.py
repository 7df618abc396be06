"""What is looked at, and how it is told to the viewer and read from it. No Streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from mmviz.analysis.map_refs import has_map, parse_map_ref, streams_of
from mmviz.analysis.map_weights import Direction
from mmviz.explain import Run
from mmviz.types import MapRef

Scale = Literal["view", "map"]
Style = Literal["spotlight", "heat"]


@dataclass(frozen=True)
class Selection:
    """What is looked at: a group of tokens of a run, in one direction, one way of looking, one style, on one scale.

    ``tokens``: indices, ascending, at least one; ``versus``: the same for what is compared with them, maybe none.
    """

    tokens: tuple[int, ...]
    versus: tuple[int, ...]
    direction: Direction
    map_ref: MapRef
    style: Style
    scale: Scale


def fitted(before: Selection | None, run: Run) -> Selection:
    """How a new ``run`` is looked at: from its answering token, as ``before`` where it can be, else in its own way."""
    tokens = (run.answer_query,)
    if before is None:
        return Selection(tokens, (), "from", run.map_ref, "spotlight", "view")
    return replace(
        before, tokens=tokens, versus=(), map_ref=before.map_ref if has_map(run.record, before.map_ref) else run.map_ref
    )


def view_of(selection: Selection, run: Run) -> dict[str, Any]:
    """``selection`` as the viewer takes it."""
    return {
        "tokens": list(selection.tokens),
        "versus": list(selection.versus),
        "direction": selection.direction,
        "map": str(selection.map_ref),
        "style": selection.style,
        "scale": selection.scale,
    }


def read_view(value: object, run: Run, serial: int) -> Selection | None:
    """What the viewer says is looked at; None for what is no view of ``run``, since any browser may say anything, and
    for what was chosen before the page moved the view for the ``serial``-th time."""
    if not isinstance(value, Mapping) or value.get("run") != run.record.id or value.get("serial", serial) != serial:
        return None
    map_ref = read_map_ref(value.get("map"), run)
    direction: Direction | None = _among(get_args(Direction), value.get("direction"))
    if map_ref is None or direction is None:
        return None
    stream = streams_of(run.record, map_ref)[0 if direction == "from" else 1]
    tokens, versus = (_indices(value.get(name), len(run.record.streams[stream])) for name in ("tokens", "versus"))
    style: Style | None = _among(get_args(Style), value.get("style"))
    scale: Scale | None = _among(get_args(Scale), value.get("scale"))
    if not tokens or versus is None or style is None or scale is None:
        return None
    return Selection(tokens, versus, direction, map_ref, style, scale)


def read_map_ref(text: object, run: Run) -> MapRef | None:
    """Returns the map that ``text`` names; None for what ``run`` does not have."""
    if not isinstance(text, str):
        return None
    try:
        return parse_map_ref(run.record, text)
    except LookupError:
        return None


def _among(known: tuple[Any, ...], value: object) -> Any:
    """The one of ``known`` that ``value`` is, else None."""
    return next((one for one in known if one == value), None)


def _indices(value: object, count: int) -> tuple[int, ...] | None:
    """Token indices below ``count``, in order and each once; None where they are anything else."""
    if not isinstance(value, list) or len(value) > count:
        return None
    if not all(type(one) is int and 0 <= one < count for one in value):  # True is an int as well
        return None
    return tuple(sorted(set(value)))
