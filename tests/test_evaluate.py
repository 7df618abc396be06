"""The figures of evaluation on models whose score is known: a perfect model and one that always says yes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from made_up_tokens import Voices

from mmviz.backends import ignore_progress, never_stop
from mmviz.models.question_templates import FAMILIES
from mmviz.training.evaluate import measure_model
from mmviz.training.evaluate.metrics import Case, accuracy, cases, pointing, targets
from mmviz.training.world.examples import World
from mmviz.types import (
    Answer,
    AttentionMap,
    AttentionRecord,
    Card,
    MapRef,
    Modality,
    PixelBox,
    Request,
    Seconds,
    Token,
)  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.long]

SEED, COUNT = 77, 8
MEAN = MapRef("attention", 0)


@pytest.fixture(scope="module")
def world() -> World:
    return World(("noto",), Voices())  # type: ignore[arg-type]


class KnownBackend:
    """A backend that answers yes, or the truth; the weight of a token is given by ``attend``."""

    def __init__(self, world: World, busy: bool, attend: Callable[[Case, Token], float], truth: bool):
        self.attend, self.truth = attend, truth
        all_cases = [case for family in FAMILIES for case in cases(world, SEED, family, COUNT, busy)]
        self.cases = {(case.sample.text, case.sample.image.pixels.tobytes()): case for case in all_cases}  # type: ignore[union-attr]

    def models(self) -> tuple[Card, ...]:
        return ()

    def run(
        self, requests: Sequence[Request], progress: object = ignore_progress, stop: object = never_stop
    ) -> tuple[AttentionRecord, ...]:
        return tuple(self._record(request) for request in requests)

    def _record(self, request: Request) -> AttentionRecord:
        sample = request.sample
        case = self.cases[sample.text, sample.image.pixels.tobytes()]  # type: ignore[union-attr]
        patches = [
            Token(Modality.IMAGE, "patch", PixelBox(x * 16, y * 16, x * 16 + 16, y * 16 + 16))
            for y in range(10) for x in range(10)
        ]  # fmt: skip
        frames = [
            Token(Modality.AUDIO, "frame", Seconds(k * 0.08, k * 0.08 + 0.08))
            for k in range(int(case.sample.audio.seconds / 0.08))
        ]  # type: ignore[union-attr]
        tokens = (Token(Modality.SPECIAL, "answer"), *patches, *frames)
        amounts = np.array([0.0, *(1e-6 + self.attend(case, token) for token in tokens[1:])])
        row = (amounts / amounts.sum()).astype(np.float32)
        weights = np.repeat(row[None, None], len(tokens), axis=1)
        answer = case.question.answer if self.truth else "yes"
        attn_map = AttentionMap("attention", 0, "tokens", "tokens", weights)
        return AttentionRecord("id", {"tokens": tokens}, (attn_map,), (Answer(answer, 1.0),), {}, relevance=weights[0])


def attend_to_truth(case: Case, token: Token) -> float:
    if isinstance(token.location, PixelBox):
        x, y = (token.location.x0 + 8) / 160, (token.location.y0 + 8) / 160
        return float(any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in targets(case)[0]))
    assert isinstance(token.location, Seconds)
    return float(case.example.sound.start <= token.location.start + 0.04 <= case.example.sound.end)


def attend_elsewhere(case: Case, token: Token) -> float:
    if isinstance(token.location, PixelBox):
        x, y = token.location.x0 + 8, token.location.y0 + 8
        boxes = [[edge * 160 for edge in box] for box in targets(case)[0]]
        return min((max(b[0] - x, x - b[2], b[1] - y, y - b[3], 0) for b in boxes), default=0.0)
    middle = token.location.start + 0.04  # type: ignore[union-attr]
    return max(case.example.sound.start - middle, middle - case.example.sound.end, 0)


def test_a_perfect_model_scores_one(world: World) -> None:
    by_family = accuracy(KnownBackend(world, False, attend_to_truth, True), "known", world, SEED, COUNT)
    assert all(score.rate == 1 and score.trials == COUNT for score, _ in by_family.values())
    table = pointing(
        KnownBackend(world, True, attend_to_truth, True), "known", world, SEED, COUNT, [MEAN, MapRef("relevance")]
    )
    for map_ref in ("0:mean", "relevance"):
        assert table[map_ref].total("image").rate == 1 and table[map_ref].total("audio").rate == 1
        assert set(table[map_ref].image) == {"name", "there", "seen", "count", "rel", "relheard", "mask", "caption"}
        assert set(table[map_ref].audio) == {"heard", "said", "seen", "relheard"}
    assert table["loudest frame"].total("audio").rate < 0.95


def test_a_model_that_always_says_yes_scores_the_share_of_yes(world: World) -> None:
    by_family = accuracy(
        KnownBackend(world, False, attend_to_truth, False), "known", world, SEED, COUNT, ["there", "heard"]
    )
    truths = [case.question.answer for case in cases(world, SEED, "there", COUNT, False)]
    assert by_family["there"][0].rate == truths.count("yes") / COUNT
    assert by_family["there"][1] == max(truths.count("yes"), truths.count("no")) / COUNT
    assert by_family["heard"][0].rate == 0


def test_attention_elsewhere_does_not_point(world: World) -> None:
    table = pointing(KnownBackend(world, True, attend_elsewhere, True), "known", world, SEED, COUNT, [MEAN])
    assert table["0:mean"].total("image").rate < 0.1 and table["0:mean"].total("audio").rate < 0.1
    assert 0.2 < table["0:mean"].total("image").chance_rate < 0.9


def test_pointing_is_measured_in_crowded_scenes(world: World) -> None:
    for family in ("there", "seen", "rel", "count"):
        assert all(len(case.example.scene.things) >= 3 for case in cases(world, SEED, family, 5, busy=True))
    assert all(len(case.example.scene.things) == 1 for case in cases(world, SEED, "name", 5, busy=True))
    assert all(case.example.sound.busy for case in cases(world, SEED, "heard", 5, busy=True))


def test_the_time_of_a_call_is_the_median_after_the_first_ones(world: World) -> None:
    class Slowing(KnownBackend):
        calls = 0

        def _record(self, request: Request) -> AttentionRecord:
            self.calls += 1
            first = self.calls <= measure_model.WARM_UP
            return replace(super()._record(request), made_by={"milliseconds": {"model": 1e6 if first else self.calls}})

    backend = Slowing(world, busy=True, attend=attend_to_truth, truth=True)
    backend.cases |= {
        (case.sample.text, case.sample.image.pixels.tobytes()): case  # type: ignore[union-attr]
        for case in cases(world, measure_model.SEED, "relheard", 1, busy=True)
    }
    middle = measure_model.WARM_UP + (1 + measure_model.TIMED) / 2
    assert measure_model.milliseconds(backend, "any", world) == {"model": middle}
    assert backend.calls == measure_model.WARM_UP + measure_model.TIMED


def test_the_tables_print_what_was_measured() -> None:
    families = {"image": {"name": 0.5, "mask": 0.25, "there": 0.75}, "audio": {"heard": 1.0}}
    row = {"image": 0.71, "image chance": 0.31, "audio": 0.93, "audio chance": 0.2, "families": families}
    result = {
        "count": 9, "seed": 1, "machine": "a machine", "map_ref": "5:mean", "pointing": {"5:mean": row, "rollout": row},
        "loudest frame": {"audio": 0.44}, "shuffled": {**row, "spearman": 0.11, "image": 0.3},
        "milliseconds": {"prepare": 3.2, "model": 41.4, "capture": 6.0},
        "accuracy": {"unseen scenes": {family: {"accuracy": 0.8, "majority": 0.5} for family in FAMILIES}},
        "effect": {"name": {"unneeded": "audio", "rate": 0.95, "shares": {"image": 0.6, "text": 0.35, "audio": 0.05}}},
    }  # fmt: skip
    printed = measure_model.markdown(result)
    assert "| heard | 0.50 | 0.80 |" in printed and "| 5:mean (chosen) | 0.71 | 0.93 | 0.50 | 0.25 |" in printed
    assert "takes 41 ms" in printed and "takes 3 ms before it" in printed and "6 ms after it" in printed
    assert "| name | audio | 0.95 | 0.60 | 0.35 | 0.05 |" in printed
    assert "| loudest frame | | 0.44 |" in printed and "|Spearman| = 0.11" in printed
