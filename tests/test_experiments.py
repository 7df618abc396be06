"""What the answer depends on, head by head and token by token: on paper, and on the bundled model."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from paper_model import HEADS, NUMBERS, Paper
from records import WHOLE

from mmviz.backends.local import LocalBackend
from mmviz.cli import main
from mmviz.experiments.faithfulness import STEPS, FaithfulnessCurves, curve_requests, removable_tokens
from mmviz.experiments.head_ablation import every_head, head_profiles, redundant_heads
from mmviz.experiments.modality_shapley import attention_shares, disagreements, effect_requests, read_effect, shapley
from mmviz.experiments.runs import (
    attributions,
    measure_faithfulness,
    measure_head_ablation,
    measure_modality_effect,
    modality_shares,
)
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

IMAGE, TEXT, AUDIO = INPUT_MODALITIES
PAPER = LocalBackend("cpu", {"paper": Paper()})
EXAMPLES = {example.id: example for example in load_gallery()}


def game(*values: float) -> dict[frozenset[Modality], float]:
    """A game by its values for no one, each alone, each pair, and all."""
    subsets = [frozenset(some) for size in range(4) for some in combinations(INPUT_MODALITIES, size)]
    return dict(zip(subsets, values, strict=True))


def test_shapley_values_of_games_known_on_paper() -> None:
    additive = game(1, 3, 2, 1, 4, 3, 2, 4)  # 2 for the picture, 1 for the text, 0 for the sound
    assert shapley(additive) == pytest.approx({IMAGE: 2, TEXT: 1, AUDIO: 0})
    both = game(0, 0, 0, 0, 6, 0, 0, 6)  # picture and text count together only
    assert shapley(both) == pytest.approx({IMAGE: 3, TEXT: 3, AUDIO: 0})
    majority = game(0, 0, 0, 0, 3, 3, 3, 3)
    assert shapley(majority) == pytest.approx({IMAGE: 1, TEXT: 1, AUDIO: 1})
    assert shapley({frozenset(): -2.0, frozenset({TEXT}): -0.5}) == {IMAGE: 0, TEXT: 1.5, AUDIO: 0}


def test_shapley_values_are_the_mean_over_all_orders_and_add_up() -> None:
    values = game(*np.random.default_rng(3).normal(0, 5, 8))
    found = shapley(values)
    for modality in INPUT_MODALITIES:
        steps = []
        for order in permutations(INPUT_MODALITIES):
            before = frozenset(order[: order.index(modality)])
            steps.append(values[before | {modality}] - values[before])
        assert found[modality] == pytest.approx(np.mean(steps))
    assert sum(found.values()) == pytest.approx(values[frozenset(INPUT_MODALITIES)] - values[frozenset()], abs=1e-12)


def _logistic(z: float) -> float:
    return -math.log1p(math.exp(-z))


def test_the_effect_of_a_model_known_on_paper() -> None:
    found = measure_modality_effect(PAPER, Request("paper", WHOLE))
    assert found is not None and found.answer == "yes"
    values = {kept: _logistic(sum(NUMBERS[one] for one in kept) + sum(HEADS)) for kept in map(frozenset, found.values)}
    assert found.values == pytest.approx(values, abs=1e-6)
    assert found.phi == pytest.approx(shapley(values), abs=1e-6)
    assert found.total == pytest.approx(_logistic(3) - _logistic(1), abs=1e-6)
    assert found.answers[frozenset({AUDIO})] == ("yes", pytest.approx(0.5, abs=1e-6))


def test_a_missing_modality_has_no_effect_and_is_not_asked_for() -> None:
    found = measure_modality_effect(PAPER, Request("paper", replace(WHOLE, audio=None)))
    assert found is not None and found.phi[AUDIO] == 0 and len(found.values) == 4
    assert len(effect_requests("paper", Sample(text="a"))[0].sweep) == 2


@pytest.mark.parametrize("absent", ["learned", "mean", "blur", "noise"])
def test_on_the_bundled_model_the_values_add_up_to_what_lone_runs_say(baseline: Any) -> None:
    sample = EXAMPLES["spoken-place"].sample()
    found = measure_modality_effect(LocalBackend("cpu"), Request("trio", sample), baseline)
    assert found is not None
    gone = tuple(DropModality(one) if baseline == "learned" else ReplaceInput(one, baseline) for one in INPUT_MODALITIES)
    full, none = (
        LocalBackend("cpu").run([Request("trio", sample, changes)])[0].answers for changes in ((), gone)
    )  # fmt: skip
    left = next(one.probability for one in none if one.label == full[0].label)
    expected = math.log(full[0].probability) - math.log(left)
    assert found.answer == full[0].label and found.total == pytest.approx(expected, abs=1e-5)
    assert sum(found.phi.values()) == pytest.approx(expected, abs=1e-5)


def test_a_run_tells_its_effect_and_so_do_summary_and_command(tmp_path: Path) -> None:
    example = EXAMPLES["heard"]
    run = run_sample(example.sample())
    found = run.effect()
    assert list(found) == ["image", "text", "audio", "total"]
    assert found["total"] == pytest.approx(found["image"] + found["text"] + found["audio"], abs=1e-9)
    assert found["audio"] == max(found[str(one)] for one in INPUT_MODALITIES)  # what was said is asked
    assert run.summary()["effect"] == pytest.approx(found)
    out = tmp_path / "run.json"
    assert main(["explain", "--image", str(example.image), "--text", example.question, "--audio", str(example.audio),
                 "--json", str(out)]) == 0  # fmt: skip
    assert json.loads(out.read_text())["effect"] == pytest.approx(found, abs=1e-6)


def test_a_run_that_cannot_be_made_again_says_so() -> None:
    run = run_sample(Sample(text="left both"), model="toy")
    assert run.summary()["effect"] is None  # the toy cannot do without its text
    with pytest.raises(MmvizError, match="text"):
        run.effect()
    strange = replace(run.record, made_by={**run.record.made_by, "model": "elsewhere"})
    with pytest.raises(MmvizError, match="cannot be measured"):
        Run(run.sample, strange).effect()
    stale = replace(run.record, made_by={**run.record.made_by, "weights": "0" * 64})
    with pytest.raises(MmvizError, match="cannot be measured"):
        Run(run.sample, stale).effect()


def test_attention_and_effect_that_disagree_are_told_apart() -> None:
    def shares(*values: float) -> dict[Modality, float]:
        return dict(zip(INPUT_MODALITIES, values, strict=True))

    assert disagreements(shares(0.5, 0.3, 0.2), shares(0.6, 0.2, 0.2)) == []
    (one,) = disagreements(shares(0.2, 0.2, 0.6), shares(0.5, 0.2, 0.3))
    assert (one.kind, one.modality, one.other) == ("most", AUDIO, IMAGE)
    (one,) = disagreements(shares(0.5, 0.5, 0.0), shares(0.02, 0.98, 0.0))
    assert (one.kind, one.modality) == ("ignored", IMAGE)
    (one,) = disagreements(shares(0.6, 0.37, 0.03), shares(0.5, 0.1, 0.4))
    assert (one.kind, one.modality) == ("silent", AUDIO)
    assert attention_shares({IMAGE: 0.2, AUDIO: 0.2, Modality.SPECIAL: 0.6}) == {IMAGE: 0.5, TEXT: 0, AUDIO: 0.5}
    assert attention_shares({Modality.SPECIAL: 1.0}) == dict.fromkeys(INPUT_MODALITIES, 0.0)


def test_switching_heads_off_on_paper_and_on_the_bundled_model() -> None:
    record = PAPER.run([Request("paper", WHOLE)])[0]
    assert every_head(record) == [(0, 0), (0, 1)]
    for one, head in zip(measure_head_ablation(PAPER, Request("paper", WHOLE), record), HEADS, strict=True):
        expected = _logistic(3 - head) - _logistic(3)
        assert one.effect == pytest.approx(expected, abs=1e-6) and one.answer == "yes"
        assert one.probability == pytest.approx(math.exp(_logistic(3 - head)), abs=1e-6)
    sample, backend = EXAMPLES["mask"].sample(), LocalBackend("cpu")
    record = backend.run([Request("trio", sample)])[0]
    found = measure_head_ablation(backend, Request("trio", sample), record)
    assert len(found) == 24
    worst = min(found, key=lambda one: one.effect)
    (lone,) = backend.run([Request("trio", sample, (AblateHead(worst.map, worst.head),))])
    assert (worst.answer, worst.probability) == (lone.answers[0].label, pytest.approx(lone.answers[0].probability))
    stopped = measure_head_ablation(backend, Request("trio", sample), record, stop=lambda: True)
    assert stopped == []


def _record(*maps: NDArray[Any]) -> AttentionRecord:
    tokens = (
        Token(Modality.SPECIAL, "answer"), Token(Modality.TEXT, "a", Chars(0, 1)), Token(Modality.TEXT, "b", Chars(2, 3)),
        *(Token(Modality.IMAGE, f"p{k}", PixelBox(k, 0, k + 1, 1)) for k in range(4)),
    )  # fmt: skip
    made = tuple(
        AttentionMap(f"m{k}", k, "t", "t", np.asarray(one, np.float32)[None] if np.ndim(one) == 2 else one)
        for k, one in enumerate(maps)
    )
    return AttentionRecord("id", {"t": tokens}, made, (Answer("yes", 1.0),), {})


def test_profiles_of_maps_known_on_paper() -> None:
    even, own = np.full((7, 7), 1 / 7, np.float32), np.eye(7, dtype=np.float32)
    drawn = np.full((7, 7), 0.2 / 6, np.float32)
    drawn[:, 5] = 0.8
    flat, still, sink = head_profiles(_record(even, own, drawn), 0)
    assert flat.entropy == pytest.approx(1) and flat.distance == pytest.approx(1) and flat.sinks == ()
    assert flat.given == pytest.approx({IMAGE: 4 / 7, TEXT: 2 / 7, Modality.SPECIAL: 1 / 7})
    assert still.entropy == pytest.approx(0) and still.distance == pytest.approx(0)
    assert still.given == {IMAGE: 0, TEXT: 0, Modality.SPECIAL: 1}
    assert sink.sinks == ((5, pytest.approx(0.8, abs=1e-6)),) and sink.registers == (5,)
    special = np.full((7, 7), 0.2 / 6, np.float32)
    special[:, 0] = 0.8
    (other,) = head_profiles(_record(special), 0)
    assert [key for key, _ in other.sinks] == [0] and other.registers == ()


def test_heads_that_look_at_the_same_are_twins() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.dirichlet(np.ones(7), 7), rng.dirichlet(np.ones(7) * 0.2, 7)
    near = one * 0.999 + 0.001 / 7
    found = redundant_heads(_record(np.stack([one, other]).astype(np.float32), near.astype(np.float32)))
    assert [pair[:2] for pair in found] == [((0, 0), (1, 0))] and found[0][2] < 0.02
    same = redundant_heads(_record(np.stack([other, other]).astype(np.float32)))
    assert same[0][2] == pytest.approx(0, abs=1e-6)
    apart = np.stack([np.eye(7), np.roll(np.eye(7), 1, axis=1)]).astype(np.float32)
    assert redundant_heads(_record(apart)) == []


class Weighing:
    """A backend whose answer is as probable as the weights of the tokens that are left add up to."""

    def __init__(self, weights: NDArray[np.float64], least: float = 0.0):
        self.weights, self.least = weights, least

    def run(self, requests: Sequence[Request], progress: Any = None, stop: Any = None) -> tuple[AttentionRecord, ...]:
        records = []
        for asked in requests:
            gone = [[token for change in one if isinstance(change, DropTokens) for token in change.tokens]
                    for one in asked.sweep]  # fmt: skip
            left = np.array([self.least + (1 - self.least) * (1 - self.weights[some].sum()) for some in gone])
            swept = np.log(np.maximum(np.stack([left, 1 - left], -1), 1e-12))
            records.append(replace(_record(np.eye(7)), answers=(Answer("yes", 1.0), Answer("no", 0.0)), sweep=swept))
        return tuple(records)


def test_curves_of_an_answer_that_depends_on_known_tokens() -> None:
    count = 30
    tokens = (Token(Modality.SPECIAL, "answer"), *(Token(TEXT, "w", Chars(k, k + 1)) for k in range(count)))
    eye = AttentionMap("m", 0, "t", "t", np.eye(count + 1, dtype=np.float32)[None])
    record = AttentionRecord("id", {"t": tokens}, (eye,), (Answer("yes", 1.0),), {})
    weights = np.r_[0, np.arange(count) ** 3.0]
    weights /= weights.sum()
    ways = {"true": weights, "false": -weights}
    found = measure_faithfulness(Weighing(weights), Request("paper", WHOLE), record, ways)  # type: ignore[arg-type]
    assert found is not None
    counts = [round(count * step / STEPS) for step in range(STEPS + 1)]
    order = np.sort(weights[1:])[::-1]
    assert found["true"].deletion == pytest.approx([1 - order[:count].sum() for count in counts])
    assert found["true"].insertion == pytest.approx([order[:count].sum() for count in counts])
    assert found["true"].random.shape == (10, STEPS + 1)
    assert found["true"].verdict == "yes" and found["false"].verdict == "no"
    assert found["true"].score > 0.2 and found["false"].score < -0.2
    low, mean, high = found["true"].band()
    assert (low <= mean).all() and (mean <= high).all() and low[0] == high[0] == 1 and low[-1] == high[-1] == 0
    inserted = found["true"].band(inserted=True)[1]
    assert inserted == pytest.approx(mean[::-1])


def test_an_answer_that_depends_on_nothing_has_nothing_to_test() -> None:
    record = _record(np.eye(7))
    weights = np.full(7, 1 / 7)
    found = measure_faithfulness(Weighing(weights, least=0.99), Request("paper", WHOLE), record, {"w": weights})  # type: ignore[arg-type]
    assert found is not None and found["w"].is_flat and found["w"].verdict == "flat" and found["w"].score == 0


def test_half_a_verdict_is_a_win_in_one_curve() -> None:
    steps = np.linspace(1, 0, STEPS + 1)
    random = np.stack([steps] * 3)
    early = np.r_[1, np.zeros(STEPS)]
    assert FaithfulnessCurves(early, 1 - steps, random, False).verdict == "half"
    assert FaithfulnessCurves(early, 1 - early, random, False).verdict == "yes"
    assert FaithfulnessCurves(steps, 1 - steps, random, False).verdict == "no"
    assert FaithfulnessCurves(steps, 1 - steps, random, False).score == pytest.approx(0)


def test_tokens_without_a_place_are_never_taken_away() -> None:
    tokens = _record(np.eye(7)).streams["t"]
    assert removable_tokens(tokens) == [1, 2, 3, 4, 5, 6]
    for asked in curve_requests("trio", WHOLE, tokens, {"w": np.arange(7.0)}):
        assert not any(0 in change.tokens for one in asked.sweep for change in one if isinstance(change, DropTokens))
    (some, *_) = curve_requests("trio", WHOLE, tokens, {"w": np.arange(7.0)}, "blur")
    assert all(isinstance(change, ReplaceInput) and change.fill == "blur" for one in some.sweep for change in one)


def test_six_ways_of_looking_on_the_bundled_model_and_what_they_test_as() -> None:
    sample, backend = EXAMPLES["mask"].sample(), LocalBackend("cpu")
    request = Request("trio", sample, relevance=True, norms=True, integrated=True)
    (record,) = backend.run([request])
    ways = attributions(record, MapRef("attention", 4, 1))
    assert list(ways) == ["4:1", "5:mean", "value", "rollout", "relevance", "integrated"]
    assert all(found.shape == (len(record.streams["tokens"]),) for found in ways.values())
    assert ways["value"].sum() == pytest.approx(1) and ways["4:1"].sum() == pytest.approx(1, abs=1e-5)
    told: list[tuple[int, int]] = []
    curves = measure_faithfulness(backend, request, record, ways, progress=lambda done, of: told.append((done, of)))
    assert curves is not None and list(curves) == list(ways)
    assert [done for done, _ in told] == list(range(1, told[0][1] + 1)) and told[0][1] > 1
    best = max(curves.values(), key=lambda one: one.score)
    assert best.verdict in ("yes", "half") and best.score > 0.1
    assert measure_faithfulness(backend, request, record, ways, stop=lambda: True) is None


def test_shares_of_attention_are_those_of_the_answer_token() -> None:
    run = run_sample(EXAMPLES["heard"].sample())
    amounts = run.attention(MapRef("attention", 2))
    expected = [
        sum(float(amount) for token, amount in zip(run.tokens, amounts, strict=True) if token.modality is one)
        for one in INPUT_MODALITIES
    ]
    found = modality_shares(run.record, MapRef("attention", 2))
    assert [found[one] for one in INPUT_MODALITIES] == pytest.approx(np.array(expected) / sum(expected))


def test_effects_can_be_read_of_what_came_over_the_wire() -> None:
    from mmviz.backends import wire

    sample = EXAMPLES["said"].sample()
    (asked,) = effect_requests("trio", sample, "noise")
    assert wire.request_from_bytes(wire.request_to_bytes(asked)).sweep == asked.sweep
    (record,) = LocalBackend("cpu").run([asked])
    back = wire.record_from_bytes(wire.record_to_bytes(record))
    assert read_effect(sample, [back]) == read_effect(sample, [record])
