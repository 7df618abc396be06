"""Whether the tokens that a method marks matter for the answer: deletion and insertion curves beside random orders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.answer_shares import written_log_probability
from mmviz.analysis.available_maps import last_keys
from mmviz.backends import Backend, Progress, Stop, ignore_progress, never_stop
from mmviz.experiments.removals import Baseline, removable_tokens, token_removal
from mmviz.experiments.sweep_requests import sweep_requests
from mmviz.types import AttentionRecord, Modality, Request, Token
from mmviz.types.best_answer import best_answer

STEPS = 10
"""The curves have this many steps of equally many tokens."""
ORDERS = 10
"""Random orders that a method is compared with."""
CHUNK = 64
"""Variants in the sweep of one request: enough for a batch, few enough to stop between two."""
FLAT = 0.05
"""There is nothing to explain if the answer's probability changes by less than this from all tokens to none."""
FLAT_NATS = 0.1
"""The same for the log-probability of a written answer, in nats."""
Verdict = Literal["yes", "half", "no", "flat"]


@dataclass(frozen=True, eq=False)
class FaithfulnessCurves:
    """Probability of the answer while tokens are removed or inserted, scaled to 1 for all tokens and 0 for none.

    Of a written answer it is the log-probability: the probability of a text of several tokens is near 0 throughout.
    Steps are equal fractions of the removable tokens, from none of them to all.
    """

    deletion: NDArray[np.float64]
    """``[step]``, while the tokens are removed, those with the largest amounts first."""
    insertion: NDArray[np.float64]
    """``[step]``, while the tokens are inserted, those with the largest amounts first."""
    random: NDArray[np.float64]
    """``[order, step]``, while the tokens are removed in a random order."""
    is_flat: bool
    """Whether it changes too little to compare anything, see `FLAT` and `FLAT_NATS`."""

    @cached_property
    def areas(self) -> dict[str, float]:
        """Areas under the curves: ``deletion`` (small is good), ``insertion`` (large is good) and ``random``.

        ``random`` is the mean over the orders. It holds for deletion and insertion alike, since a random order read
        backwards is a random order.
        """
        return {
            "deletion": _area(self.deletion),
            "insertion": _area(self.insertion),
            "random": float(self._random_areas.mean()),
        }

    @cached_property
    def _random_areas(self) -> NDArray[np.float64]:
        return np.array([_area(curve) for curve in self.random])

    @property
    def score(self) -> float:
        """By how much the method is better than chance: the mean of ``random - deletion`` and ``insertion - random``.

        0 is chance, and no method reaches more than 1.
        """
        areas = self.areas
        return (areas["insertion"] - areas["deletion"]) / 2

    @property
    def verdict(self) -> Verdict:
        """``yes`` if deletion and insertion are both better than every random order, ``half`` if one is, else ``no``.

        ``flat`` if there is nothing to explain.
        """
        if self.is_flat:
            return "flat"
        areas, random_areas = self.areas, self._random_areas
        wins = int(areas["deletion"] < random_areas.min()) + int(areas["insertion"] > random_areas.max())
        return ("no", "half", "yes")[wins]

    def band(self, inserted: bool = False) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Returns minimum, mean and maximum of the random curves, ``[step]`` each, for deletion or insertion."""
        random = self.random[:, ::-1] if inserted else self.random
        return random.min(0), random.mean(0), random.max(0)


def curve_requests(
    request: Request, tokens: Sequence[Token], amounts: Mapping[str, NDArray[Any]], baseline: Baseline = "learned",
    modality: Modality | None = None,
) -> tuple[Request, ...]:  # fmt: skip
    """Returns the requests that `read_curves` needs the records of: deletion, insertion and `ORDERS` random orders.

    ``amounts`` maps the name of each method to its amounts ``[token]``, for all of ``tokens``. Removed are tokens of
    all modalities, or of one ``modality`` while the others stay.
    Source: Petsiuk, Das and Saenko 2018, RISE, section 4.2 (deletion and insertion); the random orders and the scaling
    are ours.
    """
    removable = [k for k in removable_tokens(tokens) if modality in (None, tokens[k].modality)]
    all_removed = _removed_tokens(np.array(removable, np.int64), amounts, request.seed)
    variants = [token_removal(tokens, removed, baseline) for removed in all_removed]
    return sweep_requests(request, variants, CHUNK)


def variant_count(methods: int) -> int:
    """Returns how often the model runs to measure the curves of this many methods."""
    return 1 + (STEPS - 1) * (ORDERS + 2 * methods)


def measure_faithfulness(
    backend: Backend,
    request: Request,
    record: AttentionRecord,
    amounts: Mapping[str, NDArray[Any]],
    baseline: Baseline = "learned",
    progress: Progress = ignore_progress,
    stop: Stop = never_stop,
    modality: Modality | None = None,
) -> dict[str, FaithfulnessCurves] | None:
    """Runs `curve_requests` and returns the curves of each method.

    If it was stopped, they are those of the methods that were measured until then, the first ones; None if there are
    none.

    ``record`` is that of ``request``. ``amounts`` are of the key tokens of its last map, as of
    `mmviz.analysis.attributions.attributions`. Raises ``MmvizError`` (``answer-none``) for a model without answers.
    """
    best_answer(record)
    tokens = last_keys(record)
    requests = curve_requests(request, tokens, amounts, baseline, modality)
    records = backend.run(requests, progress, stop)
    return read_curves(amounts, records) or None


def read_curves(methods: Iterable[str], records: Sequence[AttentionRecord]) -> dict[str, FaithfulnessCurves]:
    """Returns the curves of each method that the records of `curve_requests` show; ``methods`` in the same order.

    There may be fewer records than requests; then methods that they do not show whole are left out.

    Formula: ``(p_k - p_none) / (p_all - p_none)`` with p the probability of the answer for all tokens, or the
    log-probability of a written one.
    """
    rows = [record.sweep[:, 0] for record in records if record.sweep is not None]
    swept = np.concatenate(rows) if rows else np.zeros(0)
    inner = STEPS - 1
    names = list(methods)[: max(0, len(swept) - variant_count(0)) // (2 * inner)]
    if not names:
        return {}
    p_all, least = written_log_probability(records[0]), FLAT_NATS
    if p_all is None:
        swept, p_all, least = np.exp(swept), records[0].answers[0].probability, FLAT
    p_none = float(swept[0])
    is_flat = abs(p_all - p_none) < least
    values = swept[1 : variant_count(len(names))].reshape(-1, inner)
    curves = np.zeros_like(values) if is_flat else (values - p_none) / (p_all - p_none)

    def with_ends(curve: NDArray[np.float64], first: float, last: float) -> NDArray[np.float64]:
        return np.array([first, *curve, last])

    random = np.stack([with_ends(curve, 1.0, 0.0) for curve in curves[:ORDERS]])
    pairs = curves[ORDERS:].reshape(len(names), 2, inner)
    return {
        name: FaithfulnessCurves(with_ends(deletion, 1.0, 0.0), with_ends(insertion, 0.0, 1.0), random, is_flat)
        for name, (deletion, insertion) in zip(names, pairs, strict=True)
    }


def _removed_tokens(
    removable: NDArray[Any], amounts: Mapping[str, NDArray[Any]], seed: int
) -> Iterator[list[int]]:  # fmt: skip
    """Yields the tokens that each variant removes: all of them; then random orders; then deletion and insertion of each
    method."""
    counts = [round(len(removable) * step / STEPS) for step in range(1, STEPS)]
    yield removable.tolist()
    rng = np.random.default_rng(seed)
    for _ in range(ORDERS):
        order = rng.permutation(removable)
        yield from (order[:count].tolist() for count in counts)
    for method_amounts in amounts.values():
        order = removable[np.argsort(-np.asarray(method_amounts)[removable], kind="stable")]
        yield from (order[:count].tolist() for count in counts)
        yield from (order[count:].tolist() for count in counts)


def _area(curve: NDArray[np.float64]) -> float:
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))
