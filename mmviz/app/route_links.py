"""Routes that are cut, as text of the page's address: in the run of an example, and in the section Routes.

A route is ``QUERIES:KEYS:STACK:LAYERS:HEADS``, of which the end may be missing, and several have commas between them.
A group is its name, such as ``text`` or ``answer``, or ``3-5.9@STREAM`` for chosen tokens. Layers and heads are such
numbers, ``none`` for no layer, and nothing for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, unquote

from mmviz.app.index_ranges import read_group, write_group
from mmviz.app.session_state import State
from mmviz.types import ANSWER, MODALITIES, ChosenTokens, CutRoute, Modality, TokenGroup

IN_RUN = "cut"
"""The parameter for what is cut in the run of an example. A run of a visitor's own inputs is kept with its cuts."""
IN_SECTION = "routes"
"""The parameter for what the section Routes cuts beside."""
MAX_CHARS = 6_000
"""The longest text; browsers and servers take no address much longer."""
MAX_CUTS = 64
MAX_TOKENS = 1 << 16
"""Tokens of a stream, layers of a stack and heads of a layer are numbered below this; the model knows how many it
has."""
_NONE = "none"
_PARTS = 5


def section_params(state: State) -> dict[str, str]:
    """Returns the parameters of what the section Routes cuts, where it is open."""
    text = write_cuts(state.route_cuts) if (state.page, state.section) == ("debug", "routes") else ""
    return {IN_SECTION: text} if text else {}


def write_cuts(cuts: Sequence[CutRoute]) -> str:
    """Returns routes as text; "" for none, and for more than an address holds."""
    text = ",".join(map(_write_cut, cuts))
    return text if len(text) <= MAX_CHARS and len(cuts) <= MAX_CUTS else ""


def read_cuts(text: str) -> tuple[CutRoute, ...] | None:
    """Returns the routes of a text as of `write_cuts`; None for any other text."""
    if not text:
        return ()
    parts = text.split(",")
    if len(text) > MAX_CHARS or len(parts) > MAX_CUTS:
        return None
    cuts = tuple(map(_read_cut, parts))
    known = tuple(cut for cut in cuts if cut is not None)
    return known if len(known) == len(cuts) else None


def _write_cut(cut: CutRoute) -> str:
    groups = (_write_group(cut.queries), _write_group(cut.keys))
    return ":".join((*groups, _quoted(cut.stack), _write_numbers(cut.layers), _write_numbers(cut.heads))).rstrip(":")


def _read_cut(text: str) -> CutRoute | None:
    parts = text.split(":")
    if not 2 <= len(parts) <= _PARTS:
        return None
    queries, keys, stack, layers, heads = (*parts, *[""] * (_PARTS - len(parts)))
    groups = _read_group(queries), _read_group(keys)
    numbers = _read_numbers(layers), _read_numbers(heads)
    if groups[0] is None or groups[1] is None or "" in numbers:
        return None
    return CutRoute(groups[0], groups[1], unquote(stack), *numbers)  # type: ignore[arg-type]  # "" is refused above


def _write_group(group: TokenGroup) -> str:
    if isinstance(group, ChosenTokens):
        return f"{write_group(sorted(group.tokens))}@{_quoted(group.stream)}"
    return str(group)


def _read_group(text: str) -> TokenGroup | None:
    tokens, at, stream = text.partition("@")
    if at:
        indices = read_group(tokens, MAX_TOKENS)
        return ChosenTokens(indices, unquote(stream)) if indices else None
    return ANSWER if text == ANSWER else Modality(text) if text in MODALITIES else None


def _write_numbers(numbers: Sequence[int] | None) -> str:
    return "" if numbers is None else write_group(sorted(numbers)) or _NONE


def _read_numbers(text: str) -> tuple[int, ...] | str | None:
    """Returns numbers, None for all of them; "" for any other text."""
    if not text:
        return None
    return () if text == _NONE else read_group(text, MAX_TOKENS) or ""


def _quoted(name: str) -> str:
    return quote(name, safe="")
