"""The tables that ``mmviz evaluate`` prints, measured afresh each time."""

from __future__ import annotations

import platform
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from mmviz.analysis.map_weights import attention_row
from mmviz.backends import Backend
from mmviz.models.question_templates import FAMILIES, NEEDS
from mmviz.training.evaluate.metrics import DEAR, OWN_SCENES, Pointing, accuracy, cases, effects, pointing
from mmviz.training.world.examples import World
from mmviz.training.world.speech import default_cache, open_or_build
from mmviz.training.world.sprites import concepts, styles
from mmviz.types import MapRef, Request, ShuffleWeights

SEED, CHOOSING_SEED = 20_000, 30_000
SHUFFLES = (7, 8, 9)
TIMED, UNTIMED = 30, 3
"""Calls whose time is measured, and calls before them that warm up."""
Tick = Callable[[str], None]


def worlds() -> dict[str, World]:
    """The training art and voices on unseen scenes; held-out art; held-out voices."""
    words, cache = concepts(), default_cache()
    train_voices, other_voices = open_or_build(cache, "train", words), open_or_build(cache, "held_out", words)
    return {
        "unseen scenes": World(styles(), train_voices),
        "held-out art": World(styles(held_out=True), train_voices),
        "held-out voices": World(styles(), other_voices),
    }


def rank_ways(backend: Backend, model: str, count: int, tick: Tick) -> list[tuple[str, float, float]]:
    """Ways of looking, best first, by the worse of picture and sound pointing, on seeds of their own."""
    table = pointing(backend, model, worlds()["unseen scenes"], CHOOSING_SEED, count, tick=lambda: tick("choosing"))
    rows = [
        (map_ref, found.total("image").rate, found.total("audio").rate)
        for map_ref, found in table.items()
        if map_ref != "energy"
    ]
    return sorted(rows, key=lambda row: -min(row[1:]))


def measure(backend: Backend, model: str, map_ref: str, count: int, tick: Tick) -> dict[str, Any]:
    """Everything that ``mmviz evaluate`` prints, as plain values."""
    places = worlds()
    result: dict[str, Any] = {"seed": SEED, "count": count, "map_ref": map_ref, "machine": machine(), "accuracy": {}}
    for name, world in places.items():
        found = accuracy(backend, model, world, SEED, count, tick=lambda name=name: tick(name))  # type: ignore[misc]
        result["accuracy"][name] = {
            family: {"accuracy": score.rate, "majority": majority} for family, (score, majority) in found.items()
        }
    table = pointing(backend, model, places["unseen scenes"], SEED, count, tick=lambda: tick("pointing"))
    best = max((w for w in table if w.startswith("head")), key=lambda w: min(_both(table[w])))
    table |= pointing(
        backend, model, places["unseen scenes"], SEED, fewer(count), is_dear=True, tick=lambda: tick("dear ways")
    )
    means = [w for w in table if w.startswith("mean")]
    shown = list(dict.fromkeys([map_ref, *means, best, "rollout", "relevance", *DEAR]))
    result["pointing"] = {w: _plain(table[w]) for w in shown}
    result["energy"] = {"audio": table["energy"].total("audio").rate}
    shuffled = (ShuffleWeights(SHUFFLES[0]),)
    control = pointing(
        backend, model, places["unseen scenes"], SEED, fewer(count), [MapRef.parse(map_ref)], shuffled,
        tick=lambda: tick("shuffled weights"),
    )  # fmt: skip
    scores = effects(backend, model, places["unseen scenes"], SEED, count, tick=lambda: tick("effect"))
    result["effect"] = {family: vars(score) for family, score in scores.items()}
    result["milliseconds"] = milliseconds(backend, model, places["unseen scenes"])
    result["shuffled"] = {
        **_plain(control[map_ref]),
        "spearman": _likeness(backend, model, places["unseen scenes"], map_ref),
    }
    return result


def fewer(count: int) -> int:
    """So many trios a family for what takes long."""
    return max(20, count // 4)


def milliseconds(backend: Backend, model: str, world: World) -> dict[str, float]:
    """Median time of each stage of a call with picture, text and sound, one after the other, warmed up."""
    sample = next(cases(world, SEED, "relheard", 1, busy=True)).sample
    made = [backend.run([Request(model, sample)])[0].made_by["milliseconds"] for _ in range(UNTIMED + TIMED)]
    return {stage: float(np.median([times[stage] for times in made[UNTIMED:]])) for stage in made[0]}


def _both(found: Pointing) -> tuple[float, float]:
    return found.total("image").rate, found.total("audio").rate


def _plain(found: Pointing) -> dict[str, Any]:
    families = {
        modality: {family: score.rate for family, score in scores.items()}
        for modality, scores in (("image", found.image), ("audio", found.audio))
    }
    image, audio = found.total("image"), found.total("audio")
    return {"image": image.rate, "image chance": image.blind, "audio": audio.rate, "audio chance": audio.blind,
            "families": families}  # fmt: skip


def _likeness(backend: Backend, model: str, world: World, map_ref: str) -> float:
    """Mean absolute Spearman correlation between maps of trained weights and of three shuffles, over the patches of
    picture questions and the frames of sound questions."""
    from scipy.stats import spearmanr

    found = []
    for seed, family in product(SHUFFLES, ("there", "heard")):
        for case in cases(world, SEED, family, 20, busy=True):
            records = [
                backend.run([Request(model, case.sample, changes, relevance=map_ref == "relevance")])[0]
                for changes in ((), (ShuffleWeights(seed),))
            ]
            modality = "image" if family == "there" else "audio"
            tokens = records[0].streams[records[0].maps[-1].keys]
            kept = [k for k, token in enumerate(tokens) if token.modality == modality and token.location is not None]
            maps = [
                attention_row(record, MapRef.parse(map_ref), 0, "from", record.relevance)[kept] for record in records
            ]
            found.append(abs(float(spearmanr(*maps).statistic)))
    return float(np.mean(found))


def machine() -> str:
    """Processor, threads and torch, as the tables name them."""
    import torch

    threads = torch.get_num_threads()
    cpu = f"{threads} CPU thread" + "s" * (threads > 1)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else cpu
    return f"{platform.machine()}, {device}, torch {torch.__version__}"


def markdown(result: dict[str, Any]) -> str:
    """The tables as the README and the card hold them."""
    groups = result["accuracy"]
    lines = [
        f"{result['count']} trios a family, seed {result['seed']}, {result['machine']}.", "",
        "| family | majority | " + " | ".join(groups) + " |", "|---|---|" + "---|" * len(groups),
    ]  # fmt: skip
    first = next(iter(groups.values()))
    for family in FAMILIES:
        values = " | ".join(f"{group[family]['accuracy']:.2f}" for group in groups.values())
        lines.append(f"| {family} | {first[family]['majority']:.2f} | {values} |")
    means = " | ".join(f"**{np.mean([row['accuracy'] for row in group.values()]):.2f}**" for group in groups.values())
    lines += [f"| **all** | {np.mean([row['majority'] for row in first.values()]):.2f} | {means} |", ""]
    lines += ["| way of looking | picture | sound | name, one thing | mask, two things |", "|---|---|---|---|---|"]
    for map_ref, row in result["pointing"].items():
        chosen = " (chosen)" if map_ref == result["map_ref"] else ""
        own = " | ".join(f"{row['families']['image'].get(family, float('nan')):.2f}" for family in OWN_SCENES)
        lines.append(f"| {map_ref}{chosen} | {row['image']:.2f} | {row['audio']:.2f} | {own} |")
    row, control = result["pointing"][result["map_ref"]], result["shuffled"]
    lines.append(f"| chance | {row['image chance']:.2f} | {row['audio chance']:.2f} | | |")
    lines.append(f"| loudest frame | | {result['energy']['audio']:.2f} | | |")
    lines.append(f"| {result['way']}, shuffled weights | {control['image']:.2f} | {control['audio']:.2f} | | |")
    times = result["milliseconds"]
    before, after = (f"{times[stage]:.0f} ms" for stage in ("prepare", "capture"))
    lines += ["", f"One call of the model takes {times['model']:.0f} ms while it is watched; reading the inputs takes "
              f"{before} before it, and checking the maps {after} after it (medians of {TIMED})."]  # fmt: skip
    likeness = f"|Spearman| = {control['spearman']:.2f} (mean over three shuffles)"
    lines += ["", f"Maps of shuffled weights resemble the trained ones by {likeness}.", ""]
    families = [f for f in FAMILIES if f in row["families"]["image"] or f in row["families"]["audio"]]
    lines += ["| pointing by family (" + result["map_ref"] + ") | picture | sound |", "|---|---|---|"]
    for family in families:
        cells = (row["families"][modality].get(family) for modality in ("image", "audio"))
        lines.append(f"| {family} | " + " | ".join("" if cell is None else f"{cell:.2f}" for cell in cells) + " |")
    lines += ["", "| effect by family | not needed | it has the smallest share, below 0.15 | picture | words | sound |",
              "|---|---|---|---|---|---|"]  # fmt: skip
    names = {"image": "picture", "text": "words", "audio": "sound"}
    for family, row in result["effect"].items():
        shares = " | ".join(f"{row['shares'][modality]:.2f}" for modality in names)
        lines.append(f"| {family} | {names[row['spare']]} | {row['rate']:.2f} | {shares} |")
    return "\n".join(lines)


def trials(count: int, choose: bool) -> int:
    """How many trios will be run, for a progress bar."""
    if choose:
        return count * len(FAMILIES)
    alone = sum(len(needed) == 1 for needed in NEEDS.values())
    return (count * 4 + 2 * fewer(count)) * len(FAMILIES) + count * alone
