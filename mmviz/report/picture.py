"""A run as one picture to show."""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.analysis.select import Direction, Way, map_number
from mmviz.figures.fonts import legible
from mmviz.figures.paper import png
from mmviz.figures.texts import tell
from mmviz.inputs.mel import HOP, SAMPLE_RATE, log_mel
from mmviz.language import current, joined, speaking
from mmviz.report.run import WholeRun
from mmviz.texts import sentence
from mmviz.types import Token


def picture_of(
    run: WholeRun, way: Way | None, token: int | Sequence[int] | None, direction: Direction, scale_max: float | None
) -> bytes:
    """See `mmviz.Run.png`. In English, and saying so, where no font here has the letters of the language spoken."""
    language = legible()
    is_other = language != current()
    with speaking(language):
        note = [tell("paper-english")] if is_other else []
        return _drawn(run, way, token, direction, scale_max, note)


def _drawn(
    run: WholeRun, way: Way | None, token: int | Sequence[int] | None, direction: Direction, scale_max: float | None,
    note: Sequence[str],
) -> bytes:  # fmt: skip
    image, sound, made = run.sample.image, run.sample.audio, run.record.made_by
    device = made.get("device_name", made.get("device"))
    is_exact = run.is_exact
    amounts = (run.attention if is_exact else run.about)(way, token, direction)
    asking, asked = _sides(run, way or run.way)
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
        way=(way or run.way).words() if is_exact else sentence("way-about", way=(way or run.way).words()),
        direction=direction,
        token=run.asker if token is None else token,
    )


def _sides(run: WholeRun, way: Way) -> tuple[tuple[Token, ...], tuple[Token, ...]]:
    """The tokens that ask and those that are asked."""
    number = len(run.record.maps) - 1 if way.layer is None else map_number(run.record, way)
    found = run.record.maps[number]
    return run.record.streams[found.queries], run.record.streams[found.keys]


def _title(run: WholeRun) -> str:
    if not run.record.answers:
        return sentence("figure-no-answers")
    best = run.record.answers[0]
    return sentence("figure-title", answer=best.label, probability=best.probability)
