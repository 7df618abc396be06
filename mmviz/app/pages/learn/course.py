"""The course: how each lesson is drawn, and the correct answer to its question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mmviz.app.pages.learn.cost import cost
from mmviz.app.pages.learn.cross_modal import cross_modal
from mmviz.app.pages.learn.fusion import fusion
from mmviz.app.pages.learn.heads import heads
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.limits import limits
from mmviz.app.pages.learn.output import output
from mmviz.app.pages.learn.scores import scores
from mmviz.app.pages.learn.softmax import softmax
from mmviz.app.pages.learn.tokens import tokens
from mmviz.app.pages.learn.training import training
from mmviz.app.session_state import LessonId

OPTIONS = ("a", "b", "c")
"""The answers to choose from, under every question."""


@dataclass(frozen=True)
class Lesson:
    """A lesson of the course."""

    draw: Callable[[LessonContext], None]
    """Draws its controls and numbers."""
    correct: str
    """The correct answer to its question, one of `OPTIONS`."""


COURSE: Mapping[LessonId, Lesson] = {
    "tokens": Lesson(tokens, "b"),
    "scores": Lesson(scores, "c"),
    "softmax": Lesson(softmax, "a"),
    "output": Lesson(output, "b"),
    "heads": Lesson(heads, "c"),
    "cross-modal": Lesson(cross_modal, "b"),
    "fusion": Lesson(fusion, "c"),
    "training": Lesson(training, "b"),
    "cost": Lesson(cost, "c"),
    "limits": Lesson(limits, "c"),
}
