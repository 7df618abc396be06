"""Texts in figures, by code, in English."""

from __future__ import annotations

from mmviz.i18n.language import translate

FIGURES: dict[str, str] = {
    "unit": "attention weight",
    "unit-rollout": "rollout",
    "unit-relevance": "gradient relevance",
    "unit-value": "share of the norms",
    "unit-integrated": "nats",
    "unit-similarity": "cosine similarity",
    "similarity-label": "{unit}, −{most} to +{most}",
    "range": "0 to {most}",
    "range-beyond": "0 to {most} and above",
    "unit-range": "{unit}, {range}",
    "token-amount": "{place}: {amount}",
    "direction": "Rows are queries, columns are keys.",
    "query": "query",
    "key": "key",
    "hover": "query: {query}<br>key: {key}<br>{what}: {amount}",
    "colour": "{direction} Colour: {unit}, {range}.",
    # tokens
    "name-image": "picture",
    "name-text": "words",
    "name-audio": "sound",
    "name-special": "special",
    "patch": "patch {row},{column}",
    "moment": "{start} s",
    "picture-patch": "picture {picture}, patch {row},{column}",
    "frame-patch": "frame at {start} s, patch {row},{column}",
    "spectrogram-patch": "{start} s, {hertz} Hz",
    "missing": "{modality}: {token}",
    "place-patch": "patch in row {row}, column {column}\n(x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f} px)",
    "place-moment": "sound, {start} to {end} s",
    "place-spectrogram-patch": "sound, {start} to {end} s,\n{low} to {high} Hz",
    "place-word": "“{token}”\n(characters {start} to {end})",
    "place-special": "special token: {token}",
    "token-absent": "missing",
    "token-answer": "answer",
    "together": "{count} tokens: {names}",
    "stand-in": "One token, “{token}”, stands in its place and has {amount}.",
    # the two maps of the first view
    "reads-from": "Reads from",
    "depends-on": "Depends on",
    "answer-map-from": "From {token} to every token: {method}.",
    "reads-from-help": "What the answer token attends to in the last layers in which picture, words and sound meet. "
    "Attention is routing, not the reason.",
    "depends-on-help": "What the answer depends on, by the method whose tokens mattered most when they were removed "
    "and inserted (deletion and insertion), on examples kept for that choice.",
    "depends-on-default-help": "What the answer depends on, by gradient relevance, the default: no method was measured "
    "for this model.",
    "light-help": "On the picture the amount is light: grey and dim at 0, in full colour at the end of the scale.",
    "depends-on-signed": "Only amounts for the answer are drawn; those against it reach {least}.",
    # A minus B
    "minus": "A − B",
    "minus-unit": "A − B, {unit}",
    "minus-label": "A minus B, {unit}, −{most} (more in B) to +{most} (more in A)",
    "minus-more-b": "more in B −{most}",
    "minus-more-a": "+{most} more in A",
    "minus-token": "per token: {amount}",
    "minus-range": "from −{most} (purple, more in B) through 0 (background) to +{most} (orange, more in A)",
    "minus-amount": "A − B {amount}",
    "minus-none": "no counterpart in B",
    # heads
    "head": "head",
    "head-hover": "{layer}, head {head}: {amount}",
    # figures for print
    "paper-from": "From {token}: {method}. {direction}",
    "paper-to": "To {token}: {method}. {direction}",
    "paper-minus-from": "From {token} minus from {other}: {method}. {direction}",
    "paper-minus-to": "To {token} minus to {other}: {method}. {direction}",
    "paper-minus-range": "{unit}, first minus second: −{most} (purple) to +{most} (orange)",
    "paper-image": "Picture",
    "paper-text": "Words",
    "paper-audio": "Sound",
    "paper-no-image": "No picture was given.",
    "paper-no-text": "No text was given.",
    "paper-no-audio": "No sound was given.",
    "paper-more": "… and {count} more",
    "paper-time": "time (s)",
    "paper-mel": "mel band (Hz)",
    "paper-answers": "Answers, with the model's probabilities",
    "paper-answers-line": "Answers, with the model's probabilities: {answers}.",
    "paper-colour": "Colour",
    "paper-light": "Brightness",
    "paper-no-font": "Boxes stand for characters that no installed font has: {letters}. Install a font with them, "
    "such as Noto Sans CJK SC (fonts-noto-cjk), and save the figure again.",
    "paper-english": "No installed font has Chinese characters, so this figure is in English.",
}


def tell(code: str, **parameters: object) -> str:
    """Returns the text of ``code`` in the current language. Raises ``KeyError`` for an unknown code."""
    return translate(FIGURES, code, **parameters)


def unit_name(method: str) -> str:
    """Returns the unit of the values that a method gives: ``attention``, ``rollout``, ``relevance``, or one of
    `mmviz.analysis.attributions`, ``value`` or ``integrated``."""
    return tell("unit" if method == "attention" else f"unit-{method}")


def modality_name(modality: str) -> str:
    """Returns the name of a modality (``image``, ``text``, ``audio`` or ``special``) in the current language."""
    return tell(f"name-{modality}")
