"""Inputs as checked nouns: sizes are limited, conversions are noted, everything else is refused with one sentence.

Importing this package loads neither Pillow nor soundfile; they are loaded with the first image or audio. Nothing is
written to disk or logged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmviz.types import AudioInput, ImageInput, InputError, Notice, Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mmviz.inputs.audio import AudioSource
    from mmviz.inputs.image import ImageSource


def make_sample(
    image: ImageSource | list[ImageSource] | None = None,
    text: str | None = None,
    audio: AudioSource | tuple[NDArray[Any], int] | list[AudioSource | tuple[NDArray[Any], int]] | None = None,
    video: str | Path | bytes | None = None,
) -> Sample:
    """Checks the inputs and returns them as one `Sample`, with the notices of image, text and audio in this order.

    Args:
        image: path, bytes, Pillow image or array, see `mmviz.inputs.image.load_image`; or a list of them, for a model
            that takes several, which are put on one sheet.
        text: a string; an empty one counts as missing.
        audio: path, bytes or the pair ``(array, rate in Hz)``, see `mmviz.inputs.audio.load_audio`; or a list of them,
            which are put one after another.
        video: path or bytes, see `mmviz.inputs.video.load_video`; its frames stand in the place of an image, and its
            sound is not read.

    Raises:
        InputError: there is no input at all, or one of them cannot be used.

    Examples:
        >>> sample = mmviz.make_sample(image="picture.png", text="What is this?")
        >>> sample.image.pixels.shape
        (480, 480, 3)
        >>> sample.notices  # nothing was cut, resampled or converted
        ()
    """
    checked_image, checked_text, checked_audio = None, None, None
    notices: tuple[Notice, ...] = ()
    if video is not None:
        from mmviz.inputs.video import load_video

        if image is not None:
            raise InputError("video-and-image")
        checked_image, video_notices = load_video(video)
        notices += video_notices
    if image is not None and not _is_empty(image):
        checked_image, image_notices = _load_all(image, _load_image, "join_pictures")
        notices += image_notices
    if text is not None and text != "":
        from mmviz.inputs.text import load_text

        checked_text, text_notices = load_text(text)
        notices += text_notices
    if audio is not None and not _is_empty(audio):
        checked_audio, audio_notices = _load_all(audio, _load_sound, "join_sounds")
        notices += audio_notices
    if checked_image is None and checked_text is None and checked_audio is None:
        raise InputError("input-none")
    return Sample(checked_image, checked_text, checked_audio, notices)


def _is_empty(source: object) -> bool:
    return isinstance(source, list) and not source


def _load_image(source: ImageSource) -> tuple[ImageInput, tuple[Notice, ...]]:
    from mmviz.inputs.image import load_image

    return load_image(source)


def _load_sound(source: AudioSource | tuple[NDArray[Any], int]) -> tuple[AudioInput, tuple[Notice, ...]]:
    from mmviz.inputs.audio import load_audio

    if not isinstance(source, tuple):
        return load_audio(source)
    if len(source) != 2:
        raise InputError("audio-source", kind=f"a tuple of {len(source)}")
    return load_audio(*source)


def _load_all(source: Any, load: Callable[[Any], Any], join: str) -> tuple[Any, tuple[Notice, ...]]:
    """Returns what ``load`` makes of a source, or of a list of them what joins them, with their notices.

    ``join``: the name of a function of `mmviz.inputs.several_inputs`. Each kind of notice comes once.
    """
    loaded = [load(part) for part in (source if isinstance(source, list) else [source])]
    if len(loaded) == 1:
        return loaded[0]  # type: ignore[no-any-return]
    from mmviz.inputs import several_inputs

    joined, notices = getattr(several_inputs, join)([part for part, _ in loaded])
    return joined, (*_once(own for _, own in loaded), *notices)


def _once(notices: Iterable[tuple[Notice, ...]]) -> tuple[Notice, ...]:
    """Returns the first notice of each kind."""
    kinds: dict[str, Notice] = {}
    for notice in chain.from_iterable(notices):
        kinds.setdefault(notice.code, notice)
    return tuple(kinds.values())
