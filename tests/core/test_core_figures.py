"""Figures and the HTML file of a recorded run, with nothing but the installed package; torch is not needed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mmviz.assets_path import assets_dir
from mmviz.backends.replay import ReplayBackend
from mmviz.explain import Run, run_sample
from mmviz.inputs.examples import load_gallery

EXAMPLE = next(example for example in load_gallery() if example.image and example.audio)


@pytest.fixture(scope="module")
def run() -> Run:
    return run_sample(EXAMPLE.sample(), backend=ReplayBackend(assets_dir() / "gallery" / "runs"))


@pytest.mark.slow
def test_the_figure_for_print_is_a_full_picture(run: Run) -> None:
    figure = Image.open(io.BytesIO(run.png())).convert("RGB")
    assert figure.size == (1600, 1800)
    assert len(np.unique(np.asarray(figure).reshape(-1, 3), axis=0)) > 500


def test_the_html_file_holds_the_run_and_needs_no_network(run: Run) -> None:
    document = run.to_html()
    assert run.record.answers[0].label in document and "<script" in document
    assert 'src="http' not in document and "@import" not in document


def test_the_matrix_of_tokens_is_drawn_from_their_weights(run: Run) -> None:
    pytest.importorskip("plotly", reason="plotly is not installed")
    from mmviz.figures.token_matrix import token_matrix

    weights = run.record.maps[0].weights[0]
    figure = token_matrix(weights, run.tokens, run.tokens, "layer 1, head 1", float(weights.max()))
    drawn = np.asarray(figure.data[0].z, dtype=float)
    assert drawn.shape == weights.shape and np.abs(drawn - weights).max() < 1e-3
