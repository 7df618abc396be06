"""The fonts of figures for print: Matplotlib's own, then installed fonts with the characters that it lacks."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache

from mmviz.figures.matplotlib_settings import default_settings

# isort: split

from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager, get_font

from mmviz.i18n.figures import tell
from mmviz.i18n.language import Language, current_language

_OTHER_SCRIPTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN",  # Linux, or installed by hand
    "PingFang SC", "Hiragino Sans GB", "Heiti SC", "STHeiti",  # macOS
    "Microsoft YaHei", "DengXian", "SimHei", "SimSun",  # Windows
    "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Noto Sans CJK JP", "Arial Unicode MS",
    "Noto Sans", "Noto Sans Arabic",
)  # fmt: skip
_MAX_NAMED = 4
"""So many missing characters are listed by their code points."""


@lru_cache(maxsize=1)
def families() -> list[str]:
    """Returns Matplotlib's own font and the installed fonts of other scripts; the first with a character draws it."""
    if not _installed():  # Matplotlib keeps its list of fonts in a file, without those that were installed since
        known = {entry.fname for entry in fontManager.ttflist}
        for path in findSystemFonts():
            if path not in known:
                with suppress(OSError, RuntimeError):  # a font that cannot be read
                    fontManager.addfont(path)
    return ["DejaVu Sans", *_installed()]


def _installed() -> list[str]:
    """Returns the fonts of other scripts that Matplotlib knows."""
    names = {entry.name for entry in fontManager.ttflist}
    return [name for name in _OTHER_SCRIPTS if name in names]


@default_settings()
def missing_characters(text: str) -> str:
    """Returns the characters of ``text`` that no installed font has, each once. Boxes would be drawn for them."""
    fonts = [get_font(findfont(FontProperties(family=name))) for name in families()]
    characters = dict.fromkeys(character for character in text if character.isprintable() and not character.isspace())
    return "".join(c for c in characters if not any(font.get_char_index(ord(c)) for font in fonts))


def missing_font_text(characters: str) -> str:
    """Returns a sentence on the characters for which boxes are drawn, by their code points."""
    codes = ", ".join(f"U+{ord(character):04X}" for character in characters[:_MAX_NAMED])
    return tell("paper-no-font", letters=codes + (" …" if len(characters) > _MAX_NAMED else ""))


def drawable_language() -> Language:
    """Returns the current language, or English if no installed font has its characters."""
    return "en" if missing_characters(tell("unit") + tell("direction")) else current_language()
