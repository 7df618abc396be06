"""Every sentence of a report on many trios, by code, as the command prints and the page shows them."""

from __future__ import annotations

from mmviz.i18n.language import translated

HEALTH: dict[str, str] = {
    "the-image": "the picture",
    "the-text": "the text",
    "the-audio": "the sound",
    "absent-learned": "learned",
    "absent-mean": "mean",
    "absent-blur": "blur",
    "absent-noise": "noise",
    "given": "have it",
    "decides": "decides",
    "ignored": "ignored",
    "overruled": "overruled",
    "effect": "effect",
    "attention": "attention",
    # what they mean
    "given-means": "The trios that have it, of all that were judged. All other figures of a row are of these trios.",
    "decides-means": "Without it the answer is another one.",
    "ignored-means": "It has hardly any effect (a share below {small}), and the answer is the same without it.",
    "overruled-means": "With it and the text alone the model stands by another answer (probability {sure} or more) "
    "than with everything; the text is judged alone.",
    "effect-means": "Mean share of the effect: |Shapley value| in the answer's log-probability, divided by the sum of "
    "all three.",
    "attention-means": "Mean share of what the answer token gives to picture, text and sound together. It says where "
    "the model reads from, not what decides.",
    # how many
    "trios": "Model {model}, absent: {absent}. {judged} of {of} trios judged.",
    "stopped": "Model {model}, absent: {absent}. Stopped; {judged} of {of} trios judged.",
    "untrained": "Its weights are untrained: this is how chance answers, not something learned.",
    "right": "{right} of {known} answers are right.",
    "right-some": "Of the {known} answers whose truth is known and is one that the model can give, {right} are right.",
    "left-out": "Left out, {count} of {of}:",
    "left-out-more": "and {count} more",
    # what strikes
    "find-ignored": "{modality} is ignored in {count} of {of} trios.",
    "find-ignored-seen": "{modality} is ignored in {count} of {of} trios although it gets {attention:.2f} of the "
    "attention there.",
    "find-overruled": "{modality} is overruled in {count} of {of} trios.",
    "find-only": "Only {modality} ever decides, in {count} of {of} trios.",
    "find-none": "Nothing decides: in each of the {of} trios the answer stays whichever one is taken away.",
    "find-most": "Most attention goes to {modality} ({attention:.2f}), but the answer depends mostly on {other} "
    "({effect:.2f} of the effect).",
    "find-idle": "{modality} gets {attention:.2f} of the attention and has hardly any effect ({effect:.2f}).",
    "find-silent": "{modality} gets hardly any attention ({attention:.2f}), and yet the answer depends on it "
    "({effect:.2f} of the effect).",
    "find-nothing": "Nothing strikes: no modality is ignored or overruled in a third of its trios, and attention and "
    "effect tell the same story.",
}


def health_words(code: str, **parameters: object) -> str:
    """The words for ``code`` in the language spoken, with a capital where they are a sentence.

    Raises ``KeyError`` for a code without any.
    """
    words = translated(HEALTH[code]).format(**parameters)
    return words[0].upper() + words[1:] if words.endswith(".") else words
