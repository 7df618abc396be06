"""Whether what lights up matters: tokens are taken away in the order of their amounts, and the answer is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.experiments.modality_shapley import Baseline
from mmviz.types import INPUT_MODALITIES, AttentionRecord, Change, DropTokens, ReplaceInput, Request, Sample, Token

STEPS = 10
"""Tenths of the tokens are taken away one after the other."""
ORDERS = 10
"""Random orders, beside which a way of looking is judged."""
CHUNK = 64
"""Variants of one request: enough for a batch, few enough to stop between two."""
FLAT = 0.05
"""A probability that moves less than this from all tokens to none has nothing to explain."""
Verdict = Literal["yes", "half", "no", "flat"]


@dataclass(frozen=True, eq=False)
class FaithfulnessCurves:
    """``deletion`` and ``insertion`` float64 ``[step]``: probability of the answer, brought to 1 for all tokens and 0
    for none, while the strongest tokens go first, or come first; ``random`` ``[order, step]``: while they go in a
    random order. Steps are equal parts of the tokens, from none of them to all."""

    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]
    random: NDArray[np.float64]
    is_flat: bool

    @cached_property
    def areas(self) -> dict[str, float]:
        """Areas under the curves: ``deletion`` (small is good), ``insertion`` (large is good), ``random`` (mean over
        the orders; the same for both, since what is left of a random order is one)."""
        return {"deletion": _area(self.deletion), "insertion": _area(self.insertion),
                "random": float(self._random_areas.mean())}  # fmt: skip

    @cached_property
    def _random_areas(self) -> NDArray[np.float64]:
        return np.array([_area(one) for one in self.random])

    @property
    def score(self) -> float:
        """How far the way of looking beats chance: mean of ``random - deletion`` and ``insertion - random``; 0 is
        chance, and 1 cannot be passed."""
        areas = self.areas
        return (areas["insertion"] - areas["deletion"]) / 2

    @property
    def verdict(self) -> Verdict:
        """``yes``: better than every random order both ways; ``half``: one way; ``no``; ``flat``: nothing to
        explain."""
        if self.is_flat:
            return "flat"
        areas, chance = self.areas, self._random_areas
        wins = int(areas["deletion"] < chance.min()) + int(areas["insertion"] > chance.max())
        return ("no", "half", "yes")[wins]

    def band(self, inserted: bool = False) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Least, mean and largest of the random curves at every step, ``[step]`` each; of deletion or insertion."""
        found = self.random[:, ::-1] if inserted else self.random
        return found.min(0), found.mean(0), found.max(0)


def removable_tokens(tokens: Sequence[Token]) -> list[int]:
    """The tokens that can be taken away: those with a place in an input."""
    return [k for k, token in enumerate(tokens) if token.location is not None]


def token_removal(tokens: Sequence[Token], gone: Sequence[int], baseline: Baseline) -> tuple[Change, ...]:
    """The changes that take single tokens away: out of what is attended to, or replaced in the inputs."""
    if baseline == "learned":
        return (DropTokens(tuple(sorted(int(k) for k in gone))),)
    changes = []
    for modality in INPUT_MODALITIES:
        where = tuple(tokens[k].location for k in gone if tokens[k].modality is modality)
        places = tuple(place for place in where if place is not None)
        if places:
            changes.append(ReplaceInput(modality, baseline, places))
    return tuple(changes)


def curve_requests(
    model: str, sample: Sample, tokens: Sequence[Token], ways: Mapping[str, NDArray[Any]], baseline: Baseline = "learned",
    changes: tuple[Change, ...] = (), seed: int = 0,
) -> tuple[Request, ...]:  # fmt: skip
    """What has to be run for `read_curves`: deletion, insertion and `ORDERS` random orders, in batches.

    ``ways``: amounts ``[token]`` by the name of a way of looking. ``baseline``: ``learned`` takes tokens out of what the
    model attends to; anything else replaces their places in the inputs.
    Source: Petsiuk, Das and Saenko 2018, RISE, section 4.2 (deletion and insertion); the random band and the
    normalisation are ours.
    """
    variants = [token_removal(tokens, gone, baseline) for gone in _gone(tokens, ways, seed)]
    return tuple(
        Request(model, sample, changes, seed, maps=False, sweep=tuple(variants[first : first + CHUNK]))
        for first in range(0, len(variants), CHUNK)
    )


def read_curves(
    tokens: Sequence[Token], ways: Mapping[str, NDArray[Any]], records: Sequence[AttentionRecord]
) -> dict[str, FaithfulnessCurves]:
    """The curves of every way, of what `curve_requests` asked for (with the same tokens and ways).

    Formula: ``(p_k - p_none) / (p_all - p_none)`` with p the probability of the answer for all tokens.
    """
    swept = np.concatenate([np.exp(record.sweep[:, 0]) for record in records if record.sweep is not None])
    full, none = records[0].answers[0].probability, float(swept[0])
    is_flat = abs(full - none) < FLAT
    inner = STEPS - 1
    parts = swept[1:].reshape(-1, inner)
    scaled = np.zeros_like(parts) if is_flat else (parts - none) / (full - none)

    def whole(part: NDArray[np.float64], first: float, last: float) -> NDArray[np.float64]:
        return np.array([first, *part, last])

    random = np.stack([whole(part, 1.0, 0.0) for part in scaled[:ORDERS]])
    rest = scaled[ORDERS:].reshape(len(ways), 2, inner)
    return {
        map_ref: FaithfulnessCurves(whole(part[0], 1.0, 0.0), whole(part[1], 0.0, 1.0), random, is_flat)
        for map_ref, part in zip(ways, rest, strict=True)
    }


def _gone(tokens: Sequence[Token], ways: Mapping[str, NDArray[Any]], seed: int) -> Iterator[list[int]]:
    """The tokens that are taken away in each variant: all; random orders; the orders of the ways."""
    there = np.array(removable_tokens(tokens))
    counts = [round(len(there) * step / STEPS) for step in range(1, STEPS)]
    yield there.tolist()
    rng = np.random.default_rng(seed)
    for _ in range(ORDERS):
        order = rng.permutation(there)
        yield from (order[:count].tolist() for count in counts)
    for amounts in ways.values():
        order = there[np.argsort(-np.asarray(amounts)[there], kind="stable")]
        yield from (order[:count].tolist() for count in counts)
        yield from (order[count:].tolist() for count in counts)


def _area(curve: NDArray[np.float64]) -> float:
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))
