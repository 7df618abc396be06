"""Exports trained weights, tokenizer and card into the assets.

``python -m mmviz.training.release.export WEIGHTS MAP``, where MAP is the default map, such as ``rollout``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from mmviz.assets_path import assets_dir
from mmviz.training.fit.train import trained_scenes
from mmviz.training.world.sprites import concepts
from mmviz.training.world.tokenizer import answers, build_tokenizer

CARD: dict[str, Any] = {
    "about": (
        "A small fusion transformer trained from scratch on drawn scenes, synthetic speech and questions about them. "
        "It knows 148 words and 11 kinds of question, and nothing else: photos and free speech are out of distribution."
    ),
    "data": (
        "Scenes of one to five drawings (seven emoji sets in colour and three of line drawings, which are given "
        "colours as they are drawn; another set, fxemoji, held out), warped, recoloured, posterised and outlined, on "
        "plain, gradient or textured grounds; one word spoken by espeak-ng (165 voices; accent en-029, variants f4 "
        "and m7 held out), alone or in a phrase, with noise, rooms and second sounds; questions "
        "in 11 families with balanced answers. Each modality is dropped in 15 % of the questions. Everything is drawn "
        "as training goes."
    ),
    "training": (
        "By `mmviz train` on two CPU cores, about three hours: the encoders alone on 46,208 scenes, then everything on "
        "92,000 scenes of four questions each, then, from these weights, everything on 54,000 more, now with the line "
        "drawings and the stronger variation of drawings (`--stage whole --weights FILE --scenes 0 54000 --seed 2`), "
        "then on 10,800 more in which what is spoken no longer gives away a picture that is asked for alone, nor the "
        "other way round (`--scenes 0 10800 --rate 4e-4 --seed 3`; the plan was 13,000, shortened at 7,600). "
        "The weights are a running average along the way."
    ),
    "tried": [
        "Query and key matrices that start equal in the first three layers: without it, what is seen, heard and read "
        "did not meet within the first 3,000 scenes.",
        "Line drawings, warping, posterising and outlines, 54,000 scenes: on held-out art drawn with the same "
        "variation, right answers went from 0.81 to 0.83 (caption 0.83 to 0.90, odd 0.90 to 0.94, name 0.69 to 0.69, "
        "relheard 0.55 to 0.53), and maps of shuffled weights resemble the trained ones less (0.20 to 0.19).",
        "Words that are spoken without a look at the picture where a question needs one of the two alone, 10,800 "
        "scenes. Before, half of them named a thing in the picture, and the model used the one to guess the other: the "
        "sound had the smallest share of the effect, below 0.15, in 0.47 of the trios of name, 0.63 of mask, 0.73 of "
        "rel (60 each). On trios of the new kind these weights went from 0.88 to 0.96 (name), 0.90 to 0.94 (mask), and "
        "the picture in heard from 0.82 to 0.88 (50 each), with as many right answers as before (0.911, 440 trios).",
    ],
    "licences": "Weights: MIT. Drawings: Apache-2.0, MIT, CC-BY-4.0, OFL-1.1, see assets/sprites/LICENSES.md.",
    "losses": [
        "the answer (cross-entropy over 160 answers)",
        "encoders: the word that a patch shows, that a frame speaks; offset of a patch to the middle of its thing; "
        "whether it holds that middle",
        "after layer 2: is a named word in the picture, in the sound, and where; is the spoken word in the picture, "
        "and where; is a patch's thing named, is it spoken",
        "after layer 4: does a patch's thing stand in the relation asked for",
        "after layer 5: does the answer rest on this patch, on this frame",
        "none on attention weights, rollout or relevance",
    ],
    "limits": [
        "It answers every input, also those it cannot know. Most pictures, sounds and questions unlike its world are "
        "flagged; the README has the table.",
        "It sees pictures at 160 x 160 pixels, and reads 4 seconds of sound and 24 word pieces of text.",
        "Synthetic English voices of one engine only.",
    ],
}


def export(weights: Path, folder: Path, map_ref: str) -> None:
    """Writes ``weights.safetensors`` (half precision), ``tokenizer.json`` and ``card.json`` into ``folder``.

    ``map_ref``: text form of the `mmviz.types.MapRef` that the page shows first, chosen on a seed of its own. Figures
    measured on other weights are dropped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file(load_file(weights), folder / "weights.safetensors")
    build_tokenizer(concepts()).save(str(folder / "tokenizer.json"))
    digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    details = {
        "map_ref": map_ref,
        "scenes": trained_scenes(weights),
        "sha256": digest,
        "answers": list(answers(concepts())),
    }
    _write(folder, {**CARD, **details})


def add_measured(folder: Path, measured: dict[str, Any]) -> None:
    """Adds the figures of ``mmviz evaluate`` to the card in ``folder``.

    Where the real world was not measured, its figures in the card stay: they are of the same weights.
    """
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    kept = {name: figures for name, figures in card.get("measured", {}).items() if name == "real"}
    _write(folder, {**card, "measured": {**kept, **measured}})


def _write(folder: Path, card: dict[str, Any]) -> None:
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    """Exports weights with the map that ``mmviz evaluate --choose`` ranks first."""
    export(Path(arguments[0]), assets_dir() / "trio", arguments[1])


if __name__ == "__main__":
    main(sys.argv[1:])
