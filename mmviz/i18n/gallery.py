"""Titles and sentences of the gallery's examples, by the id of the example, in English.

A sentence says only what `mmviz.training.release.gallery_items` claims of its example, which the build measures.
"""

from __future__ import annotations

TITLES: dict[str, str] = {
    "spoken-place": "A place by voice",
    "name": "The picture alone",
    "heard": "The sound alone",
    "photo-cup": "A photograph and a voice",
    "seen": "Picture and sound",
    "photo-bee": "All three agree",
    "photo-owl": "The sound differs",
    "mismatch": "The text differs",
    "voice-star": "A place by a person's voice",
    "voice-key": "A person on the telephone",
    "photo-rocket": "A photograph at night",
    "there": "No sound",
    "said": "No picture",
    "caption": "A caption to check",
    "mask": "A word to fill in",
    "count": "Things to count",
    "wrong-place": "A place, five things",
    "wrong-spoken": "A voice, five things",
}

ABOUT: dict[str, str] = {
    "spoken-place": "Needs both: the sound names a thing, and the picture shows what is right of it.",
    "name": "The sound is a distraction; the answer is in the picture.",
    "heard": "The picture is a distraction; the answer is in the sound.",
    "photo-cup": "Needs both: the sound names a thing, and the photograph shows whether it is there.",
    "seen": "Needs both: the sound names a thing, and the picture shows whether it is there.",
    "photo-bee": "A photograph, a word and a person's voice, all of the same thing: none differs.",
    "photo-owl": "Photograph and text agree; a person says something else.",
    "mismatch": "Picture and sound agree; the text names something else.",
    "voice-star": "Needs both; a person says the word, not a synthesiser.",
    "voice-key": "A person says “followed by the pound key” on the telephone; the picture is a distraction.",
    "photo-rocket": "A thin thing in a wide photograph; the sound is a distraction.",
    "there": "A question about the picture, with no sound at all.",
    "said": "A question about the sound, with no picture at all.",
    "caption": "Both things are in the picture, and the relation holds; the sound is a distraction.",
    "mask": "The text names one of two things, the picture shows the other; the sound is a distraction.",
    "count": "The answer is in the picture, and no word names what to count; the sound is a distraction.",
    "wrong-place": "A crowded picture: the model names the wrong thing.",
    "wrong-spoken": "A crowded picture and a spoken word: the model names the wrong thing.",
}
