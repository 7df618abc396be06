"""Hostile images, audio, texts, model folders and saved runs: an error with a sentence or a correct result."""

from __future__ import annotations

import collections
from pathlib import Path

import pytest
from hostile import HEADER_LIMITS, costs

pytestmark = [pytest.mark.slow, pytest.mark.long]


def test_every_hostile_input_is_refused_or_accepted_as_data(tmp_path: Path) -> None:
    results = list(costs(tmp_path))  # raises anything but an MmvizError
    kinds = collections.Counter(cost.kind for cost in results)
    assert min(kinds.values()) >= 14 and len({(cost.kind, cost.name) for cost in results}) == len(results) >= 120
    for cost in results:
        assert cost.code or not cost.bad_header, f"{cost.name} was accepted"
        assert cost.megabytes < (HEADER_LIMITS[1] if cost.bad_header else 200), cost
    accepted = {cost.name for cost in results if cost.code is None}
    assert {"png with a page behind it", "ogg twice", "markup", "LaTeX", "answers of markup"} <= accepted
