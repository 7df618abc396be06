"""A small model of convolution and attention is taught beside the page, and watched while it learns."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.app import session_state as keep
from mmviz.app.components import widgets
from mmviz.app.experiment_runner import QUICK
from mmviz.app.jobs import Growing
from mmviz.app.pages.learn.lesson_context import LessonContext
from mmviz.figures.colour_scale import short
from mmviz.figures.image import data_uri, spotlight
from mmviz.figures.legend import amount_legend_html
from mmviz.figures.training_curves import training_figure
from mmviz.i18n.page import say
from mmviz.types import Modality, PixelBox, Token

if TYPE_CHECKING:
    from mmviz.training.fit.conv_attention import Fitted, Moment

SCALE = 0.25
"""Where the scale of attention ends: an even share is 0.01, and a few positions get nearly all in the end."""
ZOOM = 5
"""Pixels of the page for one of the picture."""
FLOW = ("picture", "first", "pool", "second", "pool", "tokens", "attention", "words")


def teaching(desk: LessonContext) -> None:
    """A button that starts it; progress and curves while it learns; then every epoch to look at."""
    job = desk.bench.now.teaching
    if job is None:
        widgets.note(say("learn-learning-intro"))
        parts = "<i>→</i>".join(f"<span>{html.escape(say(f'learn-learning-flow-{part}'))}</span>" for part in FLOW)
        st.html(f"<div class='flow'>{parts}</div>")
        st.button(say("learn-learning-start"), key="learn-start", type="primary", on_click=_begin)
    elif not job.wait(QUICK):
        _under_way()
    elif job.result is None:
        words = say("learn-learning-failed" if job.problem else "learn-learning-nothing")
        _ended(words, "refusal" if job.problem else "remark")
    else:
        _learned(desk, job.result)


def _begin() -> None:
    now = keep.state()
    now.at.pop("epoch", None)
    now.visits += 1
    now.teaching = Growing(_fit)


def _fit(*watchers: Any) -> Fitted:
    from mmviz.training.fit.conv_attention import fit  # loads torch: not in the thread that draws the page

    return fit(None, *watchers)


@st.fragment(run_every=1.0)
def _under_way() -> None:
    """How far it is, a button that stops it, and what has been learned so far."""
    now = keep.state()
    job = now.teaching
    if job is None or job.wait(0):
        now.resend = True
        st.rerun()
    so_far: Fitted | None = job.so_far
    with st.container(horizontal=True, vertical_alignment="center", key="teaching-under-way"):
        st.button(say("stop"), key="learn-stop", help=say("learn-learning-stop-help"), on_click=job.stop)
        if so_far is None:
            st.progress(0.0, say("learn-learning-preparing", seconds=job.seconds))
        else:
            recipe = so_far.recipe
            epoch = min(recipe.epochs, job.done // recipe.pictures + 1)
            words = say(
                "learn-learning-progress", epoch=epoch, epochs=recipe.epochs, done=job.done,
                of=recipe.epochs * recipe.pictures, seconds=job.seconds,
            )  # fmt: skip
            st.progress(job.done / max(job.of, 1), words)
    if so_far is not None:
        _show(so_far, so_far.moments[-1])


def _ended(words: str, kind: str = "plain") -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="teaching-ended"):
        widgets.note(words, kind)
        st.button(say("learn-learning-again"), key="learn-again", on_click=_begin)


def _learned(desk: LessonContext, fitted: Fitted) -> None:
    """The end of it: any epoch to look at, and the numbers."""
    recipe, before, last = fitted.recipe, fitted.moments[0], fitted.moments[-1]
    left, right = st.columns([1.15, 1], gap="medium", vertical_alignment="center")
    with right:
        if fitted.is_whole:
            words = say(
                "learn-learning-finished", epochs=recipe.epochs, pictures=recipe.pictures, seconds=fitted.seconds
            )  # fmt: skip
            _ended(words)
        else:
            _ended(say("learn-learning-stopped", epochs=fitted.pictures / recipe.pictures), "remark")
    at = last.epoch
    if len(fitted.moments) > 1:
        with left:
            at = desk.slider("epoch", [one.epoch for one in fitted.moments], at, _epoch)
    _show(fitted, next(one for one in fitted.moments if one.epoch == at), at)
    numbers = {
        "right": last.accuracy, "on-before": before.on_drawing, "on-after": last.on_drawing, "area": fitted.area,
    }  # fmt: skip
    for (code, value), column in zip(numbers.items(), st.columns(len(numbers)), strict=True):
        with column:
            desk.number(code, f"{value:.2f}")


def _epoch(epoch: float) -> str:
    return f"{epoch:.1f}".removesuffix(".0")


def _show(fitted: Fitted, moment: Moment, at: float | None = None) -> None:
    """Pictures before training and at a moment, and the curves with a mark ``at`` an epoch."""
    left, right = st.columns([1.15, 1], gap="medium")
    with left:
        st.html(_pictures_html(fitted, moment))
    curves = {
        "loss": ([(one.epoch, one.loss) for one in fitted.stretches], [(m.epoch, m.loss) for m in fitted.moments]),
        "accuracy": (
            [(one.epoch, one.accuracy) for one in fitted.stretches], [(m.epoch, m.accuracy) for m in fitted.moments],
        ),
    }  # fmt: skip
    words = {name: say(f"learn-learning-{name}") for name in ("learned", "held-out")}
    with right:
        for name, (learned, held_out) in curves.items():
            top = 1.0 if name == "accuracy" else max([2.4, *(y for _, y in (*learned, *held_out))])
            told = {**words, "title": say(f"learn-learning-{name}"), "note": "", "x": say("learn-learning-axis")}
            figure = training_figure(learned, held_out, fitted.recipe.epochs, top, told, widgets.is_dark(), at)
            st.plotly_chart(figure, theme=None, config={"displayModeBar": False}, key=f"teaching-{name}")


def _pictures_html(fitted: Fitted, moment: Moment) -> str:
    """A row of the held-out pictures before training, and one at a moment."""
    rows = ""
    for found, title in (
        (fitted.moments[0], say("learn-learning-before")),
        (moment, say("learn-learning-after", epoch=_epoch(moment.epoch))),
    ):
        cells = "".join(_picture_html(fitted, found, k) for k in range(len(fitted.shown.labels)))
        rows += f"<h4>{html.escape(title)}</h4><div>{cells}</div>"
    legend = amount_legend_html(SCALE, widgets.is_dark(), open_end=True)
    return f"<div class='taught'>{rows}{legend}<p>{html.escape(say('learn-learning-light'))}</p></div>"


def _picture_html(fitted: Fitted, moment: Moment, k: int) -> str:
    truth = fitted.words[fitted.shown.labels[k]]
    best = int(moment.probabilities[k].argmax())
    says = say("learn-learning-says", word=fitted.words[best], probability=float(moment.probabilities[k, best]))
    alt = say("learn-learning-alt", word=truth, amount=short(float(moment.attention[k].max())))
    kind = "true" if fitted.words[best] == truth else "wrong"
    picture = data_uri(_lit(fitted.shown.pixels[k], moment.attention[k]))
    return (
        f"<figure><img src='{picture}' alt='{html.escape(alt)}' title='{html.escape(alt)}'>"
        f"<figcaption><b>{html.escape(truth)}</b><span class='{kind}'>{html.escape(says)}</span></figcaption></figure>"
    )


def _lit(pixels: NDArray[np.uint8], attention: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture enlarged pixel by pixel, with attention ``[row, column]`` as light."""
    large = pixels.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    side = len(large) / len(attention)
    tokens = [
        Token(Modality.IMAGE, "", PixelBox(x * side, y * side, (x + 1) * side, (y + 1) * side))
        for y, x in np.ndindex(attention.shape)
    ]
    return spotlight(large, tokens, attention.ravel(), SCALE)
