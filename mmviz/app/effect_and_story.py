"""What one click measures of an answer: the effect of each modality, and the story. No Streamlit."""

from __future__ import annotations

from dataclasses import dataclass

from mmviz.backends import Backend, Progress, Stop
from mmviz.experiments.modality_shapley import Effect, measure_modality_effect
from mmviz.experiments.story import Story, measure_story
from mmviz.types import AttentionRecord, MmvizError, Request


@dataclass(frozen=True)
class Trace:
    """What one click measures of an answer."""

    effect: Effect | MmvizError | None
    """What removing each modality does to it, or why that cannot be measured; None where it was stopped."""
    story: Story | None
    """The routes that carry the answer, see `measure_story`; None where they were not measured."""

    @property
    def is_complete(self) -> bool:
        """Whether nothing of it was stopped."""
        return self.effect is not None and self.story is not None and self.story.is_complete


def measure_trace(backend: Backend, request: Request, record: AttentionRecord, progress: Progress, stop: Stop) -> Trace:
    """Measures the effect of each modality, then the story. Raises ``MmvizError`` as `measure_story` does."""
    effect: Effect | MmvizError | None
    try:
        effect = measure_modality_effect(backend, request, stop=stop)
    except MmvizError as problem:
        effect = problem
    return Trace(effect, measure_story(backend, request, record, progress, stop))
