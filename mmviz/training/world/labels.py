"""The truth of a trio as arrays: what every patch, frame and word piece is, and what the answer rests on.

Losses on these labels are what the encoders and the fusion learn from beside the answers; none touches attention.
``-1`` in an integer label means "not judged".  Axes: P patches (100), F frames (50), T word pieces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mmviz.inputs.mel import fitted_log_mel
from mmviz.models.question_templates import FAMILIES, NEEDS
from mmviz.models.trio import FRAMES, HOPS_PER_FRAME, MAX_TEXT_TOKENS, PATCHES, SECONDS_PER_FRAME
from mmviz.training.world.examples import TrainingExample
from mmviz.training.world.questions import Question

Arrays = dict[str, NDArray[Any]]
_CLEARLY, _BARELY = 0.2, 0.04
"""Share of a patch that an object must cover to name it, and up to which the patch counts as ground."""


def owners(example: TrainingExample) -> NDArray[np.int64]:
    """Index of the thing that each patch shows, ``[P]``; -1 ground, -2 undecided."""
    side = example.scene.cover.shape[0] // PATCHES
    cells = example.scene.cover.reshape(PATCHES, side, PATCHES, side).swapaxes(1, 2).reshape(PATCHES**2, -1)
    share = np.stack([(cells == k).mean(1) for k in range(1, len(example.scene.things) + 1)])
    best, most = share.argmax(0), share.max(0)
    owner = np.where(most >= _CLEARLY, best, np.where(most > _BARELY, -2, -1))
    for k in range(len(share)):
        if not (owner == k).any():
            owner[share[k].argmax()] = k
    return owner.astype(np.int64)


def sound_arrays(example: TrainingExample, word_index: Mapping[str, int]) -> Arrays:
    """``mel`` ``[64, 400]``, ``frames`` (how many sound), ``frame_word`` ``[F]``, ``frame_spoken`` bool ``[F]``."""
    mel, sounding = fitted_log_mel(example.sound.wave, FRAMES * HOPS_PER_FRAME)
    frames = -(-sounding // HOPS_PER_FRAME)
    middle = (np.arange(FRAMES) + 0.5) * SECONDS_PER_FRAME
    spoken = (middle >= example.sound.start) & (middle <= example.sound.end)
    near = (middle >= example.sound.start - SECONDS_PER_FRAME) & (middle <= example.sound.end + SECONDS_PER_FRAME)
    word = np.where(spoken, word_index[example.sound.word], np.where(near, -1, word_index["[GROUND]"]))
    word[frames:] = -1
    return {"mel": mel.astype(np.float16), "frames": np.array(frames), "frame_word": word, "frame_spoken": spoken}


def picture_arrays(example: TrainingExample, word_index: Mapping[str, int]) -> Arrays:
    """``image`` uint8 ``[160, 160, 3]``, ``patch_word`` ``[P]``, ``patch_offset`` ``[P, 2]``, ``patch_centre`` ``[P]``.

    An offset is from the patch to the middle of its thing, in sides of the picture; a centre patch holds that middle.
    """
    owner = owners(example)
    things = example.scene.things
    index = np.array([word_index[thing.word] for thing in things] + [-1, word_index["[GROUND]"]])
    centres = np.array([thing.centre for thing in things])
    line = (np.arange(PATCHES) + 0.5) / PATCHES
    here = np.stack(np.meshgrid(line, line, indexing="xy"), axis=-1).reshape(-1, 2)
    offset = np.where((owner >= 0)[:, None], centres[np.maximum(owner, 0)] - here, 0).astype(np.float32)
    centre = np.zeros(PATCHES**2, np.int64)
    cell = np.clip((centres * PATCHES).astype(int), 0, PATCHES - 1)
    centre[cell[:, 1] * PATCHES + cell[:, 0]] = 1
    return {
        "image": example.scene.pixels, "patch_word": index[owner], "patch_offset": offset, "patch_centre": centre,
        "owner": owner,
    }  # fmt: skip


def question_arrays(
    example: TrainingExample, question: Question, scene: Arrays, tokenizer: Tokenizer, answer_index: Mapping[str, int],
    concept_ids: Mapping[int, str], has: tuple[bool, bool, bool],
) -> Arrays:  # fmt: skip
    """Text, answer and token labels of one question. ``has``: whether image, text and audio are kept."""
    has_image, has_text, has_audio = has
    ids = tokenizer.encode(question.text).ids[:MAX_TEXT_TOKENS]
    text = np.zeros(MAX_TEXT_TOKENS, np.int64)
    text[: len(ids)] = ids
    things, owner, spoken = example.scene.things, scene["owner"], example.sound.word
    centres = {thing.word: thing.centre for thing in things}
    word_image, word_audio = (np.full(MAX_TEXT_TOKENS, -1, np.int64) for _ in range(2))
    word_place = np.full((MAX_TEXT_TOKENS, 2), -1, np.float32)
    for position, piece in enumerate(ids):
        word = concept_ids.get(piece)
        if word is None or not has_text:
            continue
        if has_image:
            word_image[position] = word in centres
            word_place[position] = centres.get(word, (-1, -1))
        if has_audio:
            word_audio[position] = word == spoken
    sounding = scene["frame_spoken"] & (np.arange(FRAMES) < scene["frames"])
    both = has_image and has_audio
    frame_image = np.where(sounding & both, spoken in centres, -1)
    frame_place = np.where((sounding & both)[:, None], np.array(centres.get(spoken, (-1, -1))), -1).astype(np.float32)
    judged = (owner != -2) & has_image
    known = judged & has_text & (has_audio or "audio" not in NEEDS[question.family])

    def on_patches(chosen: tuple[int, ...], where: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.where(where, np.isin(owner, chosen), -1)

    spoken_things = tuple(k for k, thing in enumerate(things) if thing.word == spoken)
    named_things = tuple(k for k, thing in enumerate(things) if thing.word in question.words)
    candidates = question.candidates
    return {
        "text": text, "text_lengths": np.array(len(ids)), "answer": np.array(answer_index.get(question.answer, -1)),
        "family": np.array(FAMILIES.index(question.family)),
        "has_image": np.array(has_image), "has_text": np.array(has_text), "has_audio": np.array(has_audio),
        "word_image": word_image, "word_audio": word_audio, "word_place": word_place,
        "frame_image": frame_image, "frame_place": frame_place,
        "patch_spoken": on_patches(spoken_things, judged & has_audio),
        "patch_named": on_patches(named_things, judged & has_text),
        "patch_candidate": on_patches(candidates or (), known & (candidates is not None)),
        "patch_evidence": on_patches(question.things, known),
        "frame_evidence": np.where(
            (np.arange(FRAMES) < scene["frames"]) & has_audio & has_text, sounding & question.sound, -1
        ),
    }  # fmt: skip
