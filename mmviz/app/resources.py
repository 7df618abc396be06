"""What all visitors of one server share: the warm backend, the decoder, and the recorded runs of the gallery."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import streamlit as st

from mmviz.app.jobs import WarmBackend
from mmviz.app.kept_runs import KeptInputs, KeptRun, KeptRuns
from mmviz.app.operator_config import OperatorConfig
from mmviz.assets_path import assets_dir
from mmviz.backends import Backend
from mmviz.experiments.effect_file import effect_of_record, read_effects
from mmviz.experiments.modality_shapley import Effect
from mmviz.experiments.story import Story
from mmviz.experiments.story_file import read_stories, story_of_record
from mmviz.explain import Run, run_sample
from mmviz.inputs.examples import load_gallery
from mmviz.inputs.sandbox import Decoder
from mmviz.present import Talk, load_run_or_talk
from mmviz.types import AttentionRecord, MmvizError

T = TypeVar("T")


@st.cache_resource(show_spinner=False)
def warm_backend(config: OperatorConfig) -> WarmBackend:
    """Returns the backend of the operator's config, which runs the first example to warm up."""

    def run_once(backend: Backend) -> Run:
        return run_sample(load_gallery()[0].sample(), model=config.model, backend=backend, relevance=True)

    return WarmBackend(config.backend, run_once, config.model)


@st.cache_resource(show_spinner=False)
def decoder() -> Decoder:
    """Returns the sandboxed decoder of images and audio."""
    return Decoder()


@st.cache_resource(show_spinner=False, max_entries=4)
def saved_file(path: Path) -> Run | Talk:
    """Returns the saved run or talk that the operator named; the command line has checked that it can be read."""
    return load_run_or_talk(path)


def saved_runs(config: OperatorConfig) -> tuple[Run, ...]:
    """Returns the runs in the file that the operator named, those of a talk in its order; none without a file."""
    if config.saved is None:
        return ()
    saved = saved_file(config.saved)
    return saved.runs if isinstance(saved, Talk) else (saved,)


@st.cache_resource(show_spinner=False)
def kept_runs() -> KeptRuns[KeptRun]:
    """Returns the runs of visitors' own inputs that are kept for a reload and for links."""
    return KeptRuns()


@st.cache_resource(show_spinner=False)
def kept_inputs() -> KeptRuns[KeptInputs]:
    """Returns the visitors' own inputs that were not run yet, which are kept for a reload."""
    return KeptRuns()


@st.cache_resource(show_spinner=False)
def replay_backend() -> Backend:
    """Returns the backend that replays the recorded runs of the gallery."""
    from mmviz.backends.replay import ReplayBackend

    return ReplayBackend(assets_dir() / "gallery" / "runs")


@st.cache_resource(show_spinner=False, max_entries=64)
def recorded_run(example_id: str) -> Run | None:
    """Returns the recorded run of an example; None where no recording fits the bundled weights."""
    example = next(example for example in load_gallery() if example.id == example_id)
    try:
        return run_sample(example.sample(), backend=replay_backend(), relevance=True)
    except MmvizError:
        return None


def recorded_story(record: AttentionRecord) -> Story | None:
    """Returns the story of a recorded run of the gallery, measured when it was recorded; None for any other run."""
    return story_of_record(_recorded_stories(), record)


@st.cache_resource(show_spinner=False)
def _recorded_stories() -> Mapping[str, Story]:
    """Returns the stories of the recorded runs, by the id of their record; none where their file cannot be read."""
    return _read_or_none(read_stories, "stories.json")


def recorded_effect(record: AttentionRecord) -> Effect | None:
    """Returns the effect of each modality on the answer of a recorded run of the gallery; None for any other run."""
    return effect_of_record(_recorded_effects(), record)


@st.cache_resource(show_spinner=False)
def _recorded_effects() -> Mapping[str, Effect]:
    """Returns the effects of the recorded runs, by the id of their record; none where their file cannot be read."""
    return _read_or_none(read_effects, "effects.json")


def _read_or_none(read: Callable[[Path], dict[str, T]], name: str) -> Mapping[str, T]:
    """Returns what ``read`` reads from a file of the gallery; nothing where it cannot be read."""
    try:
        return read(assets_dir() / "gallery" / name)
    except MmvizError:
        return {}
