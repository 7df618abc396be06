"""Every sentence and label of the page, by code; a second language is another dictionary."""

from __future__ import annotations

LABELS: dict[str, str] = {
    # head
    "title": "mmviz",
    "page": "Explore",
    "tagline": "How a picture, a text and a sound attend to each other inside a fusion model",
    # gallery
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
    "answer": "answer",
    "wrong": "The model gets this one wrong: it says {answer}, the truth is {truth}.",
    "right": "That is right.",
    "truth-unknown": "Whether it is true, mmviz does not know.",
    "computed": "{model}, computed on {device} in {milliseconds:.0f} ms",
    "recorded": "{model}, a recorded run: computed before on {device} in {milliseconds:.0f} ms",
    "changed": "The form has changed since: press Run.",
    "computed-help": "{name}. Reading the inputs {prepare:.0f} ms, the model {forward:.0f} ms, the attention "
    "{capture:.0f} ms. Attention times values reproduces the model's own output to {parity:.0e}.",
    "untrained": "These weights are untrained or shuffled. What you see is how chance attends, not something learned.",
    "evened": "A control: every token attends to all tokens alike, whatever the model computed.",
    "top-five": "top five of {of} answers",
    # shares
    "shares-from": "attention (routing) of {token}: where it goes",
    "shares-to": "attention (routing) of {token}: where it comes from",
    "share-sum": "sum",
    "share-per-token": "per token",
    "share-ratio": "× uniform",
    "share-spread": "heads",
    "share-sum-help": "All the attention of this kind together. It grows with the number of tokens.",
    "share-per-token-help": "The sum divided by the number of tokens.",
    "share-ratio-help": "The mean per token, divided by what attention spread evenly over all tokens would be.",
    "share-spread-help": "The smallest and the largest sum among the single heads of this layer.",
    "tokens": "{count} tokens",
    "token": "1 token",
    # choosers
    "query": "Look from",
    "query-help": "The token in question. You can also click a patch of the picture or a moment of the sound. "
    "Tokens are the pieces that a model reads: patches, word pieces, moments, and special ones such as its answer.",
    "direction": "Direction",
    "direction-help": "In every layer each token asks all tokens (a query), and all tokens are asked (keys). "
    "“Asks” shows what the chosen token attends to; “is asked” shows who attends to it.",
    "direction-from": "asks →",
    "direction-to": "← is asked",
    "way": "Way of looking",
    "way-help": "Mean: the average of a layer's heads; it hides how they differ, so their spread is printed. "
    "One head: one of the parallel attentions of a layer. Rollout: attention multiplied through all layers, each "
    "mixed half and half with the residual connection, (A + I) / 2 (Abnar and Zuidema 2020). "
    "Relevance: attention weighted by gradients of the answer (Chefer et al. 2021).",
    "way-mean": "mean of heads",
    "way-head": "one head",
    "way-rollout": "rollout",
    "way-relevance": "relevance",
    "layer": "Layer",
    "layer-help": "Layers are counted from the input; the last one writes the answer.",
    "head": "Head",
    "head-help": "The parallel attentions of one layer, each with its own idea of what goes with what.",
    "style": "On the picture",
    "style-help": "Spotlight: what gets little attention is dimmed. Heat: the colours of the other figures.",
    "style-spotlight": "light",
    "style-heat": "heat",
    "scale": "Scale up to the largest in",
    "scale-help": "The scale starts at 0 and ends at the largest weight of this view, or of the whole map. With the "
    "whole map you can compare tokens; with this view you see more. The range is printed under every figure.",
    "scale-view": "this view",
    "scale-map": "whole map",
    "back": "Back to {way}",
    "back-help": "The way of looking that was chosen for this model, because it points best at what it should.",
    # figures
    "picture-from": "{token} asks the picture →",
    "picture-to": "The picture asks → {token}",
    "words-from": "{token} asks the words →",
    "words-to": "The words ask → {token}",
    "sound-from": "{token} asks the sound →",
    "sound-to": "The sound asks → {token}",
    "spread": "Over the heads, a weight here differs by ± {typical} on average, and by up to ± {most} ({where}).",
    "sinks": "Sinks, which draw attention whatever asks (mean share from all tokens): {tokens}.",
    "which": "Between modalities, as",
    "which-help": "Rows ask, columns are asked; special tokens keep their own row and column. Sum: grows with the "
    "number of tokens asked. Per token: the sum divided by that number. × uniform: compared with attention spread "
    "evenly over all tokens.",
    "which-sums": "sum",
    "which-per_token": "per token",
    "which-ratio": "× uniform",
    "matrix": "Token by token: {way}",
    "picture-alt": "The picture under attention",
    "player-alt": "The sound, to listen to",
    "sound-alt": "The sound under attention",
    "modality-alt": "Attention between modalities",
    "matrix-alt": "Attention token by token",
    # ways of looking beside each other
    "ways": "{token}, in three ways of looking",
    "ways-help": "The same token and direction: the weights of the last layer as they are, rollout through all layers, "
    "and gradient relevance for the answer. Each card has a scale of its own, from 0 to its largest amount.",
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
}  # fmt: skip


def say(code: str, **parameters: object) -> str:
    """The words for ``code``. Raises ``KeyError`` for a code without any."""
    return LABELS[code].format(**parameters)
