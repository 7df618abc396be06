"""Modality health, on games small enough for paper, and how trios are judged one after the other."""

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
from records import example, record

from mmviz.backends import Progress, Stop, never, quiet
from mmviz.experiments.audit import Assessment, Finding, decides, findings, is_ignored, is_overruled, modality_health
from mmviz.experiments.modality_shapley import Effect, coalitions, shapley
from mmviz.experiments.runs import evaluate_examples
from mmviz.inputs.examples import Example
from mmviz.report.audit_report import Audit, meanings, reasons, rows, sentences, summary, table, to_csv, to_json
from mmviz.types import Answer, AttentionRecord, MmvizError, Modality, Request

LETTERS = {"i": Modality.IMAGE, "t": Modality.TEXT, "a": Modality.AUDIO}
IMAGE, TEXT, AUDIO = LETTERS.values()


def game(says: Mapping[str, tuple[str, float]], there: str = "ita", rest: float = 0.1) -> Effect:
    """An `Effect` from what a model says with some modalities, by their letters ("" stands for those not named).

    The answer's probability is the one given where it is said, else ``rest``.
    """
    every = coalitions([LETTERS[letter] for letter in there])
    named = {frozenset(LETTERS[letter] for letter in key): value for key, value in says.items()}
    answers = {kept: named.get(kept, says[""]) for kept in every}
    answer = answers[frozenset(LETTERS[letter] for letter in there)][0]
    values = {kept: math.log(p if label == answer else rest) for kept, (label, p) in answers.items()}
    return Effect(answer, values, answers, shapley(values))


TEXT_ALONE = game({"": ("no", 0.8), "t": ("yes", 0.9), "it": ("yes", 0.9), "ta": ("yes", 0.9), "ita": ("yes", 0.9)})
BOTH = game({"": ("dog", 0.6), "ia": ("cat", 0.9), "ita": ("cat", 0.9)})
EITHER = game({"": ("cat", 0.9), "t": ("dog", 0.6)})
SOUND_WINS = game({"": ("cat", 0.9), "it": ("dog", 0.7), "i": ("dog", 0.7), "t": ("dog", 0.4)})


def holds(effect: Effect) -> dict[str, str]:
    """For each modality what holds of it: d(ecides), i(gnored), o(verruled)."""
    kinds = {"d": decides, "i": is_ignored, "o": is_overruled}
    return {
        letter: "".join(name for name, kind in kinds.items() if kind(effect, modality))
        for letter, modality in LETTERS.items()
    }


def test_where_text_alone_decides_the_others_are_ignored() -> None:
    """With it log 0.9, without it log 0.1, whatever else is there: phi is log 9 for the text and 0 for the others."""
    assert TEXT_ALONE.phi == pytest.approx({IMAGE: 0, TEXT: math.log(9), AUDIO: 0})
    assert TEXT_ALONE.shares == pytest.approx({IMAGE: 0, TEXT: 1, AUDIO: 0})
    assert holds(TEXT_ALONE) == {"i": "i", "t": "d", "a": "i"}


def test_where_two_only_count_together_both_decide() -> None:
    """As in an exclusive or: log 9 is gained by whichever of the two comes second, so each has half of it. Text and
    one of them say dog with 0.6, and so does the text alone: the cat overrules all of that."""
    assert BOTH.phi == pytest.approx({IMAGE: math.log(9) / 2, TEXT: 0, AUDIO: math.log(9) / 2})
    assert holds(BOTH) == {"i": "do", "t": "io", "a": "do"}
    unsure = game({"": ("dog", 0.49), "ia": ("cat", 0.9), "ita": ("cat", 0.9)})
    assert holds(unsure) == {"i": "d", "t": "i", "a": "d"}, "what the model does not stand by is not overruled"


def test_where_either_is_enough_none_decides_and_none_is_ignored() -> None:
    """Cat unless the text is alone. ``v = log 0.1`` for t, else log 0.9. Of the orders of three, the text loses log 9
    where it comes first, and whoever is second then gains it: phi is -1/3, +1/6 and +1/6 of log 9."""
    whole = math.log(9)
    assert EITHER.phi == pytest.approx({IMAGE: whole / 6, TEXT: -whole / 3, AUDIO: whole / 6})
    assert EITHER.shares == pytest.approx({IMAGE: 0.25, TEXT: 0.5, AUDIO: 0.25})
    assert holds(EITHER) == {"i": "", "t": "o", "a": ""}


def test_a_picture_that_speaks_for_another_answer_is_overruled() -> None:
    assert holds(SOUND_WINS) == {"i": "o", "t": "", "a": "d"}, "the text alone is too unsure to be overruled"


def test_a_small_share_is_not_ignored_where_it_turns_the_answer() -> None:
    close = game({"": ("cat", 0.501), "it": ("dog", 0.5), "ita": ("cat", 0.501)}, rest=0.4999)
    assert close.shares[AUDIO] > 0.05 and decides(close, AUDIO)
    tiny = Effect(close.answer, close.values, close.answers, {IMAGE: 1.0, TEXT: 1.0, AUDIO: 0.01})
    assert tiny.shares[AUDIO] < 0.05 and not is_ignored(tiny, AUDIO)


def test_a_modality_that_is_not_there_is_nothing() -> None:
    pair = game({"": ("no", 0.8), "t": ("yes", 0.9), "it": ("yes", 0.9)}, there="it")
    assert not decides(pair, AUDIO) and not is_overruled(pair, AUDIO)
    assert not is_overruled(pair, IMAGE), "with the text it is everything"
    turned = game({"": ("no", 0.8), "it": ("yes", 0.9)}, there="it")
    assert is_overruled(turned, TEXT) and not is_overruled(turned, AUDIO)
    image, text, audio = modality_health(
        [Assessment("a", pair, None), Assessment("b", TEXT_ALONE, {IMAGE: 0.5, TEXT: 0.3, AUDIO: 0.2})]
    )
    assert (image.of, text.of, audio.of) == (2, 2, 1)
    assert audio.attention == 0.2 and audio.effect == 0 and audio.ignored == 1
    assert image.attention == 0.5, "the mean of those that are known"


def test_counts_and_means_over_trios() -> None:
    seen = {IMAGE: 0.6, TEXT: 0.1, AUDIO: 0.3}
    judged = [Assessment(str(k), one, seen) for k, one in enumerate([TEXT_ALONE, BOTH, SOUND_WINS, SOUND_WINS])]
    image, text, audio = modality_health(judged)
    assert (image.decides, image.ignored, image.overruled) == (1, 1, 3)
    assert (text.decides, text.ignored, text.overruled) == (1, 1, 1)
    assert (audio.decides, audio.ignored, audio.overruled) == (3, 1, 1)
    assert image.effect == pytest.approx((0 + 0.5 + 2 * SOUND_WINS.shares[IMAGE]) / 4)
    assert audio.attention == pytest.approx(0.3)
    nobody = modality_health([])
    assert [row.of for row in nobody] == [0, 0, 0] and all(row.effect is row.attention is None for row in nobody)


def kinds(found: Sequence[Finding]) -> list[tuple[str, Modality | None]]:
    return [(one.kind, one.modality) for one in found]


def test_what_strikes() -> None:
    seen = {IMAGE: 0.35, TEXT: 0.34, AUDIO: 0.31}
    only = findings([Assessment("a", TEXT_ALONE, seen), Assessment("b", TEXT_ALONE, {**seen, AUDIO: 0.41})])
    assert kinds(only) == [("only", TEXT), ("ignored", IMAGE), ("ignored", AUDIO)]
    assert (only[2].count, only[2].of, only[2].attention) == (2, 2, pytest.approx(0.36))
    silent = findings([Assessment("a", TEXT_ALONE, {IMAGE: 0.9, TEXT: 0.02, AUDIO: 0.08})])
    assert kinds(silent)[-1] == ("silent", TEXT) and (silent[-1].attention, silent[-1].effect) == (0.02, 1)
    (_, _, most) = findings([Assessment("a", SOUND_WINS, {IMAGE: 0.6, TEXT: 0.3, AUDIO: 0.1})])
    assert most == Finding("most", IMAGE, other=AUDIO, attention=0.6, effect=pytest.approx(0.5))
    tiny = replace(SOUND_WINS, phi={IMAGE: 1.0, TEXT: 1.0, AUDIO: 0.01})
    assert ("idle", AUDIO) in kinds(findings([Assessment("a", tiny, {IMAGE: 0.3, TEXT: 0.3, AUDIO: 0.4})]))
    none = findings([Assessment("a", game({"": ("cat", 0.9)}), None)])
    assert kinds(none) == [("none", None), ("ignored", IMAGE), ("ignored", TEXT), ("ignored", AUDIO)]
    assert findings([]) == []


def test_what_holds_in_a_third_strikes() -> None:
    calm = replace(SOUND_WINS, answers=SOUND_WINS.answers | {frozenset({IMAGE, TEXT}): ("dog", 0.4)})
    for others, expected in ((2, [("only", AUDIO), ("overruled", IMAGE)]), (3, [("only", AUDIO)])):
        judged = [Assessment("a", SOUND_WINS, None), *[Assessment("b", calm, None)] * others]
        assert kinds(findings(judged)) == expected
    for others, expected in ((2, [("ignored", IMAGE), ("ignored", AUDIO)]), (3, [])):
        judged = [Assessment("a", TEXT_ALONE, None), *[Assessment("b", EITHER, None)] * others]
        assert kinds(findings(judged))[1 if others == 2 else 0 :] == [*expected, ("overruled", TEXT)]


class Stub:
    """A backend that answers word 0 to a text, and word 1 to nothing; asked with others, as ``does`` says."""

    def __init__(self, **about: Any):
        self.asked: list[Request] = []
        self.about = about

    def run(
        self, requests: Sequence[Request], progress: Progress = quiet, stop: Stop = never
    ) -> tuple[AttentionRecord, ...]:
        (request,) = requests
        self.asked.append(request)
        if request.sample.text == "refuse":
            raise MmvizError("model-needs-text", model="stub")
        if request.sample.text == "stop":
            return ()
        sweep = np.log([[0.3, 0.6, 0.1], [0.5, 0.25, 0.25]])
        if request.sample.text == "never":
            sweep[0, 0] = -np.inf
        about = {"answers": tuple(Answer(f"word {k}", 0.5 / 2**k) for k in range(3)), "sweep": sweep} | self.about
        return (replace(record({"all": example()}, [("all", "all", 0, 2)]), **about),)


def words(*texts: str, truth: str | None = None) -> list[Example]:
    return [Example(f"{number}", text, truth=truth) for number, text in enumerate(texts)]


def test_trios_are_judged_one_by_one() -> None:
    told: list[tuple[int, int]] = []
    backend: Any = Stub()
    examples = [*words("who", "refuse"), Example("picture", "who", Path("nowhere.png")), *words("never", "what")]
    judged, refused = evaluate_examples(backend, "stub", examples, "mean", lambda *so_far: told.append(so_far))
    assert [one.name for one in judged] == ["0", "1"] and told == [(k, 5) for k in range(1, 6)]
    assert [name for name, _ in refused] == ["1", "picture", "0"]
    why = [str(refusal) for _, refusal in refused]
    assert "reads words only" in why[0] and "nowhere.png" in why[1] and "impossible" in why[2]
    assert judged[0].effect.phi[TEXT] == pytest.approx(math.log(0.5 / 0.3)) and decides(judged[0].effect, TEXT)
    assert sum(judged[0].attention.values()) == pytest.approx(1)
    assert all(request.maps and len(request.sweep) == 2 for request in backend.asked)


def test_a_truth_counts_where_the_model_could_give_it() -> None:
    for truth, expected in (("WORD 0 ", True), ("word 2", False), ("gizmo", None), (None, None)):
        ((one,), _) = evaluate_examples(Stub(), "stub", words("who", truth=truth))  # type: ignore[arg-type]
        assert one.is_right is expected


def test_a_stop_leaves_what_was_judged() -> None:
    backend: Any = Stub()
    judged, refused = evaluate_examples(
        backend, "stub", words("who", "refuse", "what"), stop=lambda: len(backend.asked) == 2
    )
    assert (len(judged), len(refused), len(backend.asked)) == (1, 1, 2)
    judged, refused = evaluate_examples(backend, "stub", words("who", "stop", "what"))
    assert (len(judged), len(refused)) == (1, 0), "a run that was stopped is neither judged nor refused"


@pytest.mark.parametrize("map_ref", ["rollout", "7:mean", "no such way"])
def test_without_its_way_of_looking_a_trio_has_no_attention(map_ref: str) -> None:
    streams = {"queries": example()[:3], "keys": example()}
    found = record(streams, [("queries", "keys", 0, 2)], made_by={"map_ref": map_ref})
    backend: Any = Stub(streams=found.streams, maps=found.maps, made_by=found.made_by)
    ((one,), _) = evaluate_examples(backend, "stub", words("who"))
    assert one.attention is None and one.effect.phi[TEXT] > 0


PAIR = game({"": ("no", 0.8), "t": ("yes", 0.9), "it": ("yes", 0.9)}, there="it")
SEEN = {IMAGE: 0.6, TEXT: 0.1, AUDIO: 0.3}


def made(**changes: Any) -> Audit:
    judged = [
        Assessment("a", TEXT_ALONE, SEEN, True),
        Assessment("b", SOUND_WINS, None, False),
        Assessment("c", PAIR, SEEN),
    ]
    return replace(Audit("trio", "mean", 5, judged, [("d", "Why."), ("e", "Why.")]), **changes)


def test_rows_hold_what_was_found() -> None:
    first, second, third = rows(made())
    assert (first["name"], first["answer"], first["probability"], first["right"]) == ("a", "yes", 0.9, True)
    assert first["text"] == {
        "phi": pytest.approx(math.log(9)), "effect": 1, "attention": 0.1, "decides": True, "ignored": False,
        "overruled": False,
    }  # fmt: skip
    assert second["image"]["overruled"] and second["image"]["attention"] is None and second["right"] is False
    assert third["audio"] is None and third["right"] is None


def test_the_table_and_its_words() -> None:
    audit = made()
    (image, cells), _, (audio, heard) = table(audit)
    assert image == "image" and [words for words, _ in cells] == [
        "3 (100 %)", "0 (0 %)", "2 (67 %)", "1 (33 %)", "0.08", "0.60"
    ]  # fmt: skip
    assert audio == "audio" and heard[:2] == [("2 (67 %)", 2 / 3), ("1 (50 %)", 0.5)]
    assert summary(audit) == (
        "Model trio, absent: mean. 3 of 5 trios judged. "
        "Of the 2 answers whose truth is known and is one that the model can give, 1 are right."
    )
    assert "untrained" in summary(made(trained=False)) and json.loads(to_json(made(trained=False)))["trained"] is False
    assert "Stopped; 3 of 6 trios" in summary(made(of=6)) and "right" not in summary(made(judged=[]))
    assert [words for words, _ in table(made(judged=[]))[0][1]] == ["–"] * 6
    assert sentences(made(judged=[])) == [] and reasons(audit) == {"Why.": ["d", "e"]}
    assert reasons(made(refused=[("d", "Why\x1b[31m\nso\ud800.")])) == {"Why␛[31m so?.": ["d"]}
    told = sentences(audit)
    assert told[0] == "The picture is ignored in 2 of 3 trios although it gets 0.60 of the attention there."
    assert "The sound is ignored in 1 of 2 trios although it gets 0.30 of the attention there." in told
    together = game({"": ("dog", 0.4), "ita": ("cat", 0.9)})
    (nothing,) = sentences(made(judged=[Assessment("a", together, dict.fromkeys(LETTERS.values(), 1 / 3))]))
    assert nothing.startswith("Nothing strikes") and len(meanings()) == 6 and "0.05" in meanings()["ignored"]


def test_json_holds_everything() -> None:
    found = json.loads(to_json(made()))
    assert (found["trios"], found["judged"], found["stopped"], found["right"], found["known"]) == (5, 3, False, 1, 2)
    assert found["modalities"]["audio"]["of"] == 2 and found["modalities"]["audio"]["attention"] == 0.3
    assert [row["name"] for row in found["rows"]] == ["a", "b", "c"] and found["findings"]
    assert found["refused"] == [{"name": "d", "why": "Why."}, {"name": "e", "why": "Why."}]
    assert json.loads(to_json(made(of=6)))["stopped"] is True


FORMULAS = ["=1+1", "+1", "-1", "@a", " =1", "\t=1", "\r=1", "\n", "＝1"]


def test_nothing_that_came_with_a_trio_becomes_a_formula() -> None:
    effect = replace(SOUND_WINS, answer="=cat()")
    audit = Audit(
        "trio", "mean", 20, [Assessment(name, effect, SEEN) for name in FORMULAS], [("-d", "=why"), ("x", "\udcff")]
    )
    lines = list(csv.reader(io.StringIO(to_csv(audit), newline="")))
    heads, *cells = lines
    assert len({len(line) for line in lines}) == 1 and len(cells) == len(FORMULAS) + 2
    for name, line in zip(FORMULAS, cells, strict=False):
        assert line[0] == f"'{name}" and line[1] == "'=cat()"
        assert float(line[heads.index("image_phi")]) < 0, "a number stays one"
        assert line[heads.index("audio_decides")] == "true" and line[heads.index("right")] == ""
    assert cells[-2][0] == "'-d" and cells[-2][-1] == "'=why"
    to_csv(audit).encode()
    plain = list(csv.DictReader(io.StringIO(to_csv(made()))))
    assert plain[0]["name"] == "a" and plain[0]["right"] == "true" and plain[2]["audio_phi"] == ""
