"""Texts of the lesson on attention during training, by code, in English."""

from __future__ import annotations

TRAINING: dict[str, str] = {
    "learn-training-short": "Training",
    "learn-training-title": "How attention develops during training",
    "learn-training-question": "A new model is shown pictures, with one word for each as the target. Nothing tells it "
    "where to attend. Where does its attention go?",
    "learn-training-option-a": "To the drawing, from the very start",
    "learn-training-option-b": "Everywhere equally at first, later to the drawing",
    "learn-training-option-c": "Everywhere equally, from start to end",
    "learn-training-because": "At the start all keys look alike to the answer token's query, so the softmax gives each "
    "nearly the same weight. Then the gradient of the loss, which is on the word alone, moves attention to where the "
    "word can be recognised.",
    "learn-training-part": "Model",
    "learn-training-part-help": "A small model trained here and now, or the bundled model, as recorded during its "
    "training.",
    "learn-training-part-live": "Train one now",
    "learn-training-part-bundled": "The bundled model, during its training",
    # train one now
    "learn-training-intro": "A small model starts from random weights and learns ten words from 4,000 pictures of one "
    "drawing each: 10 epochs, batches of 32, optimizer Adam, loss categorical cross-entropy on the logits of the ten "
    "words. No loss is put on attention. {time} The model is deleted when you close the page.",
    "learn-training-unmeasured": "How long that takes on the machine that serves this page is measured while it runs.",
    "learn-training-took": "The last training on the machine that serves this page took {time}.",
    "learn-training-flow-picture": "picture, 40 × 40",
    "learn-training-flow-first": "Conv 32, 3 × 3, ReLU",
    "learn-training-flow-second": "Conv 64, 3 × 3, ReLU",
    "learn-training-flow-pool": "pool 2",
    "learn-training-flow-tokens": "10 × 10 positions and an answer token",
    "learn-training-flow-attention": "attention, softmax(QKᵀ/√dₖ)V",
    "learn-training-flow-words": "linear, ten words",
    "learn-training-start": "Start training",
    "learn-training-again": "Train again",
    "learn-training-stop-help": "Stop training. What the model has learned so far is kept and shown.",
    "learn-training-preparing": "Getting ready: {seconds:.0f} s",
    "learn-training-progress": "Epoch {epoch} of {epochs}: {done:,} of {of:,} pictures, {seconds:.0f} s, {left} left",
    "learn-training-finished": "Trained for {epochs} epochs of {pictures:,} pictures, in {seconds:.0f} s.",
    "learn-training-stopped": "You stopped after {epochs:.1f} epochs. This is what the model had learned by then.",
    "learn-training-nothing": "You stopped before the model had learned anything.",
    "learn-training-failed": "The training failed with an unexpected error, which is not your fault. Try again.",
    "learn-training-loss": "Loss (cross-entropy)",
    "learn-training-accuracy": "Accuracy (share of correct words)",
    "learn-training-train": "training batches",
    "learn-training-held-out": "held-out pictures",
    "learn-training-axis": "epoch",
    "learn-training-before": "Before training",
    "learn-training-after": "After epoch {epoch}",
    "learn-training-prediction": "predicts “{word}”, {probability:.2f}",
    "learn-training-alt": "A drawing: {word}. The brightest position gets {amount} of the attention.",
    "learn-training-legend": "Brightness: attention weights of the answer token on held-out pictures, one scale for "
    "all epochs.",
    "learn-training-epoch": "Epoch",
    "learn-training-epoch-help": "Step through the training. 0 is before training; the second row of pictures shows "
    "the epoch.",
    "learn-training-right": "Held-out accuracy at the end",
    "learn-training-on-before": "Attention on the drawing, before",
    "learn-training-on-after": "Attention on the drawing, at the end",
    "learn-training-area": "The drawing's share of positions",
    # the bundled model
    "learn-training-example": "Example",
    "learn-training-example-help": "The two examples of the gallery whose attention was recorded during the training "
    "of the bundled model.",
    "learn-training-bundled-intro": "Checkpoints of the training of trio, on one example: first its projections alone, "
    "which bring what the frozen encoders give into the common space, then all but the encoders.",
    "learn-training-none": "The recorded training does not match the installed bundled model, so it is not shown.",
    "learn-training-first": "Probability of “{answer}”, first checkpoint",
    "learn-training-last": "Probability of “{answer}”, last checkpoint",
    "learn-training-notice": "At first the drawing gets only its share of the positions, and the accuracy is chance, "
    "one in ten. Within an epoch or two attention concentrates on the drawing, although nothing told it to, and "
    "accuracy follows. Often a single position is enough to recognise the drawing.",
    "learn-training-misleads": "A bright position stands for more than its own pixels: through the convolutions, each "
    "position covers 10 × 10 of them. Nor does concentrated attention make an answer correct: see the wrong answers. "
    "In the bundled model only the projections are trained at first; meanwhile its layers stay as they started.",
    "learn-training-do": "Train the model. Write down accuracy and attention on the drawing before and after. At which "
    "epoch does attention rise most, and at which does accuracy? Then open the bundled model: between which two "
    "checkpoints does its answer become correct?",
}  # fmt: skip
