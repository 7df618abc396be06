"""One checkpoint by every means that a person has: command line, HTML file, run file, service and page."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import RemoteBackend
from mmviz.cli import main
from mmviz.explain import Run
from mmviz.types import AttentionMap, Request, Sample


@dataclass(frozen=True)
class Trial:
    """A checkpoint, loaded, with a sample of what it reads."""

    folder: Path
    """Where it is saved, and where files are written beside it."""
    model: Any
    sample: Sample
    new_tokens: int
    """Tokens that its answers may have."""

    @property
    def spec(self) -> str:
        """How ``--model`` names it."""
        return f"hf:{self.folder}"


def tried_means(trial: Trial) -> dict[str, str]:
    """Returns for each means: empty where it shows the checkpoint's run, else what is wrong."""
    means: dict[str, Callable[[Trial], str]] = {
        "CLI, HTML, .npz": _by_command_line, "serve": _by_service, "page": _by_page,
    }  # fmt: skip
    outcomes = {}
    for name, try_it in means.items():
        try:
            outcomes[name] = try_it(trial)
        except Exception as problem:  # the table says so
            outcomes[name] = f"{type(problem).__name__}: {problem}"[:200]
    return outcomes


def _by_command_line(trial: Trial) -> str:
    """``mmviz explain`` writes a summary, the viewer and a run that opens again."""
    files = {name: trial.folder.parent / f"run.{name}" for name in ("json", "html", "npz", "png", "wav")}
    arguments = ["explain", "--model", trial.spec]
    for name in ("json", "html", "npz"):
        arguments += [f"--{name}", str(files[name])]
    if trial.sample.image is not None:
        Image.fromarray(trial.sample.image.pixels).save(files["png"])
        arguments += ["--image", str(files["png"])]
    if trial.sample.audio is not None:
        soundfile.write(files["wav"], trial.sample.audio.wave, trial.sample.audio.rate)
        arguments += ["--audio", str(files["wav"])]
    if trial.sample.text is not None:
        arguments += ["--text", trial.sample.text]
    with contextlib.redirect_stdout(io.StringIO()):
        if main(arguments) != 0:
            return "the command failed"
    summary, run = json.loads(files["json"].read_text("utf-8")), Run.load(files["npz"])
    if summary["made_by"]["model"] != trial.spec or summary["answer"] != run.record.answers[0].label:
        return "summary and run differ"
    return "" if "data-mmviz" in files["html"].read_text("utf-8") else "there is no viewer"


def _by_service(trial: Trial) -> str:
    """A service on this machine returns the record that the model makes here."""
    serving = import_module("serving")
    backend = LocalBackend("cpu", {trial.spec: trial.model})
    options = {"new_tokens": trial.new_tokens} if hasattr(trial.model, "generate") else {}
    request = Request(trial.spec, trial.sample, options=tuple(options.items()))
    (here,) = backend.run([request])
    with serving.running_service(backend) as address:
        (there,) = RemoteBackend(address).run([request])
    if there.streams != here.streams or there.answers != here.answers:
        return "another record than here"
    equal = [
        np.array_equal(a.weights, b.weights)
        for a, b in zip(here.maps, there.maps, strict=True)
        if isinstance(a, AttentionMap) and isinstance(b, AttentionMap)
    ]  # fmt: skip
    return "" if all(equal) else "other weights than here"


def _by_page(trial: Trial) -> str:
    """The page opens on a run of the checkpoint, without an error."""
    page_tests = import_module("app_page")
    arguments, sys.argv = sys.argv, sys.argv[:1]  # which the script of the page reads as its own
    try:
        with _environment("MMVIZ_MODEL", trial.spec):
            page = page_tests.visit()
    finally:
        sys.argv = arguments
    state = page_tests.now(page)
    if state.error is not None:
        return str(state.error)
    return "" if state.run is not None and state.run.record.made_by["model"] == trial.spec else "another model's run"


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})
