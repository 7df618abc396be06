"""The world whose truth is known: what is drawn, spoken and asked is what the labels say."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from feature_chunks import FeatureStore
from made_up_tokens import Voices
from PIL import Image

from mmviz.models.encoders.picture_encoder import PATCHES
from mmviz.models.question_templates import FAMILIES, RELATIONS
from mmviz.models.trio_network import sounding_frames
from mmviz.training.fit.data import ExampleEncoder, Recipe, families_of_scene
from mmviz.training.fit.feature_store import open_chunks
from mmviz.training.fit.question_batches import PairStream
from mmviz.training.world.compose_sound import compose_sound
from mmviz.training.world.examples import TrainingExample, World
from mmviz.training.world.ground_truth_labels import frame_labels, patch_labels, patch_things
from mmviz.training.world.questions import INDEPENDENT_SPEECH, Question, QuestionGenerator, is_related, related
from mmviz.training.world.scenes import LARGEST, Scene, Thing, compose, inked, warped_drawing
from mmviz.training.world.sprites import concepts, load_line_drawings, load_sprites, styles
from mmviz.training.world.tokenizer import answers, build_tokenizer

pytestmark = pytest.mark.slow

PLAIN: dict[str, Any] = {"strength": 0.0, "busy": False}
"""For examples of which only the words and places count: drawn and spoken without variation, which is quicker."""


@pytest.fixture(scope="module")
def world() -> World:
    return World(("noto", "twemoji"), Voices())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def encoder() -> ExampleEncoder:
    return ExampleEncoder(build_tokenizer(concepts()), concepts())


def square(word: str, x: float, y: float, half: float = 0.05) -> Thing:
    return Thing(word, (x - half, y - half, x + half, y + half))


def test_the_held_out_art_is_held_out() -> None:
    assert styles(held_out=True) == ("fxemoji",) and "fxemoji" not in styles()
    assert len(concepts()) == 190 and set(load_sprites("noto")) == set(concepts())


def test_boxes_hold_the_drawing_and_nothing_else() -> None:
    red = np.zeros((96, 96, 4), np.uint8)
    red[..., 0], red[..., 3] = 255, 255
    for seed in range(20):
        scene = compose(np.random.default_rng(seed), ["cat"], {"cat": [red]}, strength=0.0)
        x0, y0, x1, y1 = (round(edge * 384) for edge in scene.things[0].box)
        inside = np.zeros((384, 384), bool)
        inside[y0:y1, x0:x1] = True
        assert (scene.pixels[inside] == (255, 0, 0)).all(-1).mean() > 0.95
        assert (scene.cover[inside] == 1).mean() > 0.95 and (scene.cover[~inside] == 0).all()
        assert 0.14 <= max(x1 - x0, y1 - y0) / 384 <= LARGEST[1] + 0.01


def test_a_line_drawing_has_paper_where_its_ink_encloses_it() -> None:
    drawing = load_line_drawings("noto-emoji")["egg"]
    ink, paper = drawing[..., 0], drawing[..., 1]
    assert (paper >= ink).all() and (paper > 200).sum() > 1.5 * (ink > 200).sum()
    assert paper[72, 72] == 255 and ink[72, 72] < 50 and paper[0, 0] == 0


def test_ink_and_paper_have_colours_of_their_own() -> None:
    ring = np.zeros((96, 96, 2), np.uint8)
    ring[8:88, 8:88] = 255, 255
    ring[16:80, 16:80] = 0, 255
    red = np.zeros((96, 96, 4), np.uint8)
    red[...] = 255, 0, 0, 255
    papers = []
    for seed in range(60):
        drawn = inked(np.random.default_rng(seed), ring, red)
        assert drawn.shape == (96, 96, 4) and drawn[12, 12, 3] == 255 and drawn[0, 0, 3] == 0
        assert (drawn[16:80, 16:80] == drawn[48, 48]).all() and (drawn[8:16, 8:88] == drawn[12, 12]).all()
        papers.append(drawn[48, 48])
    bare = sum(int(paper[3] == 0) for paper in papers)
    assert 3 <= bare <= 20, "some are lines alone"
    like = sum(int(paper[0] > 220 and paper[1] < 40 and paper[3] == 255) for paper in papers)
    assert like >= 15, "many have the colour of the coloured drawing"


def test_a_warp_moves_what_is_inside_by_little() -> None:
    dot = np.zeros((96, 96, 4), np.uint8)
    dot[40:56, 40:56] = 255
    moved = set()
    for seed in range(20):
        warped = np.asarray(warped_drawing(np.random.default_rng(seed), Image.fromarray(dot)))
        y, x = (axis.mean() for axis in np.nonzero(warped[..., 3] > 128))
        assert warped.shape == dot.shape and abs(y - 47.5) < 9 and abs(x - 47.5) < 9
        moved.add((round(y, 1), round(x, 1)))
    assert len(moved) > 15


def test_a_dot_is_found_within_one_patch(encoder: ExampleEncoder) -> None:
    dot = np.full((96, 96, 4), 255, np.uint8)
    for seed in range(20):
        scene = compose(np.random.default_rng(seed), ["cat"], {"cat": [dot]}, strength=0.0)
        arrays = patch_labels(scene.things, patch_things(scene), encoder.word_index)
        (centre,) = np.flatnonzero(arrays["patch_centre"])
        x, y = scene.things[0].centre
        middle = (np.array([centre % PATCHES, centre // PATCHES]) + 0.5) / PATCHES
        assert np.abs(middle - (x, y)).max() <= 0.501 / PATCHES
        assert arrays["patch_word"][centre] == encoder.word_index["cat"]
        assert np.abs(arrays["patch_offset"][centre]).max() <= 0.501 / PATCHES
        assert np.allclose(arrays["patch_offset"][centre] + middle, (x, y))


def test_the_word_sounds_in_its_interval() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        sound = compose_sound(rng, "cat", lambda text: Voices().clip("tone", text), busy=False, strength=0.0)
        assert 0 <= sound.start < sound.end <= len(sound.wave) / 16_000 <= 4.0
        inside = slice(round(sound.start * 16_000), round(sound.end * 16_000))
        energy = sound.wave.astype(np.float64) ** 2
        assert energy[inside].sum() > 0.95 * energy.sum()


def test_frames_are_labelled_where_the_word_sounds(world: World, encoder: ExampleEncoder) -> None:
    example = world.example(np.random.default_rng(4), ["heard"], busy=True)
    sound = example.sound
    arrays = frame_labels(sound.word, sound.start, sound.end, sounding_frames(len(sound.wave)), encoder.word_index)
    said = np.flatnonzero(arrays["frame_word"] == encoder.word_index[sound.word])
    assert len(said) >= 3
    assert sound.start <= (said[0] + 0.5) * 0.08 and (said[-1] + 0.5) * 0.08 <= sound.end
    assert arrays["frames"] == -(-len(sound.wave) // 1280)
    assert (arrays["frame_word"][arrays["frames"] :] == -1).all()


@pytest.mark.parametrize(
    ("first", "second", "true"),
    [((0.2, 0.5), (0.8, 0.6), "left of"), ((0.8, 0.5), (0.2, 0.4), "right of"), ((0.5, 0.1), (0.6, 0.9), "above"),
     ((0.5, 0.9), (0.4, 0.1), "below")],
)  # fmt: skip
def test_relations_by_hand(first: tuple[float, float], second: tuple[float, float], true: str) -> None:
    first_thing, second_thing = square("cat", *first), square("dog", *second)
    assert [relation for relation in RELATIONS if is_related(first_thing, relation, second_thing)] == [true]


def test_the_nearest_of_several_answers() -> None:
    things = [square("cat", 0.9, 0.5), square("dog", 0.1, 0.5), square("bus", 0.5, 0.6), square("sun", 0.9, 0.1)]
    assert related(things, "left of", 0) == [2, 1] and related(things, "above", 0) == [3]
    assert related(things, "right of", 0) == []


def test_answers_are_balanced(world: World) -> None:
    rng = np.random.default_rng(0)
    generator = QuestionGenerator(concepts())
    answers_of: dict[str, Counter[str]] = {family: Counter() for family in FAMILIES}
    both = 0
    for _ in range(3_000):
        count = int(rng.integers(1, 6))
        names = [str(word) for word in rng.choice(concepts(), count, replace=False)]
        things = [square(name, *rng.random(2)) for name in names]
        spoken = names[0] if rng.random() < 0.5 else str(rng.choice(concepts()))
        for family in FAMILIES:
            if generator.applies(family, things, spoken):
                question = generator.generate(rng, family, things, spoken)
                answers_of[family][question.answer] += 1
                both += family == "caption" and question.answer == "no" and len(question.things) == 2
    for family in ("there", "said", "seen", "caption"):
        assert 0.45 < answers_of[family]["yes"] / answers_of[family].total() < 0.55, family
    for family in ("rel", "relheard"):
        assert 0.02 < answers_of[family]["nothing"] / answers_of[family].total() <= 0.2, family
    assert all(0.16 < answers_of["count"][str(k)] / 3_000 < 0.24 for k in range(1, 6))
    assert all(
        0.18 < answers_of["odd"][kind] / answers_of["odd"].total() < 0.32 for kind in ("image", "text", "audio", "none")
    )
    assert 0.4 < both / answers_of["caption"]["no"] < 0.6


def reference_answer(example: TrainingExample, question: Question) -> str:
    """The rules of the world, written once more from the question's text alone."""
    text = question.text.lower().rstrip("?.")
    shown = {thing.word: thing for thing in example.scene.things}
    named = [word for word in concepts() if f" {word} " in f" {text} "]
    relation = next((relation for relation in RELATIONS if f" {relation} " in f" {text} "), None)
    if text in ("what is it", "what is in the picture"):
        return next(iter(shown))
    if text in ("what was said", "which word was spoken"):
        return example.sound.word
    if text.startswith("how many"):
        return str(len(shown))
    if text in ("is the spoken thing in the picture", "can you see what was said"):
        return "yes" if example.sound.word in shown else "no"
    if text.startswith(("did you hear", "was ")):
        return "yes" if named == [example.sound.word] else "no"
    if text.startswith(("is there", "can you see")):
        return "yes" if named[0] in shown else "no"
    if "[mask]" in text:
        return next(word for word in shown if word != named[0])
    if text.startswith("what is") and relation:
        anchor = example.sound.word if "spoken" in text else named[0]
        names = list(shown)
        answers = related(example.scene.things, relation, names.index(anchor))
        return names[answers[0]] if answers else "nothing"
    if relation:
        first, second = sorted(named, key=lambda word: f" {text} ".index(f" {word} "))
        if first not in shown or second not in shown:
            return "no"
        return "yes" if is_related(shown[first], relation, shown[second]) else "no"
    triple = [next(iter(shown)), named[0], example.sound.word]
    if len(set(triple)) == 1:
        return "none"
    return next(kind for k, kind in enumerate(("image", "text", "audio")) if triple.count(triple[k]) == 1)


def test_every_answer_is_true(world: World) -> None:
    rng = np.random.default_rng(8)
    counts = Counter[str]()
    for _ in range(100):
        example = world.example(rng, list(FAMILIES), **PLAIN)
        for question in example.questions:
            assert question.answer == reference_answer(example, question), question
            assert question.answer in answers(concepts())
            counts[question.family] += 1
    assert set(counts) == set(FAMILIES)


def test_evidence_lies_on_what_the_answer_rests_on(world: World, encoder: ExampleEncoder) -> None:
    rng = np.random.default_rng(11)
    for _ in range(40):
        example = world.example(rng, ["there", "relheard"], **PLAIN)
        things, sound, owner = example.scene.things, example.sound, patch_things(example.scene)
        frames = sounding_frames(len(sound.wave))
        scene = patch_labels(things, owner, encoder.word_index)
        scene |= frame_labels(sound.word, sound.start, sound.end, frames, encoder.word_index)
        for question in example.questions:
            arrays = encoder.question(things, sound.word, question, scene, (True, True, True))
            marked = set(owner[arrays["patch_evidence"] == 1].tolist())
            assert marked == set(question.things)
            assert (arrays["frame_evidence"] == 1).any() == question.sound
            dropped = encoder.question(things, sound.word, question, scene, (False, True, True))
            assert (dropped["patch_evidence"] == -1).all() and dropped["answer"] == arrays["answer"]


def test_a_batch_depends_on_its_seed_alone(feature_store: FeatureStore, encoder: ExampleEncoder) -> None:
    recipe = Recipe(scenes=2, questions=3, drop=0.2, many_words=0.3)
    stream = PairStream(open_chunks(feature_store[0]), open_chunks(feature_store[1]), encoder, recipe, seed=5)
    first, again, other = (stream.batch(np.random.default_rng(seed), [1, 4]) for seed in (1, 1, 2))
    assert all(bool((first[name] == again[name]).all()) for name in first)
    assert first["text"].shape != other["text"].shape or not bool((first["text"] == other["text"]).all())
    assert len(first["patch_features"]) == 2 and len(first["text"]) == 6
    assert int(first["text_lengths"].max()) == first["text"].shape[1]


def test_no_word_breaks_the_tokenizer() -> None:
    tokenizer = build_tokenizer(concepts())
    for text in ("Is there an axolotl?", "pizza-shaped ☃ moon!", "ÉLAN vital", "狗 and 猫", "x" * 300):
        encoded = tokenizer.encode(text)
        assert encoded.ids and all(0 <= start < end <= len(text) for start, end in encoded.offsets)
    assert tokenizer.encode("A Dog and a [MASK].").tokens == ["a", "dog", "and", "a", "[MASK]", "."]
    assert tokenizer.encode("axolotl").tokens == ["a", *(f"##{letter}" for letter in "xolotl")]


def test_scenes_keep_their_truth(world: World) -> None:
    scene: Scene = world.example(np.random.default_rng(2), [], count=5).scene
    assert len({thing.word for thing in scene.things}) == 5 and scene.pixels.shape == (384, 384, 3)
    for number, thing in enumerate(scene.things, start=1):
        rows, columns = np.nonzero(scene.cover == number)
        assert thing.box[0] == columns.min() / 384 and thing.box[3] == (rows.max() + 1) / 384


def test_what_is_spoken_says_nothing_of_a_picture_that_is_asked_for_alone(world: World) -> None:
    rng = np.random.default_rng(12)

    def named(*families: str) -> float:
        examples = [world.example(rng, families, **PLAIN) for _ in range(120)]
        return sum(example.sound.word in [thing.word for thing in example.scene.things] for example in examples) / len(
            examples
        )

    assert named("name", "heard", "rel", "mask") < 0.1
    assert 0.35 < named("seen", "there", "said") < 0.7


def test_questions_of_one_scene_are_all_apart_or_none(world: World, encoder: ExampleEncoder) -> None:
    rng = np.random.default_rng(13)
    odds = np.arange(1.0, len(FAMILIES) + 1) / sum(range(1, len(FAMILIES) + 1))
    drawn = [families_of_scene(rng, 4, odds) for _ in range(4000)]
    assert all(len({family in INDEPENDENT_SPEECH for family in families}) == 1 for families in drawn)
    counted = Counter(family for families in drawn for family in families)
    for family, share in zip(FAMILIES, odds, strict=True):
        assert counted[family] / (4 * len(drawn)) == pytest.approx(share, abs=0.025)
