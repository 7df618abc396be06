"""The choice of the examples that are measured: the gallery, or files of one's own, which stay in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from mmviz.app import resources
from mmviz.app.components import page_elements
from mmviz.app.session_state import State
from mmviz.app.uploaded_files import drop_files
from mmviz.app.uploads import too_large
from mmviz.i18n.errors_and_notices import sentence
from mmviz.inputs.examples import Example, load_gallery, load_uploaded
from mmviz.inputs.uploaded_examples import files_of
from mmviz.types import MmvizError

SourceKind = Literal["gallery", "files", "folder"]
KINDS: tuple[SourceKind, ...] = get_args(SourceKind)


@dataclass(frozen=True)
class ExampleSource:
    """Examples, and what tells them from others."""

    kind: SourceKind
    """Whose they are: of the gallery, or the visitor's own, as files or as a folder."""
    examples: tuple[Example, ...]
    """All of them, also those that cannot be used, see `Example.error`."""
    key: tuple[str, ...] = ()
    """Streamlit's ids of the files; empty for the gallery."""


def example_source(state: State, gallery: Sequence[Example] | None = None) -> ExampleSource | None:
    """Draws the choice, and an uploader for files of one's own; returns the examples.

    Returns None where nothing was added yet, or what was added cannot be used; the page then says so. Every example
    that cannot be used is named with the reason once it is measured, and stops no other. ``gallery``: the examples of
    the gallery.
    """
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom", key="example-source"):
        kind: SourceKind = st.segmented_control(
            sentence("average-source"), KINDS, default="gallery", required=True, key="example-source-kind",
            format_func=lambda kind: sentence(f"average-source-{kind}"), help=sentence("average-source-help"),
            persist_state="session",
        )  # fmt: skip
        if kind != "gallery":
            uploads: list[UploadedFile] = st.file_uploader(
                sentence("average-upload"), key=f"example-{kind}", help=sentence("average-upload-help"),
                accept_multiple_files="directory" if kind == "folder" else True,
            )  # fmt: skip
    key = () if kind == "gallery" else tuple(file.file_id for file in uploads)
    if state.own_examples is not None and state.own_examples[0] != key:
        drop_files({*state.own_examples[0]} - {*key})
        state.own_examples = None
    if kind == "gallery":
        return ExampleSource("gallery", tuple(load_gallery() if gallery is None else gallery))
    if not uploads:
        page_elements.note(sentence("average-upload-none" if kind == "folder" else "average-upload-empty"))
        return None
    if state.own_examples is None:
        state.own_examples = (key, _loaded(uploads))
    loaded = state.own_examples[1]
    if isinstance(loaded, MmvizError):
        page_elements.note(str(loaded), "error")
        return None
    unusable = sum(example.error is not None for example in loaded)
    code = "average-uploaded" if unusable else "average-uploaded-1"
    page_elements.note(sentence(code, count=len(loaded), unusable=unusable))
    return ExampleSource(kind, loaded, key)


def _loaded(uploads: Sequence[UploadedFile]) -> tuple[Example, ...] | MmvizError:
    """Returns the examples of the files, whose images and sounds are decoded in the sandbox, or what is wrong."""
    try:
        refusals = (too_large(file.type, file.getvalue()) for file in uploads)
        if (refusal := next(filter(None, refusals), None)) is not None:
            raise refusal
        files = files_of([(file.name, file.getvalue()) for file in uploads])
        return load_uploaded(files, sentence("average-upload"), resources.decoder().sample)
    except MmvizError as error:
        return error
