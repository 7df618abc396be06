"""The viewer's JavaScript joined into one script, and the standalone document."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import zlib
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from records import plain

from mmviz.assets_path import assets_dir
from mmviz.backends.replay import ReplayBackend
from mmviz.cli import main
from mmviz.explain import run_sample
from mmviz.inputs.examples import Example, load_gallery
from mmviz.report import ViewerData
from mmviz.report.answer_title import answer_title
from mmviz.types import INPUT_MODALITIES, Modality
from mmviz.viewer import pack
from mmviz.viewer.binary_format import decode

pytestmark = pytest.mark.slow

FOLDER = Path(pack.__file__).parent
SOURCES = {path.name: path.read_text("utf-8") for path in sorted((FOLDER / "js").iterdir())}
IMPORT = re.compile(r'^import \{\s*([^}]*?),?\s*\} from "\./([\w-]+\.js)";$', re.MULTILINE)
DECLARED = re.compile(r"^(export )?(?:async )?(?:function\*?|const|let|var|class) (\w+)", re.MULTILINE)
GALLERY_LIMIT = 6_000_000
STILL_LIMIT = 100_000


class Document(HTMLParser):
    """A parsed document: elements with their attributes, and the text of scripts and of the title."""

    def __init__(self, document: str):
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[int, str] = {}
        self.is_open = False
        self.declaration = ""
        self.feed(document)
        self.close()

    def handle_decl(self, decl: str) -> None:
        self.declaration = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.is_open = True

    def handle_endtag(self, tag: str) -> None:
        self.is_open = False

    def handle_data(self, data: str) -> None:
        if self.is_open:
            self.texts[len(self.elements) - 1] = self.texts.get(len(self.elements) - 1, "") + data

    def text_of(self, tag: str, **attributes: str) -> str:
        (index,) = (
            k for k, (name, has) in enumerate(self.elements) if name == tag and attributes.items() <= has.items()
        )
        return self.texts.get(index, "")


def test_every_module_is_joined_after_those_it_imports() -> None:
    assert sorted(pack.ORDER) == sorted(SOURCES)
    for name, source in SOURCES.items():
        for names, module in IMPORT.findall(source):
            assert pack.ORDER.index(module) < pack.ORDER.index(name), f"{name} imports {module}"
            exported = {declared for is_exported, declared in DECLARED.findall(SOURCES[module]) if is_exported}
            assert set(re.split(r",\s*", names)) <= exported, f"{name} imports from {module}"


def test_no_name_is_declared_twice() -> None:
    declared = Counter(name for source in SOURCES.values() for _, name in DECLARED.findall(source))
    assert not {name for name, count in declared.items() if count > 1}
    assert declared["standalone"] == declared["streamlitComponent"] == declared["FORMAT_SCHEMA"] == 1


def test_a_module_imports_the_classes_and_constants_it_uses() -> None:
    owner = {declared: name for name, source in SOURCES.items() for _, declared in DECLARED.findall(source)}
    for name, source in SOURCES.items():
        imported = {each for names, _ in IMPORT.findall(source) for each in re.split(r",\s*", names)}
        bare = re.sub(r'//.*|"[^"\n]*"', "", IMPORT.sub("", source))
        for used in set(re.findall(r"(?<![.\w])[A-Z]\w{3,}\b", bare)) & set(owner):
            assert owner[used] == name or used in imported, f"{name} uses {used} of {owner[used]} without an import"


def test_the_viewer_has_the_order_of_modalities_of_lessons_and_tables() -> None:
    (order,) = re.findall(r"const MODALITIES = (\[.*?\]);", SOURCES["attentionRows.js"])
    assert json.loads(order) == [*INPUT_MODALITIES, Modality.SPECIAL] == list(Modality)


def test_nothing_is_fetched_and_nothing_ends_the_script() -> None:
    for name, source in SOURCES.items():  # a method may be called fetch
        assert not re.search(
            r"https?:|(?<![.\w])fetch\((?![^()]*\) \{)|XMLHttpRequest|WebSocket|importScripts|import\(", source
        ), name
        assert "innerHTML" not in source and "insertAdjacentHTML" not in source, f"{name}: text becomes markup"
    style = pack.css()
    assert not re.search(r"https?:|@import|url\((?!data:)|</style", style, re.IGNORECASE)


@pytest.mark.parametrize(
    "source",
    [
        'import * as all from "./codes.js";\n', 'import "./codes.js";\n', 'import { a } from "elsewhere";\n',
        "export default function a() {}\n", 'export { a } from "./codes.js";\n', "export let a = 1;\n",
        'const a = "</SCRIPT>";\n', 'const a = "<!--";\n',
    ],
)  # fmt: skip
def test_a_module_that_cannot_be_joined_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"^odd\.js"):
        pack.strip_imports_exports("odd.js", source)


def test_imports_and_exports_are_gone() -> None:
    source = 'import { a, b } from "./codes.js";\nexport function c() {\n  return a(b);\n}\nexport const d = 1;\n'
    assert pack.strip_imports_exports("one.js", source) == "function c() {\n  return a(b);\n}\nconst d = 1;\n"
    assert not re.search(r"^(import|export)\b", pack.javascript(), re.MULTILINE)
    assert pack.component_js().endswith("\nexport default streamlitComponent;\n")


def test_the_joined_script_is_javascript(tmp_path: Path, node: str) -> None:
    file = tmp_path / "joined.mjs"
    file.write_text(pack.component_js(), encoding="utf-8")
    process = subprocess.run([node, "--check", str(file)], capture_output=True, text=True, timeout=60)
    assert process.returncode == 0, process.stderr


def test_description_js_is_generated_from_the_description() -> None:
    assert SOURCES["formatSchema.js"] == pack.format_schema_js()


def test_a_document_stands_alone() -> None:
    data = ViewerData(plain()).to_bytes()
    title = "</title><script>alert(1)</script> & “x”"
    parts = {"above": "<h1>Título</h1>", "maps": "<b>Ó</b>", "still": "<p>静态 😀</p>", "below": "<p>…</p>"}
    document = pack.html(data, title=title, **parts)
    assert document.isascii()
    assert [text for _, text in sorted(Document(document).texts.items()) if text in ("Título", "静态 😀", "…")] == [
        "Título", "静态 😀", "…",
    ]  # fmt: skip
    page = Document(document)
    assert page.declaration == "doctype html"
    assert page.elements[0] == ("html", {"lang": "en"})
    assert page.text_of("title") == title
    assert ("meta", {"charset": "utf-8"}) in page.elements
    script = page.text_of("script", type="module")
    assert pack.javascript() in script and script.endswith("standalone(document);\n")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (has["content"] for _, has in page.elements if has.get("http-equiv") == "Content-Security-Policy")
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src blob: data:; media-src blob: data:"
    )
    packed = page.text_of("script", id="mmviz-data")
    assert zlib.decompress(base64.b64decode(packed)) == data
    assert [tag for tag, has in page.elements if "src" in has or "href" in has] == []
    assert [tag for tag, _ in page.elements].count("script") == 2
    assert not re.search(r"https?://", document)


@pytest.mark.parametrize("example", load_gallery(), ids=lambda example: example.id)
def test_a_gallery_run_is_a_small_file(example: Example) -> None:
    run = run_sample(example.sample(), backend=ReplayBackend(assets_dir() / "gallery" / "runs"), relevance=True)
    document = run.to_html()
    without_scripts = len(document.partition("<style>")[0])
    print(f"{example.id}: {len(document.encode()) / 1e6:.2f} MB, {without_scripts / 1e3:.0f} kB of it without scripts")
    assert without_scripts <= STILL_LIMIT
    assert len(document.encode()) <= GALLERY_LIMIT
    packed = Document(document).text_of("script", id="mmviz-data")
    header, sections = decode(zlib.decompress(base64.b64decode(packed)))
    assert {f"codes/{ref}" for ref in header["map_refs"]} <= set(sections)
    assert Document(document).text_of("title") == answer_title(run.record)


def test_the_content_comes_before_what_a_sanitiser_may_leave_as_text() -> None:
    tags = [tag for tag, _ in Document(plain().to_html()).elements]
    assert (
        max(k for k, tag in enumerate(tags) if tag in ("h1", "img", "p")) < tags.index("style") < tags.index("script")
    )


def test_the_joined_script_is_the_modules_in_ascii(node: str) -> None:
    """Escapes mean the same as the characters: in a string, in a template, and of a pair of surrogates."""
    source = "console.log(JSON.stringify(['“é” 😀', `×${1}−`, 'é😀'.replace(/[é😀]/gu, 'x')]))"
    escaped = pack.escape_non_ascii(source)
    assert escaped.isascii() and escaped != source and pack.javascript().isascii()
    outputs = {
        subprocess.run([node, "-e", text], capture_output=True, encoding="utf-8", timeout=60, check=True).stdout
        for text in (source, escaped)
    }
    assert outputs == {'["“é” 😀","×1−","xx"]\n'}


def test_a_notebook_shows_the_document_in_a_frame() -> None:
    run = plain()
    frame = Document(run._repr_html_())
    (has,) = (has for tag, has in frame.elements if tag == "iframe")
    assert has["srcdoc"] == run.to_html() and has["title"] == "mmviz"
    assert has["sandbox"] == "allow-scripts allow-downloads"
    assert run._repr_html_().isascii() and run.to_html().isascii()
    assert "script" not in [tag for tag, _ in frame.elements]


def test_the_command_writes_the_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "run.html"
    assert main(["explain", "--text", "what was said?", "--html", str(target)]) == 0
    assert Document(target.read_text("utf-8")).text_of("title").startswith("Not sure: ")
    assert main(["explain", "--text", "what was said?", "--html", str(tmp_path / "no" / "run.html")]) == 2
    assert "run.html could not be written" in capsys.readouterr().err
