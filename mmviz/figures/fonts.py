"""The fonts of figures for paper: Matplotlib's own, then installed ones that have the letters it lacks."""

from __future__ import annotations

from functools import lru_cache

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

from mmviz.i18n.figures import tell
from mmviz.i18n.language import Language, current

_OTHER_SCRIPTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN",  # Linux, or installed by hand
    "PingFang SC", "Hiragino Sans GB", "Heiti SC", "STHeiti",  # macOS
    "Microsoft YaHei", "DengXian", "SimHei", "SimSun",  # Windows
    "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Noto Sans CJK JP", "Arial Unicode MS",
    "Noto Sans", "Noto Sans Arabic",
)  # fmt: skip


@lru_cache(maxsize=1)
def families() -> list[str]:
    """Matplotlib's own font, then the installed ones with other scripts; a letter comes from the first that has it."""
    installed = {entry.name for entry in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in installed)]


def lacking(words: str) -> str:
    """The letters of ``words`` that no font here has, each once: boxes would be drawn for them."""
    fonts = [get_font(findfont(FontProperties(family=name))) for name in families()]
    letters = dict.fromkeys(letter for letter in words if letter.isprintable() and not letter.isspace())
    return "".join(letter for letter in letters if not any(font.get_char_index(ord(letter)) for font in fonts))


def legible() -> Language:
    """The language spoken, or English where no font here has its letters."""
    return "en" if lacking(tell("unit") + tell("direction")) else current()
