"""Slides of lesson 8 on the training of the bundled model, as it was recorded: probabilities and attention."""

from __future__ import annotations

import html

import numpy as np
import streamlit as st

from mmviz.app.components import page_elements
from mmviz.figures.colour_scale import short
from mmviz.figures.image import data_uri, downscaled, spotlight
from mmviz.figures.large_type import enlarge
from mmviz.figures.legend import amount_legend_html
from mmviz.figures.theme import plain
from mmviz.figures.timeline_curves import timeline_figure
from mmviz.i18n.page import say
from mmviz.inputs.examples import Example
from mmviz.report.viewer_timeline import TrainingViewerData

_SIDE = 240
"""Pixels of the longer side of a picture."""
_HEIGHT = 390
"""Pixels of the figure."""


def recorded_curves(recorded: list[tuple[Example, TrainingViewerData]]) -> None:
    """Draws the probability of the correct answer of each example at each checkpoint."""
    probabilities = {}
    for example, data in recorded:
        answer = correct_answer(example, data)
        name = f"{example.question} {data.timeline.answers[answer]}"
        probabilities[name] = [float(value) for value in data.timeline.probabilities[:, answer]]
    texts = {code: say(f"learn-training-recorded-{code}") for code in ("title", "x")} | {"note": ""}
    figure = timeline_figure(recorded[0][1].timeline.scenes, probabilities, texts, page_elements.is_dark())
    enlarge(figure, _HEIGHT)
    figure.layout.title.text = f"<b>{plain(texts['title'])}</b>"  # on one line: it has the whole width
    figure.update_layout(margin={"t": 56, "b": 70 + 30 * len(probabilities)})
    st.plotly_chart(figure, theme=None, config={"displayModeBar": False}, key="training-recorded", alt=texts["title"])


def recorded_images(example: Example, data: TrainingViewerData) -> None:
    """Draws the picture under the attention of the answer token in the last layer, at every checkpoint.

    The light of each picture ends at its own largest weight, which stands below: on one scale most would be dark.
    """
    image, timeline = data.run.sample.image, data.timeline
    assert image is not None  # the examples that are recorded and drawn here have one
    (tokens,) = data.record.streams.values()
    located = [k for k, token in enumerate(tokens) if token.modality == "image" and token.location is not None]
    amounts = timeline.weights[:, -1, data.initial_view["tokens"][0]].astype(np.float64)
    answer = correct_answer(example, data)
    pixels, size = downscaled(image.pixels, _SIDE), (image.width, image.height)
    cells = ""
    for scenes, row, probabilities in zip(timeline.scenes, amounts, timeline.probabilities, strict=True):
        most = float(row[located].max())
        lit = spotlight(pixels, [tokens[k] for k in located], row[located], most, size)
        values = {"scenes": scenes, "answer": timeline.answers[answer], "probability": float(probabilities[answer]),
                  "most": short(most)}  # fmt: skip
        alt = html.escape(say("learn-training-recorded-alt", scenes=scenes, amount=short(most)))
        name, probability = (html.escape(say(f"learn-training-recorded-{code}", **values)) for code in ("after", "is"))
        cells += (
            f"<figure><img src='{data_uri(lit)}' alt='{alt}' title='{alt}'>"
            f"<figcaption><b>{name}</b><span>{probability}</span></figcaption></figure>"
        )
    note = html.escape(say("learn-training-recorded-note", question=example.question))
    legend = amount_legend_html(1.0, page_elements.is_dark(), ends=("0", say("learn-training-recorded-end")))
    st.html(f"<div class='training-images recorded'><p>{note}</p><div>{cells}</div>{legend}</div>")


def correct_answer(example: Example, data: TrainingViewerData) -> int:
    """Returns the number of the correct answer among those that were recorded; 0 where it is not there."""
    answers = data.timeline.answers
    return next((k for k, answer in enumerate(answers) if example.is_right(answer)), 0)
