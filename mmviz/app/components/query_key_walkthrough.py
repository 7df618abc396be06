"""The animated path of one attention, as a component of the page: it plays, pauses and steps, or stands still."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from mmviz.analysis.query_key_walkthrough import PATH_STEPS, AttentionPath
from mmviz.figures.query_key_walkthrough import attention_path_svg
from mmviz.i18n.minus_sign import MINUS
from mmviz.i18n.page import say
from mmviz.types import Modality

_FOLDER = Path(__file__).parent
_component = st.components.v2.component(
    "mmviz_attention_path",
    css=(_FOLDER / "query_key_walkthrough.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "query_key_walkthrough.js").read_text(encoding="utf-8"),
)
_NUMBERS = 3
"""So many numbers of a vector are written out."""
_NAME = 14
"""Letters of a token's name that have room."""


def animated_path(
    path: AttentionPath, query: str, labels: Sequence[str], modalities: Sequence[Modality], step: str | None, key: str
) -> None:  # fmt: skip
    """Draws the path of the token named ``query`` through one of the keys named ``labels``.

    ``step`` is the step up to which it is shown, one of `PATH_STEPS`; None plays all steps, with buttons to pause and
    to step. No other widget has the ``key``.
    """
    vectors = {"query": path.query, "key": path.key, "score": path.products, "weight": path.weights,
               "value": path.value, "output": path.output}  # fmt: skip
    texts, alt = path_texts(path, query, labels)
    buttons = {name: say(f"path-{name}") for name in ("play", "pause", "back", "on")}
    svg = attention_path_svg(vectors, modalities, path.key_index, texts, alt)
    shown = None if step is None else PATH_STEPS.index(step) + 1
    _component(key=key, data={"svg": svg, "step": shown, "buttons": buttons}, height="content")


def path_texts(path: AttentionPath, query: str, labels: Sequence[str]) -> tuple[dict[str, tuple[str, str]], str]:
    """Returns heading and numbers of each step, with the tokens that they belong to, and all in one sentence."""
    strongest = int(path.weights.argmax())
    names = {"query": _short_name(query), "key": _short_name(labels[path.key_index])}
    numbers = {"score": _number(path.score), "scale": _number(path.scale), "scaled": _number(path.scaled),
               "weight": _number(path.weight), "strongest": _short_name(labels[strongest]),
               "largest": _number(float(path.weights[strongest]))}  # fmt: skip
    score_code = "path-score-mask" if path.is_masked else "path-score-numbers"
    texts = {
        "query": (say("path-query", **names), say("path-vector", size=len(path.query), numbers=_written(path.query))),
        "key": (say("path-key", **names), say("path-vector", size=len(path.key), numbers=_written(path.key))),
        "score": (say("path-score", **names), say(score_code, **numbers)),
        "weight": (
            say("path-weight", count=len(path.weights), **names),
            say("path-weight-numbers", **numbers),
        ),
        "value": (
            say("path-value", **names),
            say("path-value-numbers", weight=numbers["weight"], numbers=_written(path.contribution)),
        ),
        "output": (say("path-output", **names), say("path-output-numbers", numbers=_written(path.output))),
    }
    return texts, say("path-alt", **names, scaled=numbers["scaled"], weight=numbers["weight"])


def _written(vector: NDArray[np.float64]) -> str:
    """Returns the first numbers of a vector."""
    return "  ".join(_number(float(number)) for number in vector[:_NUMBERS])


def _number(amount: float) -> str:
    """Returns an amount with three decimals, so that its steps can be checked by hand."""
    return f"{amount:.3f}".replace("-", MINUS).replace("inf", "∞")


def _short_name(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
