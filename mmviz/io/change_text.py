"""Changes of a run as short text, without loss: in the page's address, and as options of a command.

A cut route is ``QUERIES:KEYS:STACK:LAYERS:HEADS``, of which the end may be missing. A group is its name, such as
``text`` or ``answer``, or ``3-5.9@STREAM`` for chosen tokens. Layers and heads are such numbers, ``none`` for no layer,
and nothing for all. Ablated heads are ``MAP:HEADS``, such as ``5:0-2.4``. A removed modality is its name, or
``MODALITY:BASELINE`` where a baseline stands in its place. Several have commas between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args
from urllib.parse import quote, unquote

from mmviz.io.index_ranges import read_group, write_group
from mmviz.types import (
    ANSWER,
    INPUT_MODALITIES,
    MODALITIES,
    AblateHead,
    Change,
    ChosenTokens,
    CutRoute,
    DropModality,
    InputBaseline,
    Modality,
    ReplaceInput,
    ShuffleWeights,
    TokenGroup,
    UniformAttention,
)

Control = Literal["trained", "shuffled", "uniform"]
CONTROLS: dict[Control, tuple[Change, ...]] = {
    "trained": (),
    "shuffled": (ShuffleWeights(1),),
    "uniform": (UniformAttention(),),
}
"""What each control changes."""
Removal = DropModality | ReplaceInput
"""A modality without its input."""
MAX_TOKENS = 1 << 16
"""Tokens of a stream, layers of a stack and heads of a layer are numbered below this; the model knows how many it
has."""
MAX_HEADS = 1_024
"""Maps, and heads of a map, are numbered below this; the model knows how many it has."""
_NONE = "none"
_PARTS = 5


def with_control(changes: Sequence[Change], control: Control) -> tuple[Change, ...]:
    """Returns the changes of a run as a control: in place of another one, and without any change as trained."""
    if control == "trained":
        return ()
    return (
        *(change for change in changes if not isinstance(change, ShuffleWeights | UniformAttention)),
        *CONTROLS[control],
    )


def write_changes(changes: Sequence[Change]) -> dict[str, str]:
    """Returns changes as the text of each option that they need: ``control``, ``ablate``, ``cut`` and ``drop``.

    Raises ``ValueError`` for a change that has no text: single tokens or parts of an input that are removed, and
    weights shuffled under another seed.
    """
    heads = [change for change in changes if isinstance(change, AblateHead)]
    cuts = [change for change in changes if isinstance(change, CutRoute)]
    removals = [change for change in changes if isinstance(change, Removal)]
    controls = [name for name, own in CONTROLS.items() if own and own[0] in changes]
    texts = ("".join(controls), write_heads(heads), write_cuts(cuts), write_removals(removals))
    known = {*heads, *cuts, *removals, *(CONTROLS[controls[0]] if len(controls) == 1 else ())}
    if not known.issuperset(changes):
        raise ValueError
    return {name: text for name, text in zip(("control", "ablate", "cut", "drop"), texts, strict=True) if text}


def write_cuts(cuts: Sequence[CutRoute]) -> str:
    """Returns routes as text; "" for none."""
    return ",".join(map(_write_cut, cuts))


def read_cuts(text: str) -> tuple[CutRoute, ...] | None:
    """Returns the routes of a text as of `write_cuts`; None for any other text."""
    cuts = tuple(map(_read_cut, text.split(","))) if text else ()
    known = tuple(cut for cut in cuts if cut is not None)
    return known if len(known) == len(cuts) else None


def write_heads(heads: Sequence[AblateHead]) -> str:
    """Returns heads as text; "" for none."""
    by_map: dict[int, list[int]] = {}
    for change in ordered_heads({*heads}):
        by_map.setdefault(change.map, []).append(change.head)
    return ",".join(f"{number}:{write_group(own)}" for number, own in by_map.items())


def read_heads(text: str) -> tuple[AblateHead, ...] | None:
    """Returns the heads of a text as of `write_heads`; None for any other text."""
    heads: list[AblateHead] = []
    for part in text.split(",") if text else ():
        number, _, own = part.partition(":")
        maps, indices = read_group(number, MAX_HEADS), read_group(own, MAX_HEADS)
        if maps is None or indices is None or len(maps) != 1:
            return None
        heads += [AblateHead(maps[0], head) for head in indices]
    return tuple(heads) if tuple(heads) == ordered_heads({*heads}) else None


def ordered_heads(heads: set[AblateHead]) -> tuple[AblateHead, ...]:
    """Returns heads in ascending order."""
    return tuple(sorted(heads, key=lambda change: (change.map, change.head)))


def write_removals(removals: Sequence[Removal]) -> str:
    """Returns removed modalities as text; "" for none. Raises ``ValueError`` where a part of an input is removed."""
    parts = []
    for change in removals:
        if isinstance(change, ReplaceInput) and change.locations:
            raise ValueError
        baseline = f":{change.baseline}" if isinstance(change, ReplaceInput) else ""
        parts.append(f"{change.modality}{baseline}")
    return ",".join(parts)


def read_removals(text: str) -> tuple[Removal, ...] | None:
    """Returns the removed modalities of a text as of `write_removals`; None for any other text."""
    removals: list[Removal] = []
    for part in text.split(",") if text else ():
        name, colon, baseline = part.partition(":")
        modality = next((modality for modality in INPUT_MODALITIES if modality == name), None)
        known: tuple[InputBaseline, ...] = get_args(InputBaseline)
        stands_in = next((each for each in known if each == baseline), None)
        if modality is None or (colon and stands_in is None):
            return None
        removals.append(DropModality(modality) if stands_in is None else ReplaceInput(modality, stands_in))
    return tuple(removals)


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
