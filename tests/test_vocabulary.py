"""One language for code and sentences: no private names in files and identifiers, no private phrases in catalogues."""

from __future__ import annotations

import io
import re
import token
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmviz.i18n.audit import AUDIT
from mmviz.i18n.command_help import HELP
from mmviz.i18n.errors_and_notices import SENTENCES
from mmviz.i18n.figures import FIGURES
from mmviz.i18n.gallery import ABOUT as GALLERY_ABOUT
from mmviz.i18n.gallery import TITLES
from mmviz.i18n.page import LABELS
from mmviz.i18n.viewer import ABOUT, WORDS

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("mmviz", "tests", "benchmarks", "tools")
FILES = set(
    "ear heard seen path gate makings missed switched exact shelf alike faith evidence foreign fused yours arrived "
    "apart given refusal visible ship encoded words door desk asks foot look ways taking beside rover telling strips "
    "board moments long attend trios listen kept".split()
)
"""Names that no source file may bear."""
CLASSES = set(
    "Ear Heard Seen Checked Making Makings Line Kernels Switched HeadOff Exact Made Fused Room Shelf Kept LongMap Drop "
    "Hide Replace Uniform Randomise Absent Fill Where Way Listen Varies Judged Asked Said Yours Kind Bench Desk".split()
)
LOCALS = set(
    "found one made taken seen heard looked numbered likeness unlikeness twins judge foreign arrived apart shelf "
    "makings ear faith asker sharpness speak alike evened plane planes way trios".split()
)
"""Names that no identifier may have; longer names that contain them are allowed."""
FAMILIES = {"heard", "seen", "said", "there"}
"""Families of questions of the training world: data, and the methods that make them."""
PHRASES = re.compile(
    r"\b(asks|is asked|are asked|who asks|asker|the asked|ways? of looking|other tokens|taken away|takes? away|"
    r"take it away|stays? away|the model says|evened|keys that count|looks at whom|who looks|whoever|nobody|"
    r"not to be had|absent|trios)\b",
    re.IGNORECASE,
)
IN_NO_TEXT = re.compile(r"\btrios\b")
"""What no source may say at all, strings and docstrings included: trio is a model, what it reads is an example."""
CATALOGUES = {
    "messages": SENTENCES, "page": LABELS, "viewer": WORDS, "viewer about": ABOUT, "audit": AUDIT, "figures": FIGURES,
    "gallery titles": TITLES, "gallery about": GALLERY_ABOUT, "help": HELP,
}  # fmt: skip


def sources(*suffixes: str) -> list[Path]:
    """Source files with one of the suffixes, without installed packages."""
    paths = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    return sorted(path for path in paths if path.suffix in suffixes and "node_modules" not in path.parts)


def python_identifiers(text: str) -> Iterator[tuple[int, str]]:
    """Line and name of every identifier, string contents left out; attributes of others' objects count as well."""
    for piece in tokenize.generate_tokens(io.StringIO(text).readline):
        if piece.type == token.NAME:
            yield piece.start[0], piece.string


def javascript_identifiers(text: str) -> Iterator[tuple[int, str]]:
    """The same for JavaScript, comments and strings left out."""
    plain = re.sub(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", _blank, text, flags=re.DOTALL)
    for match in re.finditer(r"[A-Za-z_$][\w$]*", plain):
        yield plain.count("\n", 0, match.start()) + 1, match.group()


def _blank(match: re.Match[str]) -> str:
    return "\n" * match.group().count("\n")


@pytest.mark.parametrize("path", sources(".py", ".js", ".mjs"), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_and_its_identifiers_have_names_of_the_field(path: Path) -> None:
    stem = path.stem.removeprefix("test_").removesuffix(".test")
    assert stem not in FILES, f"{path.name} has a private name"
    text = path.read_text("utf-8")
    names = python_identifiers(text) if path.suffix == ".py" else javascript_identifiers(text)
    allowed = FAMILIES if "world" in path.parts or "world" in path.stem else set()
    assert path == Path(__file__) or not IN_NO_TEXT.search(text), f"{path.relative_to(ROOT)}: {IN_NO_TEXT.pattern}"
    private = [f"{line}: {name}" for line, name in names if name in CLASSES | LOCALS and name not in allowed]
    assert not private, f"{path.relative_to(ROOT)}: {', '.join(private[:20])}"


@pytest.mark.parametrize("area", CATALOGUES)
def test_no_sentence_has_a_private_phrase(area: str) -> None:
    private = {key: match.group() for key, text in CATALOGUES[area].items() if (match := PHRASES.search(text))}
    assert not private


def test_private_names_are_recognised_wherever_they_stand() -> None:
    code = 'class Ear:\n    def f(self, found):\n        return self.seen + f"{one}" + "made"  # taken\n'
    names = {name for _, name in python_identifiers(code)} & (CLASSES | LOCALS)
    assert names >= {"Ear", "found", "seen"} and not {"made", "taken"} & names
    script = 'const one = "found"; // made\nlet x = /* seen */ this.taken;'
    names = {name for _, name in javascript_identifiers(script)} & (CLASSES | LOCALS)
    assert names == {"one", "taken"}
    assert PHRASES.search("The token that asks") and not PHRASES.search("The query token attends to its keys")
