"""Exports trained weights, tokenizer and card into the assets.

``python -m mmviz.training.release.export WEIGHTS``; ``mmviz evaluate --choose --card`` then chooses the maps.
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
from mmviz.training.fit.checkpoints import trained_scenes
from mmviz.training.world.sprites import concepts
from mmviz.training.world.tokenizer import answers, build_tokenizer

TRAINING = (
    "By `mmviz train` on two CPU cores, about three hours: features of the frozen encoders are computed once; the "
    "projections into the common space on 36,032 pairs of a picture and a sound, then all but the encoders on 60,000 "
    "pairs of four questions each, on half of the patches and two thirds of the frames, then on 84,400 pairs with all "
    "of them, in the last 32,000 of which the classifier sees half of the pictures as photographs. The fusion and the "
    "vectors of 148 words start from those of the former trio. The weights are a running average along the way."
)
CARD: dict[str, Any] = {
    "about": (
        "A small fusion transformer over two frozen encoders: EfficientNet-Lite0, which learned from photographs, and "
        "the encoder of Whisper tiny.en, which learned from people's speech. Trained on drawn scenes, synthetic speech "
        "and questions about them, it knows 190 words and 11 kinds of question, on photographs and voices as well."
    ),
    "data": (
        "19,600 scenes of one to five drawings in 19 styles (emoji in colour, as lines and in three dimensions, clip "
        "art, rendered models; fxemoji held out), warped, recoloured, posterised and outlined, with shadows, uneven "
        "light and JPEG, on plain, gradient, textured and 27 photographic grounds (10 more held out); a third of the "
        "things that have ImageNet classes are moved along the directions of these classes in the encoder's features. "
        "24,000 sounds of one word, alone or in a phrase, by 180 voices of espeak-ng, Festival, Piper and Kokoro (5 "
        "held out), in rooms, by telephone, with hum, noise, music or a second voice. Questions in 11 families with "
        "balanced answers pair them. Each modality is dropped in 15 % of the questions. No photograph of a thing and "
        "no person's voice."
    ),
    "training": TRAINING,
    "tried": [
        "Frozen encoders instead of encoders trained on the same drawings from scratch: those named 0.10 of "
        "photographs on plain ground and 0.46 of the words that people speak.",
        "Half of the patches and two thirds of the frames, fused attention and compiled layers: twice as many pairs "
        "in the same time. On all tokens such weights miscount (0.30 right, of 0.90 on as many tokens as in training), "
        "which the last stage, on all tokens, mends.",
        "What the classifier says patch by patch, changed in half of the pictures as photographs have it: sure of the "
        "word in a part of the thing, of another word elsewhere, beside features that tell nothing. Before, the "
        "projections told a photographed cat (13 patches said cat), and the answer rested on one patch that said "
        "glasses: photographs on plain ground 0.44 of 168, among the first five 0.76.",
        "Query and key matrices that start equal in the first three layers: without it, what is seen, heard and read "
        "did not meet within the first 3,000 scenes.",
        "Words that are spoken without a look at the picture where a question needs one of the two alone: before, half "
        "of them named a thing in the picture, and the model used the one to guess the other.",
    ],
    "licences": (
        "Weights: MIT. Frozen encoders: EfficientNet-Lite0 (Apache-2.0) and Whisper tiny.en (MIT), see "
        "assets/encoders/LICENSES.md. Drawings and photographs it saw: see assets/sprites/LICENSES.md and "
        "assets/grounds/LICENSES.md. Voices it heard: espeak-ng, Festival (kdlpc16k), Piper joe (CC0), Kokoro-82M "
        "(Apache-2.0)."
    ),
    "losses": [
        "the answer (cross-entropy over 202 answers)",
        "projections: the word that a patch shows, that a frame speaks; offset of a patch to the middle of its thing; "
        "whether it holds that middle",
        "after layer 2: is a named word in the picture, in the sound, and where; is the spoken word in the picture, "
        "and where; is a patch's thing named, is it spoken",
        "after layer 4: does a patch's thing stand in the relation asked for",
        "after layer 5: does the answer rest on this patch, on this frame",
        "none on attention weights, rollout or relevance",
    ],
    "limits": [
        "It answers every input, also those it cannot know. Most pictures, sounds and questions unlike its world are "
        "flagged; docs/model-card.md has the table.",
        "It sees pictures at 384 x 384 pixels, in 12 x 12 patches, and reads 4 seconds of sound and 24 word pieces of "
        "text. A patch token sees far more of the picture than its patch.",
        "English words. Of 190 words, 132 have a class of ImageNet; the others it has seen drawn alone.",
    ],
}


def export(weights: Path, folder: Path) -> None:
    """Writes ``weights.safetensors`` (half precision), ``tokenizer.json`` and ``card.json`` into ``folder``.

    Figures measured on other weights are dropped, and so are the maps that were chosen by them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file(load_file(weights), folder / "weights.safetensors")
    build_tokenizer(concepts()).save(str(folder / "tokenizer.json"))
    digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    details = {
        "scenes": trained_scenes(weights),
        "sha256": digest,
        "answers": list(answers(concepts())),
    }
    _write(folder, {**CARD, **details})


def add_choice(folder: Path, choice: dict[str, Any]) -> None:
    """Writes the maps that ``mmviz evaluate --choose`` chose into the card in ``folder``, with their ranking."""
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    chosen = {name: choice[name] for name in ("map_ref", "depends_on")}
    _write(folder, {**card, **chosen, "faithfulness": choice})


def add_measured(folder: Path, measured: dict[str, Any]) -> None:
    """Adds the figures of ``mmviz evaluate`` to the card in ``folder``.

    Where the real world was not measured, its figures in the card stay: they are of the same weights.
    """
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    kept = {name: figures for name, figures in card.get("measured", {}).items() if name == "real"}
    add_to_card(folder, "measured", {**kept, **measured})


def add_to_card(folder: Path, name: str, figures: dict[str, Any]) -> None:
    """Writes an entry of the card in ``folder``."""
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    _write(folder, {**card, name: figures})


def _write(folder: Path, card: dict[str, Any]) -> None:
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    """Exports weights into the assets."""
    export(Path(arguments[0]), assets_dir() / "trio")


if __name__ == "__main__":
    main(sys.argv[1:])
