"""The texts of the composer of questions, by code, in English."""

from __future__ import annotations

QUESTION_COMPOSER: dict[str, str] = {
    "compose": "Compose",
    "compose-help": "All questions that the bundled model can answer, to choose from.",
    "compose-wording": "Question",
    "compose-wording-help": "Click and type to search.",
    "compose-x": "Word",
    "compose-y": "Second word",
    "compose-rel": "Place",
    "compose-needs": "To answer this, the model needs {needs}.",
    "compose-needs-image": "the picture",
    "compose-needs-audio": "the sound",
    "compose-needs-image-audio": "the picture and the sound",
    "compose-ask": "Ask this question",
}
