"""The figures of evaluation on models whose score is known: a perfect model and one that always says yes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from made_up_tokens import Voices

from mmviz.backends import ignore_progress, never_stop
from mmviz.models.encoders.picture_encoder import PATCHES, SIDE, STRIDE
from mmviz.models.question_templates import FAMILIES, NEEDS
from mmviz.training.evaluate import choose_maps, measure_model
from mmviz.training.evaluate.evaluation_cases import Case, cases
from mmviz.training.evaluate.metrics import accuracy, pointing, targets
from mmviz.training.world.examples import World
from mmviz.types import (
    Answer,
    AttentionMap,
    AttentionRecord,
    Card,
    DropTokens,
    Modality,
    PixelBox,
    Request,
    Seconds,
    Token,
)  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.long]

SEED, COUNT = 77, 8


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
            Token(Modality.IMAGE, "patch", PixelBox(x * STRIDE, y * STRIDE, x * STRIDE + STRIDE, y * STRIDE + STRIDE))
            for y in range(PATCHES) for x in range(PATCHES)
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
        x, y = (token.location.x0 + STRIDE / 2) / SIDE, (token.location.y0 + STRIDE / 2) / SIDE
        return float(any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in targets(case)[0]))
    assert isinstance(token.location, Seconds)
    return float(case.example.sound.start <= token.location.start + 0.04 <= case.example.sound.end)


def attend_elsewhere(case: Case, token: Token) -> float:
    if isinstance(token.location, PixelBox):
        x, y = token.location.x0 + STRIDE / 2, token.location.y0 + STRIDE / 2
        boxes = [[edge * SIDE for edge in box] for box in targets(case)[0]]
        return min((max(b[0] - x, x - b[2], b[1] - y, y - b[3], 0) for b in boxes), default=0.0)
    middle = token.location.start + 0.04  # type: ignore[union-attr]
    return max(case.example.sound.start - middle, middle - case.example.sound.end, 0)


def test_a_perfect_model_scores_one(world: World) -> None:
    by_family = accuracy(KnownBackend(world, False, attend_to_truth, True), "known", world, SEED, COUNT)
    assert all(score.rate == 1 and score.trials == COUNT for score, _ in by_family.values())
    table = pointing(
        KnownBackend(world, True, attend_to_truth, True), "known", world, SEED, COUNT, ["0:mean", "relevance"]
    )
    for map_ref in ("0:mean", "relevance"):
        assert table[map_ref].total("image").rate == 1 and table[map_ref].total("audio").rate == 1
        assert table[map_ref].answered.keys() == table[map_ref].image.keys()
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
    table = pointing(KnownBackend(world, True, attend_elsewhere, True), "known", world, SEED, COUNT, ["0:mean"])
    assert table["0:mean"].total("image").rate < 0.1 and table["0:mean"].total("audio").rate < 0.1
    assert 0.2 < table["0:mean"].total("image").chance_rate < 0.9


def attend_to_anchor(case: Case, token: Token) -> float:
    """Attends to the thing that a relation starts from, which the question names; elsewhere to the truth."""
    answered, _ = targets(case, only_answered=True)
    others = [box for box in targets(case)[0] if box not in answered] or answered
    if not isinstance(token.location, PixelBox):
        return 0
    x, y = (token.location.x0 + STRIDE / 2) / SIDE, (token.location.y0 + STRIDE / 2) / SIDE
    return float(any(x0 <= x <= x1 and y0 <= y <= y1 for x0, y0, x1, y1 in others))


def test_pointing_at_another_object_of_the_question_is_not_pointing_at_the_one_answered(world: World) -> None:
    table = pointing(KnownBackend(world, True, attend_to_anchor, True), "known", world, SEED, COUNT, ["0:mean"])
    scores = table["0:mean"]
    for family in ("rel", "relheard"):
        assert scores.image[family].rate == 1 and scores.answered[family].rate < 0.7
        assert scores.answered[family].chance < scores.image[family].chance
    assert scores.answered["there"].rate == scores.image["there"].rate == 1
    assert scores.total("answered").rate < scores.total("image").rate == 1


class AdditiveBackend(KnownBackend):
    """A backend whose answer has the share of the true tokens that are kept as its probability.

    Its first map attends to them, its second away from them, and gradient relevance is uniform.
    """

    def _record(self, request: Request) -> AttentionRecord:
        record = super()._record(request)
        truth = record.maps[0].weights[0, 0].astype(np.float64)
        rows = [truth, (1 - truth) / (1 - truth).sum()]
        maps = tuple(
            replace(
                record.maps[0], layer=layer, weights=np.repeat(row.astype(np.float32)[None, None], len(row), axis=1)
            )
            for layer, row in enumerate(rows)
        )
        kept = [1 - truth[[*change.tokens]].sum() for (change,) in request.sweep if isinstance(change, DropTokens)]
        p = np.clip(np.array(kept), 1e-9, 1)
        return replace(
            record, maps=maps, relevance=np.full((len(truth),) * 2, 1 / len(truth), np.float32),
            sweep=np.log(np.stack([p, 1 - p + 1e-12], -1)), answers=(Answer("yes", 1.0), Answer("no", 0.0)),
        )  # fmt: skip


def test_the_most_faithful_method_is_chosen_on_other_examples(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = AdditiveBackend(world, True, attend_to_truth, True)
    monkeypatch.setattr(choose_maps, "worlds", lambda: {"unseen scenes": world})
    monkeypatch.setattr(choose_maps, "CHOOSING_SEED", SEED)
    ticks: list[str] = []
    choice = choose_maps.choose(backend, "known", COUNT, ticks.append)
    assert choice["depends_on"] == choice["map_ref"] == "0:mean" == next(iter(choice["scores"]))
    assert len(ticks) == choose_maps.count_runs(COUNT) and choice["seed"] == SEED != measure_model.SEED
    assert [*choice["scores"]][-1] == "1:mean" and {*choice["scores"]} == {"0:mean", "1:mean", "rollout", "relevance"}
    best = choice["scores"]["0:mean"]
    for modality, families in (("image", {"name", "rel", "seen"}), ("audio", {"heard", "seen", "relheard"})):
        assert families <= best[modality].keys()
        assert all(modality in NEEDS[family] for family in best[modality])
        assert all(score > 0.2 for score in best[modality].values()), best[modality]
    assert choose_maps.mean_score({"image": {"a": 1.0, "b": 0.0}, "audio": {"c": 0.2}}) == pytest.approx(0.35)
    table = choose_maps.markdown(choice)
    assert "| 0:mean (reads from, depends on) |" in table and "| 1:mean |" in table and f"seed {SEED}" in table


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
    families = {"answered": {"rel": 0.6}, "image": {"name": 0.5, "mask": 0.25, "rel": 0.75}, "audio": {"heard": 1.0}}
    row = {
        "answered": 0.66, "answered chance": 0.25, "image": 0.71, "image chance": 0.31, "audio": 0.93,
        "audio chance": 0.2, "families": families,
    }  # fmt: skip
    result = {
        "count": 9, "seed": 1, "machine": "a machine", "map_ref": "5:mean", "depends_on": "relevance",
        "pointing": {"5:mean": row, "relevance": {**row, "answered": 0.88}, "rollout": row},
        "loudest frame": {"audio": 0.44}, "shuffled": {**row, "spearman": 0.11, "image": 0.3},
        "milliseconds": {"prepare": 3.2, "model": 41.4, "capture": 6.0},
        "accuracy": {"unseen scenes": {family: {"accuracy": 0.8, "majority": 0.5} for family in FAMILIES}},
        "effect": {"name": {"unneeded": "audio", "rate": 0.95, "shares": {"image": 0.6, "text": 0.35, "audio": 0.05}}},
    }  # fmt: skip
    printed = measure_model.markdown(result)
    assert "| heard | 0.50 | 0.80 |" in printed
    assert "| 5:mean (reads from) | 0.66 | 0.71 | 0.93 | 0.50 | 0.25 |" in printed
    assert "| relevance (depends on) | 0.88 | 0.71 | 0.93 | 0.50 | 0.25 |" in printed
    assert "| chance | 0.25 | 0.31 | 0.20 | | |" in printed and "| relevance, shuffled weights |" in printed
    assert printed.count("| rel | 0.60 | 0.75 |  |") == 2 and "pointing by family: 5:mean (reads from)" in printed
    assert "takes 41 ms" in printed and "takes 3 ms before it" in printed and "6 ms after it" in printed
    assert "| name | audio | 0.95 | 0.60 | 0.35 | 0.05 |" in printed
    assert "| loudest frame | | | 0.44 |" in printed and "|Spearman| = 0.11" in printed
