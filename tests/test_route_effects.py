"""The routes that an answer needs, by family: shares worked out by hand, and models whose drops are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from carried_model import carried
from made_up_tokens import Voices

from mmviz.backends import ignore_progress, never_stop
from mmviz.backends.local import LocalBackend
from mmviz.experiments.route_cut import ways_out
from mmviz.inputs import make_sample
from mmviz.models.question_templates import FAMILIES, NEEDS
from mmviz.training.evaluate import route_effects
from mmviz.training.evaluate.evaluation_cases import cases
from mmviz.training.evaluate.route_effects import (
    EVEN,
    balanced_share,
    drops_by_family,
    markdown,
    measure,
    read_drops,
    score,
    totals,
)
from mmviz.training.world.examples import World
from mmviz.types import INPUT_MODALITIES, Answer, AttentionRecord, Card, Modality, Request, ShuffleWeights

IMAGE, TEXT, AUDIO, _ = Modality
SEED, COUNT = 77, 2


def test_shares_worked_out_by_hand() -> None:
    examples = [
        {IMAGE: 3.0, TEXT: 5.0, AUDIO: 0.5},  # audio has 1/17 of all, 1/7 without the text
        {IMAGE: -2.0, TEXT: 1.0, AUDIO: -1.0},  # 1/4, 1/3: a drop below 0 counts by its size, and moves nothing
        {IMAGE: 9.0, TEXT: 0.05, AUDIO: 0.05},  # below 0.1 nat
        {IMAGE: 4.0, TEXT: 4.0, AUDIO: 2.0},  # exactly 0.8 and 0.2
    ]
    of_rel = score("rel", examples)
    assert of_rel.needed == ("image", "text") and of_rel.examples == 4
    assert (of_rel.needed_rate, of_rel.idle_rate, of_rel.beside_text_rate) == (0.75, 0.5, 0.25)
    assert of_rel.moved_rate == 0.5
    assert of_rel.needed_share == pytest.approx((16 / 17 + 3 / 4 + 9.05 / 9.1 + 0.8) / 4)
    assert of_rel.drops == pytest.approx({"image": 3.5, "text": 2.5125, "audio": 0.3875})
    of_heard = score("heard", examples)
    assert of_heard.needed == ("text", "audio") and of_heard.needed_rate == 0
    of_seen = score("seen", examples)
    assert (of_seen.needed_rate, of_seen.needed_share) == (1, 1), "all three are needed"
    assert of_seen.idle_rate is None and of_seen.beside_text_rate is None
    assert of_seen.moved_rate == 0.5
    nothing = score("rel", [dict.fromkeys(INPUT_MODALITIES, 0.0)])
    assert nothing.needed_share == pytest.approx(2 / 3) and nothing.idle_rate == 0
    scores = {"rel": {**vars(of_rel), "needed_share": 0.9}, "name": {**vars(of_rel), "needed_share": 0.7}}
    assert balanced_share({**scores, "heard": {**vars(of_heard), "needed_share": 0.2}, "seen": vars(of_seen)}) == 0.5
    rates = totals({"rel": vars(of_rel), "seen": vars(score("seen", examples[:1]))})
    assert rates["needed_rate"] == pytest.approx((0.75 * 4 + 1) / 5) and rates["idle_rate"] == 0.5


def test_drops_are_those_of_the_planted_way_through_the_words() -> None:
    sweep = tuple(ways_out(modality) for modality in INPUT_MODALITIES)
    backend = LocalBackend("cpu", {"carried": carried()})
    (record,) = backend.run([Request("carried", make_sample(text="x"), maps=False, sweep=sweep)])
    lost = math.log(2) - math.log(1 + math.exp(-1))
    assert read_drops(record) == pytest.approx({IMAGE: lost, TEXT: lost, AUDIO: 0.0}, abs=1e-5)


@pytest.fixture(scope="module")
def world() -> World:
    voices = Voices()
    voices.engines = {"tone": ["tone"]}  # type: ignore[attr-defined]
    return World(("noto",), voices)  # type: ignore[arg-type]


class NeedsWhatIsNeeded:
    """A backend that answers rightly but for ``wrong``. A cut costs 2 nats where the question needs the modality and
    0.1 elsewhere; with shuffled weights 1 nat, whatever is cut."""

    def __init__(self, world: World, wrong: Sequence[str] = ()):
        self.wrong = wrong
        self.cases = {
            (case.sample.text, case.sample.image.pixels.tobytes()): case  # type: ignore[union-attr]
            for family in FAMILIES for case in cases(world, SEED, family, route_effects.LEAST_SHUFFLED, busy=False)
        }  # fmt: skip
        self.requests: list[Request] = []

    def models(self) -> tuple[Card, ...]:
        return ()

    def run(
        self, requests: Sequence[Request], progress: object = ignore_progress, stop: object = never_stop
    ) -> tuple[AttentionRecord, ...]:
        self.requests += requests
        return tuple(self._record(request) for request in requests)

    def _record(self, request: Request) -> AttentionRecord:
        question = self.cases[request.sample.text, request.sample.image.pixels.tobytes()].question  # type: ignore[union-attr]
        needed = ("text", *NEEDS[question.family])
        is_shuffled = any(isinstance(change, ShuffleWeights) for change in request.changes)
        rows = []
        for (cut, *_), modality in zip(request.sweep, INPUT_MODALITIES, strict=True):
            assert cut.keys is modality  # type: ignore[union-attr]
            drop = 1.0 if is_shuffled else 2.0 if str(modality) in needed else 0.1
            rows.append([math.log(0.5) - drop, math.log(0.5)])
        label = "?" if question.family in self.wrong else question.answer
        answers = (Answer(label, 0.5), Answer("other", 0.5))
        return AttentionRecord("id", {}, (), answers, {}, sweep=np.array(rows))


@pytest.mark.long
@pytest.mark.slow
def test_a_model_that_needs_what_is_needed_scores_one_and_shuffled_weights_are_even(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route_effects, "worlds", lambda: {"unseen scenes": world})
    monkeypatch.setattr(route_effects, "SEED", SEED)
    monkeypatch.setattr(route_effects, "LEAST_SHUFFLED", 2)
    ticks: list[str] = []
    backend = NeedsWhatIsNeeded(world, wrong=["rel"])
    result = measure(backend, "known", COUNT, ticks.append)
    assert len(ticks) == len(backend.requests) == route_effects.count_runs(COUNT)
    assert {request.changes for request in backend.requests} == {
        (), *((ShuffleWeights(seed),) for seed in route_effects.SHUFFLES)
    }  # fmt: skip
    assert not any(request.maps for request in backend.requests)
    assert result["families"].keys() == set(FAMILIES) - {"rel"}, "only examples that are answered rightly count"
    for family, row in result["families"].items():
        assert (row["examples"], row["needed_rate"], row["moved_rate"]) == (COUNT, 1, 1)
        has_idle = len(NEEDS[family]) == 1
        assert row["idle_rate"] == row["beside_text_rate"] == (1 if has_idle else None)
        assert row["needed_share"] == pytest.approx(4 / 4.1 if has_idle else 1)
        control = result["shuffled"][family]
        assert control["examples"] == 3 * route_effects.fewest(COUNT)
        assert control["needed_share"] == pytest.approx(len(row["needed"]) / 3)
    assert balanced_share(result["shuffled"]) == pytest.approx(EVEN)
    table = markdown(result)
    assert f"{COUNT} examples a family, seed {SEED}" in table and "voices of tone" in table
    assert "| heard | image | 2 | 1.00 | 1.00 | 1.00 | 1.00 | 0.10 | 2.00 | 2.00 | 0.98 | 0.67 | 0.67 |" in table
    assert "| seen | – | 2 | 1.00 | – | – | 1.00 | 2.00 | 2.00 | 2.00 | 1.00 | 1.00 | 1.00 |" in table
    assert "| **all** | | 20 | **1.00** | **1.00** | **1.00** | **1.00** |  |  |  | 0.98 | 0.67 | 0.67 |" in table
    assert "| rel |" not in table


@pytest.mark.long
@pytest.mark.slow
def test_the_drop_of_an_answer_that_a_cut_makes_more_probable_is_below_0(world: World) -> None:
    class Gains(NeedsWhatIsNeeded):
        def _record(self, request: Request) -> AttentionRecord:
            record = super()._record(request)
            return replace(record, sweep=np.log([[0.9, 0.1]] * 3))

    by_family = drops_by_family(Gains(world), "known", world, SEED, 1, (), lambda _: None)
    assert by_family["rel"] == [dict.fromkeys(INPUT_MODALITIES, pytest.approx(math.log(0.5 / 0.9)))]
