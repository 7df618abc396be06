"""The page's address holds what is looked at, so that a link opens the same view of a gallery trio.

``trio``, ``query`` (index of the token), ``direction``, ``way``, ``layer`` and ``head`` (both from 1, as on the page).
What a visitor gave is never in the address.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import get_args

import streamlit as st

from mmviz.analysis.select import Direction, Method, find_layer
from mmviz.app import state as keep
from mmviz.app.gallery import Trio
from mmviz.app.state import DIRECTION, HEAD, LAYER, METHOD, TOKEN, Selection, State
from mmviz.app.texts import say
from mmviz.explain import Run

_SETTLED = 1.5
"""Seconds after which a browser must have taken over the address: before, it may still tell the old one."""


def follow(now: State, trios: Sequence[Trio]) -> None:
    """Go where the address leads: at the first visit, and when the visitor went back or forth in the history."""
    address = st.query_params.to_dict()
    if address == now.address or (now.address is not None and time.monotonic() - now.addressed < _SETTLED):
        return
    named = address.get("trio")
    found = next((trio for trio in trios if trio.id == named), None)
    unknown = say("link-trio", trio=named) if named is not None and found is None else ""
    now.wanted = address
    if found is None and (now.address is None or now.run is None):
        found = trios[0]
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
    values: dict[str, object] = {}
    odd = []
    for name, key in (("query", TOKEN), ("direction", DIRECTION), ("way", METHOD), ("layer", LAYER), ("head", HEAD)):
        if name in wanted:
            found = _read(name, wanted[name], run, values)
            if found is None:
                odd.append(name)
            else:
                values[key] = found
    for key, value in values.items():
        st.session_state[key] = value
    if odd:
        now.remark = f"{now.remark} {say('link-odd', names=', '.join(odd))}".strip()


def _read(name: str, written: str, run: Run, before: Mapping[str, object]) -> int | str | None:
    """The value that ``written`` stands for; None where ``run`` has no such thing. ``before``: what was read so far."""
    if name == "direction":
        return written if written in get_args(Direction) else None
    if name == "way":
        known = written in get_args(Method) and (written != "relevance" or run.record.relevance is not None)
        return written if known else None
    if not (written.isascii() and written.isdecimal() and len(written) < 9):
        return None
    number = int(written)
    if name == "query":
        return number if number < len(run.tokens) else None
    layers = {found.layer for found in run.record.maps}
    if name == "layer":
        return number - 1 if number - 1 in layers else None
    layer = before.get(LAYER, max(layers))
    heads = find_layer(run.record, layer).heads if isinstance(layer, int) else 0
    return number - 1 if 1 <= number <= heads else None


def note(now: State, chosen: Selection) -> None:
    """Write what is looked at into the address."""
    way = chosen.way
    numbers = {"layer": way.layer, "head": way.head}
    address = {
        **({"trio": now.shown.id} if now.shown else {}),
        "query": str(chosen.token),
        "direction": chosen.direction,
        "way": way.method,
        **{name: str(number + 1) for name, number in numbers.items() if number is not None},
    }
    if address != now.address:
        st.query_params.from_dict(address)
        now.address, now.addressed = address, time.monotonic()
