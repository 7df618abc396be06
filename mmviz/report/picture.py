"""A run as one picture to show."""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.analysis.map_refs import map_words
from mmviz.analysis.map_weights import Direction
from mmviz.figures.fonts import legible
from mmviz.figures.paper import png
from mmviz.i18n.figures import tell
from mmviz.i18n.language import current, joined, speaking
from mmviz.i18n.messages import sentence
from mmviz.inputs.mel import HOP, SAMPLE_RATE, log_mel
from mmviz.report.run_protocol import WholeRun
from mmviz.types import MapRef, Token


def picture_of(
    run: WholeRun,
    map_ref: MapRef | None,
    token: int | Sequence[int] | None,
    direction: Direction,
    scale_max: float | None,
) -> bytes:
    """See `mmviz.Run.png`. In English, and saying so, where no font here has the letters of the language spoken."""
    language = legible()
    is_other = language != current()
    with speaking(language):
        note = [tell("paper-english")] if is_other else []
        return _drawn(run, map_ref, token, direction, scale_max, note)


def _drawn(
    run: WholeRun, map_ref: MapRef | None, token: int | Sequence[int] | None, direction: Direction, scale_max: float | None,
    note: Sequence[str],
) -> bytes:  # fmt: skip
    image, sound, made = run.sample.image, run.sample.audio, run.record.made_by
    device = made.get("device_name", made.get("device"))
    is_exact = run.is_exact
    words = map_words(map_ref or run.map_ref)
    amounts = (run.attention if is_exact else run.about)(map_ref, token, direction)
    asking, asked = _sides(run, map_ref or run.map_ref)
    lit, chosen = (asked, asking) if direction == "from" else (asking, asked)
    return png(
        picture=image.pixels if image else None,
        size=(image.width, image.height) if image else None,
        text=run.sample.text,
        wave=sound.wave if sound else None,
        rate=sound.rate if sound else SAMPLE_RATE,
        mel=log_mel(sound.wave) if sound else None,
        hop_seconds=HOP / SAMPLE_RATE,
        tokens=lit,
        chosen_from=chosen,
        amounts=amounts,
        scale_max=scale_max or float(amounts.max()) or 1.0,
        answers=run.record.answers,
        title=_title(run),
        caption=joined([sentence("figure-caption", model=made["model"], device=device), *note]),
        method=words if is_exact else sentence("method-pooled", method=words),
        direction=direction,
        token=run.answer_query if token is None else token,
    )


def _sides(run: WholeRun, map_ref: MapRef) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
    """The tokens that ask and those that are asked."""
    number = len(run.record.maps) - 1 if map_ref.method != "attention" else run.record.map_number(map_ref)
    found = run.record.maps[number]
    return run.record.streams[found.queries], run.record.streams[found.keys]


def _title(run: WholeRun) -> str:
    if not run.record.answers:
        return sentence("figure-no-answers")
    best = run.record.answers[0]
    return sentence("figure-title", answer=best.label, probability=best.probability)
