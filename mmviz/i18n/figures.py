"""Every word that figures draw, by code. `mmviz.i18n.language` has those of another language."""

from __future__ import annotations

from mmviz.i18n.language import translated
from mmviz.types import Modality

FIGURES: dict[str, str] = {
    "unit": "share of attention",
    "range": "0 to {most}",
    "range-beyond": "0 to {most} and above",
    "unit-range": "{unit}, {range}",
    "told": "{place}: {amount}",
    "direction": "Rows ask, columns are asked.",
    "asks": "asks",
    "is-asked": "is asked",
    "hover": "asks: {query}<br>is asked: {key}<br>{what}: {amount}",
    "colour": "{direction} Colour: {unit}, {range}.",
    # tokens
    "name-image": "picture",
    "name-text": "words",
    "name-audio": "sound",
    "name-special": "special",
    "patch": "patch {row},{column}",
    "moment": "{start} s",
    "missing": "{modality}: {token}",
    "place-patch": "patch in row {row}, column {column}\n(x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f} px)",
    "place-moment": "sound from {start} to {end} s",
    "place-word": "“{token}”\n(characters {start} to {end})",
    "place-special": "special token: {token}",
    "token-absent": "absent",
    "token-answer": "answer",
    "together": "{count} tokens: {names}",
    "stand-in": "One token, “{token}”, stands in for it and gets {amount}.",
    # A minus B
    "minus": "A − B",
    "minus-unit": "A − B, {unit}",
    "minus-label": "A minus B, {unit}, −{most} (more in B) to +{most} (more in A)",
    "minus-more-b": "more in B −{most}",
    "minus-more-a": "+{most} more in A",
    "minus-token": "a token: {amount}",
    "minus-range": "from −{most} (purple, more in B) over 0 (the page) to +{most} (orange, more in A)",
    "minus-told": "A − B {amount}",
    "minus-none": "no partner in B",
    # heads
    "head": "head",
    "head-hover": "{layer}, head {head}: {amount}",
    # for paper
    "paper-from": "Attention, asked by {token}: {method}. {direction}",
    "paper-to": "Attention, who asks {token}: {method}. {direction}",
    "paper-image": "Picture",
    "paper-text": "Words",
    "paper-audio": "Sound",
    "paper-no-image": "No picture was given.",
    "paper-no-text": "No text was given.",
    "paper-no-audio": "No sound was given.",
    "paper-more": "… and {count} more",
    "paper-time": "time (s)",
    "paper-mel": "mel band (Hz)",
    "paper-answers": "Answer, with the model's probability",
    "paper-colour": "Colour",
    "paper-light": "Light",
    "paper-no-font": "Boxes stand for letters that no font of this machine has: {letters}. Install one that has them, "
    "such as Noto Sans CJK SC (fonts-noto-cjk), and save the figure again.",
    "paper-english": "No font of this machine has Chinese letters, so this figure is in English.",
}


def tell(code: str, **parameters: object) -> str:
    """The words for ``code`` in the language spoken. Raises ``KeyError`` for a code without any."""
    return translated(FIGURES[code]).format(**parameters)


def modality_name(modality: Modality) -> str:
    """What tokens of a modality are called."""
    return tell(f"name-{modality}")
