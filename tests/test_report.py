"""The viewer's data of a run: every section against the record it comes from, odd records, and the limit."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from records import ODD, PAIR, WHOLE, cross, one_token, plain, record, towers, words

from mmviz.analysis.available_maps import streams_of
from mmviz.analysis.map_weights import weights
from mmviz.analysis.modality_matrix import modality_matrix
from mmviz.assets_path import assets_dir
from mmviz.backends.replay import ReplayBackend
from mmviz.explain import Run, run_sample
from mmviz.figures.token_labels import full_names, names
from mmviz.i18n.viewer import WORDS
from mmviz.inputs.examples import load_gallery
from mmviz.inputs.mel import log_mel
from mmviz.report import MAX_BYTES, ViewerData
from mmviz.types import MODALITIES, MapRef, Sample
from mmviz.viewer import quantization
from mmviz.viewer.binary_format import Section, decode

Sent = tuple[dict[str, Any], dict[str, Section]]


def recorded(example_id: str) -> Run:
    """Returns the recorded run of a gallery example."""
    (example,) = (example for example in load_gallery() if example.id == example_id)
    return run_sample(example.sample(), backend=ReplayBackend(assets_dir() / "gallery" / "runs"), relevance=True)


@pytest.fixture(scope="module", params=["spoken-place", "said", "plain", "cross", "one_token", "alternating"])
def run(request: pytest.FixtureRequest) -> Run:
    name: str = request.param
    return ODD[name]() if name in ODD else recorded(name)


@pytest.fixture(scope="module")
def sent(run: Run) -> Sent:
    """The header and the sections that the viewer gets."""
    return decode(ViewerData(run).to_bytes())


def weights_of(run: Run, text: str) -> np.ndarray[Any, Any]:
    """Returns the weights of a map, straight from the record."""
    ref = MapRef.parse(text)
    if ref.method != "attention":
        return weights(run.record, ref, run.record.relevance)
    heads = run.record.maps[run.record.map_number(ref)].weights.astype(np.float64)
    return heads.mean(axis=0) if ref.head is None else heads[ref.head]


def test_every_map_is_sent_with_the_weights_of_the_record(run: Run, sent: Sent) -> None:
    header, sections = sent
    record = run.record
    expected = {
        str(record.map_ref(number, head))
        for number, attn_map in enumerate(record.maps)
        for head in [*range(attn_map.heads), None]
    }
    assert sorted(header["map_refs"]) == sorted(expected | set(header["flows"]))
    for text in header["map_refs"]:
        expected_weights, section = weights_of(run, text), sections[f"codes/{text}"]
        assert section.decade is not None
        decoded = quantization.decode(section.values, section.decade)
        assert decoded.shape == expected_weights.shape
        unit = 10.0 ** (section.decade - 9)
        tolerance = np.maximum(expected_weights * 1e-3, unit) * (1 + 1e-9)
        assert (np.abs(decoded - expected_weights) <= tolerance).all()
        assert np.array_equal(section.values, quantization.encode(expected_weights)[0])


def test_sums_by_modality_are_those_of_the_maps(run: Run, sent: Sent) -> None:
    header, sections = sent
    for text in header["map_refs"]:
        queries, keys = (run.record.streams[stream] for stream in streams_of(run.record, MapRef.parse(text)))
        expected_weights = weights_of(run, text)
        expected = modality_matrix(expected_weights, queries, keys)
        matrix = sections[f"matrix/{text}"].values
        rows, columns = ([MODALITIES.index(kind) for kind in kinds] for kinds in (expected.queries, expected.keys))
        assert np.allclose(matrix[np.ix_(rows, columns)], expected.sums, rtol=1e-6)
        assert matrix.sum() == pytest.approx(expected.sums.sum(), rel=1e-5), "0 elsewhere"
        for k, modality in enumerate(MODALITIES):
            is_key = [token.modality is modality for token in keys]
            is_query = [token.modality is modality for token in queries]
            row_sums, column_sums = expected_weights[:, is_key].sum(axis=1), expected_weights[is_query].sum(axis=0)
            assert np.allclose(sections[f"from/{text}"].values[:, k], row_sums, rtol=1e-6)
            assert np.allclose(sections[f"to/{text}"].values[:, k], column_sums, rtol=1e-6)


def test_thumbnails_are_means_over_bins_within_a_modality(run: Run, sent: Sent) -> None:
    header, sections = sent
    for stream, tokens in run.record.streams.items():
        edges = header["bins"][stream]
        assert edges[0] == 0 and edges[-1] == len(tokens) and (np.diff(edges) > 0).all()
        assert len(edges) - 1 == min(24, len(tokens))
        changes = [k for k in range(1, len(tokens)) if tokens[k].modality is not tokens[k - 1].modality]
        assert len(changes) >= 24 or set(changes) <= set(edges)
    for number, attn_map in enumerate(run.record.maps):
        rows, columns = header["bins"][attn_map.queries], header["bins"][attn_map.keys]
        section = sections[f"thumbnails/{number}"]
        assert section.decade is not None
        means, unit = quantization.decode(section.values, section.decade), 10.0 ** (section.decade - 9)
        assert means.shape == (attn_map.heads + 1, len(rows) - 1, len(columns) - 1)
        for head in range(attn_map.heads):
            cells = attn_map.weights[head, rows[-2] : rows[-1], columns[0] : columns[1]]
            assert means[head, -1, 0] == pytest.approx(cells.mean(dtype=np.float64), rel=1e-3, abs=unit)
        assert np.allclose(means[-1], means[:-1].mean(axis=0), rtol=2e-3, atol=2 * unit)


def test_tokens_have_names_and_locations(run: Run, sent: Sent) -> None:
    header, _ = sent
    assert list(header["streams"]) == list(run.record.streams)
    for stream, tokens in run.record.streams.items():
        fields = header["streams"][stream]
        assert fields["name"] == names(tokens) and fields["full_name"] == full_names(tokens)
        assert fields["modality"] == [str(token.modality) for token in tokens]
        locations = [list(vars(token.location).values()) if token.location else None for token in tokens]
        assert fields["location"] == locations


def test_the_initial_view_can_be_shown(run: Run, sent: Sent) -> None:
    header, sections = sent
    view = header["initial_view"]
    assert view == ViewerData(run).initial_view
    assert 0 <= view["tokens"][0] < len(sections[f"codes/{view['map']}"].values)
    assert header["view"] is None and header["serial"] == 0 and header["texts"] == WORDS


def test_inputs_and_answers_of_a_gallery_run() -> None:
    run = recorded("spoken-place")
    header, sections = decode(ViewerData(run).to_bytes())
    image, audio = run.sample.image, run.sample.audio
    assert image and audio
    picture = Image.open(io.BytesIO(sections["image"].values.tobytes()))
    assert picture.format == "JPEG" and picture.size == image.pixels.shape[1::-1]
    assert np.abs(np.asarray(picture).astype(int) - image.pixels).mean() < 3
    assert header["image"] == {"width": image.width, "height": image.height, "parts": [], "note": ""}
    assert np.abs(sections["wave"].values / 32_767 - audio.wave).max() <= 0.5 / 32_767 + 1e-6
    assert np.abs(sections["mel"].values / 255 * 2 - 1 - log_mel(audio.wave)).max() <= 1 / 255 + 1e-6
    assert header["audio"]["seconds"] == audio.seconds and header["audio"]["rate"] == audio.rate
    assert [hertz for hertz, _ in header["audio"]["ticks"]] == [500, 1000, 2000, 4000]
    assert "".join(text for text, _ in header["text_pieces"]["tokens"]) == run.sample.text
    card = json.loads((assets_dir() / "trio" / "card.json").read_text("utf-8"))
    assert header["initial_view"]["map"] == run.record.made_by["map_ref"] == card["map_ref"]
    assert header["initial_view"]["tokens"] == [run.answer_query]
    assert header["answers"] == [[answer.label, answer.probability] for answer in run.record.answers[:5]]
    assert header["answer_count"] == len(run.record.answers)


def test_a_large_image_is_sent_downscaled_with_its_own_size() -> None:
    run = plain()
    image = replace(run.sample.image, pixels=np.zeros((1500, 2000, 3), np.uint8), width=4000, height=3000)
    header, sections = decode(ViewerData(Run(replace(run.sample, image=image), run.record)).to_bytes())
    assert Image.open(io.BytesIO(sections["image"].values.tobytes())).size == (1024, 768)
    assert header["image"] == {"width": 4000, "height": 3000, "parts": [], "note": ""}


def test_missing_inputs_are_null() -> None:
    header, sections = decode(ViewerData(one_token()).to_bytes())
    assert header["image"] is None and header["audio"] is None
    assert not {"image", "wave", "mel"} & set(sections)
    assert header["text_pieces"] == {"all": [["cat", 0]]}
    assert header["answers"] == [] and header["answer_count"] == 0
    no_text = Run(Sample(audio=WHOLE.audio), plain().record)
    assert decode(ViewerData(no_text).to_bytes())[0]["text_pieces"] == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
def test_every_odd_record_is_sent_within_the_limit(name: str) -> None:
    run = ODD[name]()
    data = ViewerData(run).to_bytes()
    header, sections = decode(data)
    assert len(data) <= MAX_BYTES
    assert f"codes/{header['initial_view']['map']}" in sections
    assert {f"thumbnails/{number}" for number in range(len(run.record.maps))} <= set(sections)


def test_invisible_characters_of_the_text_are_replaced() -> None:
    text = "a\u200bcat"
    run = Run(Sample(text=text), record({"all": words(text)}, [(*PAIR, 0, 1)]))
    assert decode(ViewerData(run).to_bytes())[0]["text_pieces"]["all"] == [["a⟨U+200B⟩cat", 0]]


@pytest.mark.parametrize("build", [plain, cross, towers], ids=lambda build: build.__name__)
def test_the_first_part_and_what_it_names_are_the_whole_run(build: Callable[[], Run]) -> None:
    data = ViewerData(build())
    (whole_header, whole), (header, first) = decode(data.to_bytes()), decode(data.first_part())
    assert [name for name in first if name.startswith("codes/")] == [f"codes/{data.initial_view['map']}"]
    rest = decode(data.encode_sections(header["background"]))[1]
    assert not first.keys() & rest.keys() and first.keys() | rest.keys() == whole.keys()
    for name, section in {**first, **rest}.items():
        assert section.decade == whole[name].decade
        assert section.values.tobytes() == whole[name].values.tobytes(), f"{name} is not the same to the bit"
    varying = {"sections": None, "background": None}
    assert header | varying == whole_header | varying and whole_header["background"] == []
    other = next(text for text in header["map_refs"] if text != data.initial_view["map"])
    header, first = decode(data.first_part({**data.initial_view, "map": other}, 4))
    assert [name for name in first if name.startswith("codes/")] == [f"codes/{other}"] and header["serial"] == 4
    assert f"map/{data.initial_view['map']}" in header["background"] and f"map/{other}" not in header["background"]


def test_the_document_of_the_same_run_made_again_is_the_same_to_the_byte() -> None:
    first = recorded("spoken-place")
    times = {"milliseconds": {"prepare": 1.5, "model": 2.5, "capture": 3.5}}
    again = replace(first.record, id="another", made_by={**first.record.made_by, **times})
    second = Run(first.sample, again, first.backend, first.request)
    assert first.record.id != second.record.id and first.to_html() == second.to_html()
    assert first._repr_html_() == second._repr_html_()
    view = {**ViewerData(first).initial_view, "tokens": [3], "versus": [4]}
    assert first.to_html(view=view) == second.to_html(view=view) != first.to_html()


def test_a_map_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    quantize = quantization.encode
    monkeypatch.setattr(
        "mmviz.report.viewer_maps.quantize", lambda values: encoded.append(values.shape) or quantize(values)
    )
    viewer_data = ViewerData(plain())
    first = viewer_data.to_bytes()
    count = len(encoded)
    assert count and viewer_data.to_bytes() == first
    viewer_data.encode_sections(["map/0:0"])
    assert len(encoded) == count
