"""The sheet of one lesson to print: a page to work on, and the solution on a second page. HTML without network."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from mmviz.figures.image import data_uri, downscaled
from mmviz.i18n.language import Language
from mmviz.types import Sample

_LINES = 8
"""Number of empty lines under the question, and under the task. In print as many are kept as fit on the page."""
_PICTURE_SIDE = 480
"""Pixels of the longer side of the picture."""
_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
@page {{ size: A4; margin: 15mm; }}
body {{ font: 11pt/1.35 "Source Sans 3", "Noto Sans", system-ui, "Noto Sans CJK SC", "PingFang SC",
  "Microsoft YaHei", sans-serif; /* system-ui before Chinese fonts, whose quotation marks are as wide as a letter */
  color: #111; max-width: 178mm; margin: 0 auto; padding: 6mm 4mm; }}
h1 {{ font-size: 17pt; margin: 0 0 2mm; line-height: 1.2; }}
h2 {{ font-size: 11.5pt; margin: 4mm 0 1mm; border-bottom: 1px solid #999; }}
p, ol {{ margin: 1mm 0; }}
table {{ border-collapse: collapse; width: 100%; }}
td {{ border-bottom: 1px solid #ccc; padding: 1mm 2mm 1mm 0; }}
td:last-child {{ text-align: right; width: 38mm; font-variant-numeric: tabular-nums; }}
.work td:last-child {{ border-bottom: 1px solid #555; }}
.student {{ display: flex; gap: 8mm; color: #444; margin-bottom: 3mm; }}
.student span {{ flex: 1; border-bottom: 1px solid #555; }}
.inputs {{ display: flex; gap: 6mm; align-items: center; color: #444; }}
.inputs img {{ width: 44mm; max-height: 44mm; object-fit: contain; }}
.line {{ border-bottom: 1px solid #aaa; height: 8mm; }}
.solution {{ break-before: page; border-top: 2px solid #999; margin-top: 10mm; padding-top: 4mm; }}
footer {{ color: #555; font-size: 9pt; margin-top: 4mm; overflow-wrap: anywhere; }}
@media print {{
  body {{ padding: 0; max-width: none; }}
  .work {{ height: 264mm; display: flex; flex-direction: column; }}
  .lines {{ flex: 1 1 0; min-height: 18mm; overflow: hidden; }}
  .solution {{ border: 0; margin: 0; padding: 0; }}
  h2, table, .inputs, .lines {{ break-inside: avoid; }}
}}
</style>
</head>
<body>
<section class="work">
<div class="student"><span>{name}</span><span>{date}</span></div>
<h1>{title}</h1>
<div class="inputs">{image}<div>{inputs}</div></div>
<h2>{before}</h2><p>{question}</p>{options}
<h2>{notes_title}</h2><div class="lines">{lines}</div>
<h2>{do_title}</h2><p>{do}</p>
{blanks}
<h2>{task_notes_title}</h2><div class="lines">{lines}</div>
</section>
<section class="solution">
<h1>{solution_title}: {title}</h1>
<p><b>{correct}</b></p><p>{because}</p>
{numbers}
<h2>{notice_title}</h2><p>{notice}</p>
<h2>{misleads_title}</h2><p>{misleads}</p>
<footer><p>{run}</p><p>{link}</p></footer>
</section>
</body>
</html>
"""


def lesson_sheet(
    words: Mapping[str, str],
    options: Sequence[str],
    numbers: Sequence[tuple[str, str]],
    sample: Sample,
    link: str,
    language: Language,
) -> bytes:
    """Returns the sheet of a lesson as an HTML document in ASCII, so that no server's charset changes it.

    Page one has the picture, the question, the task and the labels of the numbers, with room to write. Page two has
    the correct answer, the numbers and the remarks.

    - ``words``: the texts ``title``, ``inputs``, ``question``, ``do``, ``correct``, ``because``, ``notice``,
      ``misleads`` and ``run``; the headings ``before``, ``do_title``, ``notes_title``, ``task_notes_title``,
      ``read_title``, ``solution_title``, ``numbers_title``, ``notice_title`` and ``misleads_title``; ``name`` and
      ``date`` of the student; and ``alt``, the name of the picture.
    - ``options``: the answers to choose from.
    - ``numbers``: pairs of a label and a formatted number.
    - ``link``: the address at which the lesson opens.
    - ``language``: of ``words``.
    """
    escaped = {code: html.escape(text) for code, text in words.items()}
    image = ""
    if sample.image is not None:
        source = data_uri(downscaled(sample.image.pixels, _PICTURE_SIDE))
        image = f'<img alt="{escaped["alt"]}" src="{source}">'
    page = _PAGE.format(
        language=language, image=image, lines="<div class='line'></div>" * _LINES, link=html.escape(link),
        blanks=_table(escaped["read_title"], [(label, "") for label, _ in numbers]),
        numbers=_table(escaped["numbers_title"], numbers),
        options="<ol type='a'>" + "".join(f"<li>{html.escape(option)}</li>" for option in options) + "</ol>",
        **escaped,
    )  # fmt: skip
    return page.encode("ascii", "xmlcharrefreplace")


def _table(title: str, numbers: Sequence[tuple[str, str]]) -> str:
    """Returns a table of labels and values under its title; nothing for a lesson without numbers."""
    if not numbers:
        return ""
    rows = "".join(f"<tr><td>{html.escape(label)}</td><td>{html.escape(value)}</td></tr>" for label, value in numbers)
    return f"<h2>{title}</h2><table>{rows}</table>"
