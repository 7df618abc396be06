"""Audits: the figures on effects worked out by hand, how examples are evaluated, and the report."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from records import record, trio

from mmviz.backends import Progress, Stop, ignore_progress, never_stop
from mmviz.experiments.audit import (
    Assessment,
    Finding,
    decides,
    evaluate_examples,
    findings,
    is_ignored,
    is_overruled,
    modality_use,
)
from mmviz.experiments.modality_shapley import Effect, coalitions, shapley
from mmviz.i18n.audit import audit_words
from mmviz.inputs.examples import Example
from mmviz.report.audit_report import Audit, meanings, reasons, rows, sentences, summary, table, to_csv, to_json
from mmviz.types import Answer, AttentionRecord, Card, MmvizError, Modality, Request

LETTERS = {"i": Modality.IMAGE, "t": Modality.TEXT, "a": Modality.AUDIO}
IMAGE, TEXT, AUDIO = LETTERS.values()


def effect_of(answers: Mapping[str, tuple[str, float]], modalities: str = "ita", rest: float = 0.1) -> Effect:
    """An `Effect` from the model's answer with some modalities, by their letters ("" for all that are not named).

    The probability of the final answer is that of the pair where it is the answer, else ``rest``.
    """
    subsets = coalitions([LETTERS[letter] for letter in modalities])
    named = {frozenset(LETTERS[letter] for letter in key): value for key, value in answers.items()}
    answer_with = {kept: named.get(kept, answers[""]) for kept in subsets}
    answer = answer_with[frozenset(LETTERS[letter] for letter in modalities)][0]
    values = {kept: math.log(p if label == answer else rest) for kept, (label, p) in answer_with.items()}
    return Effect(answer, values, answer_with, shapley(values))


TEXT_ALONE = effect_of(
    {"": ("no", 0.8), "t": ("yes", 0.9), "it": ("yes", 0.9), "ta": ("yes", 0.9), "ita": ("yes", 0.9)}
)
BOTH = effect_of({"": ("dog", 0.6), "ia": ("cat", 0.9), "ita": ("cat", 0.9)})
EITHER = effect_of({"": ("cat", 0.9), "t": ("dog", 0.6)})
AUDIO_WINS = effect_of({"": ("cat", 0.9), "it": ("dog", 0.7), "i": ("dog", 0.7), "t": ("dog", 0.4)})
PAIR = effect_of({"": ("no", 0.8), "t": ("yes", 0.9), "it": ("yes", 0.9)}, modalities="it")
SHARES = {IMAGE: 0.6, TEXT: 0.1, AUDIO: 0.3}


def roles(effect: Effect) -> dict[str, str]:
    """For each modality the first letters of what is true of it: d(ecides), i(gnored), o(verruled)."""
    tests = {"d": decides, "i": is_ignored, "o": is_overruled}
    return {
        letter: "".join(name for name, test in tests.items() if test(effect, modality))
        for letter, modality in LETTERS.items()
    }


def test_if_text_alone_decides_the_others_are_ignored() -> None:
    """With text log 0.9, without it log 0.1, whatever else is kept: phi is log 9 for the text and 0 for the others."""
    assert TEXT_ALONE.phi == pytest.approx({IMAGE: 0, TEXT: math.log(9), AUDIO: 0})
    assert TEXT_ALONE.shares == pytest.approx({IMAGE: 0, TEXT: 1, AUDIO: 0})
    assert roles(TEXT_ALONE) == {"i": "i", "t": "d", "a": "i"}


def test_if_two_count_only_together_both_decide() -> None:
    """As in an exclusive or, the second of the two adds log 9, so each has half of it. The text alone, and with one of
    the two, gives dog with 0.6, so that all three are overruled by the cat."""
    assert BOTH.phi == pytest.approx({IMAGE: math.log(9) / 2, TEXT: 0, AUDIO: math.log(9) / 2})
    assert roles(BOTH) == {"i": "do", "t": "io", "a": "do"}
    unsure = effect_of({"": ("dog", 0.49), "ia": ("cat", 0.9), "ita": ("cat", 0.9)})
    assert roles(unsure) == {"i": "d", "t": "i", "a": "d"}, "an unsure answer is not overruled"


def test_if_either_is_enough_none_decides_and_none_is_ignored() -> None:
    """The answer is cat unless text is alone: ``v = log 0.1`` for t, else log 0.9. Of the orders of three, text loses
    log 9 if it comes first, and the second modality then adds it: phi is -1/3, +1/6 and +1/6 of log 9."""
    log_9 = math.log(9)
    assert EITHER.phi == pytest.approx({IMAGE: log_9 / 6, TEXT: -log_9 / 3, AUDIO: log_9 / 6})
    assert EITHER.shares == pytest.approx({IMAGE: 0.25, TEXT: 0.5, AUDIO: 0.25})
    assert roles(EITHER) == {"i": "", "t": "o", "a": ""}


def test_an_image_that_speaks_for_another_answer_is_overruled() -> None:
    assert roles(AUDIO_WINS) == {"i": "o", "t": "", "a": "d"}, "the text alone is too unsure to be overruled"


def test_a_small_share_is_not_ignored_if_it_changes_the_answer() -> None:
    close = effect_of({"": ("cat", 0.501), "it": ("dog", 0.5), "ita": ("cat", 0.501)}, rest=0.4999)
    assert close.shares[AUDIO] > 0.05 and decides(close, AUDIO)
    small = replace(close, phi={IMAGE: 1.0, TEXT: 1.0, AUDIO: 0.01})
    assert small.shares[AUDIO] < 0.05 and not is_ignored(small, AUDIO)


def test_a_modality_that_an_example_lacks_is_not_counted() -> None:
    assert not decides(PAIR, AUDIO) and not is_overruled(PAIR, AUDIO)
    assert not is_overruled(PAIR, IMAGE), "with the text it is everything"
    text_overruled = effect_of({"": ("no", 0.8), "it": ("yes", 0.9)}, modalities="it")
    assert is_overruled(text_overruled, TEXT) and not is_overruled(text_overruled, AUDIO)
    image, text, audio = modality_use(
        [Assessment("a", PAIR, None), Assessment("b", TEXT_ALONE, {IMAGE: 0.5, TEXT: 0.3, AUDIO: 0.2})]
    )
    assert (image.present, text.present, audio.present) == (2, 2, 1)
    assert audio.attention == 0.2 and audio.effect == 0 and audio.ignored == 1
    assert image.attention == 0.5, "the mean of the known shares"


def test_counts_and_means_over_examples() -> None:
    effects = [TEXT_ALONE, BOTH, AUDIO_WINS, AUDIO_WINS]
    image, text, audio = modality_use([Assessment(str(k), effect, SHARES) for k, effect in enumerate(effects)])
    assert (image.decides, image.ignored, image.overruled) == (1, 1, 3)
    assert (text.decides, text.ignored, text.overruled) == (1, 1, 1)
    assert (audio.decides, audio.ignored, audio.overruled) == (3, 1, 1)
    assert image.effect == pytest.approx((0 + 0.5 + 2 * AUDIO_WINS.shares[IMAGE]) / 4)
    assert audio.attention == pytest.approx(0.3)
    for use in modality_use([]):
        assert use.present == 0 and use.effect is use.attention is None


def test_of_a_text_that_was_written_it_is_not_told_whether_it_changes() -> None:
    """All other texts together are more probable, with the modality and without it."""
    written = replace(TEXT_ALONE, changed=frozenset(TEXT_ALONE.values))
    assert not written.tells_changes and TEXT_ALONE.tells_changes
    assert roles(written) == {"i": "", "t": "", "a": ""}
    image, text, _ = modality_use([Assessment("a", written, None), Assessment("b", TEXT_ALONE, None)])
    assert (image.present, image.told, image.ignored, text.decides) == (2, 1, 1, 1)
    alone = audit_of(assessments=[Assessment("a", written, SHARES)])
    assert kinds(findings(alone.assessments)) == [("unused", IMAGE), ("unused", AUDIO)], "shares can be compared"
    assert [text for text, _ in table(alone)[0][1]] == ["1 (100 %)", "–", "–", "–", "0.00", "0.60"]
    (row,) = rows(alone)
    assert [row["text"][flag] for flag in ("decides", "ignored", "overruled")] == [None] * 3
    assert audit_words("untold", count=1, of=1) in summary(alone)
    assert sentences(audit_of(assessments=[Assessment("a", written, None)])) == []


def kinds(results: Sequence[Finding]) -> list[tuple[str, Modality | None]]:
    return [(finding.kind, finding.modality) for finding in results]


def test_findings_of_each_kind() -> None:
    shares = {IMAGE: 0.35, TEXT: 0.34, AUDIO: 0.31}
    only = findings([Assessment("a", TEXT_ALONE, shares), Assessment("b", TEXT_ALONE, {**shares, AUDIO: 0.41})])
    assert kinds(only) == [("only", TEXT), ("ignored", IMAGE), ("ignored", AUDIO)]
    assert (only[2].count, only[2].of, only[2].attention) == (2, 2, pytest.approx(0.36))
    *_, unattended = findings([Assessment("a", TEXT_ALONE, {IMAGE: 0.9, TEXT: 0.02, AUDIO: 0.08})])
    assert unattended == Finding("unattended", TEXT, attention=0.02, effect=1)
    (_, _, most) = findings([Assessment("a", AUDIO_WINS, {IMAGE: 0.6, TEXT: 0.3, AUDIO: 0.1})])
    assert most == Finding("most", IMAGE, other=AUDIO, attention=0.6, effect=pytest.approx(0.5))
    small = replace(AUDIO_WINS, phi={IMAGE: 1.0, TEXT: 1.0, AUDIO: 0.01})
    assert ("unused", AUDIO) in kinds(findings([Assessment("a", small, {IMAGE: 0.3, TEXT: 0.3, AUDIO: 0.4})]))
    none = findings([Assessment("a", effect_of({"": ("cat", 0.9)}), None)])
    assert kinds(none) == [("none", None), ("ignored", IMAGE), ("ignored", TEXT), ("ignored", AUDIO)]
    assert findings([]) == []


def test_a_finding_is_true_of_at_least_a_third() -> None:
    not_overruled = replace(AUDIO_WINS, answers={**AUDIO_WINS.answers, frozenset({IMAGE, TEXT}): ("dog", 0.4)})
    for others, expected in ((2, [("only", AUDIO), ("overruled", IMAGE)]), (3, [("only", AUDIO)])):
        assessments = [Assessment("a", AUDIO_WINS, None), *[Assessment("b", not_overruled, None)] * others]
        assert kinds(findings(assessments)) == expected
    for others, expected in ((2, [("ignored", IMAGE), ("ignored", AUDIO)]), (3, [])):
        assessments = [Assessment("a", TEXT_ALONE, None), *[Assessment("b", EITHER, None)] * others]
        assert kinds(findings(assessments))[1 if others == 2 else 0 :] == [*expected, ("overruled", TEXT)]


class StubBackend:
    """A backend that answers word 1 with a text and word 0 without it.

    The texts "refuse", "stop" and "impossible" raise an error, stop the run, and have an answer of probability 0.
    """

    def __init__(self, **fields: Any):
        self.requests: list[Request] = []
        self.fields = fields

    def models(self) -> tuple[Card, ...]:
        return (Card("stub", "Stub", "", True, ("word 0", "word 1", "word 2", "word 9"), "0"),)

    def run(
        self, requests: Sequence[Request], progress: Progress = ignore_progress, stop: Stop = never_stop
    ) -> tuple[AttentionRecord, ...]:
        (request,) = requests
        if stop():
            return ()
        self.requests.append(request)
        if request.sample.text == "refuse":
            raise MmvizError("model-needs-text", model="stub")
        if request.sample.text == "stop":
            return ()
        sweep = np.log([[0.3, 0.6, 0.1], [0.5, 0.25, 0.25]])
        if request.sample.text == "impossible":
            sweep[0, 0] = -np.inf
        fields = {"answers": tuple(Answer(f"word {k}", 0.5 / 2**k) for k in range(3)), "sweep": sweep} | self.fields
        return (replace(record({"all": trio()}, [("all", "all", 0, 2)]), **fields),)


def texts(*questions: str, truth: str | None = None) -> list[Example]:
    """Examples of a text alone."""
    return [Example(f"{number}", text, truth=truth) for number, text in enumerate(questions)]


def test_examples_are_evaluated_and_those_with_errors_are_skipped() -> None:
    progress: list[tuple[int, int]] = []
    backend: Any = StubBackend()
    no_image = Example("image", "who", Path("nowhere.png"))
    examples = [*texts("who", "refuse"), no_image, *texts("impossible", "what")]
    assessments, skipped = evaluate_examples(backend, "stub", examples, "mean", lambda *step: progress.append(step))
    assert [assessment.name for assessment in assessments] == ["0", "1"]
    assert progress == [(k, 5) for k in range(1, 6)]
    assert [name for name, _ in skipped] == ["1", "image", "0"]
    codes = [error.code for _, error in skipped]
    assert codes == ["model-needs-text", "file-missing", "effect-infinite"]
    first = assessments[0]
    assert first.effect.phi[TEXT] == pytest.approx(math.log(0.5 / 0.3)) and decides(first.effect, TEXT)
    assert first.attention is not None and sum(first.attention.values()) == pytest.approx(1)
    assert all(request.maps and len(request.sweep) == 2 for request in backend.requests)


@pytest.mark.parametrize(("truth", "expected"), [
    ("WORD 0 ", True), ("the word 0", True), ("word 2", False), ("word 9", False), ("gizmo", None), (None, None),
])  # fmt: skip
def test_an_answer_is_correct_or_not_if_the_model_can_give_the_expected_one(
    truth: str | None, expected: bool | None
) -> None:
    backend: Any = StubBackend()
    ((assessment,), _) = evaluate_examples(backend, "stub", texts("who", truth=truth))
    assert assessment.is_correct is expected


def test_a_written_answer_is_right_or_wrong_and_has_its_own_probability() -> None:
    written = (Answer("“A Cat.”", 0.2, 0), Answer("any other text", 0.8, 1))
    fields = {"answers": written, "sweep": np.log([[0.1, 0.9], [0.2, 0.8]]), "made_by": {"answer": [5]}}
    backend: Any = StubBackend(**fields)
    examples = [example for truth in ("cat", "dog", None) for example in texts("who", truth=truth)]
    assessments, _ = evaluate_examples(backend, "stub", examples)
    assert [assessment.is_correct for assessment in assessments] == [True, False, None]
    printed = rows(replace(audit_of(), assessments=assessments))
    assert [row["probability"] for row in printed] == [pytest.approx(0.2)] * 3


def test_a_stopped_audit_keeps_what_was_evaluated() -> None:
    backend: Any = StubBackend()
    assessments, skipped = evaluate_examples(
        backend, "stub", texts("who", "refuse", "what"), stop=lambda: len(backend.requests) == 2
    )
    assert (len(assessments), len(skipped), len(backend.requests)) == (1, 1, 2)
    assessments, skipped = evaluate_examples(backend, "stub", texts("who", "stop", "what"))
    assert (len(assessments), len(skipped)) == (1, 0), "an example that was stopped is neither evaluated nor skipped"


@pytest.mark.parametrize("map_ref", ["rollout", "7:mean", "no map"])
def test_an_example_without_the_method_of_the_model_has_no_attention(map_ref: str) -> None:
    streams = {"queries": trio()[:3], "keys": trio()}
    crossed = record(streams, [("queries", "keys", 0, 2)], made_by={"map_ref": map_ref})
    backend: Any = StubBackend(streams=crossed.streams, maps=crossed.maps, made_by=crossed.made_by)
    ((assessment,), _) = evaluate_examples(backend, "stub", texts("who"))
    assert assessment.attention is None and assessment.effect.phi[TEXT] > 0


def test_attention_is_that_of_the_chosen_map_among_several_of_a_layer() -> None:
    streams = {"queries": trio()[:3], "keys": trio()}
    maps = [("queries", "queries", 0, 2), ("queries", "keys", 0, 2)]
    shares = []
    for map_ref in ("0:mean", "0.1:mean", None):
        several = record(streams, maps, made_by={"map_ref": map_ref} if map_ref else {})
        backend: Any = StubBackend(streams=several.streams, maps=several.maps, made_by=several.made_by)
        ((assessment,), _) = evaluate_examples(backend, "stub", texts("who"))
        shares.append(assessment.attention)
    first, second, default = shares
    assert first is not None and second is not None and default == second
    assert first[AUDIO] == 0 < second[AUDIO], "the queries have no audio"


def audit_of(**changes: Any) -> Audit:
    assessments = [
        Assessment("a", TEXT_ALONE, SHARES, True),
        Assessment("b", AUDIO_WINS, None, False),
        Assessment("c", PAIR, SHARES),
    ]
    return replace(Audit("trio", "mean", 5, assessments, [("d", "Why."), ("e", "Why.")]), **changes)


def test_rows_hold_the_assessments() -> None:
    first, second, third = rows(audit_of())
    assert (first["name"], first["answer"], first["probability"], first["correct"]) == ("a", "yes", 0.9, True)
    assert first["text"] == {
        "phi": pytest.approx(math.log(9)), "effect": 1, "attention": 0.1, "decides": True, "ignored": False,
        "overruled": False,
    }  # fmt: skip
    assert second["image"]["overruled"] and second["image"]["attention"] is None and second["correct"] is False
    assert third["audio"] is None and third["correct"] is None


def test_the_table_has_counts_fractions_and_means() -> None:
    (image, image_cells), _, (audio, audio_cells) = table(audit_of())
    assert image == "image" and [text for text, _ in image_cells] == [
        "3 (100 %)", "0 (0 %)", "2 (67 %)", "1 (33 %)", "0.08", "0.60"
    ]  # fmt: skip
    assert audio == "audio" and audio_cells[:2] == [("2 (67 %)", 2 / 3), ("1 (50 %)", 0.5)]
    assert [text for text, _ in table(audit_of(assessments=[]))[0][1]] == ["–"] * 6
    assert len(meanings()) == 6 and "0.05" in meanings()["ignored"]


def test_the_summary_says_how_many_were_evaluated_and_how_many_answers_are_correct() -> None:
    counts = {"model": "trio", "baseline": audit_words("baseline-mean"), "evaluated": 3}
    text = summary(audit_of())
    assert text.startswith(audit_words("evaluated", of=5, **counts))
    assert audit_words("correct-some", correct=1, known=2) in text
    assert audit_words("untrained") in summary(audit_of(trained=False))
    assert summary(audit_of(examples=6)).startswith(audit_words("stopped", of=6, **counts))
    assert audit_words("correct-some", correct=0, known=0) not in summary(audit_of(assessments=[]))


def test_sentences_say_the_findings() -> None:
    lines = sentences(audit_of())
    values: dict[str, Any] = {"effect": None}
    assert lines[0] == audit_words(
        "find-ignored-attended", modality=audit_words("the-image"), count=2, of=3, attention=0.6, **values
    )
    assert (
        audit_words("find-ignored-attended", modality=audit_words("the-audio"), count=1, of=2, attention=0.3, **values)
        in lines
    )
    together = effect_of({"": ("dog", 0.4), "ita": ("cat", 0.9)})
    equal = dict.fromkeys(LETTERS.values(), 1 / 3)
    assert sentences(audit_of(assessments=[Assessment("a", together, equal)])) == [audit_words("find-nothing")]
    assert sentences(audit_of(assessments=[])) == []


def test_skipped_examples_are_grouped_by_reason() -> None:
    assert reasons(audit_of()) == {"Why.": ["d", "e"]}
    assert reasons(audit_of(skipped=[("d", "Why\x1b[31m\nso\ud800.")])) == {"Why␛[31m so?.": ["d"]}


def test_json_holds_the_whole_audit() -> None:
    document = json.loads(to_json(audit_of()))
    assert (document["model"], document["baseline"], document["trained"]) == ("trio", "mean", True)
    assert (document["examples"], document["evaluated"], document["stopped"]) == (5, 3, False)
    assert (document["correct"], document["with_truth"]) == (1, 2)
    assert document["modalities"]["audio"]["present"] == 2 and document["modalities"]["audio"]["attention"] == 0.3
    assert [row["name"] for row in document["rows"]] == ["a", "b", "c"] and document["findings"]
    assert document["skipped"] == [{"name": "d", "reason": "Why."}, {"name": "e", "reason": "Why."}]
    assert json.loads(to_json(audit_of(examples=6)))["stopped"] is True
    assert json.loads(to_json(audit_of(trained=False)))["trained"] is False


FORMULAS = ["=1+1", "+1", "-1", "@a", " =1", "\t=1", "\r=1", "\n", "＝1"]


def test_no_text_of_an_example_becomes_a_formula_in_the_csv() -> None:
    effect = replace(AUDIO_WINS, answer="=cat()")
    assessments = [Assessment(name, effect, SHARES) for name in FORMULAS]
    audit = Audit("trio", "mean", 20, assessments, [("-d", "=why"), ("x", "\udcff")])
    head, *lines = list(csv.reader(io.StringIO(to_csv(audit), newline="")))
    assert {len(line) for line in lines} == {len(head)} and len(lines) == len(FORMULAS) + 2
    for name, line in zip(FORMULAS, lines, strict=False):
        assert line[0] == f"'{name}" and line[1] == "'=cat()"
        assert float(line[head.index("image_phi")]) < 0, "a number stays a number"
        assert line[head.index("audio_decides")] == "true" and line[head.index("correct")] == ""
    assert lines[-2][0] == "'-d" and lines[-2][-1] == "'=why"
    to_csv(audit).encode()
    first, _, third, fourth, _ = list(csv.DictReader(io.StringIO(to_csv(audit_of()))))
    assert first["name"] == "a" and first["correct"] == "true" and third["audio_phi"] == ""
    assert (fourth["name"], fourth["skipped"]) == ("d", "Why.")
