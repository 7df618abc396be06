"""README and docs: no dead link, every page in the navigation, and pictures small."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PICTURES = 600_000
"""Bytes of all pictures together."""
README_BYTES = 8_000
FRONT = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
PAGES = (*FRONT, *sorted(path.relative_to(ROOT).as_posix() for path in DOCS.rglob("*.md")))


@cache
def prose(page: str) -> str:
    """Returns a page without its code."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.sub(r"```.*?```|^ {4}.*?$|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)


def slug(heading: str) -> str:
    """Returns the anchor of a heading, as Python-Markdown and GitHub make it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def anchors(page: Path) -> set[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    names = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {slug(name.replace("`", "")) for name in names} | set(re.findall(r"^::: (\S+)", text, re.MULTILINE))


def links(page: str) -> list[str]:
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [link for link in targets if not re.match(r"https?:|mailto:", link)]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    dead = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def test_links_are_looked_for() -> None:
    assert len(links("README.md")) > 20 and len([page for page in PAGES if links(page)]) > 15


def test_every_page_and_picture_is_used() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    listed = re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)
    assert sorted(listed) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    pictures = {path.name for path in (DOCS / "pictures").iterdir()}
    shown = {Path(name).name for page in PAGES for name in re.findall(r"\]\((\S+\.webp)\)", prose(page))}
    assert shown == pictures


def test_the_front_is_small() -> None:
    assert (ROOT / "README.md").stat().st_size <= README_BYTES
    assert sum(path.stat().st_size for path in (DOCS / "pictures").iterdir()) <= PICTURES


def test_every_extra_is_explained_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    section = (DOCS / "how-to" / "install.md").read_text(encoding="utf-8").partition("\n## Extras\n")[2]
    rows = re.findall(r"^\| `(\w+)` \| \S", section.partition("\n## ")[0], re.MULTILINE)
    assert sorted(rows) == sorted(project["optional-dependencies"])


def stations(walk: str = "") -> list[str]:
    """The files that the page about the structure names, all or those of one walk, in its order."""
    text = (DOCS / "explanation" / "architecture.md").read_text(encoding="utf-8")
    part = text.partition(f"\n**{walk}**")[2].partition("\n**")[0] if walk else text
    return re.findall(r"`([\w./]+\.(?:py|js)|[\w./]+/)`", part)


def test_every_file_that_the_structure_names_exists() -> None:
    named = stations()
    assert len(named) > 60 and all(len(stations(walk)) >= 9 for walk in ("An image", "A request", "A link"))
    assert not [name for name in named if not (ROOT / name).exists() and not (ROOT / "mmviz" / name).exists()]
