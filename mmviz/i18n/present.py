"""The texts of talks, by code, in English."""

from __future__ import annotations

PRESENT: dict[str, str] = {
    "save-talk": "Present (.html)",
    "save-talk-help": "A talk about what is on screen, one idea a slide, with sound and speaker notes, in one file "
    "that opens offline. A traced story is in it.",
    "talk-inputs": "What the model is given",
    "talk-reads-from": "What the answer token reads",
    "talk-depends-on": "What the answer depends on",
    "talk-selection-from": "What {token} attends to",
    "talk-selection-to": "What attends to {token}",
    "talk-difference-from": "What {token} attends to more than {other}, and less",
    "talk-difference-to": "What attends to {token} more than to {other}, and less",
    "talk-legend-difference": "{unit}, first minus second: purple where the second has more, orange where the first "
    "has",
    "talk-strongest": "Strongest: {tokens}.",
    "talk-without-map": "No slide shows “{title}”: {reason}",
    "talk-step-notes": "Confirmed by a cut: if exactly this may not be read, and all else may, the answer's "
    "log-probability loses {size:.1f} nats.",
    "talk-step-size": "{size} for “{answer}” without it",
    "talk-bright": "Bright: the tokens that this step names.",
    "talk-reads-here": "The patches that read",
    "talk-read-here": "The patches that they read",
    "talk-legend-light": "Picture and sound: brightness",
    "talk-legend-colour": "Words: colour",
    "talk-picture": "The picture",
    "talk-spectrogram": "The sound as a spectrogram, {seconds:.1f} s",
    "talk-moments": "These moments: {start:.1f}–{end:.1f} s",
    "talk-keys": "Keys: Right, Space or Page Down goes on, Left or Page Up goes back. Home and End, F for full screen, "
    "N for these notes, Esc closes them. P opens the presenter's window, S plays the sound or stops it.",
    "talk-slides": "Slides",
    "talk-previous": "Previous slide",
    "talk-next": "Next slide",
    "talk-notes": "Notes",
    "talk-full": "Full screen",
    "talk-presenter": "Presenter",
    "talk-elapsed": "Time since the start",
    "talk-restart": "Start again",
    "talk-now": "On the screen",
    "talk-closed": "The slides are closed.",
    "talk-coming": "Next",
    "talk-last": "This is the last slide.",
    "talk-silent": "This slide has no notes.",
}
"""Texts of the button, and of the slides."""
PRESENT_SENTENCES: dict[str, str] = {
    "talk-unreadable": "This file is not a talk saved by mmviz, or it is damaged. Save the talk again.",
    "talk-format": "This talk was saved in format {format}, but this version of mmviz reads format {known}.",
    "talk-inputs-twice": "A saved talk has its own inputs, runs and title. Leave out {option}, or the talk.",
    "talk-ending": "A talk is written as .html, or as .mmviz to reopen it, and {name} ends otherwise. Give it one of "
    "these endings. For a PDF, print the slides of the .html from a browser.",
    "talk-printed": "{name}: {count} slides, {size}: {title}",
}
"""Errors, and what the command prints."""
