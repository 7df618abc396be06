"""The truth of an example as arrays: a label for every patch, frame and text token, and what the answer rests on.

The encoders and the fusion are trained on these labels beside the answers; none is a loss on attention. ``-1`` in an
integer label means "unknown". Axes: P patches (`PATCHES` squared), F frames (50), T text tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mmviz.models.encoders.picture_encoder import PATCHES
from mmviz.models.question_templates import FAMILIES, NEEDS
from mmviz.models.trio_network import FRAMES, MAX_TEXT_TOKENS, SECONDS_PER_FRAME
from mmviz.training.world.questions import Question
from mmviz.training.world.scenes import Scene, Thing

Arrays = dict[str, NDArray[Any]]
_MIN_COVER, _MAX_GROUND_COVER = 0.2, 0.04
"""Share of a patch that a thing must cover to label it, and up to which the patch counts as ground."""


def patch_things(scene: Scene) -> NDArray[np.int64]:
    """Returns the index of the thing that each patch shows, ``[P]``; -1 ground, -2 undecided."""
    cover = scene.cover
    shares = (_patch_means(cover == k) for k in range(1, len(scene.things) + 1))
    share = np.stack([means.ravel() for means in shares])
    best, most = share.argmax(0), share.max(0)
    thing_index = np.where(most >= _MIN_COVER, best, np.where(most > _MAX_GROUND_COVER, -2, -1))
    for k in range(len(share)):
        if not (thing_index == k).any():
            thing_index[share[k].argmax()] = k
    return thing_index.astype(np.int64)


def _patch_means(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Returns the share of each patch that ``mask`` ``[side, side]`` covers, ``[PATCHES, PATCHES]``."""
    edges = np.round(np.linspace(0, len(mask), PATCHES + 1)).astype(int)
    sums = np.add.reduceat(np.add.reduceat(mask, edges[:-1], axis=0, dtype=np.int32), edges[:-1], axis=1)
    return np.asarray(sums / np.outer(np.diff(edges), np.diff(edges)))


def frame_labels(word: str, start: float, end: float, frames: int, word_index: Mapping[str, int]) -> Arrays:
    """Returns ``frame_word`` ``[F]`` and ``frame_spoken`` bool ``[F]`` of a word spoken from ``start`` to ``end``, in
    seconds, in a sound of ``frames`` frames."""
    middle = (np.arange(FRAMES) + 0.5) * SECONDS_PER_FRAME
    spoken = (middle >= start) & (middle <= end)
    near = (middle >= start - SECONDS_PER_FRAME) & (middle <= end + SECONDS_PER_FRAME)
    labels = np.where(spoken, word_index[word], np.where(near, -1, word_index["[GROUND]"]))
    labels[frames:] = -1
    return {"frames": np.array(frames), "frame_word": labels, "frame_spoken": spoken}


def patch_labels(things: Sequence[Thing], thing_index: NDArray[np.int64], word_index: Mapping[str, int]) -> Arrays:
    """Returns ``patch_word`` and ``patch_centre`` ``[P]``, ``patch_offset`` ``[P, 2]``, ``patch_thing`` ``[P]``.

    ``thing_index``: see `patch_things`. An offset leads from the patch to the centre of its thing, in sides of the
    image; a centre patch contains it.
    """
    index = np.array([word_index[thing.word] for thing in things] + [-1, word_index["[GROUND]"]])
    centres = np.array([thing.centre for thing in things])
    line = (np.arange(PATCHES) + 0.5) / PATCHES
    positions = np.stack(np.meshgrid(line, line, indexing="xy"), axis=-1).reshape(-1, 2)
    offset = np.where((thing_index >= 0)[:, None], centres[np.maximum(thing_index, 0)] - positions, 0).astype(
        np.float32
    )
    centre = np.zeros(PATCHES**2, np.int64)
    cell = np.clip((centres * PATCHES).astype(int), 0, PATCHES - 1)
    centre[cell[:, 1] * PATCHES + cell[:, 0]] = 1
    return {
        "patch_word": index[thing_index], "patch_offset": offset, "patch_centre": centre, "patch_thing": thing_index,
    }  # fmt: skip


def question_arrays(
    things: Sequence[Thing], spoken: str, question: Question, scene: Arrays, tokenizer: Tokenizer,
    answer_index: Mapping[str, int],
    concept_ids: Mapping[int, str], has: tuple[bool, bool, bool],
) -> Arrays:  # fmt: skip
    """Returns text, answer and token labels of a question about ``things`` and the word ``spoken``.

    ``scene``: `patch_labels` and `frame_labels`; ``has``: whether image, text and audio are present.
    """
    has_image, has_text, has_audio = has
    ids = tokenizer.encode(question.text).ids[:MAX_TEXT_TOKENS]
    text = np.zeros(MAX_TEXT_TOKENS, np.int64)
    text[: len(ids)] = ids
    thing_index = scene["patch_thing"]
    centres = {thing.word: thing.centre for thing in things}
    word_image, word_audio = (np.full(MAX_TEXT_TOKENS, -1, np.int64) for _ in range(2))
    word_position = np.full((MAX_TEXT_TOKENS, 2), -1, np.float32)
    for position, token_id in enumerate(ids):
        word = concept_ids.get(token_id)
        if word is None or not has_text:
            continue
        if has_image:
            word_image[position] = word in centres
            word_position[position] = centres.get(word, (-1, -1))
        if has_audio:
            word_audio[position] = word == spoken
    sounding = scene["frame_spoken"] & (np.arange(FRAMES) < scene["frames"])
    both = has_image and has_audio
    frame_image = np.where(sounding & both, spoken in centres, -1)
    frame_position = np.where((sounding & both)[:, None], np.array(centres.get(spoken, (-1, -1))), -1).astype(
        np.float32
    )
    decided = (thing_index != -2) & has_image
    known = decided & has_text & (has_audio or "audio" not in NEEDS[question.family])

    def on_patches(chosen: tuple[int, ...], known: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.where(known, np.isin(thing_index, chosen), -1)

    spoken_things = tuple(k for k, thing in enumerate(things) if thing.word == spoken)
    named_things = tuple(k for k, thing in enumerate(things) if thing.word in question.words)
    candidates = question.candidates
    return {
        "text": text, "text_lengths": np.array(len(ids)), "answer": np.array(answer_index.get(question.answer, -1)),
        "family": np.array(FAMILIES.index(question.family)),
        "has_image": np.array(has_image), "has_text": np.array(has_text), "has_audio": np.array(has_audio),
        "word_image": word_image, "word_audio": word_audio, "word_position": word_position,
        "frame_image": frame_image, "frame_position": frame_position,
        "patch_spoken": on_patches(spoken_things, decided & has_audio),
        "patch_named": on_patches(named_things, decided & has_text),
        "patch_candidate": on_patches(candidates or (), known & (candidates is not None)),
        "patch_evidence": on_patches(question.things, known),
        "frame_evidence": np.where(
            (np.arange(FRAMES) < scene["frames"]) & has_audio & has_text, sounding & question.sound, -1
        ),
    }  # fmt: skip
