"""A report on one run as a PDF."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from mmviz.figures.fonts import drawable_language, missing_characters, missing_font_text
from mmviz.figures.pdf_pages import Block, Heading, Paragraph, Picture, Table, pages_pdf
from mmviz.i18n.language import join_list, use_language
from mmviz.i18n.page import say
from mmviz.i18n.unicode_display import one_line
from mmviz.i18n.viewer import about, viewer_words
from mmviz.report.answer_title import answer_title
from mmviz.report.run_report import RunReport


class _Drawable(Protocol):
    def png(self) -> bytes: ...


def report_pdf(report: RunReport, run: _Drawable) -> bytes:
    """Returns the document; its frame is in English where no font has the characters of the language.

    ``run``: that of the report, which draws its maps. The measured figures of the model's card are left out. The same
    report gives the same bytes.
    """
    with use_language(drawable_language()):
        return pages_pdf(list(_blocks(report, run)))


def _blocks(report: RunReport, run: _Drawable) -> Iterator[Block]:
    sample, record = report.run.sample, report.run.record
    yield Heading(_drawable(answer_title(record)), is_title=True)
    if record.made_by.get("trained") is False:
        yield Paragraph(about("untrained"))
    yield Paragraph(about("disclaimer"))
    question = viewer_words()["text"], sample.text or viewer_words()["text-none"]
    yield from _paragraphs([question, (say("report-answers"), join_list(report.answers))])
    yield Heading(say("report-maps"))
    yield Picture(run.png())
    for table in report.tables:
        yield Heading(table.title)
        for text in table.sentences:
            yield Paragraph(_drawable(text))
        if table.rows:
            yield Table([[_drawable(cell) for cell in row] for row in table.rows])
            yield Paragraph(table.about)
    for title, lines in (
        (say("report-notices"), [("", notice) for notice in report.notices]),
        (say("report-card"), report.card_lines),
        (say("report-versions"), report.versions),
        (say("report-again"), [("", report.command)]),
    ):
        if lines:
            yield Heading(title)
            yield from _paragraphs(lines)


def _paragraphs(lines: list[tuple[str, str]]) -> Iterator[Paragraph]:
    for name, text in lines:
        if text:
            yield Paragraph(_drawable(f"{name}: {text}" if name else text))


def _drawable(text: str) -> str:
    """Returns text in one line, and names the characters for which boxes are drawn."""
    line = one_line(text)
    boxes = missing_characters(line)
    return f"{line} ({missing_font_text(boxes)})" if boxes else line
