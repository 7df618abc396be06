"""A worksheet of one lesson: one printed page, in HTML without network or scripts."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from mmviz.figures.image import data_uri, downscaled
from mmviz.i18n.language import Language
from mmviz.types import Sample

_LINES = 10
"""Number of empty lines to write on. In print as many of them are kept as fit on the page."""
_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
@page {{ size: A4; margin: 16mm; }}
body {{ font: 11.5pt/1.4 "Source Sans 3", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", system-ui, sans-serif;
  color: #111; max-width: 178mm; margin: 0 auto; padding: 8mm 4mm; }}
h1 {{ font-size: 19pt; margin: 0 0 2mm; }}
h2 {{ font-size: 12pt; margin: 5mm 0 1mm; border-bottom: 1px solid #999; }}
p, ol {{ margin: 1mm 0; }}
table {{ border-collapse: collapse; width: 100%; }}
td {{ border-bottom: 1px solid #ccc; padding: 0.8mm 2mm 0.8mm 0; }}
td:last-child {{ text-align: right; font-variant-numeric: tabular-nums; }}
.run {{ display: flex; gap: 5mm; align-items: center; color: #444; font-size: 10pt; }}
.run img {{ width: 26mm; }}
.line {{ border-bottom: 1px solid #bbb; height: 8mm; }}
footer {{ color: #555; font-size: 9pt; margin-top: 4mm; overflow-wrap: anywhere; }}
@media print {{
  body {{ padding: 0; height: 264mm; font-size: 10.5pt; line-height: 1.35; display: flex; flex-direction: column; }}
  h1 {{ font-size: 16pt; }}
  h2 {{ font-size: 11pt; margin-top: 3.5mm; }}
  .run img {{ width: 20mm; }}
  .notes {{ flex: 1 1 0; min-height: 16mm; overflow: hidden; }}
  * {{ break-inside: avoid; }}
}}
</style>
</head>
<body>
<h1>{title}</h1>
<div class="run">{image}<span>{run}</span></div>
<h2>{before}</h2><p>{question}</p>{options}
<h2>{do_title}</h2><p>{do}</p>
<h2>{numbers_title}</h2><table>{numbers}</table>
<h2>{notice_title}</h2><p>{notice}</p>
<h2>{misleads_title}</h2><p>{misleads}</p>
<h2>{notes_title}</h2><div class="notes">{lines}</div>
<footer>{link}</footer>
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

    - ``words``: the texts ``title``, ``question``, ``do``, ``notice``, ``misleads`` and ``run``, and the headings
      ``before``, ``do_title``, ``numbers_title``, ``notice_title``, ``misleads_title`` and ``notes_title``.
    - ``options``: the answers to choose from.
    - ``numbers``: pairs of a label and a formatted number.
    - ``link``: the address at which the lesson opens.
    - ``language``: of ``words``.
    """
    image = "" if sample.image is None else f'<img alt="" src="{data_uri(downscaled(sample.image.pixels))}">'
    rows = "".join(f"<tr><td>{html.escape(label)}</td><td>{html.escape(value)}</td></tr>" for label, value in numbers)
    page = _PAGE.format(
        language=language, image=image, numbers=rows, lines="<div class='line'></div>" * _LINES,
        options="<ol type='a'>" + "".join(f"<li>{html.escape(option)}</li>" for option in options) + "</ol>",
        link=html.escape(link), **{code: html.escape(text) for code, text in words.items()},
    )  # fmt: skip
    return page.encode("ascii", "xmlcharrefreplace")
