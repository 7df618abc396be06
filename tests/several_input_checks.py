"""What must hold where a prompt has several pictures or sounds: each token lies in its own picture or sound."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from test_huggingface_places import (
    GREY,
    QUESTION,
    RATE,
    SILENCE,
    entering,
    meets,
    picture_stream,
    streams_and_blocks,
)

from mmviz import Modality, PictureBox, PixelBox, Sample, Seconds, Token, make_sample

if TYPE_CHECKING:
    from picture_family_checks import Checkpoint

UNCHANGED = 1e-5
RESAMPLED = 10
"""Pixels around a place from which resampling may bring something."""


def _sample(checkpoint: Checkpoint, second: NDArray[np.uint8]) -> Sample:
    audio = [(SILENCE, RATE)] if checkpoint.model.family.reads_audio else None
    return make_sample(image=[GREY, second], text=QUESTION, audio=audio)


def several_pictures_at_their_places(checkpoint: Checkpoint) -> None:
    """A white square in the second of two pictures changes the patches of that picture whose place it meets."""
    model, second = checkpoint.model, np.full((60, 90, 3), 100, np.uint8)
    sample = _sample(checkpoint, second)
    assert sample.image is not None
    sheet = sample.image.parts[1]
    torch.manual_seed(0)  # ViLT draws the patches that it reads
    streams, blocks = streams_and_blocks(model, sample)
    tower = picture_stream(streams)
    for name in streams:
        numbers = [token.location.picture for token in streams[name] if isinstance(token.location, PictureBox)]
        if not numbers:
            has_words = any(token.modality is Modality.TEXT and token.location for token in streams[name])
            assert not has_words or checkpoint.name == "mllama", name  # whose words attend to the tower itself
            continue
        assert set(numbers) == {1, 2} and numbers == sorted(numbers), name
        assert all(_is_inside(token, sample) for token in streams[name])
    block = blocks[tower]
    before = entering(model, sample, block)
    assert len(before) == len(streams[tower])
    lit = second.copy()
    lit[20:36, 30:46] = 255
    square = PixelBox(sheet.x0 + 30, sheet.y0 + 20, sheet.x0 + 46, sheet.y0 + 36)
    change = np.abs(entering(model, _sample(checkpoint, lit), block) - before).max(1)
    changed = [streams[tower][k] for k in np.flatnonzero(change > UNCHANGED)]
    assert changed and all(meets(token, square, RESAMPLED) for token in changed), changed
    assert meets(streams[tower][int(change.argmax())], square, 0)


def several_sounds_at_their_moments(checkpoint: Checkpoint) -> None:
    """A beep in the second of two sounds changes the moments that hold it most, and none of the first sound."""
    model = checkpoint.model
    rng = np.random.default_rng(0)
    waves = [(rng.standard_normal(round(seconds * RATE)) / 50).astype(np.float32) for seconds in (1.2, 2.0)]
    for wave in waves:
        wave[1600:2400] += np.sin(np.arange(800) / 5).astype(np.float32) / 2  # the loudest, to which all is compared

    def sample_with(second: NDArray[np.float32]) -> Sample:
        return make_sample(text=QUESTION, audio=[(waves[0], RATE), (second, RATE)])

    sample = sample_with(waves[1])
    streams, blocks = streams_and_blocks(model, sample)
    stream = next(name for name, tokens in streams.items() if any(isinstance(t.location, Seconds) for t in tokens))
    places = [token.location for token in streams[stream] if isinstance(token.location, Seconds)]
    starts = [place.start for place in places]
    assert starts == sorted(starts) and starts[0] < 0.1 and 3.0 < places[-1].end <= 3.2 + 1e-6
    assert all(place.end <= 1.2 + 1e-6 or place.start >= 1.2 - 1e-6 for place in places), "no moment is in both"
    block = blocks[stream]
    before = entering(model, sample, block)
    beep = waves[1].copy()
    beep[round(0.9 * RATE) :][:480] += np.sin(np.arange(480) / 3).astype(np.float32) / 3
    change = np.abs(entering(model, sample_with(beep), block) - before).max(1)
    strongest = streams[stream][int(change.argmax())].location
    assert isinstance(strongest, Seconds) and strongest.start < 2.1 + 0.06 and strongest.end > 2.1 - 0.03, strongest


def checks_of_several(name: str, sounds: tuple[str, ...]) -> list[Callable[[Checkpoint], None]]:
    """Returns the checks of a checkpoint that takes several pictures, and of one in ``sounds``."""
    return [several_pictures_at_their_places, *([several_sounds_at_their_moments] if name in sounds else [])]


def _is_inside(token: Token, sample: Sample) -> bool:
    """Returns whether a patch lies within its own picture."""
    box = token.location
    if not isinstance(box, PictureBox):
        return True
    assert sample.image is not None
    part = sample.image.parts[box.picture - 1]
    return part.x0 - 1 <= box.x0 < box.x1 <= part.x1 + 1 and part.y0 - 1 <= box.y0 < box.y1 <= part.y1 + 1
