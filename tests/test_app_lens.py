"""The section Lens of the page Debug, without a browser: it shows what the library reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
import tiny_checkpoints  # noqa: F401  # first: it sets what transformers reads
from app_page import EXAMPLES, address, give, markup, notes, now, press, record_of, run, settled, visit, wav
from streamlit.testing.v1 import AppTest

from mmviz.backends.local import LocalBackend
from mmviz.experiments.lens import Lens, measure_lens
from mmviz.i18n.page import say
from mmviz.report.lens_grid import LensGrid, percent
from mmviz.report.lens_table import formed, layer_names, misleads
from mmviz.types import Request

pytestmark = pytest.mark.slow

FIRST = EXAMPLES[0]
ADDRESS = {"page": "debug", "section": "lens"}


def forming_rows(page: AppTest) -> list[list[str]]:
    """Returns the cells of the table of the answer token: layer, most probable answer, its probability, rank."""
    table = markup(page).split(f"<caption>{say('lens-table-caption')}</caption>")[1].split("</table>")[0]
    cells = [re.findall(r"<t[hd][^>]*>([^<]*)", row) for row in table.split("<tr>")[2:]]
    return [[unescape(cell) for cell in row] for row in cells]


def expected_rows(lens: Lens) -> list[list[str]]:
    return [
        [name, step.answers[0][0], percent(step.answers[0][1]), str(step.rank)]
        for name, step in zip(layer_names(lens), lens.forming(), strict=True)
    ]


def test_the_answer_forms_on_the_page_as_the_library_reads_it() -> None:
    page = settled(visit(**ADDRESS))
    assert address(page)["section"] == "lens" and page.button("section-lens").label == say("section-lens")
    lens = measure_lens(LocalBackend("cpu"), Request("trio", FIRST.sample()))
    assert lens is not None
    rows = forming_rows(page)
    assert rows == expected_rows(lens) and len(rows) == 7 and rows[-1][1] == record_of(page).answers[0].label
    assert formed(lens) in unescape(notes(page, "remark")[0])
    body = unescape(markup(page))
    assert "2303.08112" in body and all(sentence in body for sentence in misleads(lens)) and "nostalgebraist" in body
    grid = LensGrid.of(lens)
    assert body.count("class='lens-picture'") == 7 and body.count("<i data-token=") == 7 * len(grid.patches)
    assert grid.hover(6, grid.patches[0]) in body and grid.hover(6, grid.words[1]) in body
    assert len(page.get("plotly_chart")) == 2, "how the answer forms, and the moments"
    assert [button.key for button in page.download_button] == ["lens-csv", "lens-json"]
    (command,) = page.code
    assert command.value.startswith("mmviz lens --image ") and FIRST.question in command.value


def test_a_question_alone_has_neither_patches_nor_moments() -> None:
    page = visit(**ADDRESS)
    for box in ("use-image", "use-audio"):
        page.checkbox(box).uncheck()
    page = settled(press(run(page), "run"))
    body = markup(page)
    assert now(page).section == "lens" and "class='lens-picture'" not in body and "lens-words" in body
    assert len(page.get("plotly_chart")) == 1 and say("lens-moments") not in body


def test_a_model_without_a_lens_says_so_in_one_sentence(operator_model: Callable[[str, str], None]) -> None:
    operator_model(
        "pooling",
        "import mmviz, torch\n"
        "def make():\n"
        "    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)\n"
        "    module = torch.nn.Sequential(layer, torch.nn.Flatten(1), torch.nn.Linear(24, 4))\n"
        "    prepare = lambda sample: (torch.zeros(1, 3, 8), ['a', 'b', 'c'])\n"
        "    return mmviz.CustomModel(module, prepare, ('cat', 'dog', 'fox', 'owl'))\n",
    )
    page = settled(visit(**ADDRESS))
    (remark,) = notes(page, "remark")
    assert "The lens is left out" in remark and "lens_layers" in remark
    assert not notes(page, "error") and not page.download_button
    assert not [button for button in page.button if str(button.key).startswith("experiment-again")]


@pytest.mark.long
def test_the_lens_of_a_written_answer_follows_the_chosen_word(
    qwen2_audio_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMVIZ_MODEL", f"hf:{qwen2_audio_folder}")
    page = visit()
    give(page, "audio", "sound.wav", wav())
    press(run(page), "run")
    record = record_of(page)
    page = settled(press(press(page, "page-debug"), "section-lens"))
    written = record.answer_log_probabilities
    assert written is not None and written.shape == (1, 32)
    first = forming_rows(page)[-1]
    assert first[2:] == [percent(written[0, 0]), "1"], "the most probable word is written"
    assert any("the first token of the answer" in note for note in notes(page, "plain"))
    page = press(page, "page-explore")
    page.multiselect(key=f"answer-part-{record.id}").set_value([2])
    page.button(key=f"FormSubmitter:answer-part-{say('words-run')}").click()
    run(page)
    page = settled(press(page, "page-debug"))
    assert any("token 3 of the answer" in note for note in notes(page, "plain"))
    third = forming_rows(page)[-1]
    assert third[2:] == [percent(written[0, 2]), "1"] and len(forming_rows(page)) == 3
    assert "--words 3" in page.code[0].value
