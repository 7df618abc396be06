"""``mmviz report``: content, the same bytes twice, text of strangers, what cannot be measured, Ctrl-C, refusals."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from app_page import image_bytes, wav

from mmviz.cli import main
from mmviz.cli.commands import report as report_command
from mmviz.cli.progress_line import ProgressLine
from mmviz.figures.pdf_pages import Block, Heading, Paragraph, Picture, Table, pages_pdf
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.page import say

pytestmark = pytest.mark.slow

MODEL = "reported_model:routed"
EVIL = "<script>alert(1)</script> \"&' <img src=x onerror=alert(2)>"
SOURCE = f"""
import mmviz
from routed_model import Routed, prepare, uncuttable

EVIL = {EVIL!r}

def routed():
    return mmviz.CustomModel(
        Routed("fused"), prepare, [EVIL, "unseen"], name="routed", batches=True, answer_token=0,
        pairs={{"layers.*": ("tokens", "tokens")}},
    )
"""


class Elements(HTMLParser):
    """The tags of a document, their attributes, and its text."""

    def __init__(self, document: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options of a picture, a text that would be a script, a sound, and the model."""
    (tmp_path / "a.png").write_bytes(image_bytes())
    (tmp_path / "a.wav").write_bytes(wav())
    (tmp_path / "reported_model.py").write_text(SOURCE)
    sys.modules.pop("reported_model", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return ["--image", "a.png", "--text", EVIL, "--audio", "a.wav", "--model", MODEL]


@pytest.mark.slow
def test_the_report_holds_everything_and_is_the_same_twice(
    inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["report", *inputs, "--out", "r.html", "--pdf", "r.pdf"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == sentence("report-written", names="r.html and r.pdf") + "\n"
    first = [Path(name).read_bytes() for name in ("r.html", "r.pdf")]
    document = Elements(first[0].decode("ascii"))
    text = " ".join(document.text.split())
    assert document.text.count(EVIL) >= 3, "the question, the answer, the title"
    assert shlex.join(["mmviz", *arguments]) in document.text
    style = first[0].decode().partition("</style>")[0]
    assert style.index("system-ui") < style.index("Noto Sans CJK"), "whose quotation marks are as wide as a letter"
    for title in ("section-effect", "section-routes", "section-faithfulness", "report-card", "report-versions"):
        assert say(title) in text
    # the route on paper: the answer reads the words in layer 2, which read the picture in layer 1
    rows = re.findall(r"<tr>(.*?)</tr>", first[0].decode())
    cells = {row[0]: row[1:] for row in (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows) if row}
    through = say("routes-route", queries=say("the-text"), keys=say("the-image"))
    direct = say("routes-route", queries=say("the-answer"), keys=say("the-image"))
    assert cells[through][0].startswith("&#8722;0.38 (") and cells[through][1].startswith("&#8722;0.38 (1.00)")
    assert cells[direct][0].startswith("+0.00 (")
    assert cells[say("name-image")][2].startswith("+") and len(cells[say("name-image")]) == 3
    assert {"mmviz", "torch", "seed", "weights"} <= {*re.findall("<dt>(.*?)</dt>", first[0].decode())}
    assert main(arguments) == 0
    assert [Path(name).read_bytes() for name in ("r.html", "r.pdf")] == first
    assert first[1].startswith(b"%PDF-") and first[1].count(b"/Type /Page ") >= 2


def test_no_text_is_taken_for_html_and_nothing_is_fetched(inputs: list[str]) -> None:
    assert main(["report", *inputs, "--out", "r.html"]) == 0
    document = Elements(Path("r.html").read_text("ascii"))
    assert "script" not in document.tags and not {name for name in document.attributes if name.startswith("on")}
    assert document.addresses and all(address.startswith("data:") for address in document.addresses)
    assert {"img", "audio", "table", "pre"} <= {*document.tags}


def test_what_cannot_be_measured_is_said(inputs: list[str]) -> None:
    assert main(["report", *inputs[:-1], "reported_model:uncuttable", "--out", "r.html"]) == 0
    sections = dict(re.findall("<h2>(.*?)</h2>(.*?)</section>", Path("r.html").read_text("ascii"), re.DOTALL))
    assert say("report-not-measured", why="") in sections[say("section-routes")], "its attention cannot be masked"
    assert "<table>" not in sections[say("section-routes")] and "<table>" in sections[say("section-effect")]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_ctrl_c_writes_what_was_measured(inputs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(ProgressLine):
        def __call__(self, done: int, of: int) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(report_command, "ProgressLine", Interrupted)
    assert main(["report", *inputs, "--out", "r.html", "--pdf", "r.pdf"]) == 0
    text = Elements(Path("r.html").read_text("ascii")).text
    assert text.count(say("report-not-measured", why=sentence("report-stopped"))) == 2
    assert say("effect-total") in text and Path("r.pdf").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], sentence("report-out")),
        (["--out", "report.pdf"], sentence("report-ending", name="report.pdf")),
        (["--pdf", "report.html"], sentence("report-ending", name="report.html")),
        (["--out", ""], "--out"),
        (["--pdf", "-"], "--pdf"),
        (["--out", "nowhere/r.html"], "r.html"),
    ],
)
def test_a_wrong_argument_is_one_line(
    arguments: list[str], words: str, inputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *inputs, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and words in err


def test_pages_break_where_they_are_full() -> None:
    short: list[Block] = [Heading("Title", is_title=True), Paragraph("$x_1$ and text"), Table([["a", "b"], ["1", "2"]])]
    assert pages_pdf(short).count(b"/Type /Page ") == 1
    long: list[Block] = [Heading("Next"), Paragraph("word " * 400)]
    assert pages_pdf([*short, *long, *long, *long]).count(b"/Type /Page ") == 2
    rows = [["number", "text"], *([str(number), "text"] for number in range(150))]
    assert pages_pdf([Picture(image_bytes()), Table(rows), Table([["wide " * 30] * 12])]).count(b"/Type /Page ") == 4
