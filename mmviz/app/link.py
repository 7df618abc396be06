"""The page's address holds what is looked at, so that a link opens the same view of a gallery trio.

``example``, ``query`` and ``versus`` (tokens by index, such as ``3-5.9``), ``direction``, ``map`` (the text form of a
`mmviz.types.MapRef`), ``style`` and ``scale`` where they are not the usual ones.
``page`` and ``section`` or ``lesson`` where it is not the first page; in a lesson ``at-NAME`` for each thing that can
be moved. What a visitor gave is never in the address.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, get_args
from urllib.parse import urlencode, urlsplit

import streamlit as st

from mmviz.analysis.map_weights import Direction
from mmviz.app import session_state as keep
from mmviz.app import visitor_language as visitor
from mmviz.app.selection import Scale, Selection, Style, fitted, read_map_ref
from mmviz.app.session_state import LESSONS, PAGES, SECTIONS, State
from mmviz.explain import Run
from mmviz.i18n.page import Message
from mmviz.inputs.examples import Example

_CHOICES = {"direction": Direction, "style": Style, "scale": Scale}
_NAMES = ("query", "versus", "direction", "map", "style", "scale")
_AT = "at-"
_LETTERS = 10
"""No token takes more in the address."""


def read() -> dict[str, str]:
    """What the address says of what is looked at; the language, which `visitor` sees to, is no part of it."""
    return {name: value for name, value in st.query_params.to_dict().items() if name != visitor.NAME}


def follow(now: State, examples: Sequence[Example]) -> None:
    """Go where the address leads: at the first visit, and when the visitor went back or forth in the history."""
    address = read()
    if address == now.address or (now.address is not None and time.monotonic() - now.addressed < visitor.SETTLED):
        return
    named = address.get("trio")
    found = next((example for example in examples if example.id == named), None)
    unknown = (Message("link-trio", {"trio": named}),) if named is not None and found is None else ()
    now.wanted = address
    now.page = _among(PAGES, address.get("page")) or "explore"
    now.section = _among(SECTIONS, address.get("section")) or now.section
    now.lesson = _among(LESSONS, address.get("lesson")) or now.lesson
    now.at = {name.removeprefix(_AT): value for name, value in address.items() if name.startswith(_AT)}
    now.odd = set()
    now.visits += 1
    if now.at:  # whoever made the link wants it seen
        now.learnt.add(now.lesson)
    if found is None and (now.address is None or now.run is None):
        found = examples[0]
    if found is not None and (found != now.shown or now.run is None):
        keep.choose(found)
        now.remark = unknown
    elif now.run is not None:
        now.remark = unknown
        arrive(now, now.run)
    now.address, now.addressed = address, time.monotonic()


def arrive(now: State, run: Run) -> None:
    """Look at ``run`` as the link wanted; what it has not got is left as it is, and said."""
    wanted, now.wanted = now.wanted, {}
    before = now.selection or fitted(None, run)
    found: dict[str, Any] = {}
    odd = []
    for name in ("map", *_CHOICES, "query", "versus"):
        if name in wanted:
            value = _read(name, wanted[name], run)
            if value is None:
                odd.append(name)
            else:
                found[name] = value
    map_ref = found.get("map", before.map_ref)
    tokens = found.get("query", before.tokens)
    usual = {"versus": (), "direction": before.direction, "style": "spotlight", "scale": "view"}
    keep.move(
        Selection(tokens=tokens, map_ref=map_ref, **{name: found.get(name, value) for name, value in usual.items()})
    )
    if odd:
        names = ", ".join(name for name in _NAMES if name in odd)
        now.remark = (*now.remark, Message("link-odd", {"names": names}))


def _read(name: str, written: str, run: Run) -> object:
    """Returns the value that ``written`` stands for; None where ``run`` has no such thing."""
    if name == "map":
        return read_map_ref(written, run)
    if name in _CHOICES:
        return written if written in get_args(_CHOICES[name]) else None
    return read_group(written, len(run.tokens))


def read_group(written: str, count: int) -> tuple[int, ...] | None:
    """Ascending indices below ``count`` from ``3-5.9``; None for anything else."""
    found: list[int] = []
    if len(written) > _LETTERS * count:
        return None
    for part in written.split("."):
        ends = [_number(end) for end in part.split("-")]
        first, last = ends[0], ends[-1]
        if first is None or last is None or len(ends) > 2 or last >= count or (len(ends) == 2 and first >= last):
            return None
        found += range(first, last + 1)
    return tuple(found) if all(one < other for one, other in pairwise(found)) else None


def write_group(tokens: Sequence[int]) -> str:
    """Ascending indices as ``3-5.9``."""
    stretches: list[list[int]] = []
    for token in tokens:
        if stretches and token == stretches[-1][-1] + 1:
            stretches[-1].append(token)
        else:
            stretches.append([token])
    return ".".join(str(one[0]) if len(one) == 1 else f"{one[0]}-{one[-1]}" for one in stretches)


def note(now: State, chosen: Selection) -> None:
    """Write what is looked at into the address, which goes on naming the language if the visitor chose it."""
    found = _parts(now, chosen)
    if found != now.address:
        st.query_params.from_dict(_spoken() | found)
        now.address, now.addressed = found, time.monotonic()


def address(now: State) -> str:
    """The address of what is looked at, to be printed; it names no trio where the inputs are somebody's own."""
    assert now.selection is not None
    found = urlsplit(st.context.url or "")
    asked = urlencode(_spoken() | _parts(now, now.selection))
    return f"{found.scheme}://{found.netloc}{found.path}?{asked}" if found.netloc else ""


def _spoken() -> dict[str, str]:
    spoken = visitor.chosen()
    return {visitor.NAME: spoken} if spoken else {}


def _parts(now: State, chosen: Selection) -> dict[str, str]:
    return {
        **({"page": now.page, "section": now.section} if now.page == "debug" else {}),
        **({"page": now.page, "lesson": now.lesson} if now.page == "learn" else {}),
        **({f"{_AT}{name}": value for name, value in now.at.items()} if now.page == "learn" else {}),
        **({"trio": now.shown.id} if now.shown else {}),
        "query": write_group(chosen.tokens),
        **({"versus": write_group(chosen.versus)} if chosen.versus else {}),
        "direction": chosen.direction,
        "map": str(chosen.map_ref),
        **({"style": chosen.style} if chosen.style != "spotlight" else {}),
        **({"scale": chosen.scale} if chosen.scale != "view" else {}),
    }


def _among(known: tuple[Any, ...], written: str | None) -> Any:
    """The one of ``known`` that is written, else None."""
    return next((one for one in known if one == written), None)


def _number(written: str) -> int | None:
    return int(written) if written.isascii() and written.isdecimal() and len(written) < 9 else None
