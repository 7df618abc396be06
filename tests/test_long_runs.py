"""Runs of 8,192 tokens, whose attention is known on paper: what is sent, saved, summed up and drawn of them."""

from __future__ import annotations

import sys
from pathlib import Path

import long_model
import numpy as np
import pytest
from app_page import EXAMPLES, looked, markup, need, notes, now, sent, tell, view, visit

import mmviz
from mmviz.analysis.modality_matrix import matrix_of_sums, modality_matrix
from mmviz.backends.local import LocalBackend
from mmviz.explain import run_sample
from mmviz.report import LIMIT, ViewerData
from mmviz.report.section_requests import asked_for
from mmviz.types import CaptureError, MapRef, MmvizError, Modality, Token
from mmviz.viewer.codes import decode as from_codes
from mmviz.viewer.container import Section, decode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run() -> mmviz.Run:
    backend = LocalBackend("cpu", {"long": long_model.make()})
    return run_sample(EXAMPLES[0].sample(), model="long", backend=backend)


def amounts(section: Section) -> np.ndarray:
    assert section.decade is not None
    return from_codes(section.values, section.decade)


def test_attention_of_single_tokens_is_that_on_paper(run: mmviz.Run) -> None:
    assert len(run.tokens) == long_model.TOKENS == 8192 and run.record.is_long
    for token in (0, 77, 5000, 8150):
        for head in range(2):
            found = run.attention(MapRef("attention", 1, head), token)
            assert np.abs(found - long_model.expected(token, head)).max() < 2e-8
    mean = (long_model.expected(5000, 0) + long_model.expected(5000, 1)) / 2
    assert np.abs(run.attention(MapRef("attention", 2), 5000) - mean).max() < 2e-8
    column = run.attention(MapRef("attention", 0, 1), 77, "to")
    for query in (1, 77, 4200, 8190):
        assert column[query] == pytest.approx(long_model.expected(query, 1)[77], abs=1e-8)
    for map_ref in (MapRef("rollout"),):
        rolled = run.attention(map_ref, 8150)
        assert rolled.sum() == pytest.approx(1, abs=1e-4) and rolled[8150] > 0.12
    with pytest.raises(MmvizError) as refusal:
        run.attention(MapRef("relevance"), 0)
    assert refusal.value.code == "view-relevance"


def test_summary_and_figure_do_without_all_weights(run: mmviz.Run) -> None:
    summary = run.summary()
    own, _ = long_model.kinds()
    words = np.flatnonzero(own.numpy() == 2 * long_model.PARTS)
    row = (long_model.expected(0, 0) + long_model.expected(0, 1)) / 2
    matrix = dict(zip(summary["modality_matrix"]["queries"], summary["modality_matrix"]["sums"], strict=True))
    assert matrix["special"][1] == pytest.approx(row[words].sum(), rel=1e-4)
    assert run.png()[:4] == b"\x89PNG"


def test_a_matrix_of_sums_is_that_of_the_weights() -> None:
    rng = np.random.default_rng(0)
    kinds = [Modality.IMAGE] * 3 + [Modality.SPECIAL] + [Modality.TEXT] * 2
    tokens = [Token(kind, str(k)) for k, kind in enumerate(kinds)]
    weights = rng.random((6, 6))
    order = (Modality.IMAGE, Modality.TEXT, Modality.AUDIO, Modality.SPECIAL)
    given = np.stack([weights[:, [kind is one for kind in kinds]].sum(1) for one in order], 1)
    found, expected = matrix_of_sums(given, tokens, tokens), modality_matrix(weights, tokens, tokens)
    assert np.allclose(found.sums, expected.sums) and found.keys == expected.keys
    assert np.allclose(found.ratio, expected.ratio) and found.counts == expected.counts == (3, 2, 1)


def test_what_is_sent_is_small_and_exact(run: mmviz.Run) -> None:
    scene = ViewerData(run)
    header, sections = decode(scene.to_bytes())
    assert len(scene.to_bytes()) <= LIMIT and header["source"] == "kept"
    edges = header["maps"][0]["edges"]
    overview = amounts(sections["overview/2:mean"])
    assert overview.shape == (512, 512) == (len(edges["queries"]) - 1, len(edges["keys"]) - 1)
    row = (long_model.expected(8150, 0) + long_model.expected(8150, 1)) / 2
    at = np.searchsorted(edges["queries"], 8150, side="right") - 1
    inside = range(edges["queries"][at], edges["queries"][at + 1])
    mean = np.mean([(long_model.expected(q, 0) + long_model.expected(q, 1)) / 2 for q in inside], axis=0)
    means = np.add.reduceat(mean, edges["keys"][:-1]) / np.diff(edges["keys"])
    assert np.abs(overview[at] - means).max() < 1e-5
    start = amounts(sections["row/2:mean/from/0"])
    assert np.abs(start - run.attention(MapRef("attention", 2), 0)).max() < 1e-6
    assert np.allclose(sections["from/2:mean"].values[8150].sum(), 1, atol=1e-4) and row.max() < 0.01
    small = amounts(sections["thumbs/0"])
    assert small.shape == (3, 24, 24) and np.isfinite(small).all()
    everything = np.outer(*[np.diff(header["maps"][0]["edges"]["keys"])] * 2)
    assert (overview * everything).sum() == pytest.approx(8192, rel=1e-3), "every row sums to 1"


def test_parts_are_answered_alone(run: mmviz.Run) -> None:
    scene = ViewerData(run)
    header, sections = decode(scene.answer(["row/0:1/from/8150", "row/0:1/to/77", "window/0:0/8000-8100/4000-5000"]))
    assert "streams" not in header and set(sections) == {
        "row/0:1/from/8150", "row/0:1/to/77", "window/0:0/8000-8100/4000-5000",
    }  # fmt: skip
    assert np.abs(amounts(sections["row/0:1/from/8150"]) - long_model.expected(8150, 1)).max() < 1e-6
    window = amounts(sections["window/0:0/8000-8100/4000-5000"])
    assert window.shape == (100, 512)
    assert window[9, 0] == pytest.approx(long_model.expected(8009, 0)[4000], rel=1e-3)
    assert window[9, 1] == pytest.approx(long_model.expected(8009, 0)[4001:4003].mean(), rel=1e-3)


@pytest.mark.parametrize(
    "name",
    ["row/0:1/from/8192", "row/0:1/from/-1", "row/0:1/from/x", "row/0:1/up/3", "row/9:1/from/3", "row/0:1/from",
     "window/0:1/3-3/0-9", "window/0:1/0-8193/0-9", "window/0:1/0-9", "window/0:1/a-b/0-9", "other/0:1/from/3",
     "row/rollout/from/3", "row/0:1/from/٣", "row/0:1/from/3/4", "row/0:1/from/99999999999999999999"],
)  # fmt: skip
def test_nonsense_is_not_answered(run: mmviz.Run, name: str) -> None:
    kind, _, rest = name.partition("/")
    with pytest.raises(LookupError):
        asked_for(run.record, kind, rest)


def test_saved_it_keeps_its_overview_and_says_what_is_gone(
    run: mmviz.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.save(tmp_path / "run.npz")
    again = mmviz.Run.load(tmp_path / "run.npz")
    for one, other in zip(run.record.maps, again.record.maps, strict=True):
        for part in ("overview", "row_modality_sums", "column_modality_sums", "largest"):
            assert np.array_equal(getattr(one, part), getattr(other, part))
        assert (one.query_edges, one.key_edges, one.shape) == (other.query_edges, other.key_edges, other.shape)
    for refused, code in ((lambda: again.attention(), "view-gone"), (lambda: again.record.maps[0].weights, "map-long")):
        with pytest.raises((MmvizError, CaptureError)) as refusal:
            refused()
        assert refusal.value.code == code
    header, sections = decode(ViewerData(again).to_bytes())
    assert header["source"] == "overview" and not [name for name in sections if name.startswith("row/")]
    assert ViewerData(again).answer(["row/0:1/from/3"])
    about, exact = again.about(MapRef("attention", 1), 5000), run.attention(MapRef("attention", 1), 5000)
    edges = np.asarray(run.record.maps[1].key_edges)
    sums = [np.add.reduceat(one, edges[:-1]) for one in (about, exact)]
    assert np.abs(sums[0] - sums[1]).max() < 1e-3 and len(set(about[edges[3] : edges[4]])) == 1
    summary = again.summary()
    assert (
        summary["attention"]["method"].endswith("means over bins") and run.summary()["attention"]["method"] == "2:mean"
    )
    assert again.png()[:4] == b"\x89PNG" and not again.is_exact and run.is_exact
    monkeypatch.setattr(sys, "argv", [*sys.argv[:1], "--run", str(tmp_path / "run.npz")])
    page = visit()
    assert now(page).is_saved and "means over neighbouring tokens" in markup(page)


def test_the_page_answers_rows_and_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(long_model.__file__).parent)
    monkeypatch.setenv("MMVIZ_MODEL", "long_model:make")
    page = visit()
    record = now(page).run.record
    assert record.is_long and not notes(page, "refusal") and "too many weights to list" in markup(page)
    whole = view(page)
    need(page, {"run": record.id, "names": ["row/2:mean/from/8150"]})
    _, sections = sent(page)
    assert set(sections) == {"row/2:mean/from/8150"} and len(now(page).sent) < 40_000
    assert (
        np.abs(amounts(sections["row/2:mean/from/8150"]) - now(page).run.attention(MapRef("attention", 2), 8150)).max()
        < 1e-6
    )
    need(page, {"run": record.id, "names": ["row/2:mean/from/9000"]})
    assert now(page).needed == ("row/2:mean/from/8150",)
    tell(page, {**whole, "tokens": [77], "direction": "to"})
    assert looked(page).tokens == (77,) and "streams" in sent(page)[0]
