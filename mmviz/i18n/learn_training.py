"""The sentences and labels of the lesson on attention while a model learns, by code."""

from __future__ import annotations

LEARNING: dict[str, str] = {
    "learn-learning-short": "Learning",
    "learn-learning-title": "Watching attention appear while a model learns",
    "learn-learning-question": "A new model is shown pictures and told one word for each. Nothing ever tells it where "
    "to look. Where does its attention go?",
    "learn-learning-option-a": "To the drawing, from the very start",
    "learn-learning-option-b": "Everywhere alike at first, later to the drawing",
    "learn-learning-option-c": "Everywhere alike, from start to end",
    "learn-learning-because": "At the start all positions look alike to the answer token, so softmax gives each the "
    "same. Then the gradient of the loss, which is on the word alone, makes it look where the word can be read.",
    "learn-learning-part": "Which model",
    "learn-learning-part-help": "A small one that is taught here and now, or the bundled one, as it was recorded while "
    "it was trained.",
    "learn-learning-part-teach": "Train one now",
    "learn-learning-part-bundled": "The bundled model, along its training",
    # train one now
    "learn-learning-intro": "A small model is made from nothing and learns ten words from 4,000 pictures of one "
    "drawing each: 10 epochs, batches of 32, optimizer Adam, loss categorical cross-entropy on the word. No loss is "
    "put on attention. It takes about a minute, on the machine that serves this page, and is gone when "
    "you close the page.",
    "learn-learning-flow-picture": "picture, 40 × 40",
    "learn-learning-flow-first": "Conv 32, 3 × 3, ReLU",
    "learn-learning-flow-second": "Conv 64, 3 × 3, ReLU",
    "learn-learning-flow-pool": "pool 2",
    "learn-learning-flow-tokens": "10 × 10 positions and an answer token",
    "learn-learning-flow-attention": "attention, softmax(QKᵀ/√dₖ)V",
    "learn-learning-flow-words": "linear, ten words",
    "learn-learning-start": "Start training",
    "learn-learning-again": "Train again",
    "learn-learning-stop-help": "Stop here. What has been learned by then is kept and shown.",
    "learn-learning-preparing": "Getting ready: {seconds:.0f} s",
    "learn-learning-progress": "Epoch {epoch} of {epochs}: {done:,} of {of:,} pictures, {seconds:.0f} s",
    "learn-learning-finished": "Trained for {epochs} epochs of {pictures:,} pictures, in {seconds:.0f} s.",
    "learn-learning-stopped": "You stopped after {epochs:.1f} epochs. This is what it had learned by then.",
    "learn-learning-nothing": "You stopped before it had learned anything.",
    "learn-learning-failed": "The training did not come to an end, and it is not your fault. Try again.",
    "learn-learning-loss": "Loss (cross-entropy)",
    "learn-learning-accuracy": "Accuracy (share of right words)",
    "learn-learning-learned": "pictures learned from",
    "learn-learning-held-out": "held-out pictures",
    "learn-learning-axis": "epoch",
    "learn-learning-before": "Before training",
    "learn-learning-after": "After epoch {epoch}",
    "learn-learning-says": "says “{word}”, {probability:.2f}",
    "learn-learning-alt": "A drawing: {word}. The brightest position gets {amount} of the attention.",
    "learn-learning-light": "Light: attention of the answer token on held-out pictures, one scale for all epochs.",
    "learn-learning-epoch": "Epoch",
    "learn-learning-epoch-help": "Go through the training. 0 is before it; the second row of pictures shows the epoch.",
    "learn-learning-right": "Held-out accuracy at the end",
    "learn-learning-on-before": "Attention on the drawing, before",
    "learn-learning-on-after": "Attention on the drawing, at the end",
    "learn-learning-area": "The drawing's share of positions",
    # the bundled model
    "learn-learning-trio": "Trio",
    "learn-learning-trio-help": "The two trios of the gallery that were followed through the training of the bundled "
    "model.",
    "learn-learning-bundled-intro": "Eighteen moments of the training of trio, on one trio: first its encoders alone "
    "(up to 37,312 scenes), then everything. The moments from 46,272 to 50,688 scenes come from a repetition with the "
    "same seed and data.",
    "learn-learning-none": "What was recorded along training does not fit the bundled model that is installed, so it "
    "is not shown.",
    "learn-learning-first": "Probability of “{answer}”, first moment",
    "learn-learning-last": "Probability of “{answer}”, last moment",
    "learn-learning-notice": "At first the drawing gets just its share of the positions, and the accuracy is a guess, "
    "one in ten. Within an epoch or two attention gathers on the drawing, although nothing told it to, and accuracy "
    "follows. Often a single position is enough to name the thing.",
    "learn-learning-misleads": "A bright position is not all that the model sees there: through its convolutions each "
    "position has taken in 10 × 10 pixels. Nor does bright attention make an answer right: look at the wrong ones. Of "
    "the bundled model only the encoders are trained up to 37,312 scenes; until then its attention is that of chance.",
    "learn-learning-do": "Train the model. Write down accuracy and attention on the drawing before and after. At which "
    "epoch does attention rise most, at which accuracy? Then open the bundled model: between which two moments does "
    "its answer become right?",
}
