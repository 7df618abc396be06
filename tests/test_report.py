"""What the viewer shows of a run: every section against the record it comes from, odd records, and the budget."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from records import ODD, PAIR, WHOLE, one_token, plain, record, words

from mmviz.analysis.map_weights import weights
from mmviz.analysis.modality_matrix import modality_matrix
from mmviz.assets_path import assets_dir
from mmviz.backends.replay import ReplayBackend
from mmviz.explain import Run, run_sample
from mmviz.figures.token_labels import names, places
from mmviz.i18n.viewer import ABOUT, WORDS
from mmviz.inputs.examples import load_gallery
from mmviz.inputs.mel import log_mel
from mmviz.report import LIMIT, ViewerData
from mmviz.types import MODALITIES, Answer, MapRef, Notice, Sample
from mmviz.viewer import codes
from mmviz.viewer.container import decode


def recorded(trio_id: str) -> Run:
    (found,) = (one for one in load_gallery() if one.id == trio_id)
    return run_sample(found.sample(), backend=ReplayBackend(assets_dir() / "gallery" / "runs"), relevance=True)


@pytest.fixture(scope="module", params=["spoken-place", "said", "plain", "cross", "one_token", "alternating"])
def run(request: pytest.FixtureRequest) -> Run:
    name: str = request.param
    return ODD[name]() if name in ODD else recorded(name)


@pytest.fixture(scope="module")
def sent(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    header, sections = decode(ViewerData(run).to_bytes())
    return header, sections


def amounts_of(run: Run, plane: str) -> np.ndarray[Any, Any]:
    """The plane, straight from the record."""
    if ":" not in plane:
        return weights(run.record, MapRef.parse(plane), run.record.relevance)
    number, head = plane.split(":")
    heads = run.record.maps[int(number)].weights.astype(np.float64)
    return heads.mean(axis=0) if head == "mean" else heads[int(head)]


def test_every_plane_is_there_and_is_the_records(run: Run, sent: Any) -> None:
    header, sections = sent
    maps = run.record.maps
    expected = {f"{k}:{head}" for k, one in enumerate(maps) for head in [*range(one.heads), "mean"]}
    assert sorted(header["planes"]) == sorted(expected | set(header["flows"]))
    for plane in header["planes"]:
        true, found = amounts_of(run, plane), sections[f"codes/{plane}"]
        back = codes.decode(found.values, found.decade)
        assert back.shape == true.shape
        step = 10.0 ** (found.decade - 9)
        assert (np.abs(back - true) <= np.maximum(true * 1e-3, step) * (1 + 1e-9)).all()
        again, _ = codes.encode(true)
        assert np.array_equal(found.values, again)


def test_sums_by_modality_are_the_planes(run: Run, sent: Any) -> None:
    header, sections = sent
    streams = run.record.streams
    for plane in header["planes"]:
        pair = header["flows"].get(plane)
        if pair is None:
            one = header["maps"][int(plane.split(":")[0])]
            pair = one["queries"], one["keys"]
        true = amounts_of(run, plane)
        expected = modality_matrix(true, streams[pair[0]], streams[pair[1]])
        found = sections[f"matrix/{plane}"].values
        rows, columns = ([MODALITIES.index(kind) for kind in kinds] for kinds in (expected.queries, expected.keys))
        assert np.allclose(found[np.ix_(rows, columns)], expected.sums, rtol=1e-6)
        assert found.sum() == pytest.approx(expected.sums.sum(), rel=1e-5)  # 0 elsewhere
        for k, kind in enumerate(MODALITIES):
            keys = [token.modality is kind for token in streams[pair[1]]]
            queries = [token.modality is kind for token in streams[pair[0]]]
            assert np.allclose(sections[f"from/{plane}"].values[:, k], true[:, keys].sum(axis=1), rtol=1e-6)
            assert np.allclose(sections[f"to/{plane}"].values[:, k], true[queries].sum(axis=0), rtol=1e-6)


def test_small_maps_are_means_over_bins_within_a_modality(run: Run, sent: Any) -> None:
    header, sections = sent
    for stream, tokens in run.record.streams.items():
        edges = header["bins"][stream]
        assert edges[0] == 0 and edges[-1] == len(tokens) and (np.diff(edges) > 0).all()
        assert len(edges) - 1 == min(24, len(tokens))
        changes = [k for k in range(1, len(tokens)) if tokens[k].modality is not tokens[k - 1].modality]
        assert len(changes) >= 24 or set(changes) <= set(edges)
    for k, one in enumerate(run.record.maps):
        rows, columns = header["bins"][one.queries], header["bins"][one.keys]
        found = sections[f"thumbs/{k}"]
        back, step = codes.decode(found.values, found.decade), 10.0 ** (found.decade - 9)
        assert back.shape == (one.heads + 1, len(rows) - 1, len(columns) - 1)
        for head in range(one.heads):
            cell = one.weights[head, rows[-2] : rows[-1], columns[0] : columns[1]]
            assert back[head, -1, 0] == pytest.approx(cell.mean(dtype=np.float64), rel=1e-3, abs=step)
        assert np.allclose(back[-1], back[:-1].mean(axis=0), rtol=2e-3, atol=2 * step)


def test_tokens_are_named_and_placed_as_everywhere(run: Run, sent: Any) -> None:
    header, _ = sent
    assert list(header["streams"]) == list(run.record.streams)
    for stream, tokens in run.record.streams.items():
        found = header["streams"][stream]
        assert found["name"] == names(tokens) and found["place"] == places(tokens)
        assert found["modality"] == [str(token.modality) for token in tokens]
        assert found["where"] == [list(vars(token.location).values()) if token.location else None for token in tokens]


def test_a_start_can_be_gone_to(run: Run, sent: Any) -> None:
    header, sections = sent
    start = header["start"]
    assert start == ViewerData(run).start and f"codes/{start['plane']}" in sections
    assert 0 <= start["tokens"][0] < sections[f"codes/{start['plane']}"].values.shape[0]
    assert header["view"] is None and header["serial"] == 0 and header["texts"] == WORDS


def test_inputs_of_a_gallery_trio() -> None:
    run = recorded("spoken-place")
    header, sections = decode(ViewerData(run).to_bytes())
    picture, sound = run.sample.image, run.sample.audio
    assert picture and sound
    image = Image.open(io.BytesIO(sections["picture"].values.tobytes()))
    assert image.format == "JPEG" and image.size == picture.pixels.shape[1::-1]
    assert np.abs(np.asarray(image).astype(int) - picture.pixels).mean() < 3
    assert header["picture"] == {"width": picture.width, "height": picture.height}
    assert np.abs(sections["wave"].values / 32_767 - sound.wave).max() <= 0.5 / 32_767 + 1e-6
    assert np.abs(sections["mel"].values / 255 * 2 - 1 - log_mel(sound.wave)).max() <= 1 / 255 + 1e-6
    assert header["sound"]["seconds"] == sound.seconds and header["sound"]["rate"] == sound.rate
    assert [hertz for hertz, _ in header["sound"]["ticks"]] == [500, 1000, 2000, 4000]
    assert "".join(words for words, _ in header["words"]["tokens"]) == run.sample.text
    assert header["start"]["plane"] == run.record.made_by["map_ref"] == "rollout"
    assert header["start"]["tokens"] == [run.answer_query]
    assert header["answers"] == [[one.label, one.probability] for one in run.record.answers[:5]]
    assert header["answers_of"] == len(run.record.answers)


def test_a_large_picture_is_sent_smaller_and_keeps_its_places() -> None:
    pixels = np.zeros((1500, 2000, 3), np.uint8)
    run = plain()
    large = Run(
        replace(run.sample, image=replace(run.sample.image, pixels=pixels, width=4000, height=3000)), run.record
    )
    header, sections = decode(ViewerData(large).to_bytes())
    assert Image.open(io.BytesIO(sections["picture"].values.tobytes())).size == (1024, 768)
    assert header["picture"] == {"width": 4000, "height": 3000}


def test_what_is_missing_is_null() -> None:
    header, sections = decode(ViewerData(one_token()).to_bytes())
    assert header["picture"] is None and header["sound"] is None
    assert not {"picture", "wave", "mel"} & set(sections)
    assert header["words"] == {"all": [["cat", 0]]}
    assert header["answers"] == [] and header["answers_of"] == 0 and header["about"]["title"] == ABOUT["no-answers"]
    no_text = Run(Sample(audio=WHOLE.audio), plain().record)
    assert decode(ViewerData(no_text).to_bytes())[0]["words"] == {}


@pytest.mark.parametrize("name", ODD)
def test_every_odd_record_is_sent_within_the_limit(name: str) -> None:
    run = ODD[name]()
    data = ViewerData(run).to_bytes()
    header, sections = decode(data)
    assert len(data) <= LIMIT
    assert f"codes/{header['start']['plane']}" in sections
    for k in range(len(run.record.maps)):
        assert f"thumbs/{k}" in sections


def test_sentences_about_a_run() -> None:
    run = plain()
    made = {"model": "m", "device_name": "CPU", "trained": False, "changes": ["Uniform()"], "recorded": {"sample": "x"}}
    notice = Notice("picture-alpha")
    answers = (Answer("a\u202eb", 0.25),)
    changed = Run(
        replace(run.sample, notices=(notice,)), replace(run.record, made_by=made, notices=(notice,), answers=answers)
    )
    header, _ = decode(ViewerData(changed).to_bytes())
    about = header["about"]
    assert about["title"] == "Answer: a⟨U+202E⟩b (25%)" and header["answers"] == [["a⟨U+202E⟩b", 0.25]]
    assert about["made"].startswith("Model m, computed on CPU.") and about["made"].endswith(ABOUT["recorded"])
    assert about["notices"] == [str(notice), str(notice)]
    assert about["banners"] == [ABOUT["untrained"], ABOUT["evened"]]
    assert decode(ViewerData(run).to_bytes())[0]["about"] | {"title": ""} == {
        "title": "", "made": "", "notices": [], "banners": [],
    }  # fmt: skip


def test_hidden_characters_in_the_text_have_stand_ins() -> None:
    text = "a\u200bcat"
    run = Run(Sample(text=text), record({"all": words(text)}, [(*PAIR, 0, 1)]))
    assert decode(ViewerData(run).to_bytes())[0]["words"]["all"] == [["a⟨U+200B⟩cat", 0]]


def test_a_scene_of_a_gallery_trio_is_quick() -> None:
    run = recorded("seen")
    ViewerData(run).to_bytes()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        ViewerData(run).to_bytes()
        times.append(time.perf_counter() - start)
    print(f"Scene and bytes of a gallery trio: {1000 * min(times):.0f} ms")
    assert min(times) < 0.15


def test_sections_are_worked_out_once() -> None:
    scene = ViewerData(plain())
    assert scene.to_bytes() == scene.to_bytes()
    first = scene._plane("0:0")["codes/0:0"].values
    assert scene._plane("0:0")["codes/0:0"].values is first
