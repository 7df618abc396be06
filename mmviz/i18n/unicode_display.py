"""Stand-ins for characters that cannot be seen: inputs count them, figures show them."""

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
_NOT_SEEN = re.compile(
    f"(?<=[{_JOINING}])[\u200c\u200d]"  # in Arabic or Devanagari: the shape of the letter before it shows it
    f"|(?<=[{_EMOJI}\ufe0f])\u200d(?=[{_EMOJI}])"  # an emoji made of several
    f"|{_VARIED}[\ufe00-\ufe0f\u180b-\u180d\u180f\U000e0100-\U000e01ef]"  # chooses one look of an emoji or a letter
    "|(?<=\U0001f3f4)[\U000e0061-\U000e007a]{4,5}\U000e007f"  # the flag of England
    f"|(?P<hidden>[{_HIDDEN}]|\r(?!\n))"
)


def visible(text: str, start: int = 0, end: int | None = None, pictures: bool = True) -> str:
    """``text[start:end]`` with a stand-in for every character that cannot be seen or that would rule how others stand.

    Control characters become control pictures (or, without ``pictures``, for fonts that have none, the same as the
    others), zero-width and direction marks ``⟨U+202E⟩``. Spaces, tabs and line ends stay. So do joiners after a
    letter of a script that joins, and between emoji; and variation selectors after what they vary: the characters
    around the stretch decide, which is why the whole text is asked for.
    """
    end = len(text) if end is None else end
    parts, at = [], start
    for found in _NOT_SEEN.finditer(text, start):
        if found.start() >= end:
            break
        if found["hidden"]:
            code = ord(found["hidden"])
            is_control = code < 0x20 or code == 0x7F
            picture = chr(0x2400 + code if code < 0x20 else 0x2421)
            parts += [text[at : found.start()], picture if is_control and pictures else f"⟨U+{code:04X}⟩"]
            at = found.end()
    return "".join([*parts, text[at:end]])


def count_invisible(text: str) -> int:
    """How many characters of ``text`` `visible` would replace."""
    return sum(found["hidden"] is not None for found in _NOT_SEEN.finditer(text))


def one_line(text: str) -> str:
    """``text`` so that it can be printed anywhere: nothing hidden, no half characters, no line ends."""
    return " ".join(visible(text.encode("utf-8", "replace").decode()).split())
