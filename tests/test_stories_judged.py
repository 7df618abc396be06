"""How stories are judged on the world: which places a question is about, and what is told off them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmviz.assets_path import assets_dir
from mmviz.cli import main
from mmviz.experiments.story import Story
from mmviz.experiments.story_search import Step
from mmviz.training.evaluate import measure_model, story_vs_ground_truth
from mmviz.training.evaluate.evaluation_cases import Case
from mmviz.training.evaluate.story_vs_ground_truth import (
    SEED,
    FamilyStories,
    agrees,
    figures,
    is_sound,
    markdown,
    things_about,
)
from mmviz.training.release import export
from mmviz.training.world.compose_sound import Sound
from mmviz.training.world.examples import TrainingExample
from mmviz.training.world.questions import Question
from mmviz.training.world.scenes import Scene, Thing
from mmviz.types import (
    ANSWER,
    Answer,
    AttentionMap,
    AttentionRecord,
    ChosenTokens,
    Modality,
    PixelBox,
    Sample,
    Seconds,
    Token,
)

SIDE, PATCHES = 120, 12
THINGS = (
    Thing("wolf", (0.0, 0.0, 0.25, 0.25)),
    Thing("rabbit", (0.5, 0.0, 0.75, 0.25)),
    Thing("sun", (0.5, 0.75, 0.75, 1.0)),
)
QUESTION = Question("relheard", "what is right of the spoken thing", "rabbit", (1,), True, (1,))


@pytest.fixture
def case() -> Case:
    scene = Scene(np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((SIDE, SIDE), np.uint8), THINGS)
    sound = Sound(np.zeros(32_000, np.float32), "wolf", 0.8, 1.2, False)
    return Case(TrainingExample(scene, sound, (QUESTION,)), QUESTION, Sample(text="x"))


@pytest.fixture
def record() -> AttentionRecord:
    size = SIDE / PATCHES
    patches = [
        Token(Modality.IMAGE, "", PixelBox(x * size, y * size, (x + 1) * size, (y + 1) * size))
        for y in range(PATCHES)
        for x in range(PATCHES)
    ]
    moments = [Token(Modality.AUDIO, "", Seconds(k / 10, (k + 1) / 10)) for k in range(20)]
    tokens = (Token(Modality.SPECIAL, "answer"), *patches, *moments)
    weights = np.full((1, len(tokens), len(tokens)), 1 / len(tokens), np.float32)
    attn_map = AttentionMap("layers.0", 0, "tokens", "tokens", weights, stack="layers")
    return AttentionRecord("id", {"tokens": tokens}, (attn_map,), (Answer("rabbit", 0.9),), {})


def patch(x: int, y: int) -> int:
    return 1 + y * PATCHES + x


def step(*tokens: int, modality: Modality = Modality.IMAGE, effect: float = -1.0) -> Step:
    return Step(ANSWER, ChosenTokens(tokens, "tokens"), modality, effect=effect)


WORD = step(1 + PATCHES**2 + 9, modality=Modality.AUDIO)
WOLF, RABBIT, SUN = step(patch(1, 1)), step(patch(7, 1)), step(patch(7, 10))


def test_a_story_agrees_with_the_word_its_place_and_the_neighbour(case: Case, record: AttentionRecord) -> None:
    assert agrees(case, record, Story("rabbit", 0.9, (WORD, WOLF, RABBIT)))
    for missing in (WORD, WOLF, RABBIT):
        steps = tuple(some for some in (WORD, WOLF, RABBIT) if some is not missing)
        assert not agrees(case, record, Story("rabbit", 0.9, steps))
    whole = replace(WOLF, keys=Modality.IMAGE)
    assert not agrees(case, record, Story("rabbit", 0.9, (WORD, whole)))


def test_what_lies_off_the_question_is_not_sound(case: Case, record: AttentionRecord) -> None:
    assert things_about(case) == (1, 0)
    assert is_sound(case, record, Story("rabbit", 0.9, (WORD, WOLF, RABBIT)))
    assert is_sound(case, record, Story("rabbit", 0.9, (step(patch(3, 0)),))), "a patch beside the box"
    assert not is_sound(case, record, Story("rabbit", 0.9, (step(patch(4, 5)),)))
    assert not is_sound(case, record, Story("rabbit", 0.9, (SUN,))), "another thing"
    assert not is_sound(case, record, Story("rabbit", 0.9, (replace(WOLF, effect=-0.09),)))
    early = step(1 + PATCHES**2, modality=Modality.AUDIO)
    assert not is_sound(case, record, Story("rabbit", 0.9, (early,)))
    counted = replace(case, question=Question("count", "how many things are there", "3", (0, 1, 2)))
    assert is_sound(counted, record, Story("3", 0.9, (SUN, WOLF)))
    assert not is_sound(counted, record, Story("3", 0.9, (WORD,))), "the sound is not counted"


def test_a_caption_is_denied_at_its_things_or_for_want_of_them(case: Case, record: AttentionRecord) -> None:
    shown = Question("caption", "a wolf below the sun", "no", (0, 2), words=("wolf", "sun"))
    absent = replace(shown, text="a frog below the sun", things=(2,), words=("frog", "sun"))
    text = replace(WOLF, keys=Modality.TEXT, modality=Modality.TEXT)
    at_word, at_wolf = (Story("no", 0.9, (some,)) for some in (text, WOLF))
    assert agrees(replace(case, question=shown), record, at_wolf)
    assert not agrees(replace(case, question=shown), record, at_word), "the relation of two things rests on them"
    assert agrees(replace(case, question=absent), record, at_word), "as for “is there a frog?”, no place shows a frog"
    assert not agrees(replace(case, question=absent), record, Story("no", 0.9, ()))


def test_the_table_has_the_shares_of_the_examples_answered_rightly() -> None:
    judged = {"name": FamilyStories(4, 3, 4, 4, [2, 2, 3, 3]), "heard": FamilyStories()}
    result = figures(judged, 202, 5)
    assert result["all"] == {"examples": 4, "agree": 0.75, "sound": 1.0, "told": 1.0, "steps": 2.5}
    table = markdown(result)
    assert "| name | 4 | 0.75 | 1.00 | 1.00 | 2.5 |" in table and "| **all** | 4 | 0.75 |" in table
    assert "| heard | 0 | – | – | – | – |" in table, "nothing was answered rightly, which is no share of 0"
    assert "5 examples a family, seed 202." in table


def test_the_agreement_of_stories_is_put_into_the_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = json.loads((assets_dir() / "trio" / "card.json").read_text(encoding="utf-8"))
    (tmp_path / "card.json").write_text(json.dumps(card), encoding="utf-8")
    write = export.add_to_card
    monkeypatch.setattr(export, "add_to_card", lambda _, name, entry: write(tmp_path, name, entry))
    judged = {"heard": FamilyStories(3, 3, 2, 3, [1, 2, 1])}
    monkeypatch.setattr(measure_model, "worlds", lambda: {"unseen scenes": None})  # minutes of speech
    monkeypatch.setattr(story_vs_ground_truth, "judge_stories", lambda *given: judged)
    assert main(["evaluate", "--stories", "--count", "4", "--card", "--json", str(tmp_path / "stories.json")]) == 0
    written = json.loads((tmp_path / "card.json").read_text(encoding="utf-8"))
    stories = written.pop("stories")
    assert written == {name: entry for name, entry in card.items() if name != "stories"}, "the others stay"
    assert stories == json.loads((tmp_path / "stories.json").read_text(encoding="utf-8"))
    assert stories == figures(judged, SEED, 4) and stories["families"]["heard"]["sound"] == round(2 / 3, 4)
    assert markdown(stories) in capsys.readouterr().out
