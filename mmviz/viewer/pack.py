"""Joins the JavaScript of the viewer into one script: for Streamlit, for notebooks and for standalone documents."""

from __future__ import annotations

import base64
import hashlib
import html as markup
import json
import re
import zlib
from functools import lru_cache
from importlib.resources import files

from mmviz.i18n.language import TAGS, current_language

ORDER = (
    "formatSchema.js", "binaryFormat.js", "quantization.js", "numberFormat.js", "mapRef.js", "mapUnits.js",
    "modelStacks.js", "mapNotes.js", "pooledMap.js", "attentionRows.js", "rowCorrelation.js", "answerAttention.js",
    "viewState.js", "drawnAmounts.js", "foldedTokens.js", "tokenPointer.js", "labels.js", "colours.js", "dom.js",
    "svg.js", "theme.js", "breakpoints.js", "tooltip.js", "tokenLinks.js", "announcer.js", "rovingTabindex.js",
    "patchPlaces.js", "imagePanel.js", "textPanel.js", "tokenKeyboard.js", "answerAttentionPanel.js", "audioPlayer.js",
    "spectrogramPlaces.js", "soundDrawing.js", "audioPanel.js", "modalityBars.js", "modalityMatrixPanel.js",
    "overviewPanel.js", "matrixTouch.js", "matrixPointer.js", "matrixDrawing.js", "matrixPanel.js", "attentionSteps.js",
    "vectorColours.js", "readableCanvas.js", "heatStrips.js", "keyAxisFigure.js", "calculationStep.js", "stepTables.js",
    "stepsPanel.js", "calculatorEdits.js", "calculator.js", "controls.js", "trainingTimeline.js", "keyboard.js",
    "backgroundFetcher.js", "sectionFetcher.js", "panelLayout.js", "viewer.js", "standalone.js",
    "streamlitComponent.js", "notebookWidget.js",
)  # fmt: skip
"""The modules in the order in which they are joined, each after those that it imports."""
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./[\w-]+\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async function|function|const|class)\b)", re.MULTILINE)
_DOCUMENT = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'sha256-{digest}'; \
style-src 'unsafe-inline'; img-src blob: data:; media-src blob: data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
</head>
<body>
<main id="mmviz">
{above}
{maps}
<section class="mmviz-still">{still}</section>
<div id="mmviz-viewer"></div>
{below}
</main>
<style>{css}</style>
<script type="application/octet-stream" id="mmviz-data">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"""
"""The content comes first: a sanitiser that keeps the text of the elements that it takes away leaves that below it."""


def format_schema_js() -> str:
    """Returns the source of ``js/formatSchema.js``: ``format_schema.json`` as a module."""
    head = "// Generated from format_schema.json by pack.py; a test compares the two.\n\n// prettier-ignore\n"
    return f"{head}export const FORMAT_SCHEMA = {_read('format_schema.json').rstrip()};\n"


@lru_cache(maxsize=1)
def javascript() -> str:
    """Returns all modules in one scope, without imports and exports; in ASCII, so that no server's charset changes it.

    Raises ``ValueError`` for a module that cannot be joined.
    """
    joined = "\n".join(strip_imports_exports(name, _read(f"js/{name}")) for name in ORDER)
    return escape_non_ascii(joined)


def escape_non_ascii(source: str) -> str:
    r"""Returns JavaScript with every character beyond ASCII as ``\uXXXX``, of which some need two.

    It means the same in strings, templates, regular expressions and names; only a template behind ``String.raw`` would
    differ.
    """
    return re.sub(r"[^\x00-\x7f]", lambda match: json.dumps(match.group())[1:-1], source)


def strip_imports_exports(name: str, source: str) -> str:
    """Returns the source of a module without its imports and exports.

    Raises ``ValueError`` where some are left, or where the source would end the script element that it stands in.
    """
    stripped = _EXPORT.sub("", _IMPORT.sub("", source))
    if left := re.search(r"^(?:import|export)\b.*", stripped, re.MULTILINE):
        raise ValueError(f"{name} cannot be joined with the other modules: {left.group()}")
    if "</script" in stripped.lower() or "<!--" in stripped:
        raise ValueError(f"{name} would end the script that it stands in")
    return stripped


@lru_cache(maxsize=1)
def css() -> str:
    """Returns the style sheet."""
    return _read("viewer.css")


def component_js() -> str:
    """Returns the module that Streamlit mounts."""
    return f"{javascript()}\nexport default streamlitComponent;\n"


def widget_js() -> str:
    """Returns the module that anywidget loads."""
    return f"{javascript()}\nexport default {{ render: notebookWidget }};\n"


def html(data: bytes, *, title: str, above: str, maps: str, still: str, below: str) -> str:
    """Returns a standalone document with the viewer and a container (``data``), in the current language.

    It needs no network, and its content security policy allows none. It is in ASCII, so that a server may name any
    charset that contains ASCII. The four parts from ``above`` to ``below`` are HTML that is there without
    scripts; the viewer takes the place of ``still``. ``title`` is plain text.
    """
    script = f"\n{javascript()}\nstandalone(document);\n"
    document = _DOCUMENT.format(
        digest=script_digest(script),
        language=TAGS[current_language()],
        title=markup.escape(title),
        above=above, maps=maps, still=still, below=below,
        css=css(),
        data=base64.b64encode(zlib.compress(data, 9)).decode(),
        script=script,
    )  # fmt: skip
    return _character_references(document)


def script_digest(script: str) -> str:
    """Returns the SHA-256 by which a content security policy admits an inline script, in Base64."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def frame(document: str, still: str) -> str:
    """Returns ``document`` as a sandboxed frame for another page; in ASCII, whatever the encoding of that page.

    ``still`` is HTML that is seen only where the page takes the frame away, as an untrusted notebook does: else the
    frame fills the box from its top, and what is below it is cut off. In the source the still comes first, as some
    pages turn a frame into text.
    """
    return (
        '<div style="height:860px;overflow:hidden;display:flex;flex-direction:column-reverse;justify-content:flex-end">'
        f'<div style="flex:none">{_character_references(still)}</div>'
        f'<iframe srcdoc="{markup.escape(document)}" sandbox="allow-scripts allow-downloads" title="mmviz" '
        'style="flex:none;width:100%;height:860px;border:0"></iframe></div>'
    )


def _character_references(document: str) -> str:
    return document.encode("ascii", "xmlcharrefreplace").decode()


def _read(name: str) -> str:
    return files("mmviz.viewer").joinpath(name).read_text("utf-8")
