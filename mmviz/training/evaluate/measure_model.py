"""The tables that ``mmviz evaluate`` prints: measuring them, and writing them as Markdown."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np

from mmviz.analysis.answer_maps import method_row
from mmviz.backends import Backend
from mmviz.models.question_templates import FAMILIES, NEEDS
from mmviz.training.evaluate.calibration import Calibration
from mmviz.training.evaluate.calibration import tables as calibration_tables
from mmviz.training.evaluate.evaluation_cases import OWN_SCENES, cases
from mmviz.training.evaluate.metrics import POINTING, SLOW_METHODS, Pointing, accuracy, effects, fields_of, pointing
from mmviz.training.evaluate.real_world import tables as real_tables
from mmviz.training.world.examples import World
from mmviz.training.world.speech_bank import default_cache, open_or_build
from mmviz.training.world.sprites import concepts, styles
from mmviz.types import Request, ShuffleWeights

SEED, CHOOSING_SEED = 20_000, 30_000
SHUFFLES = (7, 8, 9)
TIMED, WARM_UP = 30, 3
"""Calls whose time is measured, and calls before them."""
Tick = Callable[[str], None]
"""Called after each run with the name of the stage."""


def worlds() -> dict[str, World]:
    """Returns three worlds: training art and voices in unseen scenes, held-out art, held-out voices."""
    words, cache = concepts(), default_cache()
    train_voices, held_out_voices = (open_or_build(cache, split, words) for split in ("train", "held_out"))
    return {
        "unseen scenes": World(styles(), train_voices),
        "held-out art": World(styles(held_out=True), train_voices),
        "held-out voices": World(styles(), held_out_voices),
    }


def measure(backend: Backend, model: str, map_ref: str, depends_on: str, count: int, tick: Tick) -> dict[str, Any]:
    """Returns all figures that ``mmviz evaluate`` prints, as plain values.

    ``map_ref`` and ``depends_on``: the methods of the two maps of the first view; the second is what pointing is judged
    by.
    """
    by_name = worlds()
    result: dict[str, Any] = {
        "seed": SEED, "count": count, "map_ref": map_ref, "depends_on": depends_on, "machine": machine(),
        "accuracy": {},
    }  # fmt: skip
    details = next((card.details for card in backend.models() if card.id == model), {})
    temperature = float(details.get("confidence", {}).get("temperature", 1.0))
    calibrations = {name: Calibration(temperature) for name in by_name}
    for name, world in by_name.items():
        by_family = accuracy(
            backend, model, world, SEED, count, tick=lambda name=name: tick(name), each=calibrations[name].add  # type: ignore[misc]
        )  # fmt: skip
        result["accuracy"][name] = {
            family: {"accuracy": score.rate, "majority": majority} for family, (score, majority) in by_family.items()
        }
    result["calibration"] = {name: calibration.figures() for name, calibration in calibrations.items()}
    table = pointing(backend, model, by_name["unseen scenes"], SEED, count, tick=lambda: tick("pointing"))
    single_heads = (ref for ref in table if ":" in ref and not ref.endswith(":mean"))
    best = max(single_heads, key=lambda ref: min(_rates(table[ref])))
    table |= pointing(
        backend,
        model,
        by_name["unseen scenes"],
        SEED,
        fewer(count),
        SLOW_METHODS,
        tick=lambda: tick("slow methods"),
    )
    means = [ref for ref in table if ref.endswith(":mean")]
    shown = list(dict.fromkeys([map_ref, depends_on, *means, best, "rollout", "relevance", *SLOW_METHODS]))
    result["pointing"] = {method: _plain(table[method]) for method in shown}
    result["loudest frame"] = {"audio": table["loudest frame"].total("audio").rate}
    shuffled = (ShuffleWeights(SHUFFLES[0]),)
    control = pointing(
        backend, model, by_name["unseen scenes"], SEED, fewer(count), [depends_on], shuffled,
        tick=lambda: tick("shuffled weights"),
    )  # fmt: skip
    scores = effects(backend, model, by_name["unseen scenes"], SEED, count, tick=lambda: tick("effect"))
    result["effect"] = {family: vars(score) for family, score in scores.items()}
    result["milliseconds"] = milliseconds(backend, model, by_name["unseen scenes"])
    result["shuffled"] = {
        **_plain(control[depends_on]),
        "spearman": _shuffle_similarity(backend, model, by_name["unseen scenes"], depends_on),
    }
    return result


def fewer(count: int) -> int:
    """Returns the number of examples per family for measurements that take long."""
    return max(20, count // 4)


def milliseconds(backend: Backend, model: str, world: World) -> dict[str, float]:
    """Returns the median time of each stage of a run with all three modalities, after a warm-up, in milliseconds."""
    sample = next(cases(world, SEED, "relheard", 1, busy=True)).sample
    runs = [backend.run([Request(model, sample)])[0].made_by["milliseconds"] for _ in range(WARM_UP + TIMED)]
    return {stage: float(np.median([times[stage] for times in runs[WARM_UP:]])) for stage in runs[0]}


def _rates(scores: Pointing) -> tuple[float, float]:
    return scores.total("image").rate, scores.total("audio").rate


def _plain(pointing_scores: Pointing) -> dict[str, Any]:
    plain: dict[str, Any] = {"families": {}}
    for target in POINTING:
        score = pointing_scores.total(target)
        plain |= {target: score.rate, f"{target} chance": score.chance_rate}
        plain["families"][target] = {family: each.rate for family, each in getattr(pointing_scores, target).items()}
    return plain


def _shuffle_similarity(backend: Backend, model: str, world: World, method: str) -> float:
    """Returns the mean absolute Spearman correlation between maps of trained weights and of three shuffles.

    Over the patches of questions about the image and the frames of questions about the sound (Adebayo et al. 2018).
    """
    from scipy.stats import spearmanr

    correlations = []
    for seed, family in product(SHUFFLES, ("there", "heard")):
        for case in cases(world, SEED, family, 20, busy=True):
            records = [
                backend.run([Request(model, case.sample, changes, **fields_of([method]))])[0]
                for changes in ((), (ShuffleWeights(seed),))
            ]
            modality = "image" if family == "there" else "audio"
            tokens = records[0].streams[records[0].maps[-1].keys]
            kept = [k for k, token in enumerate(tokens) if token.modality == modality and token.location is not None]
            maps = [method_row(record, method)[1][kept] for record in records]
            correlations.append(abs(float(spearmanr(*maps).statistic)))
    return float(np.mean(correlations))


def machine() -> str:
    """Returns processor, threads and torch version, as the tables name them."""
    import torch

    threads = torch.get_num_threads()
    cpu = f"{threads} CPU thread" + "s" * (threads > 1)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu
    return f"{platform.machine()}, {device}, torch {torch.__version__}"


def markdown(result: dict[str, Any]) -> str:
    """Returns the tables as docs/model-card.md has them."""
    groups = result["accuracy"]
    lines = [
        f"{result['count']} examples a family, seed {result['seed']}, {result['machine']}.", "",
        "| family | majority | " + " | ".join(groups) + " |", "|---|---|" + "---|" * len(groups),
    ]  # fmt: skip
    first = next(iter(groups.values()))
    for family in FAMILIES:
        values = " | ".join(f"{group[family]['accuracy']:.2f}" for group in groups.values())
        lines.append(f"| {family} | {first[family]['majority']:.2f} | {values} |")
    means = " | ".join(f"**{np.mean([row['accuracy'] for row in group.values()]):.2f}**" for group in groups.values())
    lines += [f"| **all** | {np.mean([row['majority'] for row in first.values()]):.2f} | {means} |", ""]
    lines += [*calibration_tables(result.get("calibration", {})), ""]
    lines += ["| method | object answered | all objects of the question | audio | name, one thing | mask, two things |",
              "|---|---|---|---|---|---|"]  # fmt: skip
    for method, row in result["pointing"].items():
        own = " | ".join(f"{row['families']['image'].get(family, float('nan')):.2f}" for family in OWN_SCENES)
        lines.append(f"| {named(method, result)} | {_cells(row)} | {own} |")
    row, control = result["pointing"][result["depends_on"]], result["shuffled"]
    lines.append(f"| chance | {_cells({target: row[f'{target} chance'] for target in POINTING})} | | |")
    lines.append(f"| loudest frame | | | {result['loudest frame']['audio']:.2f} | | |")
    lines.append(f"| {result['depends_on']}, shuffled weights | {_cells(control)} | | |")
    times = result["milliseconds"]
    before, after = (f"{times[stage]:.0f} ms" for stage in ("prepare", "capture"))
    lines += ["", f"One call of the model takes {times['model']:.0f} ms while attention is captured; reading the "
              f"inputs takes {before} before it, checking the maps {after} after it (medians of {TIMED})."]  # fmt: skip
    similarity = f"|Spearman| = {control['spearman']:.2f} (mean over three shuffles)"
    lines += ["", f"Maps of shuffled weights resemble those of trained weights by {similarity}.", ""]
    for method in dict.fromkeys((result["depends_on"], result["map_ref"])):
        families = result["pointing"][method]["families"]
        lines += [f"| pointing by family: {named(method, result)} | object answered | all objects | audio |",
                  "|---|---|---|---|"]  # fmt: skip
        for family in (f for f in FAMILIES if any(f in families[target] for target in POINTING)):
            cells = (families[target].get(family) for target in POINTING)
            lines.append(f"| {family} | " + " | ".join("" if cell is None else f"{cell:.2f}" for cell in cells) + " |")
        lines.append("")
    lines.pop()
    lines += ["", "| effect by family | not needed | it has the smallest share, below 0.15 | image | text | audio |",
              "|---|---|---|---|---|---|"]  # fmt: skip
    modalities = ("image", "text", "audio")
    for family, row in result["effect"].items():
        shares = " | ".join(f"{row['shares'][modality]:.2f}" for modality in modalities)
        lines.append(f"| {family} | {row['unneeded']} | {row['rate']:.2f} | {shares} |")
    if "real" in result:
        lines += ["", real_tables(result["real"])]
    return "\n".join(lines)


def named(method: str, result: Mapping[str, Any]) -> str:
    """Returns a method with the maps of the first view that ``result`` shows by it, ``map_ref`` and ``depends_on``."""
    roles = {"reads from": result["map_ref"], "depends on": result["depends_on"]}
    names = ", ".join(role for role, chosen in roles.items() if chosen == method)
    return f"{method} ({names})" if names else method


def _cells(row: Mapping[str, float]) -> str:
    return " | ".join(f"{row[target]:.2f}" for target in POINTING)


def count_runs(count: int) -> int:
    """Returns how many runs are made, for a progress bar."""
    single = sum(len(needed) == 1 for needed in NEEDS.values())
    return (count * 4 + 2 * fewer(count)) * len(FAMILIES) + count * single
