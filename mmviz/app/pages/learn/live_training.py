"""Trains a small model of convolution and attention in a thread of the page, and shows it during training."""

from __future__ import annotations

import html
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.components.glossary_text import glossary_note
from mmviz.app.experiment_runner import QUICK, visitor_left
from mmviz.app.jobs import StreamingJob
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.experiments.time_estimates import seconds_left
from mmviz.figures.colour_scale import short
from mmviz.figures.image import data_uri, spotlight
from mmviz.figures.large_type import enlarge
from mmviz.figures.legend import amount_legend_html
from mmviz.figures.training_curves import training_figure
from mmviz.i18n.page import say
from mmviz.report.duration_words import duration_words
from mmviz.types import Modality, PixelBox, Token

if TYPE_CHECKING:
    from mmviz.training.fit.train_conv_attention import Snapshot, TrainingRun

ATTENTION_SCALE = 0.25
"""End of the scale of attention: uniform attention is 0.01, and a few positions get nearly all of it in the end."""
_LARGE_HEIGHT = 350
"""Pixels of a figure in a presentation."""
ZOOM = 5
"""Page pixels for one image pixel."""
_last_seconds: deque[float] = deque(maxlen=1)
"""How long the last complete training of this process took, in seconds."""
FLOW = ("picture", "first", "pool", "second", "pool", "tokens", "attention", "words")
"""The stages of the model in order, by the last part of their text's key."""


def live_training(context: LessonContext) -> None:
    """A button that starts training; progress and curves during training; afterwards every epoch to look at."""
    job = context.runner.state.training_job
    if job is None:
        last = _last_seconds[-1] if _last_seconds else None
        code = "unmeasured" if last is None else "took"
        time = say(f"learn-training-{code}", **({} if last is None else {"time": duration_words(last)}))
        intro = say("learn-training-intro", time=time)
        stages = "<i>→</i>".join(f"<span>{html.escape(say(f'learn-training-flow-{stage}'))}</span>" for stage in FLOW)
        with _part(context, "live", "intro"):
            glossary_note(intro)
        with _part(context, "images"):
            if context.is_large:
                glossary_note(say("learn-training-not-trained"))
            st.html(f"<div class='flow'>{stages}</div>")
        with _part(context, "live", "start"):
            st.button(say("learn-training-start"), key="learn-start", type="primary", on_click=_start)
    elif not job.wait(QUICK):
        _progress(context)
    elif job.result is None:
        text = say("learn-training-failed" if job.error else "learn-training-nothing")
        _finished(text, "error" if job.error else "remark")
    else:
        _training_run(context, job.result)


def _part(context: LessonContext, name: str, control: str = "") -> DeltaGenerator:
    """Returns the place on a slide in a presentation, and on the page the place where the page is drawn."""
    return context.in_part(name, control) if context.is_large else st.container()


def _start() -> None:
    state = session.current_state()
    if state.training_job is not None and not state.training_job.wait(0):  # the second click of two
        return
    state.lesson_params.pop("epoch", None)
    state.lesson_serial += 1
    state.training_job = StreamingJob(_fit, visitor_left())


def _stop() -> None:
    job = session.current_state().training_job
    if job is not None:
        job.stop()


def _fit(*watchers: Any) -> TrainingRun:
    from mmviz.training.fit.train_conv_attention import fit  # imports torch: not in the thread that draws the page

    run = fit(None, *watchers)
    if run.is_complete:
        _last_seconds.append(run.seconds)
    return run


@st.fragment(run_every=1.0)
def _progress(context: LessonContext) -> None:
    """Progress, a button to stop, and the training run so far."""
    state = session.current_state()
    job = state.training_job
    if job is None or job.wait(0):
        st.rerun()
    partial: TrainingRun | None = job.partial
    place = _part(context, "live", "progress")
    with place.container(horizontal=True, vertical_alignment="center", key="training-progress"):
        st.button(say("stop"), key="learn-stop", help=say("learn-training-stop-help"), on_click=_stop)
        if partial is None:
            st.progress(0.0, say("learn-training-preparing", seconds=job.seconds))
        else:
            recipe = partial.recipe
            epoch = min(recipe.epochs, job.done // recipe.images + 1)
            left = seconds_left(job.done, job.of, partial.seconds)
            text = say(
                "learn-training-progress", epoch=epoch, epochs=recipe.epochs, done=job.done,
                of=recipe.epochs * recipe.images, seconds=job.seconds,
                left="–" if left is None else duration_words(left),
            )  # fmt: skip
            st.progress(job.done / max(job.of, 1), text)
    if partial is not None:
        _images_and_curves(context, partial, partial.snapshots[-1])


def _finished(text: str, kind: str = "plain") -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="training-finished"):
        page_elements.note(text, kind)
        st.button(say("learn-training-again"), key="learn-again", on_click=_start)


def _training_run(context: LessonContext, run: TrainingRun) -> None:
    """A training run that has ended: any epoch to look at, and its numbers."""
    recipe, before, last = run.recipe, run.snapshots[0], run.snapshots[-1]
    left, right = st.columns([1.15, 1], gap="medium", vertical_alignment="center")
    if context.is_large:
        left, right = context.in_part("images", "epoch"), context.in_part("live", "finished")
    with right:
        if run.is_complete:
            _finished(say("learn-training-finished", epochs=recipe.epochs, pictures=recipe.images, seconds=run.seconds))
        else:
            _finished(say("learn-training-stopped", epochs=run.images / recipe.images), "remark")
    epoch = last.epoch
    if len(run.snapshots) > 1:
        with left:
            epoch = context.slider("epoch", [snapshot.epoch for snapshot in run.snapshots], epoch, _epoch_text)
    _images_and_curves(context, run, next(snapshot for snapshot in run.snapshots if snapshot.epoch == epoch), epoch)
    numbers = {
        "right": last.accuracy, "on-before": before.on_drawing, "on-after": last.on_drawing, "area": run.area,
    }  # fmt: skip
    place = _part(context, "live", "numbers")
    for (code, value), column in zip(numbers.items(), place.columns(len(numbers)), strict=True):
        with column:
            context.number(code, f"{value:.2f}")


def _epoch_text(epoch: float) -> str:
    return f"{epoch:.1f}".removesuffix(".0")


def _images_and_curves(
    context: LessonContext, run: TrainingRun, snapshot: Snapshot, marked_epoch: float | None = None
) -> None:  # fmt: skip
    """Held-out images before training and at ``snapshot``, and the curves with a mark at an epoch."""
    left, right = st.columns([1.15, 1], gap="medium")
    if context.is_large:  # each on a slide of its own
        left, right = context.in_part("images"), context.in_part("live", "curves")
        right = right.container(horizontal=True)
    with left:
        st.html(_images_html(run, snapshot))
    curves = {
        "loss": ([(p.epoch, p.loss) for p in run.points], [(s.epoch, s.loss) for s in run.snapshots]),
        "accuracy": ([(p.epoch, p.accuracy) for p in run.points], [(s.epoch, s.accuracy) for s in run.snapshots]),
    }
    texts = {"train": say("learn-training-train"), "held-out": say("learn-training-held-out")}
    texts |= {"note": "", "x": say("learn-training-axis")}
    with right:
        for name, (train, held_out) in curves.items():
            top = 1.0 if name == "accuracy" else max([2.4, *(y for _, y in (*train, *held_out))])
            titled = {**texts, "title": say(f"learn-training-{name}")}
            epochs = run.recipe.epochs
            figure = training_figure(train, held_out, epochs, top, titled, page_elements.is_dark(), marked_epoch)
            if context.is_large:
                enlarge(figure, _LARGE_HEIGHT)
                figure.update_layout(margin_b=130)  # the name of the axis between its numbers and two lines of legend
            st.plotly_chart(
                figure, theme=None, config={"displayModeBar": False}, key=f"training-{name}", alt=titled["title"]
            )


def _images_html(run: TrainingRun, snapshot: Snapshot) -> str:
    """A row of held-out images before training, and a row at ``snapshot``."""
    rows = ""
    for row_snapshot, title in (
        (run.snapshots[0], say("learn-training-before")),
        (snapshot, say("learn-training-after", epoch=_epoch_text(snapshot.epoch))),
    ):
        cells = "".join(_image_html(run, row_snapshot, k) for k in range(len(run.tracked.labels)))
        rows += f"<h4>{html.escape(title)}</h4><div>{cells}</div>"
    legend = amount_legend_html(ATTENTION_SCALE, page_elements.is_dark(), open_end=True)
    return f"<div class='training-images'>{rows}{legend}<p>{html.escape(say('learn-training-legend'))}</p></div>"


def _image_html(run: TrainingRun, snapshot: Snapshot, index: int) -> str:
    label = run.words[run.tracked.labels[index]]
    best = int(snapshot.probabilities[index].argmax())
    prediction = say(
        "learn-training-prediction", word=run.words[best], probability=float(snapshot.probabilities[index, best])
    )
    alt = html.escape(say("learn-training-alt", word=label, amount=short(float(snapshot.attention[index].max()))))
    kind = "true" if run.words[best] == label else "wrong"
    source = data_uri(_attention_image(run.tracked.pixels[index], snapshot.attention[index]))
    return (
        f"<figure><img src='{source}' alt='{alt}' title='{alt}'>"
        f"<figcaption><b>{html.escape(label)}</b><span class='{kind}'>{html.escape(prediction)}</span></figcaption>"
        "</figure>"
    )


def _attention_image(pixels: NDArray[np.uint8], attention: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An enlarged image ``[height, width, 3]`` under its attention ``[row, column]``."""
    enlarged = pixels.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    side = len(enlarged) / len(attention)
    tokens = [
        Token(Modality.IMAGE, "", PixelBox(x * side, y * side, (x + 1) * side, (y + 1) * side))
        for y, x in np.ndindex(attention.shape)
    ]
    return spotlight(enlarged, tokens, attention.ravel(), ATTENTION_SCALE)
