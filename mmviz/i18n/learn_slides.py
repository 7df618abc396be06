"""Texts of the presentation of a lesson, of the path of one attention, and of the sheet to print, in English."""

from __future__ import annotations

LEARN_SLIDES: dict[str, str] = {
    "learn-present": "Present",
    "learn-present-help": "Show this lesson in large type, one step a slide. Keys: the arrows, Page Up and Page Down, "
    "Home and End; F for full screen, Escape to leave.",
    "learn-slide-leave": "Leave",
    "learn-slide-leave-help": "Back to the page (Escape)",
    "learn-slide-first": "First",
    "learn-slide-first-help": "First slide of this lesson (Home)",
    "learn-slide-previous": "← Back",
    "learn-slide-previous-help": "Back by one slide (Left, Page Up)",
    "learn-slide-next": "Forward →",
    "learn-slide-next-help": "Forward by one slide (Right, Page Down)",
    "learn-slide-last": "Last",
    "learn-slide-last-help": "Last slide of this lesson (End)",
    "learn-slide-count": "{slide} of {count}",
    "learn-slide-viewer": "The linked viewer of these maps, with a calculator of every step, is on the page (Escape).",
    # slides of the training
    "learn-training-not-trained": "Once a model has been trained on the slide before, this slide shows its attention "
    "on held-out pictures. This is the model:",
    "learn-training-recorded-title": "Recorded while the bundled model was trained: probability of the correct answer",
    "learn-training-recorded-x": "training scenes",
    "learn-training-recorded-after": "{scenes:,} scenes",
    "learn-training-recorded-is": "“{answer}” {probability:.1%}; light: 0 to {most}",
    "learn-training-recorded-end": "the largest weight of each picture",
    "learn-training-recorded-alt": "The picture after {scenes:,} training scenes. The brightest patch gets {amount} of "
    "the attention.",
    "learn-training-recorded-note": "“{question}” at every checkpoint of the training of trio: what the answer token "
    "attends to in the last layer, mean of heads, and the probability of the correct answer.",
    # the path of one attention
    "learn-path-heading": "From query to output, on the model's own numbers",
    "learn-output-layer": "Layer",
    "learn-output-layer-help": "Layers of the model, in order of execution.",
    "learn-output-head": "Head",
    "learn-output-head-help": "Each head has its own queries, keys and values.",
    "learn-output-query": "Query token",
    "learn-output-query-help": "The token that attends, and receives the output.",
    "learn-output-key": "Key token",
    "learn-output-key-help": "The token that is attended to. At first the one with the largest weight beside the query "
    "token itself.",
    "path-query": "1 Query of “{query}”",
    "path-key": "2 Key of “{key}”",
    "path-score": "3 Score: “{query}” with “{key}”",
    "path-weight": "4 Weight of “{key}” among {count} keys",
    "path-value": "5 Value of “{key}”",
    "path-output": "6 Output for “{query}”",
    "path-vector": "{size} numbers: {numbers} …",
    "path-score-numbers": "q · k = {score}; × {scale} = {scaled}",
    "path-score-mask": "q · k = {score}; × {scale}, masked = {scaled}",
    "path-weight-numbers": "softmax: {weight}; largest: “{strongest}” {largest}",
    "path-value-numbers": "{weight} × value = {numbers} …",
    "path-output-numbers": "Σ weight × value = {numbers} …",
    "path-alt": "The path from query to output: the query of “{query}” and the key of “{key}” give the score {scaled}, "
    "the softmax the weight {weight}; the values by their weights give the output.",
    "path-play": "Play",
    "path-pause": "Pause",
    "path-back": "One step back",
    "path-on": "One step on",
    # bars
    "learn-bars-all": "all {count} tokens",
    "learn-bars-strongest": "the {count} largest",
    # the sheet to print
    "learn-sheet": "Sheet to print",
    "learn-sheet-help": "Two pages: the picture, the question and the task with room to write; then the solution.",
    "learn-sheet-numbers": "Numbers of this run",
    "learn-sheet-read": "What you read off the page",
    "learn-sheet-notes": "Your answer, and why",
    "learn-sheet-task-notes": "Your notes on the task",
    "learn-sheet-before": "Question",
    "learn-sheet-do": "Task",
    "learn-sheet-name": "Name",
    "learn-sheet-date": "Date",
    "learn-sheet-solution": "Solution",
    "learn-sheet-correct": "Correct answer: {letter}) {option}",
    "learn-sheet-alt": "The picture of this lesson",
    "learn-sheet-run": "Model {model}, weights {weights}. Text: “{text}”. Answer: {answer}.",
    "learn-sheet-inputs": "The model reads: “{text}”",
}
