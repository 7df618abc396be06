"""Draws a run as one figure for print: attention on the inputs, with the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmviz.analysis.answer_maps import ATTRIBUTIONS, KINDS
from mmviz.analysis.answer_token import token_or_answer
from mmviz.analysis.available_maps import map_words, streams_of
from mmviz.analysis.map_weights import Direction
from mmviz.figures.colour_scale import largest_drawn
from mmviz.figures.column_figure import column_figure
from mmviz.figures.fonts import drawable_language
from mmviz.figures.print_figure import print_figure
from mmviz.figures.printed_map import PrintedMap
from mmviz.figures.printed_parts import FigureFormat, FigureLayout
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.figures import tell, unit_name
from mmviz.i18n.language import current_language, join_sentences, use_language
from mmviz.i18n.viewer import about
from mmviz.inputs.mel import HOP, SAMPLE_RATE, log_mel
from mmviz.report.answer_maps import map_title, shown_map
from mmviz.report.answer_title import answer_title
from mmviz.report.map_notes import map_notes
from mmviz.report.receptive_field_note import patch_note
from mmviz.report.run_interface import AnalysedRun
from mmviz.types import MapRef, MmvizError


def run_figure(
    run: AnalysedRun,
    file_format: FigureFormat,
    map_ref: MapRef | None,
    token: int | Sequence[int] | None,
    direction: Direction,
    scale_max: float | None,
    versus: Sequence[int] = (),
    layout: FigureLayout = "page",
) -> bytes:
    """Returns `mmviz.Run.figure`; in English, with a note, where no font has the characters of the language."""
    draw = column_figure if layout == "column" else print_figure
    language = drawable_language()
    is_other = language != current_language()
    with use_language(language):
        notes = [tell("paper-english")] if is_other else []
        if (map_ref, token, direction, scale_max, tuple(versus)) == (None, None, "from", None, ()):
            maps = _both_maps(run, notes)
        else:
            maps = [_selected(run, map_ref or run.map_ref, token, direction, scale_max, versus, notes)]
        return draw(maps, file_format)


def _both_maps(run: AnalysedRun, notes: Sequence[str]) -> list[PrintedMap]:
    """Returns the two maps of the first view; the first alone, with the reason, without the other."""
    figures = []
    first, second = (shown_map(run, kind) for kind in KINDS)
    notes = [str(second), *notes] if isinstance(second, MmvizError) else notes
    for shown in (first, second):
        if isinstance(shown, MmvizError):
            continue
        answer_map, query = shown.map, shown.map.query
        ref = None if answer_map.method in ATTRIBUTIONS else MapRef.parse(answer_map.method)
        of_map = [] if ref is None else map_notes(run.record, ref, query, "from")
        extra = [*of_map, *filter(None, [shown.signed_note]), *notes]
        figures.append(
            _draw(
                run, title=f"{map_title(answer_map.kind)} · {answer_title(run.record)}",
                tokens=shown.keys, selected_from=shown.queries, amounts=answer_map.amounts, scale_max=shown.scale_max,
                unit=answer_map.unit, method=shown.method, direction="from", token=query, notes=extra,
            )
        )  # fmt: skip
    return figures


def _selected(
    run: AnalysedRun, map_ref: MapRef, token: int | Sequence[int] | None, direction: Direction, scale_max: float | None,
    versus: Sequence[int], notes: Sequence[str],
) -> PrintedMap:  # fmt: skip
    method, selected = map_words(map_ref, run.record), token_or_answer(run.record, map_ref, token, direction)
    attention = run.attention if run.is_exact else run.pooled_attention
    amounts = attention(map_ref, token, direction)
    queries, keys = (run.record.streams[stream] for stream in streams_of(run.record, map_ref))
    tokens, selected_from = (keys, queries) if direction == "from" else (queries, keys)
    if versus:
        amounts = amounts - attention(map_ref, versus, direction)
        scale_max = scale_max or largest_drawn(tokens, amounts)
    of_map = map_notes(run.record, map_ref, selected, "to" if versus else direction)  # of two rows: of all of them
    return _draw(
        run, title=answer_title(run.record), tokens=tokens, selected_from=selected_from, amounts=amounts,
        scale_max=scale_max or float(amounts.max()) or 1.0, unit=unit_name(map_ref.method),
        method=method if run.is_exact else sentence("method-pooled", method=method), direction=direction,
        token=selected, versus=tuple(versus), notes=[*of_map, *notes],
    )  # fmt: skip


def _draw(run: AnalysedRun, *, notes: Sequence[str], **shown: Any) -> PrintedMap:
    """Returns a map beside the inputs and answers of a run; ``shown`` is what `PrintedMap` has of the map."""
    image, audio, made_by = run.sample.image, run.sample.audio, run.record.made_by
    device = made_by.get("device_name", made_by.get("device"))
    is_known = "model" in made_by and device is not None  # not for attention that was computed elsewhere
    caption = sentence("figure-caption", model=made_by["model"], device=device) if is_known else about("disclaimer")
    return PrintedMap(
        image=image.pixels if image else None,
        image_note=patch_note(run.record),
        size=(image.width, image.height) if image else None,
        text=run.sample.text,
        wave=audio.wave if audio else None,
        rate=audio.rate if audio else SAMPLE_RATE,
        mel=log_mel(audio.wave) if audio else None,
        hop_seconds=HOP / SAMPLE_RATE,
        answers=run.record.answers,
        caption=join_sentences([caption, *notes]),
        **shown,
    )
