"""The JavaScript of the viewer as one: for the page's component, and in a document that stands alone."""

from __future__ import annotations

import base64
import hashlib
import html as markup
import re
import zlib
from functools import lru_cache
from importlib.resources import files

from mmviz.i18n.language import TAGS, current

ORDER = (
    "description.js", "codes.js", "data.js", "pooledMap.js", "attentionRows.js", "select.js", "frame.js", "labels.js",
    "colours.js", "dom.js", "theme.js", "tip.js", "pointing.js", "rovingTabindex.js", "picture.js", "words.js", "player.js",
    "sound.js", "shares.js", "modalities.js", "overview.js", "cells.js", "matrix.js", "steps.js",
    "heatStrips.js", "stepsPanel.js", "edits.js", "calculator.js", "controls.js", "trainingTimeline.js", "keyboard.js", "fetching.js",
    "viewer.js", "standalone.js", "component.js",
)  # fmt: skip
"""The modules, each after those that it imports."""
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


def description_js() -> str:
    """``js/description.js``: the description of the data, for modules to import."""
    head = "// Written from description.json, which a test holds it to.\n\n// prettier-ignore\n"
    return f"{head}export const DESCRIPTION = {_read('description.json').rstrip()};\n"


@lru_cache(maxsize=1)
def javascript() -> str:
    """All modules in one scope, without imports and exports. Raises ``ValueError`` for what does not join."""
    parts = [joined(name, _read(f"js/{name}")) for name in ORDER]
    return "\n".join(parts)


def joined(name: str, source: str) -> str:
    """The source of a module without its imports and exports. Raises ``ValueError`` where some are left."""
    bare = _EXPORT.sub("", _IMPORT.sub("", source))
    if left := re.search(r"^(?:import|export)\b.*", bare, re.MULTILINE):
        raise ValueError(f"{name} cannot be joined with the other modules: {left.group()}")
    if "</script" in bare.lower() or "<!--" in bare:
        raise ValueError(f"{name} would end the script that it stands in")
    return bare


@lru_cache(maxsize=1)
def css() -> str:
    """The style sheet."""
    return _read("viewer.css")


def component_js() -> str:
    """The module that Streamlit mounts."""
    return f"{javascript()}\nexport default streamlitComponent;\n"


def html(data: bytes, title: str) -> str:
    """A document with the viewer and a container (``data``) inside, which needs no network and allows none; in the
    language spoken."""
    script = f"\n{javascript()}\nstandalone(document);\n"
    return _DOCUMENT.format(
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        language=TAGS[current()],
        title=markup.escape(title),
        css=css(),
        data=base64.b64encode(zlib.compress(data, 9)).decode(),
        script=script,
    )


def frame(document: str) -> str:
    """``document`` as an element of another page, shut off from it; in ASCII, whatever that page is written in."""
    inside = markup.escape(document).encode("ascii", "xmlcharrefreplace").decode()
    return (
        f'<iframe srcdoc="{inside}" sandbox="allow-scripts allow-downloads" title="mmviz" '
        'style="width:100%;height:860px;border:0"></iframe>'
    )


def _read(name: str) -> str:
    return files("mmviz.viewer").joinpath(name).read_text("utf-8")
