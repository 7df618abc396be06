"""Files that visitors add: each is checked at once, and what cannot be used is refused in the words of mmviz."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from mmviz.app import resources
from mmviz.app.accepted_inputs import model_inputs
from mmviz.app.components.model_picker import model_title
from mmviz.app.draft import Source, VideoFile
from mmviz.app.input_thumbnails import sign_of_sample
from mmviz.app.session_state import State
from mmviz.inputs.audio_formats import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from mmviz.inputs.image_formats import IMAGE_SUFFIXES
from mmviz.types import InputError, Sample

STAND_IN = "application/x-mmviz-too-large"
"""Media type of what the browser sends in place of a file that is too large: its size in bytes, as digits."""
_MEGABYTE = 1_048_576


def guard_uploads(takes_video: bool) -> None:
    """Puts the script into the page that keeps back files above the size that the server takes.

    It also has the file chooser suggest what the page reads; any file may be chosen or dropped. Videos are suggested
    for sounds, and for pictures where the model in use takes one (``takes_video``).
    """
    st.html(_guard_script(max_megabytes(), takes_video), unsafe_allow_javascript=True)


@lru_cache(maxsize=2)
def _guard_script(megabytes: int, takes_video: bool) -> str:
    guard = Path(__file__).with_name("upload_guard.js").read_text(encoding="utf-8").strip()
    videos = ("video/*", *sorted(VIDEO_SUFFIXES)) if takes_video else ()
    accept = {
        "image": ",".join(("image/*", *sorted(IMAGE_SUFFIXES), *videos)),
        "audio": ",".join(("audio/*", "video/*", *sorted(AUDIO_SUFFIXES))),
    }
    options = json.dumps({"limit": megabytes * _MEGABYTE, "standIn": STAND_IN, "accept": accept})
    return f"<script>{guard}({options})</script>"


def max_megabytes() -> int:
    """Returns the largest file that the server takes, in megabytes of 1,048,576 bytes."""
    return int(st.get_option("server.maxUploadSize"))


def too_large(media_type: str, content: bytes) -> InputError | None:
    """Returns why a file cannot be used for which the browser sent a stand-in; None for any other file."""
    if media_type != STAND_IN or not content.isdigit():
        return None
    return InputError("upload-large", megabytes=int(content) / _MEGABYTE, limit=max_megabytes())


def checked_uploads(state: State, modality: str, files: Sequence[UploadedFile]) -> Source:
    """Returns the content of one or several files for ``image`` or ``audio``, or why the first of them cannot be used.

    A file is decoded for this once, however often the page is drawn. A video may take the place of an image, unless it
    is known that the model in use takes none.
    """
    known = state.checked_uploads.get(modality, {})
    checked: dict[str, InputError | None] = {}
    samples, kinds = [], [_kind(modality, file) for file in files]
    if "video" in kinds and model_inputs(state.config).video is False:
        return InputError("video-model", model=model_title(state.config.model))
    for file, kind in zip(files, kinds, strict=True):
        if file.file_id in known:
            checked[file.file_id] = known[file.file_id]
            continue
        result = _decode(kind, file.type, file.getvalue())
        if isinstance(result, InputError):
            checked[file.file_id] = result
        else:
            checked[file.file_id] = None
            samples.append(result)
    state.checked_uploads[modality] = checked
    error = next(filter(None, checked.values()), None)
    if error is not None:
        return error
    contents = tuple(file.getvalue() for file in files)
    source: Source = contents if len(contents) > 1 else contents[0]
    if "video" in kinds:
        source = VideoFile(contents[0]) if len(files) == 1 else InputError("video-and-image")
    if samples:
        state.input_signs[modality] = source, sign_of_sample(samples[0], modality)
    return source


def _kind(modality: str, file: UploadedFile) -> str:
    """Returns what a file is read as: ``image``, ``audio`` or ``video``."""
    return "video" if modality == "image" and file.type.startswith("video/") else modality


def _decode(kind: str, media_type: str, content: bytes) -> Sample | InputError:
    """Returns what a file holds, or why it cannot be used."""
    if (refusal := too_large(media_type, content)) is not None:
        return refusal
    try:
        return resources.decoder().sample(
            content if kind == "image" else None, None, content if kind == "audio" else None,
            content if kind == "video" else None,
        )  # fmt: skip
    except InputError as error:
        return error
