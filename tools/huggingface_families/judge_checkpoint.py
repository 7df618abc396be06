"""One checkpoint: loaded, run with everything it reads, and its places probed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from mmviz.analysis.available_maps import map_refs
from mmviz.backends.local import LocalBackend
from mmviz.explain import run_sample
from mmviz.models.custom_model_factory import load
from mmviz.types import MmvizError, Modality, PixelBox, Seconds, Token
from tools.huggingface_families.checkpoint_builds import find_tests, save_checkpoint
from tools.huggingface_families.every_user_interface import Trial, tried_means

NEW_TOKENS = 4
"""Tokens of the answers, which are few so that the table takes minutes."""


@dataclass(frozen=True)
class CheckpointOutcome:
    """What became of one checkpoint."""

    name: str
    """The name of its build."""
    problem: str = ""
    """Why it was not run; empty where it was."""
    family: Any = None
    """Its `mmviz.models.huggingface.families.Family`."""
    streams: dict[str, int] = field(default_factory=dict)
    """Tokens of each stream of the run."""
    stacks: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()
    """Methods through all layers that the run has."""
    maps: int = 0
    """Number of attention maps."""
    parity: float = 0.0
    """The largest of all maps, see `mmviz.capture.map_check.MapCheck`."""
    left_out: int = 0
    """Number of attention calls that were left out, with the reason."""
    places: dict[str, str] = field(default_factory=dict)
    """For picture, sound and words that it reads: empty where the probe agreed, else what was wrong."""
    means: dict[str, str] = field(default_factory=dict)
    """For command line, service and page: empty where they showed it, else what was wrong."""

    @property
    def is_right(self) -> bool:
        """Whether it ran by every means, and every probe of its places agreed."""
        return not self.problem and not any(self.places.values()) and not any(self.means.values())


def judge_checkpoint(name: str) -> CheckpointOutcome:
    """Returns what became of a checkpoint that is built, saved, loaded from its folder, run and probed."""
    find_tests()
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = save_checkpoint(name, Path(folder))
            model = load(f"hf:{path}", "cpu")
        except MmvizError as problem:
            return CheckpointOutcome(name, str(problem))
        return _judged(name, path, model)


def _judged(name: str, path: Path, model: Any) -> CheckpointOutcome:
    """Returns what became of a checkpoint that was loaded from its folder."""
    backend = LocalBackend("cpu", {name: model})
    sample = _places_tests().sample_of(model)
    given = {"options": {"new_tokens": NEW_TOKENS}} if hasattr(model, "generate") else {}
    try:
        record = run_sample(sample, model=name, backend=backend, relevance=True, **given).record
        left_out = backend.model_checks(name, sample)["left_out"]
    except MmvizError as problem:
        return CheckpointOutcome(name, str(problem), model.family)
    flows = dict.fromkeys(map_ref.method for map_ref in map_refs(record) if map_ref.layer is None)
    return CheckpointOutcome(
        name, "", model.family, {stream: len(tokens) for stream, tokens in record.streams.items()},
        tuple(record.stacks), tuple(flows), len(record.maps), float(record.made_by.get("parity") or 0),
        len(left_out), probed_places(model), tried_means(Trial(path, model, sample, NEW_TOKENS)),
    )  # fmt: skip


def probed_places(model: Any) -> dict[str, str]:
    """Returns for picture, sound and words that a model reads: empty where the probe agrees, else what is wrong."""
    probes: dict[str, Callable[[Any], str]] = {}
    probes |= {"picture": _probe_picture} if model.family.reads_image else {}
    probes |= {"sound": _probe_sound} if model.family.reads_audio else {}
    probes |= {"words": _probe_words} if model.family.reads_text else {}
    outcomes = {}
    for what, probe in probes.items():
        try:
            outcomes[what] = probe(model)
        except Exception as problem:  # a probe that does not fit a new family: the table says so
            outcomes[what] = f"not probed: {type(problem).__name__}"
    return outcomes


def _places_tests() -> Any:
    return import_module("test_huggingface_places")


def _probe_picture(model: Any) -> str:
    """White squares in the middle of three patches change the vectors of those patches alone that they meet."""
    tests = _places_tests()
    streams = tests.streams_of(model, tests.sample_of(model))
    stream = tests.picture_stream(streams)
    tokens, block = streams[stream], tests.block_of(model, tests.sample_of(model), stream)
    before = tests.entering(model, tests.sample_of(model), block)
    if model.family.has_grid:  # of a language model that may carry several vectors for each token
        before = before[: len(tokens)]
    patches = [k for k, token in enumerate(tokens) if isinstance(token.location, PixelBox)]
    if len(before) != len(tokens) or not patches:
        return "no place is known"
    for number in (patches[0], patches[len(patches) // 2], patches[-1]):
        square, pixels = _white_square(tokens[number], tests.GREY)
        change = np.abs(tests.entering(model, tests.sample_of(model, pixels), block)[: len(tokens)] - before)
        if model.family.has_grid:  # convolutions see most of the picture
            if int(change.mean(1).argmax()) != number:
                return "a square changes most another patch"
            continue
        change = change.max(1)
        changed = [tokens[k] for k in np.flatnonzero(change > 1e-5)]
        if not changed or change[number] < 1e-5:
            return "a square does not change the patch that holds it"
        if not all(tests.meets(token, square, 8) for token in changed):
            return "a square changes a patch elsewhere"
    return ""


def _white_square(token: Token, grey: Any) -> tuple[PixelBox, Any]:
    """Returns the middle half of a patch, and the grey picture with that white."""
    box = token.location
    assert isinstance(box, PixelBox)
    x0, y0 = round(box.x0 + (box.x1 - box.x0) / 4), round(box.y0 + (box.y1 - box.y0) / 4)
    x1, y1 = max(round(box.x1 - (box.x1 - box.x0) / 4), x0 + 2), max(round(box.y1 - (box.y1 - box.y0) / 4), y0 + 2)
    pixels = grey.copy()
    pixels[y0:y1, x0:x1] = 255
    return PixelBox(x0, y0, x1, y1), pixels


def _probe_sound(model: Any) -> str:
    """A beep changes most the vector of the moment that holds it."""
    tests = _places_tests()
    wave = (np.random.default_rng(0).standard_normal(2 * tests.RATE) / 50).astype(np.float32)
    wave[1600:2400] += np.sin(np.arange(800) / 5).astype(np.float32) / 2  # the loudest, to which all is compared
    streams = tests.streams_of(model, tests.sample_of(model, wave=wave))
    stream = next((name for name, tokens in streams.items() if any(map(_has_moment, tokens))), None)
    if stream is None:
        return "no place is known"
    tokens, block = streams[stream], tests.block_of(model, tests.sample_of(model, wave=wave), stream)
    before = tests.entering(model, tests.sample_of(model, wave=wave), block)
    for start in (0.42, 1.3):
        beep = wave.copy()
        first = int(start * tests.RATE)
        beep[first : first + 480] += np.sin(np.arange(480) / 3).astype(np.float32) / 3
        change = np.abs(tests.entering(model, tests.sample_of(model, wave=beep), block) - before).max(1)
        place = tokens[int(change.argmax())].location
        if not isinstance(place, Seconds) or not (place.start < start + 0.06 and place.end > start - 0.03):
            return "a beep changes most another moment"
    return ""


def _has_moment(token: Token) -> bool:
    return isinstance(token.location, Seconds)


def _probe_words(model: Any) -> str:
    """The words of the question, in order, are the question."""
    tests = _places_tests()
    streams = tests.streams_of(model, tests.sample_of(model))
    words = [
        token.label for tokens in streams.values() for token in tokens
        if token.modality is Modality.TEXT and token.location is not None
    ]  # fmt: skip
    return "" if "".join(words) == tests.QUESTION else "a character has no token, or two"
