"""What a visitor changes about the run on the screen, each of which runs the form again."""

from __future__ import annotations

from mmviz.app.session_actions import request_run
from mmviz.app.session_state import current_state
from mmviz.io.change_text import Control
from mmviz.types import AblateHead, CutRoute


def set_control(control: Control) -> None:
    """Runs the form again, as trained or as a control."""
    current_state().control = control
    request_run()


def ablate_heads(heads: tuple[AblateHead, ...]) -> None:
    """Runs the form again with these heads ablated; an empty tuple ablates none."""
    current_state().ablated_heads = heads
    request_run()


def cut_routes(cuts: tuple[CutRoute, ...]) -> None:
    """Runs the form again with these routes cut; an empty tuple cuts none."""
    current_state().cut_routes = cuts
    request_run()


def name_streams(pairs: tuple[tuple[str, str, str], ...]) -> None:
    """Runs the form again under these names of streams, as in `Request.pairs`; an empty tuple leaves them to mmviz."""
    current_state().stream_pairs = pairs
    request_run()


def set_options(options: tuple[tuple[str, str | int], ...]) -> None:
    """Runs the form again under these settings, as in `Request.options`; an empty tuple leaves them to the model."""
    current_state().options = options
    request_run()


def choose_words(answer: tuple[int, ...], part: tuple[int, ...]) -> None:
    """Runs the form again with the same answer, about a part of it; an empty one stands for the whole answer."""
    current_state().written = (answer, part)
    request_run()
