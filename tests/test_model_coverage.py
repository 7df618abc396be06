"""Twelve families of the coverage table: what capture records of them is right by their own weights and configs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.model_coverage.build_registry import AREAS, TESTED, build_of
from tools.model_coverage.judge_build import judge_build

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("family", TESTED)
def test_what_is_recorded_of_a_family_is_right(family: str) -> None:
    outcome = judge_build(build_of(family))
    assert outcome.all_wrong == {}
    assert outcome.is_whole, "every softmax over tokens is recorded"


def test_the_table_has_at_least_95_builds_of_which_none_is_twice() -> None:
    families = [build.family for builds in AREAS.values() for build in builds]
    assert len(families) == len(set(families)) and len(families) >= 95
