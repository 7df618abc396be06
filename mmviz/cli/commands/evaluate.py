"""``mmviz evaluate``: the figures of the bundled models, measured again."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmviz.cli.options import check_file, check_number, progress_bar, require_extra
from mmviz.i18n.command_help import help_text
from mmviz.io.write_file import write_file

if TYPE_CHECKING:
    from mmviz.backends import Backend


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser("evaluate", help=help_text("evaluate"), description=help_text("evaluate-description"))
    parser.add_argument("--count", type=int, default=200, help=help_text("evaluate --count"))
    parser.add_argument("--map", dest="map_ref", metavar="MAP", help=help_text("evaluate --map"))
    parser.add_argument("--choose", action="store_true", help=help_text("evaluate --choose"))
    parser.add_argument("--fusions", action="store_true", help=help_text("evaluate --fusions"))
    parser.add_argument("--routes", action="store_true", help=help_text("evaluate --routes"))
    parser.add_argument("--stories", action="store_true", help=help_text("evaluate --stories"))
    parser.add_argument("--real", type=Path, metavar="FOLDER", help=help_text("evaluate --real"))
    parser.add_argument("--speech", type=Path, metavar="FOLDER", help=help_text("evaluate --speech"))
    parser.add_argument("--json", type=Path, metavar="FILE", help=help_text("evaluate --json"))
    parser.add_argument("--card", action="store_true", help=help_text("evaluate --card"))
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    require_extra("mmviz evaluate", "train", "scipy", "tqdm")
    check_number("--count", options.count, 1)
    if options.json:
        check_file(str(options.json))
    if options.fusions:
        return _fusions(options)
    if options.choose:
        return _choose(options)
    if options.routes:
        return _routes(options)
    if options.stories:
        return _stories(options)
    from mmviz.backends.local import LocalBackend
    from mmviz.training.evaluate import real_world
    from mmviz.training.evaluate.measure_model import count_runs, markdown, measure

    world = real_world.read(options.real, options.speech)
    backend = LocalBackend()
    map_ref, depends_on = _first_maps(options.map_ref, backend)
    with _progress(count_runs(options.count)) as (_, tick):
        result = measure(backend, "trio", map_ref, depends_on, options.count, tick)
    if options.real or options.speech:
        with _progress(world.count_runs()) as (_, tick):
            result["real"] = real_world.measure(backend, "trio", world, tick)
    _print_tables(markdown(result), result, options)
    if options.card:
        from mmviz.assets_path import assets_dir
        from mmviz.training.release.export import add_measured

        add_measured(assets_dir() / "trio", result)
    return 0


def _first_maps(text: str | None, backend: Backend) -> tuple[str, str]:
    """Returns the methods of the two maps of the first view of trio, the first as ``text`` where it is given.

    Raises ``MmvizError`` (``map-unknown``) for a map that no run of trio has.
    """
    from mmviz.analysis.answer_maps import depends_on_method
    from mmviz.explain import Run
    from mmviz.inputs.examples import load_gallery
    from mmviz.types import MapRef, MmvizError, Request

    sample = load_gallery()[0].sample()
    (record,) = backend.run([Request("trio", sample)])
    try:
        map_ref = text or Run(sample, record).reads_from().method
        record.map_number(MapRef.parse(map_ref))
    except (LookupError, ValueError):
        known = ", ".join(str(record.map_ref(number)) for number in range(len(record.maps)))
        raise MmvizError("map-unknown", map_ref=text, known=known) from None
    return map_ref, depends_on_method(record)


def _choose(options: argparse.Namespace) -> int:
    from mmviz.backends.local import LocalBackend
    from mmviz.training.evaluate.choose_maps import choose, count_runs, markdown
    from mmviz.training.evaluate.measure_model import fewer

    count = fewer(options.count)
    with _progress(count_runs(count)) as (_, tick):
        choice = choose(LocalBackend(), "trio", count, tick)
    _print_tables(markdown(choice), choice, options)
    if options.card:
        from mmviz.assets_path import assets_dir
        from mmviz.training.release.export import add_choice

        add_choice(assets_dir() / "trio", choice)
    return 0


def _fusions(options: argparse.Namespace) -> int:
    from mmviz.backends.local import LocalBackend
    from mmviz.training.evaluate.compare_fusions import compare, count_runs, markdown

    with _progress(count_runs(options.count)) as (_, tick):
        result = compare(LocalBackend(), options.count, tick)
    _print_tables(markdown(result), result, options)
    if options.card:
        from mmviz.training.fit.train_fusions import add_measured

        add_measured(result)
    return 0


def _routes(options: argparse.Namespace) -> int:
    from mmviz.backends.local import LocalBackend
    from mmviz.training.evaluate.route_effects import count_runs, markdown, measure

    with _progress(count_runs(options.count)) as (_, tick):
        result = measure(LocalBackend(), "trio", options.count, tick)
    _print_tables(markdown(result), result, options)
    if options.card:
        _add_to_card("routes", result)
    return 0


def _stories(options: argparse.Namespace) -> int:
    from mmviz.backends.local import LocalBackend
    from mmviz.models.question_templates import FAMILIES
    from mmviz.training.evaluate.measure_model import worlds
    from mmviz.training.evaluate.story_vs_ground_truth import SEED, figures, judge_stories, markdown

    world = worlds()["unseen scenes"]
    with _progress(options.count * len(FAMILIES)) as (_, tick):
        by_family = judge_stories(LocalBackend(), "trio", world, SEED, options.count, tick)
    result = figures(by_family, SEED, options.count)
    _print_tables(markdown(result), result, options)
    if options.card:
        _add_to_card("stories", result)
    return 0


def _add_to_card(name: str, result: dict[str, Any]) -> None:
    from mmviz.assets_path import assets_dir
    from mmviz.training.release.export import add_to_card

    add_to_card(assets_dir() / "trio", name, result)


@contextmanager
def _progress(total: int) -> Iterator[tuple[Any, Callable[[str], None]]]:
    """Yields a progress bar, and the function that moves it on by one run with a label."""
    with progress_bar(total) as bar:

        def tick(label: str) -> None:
            bar.set_description(label)
            bar.update()

        yield bar, tick


def _print_tables(tables: str, result: dict[str, Any], options: argparse.Namespace) -> None:
    print(tables)
    if options.json:
        write_file(str(options.json), json.dumps(result, indent=1).encode())
