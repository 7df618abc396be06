"""Means over examples, and two checkpoints compared, in words and lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmviz.experiments.checkpoint_comparison import AnswerChange, AttentionChange, CheckpointComparison, RouteChange
from mmviz.experiments.example_averages import Averages, By, Mean
from mmviz.experiments.route_cut import NO_EFFECT, LayerWindow
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.language import join_list
from mmviz.i18n.minus_sign import signed_text
from mmviz.i18n.page import say
from mmviz.i18n.unicode_display import one_line
from mmviz.types import TokenGroup

MOST_ROUTES = 5
"""Routes of a group that are printed."""
MOST_CHANGES = 10
"""Changes of each kind that are printed."""


def group_name(by: By, group: str) -> str:
    """Returns what a group is called."""
    if by == "all":
        return sentence("average-group-all")
    return sentence(f"average-group-{by}", group=one_line(group)) if group else sentence("average-group-none")


def route_name(queries: TokenGroup, keys: TokenGroup) -> str:
    """Returns a route in words, from which queries to which keys."""
    return say("route", queries=say(f"name-{queries}"), keys=say(f"name-{keys}"))


def window_name(window: LayerWindow, has_stacks: bool) -> str:
    """Returns a window of layers in words, which count from 1; with its stack where the model has several."""
    if window.layers is None:
        return sentence("checkpoints-all-layers")
    first, last = window.layers[0] + 1, window.layers[-1] + 1
    layers = str(first) if first == last else f"{first}–{last}"
    code = "checkpoints-stack-layers" if has_stacks else "checkpoints-layers"
    return sentence(code, layers=layers, stack=window.stack)


def averages_lines(averages: Averages) -> list[str]:
    """Returns the routes of each group that matter most when they are cut in all layers, and what was left out."""
    lines: list[str] = []
    columns = ("route", "effect", "±", "attention", "examples")
    for group, names in averages.groups.items():
        name = group_name(averages.by, group)
        code = "average-count-1" if len(names) == 1 else "average-count"
        lines += ["", sentence(code, group=name, count=len(names))]
        own = [route for route in averages.routes if route.group == group and route.window.layers is None]
        if not own:
            continue
        strong = sorted(own, key=lambda route: -abs(route.effect.mean))[:MOST_ROUTES]
        rows = [
            [route_name(route.queries, route.keys), *_amounts(route.effect), f"{route.attention.mean:.2f}",
             str(route.effect.count)]
            for route in strong if abs(route.effect.mean) >= NO_EFFECT
        ]  # fmt: skip
        if rows:
            lines += aligned([_header(*columns), *rows])
        else:
            lines.append(sentence("average-quiet", least=NO_EFFECT))
    lines += ["", sentence("average-about")] if averages.routes else []
    return [*lines, *_left_out(averages)]


def comparison_lines(comparison: CheckpointComparison, before: str, after: str) -> list[str]:
    """Returns which answers changed, and the largest changes of attention and routes."""
    answers = comparison.answers
    if not answers:
        return [sentence("checkpoints-none"), *_left_out(comparison)]
    lines = [*comparison_summary(comparison, before, after), *_changed_answers(answers)]
    for name in ("routes", "maps"):
        rows = changes_table(comparison, name)
        lines += ["", sentence(f"checkpoints-{name}-title"), *aligned(rows)] if rows else []
    return [*lines, *_left_out(comparison)]


def comparison_summary(comparison: CheckpointComparison, before: str, after: str) -> list[str]:
    """Returns how many answers changed, and how many are correct in both models where that is known."""
    answers = comparison.answers
    changed = sum(answer.is_changed for answer in answers)
    lines = [sentence("checkpoints-summary", before=before, after=after, of=len(answers), changed=changed)]
    known = [answer for answer in answers if None not in (answer.before_correct, answer.after_correct)]
    if known:
        correct = (sum(bool(getattr(answer, side)) for answer in known) for side in ("before_correct", "after_correct"))
        lines.append(
            sentence("checkpoints-correct", known=len(known), **dict(zip(("before", "after"), correct, strict=True)))
        )
    return lines


def changes_table(comparison: CheckpointComparison, name: str) -> list[list[str]]:
    """Returns the largest changes of one of `COMPARED_TABLES` as rows of text, the header first; nothing without any.

    Of ``answers`` they are those of the examples whose answer changed.
    """
    if name == "answers":
        changed = [answer for answer in comparison.answers if answer.is_changed][:MOST_CHANGES]
        rows = [
            [answer.name, _with_probability(answer.before, answer.before_probability),
             _with_probability(answer.after, answer.after_probability)]
            for answer in changed
        ]  # fmt: skip
        return [_header("example", "before", "after"), *rows] if rows else []
    several = len({route.window.stack for route in comparison.routes} - {""}) > 1
    routes = [
        [_in_group(comparison.by, route.group, _route_in_window(route, several)),
         signed_text(route.before), signed_text(route.after), *_amounts(route.change)]
        for route in comparison.routes[:MOST_CHANGES]
    ]  # fmt: skip
    maps = [
        [_in_group(comparison.by, cell.group, _route_in_head(cell)),
         f"{cell.before:.2f}", f"{cell.after:.2f}", *_amounts(cell.change)]
        for cell in comparison.maps[:MOST_CHANGES]
    ]  # fmt: skip
    rows = routes if name == "routes" else maps
    return [_header("where", "before", "after", "change", "±"), *rows] if rows else []


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the rows of a table as lines whose columns stand below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _header(*columns: str) -> list[str]:
    return [column if column == "±" else sentence(f"average-column-{column}") for column in columns]


def _amounts(mean: Mean) -> tuple[str, str]:
    return signed_text(mean.mean), "–" if mean.spread is None else f"{mean.spread:.2f}"


def _route_in_window(route: RouteChange, several: bool) -> str:
    return join_list((route_name(route.queries, route.keys), window_name(route.window, several)))


def _route_in_head(cell: AttentionChange) -> str:
    route = route_name(cell.queries, cell.keys)
    return sentence("checkpoints-head", module=cell.place.module, head=cell.head + 1, route=route)


def _in_group(by: By, group: str, text: str) -> str:
    return text if by == "all" else f"{group_name(by, group)}: {text}"


def _changed_answers(answers: Sequence[AnswerChange]) -> Iterator[str]:
    changed = [answer for answer in answers if answer.is_changed]
    for answer in changed[:MOST_CHANGES]:
        before = _with_probability(answer.before, answer.before_probability)
        yield f"{answer.name}: {before} → {_with_probability(answer.after, answer.after_probability)}"
    if len(changed) > MOST_CHANGES:
        yield sentence("checkpoints-more", count=len(changed) - MOST_CHANGES)


def _with_probability(answer: str, probability: float | None) -> str:
    return one_line(answer) if probability is None else f"{one_line(answer)} ({probability:.2f})"


def _left_out(result: Averages | CheckpointComparison) -> list[str]:
    notices = [one_line(str(notice)) for notice in result.left_out]
    return ["", sentence("average-left-out"), *notices] if notices else []
