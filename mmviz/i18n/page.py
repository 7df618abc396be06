"""Texts of the page, by code, in English; those of Debug and Learn come from their own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mmviz.i18n.debug import DEBUG
from mmviz.i18n.first_screen import FIRST_SCREEN
from mmviz.i18n.head_edges import HEAD_EDGES
from mmviz.i18n.history import HISTORY
from mmviz.i18n.language import translate
from mmviz.i18n.learn import LEARN
from mmviz.i18n.lens_page import LENS_PAGE
from mmviz.i18n.own_talk import OWN_TALK
from mmviz.i18n.present import PRESENT
from mmviz.i18n.question_composer import QUESTION_COMPOSER
from mmviz.i18n.report import REPORT
from mmviz.i18n.routes import ROUTES
from mmviz.i18n.story import STORY
from mmviz.i18n.tables import TABLES

LABELS: dict[str, str] = {
    # head
    "title": "mmviz",
    "page-explore": "Explore",
    "page-explore-help": "See how picture, text and sound attend to each other.",
    "page-debug": "Debug",
    "page-debug-help": "Measure what the answer depends on, which heads matter, and whether the tokens that light up "
    "matter.",
    "tagline": "How a picture, a text and a sound attend to each other inside a fusion model",
    "tagline-own": "How a picture, a text and a sound attend to each other inside {model}",
    "skip-to-question": "Skip to the question",
    "skip-to-answer": "Skip to the answer",
    "skip-to-lesson": "Skip to the lesson",
    # choice of a model
    "model": "Model: {model}",
    "model-help": "The models that this page may run. What is on the screen stays until another is loaded.",
    "model-shown": "In use.",
    "model-on-disk": "{about} {family}, {millions:,.0f} million weights, {size} on this disk.",
    "model-download-size": "{about} It is downloaded first, {size}.",
    "model-download": "{about} It is downloaded first.",
    "model-loading": "Loading the model.",
    "model-loading-share": "{what} {share:.0%}, {seconds:.0f} s",
    "model-loading-time": "{what} {seconds:.0f} s",
    "model-stop-help": "Do not load this model. The page keeps the current model.",
    "model-unexpected": "The model could not be loaded, by an unexpected error. The page keeps the previous model.",
    # gallery
    "gallery": "Examples: arrow keys move between them",
    "saved": "Saved run",
    "saved-of": "Saved run {number}: {text}",
    "saved-help": "The run opened from a file.",
    "own": "Empty the form",
    "own-help": "Takes out picture, question and sound, for your own. Each of them is optional.",
    "gallery-wrong": "The model gets {wrong} of these {of} wrong (marked with a red dot).",
    "gallery-right": "The model gets all of these {of} right.",
    # inputs
    "use-image": "Picture",
    "use-audio": "Sound",
    "use-image-help": "Untick to run without the picture; the model is told that it is missing. PNG, JPEG, HEIC, "
    "AVIF, WebP, TIFF, BMP or GIF, up to 25 megapixels.",
    "use-audio-help": "Untick to run without the sound; the model is told that it is missing. WAV, AIFF, FLAC, "
    "OGG, MP3, M4A, AAC, AMR, WMA, WebM or the sound of a video, 0.1 to 60 seconds.",
    "use-several": "This model takes several.",
    "use-video-help": "This model takes several pictures, or a video of up to 60 seconds (MP4, MOV, MKV, WebM, WMV), "
    "of which it sees some frames.",
    "source-gallery": "from the gallery",
    "source-own": "yours",
    "source-own-several": "yours, {count} files",
    "source-none": "none",
    "drop": "or drop a file here",
    "drop-failed": "Not uploaded. Try again.",
    "run-refused-image": "Nothing was run, as the picture cannot be used. {why} Or untick Picture to run without it.",
    "run-refused-audio": "Nothing was run, as the sound cannot be used. {why} Or untick Sound to run without it.",
    "frame-upload": "Upload",
    "frame-photo": "Take photo",
    "frame-clear": "Clear photo",
    "frame-apply": "Press Enter to apply",
    "frame-submit": "Press Enter to submit",
    "question": "Text",
    "question-empty": "no text",
    "run": "Run",
    "run-help": "Run the model on these inputs. Keys: Return in the text field, Ctrl and Return anywhere.",
    "running": "Running the model: {seconds:.0f} s",
    "running-words": "Writing the answer: word {done} of at most {of}, {seconds:.0f} s",
    "running-layers": "Running the model: layer {done} of {of}, {seconds:.0f} s",
    "loading": "Loading the model (only once): {seconds:.0f} s",
    "stop": "Stop",
    "stop-help": "Stop waiting for this run. What is on the screen stays.",
    "stopped": "You stopped the run. Below is the previous run; press Run to try again.",
    "stopped-first": "You stopped the run before there was a result. Press Run to try again.",
    "link-example": "The link names the example “{example}”, which is not in this gallery. The first example is shown "
    "instead.",
    "link-run": "The link names a run that this server no longer keeps. The first example is shown instead. Give your "
    "inputs again, or ask for a new link.",
    "link-model": "The link names the model “{model}”, which this page does not offer. “{current}” is used instead.",
    "link-model-error": "The link's model could not be loaded, so another is used. {why}",
    "link-cuts": "The routes that the link cuts cannot be cut in this run, so it is shown without the cuts. {why}",
    "link-changes": "What the link changes in this run cannot be changed, so it is shown without that. {why}",
    "link-unknown": "The link names something that this run does not have ({names}). The default is shown instead.",
    "image-live": "Camera",
    "image-live-help": "Take a photo with this device's camera. Close this to turn the camera off.",
    "audio-live": "Record",
    "audio-live-help": "Record with this device's microphone, for up to a minute.",
    "image-live-insecure": "Browsers give the camera only to pages over HTTPS. Upload a photo instead, or tell the "
    "person who runs this page that --tls-cert and --tls-key turn HTTPS on.",
    "audio-live-insecure": "Browsers give the microphone only to pages over HTTPS. Upload a recording instead, or tell "
    "the person who runs this page that --tls-cert and --tls-key turn HTTPS on.",
    "unexpected": "The model failed with an unexpected error, which is not your input's fault. Below is the previous "
    "run.",
    "page-failed": "This part of the page could not be drawn, by a fault of mmviz ({error}). Your inputs and runs are "
    "still there: choose something else, or reload the page. If it happens again, report it with the server's log.",
    "nothing-yet": "No run yet. Choose one of the examples under “{examples}”, or give your own inputs and press Run.",
    # answer
    "no-answer": "none",
    "saved-run": "{model}, saved run: computed earlier on {device}",
    "answer": "answer",
    "not-sure": "not sure: {answers}?",
    "wrong": "The model gets this one wrong: it answers {answer}, the correct answer is {truth}.",
    "right": "The answer is correct.",
    "truth-unknown": "The correct answer is not known.",
    "computed": "{model}, computed on {device} in {milliseconds:.0f} ms",
    "computed-there": "{model}, computed on {device} of {host} in {milliseconds:.0f} ms",
    "computed-there-help": "{queue:.0f} ms in the queue of {host}, {network:.0f} ms for the round trip.",
    "tagline-and-backend": "{tagline}. Runs go to {host}",
    "backend-again": "Retry on {host}",
    "backend-again-help": "Repeat this run on the backend.",
    "login": "Access token",
    "login-help": "The person who runs this page has it.",
    "login-enter": "Enter",
    "login-wrong": "This is not the access token of this page. Check it and try again.",
    "recorded": "{model}, recorded run: computed earlier on {device} in {milliseconds:.0f} ms",
    "changed": "The form has changed since this run. Press Run to update.",
    "computed-help": "{name}. Reading the inputs took {prepare:.0f} ms, the model {forward:.0f} ms, capturing "
    "attention {capture:.0f} ms. Attention times values reproduces the model's own output to within {parity:.0e}.",
    "untrained": "These weights are untrained or shuffled. What you see is chance, not something learned.",
    "heads-ablated": "Ablated in this run: {heads}.",
    "uniform": "Control: uniform attention. Every token attends to all tokens equally, whatever the model computed.",
    "top-five": "top {shown} of {of} answers",
    # attention
    "back": "Back to {method}",
    "back-help": "The method chosen for this model, because it points best at the tokens that matter.",
    "versus": "The viewer and the exported page, slides, figures and weights show the difference between {token} and "
    "{other}. The cards below show {token} only.",
    "spread": "Across heads, a weight here differs by ± {typical} on average, and by up to ± {most} ({where}).",
    "sinks": "Attention sinks, which get much attention from every query (mean weight over all queries): {tokens}.",
    "all-weights": "All weights of this method, to six digits",
    "all-weights-long": "This run has too many weights to list them all. Zoom into the matrix for exact weights.",
    "all-weights-kept": "The file of this long run contains only means, and sums by modality. Run it again for exact "
    "weights.",
    "matrix": "Token by token: {method}",
    "picture-alt": "The picture, lit by attention",
    "matrix-alt": "Attention, token by token",
    # methods side by side
    "methods-from": "From {token}: three methods",
    "methods-to": "To {token}: three methods",
    "methods-from-few": "From {token}",
    "methods-to-few": "To {token}",
    "methods-help": "The same token and direction by three methods: raw attention of the last layer, rollout over all "
    "layers, and gradient relevance for the answer. Each card has its own scale, from 0 to its largest value.",
    "methods-pooled": "Only the overview of this run is kept, so these are means over neighbouring tokens.",
    "methods-long": "Rollout and relevance of a run this long are computed when you choose them in the viewer, without "
    "a matrix of all tokens.",
    "flow-computing": "{method}: map {done} of {of}",
    "flow-computing-elapsed": "{method}: {seconds:.0f} s",
    "flow-stop-help": "Stop computing. The layers stay as they are.",
    "flow-stopped": "Stopped before it had gone through all layers: {method}.",
    "methods-no-relevance": "Gradient relevance needs gradients of the answer, which this run did not keep.",
    "strip-text": "words",
    "strip-audio": "sound",
    "strongest": "Strongest: {tokens}",
    "method-show": "Show this method",
    "method-shown": "Shown in the viewer",
    # a model that writes its answer
    "prompt": "Prompt and settings",
    "prompt-help": "The prompt of the model: your text within its chat template. The placeholders stand for picture "
    "and sound.",
    "prompt-system": "System prompt",
    "prompt-tokens": "Longest answer, in tokens",
    "prompt-template": "Chat template",
    "prompt-template-help": "In Jinja, as in the file tokenizer_config.json of the checkpoint.",
    "prompt-run": "Run with these settings",
    "prompt-reset": "Drop my settings",
    "written-whole": "Log-probability of this answer: {total:.1f} nats for {count} tokens, {mean:.2f} a token.",
    "written-about": "This run is about {count} tokens of the answer: {total:.2f} nats, {mean:.2f} a token.",
    "written-help": "A long text is never probable as a whole: compare its log-probability without some inputs.",
    "prior": "Language prior against evidence",
    "prior-help": "The probability of each word of this answer, given the words before it: with all inputs, and "
    "without some of them. Where it hardly falls, the words before it suffice.",
    "prior-measure": "Measure",
    "prior-caption": "Probability of each word",
    "prior-everything": "with everything",
    "prior-without": "without {modalities}",
    "prior-evidence": "evidence, in nats",
    "prior-evidence-help": "Log-probability with everything less that of the row above. Above 0: the inputs make the "
    "word more probable.",
    "prior-cell": "log-probability {nats:.3f} nats",
    "prior-required": "The model cannot do without {modality}, so there is no row without it.",
    "prior-nothing": "There is neither picture nor sound to leave out.",
    "words": "What effects are about",
    "words-help": "Effect, removal, faithfulness and gradients are about the log-probability of the whole answer, or "
    "of the words that you choose.",
    "words-choice": "Words of the answer",
    "words-whole": "the whole answer",
    "words-run": "Run about these words",
    "words-outdated": "The form has changed, so this answer no longer belongs to it. Press Run first.",
    # a model of two encoders
    "similarity": "Similarity of tokens across modalities",
    "similarity-about": "This model has no attention across modalities: each of its two encoders attends to its own "
    "input, and the answer compares their two vectors. Shown is how similar the vector of each patch or moment is to "
    "that of the text or of one word, each as the model would pool and project that token alone. It is not attention.",
    "similarity-with": "Compared with",
    "similarity-text": "the whole text",
    "similarity-most": "Most similar: {places}.",
    "similarity-alt": "The picture, coloured by the similarity of its patches",
    # streams of a custom model
    "streams": "Streams: what attends to what",
    "streams-help": "A stream is one sequence of tokens. mmviz tells streams apart by what the model computes. Where "
    "it took one for another, write the right name; the model then runs again. Equal names are one stream.",
    "streams-modules": "Modules {pattern}",
    "streams-queries": "Queries from",
    "streams-keys": "Keys from",
    "streams-tokens": "{count} tokens in this run.",
    "streams-run": "Run with these names",
    "streams-reset": "Drop my names",
    "streams-reset-help": "Run again with the streams as mmviz tells them.",
    # footer
    "controls": "Was this learned? Controls",
    "control-trained": "as trained",
    "control-trained-help": "The model with its trained weights.",
    "control-shuffled": "shuffled weights",
    "control-shuffled-help": "The same inputs through the same model with shuffled weights, so nothing learned is "
    "left. What looks the same was not learned.",
    "control-uniform": "uniform attention",
    "control-uniform-help": "The same model, but every token attends to all tokens equally. If the answer stays, it "
    "does not depend on where attention goes.",
    "save": "Save and export",
    "save-page": "Page (.html)",
    "save-page-help": "The viewer as it is on screen, with picture, sound and attention maps, in one file that opens "
    "offline.",
    "save-run": "Run (.npz)",
    "save-run-help": "Inputs, tokens, answers and all attention maps. Open it again with mmviz.Run.load.",
    "save-exact": "Run, exact (.npz, {size} more)",
    "save-exact-help": "The run with queries, keys and log-sum-exp of every layer, so that exact rows, windows and "
    "rollout can be had wherever it is opened: {size} beside the overview, {token} for each token.",
    "save-summary": "Summary (.json)",
    "save-summary-help": "Answer, probabilities, tokens with their positions, and attention of the answer token.",
    "save-figure": "Figure (.png)",
    "save-figure-help": "The inputs lit by the attention on screen.",
    "save-pdf": "Figure (.pdf)",
    "save-pdf-help": "The same figure for print: text, lines and bars are vectors.",
    "save-svg": "Figure (.svg)",
    "save-svg-help": "The same figure for a drawing program.",
    "private": "What you send stays in this server's memory and is never written to disk: your latest runs (up to "
    "{runs}) and the inputs in the form until {minutes} minutes after they were last shown, all else until you close "
    "the page.",
    "run-link": "The address of this page is a link to this run. As long as the run is kept, anyone with the link sees "
    "the inputs.",
    "run-link-none": "This server does not keep this run, so it has no link, and a reload loses it.",
    "forget": "Forget my inputs",
    "forget-backend": "Your inputs are deleted here. The backend did not confirm that it dropped them, too. {why}",
    "forget-help": "Delete this run, your other runs and all that you sent from this server's memory. Their links stop "
    "working.",
    "reading": "How to read this",
    "reading-1": "Attention shows how information is routed between tokens, not what decided the answer.",
    "reading-2": "Rows are queries, columns are keys. Each row of a map sums to 1.",
    "reading-3": "The sum over a modality grows with its number of tokens, and a picture has many. So each sum is "
    "shown with its mean per token and its ratio to uniform attention.",
    "reading-4": "Some tokens get much attention from every query: attention sinks. They are named above and never "
    "left out.",
}
for _texts in (
    DEBUG, FIRST_SCREEN, HEAD_EDGES, HISTORY, LEARN, LENS_PAGE, OWN_TALK, PRESENT, QUESTION_COMPOSER, REPORT,
    ROUTES, STORY, TABLES,
):  # fmt: skip
    LABELS |= _texts


def say(code: str, **parameters: object) -> str:
    """Returns the text of ``code`` in the current language. Raises ``KeyError`` for an unknown code."""
    return translate(LABELS, code, **parameters)


@dataclass(frozen=True)
class Message:
    """A text of the page, stored as code and parameters, so that ``str`` gives it in the current language."""

    code: str
    """A key of `LABELS`."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Values for the text."""

    def __str__(self) -> str:
        return say(self.code, **self.parameters)
