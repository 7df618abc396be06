"""What many tests share."""

from __future__ import annotations

import os
import shutil

import pytest

# Before torch or numpy is loaded, and for the programs that tests start: one thread a process, as several run at once.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked ``espeak`` need the program espeak-ng."""
    if item.get_closest_marker("espeak") and shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium or Chrome; the test is skipped where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no chromium, chromium-browser or google-chrome is installed")
