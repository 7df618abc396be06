"""How well the model names photographed things and words that people speak.

``mmviz evaluate --real FOLDER --speech FOLDER`` measures; ``python -m mmviz.training.evaluate.real_world`` writes what
the card of the bundled model then holds into ``docs/real-world.md``, word by word.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmviz.assets_path import assets_dir
from mmviz.backends import Backend
from mmviz.models.question_templates import compose
from mmviz.training.evaluate import real_photograph_views as photo_views
from mmviz.training.evaluate import real_speech_views as speech_views
from mmviz.training.evaluate.real_folders import (
    Photograph,
    Recording,
    photographs,
    spoken_captions,
    spoken_names,
)
from mmviz.training.world.grounds import load_photographs
from mmviz.types import ImageInput, Request, Sample

AMONG_FIRST = 5
"""Answers among which the right one is looked for, the most probable first."""
DOCUMENT = Path("docs") / "real-world.md"
Tick = Callable[[str], None]
Case = tuple[str, str, Sample]
"""Name of the view, the right word, and what the model is given."""


@dataclass(frozen=True, eq=False)
class RealWorld:
    """What the real world is measured on; either part may be missing."""

    photographs: tuple[Photograph, ...]
    """Things cut out of photographs; empty where the stamps are left out."""
    grounds: tuple[photo_views.Pixels, ...]
    """Held-out photographs to place them on, uint8 ``[height, width, 3]``."""
    recordings: tuple[Recording, ...]
    """Words spoken by people, of both folders."""

    def count_runs(self) -> int:
        """Returns how many runs of the model there are, for a progress bar."""
        pictures = len(self.photographs) * len(photo_views.VIEWS) * photo_views.DRAWS
        return pictures + len(self.recordings) * len(speech_views.VIEWS)


@dataclass
class _Tally:
    """Answers in one view."""

    truths: Counter[str] = field(default_factory=Counter)
    first: Counter[str] = field(default_factory=Counter)
    """By the right word, how often it was the first answer."""
    among_first: int = 0
    wrong: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By the right word and the first answer."""

    def add(self, truth: str, answers: Sequence[str]) -> None:
        self.truths[truth] += 1
        self.among_first += truth in answers[:AMONG_FIRST]
        if answers[0] == truth:
            self.first[truth] += 1
        else:
            self.wrong[truth, answers[0]] += 1

    def plain(self) -> dict[str, Any]:
        """Returns the figures as plain values; ``words`` holds count, right ones and wrong answers by word."""
        words = {
            word: {
                "count": count,
                "first": self.first[word],
                "wrong": {answer: times for (truth, answer), times in self.wrong.most_common() if truth == word},
            }
            for word, count in sorted(self.truths.items())
        }
        return {
            "count": self.truths.total(), "first": self.first.total(), "five": self.among_first,
            "majority": max(self.truths.values()), "words": words,
        }  # fmt: skip


def read(stamps: Path | None, speech: Path | None) -> RealWorld:
    """Reads the unpacked folders of ``tuxpaint-stamps-default`` and of ``ktuberling-data``; None leaves one out.

    Raises ``MmvizError`` as `photographs` and `spoken_names` do.
    """
    recordings = (spoken_captions(stamps) if stamps else ()) + (spoken_names(speech) if speech else ())
    grounds = tuple(load_photographs(held_out=True).values()) if stamps else ()
    return RealWorld(photographs(stamps) if stamps else (), grounds, recordings)


def measure(backend: Backend, model: str, world: RealWorld, tick: Tick) -> dict[str, Any]:
    """Returns the figures of the real world as plain values: by part, view, and word."""
    result: dict[str, Any] = {}
    for part, cases in (("photographs", _picture_cases(world)), ("speech", _speech_cases(world))):
        tallies: dict[str, _Tally] = {}
        for view, truth, sample in cases:
            (record,) = backend.run([Request(model, sample, maps=False)])
            tallies.setdefault(view, _Tally()).add(truth, [answer.label for answer in record.answers])
            tick(part)
        if tallies:
            result[part] = {view: tally.plain() for view, tally in tallies.items()}
    return result


def _picture_cases(world: RealWorld) -> Iterator[Case]:
    side = photo_views.SIDE
    for photograph in world.photographs:
        for view, pixels in photo_views.views(photograph, world.grounds):
            yield view, photograph.word, Sample(ImageInput(pixels, side, side), compose("name"))


def _speech_cases(world: RealWorld) -> Iterator[Case]:
    for recording in world.recordings:
        for view, audio in speech_views.views(recording):
            yield view, recording.word, Sample(None, compose("heard"), audio)


TITLES = {"photographs": "photographs", "speech": "words spoken by people"}


def tables(real: Mapping[str, Any]) -> str:
    """Returns the tables as ``mmviz evaluate`` prints them."""
    blocks = []
    for part, title in TITLES.items():
        if part not in real:
            continue
        lines = [f"| {title} | words | majority | first answer right | among five |", "|---|---|---|---|---|"]
        for view, row in real[part].items():
            first, five = (
                f"{row[hits] / row['count']:.2f} ({row[hits]} of {row['count']})" for hits in ("first", "five")
            )
            lines.append(f"| {view} | {len(row['words'])} | {row['majority'] / row['count']:.2f} | {first} | {five} |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


ABOUT = f"""# Measured on the real world

`mmviz evaluate --real FOLDER --speech FOLDER --card` measures the bundled model `trio` on what it was never trained on,
and `python -m mmviz.training.evaluate.real_world` writes this page from the model's card.

- **Photographs** are things cut out of photographs, from Debian's package `tuxpaint-stamps-default` (GPL-2; nothing of
  it is part of mmviz), unpacked into FOLDER: those whose caption's head noun is a word of the model. A stamp counts as
  a photograph if it has grain, no vector form and no place among cartoons and road signs. The question is "What is
  it?", without a sound. Each photograph is shown {photo_views.DRAWS} times in each view, anywhere in the picture,
  on one colour or on part of a photograph that was held out of training. Its longer side takes
  {photo_views.LARGE:.0%} of the picture's, or {photo_views.SMALL:.0%} (small).
- A **phone-like** picture is blurred (Gaussian of {photo_views.BLUR} pixels of {photo_views.SIDE}) and noisy
  ({photo_views.NOISE:.0f} of 255); red against blue is off by up to {photo_views.WHITE_BALANCE:.0%}; and it
  was saved as JPEG of quality {photo_views.JPEG_QUALITY}.
- **Words spoken by people** are English captions of these stamps that hold one word of the model, and the English
  sounds of such words in Debian's package `ktuberling-data`. The question is "What was said?", without a picture.
  Telephone-like is {speech_views.LOW:.0f} to {speech_views.HIGH:.0f} Hz, with noise at {speech_views.LINE_NOISE:.0f}
  dB, in 8 bits by the mu-law.
- Only those stamps are read whose path under `stamps/`, without ending, has a SHA-256 that begins with an even digit.
  The others stay unseen.
- "Majority" is the share of the commonest right answer. Every answer of the model is allowed, not only words.
"""


def document(real: Mapping[str, Any]) -> str:
    """Returns ``docs/real-world.md``: how it was measured, the tables, and by word what was answered instead."""
    parts = [ABOUT, tables(real), ""]
    for part, title in TITLES.items():
        if part not in real:
            continue
        views = real[part]
        parts += [f"## By word: {title}", "", "| word | " + " | ".join(views) + " | answered instead |"]
        parts.append("|---|" + "---|" * len(views) + "---|")
        for word in next(iter(views.values()))["words"]:
            rows = [row["words"][word] for row in views.values()]
            wrong = sum((Counter(row["wrong"]) for row in rows), Counter())
            instead = ", ".join(f"{answer} {times}" for answer, times in wrong.most_common(AMONG_FIRST))
            cells = " | ".join(f"{row['first']} of {row['count']}" for row in rows)
            parts.append(f"| {word} | {cells} | {instead} |")
        parts.append("")
    return "\n".join(parts)


def main() -> None:
    """Writes the document from the card of the bundled model, in the checkout that it is run in."""
    card = json.loads((assets_dir() / "trio" / "card.json").read_text(encoding="utf-8"))
    DOCUMENT.write_text(document(card["measured"]["real"]), encoding="utf-8")


if __name__ == "__main__":
    main()
