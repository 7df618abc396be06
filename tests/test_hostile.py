"""Hostile pictures, sounds, texts, model folders and saved runs: a typed refusal or a right result, and small."""

from __future__ import annotations

import collections
from pathlib import Path

from hostile import HEADER_TELLS, costs


def test_every_hostile_thing_is_refused_in_words_or_taken_as_it_is(tmp_path: Path) -> None:
    found = list(costs(tmp_path))  # anything but a refusal is raised here
    kinds = collections.Counter(one.kind for one in found)
    assert min(kinds.values()) >= 14 and len({(one.kind, one.name) for one in found}) == len(found) >= 120
    for one in found:
        assert one.code or not one.header_tells, f"{one.name} was taken"
        assert one.megabytes < (HEADER_TELLS[1] if one.header_tells else 200), one
    taken = {one.name for one in found if one.code is None}
    assert {"png with a page behind it", "ogg twice", "markup", "LaTeX", "answers of markup"} <= taken
