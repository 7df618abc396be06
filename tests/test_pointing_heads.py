"""Heads that point: a planted head is recognised, judged by other examples; where none points none is claimed."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import planted_pointing
import pytest
import soundfile
from PIL import Image
from planted_pointing import MOMENTS, POINTS_TO_AUDIO, POINTS_TO_IMAGE, SECONDS, SIDE
from records import record, trio

from mmviz.backends.local import LocalBackend
from mmviz.cli import main
from mmviz.experiments.audit import evaluate_examples
from mmviz.experiments.pointing_heads import CHOSEN, PlaceHits, PointingHead, lies_in, place_hits, pointing_heads
from mmviz.i18n.audit import audit_words
from mmviz.inputs.examples import load_examples
from mmviz.report import pointing_table
from mmviz.types import AttentionMap, AttentionRecord, MmvizError, Modality, PixelBox, Seconds

IMAGE, AUDIO = Modality.IMAGE, Modality.AUDIO
PIXELS, RATE = 80, 16_000


def write_folder(folder: Path, count: int, is_right: bool = True, beside: bool = False) -> Path:
    """Writes examples with one bright patch and one loud moment, and where they are, or places drawn by chance.

    ``beside``: the places stand in a file beside each example, not in the listing.
    """
    folder.mkdir()
    rng, entries, cell = np.random.default_rng(0), [], PIXELS // SIDE
    for number in range(count):
        row, column, moment = (int(rng.integers(0, most)) for most in (SIDE, SIDE, MOMENTS))
        pixels = rng.integers(0, 60, (PIXELS, PIXELS, 3), np.uint8)
        pixels[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] += 180
        wave = rng.standard_normal(int(SECONDS * RATE)).astype(np.float32) * 0.02
        size = len(wave) // MOMENTS
        wave[moment * size : (moment + 1) * size] *= 20
        Image.fromarray(pixels).save(folder / f"e{number}.png")
        soundfile.write(folder / f"e{number}.wav", wave, RATE)
        if not is_right:
            row, column, moment = (int(rng.integers(0, most)) for most in (SIDE, SIDE, MOMENTS))
        box = [column * cell, row * cell, (column + 1) * cell, (row + 1) * cell]
        places = {"image": [box], "audio": [moment * SECONDS / MOMENTS, (moment + 1) * SECONDS / MOMENTS]}
        entries.append({"id": f"e{number}", "image": f"e{number}.png", "audio": f"e{number}.wav", "places": places})
        if beside:
            (folder / f"e{number}.places.json").write_text(json.dumps(places))
    if not beside:
        (folder / "examples.json").write_text(json.dumps(entries))
    return folder


def audited(folder: Path) -> list[PointingHead]:
    backend = LocalBackend("cpu", {"planted": planted_pointing.make()})
    assessments, skipped = evaluate_examples(backend, "planted", load_examples(folder))
    assert not skipped
    return pointing_table.heads_of(assessments)


@pytest.mark.parametrize("beside", [False, True])
def test_the_planted_heads_are_found_and_agree_on_the_half_that_judges(tmp_path: Path, beside: bool) -> None:
    heads = audited(write_folder(tmp_path / "examples", 16, beside=beside))
    assert [(head.head, head.modality) for head in heads if head.points] == [
        (POINTS_TO_IMAGE, IMAGE), (POINTS_TO_AUDIO, AUDIO),
    ]  # fmt: skip
    for head in heads:
        share = 1 / SIDE**2 if head.modality is IMAGE else 1 / MOMENTS
        assert head.chance == pytest.approx(share)
        if head.points:
            assert (head.chosen_hits, head.held_out_hits) == (8, 8) == (head.chosen_of, head.held_out_of)
            assert head.p_value == pytest.approx(share**8) and head.module == "layers.1"
    assert len(heads) == 8, "every head, for each modality"


def test_places_drawn_by_chance_are_pointed_to_by_no_head(tmp_path: Path) -> None:
    heads = audited(write_folder(tmp_path / "examples", 16, is_right=False))
    assert not any(head.points for head in heads)
    assert pointing_table.sentences(heads) == [
        audit_words("find-pointing-none", place=audit_words(f"place-{name}")) for name in ("image", "audio")
    ]


def test_with_few_examples_nothing_is_claimed(tmp_path: Path) -> None:
    heads = audited(write_folder(tmp_path / "examples", 2))
    assert not any(head.points for head in heads)
    assert "Too few examples" in pointing_table.sentences(heads)[0]


def hits(*values: tuple[bool, float], head: int = 0) -> list[tuple[PlaceHits]]:
    key = ("blocks.0", 0, head)
    return [(PlaceHits(IMAGE, {key: value}, {key: f"0:{head}"}),) for value in values]


def test_halves_and_probabilities_are_those_worked_out_by_hand() -> None:
    """The second and fourth example judge, with chances 1/2 and 1/4: both are hit by chance in 1/8, at least one in
    1/2 + 1/2 * 1/4 = 5/8."""
    (both,) = pointing_heads(hits((True, 0.5), (True, 0.5), (True, 0.5), (True, 0.25)))
    assert (both.chosen_hits, both.chosen_of, both.held_out_hits, both.held_out_of) == (2, 2, 2, 2)
    assert both.p_value == pytest.approx(1 / 8) and both.is_chosen and not both.points
    (unlucky,) = pointing_heads(hits((True, 0.5), (False, 0.5), (True, 0.5), (True, 0.25)))
    assert unlucky.p_value == pytest.approx(5 / 8)
    (lucky,) = pointing_heads(hits((True, 0.1), (False, 0.1), (True, 0.1), (False, 0.1)))
    assert lucky.is_chosen and lucky.p_value == 1 and not lucky.points
    (never,) = pointing_heads(hits((False, 0.1), (True, 0.1), (False, 0.1), (True, 0.1)))
    assert not never.is_chosen and not never.points, "the half that judges chooses nothing"


def test_only_the_best_heads_are_judged() -> None:
    examples = [
        (PlaceHits(
            IMAGE, {("b", 0, head): (number >= head, 0.1) for head in range(9)},
            {("b", 0, head): f"0:{head}" for head in range(9)},
        ),)
        for number in range(20)
    ]  # fmt: skip
    heads = pointing_heads(examples)
    assert [head.head for head in heads if head.is_chosen] == [f"0:{head}" for head in range(CHOSEN)]


def test_a_head_hits_where_its_largest_weight_is_in_a_place() -> None:
    """Two heads over an answer token, 3 x 5 patches, words and moments: one at patch 7, one torn between two."""
    tokens = trio()
    patches = [k for k, token in enumerate(tokens) if token.modality is IMAGE]
    at, other = patches[7], patches[2]
    shown: AttentionRecord = record({"all": tokens}, [("all", "all", 0, 2)])
    (attn_map,) = shown.maps
    assert isinstance(attn_map, AttentionMap)
    weights = np.zeros_like(attn_map.weights)
    weights[:, :, 0] = 1
    weights[0, 0], weights[1, 0] = 0, 0
    weights[0, 0, [at, other, 0]] = 0.4, 0.1, 0.5
    weights[1, 0, [at, other]] = 0.5
    shown = replace(shown, maps=(replace(attn_map, weights=weights),))
    place = tokens[at].location
    assert isinstance(place, PixelBox)
    (hit_of,) = place_hits(shown, [place])
    assert [hit for hit, _ in hit_of.hits.values()] == [True, False], "the answer token itself does not count"
    assert {chance for _, chance in hit_of.hits.values()} == {1 / 15}
    whole = PixelBox(-1, -1, 10_000, 10_000)
    assert not place_hits(shown, [whole])[0].hits, "everything lies in it"
    (audio,) = place_hits(shown, [Seconds(0, 0.1)])
    assert audio.modality is AUDIO and not audio.hits, "no head attends to the sound"


def test_a_token_lies_in_a_place_by_the_centre_of_either() -> None:
    place = PixelBox(10, 10, 30, 30)
    assert lies_in(PixelBox(15, 15, 40, 40), place) and not lies_in(PixelBox(25, 25, 60, 60), place)
    assert lies_in(PixelBox(0, 0, 200, 200), place), "a place smaller than the token"
    assert lies_in(Seconds(0.1, 0.2), Seconds(0, 1)) and not lies_in(Seconds(1.1, 1.2), Seconds(0, 1))
    assert not lies_in(Seconds(0, 1), place) and not lies_in(None, place)


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([1, 2, 3, 4], "no object with image or audio"),
        ({}, "no object with image or audio"),
        ({"picture": [[1, 2, 3, 4]]}, "no object with image or audio"),
        ({"image": []}, "image is no list"),
        ({"image": [[1, 2, 3]]}, "[1, 2, 3] of image is not left, top, right and bottom"),
        ({"image": [[30, 2, 3, 4]]}, "is not left, top, right and bottom, in this order"),
        ({"image": [[1, 2, 3, "4"]]}, "is not left"),
        ({"audio": [[1, 1]]}, "[1, 1] of audio is not start and end"),
        ({"audio": [[-1, 1]]}, "is not start and end"),
        ({"audio": [0.1, True]}, "is not start and end"),
        ({"image": [[500, 2, 600, 40]]}, "[500, 2, 600, 40] lies outside, the example has a picture of 80 x 80 pixels"),
        ({"audio": [[5, 6]]}, "[5, 6] lies outside, the example has a sound of 0.80 s"),
    ],
)
def test_wrong_places_are_refused_with_one_sentence_and_stop_no_other(tmp_path: Path, places: Any, words: str) -> None:
    folder = write_folder(tmp_path / "examples", 2)
    entries = json.loads((folder / "examples.json").read_text())
    entries[0]["places"] = places
    (folder / "examples.json").write_text(json.dumps(entries))
    first, second = load_examples(folder)
    with pytest.raises(MmvizError) as error:
        first.sample()
    assert error.value.code == "examples-places" and words in str(error.value) and "e0" in str(error.value)
    assert "\n" not in str(error.value) and '{"image": [[10, 20, 60, 80]]' in str(error.value)
    assert second.sample().image is not None and len(second.places) == 2


@pytest.mark.parametrize(
    ("data", "words"), [(b"{", "not JSON"), (b"\xff\xfe\xff", "neither UTF-8"), (b" " * 200_000, "larger than 100 kB")]
)
def test_a_file_of_places_that_cannot_be_read_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    folder = write_folder(tmp_path / "examples", 1, beside=True)
    (folder / "e0.places.json").write_bytes(data)
    (example,) = load_examples(folder)
    assert isinstance(example.error, MmvizError) and words in str(example.error)


def test_a_place_in_an_input_that_is_missing_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    folder.mkdir()
    (folder / "examples.json").write_text(json.dumps([{"text": "who?", "places": {"image": [[0, 0, 9, 9]]}}]))
    (example,) = load_examples(folder)
    with pytest.raises(MmvizError) as error:
        example.sample()
    assert "the example has no picture" in str(error.value)


@pytest.mark.slow
def test_the_command_prints_the_heads_and_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "examples", 16)
    out = {kind: str(tmp_path / f"out.{kind}") for kind in ("json", "csv", "heads")}
    words = ["audit", str(folder), "--model", "planted_pointing:make", "--baseline", "mean"]
    words += ["--json", out["json"], "--csv", out["csv"], "--heads-csv", out["heads"]]
    assert main(words) == 0
    printed = capsys.readouterr().out
    pointing = json.loads(Path(out["json"]).read_text())["pointing"]
    assert pointing["examples"] == 16 and len(pointing["heads"]) == 8
    assert [head["head"] for head in pointing["heads"] if head["points"]] == [POINTS_TO_IMAGE, POINTS_TO_AUDIO]
    assert audit_words("pointing") in printed and all(line in printed for line in pointing["findings"])
    assert "1:0. The largest weight of 1:0 lies there in 8 of 8 examples" in printed
    lines = list(csv.DictReader(io.StringIO(Path(out["heads"]).read_text())))
    assert [line["head"] for line in lines if line["points"] == "true"] == [POINTS_TO_IMAGE, POINTS_TO_AUDIO]
    assert len(lines) == 8 and float(lines[0]["p_value"]) == pointing["heads"][0]["p_value"]


def test_an_audit_without_places_says_nothing_of_heads() -> None:
    assert pointing_table.heads_of([]) == [] and pointing_table.to_plain([])["findings"] == []


def test_places_that_no_map_can_be_judged_by_are_told() -> None:
    assert pointing_table.sentences(pointing_heads([(PlaceHits(IMAGE, {}, {}),)])) == [
        audit_words("find-pointing-unmeasured")
    ]
