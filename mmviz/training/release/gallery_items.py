"""The examples of the gallery, as they are declared: words, files and a question, and what is claimed of each.

Their titles and sentences stand in `mmviz.i18n.gallery`; each sentence says no more than the claims of its example.
Photographs and voices lie in ``assets/gallery``, with their sources and licences in its LICENSES.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmviz.training.release.gallery_checks import Answers, Claim, Fails, Idle, Lacks, Needs
from mmviz.training.world.scenes import Thing
from mmviz.types import Modality


@dataclass(frozen=True)
class Drawing:
    """An image composed of drawings of words, at places that a seed decides."""

    words: tuple[str, ...]
    """The words, a drawing each."""


@dataclass(frozen=True)
class Photograph:
    """An image in ``assets/gallery``."""

    file: str
    """Its path in the gallery's folder."""
    things: tuple[Thing, ...]
    """What it shows, and where."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of what it shows."""
        return tuple(thing.word for thing in self.things)


@dataclass(frozen=True)
class Speech:
    """A word that a synthesiser speaks, in a voice and a phrase that a seed decides."""

    word: str
    """The word of the world that is spoken."""


@dataclass(frozen=True)
class Voice:
    """A word that a person speaks, in ``assets/gallery``."""

    file: str
    """Its path in the gallery's folder."""
    word: str
    """The word of the world that is spoken."""
    start: float
    """Start of the word, in seconds."""
    end: float
    """End of the word, in seconds."""


@dataclass(frozen=True)
class GalleryItem:
    """What one example of the gallery must be like."""

    id: str
    """Names its files, its texts and its recorded run."""
    question: str
    """The text input, a question of the world."""
    image: Drawing | Photograph | None
    """None for an example without an image."""
    audio: Speech | Voice | None
    """None for an example without a sound."""
    truth: str
    """The expected answer, which the places of what is drawn must bear out; "" for any but "nothing"."""
    claims: tuple[Claim, ...]
    """What the example's sentence says, the cheapest to measure first."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the world that are shown and spoken."""
        return (*(self.image.words if self.image else ()), *((self.audio.word,) if self.audio else ()))

    @property
    def is_drawn(self) -> bool:
        """Whether a seed decides anything of it."""
        return isinstance(self.image, Drawing) or isinstance(self.audio, Speech)


IMAGE, AUDIO = Modality.IMAGE, Modality.AUDIO


def _photograph(word: str, *box: float) -> Photograph:
    x0, y0, x1, y1 = box
    return Photograph(f"photographs/{word}.webp", (Thing(word, (x0, y0, x1, y1)),))


GALLERY = (
    GalleryItem(
        "spoken-place", "What is right of the spoken thing?", Drawing(("wolf", "chicken", "rabbit", "fire")),
        Speech("wolf"), "", (Answers(), Needs(IMAGE), Needs(AUDIO)),
    ),
    GalleryItem(
        "name", "What is in the picture?", _photograph("owl", 0.53, 0.2, 0.8, 0.95), Speech("umbrella"), "owl",
        (Answers(), Needs(IMAGE), Idle(AUDIO)),
    ),
    GalleryItem(
        "heard", "Which word was spoken?", Drawing(("snowman", "lion", "fire")), Speech("sandwich"), "sandwich",
        (Answers(), Needs(AUDIO), Idle(IMAGE)),
    ),
    GalleryItem(
        "photo-cup", "Can you see what was said?", _photograph("cup", 0.28, 0.04, 0.71, 0.78), Speech("cup"), "yes",
        (Answers(), Needs(IMAGE), Needs(AUDIO)),
    ),
    GalleryItem(
        "seen", "Is the spoken thing in the picture?", Drawing(("dragon", "crab", "elephant", "rabbit")),
        Speech("dragon"), "yes", (Answers(), Needs(IMAGE), Needs(AUDIO)),
    ),
    GalleryItem(
        "photo-bee", "Which one differs: bee", _photograph("bee", 0.02, 0.28, 0.48, 0.7),
        Voice("voices/bee.wav", "bee", 0.09, 0.64), "none", (Answers(),),
    ),
    GalleryItem(
        "photo-hammer", "Which one differs: hammer", _photograph("hammer", 0.02, 0.06, 1.0, 0.95),
        Voice("voices/star.wav", "star", 0.04, 0.74), "audio", (Answers(),),
    ),
    GalleryItem(
        "mismatch", "Which one differs: whale", Drawing(("snail",)), Speech("snail"), "text", (Answers(),),
    ),
    GalleryItem(
        "voice-star", "What is left of the spoken thing?", Drawing(("star", "violin", "penguin", "key")),
        Voice("voices/star-again.wav", "star", 0.1, 0.76), "", (Answers(), Needs(IMAGE), Needs(AUDIO)),
    ),
    GalleryItem(
        "voice-word", "What was said?", _photograph("cup", 0.28, 0.04, 0.71, 0.78),
        Voice("voices/star.wav", "star", 0.04, 0.74), "star", (Answers(), Needs(AUDIO), Idle(IMAGE)),
    ),
    GalleryItem(
        "there", "Is there a car in the picture?", Drawing(("tent", "book", "shark", "car")), None, "yes",
        (Lacks(AUDIO), Answers(), Needs(IMAGE)),
    ),
    GalleryItem("said", "Did you hear robot?", None, Speech("robot"), "yes", (Lacks(IMAGE), Answers(), Needs(AUDIO))),
    GalleryItem(
        "caption", "A fox right of the tomato.", Drawing(("tomato", "fox", "camel")), Speech("trumpet"), "yes",
        (Answers(), Needs(IMAGE), Idle(AUDIO)),
    ),
    GalleryItem(
        "mask", "A banana and a [MASK].", Drawing(("bell", "banana")), Speech("kite"), "bell",
        (Answers(), Needs(IMAGE), Idle(AUDIO)),
    ),
    GalleryItem(
        "count", "How many things are there?", Drawing(("boomerang", "watermelon", "turtle")), Speech("guitar"), "3",
        (Answers(), Needs(IMAGE), Idle(AUDIO)),
    ),
    GalleryItem(
        "wrong-place", "What is left of the sailboat?",
        Drawing(("watermelon", "lion", "sailboat", "elephant", "snail")), Speech("watermelon"), "", (Fails(),),
    ),
    GalleryItem(
        "wrong-spoken", "What is below the spoken thing?",
        Drawing(("boomerang", "deer", "sailboat", "chair", "sandwich")), Speech("boomerang"), "", (Fails(),),
    ),
)  # fmt: skip
"""In the order in which the page shows them."""
