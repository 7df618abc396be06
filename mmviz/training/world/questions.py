"""Questions about an image and a sound, with the truth: the answer, and what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmviz.models.question_templates import FAMILIES, RELATIONS, TEMPLATES
from mmviz.training.world.scenes import Thing

BUSY_SCENES = ("there", "seen", "count", "rel", "relheard", "caption")
"""Families whose pointing is measured in scenes of three or more things."""
INDEPENDENT_SPEECH = ("name", "heard", "count", "rel", "mask")
"""Families that need one modality, for which the spoken word is independent of the image, so that neither modality
gives away the other. Elsewhere half the spoken words name a thing in the image."""


@dataclass(frozen=True)
class Question:
    """A question with its answer and the evidence for it."""

    family: str
    """One of `mmviz.models.question_templates.FAMILIES`."""
    text: str
    """The question as the model reads it."""
    answer: str
    """The true answer."""
    things: tuple[int, ...] = ()
    """Indices of the things in the image that the answer rests on."""
    sound: bool = False
    """Whether the answer rests on the spoken word."""
    candidates: tuple[int, ...] | None = None
    """For a relation, every thing that stands in it; None elsewhere."""
    words: tuple[str, ...] = field(default=())
    """Words of the world in the text."""


def is_related(first: Thing, relation: str, second: Thing) -> bool:
    """Returns whether ``first`` is left of, right of, above or below ``second``, by their centres."""
    dx, dy = (first.centre[i] - second.centre[i] for i in range(2))
    if relation in ("left of", "right of"):
        return abs(dx) > abs(dy) and (dx < 0) == (relation == "left of")
    return abs(dy) >= abs(dx) and (dy < 0) == (relation == "above")


def related(things: Sequence[Thing], relation: str, anchor: int) -> list[int]:
    """Returns the indices of the things in ``relation`` to ``things[anchor]``, nearest centre first."""
    centre = things[anchor].centre
    indices = [k for k, thing in enumerate(things) if k != anchor and is_related(thing, relation, things[anchor])]
    return sorted(indices, key=lambda k: float(np.hypot(*(np.subtract(things[k].centre, centre)))))


class QuestionGenerator:
    """Generates balanced questions over a list of words. Every choice comes from ``rng``."""

    def __init__(self, words: Sequence[str]):
        self.words = tuple(words)

    def applies(self, family: str, things: Sequence[Thing], spoken: str) -> bool:
        """Returns whether ``family`` applies to this image and this sound."""
        count, names = len(things), [thing.word for thing in things]
        limits = {
            "name": count == 1, "mask": count == 2, "odd": count == 1, "rel": count >= 2, "caption": count >= 2,
            "relheard": count >= 2 and spoken in names,
        }  # fmt: skip
        return limits.get(family, True)

    def several(
        self, rng: np.random.Generator, families: Sequence[str], things: Sequence[Thing], spoken: str
    ) -> tuple[Question, ...]:
        """Returns a question of each of ``families``.

        A family that does not apply is replaced by another, in `INDEPENDENT_SPEECH` if it is itself.
        """
        possible = [family for family in FAMILIES if self.applies(family, things, spoken)]
        chosen = []
        for family in families:
            same_kind = [other for other in possible if (other in INDEPENDENT_SPEECH) == (family in INDEPENDENT_SPEECH)]
            chosen.append(family if family in possible else str(rng.choice(same_kind)))
        return tuple(self.generate(rng, family, things, spoken) for family in chosen)

    def generate(self, rng: np.random.Generator, family: str, things: Sequence[Thing], spoken: str) -> Question:
        """Returns a question of ``family`` about ``things`` in the image and the word ``spoken`` in the sound."""
        makers: dict[str, Callable[[np.random.Generator, Sequence[Thing], str], Question]] = {
            "name": self._name, "heard": self._heard, "there": self._there, "said": self._said, "seen": self._seen,
            "count": self._count, "rel": self._rel, "relheard": self._relheard, "mask": self._mask,
            "caption": self._caption, "odd": self._odd,
        }  # fmt: skip
        return makers[family](rng, things, spoken)

    def _absent(self, rng: np.random.Generator, present: Sequence[str], distractors: Sequence[str] = ()) -> str:
        """Returns a word not in ``present``; half the time one of ``distractors`` (the other modality), if any."""
        candidates = [word for word in distractors if word not in present]
        if candidates and rng.random() < 0.5:
            return str(rng.choice(candidates))
        while True:
            word = self.words[int(rng.integers(len(self.words)))]
            if word not in present:
                return word

    def _name(self, rng: np.random.Generator, things: Sequence[Thing], spoken: str) -> Question:
        return _question(rng, "name", things[0].word, things=(0,))

    def _heard(self, rng: np.random.Generator, things: Sequence[Thing], spoken: str) -> Question:
        return _question(rng, "heard", spoken, sound=True)

    def _there(self, rng: np.random.Generator, things: Sequence[Thing], spoken: str) -> Question:
        names = [thing.word for thing in things]
        if rng.random() < 0.5:
            k = int(rng.integers(len(things)))
            return _question(rng, "there", "yes", x=names[k], things=(k,))
        return _question(rng, "there", "no", x=self._absent(rng, names, [spoken]))

    def _said(self, rng: np.random.Generator, things: Sequence[Thing], spoken: str) -> Question:
        if rng.random() < 0.5:
            return _question(rng, "said", "yes", x=spoken, sound=True)
        distractors = [thing.word for thing in things]
        return _question(rng, "said", "no", x=self._absent(rng, [spoken], distractors), sound=True)

    def _seen(self, rng: np.random.Generator, things: Sequence[Thing], spoken: str) -> Question:
        indices = tuple(k for k, thing in enumerate(things) if thing.word == spoken)
        return _question(rng, "seen", "yes" if indices else "no", things=indices, sound=True)

    def _count(self, rng: np.random.Generator, things: Sequence[Thing], spoken: str) -> Question:
        return _question(rng, "count", str(len(things)), things=tuple(range(len(things))))

    def _relation(self, rng: np.random.Generator, things: Sequence[Thing], anchors: Sequence[int]) -> tuple[int, str]:
        """Returns an anchor and a relation; some thing stands in it in about nine of ten cases, else nothing does."""
        pairs = [(anchor, relation) for anchor in anchors for relation in RELATIONS]
        with_answer = [pair for pair in pairs if related(things, pair[1], pair[0])]
        without = [pair for pair in pairs if pair not in with_answer]
        chosen = without if without and (not with_answer or rng.random() < 0.12) else with_answer
        return chosen[int(rng.integers(len(chosen)))]

    def _rel(self, rng: np.random.Generator, things: Sequence[Thing], spoken: str) -> Question:
        anchor, relation = self._relation(rng, things, range(len(things)))
        return self._answered_relation(rng, "rel", things, anchor, relation)

    def _relheard(self, rng: np.random.Generator, things: Sequence[Thing], spoken: str) -> Question:
        anchors = [k for k, thing in enumerate(things) if thing.word == spoken]
        anchor, relation = self._relation(rng, things, anchors)
        return self._answered_relation(rng, "relheard", things, anchor, relation)

    def _answered_relation(
        self, rng: np.random.Generator, family: str, things: Sequence[Thing], anchor: int, relation: str
    ) -> Question:
        answers = related(things, relation, anchor)
        answer = things[answers[0]].word if answers else "nothing"
        return _question(
            rng, family, answer, x=things[anchor].word, rel=relation, things=tuple(answers[:1]),
            candidates=tuple(answers), sound=family == "relheard",
        )  # fmt: skip

    def _mask(self, rng: np.random.Generator, things: Sequence[Thing], spoken: str) -> Question:
        k = int(rng.integers(2))
        return _question(rng, "mask", things[1 - k].word, x=things[k].word, things=(1 - k,))

    def _caption(self, rng: np.random.Generator, things: Sequence[Thing], spoken: str) -> Question:
        names = [thing.word for thing in things]
        first, second = (int(k) for k in rng.permutation(len(things))[:2])
        true = [relation for relation in RELATIONS if is_related(things[first], relation, things[second])]
        relation = true[int(rng.integers(len(true)))]
        x, y, answer = names[first], names[second], "yes"
        shown: tuple[int, ...] = (first, second)
        if rng.random() < 0.5:
            answer = "no"
            if rng.random() < 0.5:
                relation = str(rng.choice([other for other in RELATIONS if other not in true]))
            elif rng.random() < 0.5:
                x, shown = self._absent(rng, names, [spoken]), (second,)
            else:
                y, shown = self._absent(rng, names, [spoken]), (first,)
        candidates = tuple(related(things, relation, second)) if second in shown else None
        return _question(rng, "caption", answer, x=x, y=y, rel=relation, things=shown, candidates=candidates)

    def _odd(self, rng: np.random.Generator, things: Sequence[Thing], spoken: str) -> Question:
        shown = things[0].word
        if shown == spoken:
            x = shown if rng.random() < 0.5 else self._absent(rng, [shown])
            answer = "none" if x == shown else "text"
        else:
            x, answer = (spoken, "image") if rng.random() < 0.5 else (shown, "audio")
        return _question(rng, "odd", answer, x=x, things=(0,), sound=True)


def _question(
    rng: np.random.Generator, family: str, answer: str, *, x: str = "", y: str = "", rel: str = "",
    things: tuple[int, ...] = (), sound: bool = False, candidates: tuple[int, ...] | None = None,
) -> Question:  # fmt: skip
    template = TEMPLATES[family][int(rng.integers(len(TEMPLATES[family])))]
    article = "an" if x[:1] in "aeiou" and rng.random() < 0.5 else "a"
    text = template.format(a=article, x=x, y=y, rel=rel)
    named = () if family == "relheard" else tuple(word for word in (x, y) if word)
    return Question(family, _with_style(rng, text, family), answer, things, sound, candidates, named)


def _with_style(rng: np.random.Generator, text: str, family: str) -> str:
    """Returns ``text`` with random case and punctuation."""
    kind = rng.random()
    if kind < 0.3:
        text = text[:1].upper() + text[1:]
    elif kind < 0.36:
        text = text.upper()
    mark = "." if family in ("caption", "mask") else "" if family == "odd" else "?"
    return text + (mark if rng.random() < 0.5 else "")
