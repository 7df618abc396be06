"""The contents of the form. No Streamlit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mmviz.inputs.examples import Example
from mmviz.types import InputError


@dataclass(frozen=True)
class VideoFile:
    """The content of a video that is given in the place of an image."""

    content: bytes
    """Bytes of the file."""


Source = Path | bytes | tuple[bytes, ...] | VideoFile | InputError | None
"""An input of the form: a file, or several; an error stands for one that cannot be used."""


@dataclass(frozen=True)
class Draft:
    """The contents of the form: the inputs of the next run."""

    image: Source
    """The image, several images, or a video in their place; None for none."""
    text: str
    """The text input; "" for none."""
    audio: Source
    """The sound, or several; None for none."""
    image_names: tuple[str, ...] = field(default=(), compare=False)
    """The names of the visitor's files for the image, as their browser gave them."""
    audio_names: tuple[str, ...] = field(default=(), compare=False)
    """The names of those for the audio."""

    def is_of(self, example: Example | None) -> bool:
        """Returns whether this is ``example`` unchanged, so that its expected answer holds."""
        return example is not None and (self.image, self.text, self.audio) == (
            example.image,
            example.question,
            example.audio,
        )


EMPTY = Draft(None, "", None)
"""A form without any input."""
