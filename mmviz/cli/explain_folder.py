"""``mmviz explain FOLDER_OR_CSV``: a run of each example, and the files that show it in one folder."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmviz.cli.change_options import changes_of
from mmviz.cli.map_options import (
    ShownMap,
    check_map_options,
    figure_of,
    given_map_options,
    needs_relevance,
    shown_map,
)
from mmviz.cli.options import (
    FIGURES,
    backend_from,
    backend_with,
    check_folder,
    prompt_settings,
    stop_on_interrupt,
    word_numbers,
)
from mmviz.cli.progress_line import remaining_text
from mmviz.cli.resumable_results import FORMATS, INDEX, OutputFolder
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.unicode_display import one_line
from mmviz.types import MmvizError

if TYPE_CHECKING:
    from mmviz.backends import Backend, Stop
    from mmviz.experiments.example_runs import ExampleRecord
    from mmviz.explain import Run
    from mmviz.inputs.example_folder_files import Source
    from mmviz.inputs.examples import Example

_SINGLE = ("image", "video", "text", "audio", "json", "npz", *FIGURES, "column", "csv", "html")
"""The options that are about one example."""
_ENDING = frozenset(
    {"file-unwritable", "backend-unreachable", "backend-busy", "backend-stopping", "backend-token", "backend-version"}
    | {"backend-resting", "options-model", "options-name"}
)
"""Codes of errors that each further example would have as well, so that they end the command."""


def explain_folder(options: argparse.Namespace) -> int:
    """Writes the files of each example, and the table of all. What is finished is not computed again.

    Returns exit code 0, or 1 where an example failed. Raises ``KeyboardInterrupt`` after a stop, ``MmvizError`` for
    what each example would fail by.
    """
    from mmviz.inputs.examples import load_examples

    formats = _checked_formats(options)
    examples = load_examples(options.folder)
    folder = Path(options.out)
    _check_out(options, folder, examples)
    backend, is_trained = backend_with(backend_from(options), options.model)
    settings = _settings(options, backend)
    digests = {example.id: _digest(example, settings) for example in examples}
    out = OutputFolder(folder, [example.id for example in examples])
    waiting = [example for example in examples if not out.is_finished(example.id, digests[example.id], formats)]
    if len(waiting) < len(examples):
        print(sentence("explain-finished", done=len(examples) - len(waiting), of=len(examples)), file=sys.stderr)
    errors: dict[str, str] = {}
    progress = _Progress(len(waiting))
    with stop_on_interrupt() as stop:
        try:
            for example, explained in _runs(options, backend, waiting, stop):
                try:
                    _write(out, example, digests[example.id], explained, formats, options)
                except MmvizError as error:
                    if error.code in _ENDING:
                        raise
                    errors[example.id] = one_line(str(error))
                    out.forget(example.id, digests[example.id])
                    progress.line(f"{one_line(example.id)}: {errors[example.id]}")
                progress.step()
        finally:  # what is done is kept, whatever ended it
            progress.end()
            out.write_index(digests, errors)
    done = len(examples) - len(waiting) + progress.done - len(errors)
    counts = {"done": done, "of": len(examples), "model": options.model, "failed": len(errors), "index": folder / INDEX}
    if progress.done < len(waiting):
        print(sentence("explain-stopped", **counts), file=sys.stderr)
        raise KeyboardInterrupt
    print(sentence("explain-failed" if errors else "explain-done", **counts))
    if not is_trained:
        print(sentence("average-untrained"))
    return 1 if errors else 0


def _checked_formats(options: argparse.Namespace) -> tuple[str, ...]:
    """Returns the kinds of files to write. Raises ``MmvizError`` for options that do not belong together."""
    single = next((option for option in _SINGLE if getattr(options, option) is not None), None)
    if single:
        raise MmvizError("explain-single", option=f"--{single}")
    if not options.out:
        raise MmvizError("explain-out")
    given = {part.strip() for part in ("html,json" if options.formats is None else options.formats).split(",")}
    formats = tuple(format for format in FORMATS if format in given)
    if len(formats) < len(given):
        raise MmvizError("explain-formats", value=options.formats)
    if options.keep == "exact" and "npz" not in formats:
        raise MmvizError("option-needs", option="--keep exact", needed="--formats npz")
    word_numbers(options.words)
    prompt_settings(options)
    changes_of(options)
    check_map_options(options, bool({"html", *FIGURES} & set(formats)), "--formats html, png, pdf or svg")
    return formats


def _check_out(options: argparse.Namespace, out: Path, examples: Sequence[Example]) -> None:
    """Refuses a folder whose files would be read as examples, or that holds their inputs. Raises ``MmvizError``."""
    from mmviz.inputs.example_manifest import LISTINGS

    check_folder(out)
    source, resolved = Path(options.folder).resolve(), out.resolve()
    is_listed = source.is_file() or any((source / name).is_file() for name in LISTINGS)
    folder = source.parent if source.is_file() else source
    inputs = [path for example in examples for path in (example.image, example.audio) if isinstance(path, Path)]
    is_among = resolved in {folder, *(path.parent for path in inputs)}
    if is_among or (not is_listed and resolved.is_relative_to(folder)):
        raise MmvizError("explain-out-inside", name=out.name or str(out))


def _settings(options: argparse.Namespace, backend: Backend) -> dict[str, Any]:
    """Returns what the files of every example depend on, as plain values."""
    import mmviz

    changes = list(map(str, changes_of(options)))
    digest = next(card.weights_digest for card in backend.models() if card.id == options.model)
    return {
        "mmviz": mmviz.__version__, "model": options.model, "weights": digest, "relevance": needs_relevance(options),
        "words": word_numbers(options.words), "keep": options.keep,
        **prompt_settings(options), **given_map_options(options), **({"changes": changes} if changes else {}),
    }  # fmt: skip


def _digest(example: Example, settings: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of the inputs of an example, as their files stand, and of the settings."""
    inputs = [example.question, *map(_file_digest, (example.image, example.audio)), *map(str, example.places)]
    return hashlib.sha256(json.dumps([settings, inputs], sort_keys=True).encode()).hexdigest()


def _file_digest(source: Source | None) -> str | None:
    if not isinstance(source, Path):
        return None if source is None else hashlib.sha256(source).hexdigest()
    try:
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"  # so that it is computed once it can be read


def _runs(
    options: argparse.Namespace, backend: Backend, examples: Sequence[Example], stop: Stop
) -> Iterator[tuple[Example, Run | MmvizError]]:
    """Yields each example with its run, as `mmviz.explain` makes it, or its error; no further one after ``stop``."""
    from mmviz.experiments.example_runs import TOGETHER, example_records
    from mmviz.types import Request, Sample

    settings, changes = tuple(prompt_settings(options).items()), changes_of(options)

    def request_of(sample: Sample) -> Request:
        return Request(
            options.model,
            sample,
            changes,
            relevance=needs_relevance(options),
            towers=True,
            depends_on=True,
            options=settings,
        )

    for first in range(0, len(examples), TOGETHER):
        for example, outcome in example_records(backend, examples[first : first + TOGETHER], request_of, stop):
            if outcome is None:
                return
            yield example, outcome if isinstance(outcome, MmvizError) else _run(outcome, backend)


def _run(outcome: ExampleRecord, backend: Backend) -> Run | MmvizError:
    """Returns the run of an example, or why it cannot be shown."""
    from mmviz.explain import Run

    record = outcome.record
    request = replace(outcome.request, answer=tuple(record.made_by.get("answer", ())))
    try:
        return Run(request.sample, record, backend, request)
    except MmvizError as error:
        return error


def _write(
    out: OutputFolder, example: Example, digest: str, explained: Run | MmvizError, formats: Sequence[str],
    options: argparse.Namespace,
) -> None:  # fmt: skip
    """Writes the files of an example. Raises ``MmvizError``."""
    if isinstance(explained, MmvizError):
        raise explained
    words = word_numbers(options.words)
    run = explained.about_words(words) if words else explained
    best = run.record.answers[0] if run.record.answers else None
    out.write(
        example.id, digest, best.label if best else "", best.probability if best else None,
        _contents(run, formats, options.keep, shown_map(options, run)),
    )  # fmt: skip


def _contents(run: Run, formats: Sequence[str], keep: Any, shown: ShownMap | None) -> Iterator[tuple[str, bytes]]:
    """Yields the files of a run, each as its format and content. ``shown``: what figures and documents show."""
    from mmviz.report.json_summary import measured_prior, run_summary

    prior = measured_prior(run) if {"json", "html"} & set(formats) else None
    contents: dict[str, Callable[[], bytes]] = {
        "html": lambda: run.to_html(prior, shown.view(run) if shown else None).encode(),
        "json": lambda: json.dumps(run_summary(run, prior), indent=1).encode(),
        "npz": lambda: run.to_bytes(keep),
        **{figure: partial(figure_of, run, figure, shown) for figure in FIGURES},
    }
    for format in formats:
        yield format, contents[format]()


class _Progress:
    """Prints to standard error how many examples are done, and about how long the rest takes."""

    def __init__(self, of: int):
        self.done, self._of, self._started = 0, of, time.monotonic()
        self._is_open = False

    def step(self) -> None:
        """Counts one more, and prints it over the line that was printed before."""
        self.done += 1
        text = remaining_text("explain", self.done, self._of, time.monotonic() - self._started)
        print(f"\r{text:<60}", end="", file=sys.stderr, flush=True)
        self._is_open = True

    def line(self, text: str) -> None:
        """Prints a line of its own."""
        print(f"\r{text:<60}" if self._is_open else text, file=sys.stderr, flush=True)
        self._is_open = False

    def end(self) -> None:
        """Ends the line of the progress."""
        if self._is_open:
            print(file=sys.stderr, flush=True)
            self._is_open = False
