"""The slides that a run has by default: its inputs, its answer, its two maps, what is selected, and its story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.answer_maps import KINDS, AnswerMapKind
from mmviz.analysis.available_maps import parse_map_ref, streams_of
from mmviz.experiments.story import Story
from mmviz.experiments.story_search import Step
from mmviz.explain.run import Run
from mmviz.figures.signed_colours import signed
from mmviz.figures.token_labels import group_name, names
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.figures import tell
from mmviz.i18n.language import current_language, join_list, join_sentences
from mmviz.i18n.page import say
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.i18n.viewer import about
from mmviz.present.lit_inputs import lit_inputs
from mmviz.present.slide_deck import Lit, Slide
from mmviz.present.talk import Talk
from mmviz.report.answer_maps import ShownMap, map_help, map_title, shown_map
from mmviz.report.answer_title import answer_title
from mmviz.report.map_notes import map_notes
from mmviz.report.story_cards import step_reads, step_without, story_verdict
from mmviz.types import INPUT_MODALITIES, AttentionRecord, ChosenTokens, MmvizError, Modality, Token

STRONGEST = 3
"""So many tokens are named below a map."""


def make_talk(
    run: Run, story: Story | None = None, view: Mapping[str, Any] | None = None, title: str = ""
) -> Talk:  # fmt: skip
    """Returns a talk about ``run`` in the current language, with slides to be ordered and captioned by hand.

    Slides: the inputs; the answer; what the answer token reads from; what the answer depends on, where the run holds
    it; the tokens of ``view`` (as `Run.to_html` takes it) where these are others; and each step of ``story``, or why it
    has none. ``title``: by default the question, else the answer; one that is given heads the first slide. Raises
    ``LookupError`` for a view of another run.
    """
    slides, missing = [_inputs_slide(run, title), _answer_slide(run)], []
    for kind in KINDS:
        shown = shown_map(run, kind)
        if isinstance(shown, MmvizError):
            missing.append(say("talk-without-map", title=map_title(kind), reason=shown))
        else:
            slides.append(_map_slide(run, kind, shown))
    selection = None if view is None else _selection_slide(run, view)
    if selection is not None:
        slides.append(selection)
    if story is not None:
        slides += [_step_slide(run.record, step, story.answer) for step in story.steps]
        if verdict := story_verdict(story):
            slides.append(Slide("text", say("story"), verdict))
    first = slides[0]
    notes = join_sentences([first.notes, *missing, say("talk-keys")]).strip()
    slides[0] = replace(first, notes=notes)
    name = title or replace_invisible(run.sample.text or "") or answer_title(run.record)
    return Talk(name, (run,), tuple(slides), current_language())


def _inputs_slide(run: Run, title: str) -> Slide:
    """Returns the slide of the inputs, under the talk's own title if it has one.

    What was done to them is its caption, or in the notes where it is much.
    """
    notices = [str(notice) for notice in (*run.sample.notices, *run.record.notices)]
    caption = notices[0] if len(notices) == 1 else ""
    return Slide("inputs", title or say("talk-inputs"), caption, "" if caption else join_sentences(notices))


def _answer_slide(run: Run) -> Slide:
    made_by = run.record.made_by
    lines = []
    if {"model", "device_name"} <= made_by.keys():
        lines.append(sentence("figure-caption", model=made_by["model"], device=made_by["device_name"]))
    recorded = about("recorded") if made_by.get("recorded") else ""
    return Slide(
        "answer", answer_title(run.record), recorded, join_sentences(lines), modalities=(Modality.IMAGE, Modality.TEXT)
    )


def _map_slide(run: Run, kind: AnswerMapKind, shown: ShownMap) -> Slide:
    view = tell("answer-map-from", token=names(shown.queries)[shown.map.query], method=shown.method)
    return Slide(
        kind,
        say(f"talk-{kind.replace('_', '-')}"),
        join_sentences(filter(None, [_strongest(shown.keys, shown.map.amounts), shown.signed_note])),
        join_sentences([view, map_help(run, kind), about("disclaimer")]),
    )


def _selection_slide(run: Run, view: Mapping[str, Any]) -> Slide | None:
    """Returns the slide of the tokens and the map of a view; None where the slide of what is read shows the same."""
    ref, tokens, direction = parse_map_ref(run.record, view["map"]), tuple(view["tokens"]), view["direction"]
    versus = tuple(view.get("versus", ()))
    reads = shown_map(run, "reads_from")
    same = isinstance(reads, ShownMap) and (reads.map.method, (reads.map.query,), "from", ())
    if same == (str(ref), tokens, direction, versus):
        return None
    stream = streams_of(run.record, ref)[0 if direction == "from" else 1]
    labels = names(run.record.streams[stream])
    name, other = (group_name([labels[token] for token in group]) if group else "" for group in (tokens, versus))
    code = f"talk-selection-{direction}" if not versus else f"talk-difference-{direction}"
    of_map = map_notes(run.record, ref, tokens, "to" if versus else direction)  # of two rows: of all of them
    slide = Slide(
        "selection", say(code, token=name, other=other), notes=join_sentences([*of_map, about("disclaimer")]),
        map=str(ref), direction=direction, tokens=tokens, versus=versus,
    )  # fmt: skip
    lit = lit_inputs(run, slide)
    return slide if lit is None else replace(slide, caption=_strongest(lit.tokens, lit.amounts, lit.is_difference))


def _strongest(tokens: Sequence[Token], amounts: NDArray[np.float64], is_difference: bool = False) -> str:
    """Returns a sentence with the names of the tokens that have the largest amounts, of a difference with these."""
    labels = names(tokens)
    order = np.argsort(-(np.abs(amounts) if is_difference else amounts), kind="stable")[:STRONGEST]
    amount = {k: f" {signed(float(amounts[k]))}" if is_difference else "" for k in order}
    return say("talk-strongest", tokens=join_list(f"“{labels[k]}”{amount[k]}" for k in order))


def _step_slide(record: AttentionRecord, step: Step, answer: str) -> Slide:
    """Returns the slide of a step: what is read, and who reads it, chosen tokens or all of an input."""
    groups = ((step.keys, False), (step.queries, True))
    lit = tuple(
        Lit(group.stream or record.flow_streams[0], group.tokens, is_reader)
        for group, is_reader in groups
        if isinstance(group, ChosenTokens)
    )
    shown = {step.modality, *(record.streams[each.stream][each.tokens[0]].modality for each in lit)}
    if step.queries in INPUT_MODALITIES:
        shown.add(Modality(step.queries))
    size = say(
        "talk-step-size", size=say("story-effect", size=-step.effect), answer=replace_invisible(answer)
    )  # fmt: skip
    return Slide(
        "step", step_reads(record, step), step_without(step), say("talk-step-notes", size=-step.effect),
        lit=lit, modalities=tuple(sorted(shown - {Modality.SPECIAL}, key=list(Modality).index)), size=size,
    )  # fmt: skip
