"""The gallery of the page: trios that the model never trained on, drawn larger, some of which it gets wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from mmviz.assets_path import assets_dir
from mmviz.backends import Backend
from mmviz.backends.local import LocalBackend
from mmviz.inputs import make_sample
from mmviz.models.question_templates import NEEDS
from mmviz.training.release.record_gallery import record_gallery
from mmviz.training.world.examples import World
from mmviz.training.world.questions import Question
from mmviz.training.world.scenes import Scene, compose
from mmviz.training.world.sounds import Sound, compose_sound
from mmviz.training.world.speech import default_cache, open_or_build
from mmviz.training.world.sprites import INK, concepts, fit, styles
from mmviz.types import Request

SIDE = 480
DRAWING = 384
"""Pixels of a picture's side, and of a drawing before it is placed."""
VOICES = ("en-gb", "en-us")


@dataclass(frozen=True)
class Wanted:
    """One trio of the gallery: what it must be for the page to show it. ``right``: whether the model answers it;
    ``says``: a part of the wording."""

    id: str
    title: str
    about: str
    family: str
    things: int
    right: bool = True
    answers: tuple[str, ...] = ()
    says: str = ""
    image: bool = True
    audio: bool = True


GALLERY = (
    Wanted("spoken-place", "A place by voice", "Needs the picture and the voice.", "relheard", 4),
    Wanted("heard", "The voice alone", "The picture is a distraction; the answer is in the sound.", "heard", 3),
    Wanted("name", "The picture alone", "The sound is a distraction; the answer is in the picture.", "name", 1),
    Wanted("seen", "Picture and voice", "Is what you hear also to be seen?", "seen", 4, answers=("yes",)),
    Wanted("mismatch", "One does not match", "Two of picture, text and sound agree; which one differs?", "odd", 1,
           answers=("image", "text", "audio"), says="which"),
    Wanted("there", "No sound", "A question about the picture, with no sound at all.", "there", 4, answers=("yes",),
           audio=False),
    Wanted("said", "No picture", "A question about the sound, with no picture at all.", "said", 3, answers=("yes",),
           image=False),
    Wanted("caption", "A caption to check", "Both things are there; is the relation true?", "caption", 3,
           answers=("yes",)),
    Wanted("mask", "A word to fill in", "One of two things is named; what is the other?", "mask", 2),
    Wanted("count", "Things to count", "How many things are in the picture?", "count", 3),
    Wanted("wrong-place", "A place, five things", "A crowded picture, in which the model often errs.", "rel", 5,
           right=False),
    Wanted("wrong-spoken", "A voice, five things", "A crowded picture and a voice, where the model often errs.",
           "relheard", 5, right=False),
)  # fmt: skip


def drawings(node_modules: Path) -> dict[str, dict[str, NDArray[np.uint8]]]:
    """Style -> word -> drawing, uint8 ``[384, 384, 4]``, cut to what is visible and centred."""
    with tempfile.TemporaryDirectory() as folder:
        script, words = Path(__file__).parent.parent.joinpath("world", "sprites.mjs"), assets_dir() / "concepts.tsv"
        subprocess.run(["node", script, node_modules, words, folder, str(DRAWING)], check=True)
        return {
            style: {path.stem: _cut(path) for path in sorted((Path(folder) / style).glob("*.png"))}
            for style in styles()
            if style not in INK
        }


def _cut(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(fit(image, DRAWING))


def draw(
    rng: np.random.Generator, wanted: Wanted, world: World, art: Mapping[str, Mapping[str, NDArray[np.uint8]]]
) -> tuple[Scene, Sound, Question] | None:
    """One candidate; None where chance gave something else than is wanted."""
    style = str(rng.choice(list(art)))
    names = [str(word) for word in rng.choice(list(art[style]), wanted.things, replace=False)]
    spoken = names[0] if rng.random() < 0.5 else str(rng.choice(concepts()))
    scene = compose(rng, names, {word: [art[style][word]] for word in names}, SIDE, strength=0.25)
    voice = str(rng.choice([name for name in world.bank.voices if name.startswith(VOICES)]))
    sound = compose_sound(rng, spoken, lambda text: world.bank.clip(voice, text), strength=0.3)
    if not world.answer_query.can_ask(wanted.family, scene.things, spoken):
        return None
    question = world.answer_query.ask(rng, wanted.family, scene.things, spoken)
    if (wanted.answers and question.answer not in wanted.answers) or question.answer == "nothing":
        return None
    if wanted.says not in question.text.lower() or question.text.isupper():
        return None
    return scene, sound, question


def build(node_modules: Path, folder: Path, backend: Backend, seed: int = 40_000) -> None:
    """Fill ``folder`` with the gallery: pictures, sounds, ``gallery.json`` and the recorded runs."""
    folder.mkdir(parents=True, exist_ok=True)
    art = drawings(node_modules)
    world = World(styles(), open_or_build(default_cache(), "train", concepts()))
    entries = []
    for number, wanted in enumerate(GALLERY):
        rng = np.random.default_rng([seed, number])
        while True:
            found = draw(rng, wanted, world, art)
            if found is None:
                continue
            scene, sound, question = found
            sample = make_sample(
                image=scene.pixels if wanted.image else None, text=question.text,
                audio=(sound.wave, 16_000) if wanted.audio else None,
            )  # fmt: skip
            (record,) = backend.run([Request("trio", sample)])
            if (record.answers[0].label == question.answer) == wanted.right:
                break
        entries.append(_write(folder, wanted, scene, sound, question))
    (folder / "gallery.json").write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    record_gallery(folder, backend)


def _write(folder: Path, wanted: Wanted, scene: Scene, sound: Sound, question: Question) -> dict[str, object]:
    image, audio = (
        f"{wanted.id}.{kind}" if has else None for kind, has in (("webp", wanted.image), ("wav", wanted.audio))
    )
    if image:
        Image.fromarray(scene.pixels).save(folder / image, quality=92, method=6)
    if audio:
        soundfile.write(folder / audio, sound.wave, 16_000, subtype="PCM_16")
    return {
        "id": wanted.id, "title": wanted.title, "about": wanted.about, "family": wanted.family,
        "question": question.text, "image": image, "audio": audio, "truth": question.answer,
        "needs": list(NEEDS[wanted.family]),
        "spoken": {"word": sound.word, "seconds": [sound.start, sound.end]} if wanted.audio else None,
        "things": [
            {"word": thing.word, "box": [edge * SIDE for edge in thing.box]} for thing in scene.things if wanted.image
        ],
    }  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """``python -m mmviz.training.release.gallery NODE_MODULES``: make the gallery of the assets anew."""
    build(Path(arguments[0]), assets_dir() / "gallery", LocalBackend())


if __name__ == "__main__":
    main(sys.argv[1:])
