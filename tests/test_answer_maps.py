"""The two maps of the first view: which method each shows, what it tells, and that every export carries both."""

from __future__ import annotations

import html
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from records import ASKS, PAIR, WHOLE, attention, plain, record, towers, trio

from mmviz.analysis.answer_maps import ATTRIBUTIONS, depends_on, method_words, reads_from_ref
from mmviz.backends.local.method_requirements import with_chosen_method
from mmviz.explain import Run
from mmviz.i18n.language import use_language
from mmviz.io.recording_file import from_recording, to_recording
from mmviz.report.answer_maps import map_card, plain_map
from mmviz.types import CaptureError, Card, MapRef, MmvizError, Notice, PooledMap, Request, UniformAttention
from mmviz.types.token_bins import bin_means

NORMS = tuple(np.full((len(trio()),) * 2, value, np.float32) for value in (1, 3))
INTEGRATED = np.linspace(-1, 2, len(trio())).astype(np.float32)
METHODS = ("relevance", "value", "integrated", "rollout", "0:1")
UNITS = {
    "relevance": "gradient relevance", "value": "share of the norms", "integrated": "nats", "rollout": "rollout",
    "0:1": "attention weight",
}  # fmt: skip


def made_by(run: Run, **entries: object) -> Run:
    """Returns a run whose record was made with these entries, with everything that any method needs."""
    return Run(run.sample, replace(run.record, made_by=entries, norms=NORMS, integrated=INTEGRATED))


def pooled() -> Run:
    """Returns a run that has the overview of its map alone, which no backend keeps."""
    values, count = attention(1, len(trio()), len(trio())), len(trio())
    edges = (0, 1, 10, 20, count)
    sums = np.zeros((1, count, 4), np.float32)
    sums[..., 0] = 1
    overview = bin_means(values, edges, edges).astype(np.float32)
    attn_map = PooledMap("attn", 0, *PAIR, overview, edges, edges, sums, sums, np.ones(1, np.float32))
    return Run(WHOLE, replace(record({"all": trio()}, []), maps=(attn_map,)))


def reason(run: Run) -> str:
    with pytest.raises(MmvizError) as refusal:
        run.depends_on()
    return refusal.value.code


@pytest.mark.parametrize("chosen", [None, "rollout", "relevance"])
def test_the_answer_token_reads_from_the_last_map_unless_the_card_names_a_map(chosen: str | None) -> None:
    shown = made_by(plain(), map_ref=chosen).reads_from()
    assert (shown.method, shown.query, shown.streams) == ("1:mean", 0, PAIR)
    assert shown.amounts == pytest.approx(plain().record.maps[1].weights[:, 0].mean(0))
    assert made_by(plain(), map_ref="0:2").reads_from().method == "0:2"


def test_a_map_of_another_stack_is_not_where_modalities_meet_last() -> None:
    run = towers()
    other = next(stack for stack in run.record.stacks if stack != run.record.default_stack)
    assert run.record.default_stack == ASKS
    elsewhere = replace(run.record, made_by={"map_ref": f"{other}/0:mean"})
    ref, _ = reads_from_ref(elsewhere)
    assert ref.stack == ASKS and ref == reads_from_ref(run.record)[0]


def test_the_answer_depends_by_the_method_of_the_card() -> None:
    run = made_by(plain())
    expected: dict[str, Any] = {
        "relevance": run.record.relevance[0], "value": np.full(len(trio()), 1 / len(trio())), "integrated": INTEGRATED,
        "rollout": run.attention(MapRef("rollout")), "0:1": run.record.maps[0].weights[1, 0],
    }  # fmt: skip
    for method in METHODS:
        shown = made_by(plain(), depends_on=method).depends_on()
        assert (shown.kind, shown.method, shown.unit) == ("depends_on", method, UNITS[method])
        assert shown.amounts == pytest.approx(expected[method]), method
    assert run.depends_on().method == "relevance", "the default where the card names no method"
    assert len({method_words(method) for method in METHODS}) == 5


def test_what_a_run_does_not_hold_has_a_reason() -> None:
    bare = replace(plain().record, relevance=None)
    uniform = replace(bare, made_by={"changes": [str(UniformAttention())]})
    for method in (None, "relevance", *ATTRIBUTIONS, "5:mean", "a method of tomorrow"):
        assert reason(Run(WHOLE, replace(bare, made_by={"depends_on": method}))) == "depends-on-not-recorded"
    assert reason(Run(WHOLE, uniform)) == "depends-on-uniform"
    assert reason(Run(WHOLE, replace(bare, notices=(Notice("gradients-large"),)))) == "gradients-large"
    assert reason(pooled()) == "depends-on-long"
    assert depends_on(replace(uniform, made_by={**uniform.made_by, "depends_on": "0:mean"})).method == "0:mean"


def test_the_summary_names_both_methods_with_direction_and_unit() -> None:
    run = made_by(plain(), depends_on="integrated", map_ref="0:mean")
    with use_language("zh"):
        summary = json.loads(json.dumps(run.summary()))
    reads, depends = summary["reads_from"], summary["depends_on"]
    assert (reads["title"], reads["method"], reads["unit"]) == ("Reads from", "0:mean", "attention weight")
    assert (depends["title"], depends["method"], depends["unit"]) == ("Depends on", "integrated", "nats")
    assert reads["direction"] == depends["direction"] == "from" and reads["query"] == depends["query"] == "answer"
    located = [float(INTEGRATED[k]) for k, token in enumerate(trio()) if token.location is not None]
    assert [*depends["image"], *depends["text"], *depends["audio"]] == pytest.approx(located)
    assert len(depends["image"]) == 15 and len(depends["audio"]) == 6
    missing = Run(WHOLE, replace(plain().record, relevance=None)).summary()["depends_on"]
    assert missing["method"] == "relevance" and "relevance=True" in missing["reason"] and "image" not in missing


def test_a_landscape_has_the_width_of_its_card_and_its_words_below() -> None:
    image = WHOLE.image
    assert image is not None
    for width, height, expected in ((301, 187, True), (301, 300, False), (187, 301, False)):
        sample = replace(WHOLE, image=replace(image, width=width, height=height))
        card = map_card(Run(sample, plain().record), "reads_from", dark=False)
        assert ("answer-map wide'" in card) is expected
        assert f"--aspect:{width / height:.3f}" in card
    assert "--aspect" not in map_card(Run(replace(WHOLE, image=None), plain().record), "reads_from", False)


@pytest.mark.parametrize(("language", "titles"), [("en", ("Reads from", "Depends on")), ("zh", ("读取自", "取决于"))])
def test_the_document_carries_both_with_method_direction_and_unit(language: Any, titles: tuple[str, str]) -> None:
    with use_language(language):
        document = html.unescape(made_by(plain(), depends_on="integrated").to_html())
        methods = ["1:mean", "integrated"]
        places = [document.index(f">{title}</b>") for title in titles]
        assert 0 < places[0] < places[1] < document.index("mmviz-still")
        for method, first, last in zip(methods, places, [places[1], document.index("mmviz-still")], strict=True):
            card = document[first:last]
            assert method_words(method) in card and ("answer" in card or "答案" in card)
        assert "attention weight" in document or "注意力权重" in document
    assert language == "zh" or "those against it reach −1.0" in document


def test_a_document_without_the_second_map_says_why() -> None:
    document = html.unescape(Run(WHOLE, replace(plain().record, relevance=None)).to_html())
    assert "<b>Depends on</b><div class='formula'>This run does not hold gradient relevance" in document


@pytest.mark.slow
def test_the_png_of_a_run_has_both_maps_and_that_of_a_selection_one() -> None:
    def size(data: bytes) -> tuple[int, int]:
        return Image.open(io.BytesIO(data)).size

    whole = plain().png()
    assert size(whole) == (1600, 1800)
    assert size(plain().png(MapRef("relevance"))) == size(plain().png(token=2)) == (1600, 900)
    assert size(Run(WHOLE, replace(plain().record, relevance=None)).png()) == (1600, 900)
    both = np.asarray(Image.open(io.BytesIO(whole)).convert("RGB"))
    assert (both[:900] != both[900:]).any()


@pytest.mark.slow
def test_figures_for_print_are_vectors_and_have_the_same_bytes_each_time() -> None:
    for file_format, start, rasters in (("svg", b"<?xml", b"<image"), ("pdf", b"%PDF-", b"/Subtype /Image")):
        first, again = (plain().figure(file_format) for _ in range(2))
        assert first == again and first.startswith(start)
        of_both, of_selected = (
            data.count(rasters) for data in (first, plain().figure(file_format, MapRef("relevance")))
        )
        assert 0 < of_selected < 8 and of_both == 2 * of_selected, "pictures, spectrograms and legends alone"
    assert b"/CIDFontType2" in first, "TrueType, not outlines"


def test_a_long_run_reads_from_its_overview_and_says_so() -> None:
    shown = plain_map(pooled(), "reads_from")
    assert shown["about"].endswith("means over neighbouring tokens") and "reason" in plain_map(pooled(), "depends_on")


def test_a_request_records_what_the_method_of_the_card_needs() -> None:
    def recorded(method: str | None, **fields: Any) -> dict[str, bool]:
        card = Card("x", "x", "", True, (), "", {"depends_on": method} if method else {})
        request = with_chosen_method(replace(Request("x", WHOLE, depends_on=True), **fields), card)
        return {name for name in ("relevance", "norms", "integrated") if getattr(request, name)}  # type: ignore[return-value]

    assert recorded("relevance") == {"relevance"} and recorded("value") == {"norms"}
    assert recorded("integrated") == {"integrated"} and recorded("integrated", relevance=True) == {
        "integrated",
        "relevance",
    }
    assert recorded(None) == recorded("4:mean") == recorded("rollout") == set()
    assert recorded("relevance", depends_on=False) == recorded("relevance", maps=False) == set()
    assert recorded("relevance", changes=(UniformAttention(),)) == set()


def test_a_recording_holds_what_the_first_view_needs(tmp_path: Path) -> None:
    (tmp_path / "run.npz").write_bytes(to_recording(made_by(plain(), depends_on="integrated").record))
    read = from_recording(tmp_path / "run.npz")
    assert np.array_equal(read.integrated, INTEGRATED) and np.array_equal(read.norms[1], NORMS[1])
    assert depends_on(read).amounts == pytest.approx(INTEGRATED)


def test_a_record_whose_method_is_no_text_is_refused(tmp_path: Path) -> None:
    bad = record({"all": trio()}, [(*PAIR, 0, 1)], made_by={"depends_on": 5})
    (tmp_path / "run.npz").write_bytes(Run(WHOLE, bad).to_bytes())
    with pytest.raises(MmvizError) as refusal:
        Run.load(tmp_path / "run.npz")
    assert refusal.value.code == "run-unreadable" and not isinstance(refusal.value, CaptureError)
