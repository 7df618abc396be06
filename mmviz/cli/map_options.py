"""Options by which commands choose a map, a token and a direction to show, or the stack and layers to measure."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmviz.i18n.command_help import help_text
from mmviz.types import AttentionRecord, MapRef, MmvizError

if TYPE_CHECKING:
    from mmviz.analysis.map_weights import Direction
    from mmviz.explain import Run
    from mmviz.figures.printed_parts import FigureFormat, FigureLayout

_SHOWN = ("map", "token", "direction")
_LAYERS = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")


@dataclass(frozen=True)
class ShownMap:
    """What exported figures and documents show first."""

    map_ref: MapRef
    """The map or flow."""
    tokens: tuple[int, ...]
    """The selected tokens, as indices on the side of the map that ``direction`` names."""
    direction: Direction
    """Whether it shows what they attend to (``from``), or what attends to them (``to``)."""

    @property
    def choice(self) -> tuple[MapRef, tuple[int, ...], Direction]:
        """The map, the tokens and the direction, as `Run.attention` takes them."""
        return self.map_ref, self.tokens, self.direction

    def view(self, run: Run) -> dict[str, Any]:
        """Returns it as the viewer takes it."""
        from mmviz.app.selection import Selection, view_of

        return view_of(Selection(self.tokens, (), self.direction, self.map_ref, "spotlight", "view"), run)


def add_map_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options for what figures and documents show."""
    parser.add_argument("--map", metavar="REF", help=help_text("explain --map"))
    parser.add_argument("--token", type=int, metavar="N", help=help_text("explain --token"))
    parser.add_argument("--direction", choices=("from", "to"), help=help_text("explain --direction"))


def given_map_options(options: argparse.Namespace) -> dict[str, str | int]:
    """Returns those of these options that are given, by their names."""
    return {name: getattr(options, name) for name in _SHOWN if getattr(options, name) is not None}


def needs_relevance(options: argparse.Namespace) -> bool:
    """Returns whether the run must record gradient relevance."""
    return options.relevance or (options.map or "").rpartition("/")[2] == "relevance"


def check_map_options(options: argparse.Namespace, shows_map: bool, needed: str) -> None:
    """Raises ``MmvizError`` for options without anything that shows the map (``option-needs``, which names ``needed``),
    and for a text that can be no `MapRef` (``map-text``), before the model runs."""
    given = given_map_options(options)
    if given and not shows_map:
        raise MmvizError("option-needs", option=f"--{next(iter(given))}", needed=needed)
    if options.map is not None:
        try:
            MapRef.parse(options.map)
        except ValueError:
            raise MmvizError("map-text", text=options.map) from None


def shown_map(options: argparse.Namespace, run: Run) -> ShownMap | None:
    """Returns what the options choose of a run; None where none is given.

    Raises ``MmvizError``: ``map-unknown`` for a map, head or flow that the run does not have, ``compare-token-range``
    for a token, and as `Run.attention` does where a long run cannot show it.
    """
    from mmviz.analysis.available_maps import parse_map_ref
    from mmviz.app.selection import answer_selection, token_count

    if not given_map_options(options):
        return None
    try:
        ref = run.map_ref if options.map is None else parse_map_ref(run.record, options.map)
    except LookupError:
        raise MmvizError("map-unknown", map_ref=options.map, known=_known_maps(run.record)) from None
    direction: Direction = options.direction or "from"
    count = token_count(run, ref, direction)
    if options.token is not None and not 0 <= options.token < count:
        raise MmvizError("compare-token-range", token=options.token, most=count - 1)
    tokens = answer_selection(run, ref, direction) if options.token is None else (options.token,)
    run.attention(ref, tokens, direction)
    return ShownMap(ref, tokens, direction)


def figure_of(run: Run, file_format: FigureFormat, shown: ShownMap | None, layout: FigureLayout = "page") -> bytes:
    """Returns the figure of a run, of what is chosen or of both maps of the first view."""
    if shown is None:
        return run.figure(file_format, layout=layout)
    return run.figure(file_format, *shown.choice, layout=layout)


def _known_maps(record: AttentionRecord) -> str:
    """Returns the maps of a record as people can name them: those of a layer by their heads, then flows."""
    from mmviz.analysis.available_maps import flows

    names = []
    for number, attn_map in enumerate(record.maps):
        layer = str(record.map_ref(number)).rpartition(":")[0]
        names.append(f"{layer}:mean, {layer}:0 … {layer}:{attn_map.heads - 1}")
    return "; ".join([*names, *map(str, flows(record))])


def add_stack_options(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds the options for the stack and the layers in which ``what`` are measured."""
    parser.add_argument("--stack", metavar="NAME", help=help_text("--stack", measured=what))
    parser.add_argument("--layers", metavar="N,N-N", help=help_text("--layers", measured=what))


def layer_numbers(text: str | None) -> list[int] | None:
    """Returns the numbers of layers, ascending. Raises ``MmvizError`` (``option-layers``)."""
    if text is None:
        return None
    numbers: set[int] = set()
    for part in text.split(","):
        match = _LAYERS.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise MmvizError("option-layers", value=text)
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def chosen_layers(options: argparse.Namespace, record: AttentionRecord) -> tuple[str, tuple[int, ...]] | None:
    """Returns the stack and the layers that the options choose; None where neither is given.

    Raises ``MmvizError``: ``stack-unknown`` and ``layer-unknown``, which list those that there are.
    """
    layers = layer_numbers(options.layers)
    if options.stack is None and layers is None:
        return None
    stack = record.default_stack if options.stack is None else options.stack
    known = sorted({attn_map.layer for attn_map in record.maps if attn_map.stack == stack})
    if not known:
        raise MmvizError("stack-unknown", name=stack, known=", ".join(record.stacks))
    for layer in layers or ():
        if layer not in known:
            raise MmvizError("layer-unknown", layer=layer, name=stack, known=", ".join(map(str, known)))
    return stack, tuple(layers or known)
