"""Visible replacements for invisible characters: inputs count them, figures show them."""

from __future__ import annotations

import re

_HIDDEN = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_JOINING = "\u0600-\u109f\u1780-\u18af\ua840-\uabff\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00011fff"
_EMOJI = "\u00a9\u00ae\u2122-\u27bf\u2900-\u2bff\U0001f000-\U0001faff"
_VARIED = f"(?<=[#*0-9\u00a9\u00ae\u1000-\U0003ffff])(?<![{_HIDDEN}])"
_INVISIBLE = re.compile(
    f"(?<=[{_JOINING}])[\u200c\u200d]"  # in Arabic or Devanagari, where it shapes the letter before it
    f"|(?<=[{_EMOJI}\ufe0f])\u200d(?=[{_EMOJI}])"  # joins several emoji into one
    f"|{_VARIED}[\ufe00-\ufe0f\u180b-\u180d\u180f\U000e0100-\U000e01ef]"  # selects a variant of an emoji or a letter
    "|(?<=\U0001f3f4)[\U000e0061-\U000e007a]{4,5}\U000e007f"  # the flag of England
    f"|(?P<hidden>[{_HIDDEN}]|\r(?!\n))"
)


def replace_invisible(text: str, start: int = 0, end: int | None = None, control_pictures: bool = True) -> str:
    """Returns ``text[start:end]`` with every invisible or direction-changing character replaced by a visible one.

    Control characters become control pictures such as ``␇``. All others, such as zero-width characters and direction
    marks, become their code, such as ``⟨U+202E⟩``; so do control characters where ``control_pictures`` is False, for
    fonts without these. Kept are spaces, tabs and line ends, joiners after letters of scripts that join and between
    emoji, and variation selectors after a character that has variants. The characters around the span decide this, so
    the whole text is passed.
    """
    end = len(text) if end is None else end
    parts, at = [], start
    for match in _INVISIBLE.finditer(text, start):
        if match.start() >= end:
            break
        if match["hidden"]:
            code = ord(match["hidden"])
            is_control = code < 0x20 or code == 0x7F
            picture = chr(0x2400 + code if code < 0x20 else 0x2421)
            parts += [text[at : match.start()], picture if is_control and control_pictures else f"⟨U+{code:04X}⟩"]
            at = match.end()
    return "".join([*parts, text[at:end]])


def count_invisible(text: str) -> int:
    """Returns the number of characters that `replace_invisible` replaces."""
    return sum(match["hidden"] is not None for match in _INVISIBLE.finditer(text))


def one_line(text: str) -> str:
    """Returns ``text`` as one printable line, without invisible characters, lone surrogates and line ends."""
    return " ".join(replace_invisible(text.encode("utf-8", "replace").decode()).split())
