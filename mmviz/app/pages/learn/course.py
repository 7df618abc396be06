"""The course: how each lesson is drawn, the correct answer to its question, and the example that shows it best."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mmviz.analysis.query_key_walkthrough import PATH_STEPS
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
    parts: tuple[str, ...]
    """The parts that it draws, in order: the slides of its presentation, between its question and the remarks."""
    options: tuple[str, ...] = OPTIONS
    """The answers to choose from, under its question."""


COURSE: Mapping[LessonId, Lesson] = {
    "tokens": Lesson(tokens, "b", "mask", ("counts", "near")),
    "scores": Lesson(scores, "c", "seen", ("terms", "weights")),
    "softmax": Lesson(softmax, "a", "caption", ("weights", "sums")),
    "output": Lesson(output, "b", "count", (*PATH_STEPS, "maps")),
    "heads": Lesson(heads, "c", "mismatch", ("table", "images")),
    "cross-modal": Lesson(cross_modal, "b", "spoken-place", ("layer", "moments")),
    "fusion": Lesson(fusion, "d", "spoken-place", ("answers", "accuracy"), (*OPTIONS, "d")),
    "training": Lesson(training, "b", "spoken-place", ("live", "images", "bundled")),
    "cost": Lesson(cost, "c", "spoken-place", ("numbers", "figures", "measured")),
    "limits": Lesson(limits, "c", "heard", ("effect",)),
}
