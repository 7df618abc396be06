"""The gallery of the page: examples that the model was not trained on, drawn larger, some with a wrong answer."""

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
from mmviz.training.world.compose_sound import Sound, compose_sound
from mmviz.training.world.examples import World
from mmviz.training.world.questions import Question
from mmviz.training.world.scenes import Scene, compose
from mmviz.training.world.speech_bank import default_cache, open_or_build
from mmviz.training.world.sprites import INK, concepts, fit, styles
from mmviz.types import Request

SIDE = 480
DRAWING = 384
"""Pixels along one side of an image, and of a drawing before it is placed."""
VOICES = ("en-gb", "en-us")


@dataclass(frozen=True)
class GalleryItem:
    """What one example of the gallery must be like."""

    id: str
    title: str
    about: str
    family: str
    things: int
    correct: bool = True
    """Whether the model answers it correctly."""
    answers: tuple[str, ...] = ()
    """Possible answers; any if empty."""
    phrase: str = ""
    """Part of the question."""
    image: bool = True
    audio: bool = True


GALLERY = (
    GalleryItem("spoken-place", "A place by voice", "Needs the picture and the sound.", "relheard", 4),
    GalleryItem("heard", "The sound alone", "The picture is a distraction; the answer is in the sound.", "heard", 3),
    GalleryItem("name", "The picture alone", "The sound is a distraction; the answer is in the picture.", "name", 1),
    GalleryItem("seen", "Picture and sound", "Is the spoken thing in the picture?", "seen", 4, answers=("yes",)),
    GalleryItem("mismatch", "One does not match", "Two of picture, text and sound agree; which one differs?", "odd", 1,
                answers=("image", "text", "audio"), phrase="which"),
    GalleryItem("there", "No sound", "A question about the picture, with no sound at all.", "there", 4,
                answers=("yes",), audio=False),
    GalleryItem("said", "No picture", "A question about the sound, with no picture at all.", "said", 3,
                answers=("yes",), image=False),
    GalleryItem("caption", "A caption to check", "Both things are in the picture; does the relation hold?", "caption",
                3, answers=("yes",)),
    GalleryItem("mask", "A word to fill in", "One of two things is named; what is the other?", "mask", 2),
    GalleryItem("count", "Things to count", "How many things are in the picture?", "count", 3),
    GalleryItem("wrong-place", "A place, five things", "A crowded picture, which the model often gets wrong.", "rel", 5,
                correct=False),
    GalleryItem("wrong-spoken", "A voice, five things",
                "A crowded picture and a spoken word; the model is often wrong.", "relheard", 5, correct=False),
)  # fmt: skip


def drawings(node_modules: Path) -> dict[str, dict[str, NDArray[np.uint8]]]:
    """Returns style -> word -> drawing, uint8 ``[384, 384, 4]``, cropped to the drawn pixels and centred."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(__file__).parent.parent / "world" / "render_sprites.mjs"
        words = assets_dir() / "concepts.tsv"
        subprocess.run(["node", script, node_modules, words, folder, str(DRAWING)], check=True)
        return {
            style: {path.stem: _cropped(path) for path in sorted((Path(folder) / style).glob("*.png"))}
            for style in styles()
            if style not in INK
        }


def _cropped(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(fit(image, DRAWING))


def draw(
    rng: np.random.Generator, item: GalleryItem, world: World, art: Mapping[str, Mapping[str, NDArray[np.uint8]]]
) -> tuple[Scene, Sound, Question] | None:
    """Returns one candidate; None where it does not fit ``item``."""
    style = str(rng.choice(list(art)))
    names = [str(word) for word in rng.choice(list(art[style]), item.things, replace=False)]
    spoken = names[0] if rng.random() < 0.5 else str(rng.choice(concepts()))
    scene = compose(rng, names, {word: [art[style][word]] for word in names}, SIDE, strength=0.25)
    voice = str(rng.choice([name for name in world.bank.voices if name.startswith(VOICES)]))
    sound = compose_sound(rng, spoken, lambda text: world.bank.clip(voice, text), strength=0.3)
    if not world.questions.applies(item.family, scene.things, spoken):
        return None
    question = world.questions.generate(rng, item.family, scene.things, spoken)
    if (item.answers and question.answer not in item.answers) or question.answer == "nothing":
        return None
    if item.phrase not in question.text.lower() or question.text.isupper():
        return None
    return scene, sound, question


def build(node_modules: Path, folder: Path, backend: Backend, seed: int = 40_000) -> None:
    """Fills ``folder`` with the gallery: images, sounds, ``gallery.json`` and the recorded runs."""
    folder.mkdir(parents=True, exist_ok=True)
    art = drawings(node_modules)
    world = World(styles(), open_or_build(default_cache(), "train", concepts()))
    entries = []
    for number, item in enumerate(GALLERY):
        rng = np.random.default_rng([seed, number])
        while True:
            candidate = draw(rng, item, world, art)
            if candidate is None:
                continue
            scene, sound, question = candidate
            sample = make_sample(
                image=scene.pixels if item.image else None, text=question.text,
                audio=(sound.wave, 16_000) if item.audio else None,
            )  # fmt: skip
            (record,) = backend.run([Request("trio", sample)])
            if (record.answers[0].label == question.answer) == item.correct:
                break
        entries.append(_write(folder, item, scene, sound, question))
    (folder / "gallery.json").write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    record_gallery(folder, backend)


def _write(folder: Path, item: GalleryItem, scene: Scene, sound: Sound, question: Question) -> dict[str, object]:
    image, audio = (f"{item.id}.{kind}" if has else None for kind, has in (("webp", item.image), ("wav", item.audio)))
    if image:
        Image.fromarray(scene.pixels).save(folder / image, quality=92, method=6)
    if audio:
        soundfile.write(folder / audio, sound.wave, 16_000, subtype="PCM_16")
    return {
        "id": item.id, "title": item.title, "about": item.about, "family": item.family,
        "question": question.text, "image": image, "audio": audio, "truth": question.answer,
        "needs": list(NEEDS[item.family]),
        "spoken": {"word": sound.word, "seconds": [sound.start, sound.end]} if item.audio else None,
        "things": [
            {"word": thing.word, "box": [edge * SIDE for edge in thing.box]} for thing in scene.things if item.image
        ],
    }  # fmt: skip


def main(arguments: Sequence[str]) -> None:
    """Runs ``python -m mmviz.training.release.build_gallery NODE_MODULES``, which makes the gallery of the assets."""
    build(Path(arguments[0]), assets_dir() / "gallery", LocalBackend())


if __name__ == "__main__":
    main(sys.argv[1:])
