"""The texts of a talk that is put together on the page, by code, in English."""

from __future__ import annotations

OWN_TALK: dict[str, str] = {
    "own-talk": "Your talk: slides of these and other runs",
    "own-talk-count": "Slides: {count}",
    "own-talk-help": "Collect slides of this run and of others, put them into your order, and write your own captions "
    "and notes: up to {slides} slides of {runs} runs. The talk lives as long as this page is open; save it to keep it.",
    "own-talk-add-run": "Add this run",
    "own-talk-add-run-help": "All slides of the run on the screen: inputs, answer, its maps, what is selected, and the "
    "steps of a traced story.",
    "own-talk-add-view": "Add this view",
    "own-talk-add-view-help": "One slide: what is selected in the viewer now.",
    "own-talk-add-text": "Add a text",
    "own-talk-add-text-help": "A slide with a heading and a sentence of your own.",
    "own-talk-file": "Open a saved talk",
    "own-talk-file-help": "A .mmviz file: its slides, with their runs, are added behind the chosen slide.",
    "own-talk-full": "There is no more room: a talk holds up to {slides} slides of {runs} runs. Remove some first.",
    "own-talk-text": "Your heading",
    "own-talk-untitled": "(no heading)",
    "own-talk-up": "Move this slide up",
    "own-talk-down": "Move this slide down",
    "own-talk-remove": "Remove this slide",
    "own-talk-title": "Heading of the chosen slide",
    "own-talk-caption": "Caption",
    "own-talk-notes": "Speaker notes",
    "own-talk-name": "Title of the talk (empty: the first question)",
    "own-talk-lost": "{count} slides are left out, as this server no longer keeps their runs. Make these runs again, "
    "and add their slides.",
    "own-talk-texts": "There are only texts. Add at least one slide of a run to save or open the talk.",
    "own-talk-html-help": "The talk as one HTML file that opens in any browser, offline, with sound and notes.",
    "own-talk-bundle": "Talk (.mmviz)",
    "own-talk-bundle-help": "The slides with their runs. “Open a saved talk” and `mmviz app FILE` open it, `mmviz "
    "present FILE` makes the HTML file of it.",
    "own-talk-open": "Open the slides",
    "own-talk-open-help": "Opens the talk in a window of its own. There F fills the screen, and P opens the "
    "presenter's window.",
    "own-talk-link": "Open the slides here",
}
"""Labels, help, and what is said where there is no room or a run is gone."""
