"""What is below the form: the answer, where attention goes, and this on the inputs themselves."""

from __future__ import annotations

from typing import Any, Literal

import streamlit as st

from mmviz.app import link, widgets
from mmviz.app import state as keep
from mmviz.app.choosers import back_to_chosen, choosers
from mmviz.app.foot import foot
from mmviz.app.gallery import Trio
from mmviz.app.seen import Seen
from mmviz.app.texts import say
from mmviz.app.ways import ways
from mmviz.explain import Run
from mmviz.figures.audio import sound_figure
from mmviz.figures.image import picture_figure
from mmviz.figures.matrix import modality_figure
from mmviz.figures.text import words_html

QUIET = {"displayModeBar": False}
FOREIGN = ("picture-foreign", "sound-foreign", "question-foreign", "question-word")
"""Notices that take the ground from under the answer, and so stand alone."""
Part = Literal["sums", "per_token", "ratio"]


@st.fragment
def look(run: Run, trio: Trio | None, is_old: bool) -> None:
    """Everything about ``run``; ``trio`` where its truth is known; ``is_old``: the form holds something else by now.

    A change of view redraws only this part of the page.
    """
    strip = st.container(key="strip")
    chosen = choosers(run)
    link.note(keep.state(), chosen)
    seen = Seen(run, chosen)
    with strip:
        _strip(seen, trio, is_old)
    left, middle, right = st.columns([1, 1.12, 1], gap="medium")
    with left:
        _picture(seen)
    with middle:
        _words_and_sound(seen)
    with right:
        _modalities(seen)
    remarks = [words for words in (seen.spread_words, seen.sink_words) if words]
    if remarks:
        widgets.note(" ".join(remarks))
    back_to_chosen(run, chosen.way)
    ways(seen)
    foot(seen)


def _strip(seen: Seen, trio: Trio | None, is_old: bool) -> None:
    """The answer, the top five, and attention by modality."""
    run = seen.run
    made, answers = run.record.made_by, run.record.answers
    if made.get("trained") is False:
        widgets.note(say("untrained"), "banner")
    if any("Uniform" in change for change in made.get("changes", ())):
        widgets.note(say("evened"), "banner")
    first, second, third = st.columns([1.15, 0.85, 1.5], gap="medium")
    with first:
        if trio is None:
            verdict, kind = say("truth-unknown"), "unknown"
        elif trio.is_right(answers[0].label):
            verdict, kind = say("right"), "true"
        else:
            verdict, kind = say("wrong", answer=answers[0].label, truth=trio.truth), "wrong"
        origin, details = _origin(made)
        if is_old:
            origin = f"{origin}. {say('changed')}"
        widgets.answer(answers, verdict, kind, origin, details)
    with second:
        widgets.top_answers(answers)
    with third:
        title = say(f"shares-{seen.selection.direction}", token=seen.name)
        widgets.shares(title, seen.shares, seen.shares_of_heads)
    notices = (*run.sample.notices, *run.record.notices)
    foreign = [notice for notice in notices if notice.code in FOREIGN]
    for notice in foreign:
        widgets.note(str(notice), "foreign")
    rest = [str(notice) for notice in notices if notice not in foreign]
    if rest:
        widgets.note(" ".join(rest), "notice")


def _origin(made: Any) -> tuple[str, str]:
    """Where and how fast it was computed: in short, and in full."""
    times = made.get("milliseconds", {})
    prepare, forward, capture = (float(times.get(stage, 0)) for stage in ("prepare", "model", "capture"))
    device = {"cpu": "CPU", "cuda": "GPU"}.get(str(made.get("device")).split(":")[0], str(made.get("device")))
    code = "recorded" if made.get("recorded") else "computed"
    origin = say(code, model=made.get("model"), device=device, milliseconds=forward + capture)
    details = say(
        "computed-help", name=made.get("device_name"), prepare=prepare, forward=forward, capture=capture,
        parity=float(made.get("parity", 0)),
    )  # fmt: skip
    return origin, details


def _picture(seen: Seen) -> None:
    picture = seen.run.sample.image
    figure = picture_figure(
        picture.pixels if picture else None, seen.tokens, seen.amounts, seen.scale_max, seen.selection.style,
        widgets.is_dark(), seen.title("picture"), (picture.width, picture.height) if picture else None,
        seen.selection.token,
    )  # fmt: skip
    _clickable(figure, "picture-figure", say("picture-alt"), 445)


def _words_and_sound(seen: Seen) -> None:
    dark, token, audio = widgets.is_dark(), seen.selection.token, seen.run.sample.audio
    widgets.heading(seen.title("words"))
    words = words_html(seen.run.sample.text, seen.tokens, seen.amounts, seen.scale_max, dark, token)
    st.html(f"<div class='words'>{words}</div>")
    figure = sound_figure(**seen.inputs(), dark=dark, title=seen.title("sound"), picked=token)
    figure.update_yaxes(title_font_size=11)
    if audio:
        with st.container(key="player"):
            st.audio(audio.wave, sample_rate=audio.rate, alt=say("player-alt"))
    _clickable(figure, "sound-figure", say("sound-alt"), 362)


def _modalities(seen: Seen) -> None:
    parts: tuple[Part, ...] = ("sums", "per_token", "ratio")
    which: Part = st.segmented_control(
        say("which"), parts, format_func=lambda one: say(f"which-{one}"), default="sums",
        required=True, key="which", help=say("which-help"), width="stretch",
    )  # fmt: skip
    found = seen.modalities
    figure = modality_figure(
        getattr(found, which), found.queries, found.keys, found.counts, which, dark=widgets.is_dark()
    )
    figure.update_layout(height=390)
    st.plotly_chart(figure, theme=None, config=QUIET, key="modality-figure", alt=say("modality-alt"))


def _clickable(figure: Any, key: str, alt: str, height: int) -> None:
    """A figure whose points carry a token to look from; not higher than ``height``, for all to fit on one screen."""
    figure.update_layout(height=min(height, figure.layout.height))
    st.plotly_chart(
        figure, theme=None, config=QUIET, key=key, alt=alt, selection_mode="points",
        on_select=lambda: keep.look_from(key),
    )  # fmt: skip
