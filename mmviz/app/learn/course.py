"""The lessons in their order: how each is drawn, and which answer to its question is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mmviz.app.learn.asks import asks
from mmviz.app.learn.cost import cost
from mmviz.app.learn.desk import Desk
from mmviz.app.learn.fusion import fusion
from mmviz.app.learn.heads import heads
from mmviz.app.learn.learning import learning
from mmviz.app.learn.limits import limits
from mmviz.app.learn.output import output
from mmviz.app.learn.scores import scores
from mmviz.app.learn.softmax import softmax
from mmviz.app.learn.tokens import tokens
from mmviz.app.state import Lesson

OPTIONS = ("a", "b", "c")


@dataclass(frozen=True)
class Planned:
    """``right``: one of `OPTIONS`."""

    draw: Callable[[Desk], None]
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
