"""A report on one run as one HTML document that needs neither a network nor scripts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

import numpy as np

from mmviz.figures.audio import lit_mel, wav_data_uri
from mmviz.figures.image import data_uri, downscaled
from mmviz.i18n.language import TAGS, current_language
from mmviz.i18n.page import say
from mmviz.i18n.unicode_display import replace_invisible
from mmviz.i18n.viewer import about, viewer_words
from mmviz.inputs.mel import HOP, SAMPLE_RATE, log_mel
from mmviz.report.answer_maps import maps_section
from mmviz.report.answer_title import answer_title
from mmviz.report.run_report import ReportTable, RunReport
from mmviz.types import AudioInput, ImageInput, Modality, Seconds, Token

_IMAGE_SIDE = 480
"""Pixels of the longer side of the picture."""
_SOUND_SIZE = (480, 96)
"""Width and height of the spectrogram in pixels."""
_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
media-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
@page {{ size: A4; margin: 16mm; }}
body {{ font: 15px/1.45 "Source Sans 3", "Noto Sans", system-ui, "Noto Sans CJK SC", "PingFang SC",
  "Microsoft YaHei", sans-serif; /* system-ui before Chinese fonts, whose quotation marks are as wide as a letter */
  color: #111; background: #fff; max-width: 1080px; margin: 0 auto; padding: 24px; overflow-wrap: anywhere; }}
h1 {{ font-size: 26px; margin: 0 0 8px; }}
h2 {{ font-size: 18px; margin: 28px 0 8px; border-bottom: 1px solid #999; break-after: avoid; }}
p, figure {{ margin: 6px 0; }}
img {{ max-width: 100%; }}
.inputs, .answer-maps {{ display: flex; flex-wrap: wrap; gap: 24px; align-items: flex-start; }}
.inputs > *, .answer-maps > * {{ flex: 1 1 300px; min-width: 0; }}
.answer-maps img {{ width: 100%; max-height: 480px; object-fit: contain; object-position: left top; }}
.quiet, .formula {{ color: #444; font-size: 13px; }}
.banner {{ border: 2px solid #a33; padding: 6px 10px; font-weight: 600; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ border-bottom: 1px solid #ccc; padding: 3px 12px 3px 0; text-align: left; white-space: nowrap; }}
th {{ font-weight: 600; }}
dl {{ display: grid; grid-template-columns: minmax(110px, max-content) 1fr; gap: 3px 16px; margin: 6px 0; }}
dt {{ font-weight: 600; }}
dd {{ margin: 0; }}
pre {{ white-space: pre-wrap; background: #f3f3f3; padding: 8px; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def report_html(report: RunReport) -> bytes:
    """Returns the document in ASCII, so that no server's charset changes it. The same report gives the same bytes."""
    run = report.run
    heads = [("banner", about("untrained"))] if run.record.made_by.get("trained") is False else []
    heads += [("quiet", about("disclaimer"))]
    body = [
        *(f'<p class="{name}">{html.escape(text)}</p>' for name, text in heads),
        _section(say("report-inputs"), _inputs(report)),
        _section(say("report-answers"), _list(map(replace_invisible, report.answers)) if report.answers else ""),
        _section(say("report-maps"), maps_section(run)),
        *(_section(table.title, _table(table)) for table in report.tables),
        _section(say("report-notices"), _list(report.notices)),
        _section(say("report-card"), _card(report)),
        _section(say("report-versions"), _definitions(report.versions)),
        _section(say("report-again"), f"<pre><code>{html.escape(report.command)}</code></pre>"),
    ]
    page = _PAGE.format(
        language=TAGS[current_language()], title=html.escape(answer_title(run.record)), body="\n".join(body)
    )
    return page.encode("ascii", "xmlcharrefreplace")


def _section(title: str, content: str) -> str:
    """Returns a section under its title; "" for one without content."""
    return f"<section><h2>{html.escape(title)}</h2>{content}</section>" if content else ""


def _list(texts: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def _inputs(report: RunReport) -> str:
    sample, words = report.run.sample, viewer_words()
    parts = {
        Modality.IMAGE: _image(sample.image) if sample.image else "",
        Modality.TEXT: f"<p>{html.escape(replace_invisible(sample.text))}</p>" if sample.text else "",
        Modality.AUDIO: _sound(sample.audio) if sample.audio else "",
    }
    figures = "".join(
        f"<figure><b>{html.escape(words[modality])}</b>{part or _missing(words[f'{modality}-none'])}</figure>"
        for modality, part in parts.items()
    )
    return f"<div class='inputs'>{figures}</div>"


def _missing(text: str) -> str:
    return f"<p class='quiet'>{html.escape(text)}</p>"


def _image(image: ImageInput) -> str:
    alt = html.escape(about("still-image-plain"))
    return f'<div><img src="{data_uri(downscaled(image.pixels, _IMAGE_SIDE))}" alt="{alt}"></div>'


def _sound(audio: AudioInput) -> str:
    """Returns the spectrogram, and the sound to be played."""
    whole = Token(Modality.AUDIO, "", Seconds(0, float("inf")))
    grey = lit_mel(log_mel(audio.wave), HOP / SAMPLE_RATE, [whole], np.ones(1), 1.0)[::-1]
    pixels = np.repeat(np.ascontiguousarray(grey)[:, :, None], 3, axis=2).astype(np.uint8)
    width, height = _SOUND_SIZE
    alt = html.escape(about("still-audio-plain", seconds=f"{audio.seconds:.1f}"))
    return (
        f'<div><img src="{data_uri(pixels)}" width="{width}" height="{height}" alt="{alt}"></div>'
        f'<audio controls src="{wav_data_uri(np.clip(audio.wave, -1, 1) * 32_767, audio.rate)}"></audio>'
        f"<p class='quiet'>{html.escape(say('report-sound', seconds=audio.seconds))}</p>"
    )


def _table(table: ReportTable) -> str:
    sentences = "".join(f"<p>{html.escape(text)}</p>" for text in table.sentences)
    if not table.rows:
        return sentences
    head = "".join(f"<th scope='col'>{html.escape(cell)}</th>" for cell in table.rows[0])
    rows = "".join(f"<tr>{_row(cells)}</tr>" for cells in table.rows[1:])
    about_cells = f"<p class='quiet'>{html.escape(table.about)}</p>"
    return f"{sentences}<div class='wide'><table><tr>{head}</tr>{rows}</table></div>{about_cells}"


def _row(cells: Sequence[str]) -> str:
    first, *others = map(html.escape, cells)
    return f"<th scope='row'>{first}</th>" + "".join(f"<td>{cell}</td>" for cell in others)


def _card(report: RunReport) -> str:
    if report.card is None:
        return ""
    figures = _definitions(report.card_figures)
    details = f"<details><summary>{html.escape(say('report-card-measured'))}</summary>{figures}</details>"
    title = f"<p><b>{html.escape(report.card.title)}</b></p>"
    return title + _definitions(report.card_lines) + (details if report.card_figures else "")


def _definitions(lines: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in lines)
    return f"<dl>{items}</dl>"
