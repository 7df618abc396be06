"""Builds the gallery of the page: each example as declared, with scenes drawn until everything claimed of it holds."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmviz.assets_path import assets_dir
from mmviz.backends import Backend
from mmviz.backends.local import LocalBackend
from mmviz.models.question_templates import NEEDS, known_words, read
from mmviz.training.release.gallery_checks import MeasuredExample, check
from mmviz.training.release.gallery_items import GALLERY, Drawing, GalleryItem, Speech
from mmviz.training.release.gallery_lesson_checks import lesson_claims
from mmviz.training.release.gallery_scenes import Art, Candidate, compose_candidate, expected_answer
from mmviz.training.release.record_gallery import record_gallery
from mmviz.training.world.sprites import INK, fit, styles

DRAWING = 384
"""Pixels along one side of a drawing before it is placed."""
ATTEMPTS = 1_000
"""Scenes drawn for one example, at most."""


@dataclass(frozen=True)
class Chosen:
    """A candidate of which everything claimed holds."""

    candidate: Candidate
    """Its image and sound, as files."""
    truth: str
    """The true answer to its question."""
    figures: tuple[str, ...]
    """What was measured, a figure for each claim."""


class Refusal(Exception):
    """An example does not bear out what is claimed of it; the message names both, with the figure."""


def drawings(art_folder: Path) -> dict[str, dict[str, NDArray[np.uint8]]]:
    """Returns style -> word -> drawing, uint8 ``[384, 384, 4]``, cropped to the drawn pixels and centred."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(__file__).parent.parent / "world" / "render_sprites.mjs"
        words = assets_dir() / "concepts.tsv"
        subprocess.run(["node", script, art_folder, words, folder, str(DRAWING)], check=True)
        return {
            style: {path.stem: _cropped(path) for path in sorted((Path(folder) / style).glob("*.png"))}
            for style in styles()
            if style not in INK
        }


def _cropped(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(fit(image, DRAWING))


def choose(item: GalleryItem, art: Art, folder: Path, backend: Backend, attempts: int = ATTEMPTS) -> Chosen:
    """Returns the first candidate that fits ``item``, its claims, and what the lessons claim of it.

    Photographs and voices are read from ``folder``. Raises ``Refusal`` where there is none among ``attempts``.
    """
    unknown = sorted({*item.words} - {*known_words()})
    if unknown:
        raise Refusal(f"{item.id}: the word list lacks {', '.join(unknown)}")
    claims = (*item.claims, *lesson_claims(item.id))
    attempts = attempts if item.is_drawn else 1
    problems: dict[str, tuple[int, str]] = {}
    for seed in range(attempts):
        rng = np.random.default_rng([seed, zlib.crc32(item.id.encode())])
        candidate = compose_candidate(rng, item, art, folder)
        truth = expected_answer(item.question, candidate.things, candidate.word)
        if truth != item.truth and (item.truth or truth == "nothing"):
            _count(problems, "truth", f"the expected answer is {truth}, not {item.truth or 'a thing'}")
            continue
        example = MeasuredExample(backend, candidate.sample(item.question), truth, candidate.things)
        verdicts = check(example, claims)
        if all(verdict.holds for verdict in verdicts):
            return Chosen(candidate, truth, tuple(verdict.figure for verdict in verdicts))
        _count(problems, str(claims[len(verdicts) - 1]), verdicts[-1].figure)
    reasons = "; ".join(f"{claim} failed in {count}, such as: {figure}" for claim, (count, figure) in problems.items())
    raise Refusal(f"{item.id}: none of {attempts} candidates fits: {reasons}")


def _count(problems: dict[str, tuple[int, str]], claim: str, figure: str) -> None:
    """Counts another candidate that fails by ``claim``, and keeps its figure."""
    problems[claim] = (problems.get(claim, (0, ""))[0] + 1, figure)


def build(
    art: Art, folder: Path, backend: Backend, items: Sequence[GalleryItem] = GALLERY, attempts: int = ATTEMPTS
) -> None:  # fmt: skip
    """Fills ``folder`` with the gallery: images, sounds, ``gallery.json`` and the recorded runs.

    Nothing is written unless every example bears out its claims in one of ``attempts`` candidates. Raises ``Refusal``
    with all that do not.
    """
    chosen: dict[str, Chosen] = {}
    refusals = []
    for item in items:
        try:
            chosen[item.id] = choose(item, art, folder, backend, attempts)
            print(f"{item.id}: {'; '.join(chosen[item.id].figures)}", flush=True)
        except Refusal as refusal:
            refusals.append(str(refusal))
            print(refusal, flush=True)
    if refusals:
        raise Refusal("\n".join(refusals))
    for path in (*folder.glob("*.webp"), *folder.glob("*.wav")):
        path.unlink()
    entries = [_write(folder, item, chosen[item.id]) for item in items]
    (folder / "gallery.json").write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    record_gallery(folder, backend)


def _write(folder: Path, item: GalleryItem, chosen: Chosen) -> dict[str, object]:
    """Writes the files of an example that are not those of a photograph or a voice. Returns its entry."""
    candidate, image, audio = chosen.candidate, item.image, item.audio
    if isinstance(image, Drawing) and candidate.image:
        (folder / f"{item.id}.webp").write_bytes(candidate.image)
    if isinstance(audio, Speech) and candidate.audio:
        (folder / f"{item.id}.wav").write_bytes(candidate.audio)
    family = read(item.question)
    assert family is not None  # its truth is known
    sides = _size(candidate.image) * 2  # of the edges x0, y0, x1, y1
    return {
        "id": item.id, "family": family.family, "question": item.question,
        "image": f"{item.id}.webp" if isinstance(image, Drawing) else image and image.file,
        "audio": f"{item.id}.wav" if isinstance(audio, Speech) else audio and audio.file,
        "truth": chosen.truth, "needs": list(NEEDS[family.family]),
        "spoken": {"word": candidate.word, "seconds": list(candidate.seconds)} if candidate.seconds else None,
        "things": [
            {"word": thing.word, "box": [edge * side for edge, side in zip(thing.box, sides, strict=True)]}
            for thing in candidate.things
        ],
        "measured": list(chosen.figures),
    }  # fmt: skip


def _size(image: bytes | None) -> tuple[int, int]:
    """Returns width and height of an image file in pixels, 0 without one."""
    if image is None:
        return 0, 0
    with Image.open(BytesIO(image)) as opened:
        return opened.width, opened.height


def main(arguments: Sequence[str]) -> None:
    """Runs ``python -m mmviz.training.release.build_gallery ART_FOLDER``, which makes the gallery of the assets.

    ``ART_FOLDER``: the ``node_modules`` with the emoji packages (`mmviz.training.world.build_sprites`).
    """
    try:
        build(drawings(Path(arguments[0])), assets_dir() / "gallery", LocalBackend())
    except Refusal as refusal:
        sys.exit(str(refusal))


if __name__ == "__main__":
    main(sys.argv[1:])
