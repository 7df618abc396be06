"""The lessons in their order: how each is drawn, and which answer to its question is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mmviz.app.pages.learn.cost import cost
from mmviz.app.pages.learn.cross_modal import asks
from mmviz.app.pages.learn.fusion import fusion
from mmviz.app.pages.learn.heads import heads
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.app.pages.learn.limits import limits
from mmviz.app.pages.learn.output import output
from mmviz.app.pages.learn.scores import scores
from mmviz.app.pages.learn.softmax import softmax
from mmviz.app.pages.learn.tokens import tokens
from mmviz.app.pages.learn.training import learning
from mmviz.app.session_state import Lesson

OPTIONS = ("a", "b", "c")


@dataclass(frozen=True)
class Planned:
    """``right``: one of `OPTIONS`."""

    draw: Callable[[LessonContext], None]
    right: str


COURSE: Mapping[Lesson, Planned] = {
    "tokens": Planned(tokens, "b"),
    "scores": Planned(scores, "c"),
    "softmax": Planned(softmax, "a"),
    "output": Planned(output, "b"),
    "heads": Planned(heads, "c"),
    "asks": Planned(asks, "b"),
    "fusion": Planned(fusion, "c"),
    "learning": Planned(learning, "b"),
    "cost": Planned(cost, "c"),
    "limits": Planned(limits, "c"),
}
