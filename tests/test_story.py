"""The story of an answer: planted routes are found with their tokens and layers, copies are not told as one route."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
from planted_story import ANSWER_AT, COUNT, MOMENT, PATCH, WORD, planted

from mmviz.analysis.key_clusters import are_neighbours
from mmviz.backends.local import LocalBackend
from mmviz.experiments.story import Story, measure_story
from mmviz.experiments.story_confirm import confirmed
from mmviz.experiments.story_search import LEAST, MOST_STEPS, Cutter, Step
from mmviz.explain import Run, run_sample
from mmviz.inputs import make_sample
from mmviz.inputs.examples import load_gallery
from mmviz.models.custom_model_factory import load
from mmviz.report.story_cards import step_card, step_sentence, step_without, story_verdict
from mmviz.types import (
    ANSWER,
    AttentionRecord,
    Chars,
    ChosenTokens,
    Modality,
    PixelBox,
    Request,
    Sample,
    Seconds,
    Token,
)

IMAGE, TEXT, AUDIO, _ = Modality
MOST_RUNS = 20
"""Runs of trio in the time of which a story is measured, as it was planned; the figure is printed."""


def lost(value: float) -> float:
    """Returns what the answer "seen" loses if its token has ``value`` in the place of 1, in nats."""
    return math.log1p(math.exp(-4)) - math.log1p(math.exp(-4 * value))


def story_of(layers: list[dict[int, int]], sources: list[int]) -> tuple[Story, AttentionRecord]:
    backend = LocalBackend("cpu", {"planted": planted(layers, sources)})
    request = Request("planted", make_sample(text="word0 word1 word2"))
    record = backend.run([request])[0]
    return measure_story(backend, request, record), record


def test_a_planted_chain_is_told_with_its_tokens_and_layers() -> None:
    moment, place, word = MOMENT + 2, PATCH + 4, WORD + 1
    layers: list[dict[int, int]] = [{place: moment}, {}, {word: place}, {ANSWER_AT: word}]
    story, record = story_of(layers, [moment])
    assert story.answer == "seen" and story.is_complete and story.ways_out == ()
    told = [(step.queries, step.keys, [window.layers for window in step.windows]) for step in story.steps]

    def at(token: int) -> ChosenTokens:
        return ChosenTokens((token,), "tokens")

    assert told == [(at(place), at(moment), [(0,)]), (at(word), at(place), [(2,)]), (ANSWER, at(word), [(3,)])]
    # a token that may not read what it read reads all others alike, but itself: of these, two have the value in the end
    left = [0.0, 1 / (COUNT - 2), 2 / (COUNT - 2)]
    for step, value in zip(story.steps, left, strict=True):
        assert step.effect == pytest.approx(lost(value), abs=1e-4)
    assert [token.label for token in story.steps[0].key_tokens(record)] == ["2 s"]
    sentences = [step_sentence(record, step) for step in story.steps]
    assert sentences[0].startswith("Layer 1: patches at one place hear 2.0–3.0 s.")
    assert sentences[2].startswith("Layer 4: the answer token reads “word1”.")


def test_whether_a_step_changes_a_text_that_was_written_is_not_said() -> None:
    step = Step(ANSWER, IMAGE, IMAGE, answer="any other text", is_changed=None)
    assert step_without(step) == "Without it the answer is less probable."
    assert step_without(replace(step, is_changed=True)) == "Without it: “any other text”."


def test_each_step_is_what_its_own_cut_takes() -> None:
    layers: list[dict[int, int]] = [{WORD: PATCH + 8}, {ANSWER_AT: WORD}]
    backend = LocalBackend("cpu", {"planted": planted(layers, [PATCH + 8])})
    request = Request("planted", make_sample(text="word0 word1 word2"))
    record = backend.run([request])[0]
    story = measure_story(backend, request, record)
    assert len(story.steps) == 2
    for step in story.steps:
        cut = backend.run([replace(request, changes=step.cuts)])[0]
        after = next(answer.probability for answer in cut.answers if answer.label == story.answer)
        assert step.effect == pytest.approx(math.log(after) - math.log(story.probability), abs=1e-6)


def test_tokens_that_carry_nothing_are_left_out_of_a_step_and_a_step_without_any_gives_way_to_its_route() -> None:
    moment, place = MOMENT + 2, PATCH + 4
    model = planted([{place: moment}, {ANSWER_AT: place}], [moment])
    backend = LocalBackend("cpu", {"planted": model})
    request = Request("planted", make_sample(text="word0 word1 word2"))
    cutter = Cutter(backend, request, lambda *_: None, lambda: False)
    routes = cutter.measure([Step(IMAGE, AUDIO, AUDIO), Step(ANSWER, IMAGE, IMAGE)])

    def step(queries: tuple[int, ...], keys: tuple[int, ...]) -> Step:
        groups = (ChosenTokens(tokens, "tokens") for tokens in (queries, keys))
        return cutter.measure([Step(*groups, AUDIO)])[0]

    (told,) = confirmed(cutter, routes, [step((PATCH, place, PATCH + 7), (MOMENT, moment, MOMENT + 3))])
    assert (told.queries, told.keys) == (ChosenTokens((place,), "tokens"), ChosenTokens((moment,), "tokens"))
    assert told.effect == pytest.approx(step((place,), (moment,)).effect) and told.effect <= -LEAST
    assert confirmed(cutter, routes, [step((PATCH, PATCH + 1), (moment,))]) == [routes[0]]
    of_picture = replace(routes[1], modality=AUDIO)
    assert confirmed(cutter, routes, [of_picture, step((PATCH, PATCH + 1), (moment,))]) == [of_picture]


def test_copies_by_several_routes_are_told_as_no_single_one() -> None:
    copies, _ = story_of([{ANSWER_AT: PATCH}, {ANSWER_AT: MOMENT}], [PATCH, MOMENT])
    assert copies.steps == () and copies.ways_out == () and copies.is_complete
    assert story_verdict(copies).startswith("No single route carries it: ")
    both_ways, _ = story_of([{ANSWER_AT: PATCH}, {WORD: PATCH}, {ANSWER_AT: WORD}], [PATCH])
    assert both_ways.steps == ()
    assert both_ways.ways_out == ((IMAGE, pytest.approx(lost(0), abs=1e-4)),)
    assert "but the answer needs the picture" in story_verdict(both_ways)


def test_what_takes_less_than_a_tenth_of_a_nat_is_not_told() -> None:
    backend = LocalBackend("cpu", {"planted": planted([{ANSWER_AT: PATCH}], [PATCH], 0.04)})
    request = Request("planted", make_sample(text="word0 word1 word2"))
    record = backend.run([request])[0]
    story = measure_story(backend, request, record)
    shares = math.log(2) - math.log1p(math.exp(-0.16))
    assert 0.05 < shares < LEAST and story.steps == () and story.ways_out == () and story.is_complete


def test_a_route_that_no_part_carries_is_told_as_a_whole() -> None:
    patches = range(PATCH, PATCH + 9)
    story, record = story_of([{WORD: PATCH + 3}, {ANSWER_AT: WORD}], list(patches))
    assert (story.steps[0].keys, story.steps[0].key_tokens(record)) == (IMAGE, ())
    assert "no single place alone" in step_sentence(record, story.steps[0])


def test_a_stop_keeps_what_was_confirmed() -> None:
    backend = LocalBackend("cpu", {"planted": planted([{WORD: PATCH}, {ANSWER_AT: WORD}], [PATCH])})
    request = Request("planted", make_sample(text="word0 word1 word2"))
    record = backend.run([request])[0]
    told: list[tuple[int, int]] = []
    first = measure_story(backend, request, record, stop=lambda: True)
    assert first.steps == () and not first.is_complete and story_verdict(first)
    after_two = measure_story(
        backend, request, record, lambda *at: told.append(at), stop=lambda: len(told) >= 3
    )  # 0, 1 and 2 of 4
    assert not after_two.is_complete and len(after_two.steps) == 2
    assert all(step.windows[0].layers is None and step.effect <= -LEAST for step in after_two.steps)


def test_clusters_are_of_neighbours() -> None:
    patches = [Token(IMAGE, str(k), PixelBox(k, 0, k + 1, 1)) for k in (0, 1, 3)]
    assert are_neighbours(patches[0], patches[1]) and not are_neighbours(patches[1], patches[2])
    moments = [Token(AUDIO, str(k), Seconds(k, k + 1)) for k in (0, 1, 3)]
    assert are_neighbours(moments[1], moments[0]) and not are_neighbours(moments[1], moments[2])
    pieces = [Token(TEXT, "a", Chars(0, 2)), Token(TEXT, "b", Chars(2, 4)), Token(TEXT, "c", Chars(5, 6))]
    assert are_neighbours(pieces[0], pieces[1]) and not are_neighbours(pieces[1], pieces[2])
    assert not are_neighbours(pieces[1], Token(TEXT, "?", Chars(4, 5))), "a mark is no part of the word before it"
    assert not are_neighbours(pieces[0], moments[0])


@pytest.fixture(scope="module")
def spoken_place() -> Sample:
    return next(example for example in load_gallery() if example.id == "spoken-place").sample()


@pytest.mark.slow
def test_the_story_of_a_spoken_relation_names_the_word_and_the_neighbour(
    backend: LocalBackend, spoken_place: Sample
) -> None:
    request = Request("trio", spoken_place)
    record = backend.run([request])[0]

    def seconds(work: object) -> float:
        start = time.process_time()
        work()  # type: ignore[operator]
        return time.process_time() - start

    of_run = min(seconds(lambda: backend.run([replace(request, maps=False)])) for _ in range(3))
    stories: list[Story] = []
    ratio = seconds(lambda: stories.append(measure_story(backend, request, record))) / of_run
    print(f"a story takes the time of {ratio:.1f} runs; planned are {MOST_RUNS}")
    (story,) = stories
    assert 2 <= len(story.steps) <= MOST_STEPS and all(step.effect <= -LEAST for step in story.steps)
    assert AUDIO in {step.modality for step in story.steps}, "the spoken word is heard"
    assert any(step.queries == ANSWER and step.modality is IMAGE for step in story.steps), "the neighbour is answered"
    run = Run(spoken_place, record)
    for number, step in enumerate(story.steps, start=1):
        card = step_card(run, step, number)
        assert "nats" in card and (
            "<img" in card or "data-token" in card or "story-word" in card or "story-thing" in card
        )
        cut = backend.run([replace(request, maps=False, changes=step.cuts)])[0]
        after = next(answer.probability for answer in cut.answers if answer.label == story.answer)
        assert step.effect == pytest.approx(math.log(after) - math.log(story.probability), abs=2e-3)


@pytest.mark.slow
def test_the_story_of_a_word_of_a_written_answer(qwen2_audio_folder: Path) -> None:
    from mmviz.experiments.story import about_word

    model = f"hf:{qwen2_audio_folder}"
    backend = LocalBackend("cpu", {model: load(model, "cpu")})
    request = Request(model, make_sample(text="What was said?"), options=(("new_tokens", 3),))
    record = backend.run([request])[0]
    words = len(record.made_by["answer"])
    for word in range(words):
        asked, about = about_word(request, record, word)
        assert asked.answer_part == (word,)
        again = backend.run([asked])[0]
        assert list(again.made_by["answer_token"]) == list(about.made_by["answer_token"])
        story = measure_story(backend, asked, about)
        assert story.is_complete and all(step.effect <= -LEAST for step in story.steps)
    run = run_sample(request.sample, model=model, backend=backend, options={"new_tokens": 3}).about_words([words - 1])
    own = run.story()
    assert [(step.queries, step.keys, step.windows) for step in own.steps] == [
        (step.queries, step.keys, step.windows) for step in story.steps
    ], "a run about a word tells the story of that word"
    assert [step.effect for step in own.steps] == pytest.approx([step.effect for step in story.steps], abs=1e-5)
