"""Brings the catalogues of translations up to date with the texts, and compiles them: make texts.

What is new in the texts is put into the ``.po`` files, without a translation; what is gone from them is taken out;
what was translated stays. Then write the Chinese into the ``.po``, and run this again. `tests/test_language.py` fails
as long as a text has no Chinese.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "mmviz" / "i18n" / "locale"
LANGUAGE = "zh"
TRANSLATED = f"{LANGUAGE}_Hans_CN"


def templates() -> dict[str, dict[str, list[str]]]:
    """Every text by the catalogue that it belongs to; with the names under which the code knows it."""
    from mmviz.i18n.audit import AUDIT
    from mmviz.i18n.errors_and_notices import SENTENCES
    from mmviz.i18n.figures import FIGURES
    from mmviz.i18n.gallery import ABOUT as GALLERY_ABOUT
    from mmviz.i18n.gallery import TITLES
    from mmviz.i18n.learn import LEARN
    from mmviz.i18n.page import LABELS
    from mmviz.i18n.viewer import ABOUT, WORDS

    page = {code: text for code, text in LABELS.items() if code not in LEARN}
    gallery = {
        f"{example} {name}": text
        for name, texts in (("title", TITLES), ("about", GALLERY_ABOUT))
        for example, text in texts.items()
    }
    parts = {
        "sentence": SENTENCES, "page": page, "viewer": WORDS, "about": ABOUT, "health": AUDIT, "figure": FIGURES,
        "gallery": gallery,
    }  # fmt: skip
    catalogues: dict[str, dict[str, list[str]]] = {"mmviz": {}, "learn": {}}
    for part, texts in parts.items():
        for code, text in texts.items():
            catalogues["mmviz"].setdefault(text, []).append(f"{part}: {code}")
    for code, text in LEARN.items():
        if text not in catalogues["mmviz"]:
            catalogues["learn"].setdefault(text, []).append(f"learn: {code}")
    return catalogues


def path_of(domain: str) -> Path:
    """The catalogue of a domain, to be read and written by people."""
    return LOCALE / LANGUAGE / "LC_MESSAGES" / f"{domain}.po"


def read(domain: str) -> Catalog:
    """The catalogue of a domain as it stands; an empty one where there is none."""
    path = path_of(domain)
    if not path.exists():
        return Catalog(TRANSLATED, domain)
    with path.open("rb") as file:
        return read_po(file, TRANSLATED, domain)


def updated(domain: str) -> Catalog:
    """The catalogue with all texts of its domain, and no others, in the order of the code."""
    before = read(domain)
    after = Catalog(
        TRANSLATED, domain, project="mmviz", header_comment=f"# Simplified Chinese: {domain}. See tools/catalogues.py.",
        revision_date=before.revision_date, creation_date=before.creation_date, fuzzy=False,
    )  # fmt: skip
    for text, codes in templates()[domain].items():
        old = before.get(text)
        flags = {"fuzzy"} if old is not None and old.fuzzy else set()
        after.add(text, old.string if old is not None else "", auto_comments=codes, flags=flags)
    return after


def po_of(catalogue: Catalog) -> bytes:
    """A catalogue as the text of its ``.po``."""
    file = io.BytesIO()
    write_po(file, catalogue, width=110, omit_header=False)
    return file.getvalue()


def mo_of(catalogue: Catalog) -> bytes:
    """A catalogue as the bytes of its ``.mo``, which the program reads."""
    file = io.BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def main() -> int:
    """Write both forms of both catalogues; say how many texts wait for a translation."""
    for domain in templates():
        catalogue = updated(domain)
        path = path_of(domain)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(po_of(catalogue))
        path.with_suffix(".mo").write_bytes(mo_of(catalogue))
        waiting = sum(not message.string for message in catalogue if message.id)
        print(f"{path.relative_to(ROOT)}: {len(catalogue)} texts, {waiting} without a translation")
    return 0


if __name__ == "__main__":
    sys.exit(main())
