"""Joins the JavaScript of the viewer into one script, for the Streamlit component and for standalone documents."""

from __future__ import annotations

import base64
import hashlib
import html as markup
import re
import zlib
from functools import lru_cache
from importlib.resources import files

from mmviz.i18n.language import TAGS, current_language

ORDER = (
    "formatSchema.js", "binaryFormat.js", "quantization.js", "numberFormat.js", "mapRef.js", "pooledMap.js",
    "attentionRows.js", "viewState.js", "drawnAmounts.js", "labels.js", "colours.js", "dom.js", "theme.js",
    "tooltip.js", "announcer.js", "tokenPointer.js", "rovingTabindex.js", "imagePanel.js",
    "textPanel.js", "audioPlayer.js", "audioPanel.js",
    "modalityBars.js", "modalityMatrixPanel.js", "overviewPanel.js", "matrixPointer.js", "matrixPanel.js",
    "attentionSteps.js", "heatStrips.js", "stepsPanel.js", "calculatorEdits.js", "calculator.js", "controls.js",
    "trainingTimeline.js", "keyboard.js", "sectionFetcher.js", "panelLayout.js", "viewer.js", "standalone.js",
    "streamlitComponent.js",
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
<style>{css}</style>
</head>
<body>
<main id="mmviz"></main>
<script type="application/octet-stream" id="mmviz-data">{data}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def format_schema_js() -> str:
    """Returns the source of ``js/formatSchema.js``: ``format_schema.json`` as a module."""
    head = "// Generated from format_schema.json by pack.py; a test compares the two.\n\n// prettier-ignore\n"
    return f"{head}export const FORMAT_SCHEMA = {_read('format_schema.json').rstrip()};\n"


@lru_cache(maxsize=1)
def javascript() -> str:
    """Returns all modules in one scope, without imports and exports.

    Raises ``ValueError`` for a module that cannot be joined.
    """
    return "\n".join(strip_imports_exports(name, _read(f"js/{name}")) for name in ORDER)


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


def html(data: bytes, title: str) -> str:
    """Returns a standalone document with the viewer and a container (``data``), in the current language.

    It needs no network, and its content security policy allows none.
    """
    script = f"\n{javascript()}\nstandalone(document);\n"
    return _DOCUMENT.format(
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        language=TAGS[current_language()],
        title=markup.escape(title),
        css=css(),
        data=base64.b64encode(zlib.compress(data, 9)).decode(),
        script=script,
    )


def frame(document: str) -> str:
    """Returns ``document`` as a sandboxed frame for another page; in ASCII, whatever the encoding of that page."""
    escaped = markup.escape(document).encode("ascii", "xmlcharrefreplace").decode()
    return (
        f'<iframe srcdoc="{escaped}" sandbox="allow-scripts allow-downloads" title="mmviz" '
        'style="width:100%;height:860px;border:0"></iframe>'
    )


def _read(name: str) -> str:
    return files("mmviz.viewer").joinpath(name).read_text("utf-8")
