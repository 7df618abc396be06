"""A talk about a made-up run, with a story whose steps are made up too."""

from __future__ import annotations

from dataclasses import replace

from records import plain

from mmviz.experiments.route_cut import LayerWindow
from mmviz.experiments.story import Story
from mmviz.experiments.story_search import Step
from mmviz.explain import Run
from mmviz.types import ANSWER, ChosenTokens, Modality

FIRST_PATCH, FIRST_WORD, FIRST_MOMENT = 1, 16, 22
"""Indices in `records.trio`."""


def recorded_run(layers: int = 2) -> Run:
    """A run whose record says how it was made."""
    run = plain(layers)
    made_by = {"model": "trio", "device_name": "a CPU", "trained": True, "recorded": True}
    return Run(run.sample, replace(run.record, made_by=made_by))


def story() -> Story:
    """A patch hears two moments, the answer token reads a word, and the answer token sees the picture as a whole."""
    window = (LayerWindow("", (0,)),)
    patch, moments = ChosenTokens((FIRST_PATCH + 6,)), ChosenTokens((FIRST_MOMENT + 2, FIRST_MOMENT + 3))
    word = ChosenTokens((FIRST_WORD + 5,))
    steps = (
        Step(patch, moments, Modality.AUDIO, window, -3.72, "dog", 0.4, True),
        Step(ANSWER, word, Modality.TEXT, window, -1.0, "dog", 0.4, True),
        Step(ANSWER, Modality.IMAGE, Modality.IMAGE, window, -0.5, "word 0", 0.4),
    )
    return Story("word 0", 0.5, steps)
