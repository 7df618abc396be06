"""The selection in a run, and its form on the wire between page and viewer. No Streamlit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from mmviz.analysis.answer_token import answer_token
from mmviz.analysis.available_maps import has_map, parse_map_ref, same_ref, streams_of
from mmviz.analysis.map_weights import Direction
from mmviz.explain import Run
from mmviz.types import MapRef

Scale = Literal["view", "map"]
"""The colour scale ends at the largest amount of the current view, or of the whole map."""
Style = Literal["spotlight", "heat"]
"""Amounts on the image are drawn as light, or as a plain heat map."""


@dataclass(frozen=True)
class Selection:
    """The tokens and the map of a run that are selected, and how they are drawn."""

    tokens: tuple[int, ...]
    """Indices of the selected tokens, ascending, at least one."""
    versus: tuple[int, ...]
    """Indices of the tokens that they are compared with, ascending; may be empty."""
    direction: Direction
    """``from``: what the selected tokens attend to; ``to``: what attends to them."""
    map_ref: MapRef
    """The head, mean over heads or flow whose weights are shown."""
    style: Style
    """How amounts are drawn on the image."""
    scale: Scale
    """Where the colour scale ends."""


def initial_selection(before: Selection | None, run: Run) -> Selection:
    """Returns the selection with which a new ``run`` opens: its answer token.

    Direction, map, style and scale follow ``before``. A map that ``run`` does not have is replaced by the method chosen
    for its model.
    """
    if before is None:
        tokens = answer_selection(run, run.map_ref, "from")
        return Selection(tokens, (), "from", run.map_ref, "spotlight", "view")
    map_ref = same_ref(run.record, before.map_ref) if has_map(run.record, before.map_ref) else run.map_ref
    return replace(before, tokens=answer_selection(run, map_ref, before.direction), versus=(), map_ref=map_ref)


def with_map(selection: Selection, run: Run, map_ref: MapRef, direction: Direction) -> Selection:
    """Returns ``selection`` moved to another map of the same ``run``, or to the other direction.

    The tokens stay where the stream of tokens stays the same. In another stream the answer token is selected.
    """
    moved = replace(selection, map_ref=map_ref, direction=direction)
    before, after = (_stream(run, side.map_ref, side.direction) for side in (selection, moved))
    return moved if before == after else replace(moved, tokens=answer_selection(run, map_ref, direction), versus=())


def answer_selection(run: Run, map_ref: MapRef, direction: Direction) -> tuple[int, ...]:
    """Returns the index of the answer token among the tokens that can be selected in a map."""
    return (answer_token(run.record, _stream(run, map_ref, direction)),)


def token_count(run: Run, map_ref: MapRef, direction: Direction) -> int:
    """Returns how many tokens can be selected in a map of ``run``: its queries (``from``) or its keys (``to``)."""
    return len(run.record.streams[_stream(run, map_ref, direction)])


def _stream(run: Run, map_ref: MapRef, direction: Direction) -> str:
    """Returns the name of the stream whose tokens can be selected."""
    return streams_of(run.record, map_ref)[0 if direction == "from" else 1]


def view_of(selection: Selection, run: Run) -> dict[str, Any]:
    """Returns ``selection`` as the viewer takes it."""
    return {
        "tokens": list(selection.tokens),
        "versus": list(selection.versus),
        "direction": selection.direction,
        "map": str(selection.map_ref),
        "style": selection.style,
        "scale": selection.scale,
    }


def read_view(value: object, run: Run, serial: int) -> Selection | None:
    """Returns the selection that the viewer reports; None for anything that is not a selection in ``run``.

    A browser may send anything, so every part is checked. A report with another ``serial`` was made before the page
    last set the selection, and is None as well.
    """
    if not isinstance(value, Mapping) or value.get("run") != run.record.id or value.get("serial", serial) != serial:
        return None
    map_ref = read_map_ref(value.get("map"), run)
    direction: Direction | None = pick(get_args(Direction), value.get("direction"))
    style: Style | None = pick(get_args(Style), value.get("style"))
    scale: Scale | None = pick(get_args(Scale), value.get("scale"))
    if map_ref is None or direction is None or style is None or scale is None:
        return None
    count = token_count(run, map_ref, direction)
    tokens, versus = (_indices(value.get(name), count) for name in ("tokens", "versus"))
    if not tokens or versus is None:
        return None
    return Selection(tokens, versus, direction, map_ref, style, scale)


def read_map_ref(text: object, run: Run) -> MapRef | None:
    """Returns the map that ``text`` names; None for text that names no map of ``run``."""
    if not isinstance(text, str):
        return None
    try:
        return parse_map_ref(run.record, text)
    except LookupError:
        return None


def pick(options: tuple[Any, ...], value: object) -> Any:
    """Returns the option that equals ``value``; None where there is none."""
    return next((option for option in options if option == value), None)


def _indices(value: object, count: int) -> tuple[int, ...] | None:
    """Returns token indices below ``count``, ascending and without repeats; None for anything else."""
    if not isinstance(value, list) or len(value) > count:
        return None
    if not all(type(index) is int and 0 <= index < count for index in value):  # True is an int as well
        return None
    return tuple(sorted(set(value)))
