"""Every sentence and label of the page, by code, in English; `mmviz.i18n.language` has those of another language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmviz.i18n.debug import DEBUG
from mmviz.i18n.language import translated
from mmviz.i18n.learn import LEARN

LABELS: dict[str, str] = {
    # head
    "title": "mmviz",
    "page-explore": "Explore",
    "page-explore-help": "See how the three attend to each other.",
    "page-debug": "Debug",
    "page-debug-help": "Measure what the answer depends on, which heads matter, and whether what lights up matters.",
    "tagline": "How a picture, a text and a sound attend to each other inside a fusion model",
    "tagline-own": "How a picture, a text and a sound attend to each other inside {model}",
    # gallery
    "saved": "Saved run",
    "saved-help": "The run that was opened from a file.",
    "own": "Your own",
    "own-help": "Empty the form for a picture, a question and a sound of yours. Any of them may stay away.",
    "gallery-wrong": "The model gets {wrong} of these {of} wrong: those with a red dot.",
    "gallery-right": "The model gets all of these {of} right.",
    # inputs
    "use-picture": "Picture",
    "use-sound": "Sound",
    "use-picture-help": "Untick to run without the picture: the model is then told that it is absent. "
    "PNG, JPEG, WebP or GIF, up to 25 megapixels.",
    "use-sound-help": "Untick to run without the sound: the model is then told that it is absent. "
    "WAV, FLAC, OGG, MP3, M4A, AAC, WebM or the sound of an MP4 video, 0.1 to 60 seconds.",
    "from-gallery": "from the gallery",
    "from-you": "yours",
    "none-given": "none",
    "drop": "or drop a file here",
    "frame-upload": "Upload",
    "frame-photo": "Take photo",
    "frame-clear": "Clear photo",
    "frame-apply": "Press Enter to apply",
    "frame-submit": "Press Enter to submit",
    "question": "Text",
    "question-help": "The question, or any text. Leave it empty to run without a text.",
    "question-empty": "no text",
    "run": "Run",
    "run-help": "Run the model on what stands here. Return in the text does the same.",
    "running": "Running the model: {seconds:.0f} s",
    "loading": "Loading the model, which is needed once: {seconds:.0f} s",
    "stop": "Stop",
    "stop-help": "Wait no longer for this run. What is on the screen stays.",
    "stopped": "You stopped the run. What you see below is the run before; press Run to try again.",
    "stopped-first": "You stopped the run before there was anything to show. Press Run to try again.",
    "link-trio": "The link asks for the trio “{trio}”, which is not in this gallery; the first one is shown.",
    "link-odd": "The link asks for something this run does not have ({names}); the usual is shown instead.",
    "picture-live": "Camera",
    "picture-live-help": "Take a photo with this device's camera. Close this to switch the camera off.",
    "sound-live": "Record",
    "sound-live-help": "Record with this device's microphone, a minute at most.",
    "compose": "Compose",
    "compose-help": "All that the bundled model can be asked, to choose from.",
    "compose-wording": "Question",
    "compose-wording-help": "Click and type to search.",
    "compose-x": "Word",
    "compose-y": "Second word",
    "compose-rel": "Place",
    "compose-needs": "To answer, the model needs {needs}.",
    "compose-needs-image": "the picture",
    "compose-needs-audio": "the sound",
    "compose-needs-image-audio": "the picture and the sound",
    "compose-ask": "Ask this",
    "unexpected": "Something went wrong while the model ran, and it is not your input's fault. "
    "What you see below is the run before.",
    "nothing-yet": "No run yet. Choose one of the trios above, or give your own and press Run.",
    # answer
    "no-answer": "none",
    "saved-run": "{model}, a saved run: computed before on {device}",
    "answer": "answer",
    "wrong": "The model gets this one wrong: it says {answer}, the truth is {truth}.",
    "right": "That is right.",
    "truth-unknown": "Whether it is true, mmviz does not know.",
    "computed": "{model}, computed on {device} in {milliseconds:.0f} ms",
    "computed-there": "{model}, computed on {device} of {host} in {milliseconds:.0f} ms",
    "computed-there-help": "In the queue of {host} {queue:.0f} ms, on the way there and back {network:.0f} ms.",
    "tagline-and-backend": "{tagline}. Runs go to {host}",
    "backend-again": "Ask {host} again",
    "backend-again-help": "Makes this run once more, by the backend.",
    "door": "Access token",
    "door-help": "Whoever opened this page for you has it.",
    "door-enter": "Enter",
    "door-wrong": "This is not the access token of this page. Look again at what you were given.",
    "recorded": "{model}, a recorded run: computed before on {device} in {milliseconds:.0f} ms",
    "changed": "The form has changed since: press Run.",
    "origin-changed": "{origin}. {changed}",
    "computed-help": "{name}. Reading the inputs {prepare:.0f} ms, the model {forward:.0f} ms, the attention "
    "{capture:.0f} ms. Attention times values reproduces the model's own output to {parity:.0e}.",
    "untrained": "These weights are untrained or shuffled. What you see is how chance attends, not something learned.",
    "heads-off": "Switched off in this run: {heads}.",
    "evened": "A control: every token attends to all tokens alike, whatever the model computed.",
    "top-five": "top {shown} of {of} answers",
    # what is looked at
    "back": "Back to {method}",
    "back-help": "The way of looking that was chosen for this model, because it points best at what it should.",
    "versus": "The viewer shows the difference between {token} and {other}; these cards, and the figure to save, show "
    "{token} alone.",
    "spread": "Over the heads, a weight here differs by ± {typical} on average, and by up to ± {most} ({where}).",
    "sinks": "Sinks, which draw attention whatever asks (mean share from all tokens): {tokens}.",
    "all-weights": "Every weight of this way of looking, to six digits",
    "all-weights-long": "This run has too many weights to list them all; zoom into the matrix for exact ones.",
    "all-weights-kept": "Of this long run the file kept means and sums by modality; run it anew for exact weights.",
    "matrix": "Token by token: {method}",
    "picture-alt": "The picture under attention",
    "matrix-alt": "Attention token by token",
    # ways of looking beside each other
    "ways-from": "Asked by {token}, in three ways of looking",
    "ways-to": "Who asks {token}, in three ways of looking",
    "ways-from-few": "Asked by {token}",
    "ways-to-few": "Who asks {token}",
    "ways-help": "The same token and direction: the weights of the last layer as they are, rollout through all layers, "
    "and gradient relevance for the answer. Each card has a scale of its own, from 0 to its largest amount.",
    "ways-about": "Nothing but the overview of this run is kept: what stands here are means over neighbouring tokens.",
    "ways-long": "This run is too long to work out rollout and relevance for every token; mmviz.capture gives them for "
    "single ones (seen.rollout, seen.relevance).",
    "ways-no-relevance": "Relevance needs gradients of the answer, which this run did not keep.",
    "strip-text": "words",
    "strip-audio": "sound",
    "strongest": "Strongest: {tokens}",
    "way-look": "Look this way",
    "way-now": "You look this way now",
    # foot
    "controls": "Is it the model?",
    "control-trained": "as trained",
    "control-trained-help": "The model as it is.",
    "control-shuffled": "shuffled weights",
    "control-shuffled-help": "The same inputs through the same model with its weights shuffled, so that nothing "
    "learned is left. What looks the same then was not learned.",
    "control-evened": "even attention",
    "control-evened-help": "The same model, but every token is made to attend to all tokens alike. If the answer "
    "stays, it did not depend on where attention went.",
    "save": "Take it with you",
    "save-page": "Page (.html)",
    "save-page-help": "The viewer with picture, sound and maps inside, in one file that opens without a network.",
    "save-run": "Run (.npz)",
    "save-run-help": "Inputs, tokens, answers and all attention maps, to open again with mmviz.Run.load.",
    "save-summary": "Summary (.json)",
    "save-summary-help": "Answer, probabilities, tokens with their places, attention of the answer token.",
    "save-figure": "Figure (.png)",
    "save-figure-help": "The inputs under attention, for paper.",
    "private": "Nothing you send is kept: it is gone when you close the page.",
    "reading": "How to read this",
    "reading-1": "Attention says how information is routed between tokens. It does not say what decided the answer.",
    "reading-2": "Rows ask, columns are asked. Each row of a map adds up to 1.",
    "reading-3": "A sum over a modality grows with its number of tokens: a picture has many. So each sum stands beside "
    "its mean per token and its ratio to even attention.",
    "reading-4": "Some tokens draw much attention whatever asks: sinks. They are named above and never dropped.",
} | DEBUG | LEARN  # fmt: skip


def say(code: str, **parameters: object) -> str:
    """The words for ``code`` in the language spoken. Raises ``KeyError`` for a code without any."""
    return translated(LABELS[code]).format(**parameters)


@dataclass(frozen=True)
class Message:
    """What `say` says, kept as code and parameters, so that it follows the visitor into another language."""

    code: str
    parameters: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return say(self.code, **self.parameters)
