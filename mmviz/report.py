"""A run as one picture to show."""

from __future__ import annotations

from mmviz.explain import Run
from mmviz.figures import paper
from mmviz.inputs.mel import HOP, SAMPLE_RATE, log_mel
from mmviz.texts import sentence


def png(run: Run) -> bytes:
    """One page, 1600 x 900: what the answer token attends to, by the run's own way of looking."""
    sample, record = run.sample, run.record
    amounts = run.attention()
    sound = sample.audio
    return paper.png(
        picture=sample.image.pixels if sample.image else None,
        size=(sample.image.width, sample.image.height) if sample.image else None,
        text=sample.text,
        wave=sound.wave if sound else None,
        rate=sound.rate if sound else SAMPLE_RATE,
        mel=log_mel(sound.wave) if sound else None,
        hop_seconds=HOP / SAMPLE_RATE,
        tokens=run.tokens,
        amounts=amounts,
        scale_max=float(amounts.max()),
        answers=record.answers[:5],
        title=sentence("report-title", answer=record.answers[0].label, probability=record.answers[0].probability),
        caption=sentence("report-caption", model=record.made_by["model"], device=record.made_by["device_name"]),
        way=str(run.way),
        direction="from",
        token=run.asker,
    )
