"""Pictures and sounds of a sample as the processor of a checkpoint makes them, with the places of what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmviz.models.huggingface.families import Family
from mmviz.models.huggingface.picture_places import cached_places
from mmviz.models.huggingface.sound_inputs import joined_sound_fields, read_waves, sound_fields
from mmviz.models.huggingface.token_locations import located_streams, picture_fields, video_fields
from mmviz.models.protocol import Prepared
from mmviz.types import (
    FieldsOf,
    ImageInput,
    InputFields,
    MmvizError,
    Notice,
    Sample,
    Seconds,
    Token,
    VideoPatch,
    as_tokens,
)

_EXTRACTORS = ("feature_extractor", "audio_processor")
_PICTURES = ("pixel_values", "image_pixel_values", "pixel_values_videos")
_SOUNDS = ("input_features", "input_values", "audio_input_features")
_LENGTHS = "wave_lengths"
"""What `InputReader.process` adds to a batch."""
_CLOCK = 1_000
"""Frames in a second of the video that processors are told of, so that those that are used begin where they do."""
SHORTEST_CUT = 0.05
"""Seconds that the end of a sound must lack to be noted; less is a part of a frame."""


@dataclass(frozen=True)
class CheckpointInputs:
    """The inputs of a model, and the answer whose log-probability is measured."""

    inputs: Mapping[str, Any]
    """What the module is called with, with a batch of one; the prompt alone."""
    answer: tuple[int, ...] = ()
    """The ids of the answer's tokens; empty where the model has not written it, or writes none."""
    prefix: tuple[int, ...] = ()
    """The ids that a decoder begins with, for a model whose prompt is not among ``inputs``."""
    pictures: Mapping[str, InputFields] = field(default_factory=dict)
    """The places of pictures, by the name of the input."""
    sounds: Mapping[str, InputFields] = field(default_factory=dict)
    """The places of sounds, by the name of the input."""
    rows: int = 1
    """How many variants of one sample the batch holds."""
    lengths: tuple[int, ...] = ()
    """Tokens of the prompt of each row of a batch, behind which it is padded; empty where all are equally long."""
    encoded: int | None = None
    """Number of tokens that an encoder reads, before those of its decoder; None where one sequence holds both."""
    has_grid: bool = False
    """See `Family.has_grid`."""

    def cut_notices(self, sample: Sample, title: str) -> tuple[Notice, ...]:
        """Returns a notice for a sound of which the model (``title``) reads the beginning only."""
        if sample.audio is None or not self.sounds:
            return ()
        ends = np.concatenate([fields.high[0].ravel() for fields in self.sounds.values()])
        parts = sample.audio.parts or (Seconds(0, sample.audio.seconds),)
        # the last moment of each sound that is read; of one sound, frames may end beyond it
        last = [ends[(ends <= part.end) | (not sample.audio.parts)].max(initial=part.start) for part in parts]
        cut = sum(part.end - min(float(end), part.end) for part, end in zip(parts, last, strict=True))
        if cut < SHORTEST_CUT * len(parts):
            return ()
        seconds = {"read": f"{sample.audio.seconds - cut:.1f}", "seconds": f"{sample.audio.seconds:.1f}"}
        return (Notice("hf-sound-cut", {"model": title, **seconds}),)


class InputReader:
    """Reads samples for one checkpoint."""

    def __init__(self, module: nn.Module, processor: Any, family: Family, device: str):
        self.processor, self.family, self.device = processor, family, device
        self.dtype = next(module.parameters()).dtype
        self.image_processor: Any = getattr(processor, "image_processor", processor)
        self.extractor: Any = next(
            (getattr(processor, name) for name in _EXTRACTORS if getattr(processor, name, None) is not None), processor
        )
        self._places = cached_places(self._pixel_values)
        self._video_places = cached_places(self._video_values)

    def readable(self, sample: Sample) -> tuple[Sample, tuple[Notice, ...]]:
        """Returns what of a sample the family reads, and a notice for what it does not."""
        notices = []
        reads = {"image": self.family.reads_image, "text": self.family.reads_text, "audio": self.family.reads_audio}
        for modality, is_read in reads.items():
            if getattr(sample, modality) is not None and not is_read:
                sample = replace(sample, **{modality: None})  # type: ignore[arg-type]
                notices.append(Notice("hf-unread", {"model": self.family.title, "modality": modality}))
        for modality in self.family.required:
            if getattr(sample, modality) is None:
                raise MmvizError("hf-needs", model=self.family.title, modality=modality)
        return sample, tuple(notices)

    def process(self, sample: Sample, has_video: bool = False, **given: Any) -> dict[str, Any]:
        """Returns what the processor makes of pictures, sounds and ``given``. Raises ``MmvizError``.

        ``has_video``: whether pictures are one video. The samples of each sound that it was given are an entry beside
        its own.
        """
        media: dict[str, Any] = {"return_tensors": "pt", **given}
        lengths: dict[str, Any] = {}
        if sample.image is not None:
            media |= self._video(sample.image) if has_video else {"images": _pictures(sample.image)}
        if sample.audio is not None:
            is_alone = self.extractor is self.processor
            waves = read_waves(self.extractor, sample.audio)
            lengths = {_LENGTHS: [len(wave) for wave in waves]}
            media["raw_speech" if is_alone else "audio"] = waves if sample.audio.parts else waves[0]
            if is_alone:
                media["sampling_rate"] = self.extractor.sampling_rate
        try:
            return dict(self.processor(**media)) | lengths
        except Exception as problem:  # processors raise what they like
            raise MmvizError("hf-processor", why=f"{type(problem).__name__}: {problem}"[:200]) from problem

    def checked(
        self, sample: Sample, batch: Mapping[str, Any], answer: tuple[int, ...] = (), has_video: bool = False
    ) -> CheckpointInputs:
        """Returns what the processor made, on the model's device, with the places of pictures and sounds."""
        inputs = {
            name: value.to(self.device, self.dtype) if value.is_floating_point() else value.to(self.device)
            for name, value in batch.items() if isinstance(value, Tensor) and name != "labels"
        }  # fmt: skip
        pictures, sounds = self._picture_fields(sample, batch, has_video), self._sound_fields(sample, batch)
        return CheckpointInputs(inputs, answer, pictures=pictures, sounds=sounds, has_grid=self.family.has_grid)

    def _video(self, image: ImageInput) -> dict[str, Any]:
        """Returns the frames of a video as processors take them, with the moments at which they begin in milliseconds.

        Whatever a checkpoint says of choosing frames: those that are shown are those that are read, each by itself.
        """
        parts = [part for part in image.parts if isinstance(part, VideoPatch)]
        total = round(parts[-1].end * _CLOCK)
        metadata = {
            "total_num_frames": total, "fps": float(_CLOCK), "duration": parts[-1].end,
            "frames_indices": [min(round(part.start * _CLOCK), total - 1) for part in parts],
        }  # fmt: skip
        stacks = hasattr(self.processor.video_processor, "stack_frames")  # MiniCPM-V: several frames as one picture
        return {
            "videos": [np.stack(image.pictures)], "video_metadata": [metadata], "do_sample_frames": False,
            "fps": len(parts) / parts[-1].end,  # some place frames in time by this, whatever the metadata say
            **({"stack_frames": 1} if stacks else {}),
        }  # fmt: skip

    def _pixel_values(self, image: ImageInput) -> Any:
        batch = self.image_processor(images=_pictures(image), return_tensors="np")
        return next(batch[name] for name in _PICTURES if name in batch)

    def _video_values(self, image: ImageInput) -> Any:
        # by the whole processor, which tells that of videos to which size it scales
        batch = self.process(Sample(image=image), has_video=True, text=[self.processor.video_token])
        return next(batch[name] for name in _PICTURES if name in batch)

    def _picture_fields(self, sample: Sample, batch: Mapping[str, Any], has_video: bool) -> dict[str, InputFields]:
        name = next((name for name in _PICTURES if name in batch), None)
        if sample.image is None or name is None:
            return {}
        shape = tuple(batch[name].shape)
        if has_video:
            return {name: video_fields(self._video_places(sample.image), shape, sample.image)}
        return {name: picture_fields(self._places(sample.image), shape)}

    def _sound_fields(self, sample: Sample, batch: Mapping[str, Any]) -> dict[str, InputFields]:
        name = next((name for name in _SOUNDS if name in batch), None)
        if sample.audio is None or name is None:
            return {}
        lengths, shape = batch[_LENGTHS], tuple(batch[name].shape)
        if not sample.audio.parts:
            return {name: sound_fields(self.extractor, shape, lengths[0], self.family.has_bands)}
        return {name: joined_sound_fields(self.extractor, shape, lengths, sample.audio, self.family.has_bands)}


def _pictures(image: ImageInput) -> list[Any]:
    """Returns the pictures of one prompt as processors take them, in memory that they may write to."""
    pictures = [pixels.copy() for pixels in image.pictures]
    return [pictures] if image.parts else pictures


def located_tokens(prepared: Prepared, fields_of: FieldsOf) -> dict[str, list[Token]]:
    """Returns the tokens of each stream of a capture, with their places."""
    sample, given = prepared.sample, prepared.tensors
    assert sample is not None and not isinstance(prepared.streams, Mapping)
    return located_streams(
        fields_of, given.pictures, given.sounds, sample.image, sample.audio, as_tokens(prepared.streams), given.encoded,
        given.has_grid,
    )  # fmt: skip


def binary_logits(log_p: Tensor) -> Tensor:
    """Returns the logits of an answer of this log-probability and of any other, ``[2]``."""
    return torch.stack([log_p, torch.log(-torch.expm1(log_p.clamp(max=-1e-7)))])
