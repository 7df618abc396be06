"""Candidates for an example of the gallery: image and sound as files, and the truth of the question about them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from mmviz.inputs import make_sample
from mmviz.inputs.mel import SAMPLE_RATE
from mmviz.models.question_templates import read
from mmviz.training.release.gallery_items import Drawing, GalleryItem, Photograph, Speech, Voice
from mmviz.training.world.compose_sound import compose_sound
from mmviz.training.world.questions import is_related, related
from mmviz.training.world.scenes import Thing, compose
from mmviz.training.world.synthesisers import synthesise
from mmviz.training.world.voices import TRAIN_VOICES
from mmviz.types import Sample

SIDE = 480
"""Pixels along one side of a composed image."""
ENGINE, ACCENTS = "espeak-ng", ("en-gb", "en-us")
"""Synthesiser and accents of the synthesised voices."""
Art = Mapping[str, Mapping[str, NDArray[np.uint8]]]
"""Style -> word -> drawing, uint8 ``[side, side, 4]``."""


@dataclass(frozen=True)
class Candidate:
    """The files of an example, and what they hold."""

    image: bytes | None
    """The bytes of the image file; None without an image."""
    things: tuple[Thing, ...]
    """What the image shows, and where."""
    audio: bytes | None
    """The bytes of the sound file; None without a sound."""
    word: str
    """The spoken word; "" without a sound."""
    seconds: tuple[float, float] | None
    """Start and end of the word."""

    def sample(self, question: str) -> Sample:
        """Returns the checked inputs, with ``question`` as the text. Raises ``InputError``."""
        return make_sample(image=self.image, text=question, audio=self.audio)


def compose_candidate(rng: np.random.Generator, item: GalleryItem, art: Art, folder: Path) -> Candidate:
    """Returns a candidate for ``item``, whose photographs and voices are read from ``folder``.

    Raises ``LookupError`` where no style has drawings of all its words.
    """
    image, things = _image(rng, item.image, art, folder)
    audio, seconds = _audio(rng, item.audio, folder)
    return Candidate(image, things, audio, item.audio.word if item.audio else "", seconds)


def _image(
    rng: np.random.Generator, image: Drawing | Photograph | None, art: Art, folder: Path
) -> tuple[bytes | None, tuple[Thing, ...]]:
    if image is None:
        return None, ()
    if isinstance(image, Photograph):
        return (folder / image.file).read_bytes(), image.things
    complete = [style for style in sorted(art) if all(word in art[style] for word in image.words)]
    if not complete:
        raise LookupError(f"no style has drawings of {', '.join(image.words)}")
    drawings = art[complete[int(rng.integers(len(complete)))]]
    scene = compose(rng, image.words, {word: [drawings[word]] for word in image.words}, SIDE, strength=0.25)
    file = io.BytesIO()
    Image.fromarray(scene.pixels).save(file, "WEBP", quality=92, method=6)
    return file.getvalue(), scene.things


def _audio(
    rng: np.random.Generator, audio: Speech | Voice | None, folder: Path
) -> tuple[bytes | None, tuple[float, float] | None]:
    if audio is None:
        return None, None
    if isinstance(audio, Voice):
        return (folder / audio.file).read_bytes(), (audio.start, audio.end)
    voices = [voice for voice in TRAIN_VOICES if voice.engine == ENGINE and voice.accent in ACCENTS]
    voice = voices[int(rng.integers(len(voices)))]
    sound = compose_sound(rng, audio.word, partial(synthesise, voice=voice), strength=0.3)
    file = io.BytesIO()
    soundfile.write(file, sound.wave, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue(), (sound.start, sound.end)


def expected_answer(text: str, things: Sequence[Thing], spoken: str) -> str:
    """Returns the true answer to a question about the things in the image and the spoken word.

    Raises ``ValueError`` for a text that is none of the questions of the world, or whose family does not apply.
    """
    question, names = read(text), [thing.word for thing in things]
    if question is None:
        raise ValueError(f"“{text}” is none of the questions of the world")
    word = (*question.words, spoken)[0]
    match question.family:
        case "name":
            (answer,) = names
        case "heard":
            answer = spoken
        case "there":
            answer = _yes_no(word in names)
        case "said":
            answer = _yes_no(word == spoken)
        case "seen":
            answer = _yes_no(spoken in names)
        case "count":
            answer = str(len(names))
        case "rel" | "relheard":
            nearest = related(things, question.relation, names.index(word))
            answer = names[nearest[0]] if nearest else "nothing"
        case "mask":
            (answer,) = (name for name in names if name != word)
        case "caption":
            at = {thing.word: thing for thing in things}
            first, second = (at.get(word) for word in question.words)
            answer = _yes_no(bool(first and second and is_related(first, question.relation, second)))
        case "odd":
            (shown,) = names
            agree = {"audio": shown == word, "image": spoken == word, "text": shown == spoken}
            answer = "none" if all(agree.values()) else next(part for part, same in agree.items() if same)
        case family:
            raise ValueError(f"no truth is known for the family {family}")
    return answer


def _yes_no(holds: bool) -> str:
    return "yes" if holds else "no"
