"""Texts of an audit over many examples, by code, for the command and the page."""

from __future__ import annotations

from mmviz.i18n.language import translate

AUDIT: dict[str, str] = {
    "the-image": "the picture",
    "the-text": "the text",
    "the-audio": "the sound",
    "baseline-learned": "learned",
    "baseline-mean": "mean",
    "baseline-blur": "blur",
    "baseline-noise": "noise",
    "present": "present",
    "decides": "decides",
    "ignored": "ignored",
    "overruled": "overruled",
    "effect": "effect",
    "attention": "attention",
    # meaning of the columns
    "present-means": "Examples that have it, out of all that were evaluated. The other figures of a row count these "
    "examples only.",
    "decides-means": "Without it the answer changes.",
    "ignored-means": "It has hardly any effect (a share below {small}), and without it the answer stays the same.",
    "overruled-means": "With only it and the text, the model gives another answer (probability {sure} or more) than "
    "with all inputs. The text is judged alone.",
    "effect-means": "Mean share of the effect: |Shapley value| of the answer's log-probability, divided by the sum "
    "over all three.",
    "attention-means": "Mean share of the attention from the answer token to picture, text and sound. It shows where "
    "the model reads from, not what decides.",
    # counts
    "evaluated": "Model {model}, baseline {baseline}. {evaluated} of {of} examples evaluated.",
    "stopped": "Model {model}, baseline {baseline}. Stopped; {evaluated} of {of} examples evaluated.",
    "untrained": "Its weights are untrained: the answers are chance, not something learned.",
    "untold": "In {count} of {of}, the answer is a text that is less probable than all other texts together. Whether "
    "it would change is not known there, so the columns decides, ignored and overruled leave them out.",
    "correct": "{correct} of {known} answers are correct.",
    "correct-some": "Correct answers: {correct} of {known} (examples whose correct answer is known and is one that the "
    "model can give).",
    "left-out": "Left out, {count} of {of}:",
    "left-out-more": "and {count} more",
    # findings
    "find-ignored": "{modality} is ignored in {count} of {of} examples.",
    "find-ignored-attended": "{modality} is ignored in {count} of {of} examples, although it gets {attention:.2f} of "
    "the attention there.",
    "find-overruled": "{modality} is overruled in {count} of {of} examples.",
    "find-only": "Only {modality} ever decides the answer, in {count} of {of} examples.",
    "find-none": "No modality decides: in all {of} examples the answer stays the same whichever one is removed.",
    "find-most": "Most attention goes to {modality} ({attention:.2f}), but the answer depends mostly on {other} "
    "({effect:.2f} of the effect).",
    "find-unused": "{modality} gets {attention:.2f} of the attention but has hardly any effect ({effect:.2f}).",
    "find-unattended": "{modality} gets hardly any attention ({attention:.2f}), yet the answer depends on it "
    "({effect:.2f} of the effect).",
    # heads that point
    "place-image": "the places in the picture",
    "place-audio": "the places in the sound",
    "pointing": "Heads that point, chosen by half of the examples with places and judged by the other half:",
    "head": "head",
    "chosen-half": "chosen by",
    "held-out-half": "judged by",
    "chance": "chance",
    "by-chance": "p-value",
    "find-pointing": "Heads that point to {place}: {heads}. The largest weight of {best} lies there in {hits} of {of} "
    "examples that did not choose it, by chance in {chance:.0%} of them.",
    "find-pointing-none": "No head points to {place} more often than chance, in the half of the examples that judges.",
    "find-pointing-few": "Too few examples judge whether a head points to {place}: {of}. Give places for more of them.",
    "find-pointing-unmeasured": "No head is judged: in the examples with places, no attention map holds all its "
    "weights from an answer token to tokens inside and outside the places.",
    "pointing-means": "A head points where its largest weight from the answer token to the tokens of the picture or "
    "the sound lies in a place that was given; the p-value is the probability of so many hits by chance.",
    "find-nothing": "No findings: no modality is ignored or overruled in a third of its examples, and attention and "
    "effect agree.",
}


def audit_words(code: str, **parameters: object) -> str:
    """Returns the text of ``code`` in the current language, with a capital letter where it is a sentence.

    Raises ``KeyError`` for an unknown code.
    """
    text = translate(AUDIT, code, **parameters)
    return text[0].upper() + text[1:] if text.endswith(".") else text
