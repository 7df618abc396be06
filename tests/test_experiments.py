"""Experiments on what an answer depends on: with a model worked out by hand, and with the bundled models."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_page import short_curves
from numpy.typing import NDArray
from paper_model import HEADS, NUMBERS, Paper
from records import WHOLE

from mmviz.analysis.attention_vs_effect import disagreements
from mmviz.analysis.attributions import attention_shares, attributions, modality_shares
from mmviz.analysis.available_maps import last_map
from mmviz.analysis.head_profiles import all_heads, head_profiles
from mmviz.backends.local import LocalBackend
from mmviz.cli import main
from mmviz.experiments.faithfulness import (
    STEPS,
    FaithfulnessCurves,
    curve_requests,
    measure_faithfulness,
    read_curves,
    variant_count,
)
from mmviz.experiments.head_ablation import measure_head_ablation
from mmviz.experiments.modality_shapley import (
    effect_requests,
    measure_modality_effect,
    read_effect,
    shapley,
)
from mmviz.experiments.removals import Baseline, removable_tokens
from mmviz.explain import Run, run_sample
from mmviz.inputs.examples import load_gallery
from mmviz.types import (
    INPUT_MODALITIES,
    AblateHead,
    Answer,
    AttentionMap,
    AttentionRecord,
    Chars,
    DropModality,
    DropTokens,
    MapRef,
    MmvizError,
    Modality,
    PixelBox,
    ReplaceInput,
    Request,
    Sample,
    Token,
)

pytestmark = pytest.mark.slow

IMAGE, TEXT, AUDIO = INPUT_MODALITIES
PAPER = LocalBackend("cpu", {"paper": Paper()})
EXAMPLES = {example.id: example for example in load_gallery()}
ANSWER = Token(Modality.SPECIAL, "answer")


def game(*values: float) -> dict[frozenset[Modality], float]:
    """A game by its values for no modality, each alone, each pair, and all."""
    subsets = [frozenset(subset) for size in range(4) for subset in combinations(INPUT_MODALITIES, size)]
    return dict(zip(subsets, values, strict=True))


def test_shapley_values_of_games_worked_out_by_hand() -> None:
    additive = game(1, 3, 2, 1, 4, 3, 2, 4)  # 2 for the image, 1 for the text, 0 for the audio
    assert shapley(additive) == pytest.approx({IMAGE: 2, TEXT: 1, AUDIO: 0})
    both = game(0, 0, 0, 0, 6, 0, 0, 6)  # image and text count together only
    assert shapley(both) == pytest.approx({IMAGE: 3, TEXT: 3, AUDIO: 0})
    majority = game(0, 0, 0, 0, 3, 3, 3, 3)
    assert shapley(majority) == pytest.approx({IMAGE: 1, TEXT: 1, AUDIO: 1})
    assert shapley({frozenset(): -2.0, frozenset({TEXT}): -0.5}) == {IMAGE: 0, TEXT: 1.5, AUDIO: 0}


def test_shapley_values_are_the_mean_over_all_orders_and_add_up() -> None:
    values = game(*np.random.default_rng(3).normal(0, 5, 8))
    phi = shapley(values)
    for modality in INPUT_MODALITIES:
        steps = []
        for order in permutations(INPUT_MODALITIES):
            before = frozenset(order[: order.index(modality)])
            steps.append(values[before | {modality}] - values[before])
        assert phi[modality] == pytest.approx(np.mean(steps))
    assert sum(phi.values()) == pytest.approx(values[frozenset(INPUT_MODALITIES)] - values[frozenset()], abs=1e-12)


def _logistic(z: float) -> float:
    return -math.log1p(math.exp(-z))


def test_the_effect_of_a_model_worked_out_by_hand() -> None:
    effect = measure_modality_effect(PAPER, Request("paper", WHOLE))
    assert effect is not None and effect.answer == "yes"
    values = {
        kept: _logistic(sum(NUMBERS[modality] for modality in kept) + sum(HEADS))
        for kept in map(frozenset, effect.values)
    }
    assert effect.values == pytest.approx(values, abs=1e-6)
    assert effect.phi == pytest.approx(shapley(values), abs=1e-6)
    assert effect.total == pytest.approx(_logistic(3) - _logistic(1), abs=1e-6)
    assert effect.answers[frozenset({AUDIO})] == ("yes", pytest.approx(0.5, abs=1e-6))
    assert measure_modality_effect(PAPER, Request("paper", WHOLE), stop=lambda: True) is None


def test_a_modality_that_the_sample_lacks_has_no_effect_and_is_not_run() -> None:
    effect = measure_modality_effect(PAPER, Request("paper", replace(WHOLE, audio=None)))
    assert effect is not None and effect.phi[AUDIO] == 0 and len(effect.values) == 4
    assert len(effect_requests(Request("paper", Sample(text="a")))[0].sweep) == 2


@pytest.mark.parametrize("baseline", ["learned", "noise"])
def test_on_the_bundled_model_the_effect_agrees_with_single_runs(baseline: Baseline, backend: LocalBackend) -> None:
    sample = EXAMPLES["spoken-place"].sample()
    effect = measure_modality_effect(backend, Request("trio", sample), baseline)
    assert effect is not None
    removal = tuple(
        DropModality(modality) if baseline == "learned" else ReplaceInput(modality, baseline)
        for modality in INPUT_MODALITIES
    )
    with_all, with_none = (backend.run([Request("trio", sample, changes)])[0].answers for changes in ((), removal))
    probability = next(answer.probability for answer in with_none if answer.label == with_all[0].label)
    expected = math.log(with_all[0].probability) - math.log(probability)
    assert effect.answer == with_all[0].label and effect.total == pytest.approx(expected, abs=1e-5)
    assert sum(effect.phi.values()) == pytest.approx(expected, abs=1e-5)


def test_a_run_its_summary_and_the_command_report_the_same_effect(tmp_path: Path, backend: LocalBackend) -> None:
    example = EXAMPLES["heard"]
    run = run_sample(example.sample(), backend=backend)
    effect = run.effect()
    assert list(effect) == ["image", "text", "audio", "total"]
    assert effect["total"] == pytest.approx(effect["image"] + effect["text"] + effect["audio"], abs=1e-9)
    assert effect["audio"] == max(effect[str(modality)] for modality in INPUT_MODALITIES)  # the question is about it
    assert run.summary()["effect"] == pytest.approx(effect)
    out, table, column = (tmp_path / name for name in ("run.json", "run.csv", "run.pdf"))
    assert main(["explain", "--image", str(example.image), "--text", example.question, "--audio", str(example.audio),
                 "--json", str(out), "--csv", str(table), "--column", str(column)]) == 0  # fmt: skip
    assert json.loads(out.read_text())["effect"] == pytest.approx(effect, abs=1e-6)
    rows = list(csv.DictReader(table.read_text("utf-8").splitlines()))
    np.testing.assert_allclose([float(row["amount"]) for row in rows], run.attention(), rtol=0, atol=1e-6)
    assert {row["map"] for row in rows} == {str(run.map_ref)} and column.read_bytes().startswith(b"%PDF-")


def test_the_effect_of_a_run_that_cannot_be_repeated_is_an_error() -> None:
    run = run_sample(Sample(text="left both"), model="toy")
    assert run.summary()["effect"] is None  # the toy cannot do without its text
    with pytest.raises(MmvizError) as error:
        run.effect()
    assert error.value.code == "model-needs-text"
    for change in ({"model": "elsewhere"}, {"weights": "0" * 64}):
        record = replace(run.record, made_by={**run.record.made_by, **change})
        with pytest.raises(MmvizError) as error:
            Run(run.sample, record).effect()
        assert error.value.code == "effect-model"


def test_attention_and_effect_that_disagree() -> None:
    def shares(*values: float) -> dict[Modality, float]:
        return dict(zip(INPUT_MODALITIES, values, strict=True))

    assert disagreements(shares(0.5, 0.3, 0.2), shares(0.6, 0.2, 0.2)) == []
    (result,) = disagreements(shares(0.2, 0.2, 0.6), shares(0.5, 0.2, 0.3))
    assert (result.kind, result.modality, result.other) == ("most", AUDIO, IMAGE)
    assert (result.attention, result.effect) == (0.6, 0.5)
    (result,) = disagreements(shares(0.5, 0.5, 0.0), shares(0.02, 0.98, 0.0))
    assert (result.kind, result.modality) == ("unused", IMAGE)
    (result,) = disagreements(shares(0.6, 0.37, 0.03), shares(0.5, 0.1, 0.4))
    assert (result.kind, result.modality) == ("unattended", AUDIO)
    assert attention_shares({IMAGE: 0.2, AUDIO: 0.2, Modality.SPECIAL: 0.6}) == {IMAGE: 0.5, TEXT: 0, AUDIO: 0.5}
    assert attention_shares({Modality.SPECIAL: 1.0}) == dict.fromkeys(INPUT_MODALITIES, 0.0)


def test_head_ablation_worked_out_by_hand_and_on_the_bundled_model(backend: LocalBackend) -> None:
    record = PAPER.run([Request("paper", WHOLE)])[0]
    assert all_heads(record) == [(0, 0), (0, 1)]
    for effect, output in zip(measure_head_ablation(PAPER, Request("paper", WHOLE), record), HEADS, strict=True):
        expected = _logistic(3 - output) - _logistic(3)
        assert effect.effect == pytest.approx(expected, abs=1e-6) and effect.answer == "yes"
        assert effect.probability == pytest.approx(math.exp(_logistic(3 - output)), abs=1e-6)
    sample = EXAMPLES["mask"].sample()
    record = backend.run([Request("trio", sample)])[0]
    effects = measure_head_ablation(backend, Request("trio", sample), record)
    assert len(effects) == 24
    strongest = min(effects, key=lambda effect: effect.effect)
    (single,) = backend.run([Request("trio", sample, (AblateHead(strongest.map, strongest.head),))])
    assert strongest.answer == single.answers[0].label
    assert strongest.probability == pytest.approx(single.answers[0].probability)
    assert measure_head_ablation(backend, Request("trio", sample), record, stop=lambda: True) == []


# several maps in a layer


@pytest.fixture(scope="module")
def crossmodal(backend: LocalBackend) -> tuple[LocalBackend, Request, AttentionRecord]:
    """A bundled model with nine maps in each of its two layers, between streams of image, text and audio."""
    request = Request("crossmodal", EXAMPLES["mask"].sample(), norms=True)
    return backend, request, backend.run([request])[0]


def test_head_ablation_knows_the_maps_of_a_layer_apart(
    crossmodal: tuple[LocalBackend, Request, AttentionRecord],
) -> None:
    backend, request, record = crossmodal
    assert len({attn_map.layer for attn_map in record.maps}) == 2 and len(record.maps) == 18
    effects = measure_head_ablation(backend, request, record)
    assert [(effect.map, effect.head) for effect in effects] == all_heads(record)
    refs = [record.map_ref(effect.map, effect.head) for effect in effects]
    assert len(set(refs)) == len(refs) == 72
    first_layer = [effect for effect, ref in zip(effects, refs, strict=True) if (ref.layer, ref.head) == (0, 0)]
    assert len({round(effect.effect, 6) for effect in first_layer}) > 1, "maps of one layer differ"
    for effect in (first_layer[1], max(effects, key=lambda effect: abs(effect.effect))):
        (single,) = backend.run([replace(request, changes=(AblateHead(effect.map, effect.head),), norms=False)])
        assert effect.answer == single.answers[0].label
        assert effect.probability == pytest.approx(single.answers[0].probability, abs=1e-5)


def test_attributions_are_of_the_keys_of_the_last_map_in_which_modalities_meet(
    crossmodal: tuple[LocalBackend, Request, AttentionRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    short_curves(monkeypatch)
    backend, request, record = crossmodal
    number = last_map(record)
    last = record.maps[number]
    assert number < 17 and last.queries != last.keys, "self-attention runs after it"
    same_keys = next(k for k, attn_map in enumerate(record.maps) if attn_map.keys == last.keys)
    ref, tokens = record.map_ref(same_keys, 2), record.streams[last.keys]
    assert ref.stack != last.stack and record.maps[same_keys].queries != last.queries
    amounts = attributions(record, ref)
    assert list(amounts) == [str(ref), str(record.map_ref(number)), "value", "rollout"]
    assert all(values.shape == (len(tokens),) for values in amounts.values())
    assert np.allclose(amounts[str(ref)], record.maps[same_keys].weights[2, 0])
    with pytest.raises(ValueError, match="attends to"):
        attributions(record, record.map_ref(next(k for k, m in enumerate(record.maps) if m.keys != last.keys), 0))
    of_head = {str(ref): amounts[str(ref)]}
    curves = measure_faithfulness(backend, replace(request, norms=False), record, of_head, "mean")
    assert curves is not None and list(curves) == [str(ref)]


def test_relevance_of_another_stream_is_no_attribution_of_the_last_map() -> None:
    streams = {"decoder": (ANSWER, Token(TEXT, "cat")), "encoder": (Token(IMAGE, "p"), Token(IMAGE, "p"), ANSWER)}
    maps = tuple(
        AttentionMap(
            name, layer, queries, keys, np.full((1, len(streams[queries]), len(streams[keys])), share, np.float32)
        )
        for name, layer, queries, keys, share in (
            ("self", 0, "decoder", "decoder", 1 / 2),
            ("cross", 0, "decoder", "encoder", 1 / 3),
        )
    )
    relevance = np.arange(4, dtype=np.float32).reshape(2, 2)
    record = AttentionRecord("r", streams, maps, (), {}, relevance=relevance)
    assert list(attributions(record)) == ["0.1:0", "0.1:mean"]
    assert modality_shares(record, MapRef("relevance")) == {IMAGE: 0, TEXT: 1, AUDIO: 0}
    assert modality_shares(record, MapRef.parse("0.1:mean")) == {IMAGE: 1, TEXT: 0, AUDIO: 0}
    assert modality_shares(record, MapRef.parse("0:0")) == {IMAGE: 0, TEXT: 1, AUDIO: 0}


def test_a_profile_is_of_the_answer_token_among_the_queries_of_its_map() -> None:
    streams = {"decoder": (ANSWER, Token(TEXT, "cat")), "encoder": (Token(IMAGE, "p"), ANSWER)}
    eye = np.eye(2, dtype=np.float32)[None]
    maps = (AttentionMap("encoder", 0, "encoder", "encoder", eye), AttentionMap("cross", 0, "decoder", "encoder", eye))
    encoder, cross = head_profiles(AttentionRecord("r", streams, maps, (), {}))
    assert (encoder.map, encoder.head, cross.map, cross.head) == (0, 0, 1, 0)
    assert encoder.modality_sums == {IMAGE: 0, Modality.SPECIAL: 1}
    assert cross.modality_sums == {IMAGE: 1, Modality.SPECIAL: 0}


# profiles


def _record(*maps: NDArray[Any]) -> AttentionRecord:
    """A record of one stream, a layer for each map ``[query, key]``."""
    tokens = (
        ANSWER, Token(Modality.TEXT, "a", Chars(0, 1)), Token(Modality.TEXT, "b", Chars(2, 3)),
        *(Token(Modality.IMAGE, f"p{k}", PixelBox(k, 0, k + 1, 1)) for k in range(4)),
    )  # fmt: skip
    attn_maps = tuple(
        AttentionMap(f"m{layer}", layer, "t", "t", np.asarray(weights, np.float32)[None])
        for layer, weights in enumerate(maps)
    )
    return AttentionRecord("id", {"t": tokens}, attn_maps, (Answer("yes", 1.0),), {})


def test_profiles_of_maps_worked_out_by_hand() -> None:
    uniform, identity = np.full((7, 7), 1 / 7), np.eye(7)
    sink = np.full((7, 7), 0.2 / 6)
    sink[:, 5] = 0.8
    of_uniform, of_identity, of_sink = head_profiles(_record(uniform, identity, sink))
    assert of_uniform.entropy == pytest.approx(1) and of_uniform.distance == pytest.approx(1)
    assert of_uniform.sinks == ()
    assert of_uniform.modality_sums == pytest.approx({IMAGE: 4 / 7, TEXT: 2 / 7, Modality.SPECIAL: 1 / 7})
    assert of_identity.entropy == pytest.approx(0) and of_identity.distance == pytest.approx(0)
    assert of_identity.modality_sums == {IMAGE: 0, TEXT: 0, Modality.SPECIAL: 1}
    assert of_sink.sinks == ((5, pytest.approx(0.8, abs=1e-6)),) and of_sink.registers == (5,)
    special = np.full((7, 7), 0.2 / 6)
    special[:, 0] = 0.8
    (profile,) = head_profiles(_record(special))
    assert [key for key, _ in profile.sinks] == [0] and profile.registers == ()


# faithfulness


class AdditiveBackend:
    """A backend whose answer has the sum of the weights of the tokens that are kept as its probability."""

    def __init__(self, weights: NDArray[np.float64], least: float = 0.0):
        self.weights, self.least = weights, least

    def run(self, requests: Sequence[Request], progress: Any = None, stop: Any = None) -> tuple[AttentionRecord, ...]:
        records = []
        for request in requests:
            removed = [
                [token for change in changes if isinstance(change, DropTokens) for token in change.tokens]
                for changes in request.sweep
            ]
            kept = np.array([self.least + (1 - self.least) * (1 - self.weights[tokens].sum()) for tokens in removed])
            sweep = np.log(np.maximum(np.stack([kept, 1 - kept], -1), 1e-12))
            records.append(replace(_record(np.eye(7)), answers=(Answer("yes", 1.0), Answer("no", 0.0)), sweep=sweep))
        return tuple(records)


def test_curves_of_an_answer_that_depends_on_known_tokens() -> None:
    count = 30
    tokens = (ANSWER, *(Token(TEXT, "w", Chars(k, k + 1)) for k in range(count)))
    identity = AttentionMap("m", 0, "t", "t", np.eye(count + 1, dtype=np.float32)[None])
    record = AttentionRecord("id", {"t": tokens}, (identity,), (Answer("yes", 1.0),), {})
    weights = np.r_[0, np.arange(count) ** 3.0]
    weights /= weights.sum()
    backend: Any = AdditiveBackend(weights)
    curves = measure_faithfulness(backend, Request("paper", WHOLE), record, {"true": weights, "false": -weights})
    assert curves is not None
    true, false = curves["true"], curves["false"]
    counts = [round(count * step / STEPS) for step in range(STEPS + 1)]
    descending = np.sort(weights[1:])[::-1]
    assert true.deletion == pytest.approx([1 - descending[:count].sum() for count in counts])
    assert true.insertion == pytest.approx([descending[:count].sum() for count in counts])
    assert true.random.shape == (10, STEPS + 1)
    assert true.verdict == "yes" and false.verdict == "no"
    assert true.score > 0.2 and false.score < -0.2
    low, mean, high = true.band()
    assert (low <= mean).all() and (mean <= high).all() and low[0] == high[0] == 1 and low[-1] == high[-1] == 0
    assert true.band(inserted=True)[1] == pytest.approx(mean[::-1])


def test_an_answer_that_depends_on_no_token_has_a_flat_verdict() -> None:
    weights = np.full(7, 1 / 7)
    backend: Any = AdditiveBackend(weights, least=0.99)
    curves = measure_faithfulness(backend, Request("paper", WHOLE), _record(np.eye(7)), {"w": weights})
    assert curves is not None and curves["w"].is_flat and curves["w"].verdict == "flat" and curves["w"].score == 0


def test_half_a_verdict_is_a_win_in_one_curve() -> None:
    line = np.linspace(1, 0, STEPS + 1)
    random = np.stack([line] * 3)
    early = np.r_[1, np.zeros(STEPS)]
    assert FaithfulnessCurves(early, 1 - line, random, False).verdict == "half"
    assert FaithfulnessCurves(early, 1 - early, random, False).verdict == "yes"
    assert FaithfulnessCurves(line, 1 - line, random, False).verdict == "no"
    assert FaithfulnessCurves(line, 1 - line, random, False).score == pytest.approx(0)


def test_tokens_without_a_location_are_never_removed() -> None:
    tokens = _record(np.eye(7)).streams["t"]
    assert removable_tokens(tokens) == [1, 2, 3, 4, 5, 6]
    for request in curve_requests(Request("trio", WHOLE), tokens, {"w": np.arange(7.0)}):
        changes = [change for variant in request.sweep for change in variant]
        assert changes and all(isinstance(change, DropTokens) and 0 not in change.tokens for change in changes)
    request, *_ = curve_requests(Request("trio", WHOLE), tokens, {"w": np.arange(7.0)}, "blur")
    changes = [change for variant in request.sweep for change in variant]
    assert changes and all(isinstance(change, ReplaceInput) and change.baseline == "blur" for change in changes)


@pytest.mark.long
def test_six_methods_on_the_bundled_model_and_their_faithfulness(backend: LocalBackend) -> None:
    sample = EXAMPLES["mask"].sample()
    request = Request("trio", sample, relevance=True, norms=True, integrated=True)
    (record,) = backend.run([request])
    amounts = attributions(record, MapRef("attention", 4, 1))
    assert list(amounts) == ["4:1", "5:mean", "value", "rollout", "relevance", "integrated"]
    assert all(values.shape == (len(record.streams["tokens"]),) for values in amounts.values())
    assert amounts["value"].sum() == pytest.approx(1) and amounts["4:1"].sum() == pytest.approx(1, abs=1e-5)
    progress: list[tuple[int, int]] = []
    curves = measure_faithfulness(backend, request, record, amounts, progress=lambda *step: progress.append(step))
    assert curves is not None and list(curves) == list(amounts)
    assert [done for done, _ in progress] == list(range(1, progress[0][1] + 1)) and progress[0][1] > 1
    best = max(curves.values(), key=lambda curve: curve.score)
    assert best.verdict in ("yes", "half") and best.score > 0.1
    assert measure_faithfulness(backend, request, record, amounts, stop=lambda: True) is None


def test_a_stop_keeps_the_methods_whose_curves_are_whole() -> None:
    weights = np.r_[0, np.arange(6) ** 3.0]
    record, request = _record(np.eye(7)), Request("paper", WHOLE)
    amounts = {"true": weights, "false": -weights, "other": weights[::-1]}
    backend: Any = AdditiveBackend(weights / weights.sum())
    requests = curve_requests(request, record.streams["t"], amounts)
    records, whole = backend.run(requests), measure_faithfulness(backend, request, record, amounts)
    assert whole is not None and sum(len(request.sweep) for request in requests) == variant_count(3)
    measured = [list(read_curves(amounts, records[:count])) for count in range(len(records) + 1)]
    counts = [sum(len(request.sweep) for request in requests[:count]) for count in range(len(records) + 1)]
    assert measured == [
        [name for k, name in enumerate(amounts) if count >= variant_count(k + 1)] for count in counts
    ] and measured[-1] == list(amounts) and measured[0] == measured[1] == []  # fmt: skip
    assert any(0 < len(names) < 3 for names in measured), "one of the stops is between two methods"
    partial = read_curves(amounts, records[:2])
    assert all(np.array_equal(partial[name].deletion, whole[name].deletion) for name in partial)


def test_modality_shares_are_those_of_the_answer_token(backend: LocalBackend) -> None:
    run = run_sample(EXAMPLES["heard"].sample(), backend=backend)
    amounts = run.attention(MapRef("attention", 2))
    expected = [
        sum(float(amount) for token, amount in zip(run.tokens, amounts, strict=True) if token.modality is modality)
        for modality in INPUT_MODALITIES
    ]
    shares = modality_shares(run.record, MapRef("attention", 2))
    assert [shares[modality] for modality in INPUT_MODALITIES] == pytest.approx(np.array(expected) / sum(expected))


def test_effects_can_be_read_from_records_that_came_over_the_wire(backend: LocalBackend) -> None:
    from mmviz.backends import wire

    sample = EXAMPLES["said"].sample()
    (request,) = effect_requests(Request("trio", sample), "noise")
    assert wire.request_from_bytes(wire.request_to_bytes(request)).sweep == request.sweep
    (record,) = backend.run([request])
    received = wire.record_from_bytes(wire.record_to_bytes(record))
    assert read_effect(sample, [received]) == read_effect(sample, [record])
