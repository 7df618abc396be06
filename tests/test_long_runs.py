"""Runs of 4,096 tokens whose attention follows a formula: what is sent, saved, summarized and drawn of them."""

from __future__ import annotations

import base64
import re
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import long_model
import numpy as np
import pytest
from app_page import EXAMPLES, markup, notes, now, payload, report_need, report_view, selected, view, visit
from long_model import expected_mean_row, expected_row
from numpy.typing import NDArray

import mmviz
from mmviz.analysis.modality_matrix import matrix_from_sums, modality_matrix
from mmviz.backends.local import LocalBackend
from mmviz.explain import run_sample
from mmviz.figures.colour_scale import short
from mmviz.i18n.page import say
from mmviz.report import MAX_BYTES, ViewerData
from mmviz.report.noscript_content import document_content
from mmviz.report.viewer_map_requests import requested_view
from mmviz.types import MODALITIES, MapRef, MmvizError, Modality, Token
from mmviz.viewer.binary_format import Section, decode
from mmviz.viewer.quantization import decode as dequantized

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run() -> mmviz.Run:
    backend = LocalBackend("cpu", {"long": long_model.make()})
    return run_sample(EXAMPLES[0].sample(), model="long", backend=backend)


def amounts(section: Section) -> NDArray[np.float64]:
    """Returns the numbers of a quantized section."""
    assert section.decade is not None
    return dequantized(section.values, section.decade)


def test_attention_of_single_tokens_follows_the_formula(run: mmviz.Run) -> None:
    assert len(run.tokens) == long_model.TOKENS == 4096 and run.record.is_long
    for token in (0, 77, 3000, 4050):
        for head in range(2):
            row = run.attention(MapRef("attention", 1, head), token)
            assert np.abs(row - expected_row(token, head)).max() < 2e-8
    assert np.abs(run.attention(MapRef("attention", 2), 3000) - expected_mean_row(3000)).max() < 2e-8
    column = run.attention(MapRef("attention", 0, 1), 77, "to")
    for query in (1, 77, 2400, 4090):
        assert column[query] == pytest.approx(expected_row(query, 1)[77], abs=1e-8)
    rollout = run.attention(MapRef("rollout"), 4050)
    assert rollout.sum() == pytest.approx(1, abs=1e-4) and rollout[4050] > 0.12
    with pytest.raises(MmvizError) as error:
        run.attention(MapRef("relevance"), 0)
    assert error.value.code == "view-relevance"


def test_a_document_of_a_run_that_its_backend_no_longer_keeps_says_so(run: mmviz.Run) -> None:
    document = ViewerData(replace(run, backend=LocalBackend("cpu"))).to_html()
    packed = re.search(r'id="mmviz-data">([^<]+)<', document)
    assert packed is not None
    header, sections = decode(zlib.decompress(base64.b64decode(packed[1])))
    assert header["source"] == "overview" and not [name for name in sections if name.startswith("row/")]


@pytest.mark.long
def test_summary_and_figure_do_without_all_weights(run: mmviz.Run) -> None:
    summary = run.summary()
    assert summary["attention"]["method"] == "2:mean"
    matrix = summary["modality_matrix"]
    sums = dict(zip(matrix["queries"], matrix["sums"], strict=True))
    group, _ = long_model.groups()
    is_word = group.numpy() == long_model.WORD_GROUP
    assert sums["special"][1] == pytest.approx(expected_mean_row(0)[is_word].sum(), rel=1e-4)
    assert run.png()[:4] == b"\x89PNG"
    still = document_content(run, MapRef("attention", 2), 0).still
    assert "means over" not in still and f"0 to {short(float(expected_mean_row(0).max()))}" in still


def test_a_matrix_from_sums_is_that_of_the_weights() -> None:
    modalities = [Modality.IMAGE] * 3 + [Modality.SPECIAL] + [Modality.TEXT] * 2
    tokens = [Token(modality, str(k)) for k, modality in enumerate(modalities)]
    weights = np.random.default_rng(0).random((6, 6))
    sums = np.stack([weights[:, [own is modality for own in modalities]].sum(1) for modality in MODALITIES], 1)
    matrix, expected = matrix_from_sums(sums, tokens, tokens), modality_matrix(weights, tokens, tokens)
    assert np.allclose(matrix.sums, expected.sums) and matrix.keys == expected.keys
    assert np.allclose(matrix.ratio, expected.ratio) and matrix.counts == expected.counts == (3, 2, 1)


def test_what_the_viewer_is_sent_is_small_and_exact(run: mmviz.Run) -> None:
    data = ViewerData(run).to_bytes()
    header, sections = decode(data)
    assert len(data) <= MAX_BYTES and header["source"] == "kept"
    edges = header["maps"][0]["edges"]
    overview = amounts(sections["overview/2:mean"])
    assert overview.shape == (512, 512) == (len(edges["queries"]) - 1, len(edges["keys"]) - 1)
    bin_number = np.searchsorted(edges["queries"], 4050, side="right") - 1
    bin_queries = range(edges["queries"][bin_number], edges["queries"][bin_number + 1])
    mean = np.mean([expected_mean_row(query) for query in bin_queries], axis=0)
    means = np.add.reduceat(mean, edges["keys"][:-1]) / np.diff(edges["keys"])
    assert np.abs(overview[bin_number] - means).max() < 1e-5
    first_row = amounts(sections["row/2:mean/from/0"])
    assert np.abs(first_row - run.attention(MapRef("attention", 2), 0)).max() < 1e-6
    assert np.allclose(sections["from/2:mean"].values[4050].sum(), 1, atol=1e-4)
    thumbnails = amounts(sections["thumbnails/0"])
    assert thumbnails.shape == (3, 24, 24) and np.isfinite(thumbnails).all()
    bin_sizes = np.outer(np.diff(edges["queries"]), np.diff(edges["keys"]))
    assert (overview * bin_sizes).sum() == pytest.approx(4096, rel=1e-3), "every row sums to 1"


def test_sections_are_sent_on_request(run: mmviz.Run) -> None:
    names = ["row/0:1/from/4050", "row/0:1/to/77", "window/0:0/3996-4096/1000-2000"]
    header, sections = decode(ViewerData(run).encode_sections(names))
    assert "streams" not in header and set(sections) == set(names)
    assert np.abs(amounts(sections[names[0]]) - expected_row(4050, 1)).max() < 1e-6
    window = amounts(sections[names[2]])
    assert window.shape == (100, 512)
    assert window[9, 0] == pytest.approx(expected_row(4005, 0)[1000], rel=1e-3)
    assert window[9, 1] == pytest.approx(expected_row(4005, 0)[1001:1003].mean(), rel=1e-3)


@pytest.mark.parametrize(
    "name",
    ["row/0:1/from/4096", "row/0:1/from/-1", "row/0:1/from/x", "row/0:1/up/3", "row/9:1/from/3", "row/0:1/from",
     "window/0:1/3-3/0-9", "window/0:1/0-4097/0-9", "window/0:1/0-9", "window/0:1/a-b/0-9", "other/0:1/from/3",
     "row/relevance/from/3", "row/0:1/from/٣", "row/0:1/from/3/4", "row/0:1/from/99999999999999999999"],
)  # fmt: skip
def test_unknown_sections_raise(run: mmviz.Run, name: str) -> None:
    kind, _, rest = name.partition("/")
    with pytest.raises(LookupError):
        requested_view(run.record, kind, rest)


def error_code(action: Callable[[], object]) -> str:
    with pytest.raises(MmvizError) as error:
        action()
    return error.value.code


def test_a_saved_run_keeps_its_overview_and_says_what_is_missing(
    run: mmviz.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.save(tmp_path / "run.npz")
    loaded = mmviz.Run.load(tmp_path / "run.npz")
    assert loaded.record.maps == run.record.maps
    assert error_code(lambda: loaded.attention()) == "view-gone"
    assert error_code(lambda: loaded.record.maps[0].weights) == "map-long"
    header, sections = decode(ViewerData(loaded).to_bytes())
    assert header["source"] == "overview" and not [name for name in sections if name.startswith("row/")]
    assert ViewerData(loaded).encode_sections(["row/0:1/from/3"])
    ref = MapRef("attention", 1)
    pooled, exact = loaded.pooled_attention(ref, 3000), run.attention(ref, 3000)
    edges = np.asarray(run.record.maps[1].key_edges)
    pooled_sums, exact_sums = (np.add.reduceat(row, edges[:-1]) for row in (pooled, exact))
    assert np.abs(pooled_sums - exact_sums).max() < 1e-3 and len(set(pooled[edges[3] : edges[4]])) == 1
    assert loaded.summary()["attention"]["method"].endswith("means over bins")
    assert "means over neighbouring tokens" in document_content(loaded, ref, 0).still
    rows, exact_rows = (each.table(ref, 3000).rows for each in (loaded, run))
    assert {row["averaged"] for row in rows} == {True} and {row["averaged"] for row in exact_rows} == {False}
    np.testing.assert_array_equal([row["amount"] for row in rows], pooled)
    assert loaded.png()[:4] == b"\x89PNG" and not loaded.is_exact and run.is_exact
    monkeypatch.setattr(sys, "argv", [*sys.argv[:1], "--run", str(tmp_path / "run.npz")])
    page = visit()
    assert now(page).is_saved and say("methods-pooled") in markup(page)


def test_the_page_sends_rows_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(long_model.__file__).parent)
    monkeypatch.setenv("MMVIZ_MODEL", "long_model:make")
    page = visit()
    record = now(page).run.record
    assert record.is_long and not notes(page, "error") and say("all-weights-long") in markup(page)
    first_view = view(page)
    name = "row/2:mean/from/4050"
    report_need(page, {"run": record.id, "names": [name]})
    _, sections = payload(page)
    assert set(sections) == {name} and len(now(page).payload) < 40_000
    exact = now(page).run.attention(MapRef("attention", 2), 4050)
    assert np.abs(amounts(sections[name]) - exact).max() < 1e-6
    report_need(page, {"run": record.id, "names": ["row/2:mean/from/9000"]})
    assert now(page).requested_sections == (name,)
    report_view(page, {**first_view, "tokens": [77], "direction": "to"})
    assert selected(page).tokens == (77,) and "streams" in payload(page)[0]
