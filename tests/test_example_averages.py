"""Means over examples, worked out on paper: modalities, patches, parts of a sound, routes, and two checkpoints."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_tokens import ANSWER, patches
from routed_model import Routed, prepare, routed, scores_of

import mmviz
from mmviz.analysis.comparable_attention import SOUND_PARTS, ComparableMap, MapPlace, comparable_maps
from mmviz.backends.local import LocalBackend
from mmviz.cli.commands.average import count_in_all
from mmviz.experiments.checkpoint_comparison import compare_checkpoints
from mmviz.experiments.example_averages import By, Mean, MeanAttention, average, grouped
from mmviz.experiments.example_measurements import ExampleMeasurement, measure_examples
from mmviz.experiments.route_cut import LayerWindow
from mmviz.inputs import make_sample
from mmviz.inputs.examples import Example
from mmviz.report.average_tables import COMPARED_TABLES, TABLES, average_tables, comparison_tables, to_json
from mmviz.report.average_text import averages_lines, comparison_lines
from mmviz.types import (
    ANSWER as ANSWER_GROUP,
)
from mmviz.types import (
    MODALITIES,
    Answer,
    AttentionMap,
    AttentionRecord,
    MmvizError,
    Modality,
    PooledMap,
    Sample,
    Seconds,
    Token,
)

pytestmark = pytest.mark.slow

IMAGE, TEXT, AUDIO, SPECIAL = Modality
PLACE = MapPlace("layers.0", "layers", 0)
FIRST, SECOND, ALL = LayerWindow("layers", (0,)), LayerWindow("layers", (1,)), LayerWindow()
EVERYTHING = (IMAGE, TEXT, AUDIO)


def read(*_: object) -> Sample:
    """Returns a sample of everything, whatever the files of an example are."""
    pixels, wave = np.zeros((20, 30, 3), np.uint8), np.zeros(16_000, np.float32)
    return make_sample(pixels, "what?", (wave, 16_000))


def broken(*_: object) -> Sample:
    raise MmvizError("input-none")


def example(name: str, question: str = "what?", truth: str | None = None) -> Example:
    return Example(name, question, truth=truth, read=read)


def record(
    weights: list[list[float]], tokens: list[Token], heads: int = 1, answers: tuple[Answer, ...] = ()
) -> AttentionRecord:
    """Returns a record of one map, whose heads all have these weights ``[query, key]``."""
    attn_map = AttentionMap("layers.0", 0, "all", "all", np.array([weights] * heads, np.float32), stack="layers")
    return AttentionRecord("made-up", {"all": tuple(tokens)}, (attn_map,), answers, {"answer_token": ("all", 0)})


def moments(count: int, seconds: float) -> list[Token]:
    step = seconds / count
    return [Token(AUDIO, f"{k}", Seconds(k * step, (k + 1) * step)) for k in range(count)]


def measured(
    name: str, maps: tuple[ComparableMap, ...] = (), question: str = "what?", answer: str = "cat"
) -> ExampleMeasurement:
    return ExampleMeasurement(name, question, None, answer, 0.5, None, maps)


def test_sums_are_those_of_the_modalities_and_a_missing_one_is_left_out() -> None:
    tokens = [ANSWER, *patches(40, 30, 1, 2), Token(TEXT, "what"), *moments(1, 1.0)]
    weights = [[0.1, 0.2, 0.3, 0.0, 0.4], *[[0.2] * 5] * 4]
    (own,) = comparable_maps(record(weights, tokens), EVERYTHING, 1.0)
    assert own.place == PLACE
    answer = own.sums[0, MODALITIES.index(SPECIAL)]
    assert answer.tolist() == pytest.approx([0.5, 0.0, 0.4, 0.1])
    assert own.ratio[0, 3, 0] == pytest.approx(0.5 / 2 * 5) and own.sums[0, 0].tolist() == pytest.approx(
        [0.4, *[0.2] * 3]
    )
    (without,) = comparable_maps(record(weights, tokens), (IMAGE, TEXT), None)
    audio = MODALITIES.index(AUDIO)
    assert np.isnan(without.sums[0, audio]).all() and np.isnan(without.sums[0, :, audio]).all()
    assert without.sound is None and without.picture is not None
    assert np.isnan(without.sums).sum() == 7, "the rest stands"


def test_patches_lie_by_row_and_column_and_only_on_one_whole_grid() -> None:
    grid = patches(40, 30, 2, 2)
    tokens = [ANSWER, grid[3], grid[0], grid[1], grid[2]]  # in another order than that of the picture
    (own,) = comparable_maps(record([[0.0, 0.4, 0.1, 0.2, 0.3]] * 5, tokens), (IMAGE,), None)
    assert own.picture is not None
    assert own.picture.mean.tolist() == [pytest.approx([0.1, 0.2]), pytest.approx([0.3, 0.4])]
    assert not own.picture.over_heads.any()
    (partial,) = comparable_maps(record([[0.25] * 4] * 4, tokens[:4]), (IMAGE,), None)
    assert partial.picture is None


def test_a_sound_counts_in_fractions_of_its_length() -> None:
    weights = [[0.0, 0.6, 0.4]] * 3
    (own,) = comparable_maps(record(weights, [ANSWER, *moments(2, 3.0)]), (AUDIO,), 3.0)
    assert own.sound is not None
    assert own.sound.mean.tolist() == pytest.approx([0.12] * 5 + [0.08] * 5)
    # the model reads the first half of this sound alone, and the last token reaches into padding
    (half,) = comparable_maps(record(weights, [ANSWER, *moments(2, 3.0)]), (AUDIO,), 6.0)
    assert half.sound is not None
    assert half.sound.mean[:5].tolist() == pytest.approx([0.24, 0.24, 0.24 / 2 + 0.16 / 2, 0.16, 0.16])
    assert np.isnan(half.sound.mean[5:]).all()
    (padded,) = comparable_maps(record(weights, [ANSWER, *moments(2, 3.0)]), (AUDIO,), 1.5)
    assert padded.sound is not None and padded.sound.mean.tolist() == pytest.approx([0.06] * SOUND_PARTS)


def test_a_map_without_single_weights_has_its_modalities() -> None:
    tokens = (ANSWER, *patches(40, 30, 1, 2))
    sums = np.zeros((1, 3, 4), np.float32)
    sums[0, :, 0], sums[0, :, 3] = 0.75, 0.25
    columns = np.array([[[0.0, 0.0, 0.0, 0.25], *[[0.5, 0.0, 0.0, 0.25]] * 2]], np.float32)
    columns[0, 0, 0] = 0.5
    pooled = PooledMap(
        "layers.0", 0, "all", "all", np.full((1, 1, 1), 1 / 3, np.float32), (0, 3), (0, 3), sums, columns,
        np.ones(1, np.float32),
    )  # fmt: skip
    long = AttentionRecord("long", {"all": tokens}, (pooled,), (), {"answer_token": ("all", 0)})
    (own,) = comparable_maps(long, (IMAGE,), None)
    assert own.sums[0, 0, 0] == pytest.approx(0.75) and own.picture is None and own.sound is None


def test_means_spreads_and_counts_are_those_on_paper() -> None:
    grid, sound = patches(40, 30, 1, 2), moments(2, 1.0)
    first = record([[0.0, 0.2, 0.2, 0.3, 0.3]] * 5, [ANSWER, *grid, *sound])
    second = record([[0.0, 0.1, 0.5, 0.4]] * 4, [ANSWER, *grid, *moments(1, 1.0)])  # another length
    third = record([[0.4, 0.6]] * 2, [ANSWER, *moments(1, 1.0)])
    maps = [
        comparable_maps(first, (IMAGE, AUDIO), 1.0), comparable_maps(second, (IMAGE, AUDIO), 1.0),
        comparable_maps(third, (AUDIO,), 1.0),
    ]  # fmt: skip
    members = [measured(str(k), own) for k, own in enumerate(maps)]
    averages = average(members)
    assert dict(averages.groups) == {"what?": ("0", "1", "2")} and not averages.left_out

    def cell(keys: Modality) -> MeanAttention:
        (own,) = (cell for cell in averages.maps if (cell.queries, cell.keys) == (SPECIAL, keys))
        return own

    image, audio = cell(IMAGE).attention, cell(AUDIO).attention
    assert (image.mean, image.spread, image.count) == (pytest.approx(0.5), pytest.approx(0.2 / math.sqrt(2)), 2)
    assert (audio.mean, audio.count) == (pytest.approx(1.6 / 3), 3)
    assert audio.spread == pytest.approx(float(np.std([0.6, 0.4, 0.6], ddof=1)))
    picture, sound = averages.places
    assert picture.mean.tolist() == [pytest.approx([0.15, 0.35])] and picture.count.tolist() == [[2, 2]]
    assert picture.spread[0].tolist() == pytest.approx([0.1 / math.sqrt(2), 0.3 / math.sqrt(2)])
    assert sound.mean.tolist() == pytest.approx([(0.06 + 0.04 + 0.06) / 3] * 10) and (sound.count == 3).all()
    alone = average(members[2:])
    assert alone.maps[0].attention.spread is None and np.isnan(alone.places[0].spread).all()


def test_patches_of_different_grids_are_not_averaged_and_said() -> None:
    members = [
        measured(f"{columns}", comparable_maps(record([[1 / columns] * columns] * columns, list(grid)), (IMAGE,), None))
        for columns in (2, 3) for grid in [patches(40, 30, 1, columns)]
    ]  # fmt: skip
    averages = average(members)
    (notice,) = averages.left_out
    assert "1 x 2, 1 x 3" in str(notice) and not averages.places and averages.maps
    assert len(average(members[:1]).places) == 1


def test_groups_are_by_question_by_answer_or_all() -> None:
    members = [
        measured("a", question="What  is it?", answer="dog"), measured("b", question="who?", answer="cat"),
        measured("c", question="what is IT? ", answer="dog"), measured("d", question="", answer="Cat"),
    ]  # fmt: skip
    named = {by: {group: [m.name for m in own] for group, own in grouped(members, by).items()} for by in BYS}
    assert named["question"] == {"What is it?": ["a", "c"], "who?": ["b"], "": ["d"]}
    assert named["answer"] == {"dog": ["a", "c"], "cat": ["b", "d"]} and named["all"] == {"": ["a", "b", "c", "d"]}


BYS: tuple[By, ...] = ("question", "answer", "all")


@pytest.fixture(scope="module")
def backend() -> LocalBackend:
    """The planted model, whose answer hears of the picture through the words, and one that reads the picture itself."""
    other = Routed("fused")
    other.layers[1].scores = scores_of((("special", "image"),))
    direct = mmviz.CustomModel(
        other, prepare, ["seen", "unseen"], name="direct", batches=True, answer_token=0,
        pairs={"layers.*": ("tokens", "tokens")},
    )  # fmt: skip
    return LocalBackend("cpu", {"routed": routed(), "direct": direct})


def log_sigmoid(value: float) -> float:
    return -math.log1p(math.exp(-value))


def test_examples_are_measured_and_a_broken_one_stops_no_other(backend: LocalBackend) -> None:
    told: list[tuple[int, int]] = []
    examples = [example("a", truth="seen"), Example("broken", "what?", read=broken), example("b", "who?")]
    members, skipped = measure_examples(backend, "routed", examples, progress=lambda *at: told.append(at))
    assert [name for name, _ in skipped] == ["broken"] and told == [(1, 3), (2, 3), (3, 3)]
    assert [(m.name, m.answer, m.is_correct) for m in members] == [("a", "seen", True), ("b", "seen", None)]
    averages = average(members, "all")
    means = {(route.window, route.queries, route.keys): route for route in averages.routes}
    carried = means[FIRST, TEXT, IMAGE]
    assert carried.effect.mean == pytest.approx(math.log(0.5) - log_sigmoid(1), abs=1e-5)
    assert (carried.effect.spread, carried.effect.count) == (pytest.approx(0, abs=1e-5), 2)
    assert carried.attention.mean == pytest.approx(1, abs=1e-5) and carried.uniform == pytest.approx(0.3)
    assert means[SECOND, TEXT, IMAGE].effect.mean == pytest.approx(0, abs=1e-5)
    (share,) = (
        cell.attention.mean for cell in averages.maps
        if (cell.place.layer, cell.queries, cell.keys) == (0, TEXT, IMAGE)
    )  # fmt: skip
    assert share == pytest.approx(1, abs=1e-5)
    assert count_in_all([members]) == 2 and count_in_all([members[:1], members[1:]]) == 0
    without, _ = measure_examples(backend, "routed", examples[:1], with_routes=False)
    assert without[0].routes is None and without[0].routes_error is None and without[0].maps
    (whole,), _ = measure_examples(backend, "routed", examples[:1], by_layer=False)
    assert whole.routes is not None and members[0].routes is not None
    in_all = [effect for effect in members[0].routes.effects if effect.cell.window.layers is None]
    assert [effect.cell for effect in whole.routes.effects] == [effect.cell for effect in in_all]
    np.testing.assert_allclose(
        [effect.effect for effect in whole.routes.effects], [effect.effect for effect in in_all], atol=1e-5
    )


def test_routes_from_or_to_what_an_example_lacks_are_left_out(backend: LocalBackend) -> None:
    text_only = Example("t", "what?")
    (member,), _ = measure_examples(backend, "routed", [text_only])
    assert member.routes is not None
    groups = {group for effect in member.routes.effects for group in (effect.cell.queries, effect.cell.keys)}
    assert groups == {TEXT, ANSWER_GROUP}


def test_a_stop_keeps_what_was_measured(backend: LocalBackend) -> None:
    done: list[int] = []
    examples = [example(str(k)) for k in range(40)]
    members, skipped = measure_examples(
        backend, "routed", examples, progress=lambda count, _: done.append(count), stop=lambda: len(done) >= 16
    )
    assert len(members) == 16 and not skipped
    assert measure_examples(backend, "routed", examples, stop=lambda: True) == ([], [])


def test_the_route_in_which_two_checkpoints_differ_is_found(backend: LocalBackend) -> None:
    examples = [example("a"), example("b")]
    (before, _), (after, _) = (measure_examples(backend, model, examples) for model in ("routed", "direct"))
    comparison = compare_checkpoints(before, after, ("routed", "direct"))
    assert not comparison.left_out and not any(answer.is_changed for answer in comparison.answers)
    strongest = comparison.routes[:2]
    assert {(route.window, route.queries, route.keys) for route in strongest} == {
        (window, ANSWER_GROUP, IMAGE) for window in (SECOND, ALL)
    }
    assert strongest[0].before == pytest.approx(0, abs=1e-5)
    assert strongest[0].change.mean == pytest.approx(log_sigmoid(2 / 7) - log_sigmoid(2), abs=1e-5)
    lost = next(r for r in comparison.routes if (r.window, r.queries, r.keys) == (FIRST, TEXT, IMAGE))
    assert lost.change.mean == pytest.approx(log_sigmoid(1) - math.log(0.5), abs=1e-5)
    cells = {(cell.place.layer, cell.queries, cell.keys): cell for cell in comparison.maps[:2]}
    gained, given_up = cells[1, SPECIAL, IMAGE], cells[1, SPECIAL, TEXT]
    assert (gained.before, gained.after) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))
    assert gained.change == Mean(pytest.approx(1, abs=1e-5), pytest.approx(0, abs=1e-5), 2)  # type: ignore[arg-type]
    assert given_up.change.mean == pytest.approx(-1, abs=1e-5)
    assert all(abs(cell.change.mean) < 1e-5 for cell in comparison.maps[2:])
    text = "\n".join(comparison_lines(comparison, "routed", "direct"))
    assert "of 2 examples, 0 have another answer" in text and "special to picture" in text


def test_what_does_not_correspond_is_named_and_not_compared(backend: LocalBackend) -> None:
    (before, _) = measure_examples(backend, "routed", [example("a"), example("b")])
    own = before[0]
    moved = ComparableMap(MapPlace("other", "layers", 0), own.maps[0].sums, own.maps[0].ratio)
    wider = ComparableMap(own.maps[1].place, *(np.repeat(part, 2, 0) for part in (own.maps[1].sums, own.maps[1].ratio)))
    other = ExampleMeasurement("a", "what?", None, "unseen", 0.6, None, (moved, wider), own.routes)
    comparison = compare_checkpoints(before, [other], ("routed", "wide"))
    assert not comparison.maps and not comparison.routes, "not even one map, and the answers differ"
    assert [answer.name for answer in comparison.answers] == ["a"] and comparison.answers[0].is_changed
    told = " ".join(map(str, comparison.left_out))
    assert "only routed could be measured on them: b" in told and "only routed has attention there: layers.0" in told
    assert "only wide has attention there: other" in told and "1 heads in routed and 2 in wide" in told
    assert "other answers: a" in told
    assert "unseen (0.60)" in "\n".join(comparison_lines(comparison, "routed", "wide"))


def test_only_examples_of_which_it_can_be_told_count_as_changed(backend: LocalBackend) -> None:
    members, _ = measure_examples(backend, "routed", [example(name) for name in "abc"])
    marked = []
    for member, is_changed in zip(members, (True, False, None), strict=True):
        assert member.routes is not None
        effects = tuple(replace(effect, is_changed=is_changed) for effect in member.routes.effects)
        marked.append(replace(member, routes=replace(member.routes, effects=effects)))
    for own, counts in ((marked, (1, 2)), (marked[2:], (None, 0))):
        rows = average_tables(average(own), own, {}, "mmviz average")["routes"].rows
        assert {(row["changed"], row["told"]) for row in rows} == {counts}


def test_a_number_that_is_not_finite_is_null_in_the_json(backend: LocalBackend) -> None:
    members, _ = measure_examples(backend, "routed", [example("a")], with_routes=False)
    members = [replace(members[0], probability=math.nan)]
    document = json.loads(to_json(average_tables(average(members), members, {}, "mmviz average")))
    assert document["answers"][0]["probability"] is None


def test_tables_are_plain_values_for_data_frames_and_files(backend: LocalBackend, tmp_path: Path) -> None:
    members, _ = measure_examples(backend, "routed", [example("a", "=1+1"), example("b", "who?")])
    averages = average(members)
    tables = average_tables(averages, members, {"model": "routed"}, "mmviz average")
    assert tuple(tables) == TABLES
    for table in tables.values():
        assert table.rows and all(set(row) == set(table.columns) for row in table.rows), table.name
        assert len(table.to_csv().splitlines()) == len(table.rows) + 1
    document = json.loads(to_json(tables))
    assert document["groups"] == {"=1+1": ["a"], "who?": ["b"]} and document["command"] == "mmviz average"
    assert len(document["routes"]) == len(averages.routes) and document["routes"][0]["effect_spread"] is None
    assert {row["modality"] for row in document["places"]} == {"image", "audio"}
    assert '"\'=1+1"' in tables["answers"].to_csv(), "no formula"
    assert "Question “who?”: 1 example" in "\n".join(averages_lines(averages))
    comparison = compare_checkpoints(members, members, ("a", "b"), "question")
    compared = comparison_tables(comparison, {}, "mmviz average")
    assert tuple(compared) == COMPARED_TABLES
    assert all(set(row) == set(table.columns) for table in compared.values() for row in table.rows)
    assert all(row["change"] == 0 for row in compared["maps"].rows)
