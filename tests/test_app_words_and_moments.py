"""Words and moments in lesson 6: of a model that writes down speech, and the command that shows one for any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_checkpoints  # first: it sets what transformers reads
from app_page import FULL, markup, notes, now, run, settled, visit

from mmviz.app.pages.learn.words_and_moments import COMMAND
from mmviz.types import Rows, Seconds

pytestmark = pytest.mark.slow

OPENED = {"at-head": "0"}
"""A control in the address opens the lesson, as its question would if it were answered."""


def test_each_word_stands_beside_the_moment_that_its_head_attends_to_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_checkpoints.save_checkpoint("whisper", tmp_path)
    settings = json.loads((folder / "generation_config.json").read_text()) | {"alignment_heads": [[0, 1], [1, 3]]}
    settings.pop("_from_model_config", None)  # as in checkpoints with settings of their own
    (folder / "generation_config.json").write_text(json.dumps(settings))
    monkeypatch.setenv("MMVIZ_MODEL", f"hf:{folder}")
    page = visit(page="learn", lesson="cross-modal", example=FULL.id, **OPENED)
    if now(page).experiments:
        settled(page)
    shown = now(page).run
    assert shown is not None and not notes(page, "error")
    record = shown.record
    count = len(record.made_by["answer"])
    first = len(record.streams["decoder"]) - count
    queries = tuple(range(first - 1, first + count - 1))

    def moments(*heads: tuple[int, int]) -> list[str]:
        """Returns the cells of the strongest moments, as the record itself has them."""
        numbers = [k for k, attn_map in enumerate(record.maps) if attn_map.stack == record.default_stack]
        views = [shown.view(Rows(record.map_ref(numbers[layer], head), queries)) for layer, head in heads]
        places = [record.streams["encoder"][int(k)].location for k in np.mean(views, 0).argmax(1)]
        return [f"<td>{place.start:.2f} s</td>" if isinstance(place, Seconds) else "<td>–</td>" for place in places]

    def cells() -> list[str]:
        table = next(text for text in markup(page).split("<table") if "<caption>The moment" in text)
        return [f"<td>{row.split('<td>')[1]}" for row in table.split("<tr>")[2:]]

    assert cells() == moments((0, 1), (1, 3))
    box = next(box for box in page.selectbox if box.label == "Cross-attention heads")
    assert box.options[2] == "layer 1, head 2 (alignment head)" and box.options[3] == "layer 1, head 3"
    box.set_value(3)
    run(page)
    assert cells() == moments((0, 2)) and cells() != moments((0, 1), (1, 3))


def test_without_such_a_model_the_lesson_names_the_command() -> None:
    page = visit(page="learn", lesson="cross-modal", example=FULL.id, **OPENED)
    assert any(COMMAND in note for note in notes(page, "remark"))
