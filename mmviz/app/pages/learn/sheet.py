"""The sheet of a lesson to print, with the numbers that the page shows now, in its language."""

from __future__ import annotations

from mmviz.app import page_address
from mmviz.app.pages.learn.course import COURSE
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.i18n.language import current_language
from mmviz.i18n.page import say
from mmviz.report.lesson_sheet import lesson_sheet

_OF_LESSON = ("title", "question", "do", "because", "notice", "misleads")
_HEADINGS = {
    "before": "sheet-before", "do_title": "sheet-do", "notes_title": "sheet-notes", "name": "sheet-name",
    "date": "sheet-date", "task_notes_title": "sheet-task-notes", "read_title": "sheet-read", "alt": "sheet-alt",
    "solution_title": "sheet-solution", "numbers_title": "sheet-numbers", "notice_title": "notice",
    "misleads_title": "misleads",
}  # fmt: skip
"""Texts of the sheet by their names in the template."""


def sheet(context: LessonContext) -> bytes:
    """Returns the sheet. Its bytes are the same as long as the lesson shows the same, and with them its address."""
    lesson, record, sample = context.lesson, context.run.record, context.run.sample
    texts = {code: say(f"learn-{lesson}-{code}") for code in _OF_LESSON}
    texts |= {name: say(f"learn-{code}") for name, code in _HEADINGS.items()}
    texts["inputs"] = say("learn-sheet-inputs", text=sample.text) if sample.text else ""
    options = {letter: say(f"learn-{lesson}-option-{letter}") for letter in COURSE[lesson].options}
    correct = COURSE[lesson].correct
    texts["correct"] = say("learn-sheet-correct", letter=correct, option=options[correct])
    texts["run"] = say(
        "learn-sheet-run", model=record.made_by.get("model"), weights=str(record.made_by.get("weights"))[:12],
        text=sample.text or "", answer=record.answers[0].label if record.answers else "",
    )  # fmt: skip
    address = page_address.page_url(context.runner.state)
    return lesson_sheet(texts, list(options.values()), context.numbers, sample, address, current_language())
