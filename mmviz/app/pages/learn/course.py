"""The course: how each lesson is drawn, the correct answer to its question, and the example that shows it best."""

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
"""The answers to choose from, under most questions."""


@dataclass(frozen=True)
class Lesson:
    """A lesson of the course."""

    draw: Callable[[LessonContext], None]
    """Draws its controls and numbers."""
    correct: str
    """The correct answer to its question, one of ``options``."""
    example: str
    """The id of the gallery example on which it shows what it says; the build of the gallery measures that."""
    options: tuple[str, ...] = OPTIONS
    """The answers to choose from, under its question."""


COURSE: Mapping[LessonId, Lesson] = {
    "tokens": Lesson(tokens, "b", "mask"),
    "scores": Lesson(scores, "c", "seen"),
    "softmax": Lesson(softmax, "a", "caption"),
    "output": Lesson(output, "b", "count"),
    "heads": Lesson(heads, "c", "mismatch"),
    "cross-modal": Lesson(cross_modal, "b", "spoken-place"),
    "fusion": Lesson(fusion, "d", "spoken-place", (*OPTIONS, "d")),
    "training": Lesson(training, "b", "spoken-place"),
    "cost": Lesson(cost, "c", "spoken-place"),
    "limits": Lesson(limits, "c", "heard"),
}
