"""The questions of the world as data: what is composed is read again, what is free is told apart."""

from __future__ import annotations

import numpy as np
import pytest

from mmviz.models.question_templates import (
    FAMILIES,
    RELATIONS,
    TEMPLATES,
    Question,
    article,
    compose,
    known_words,
    nearest,
    read,
    slots,
    unknown_word,
)
from mmviz.models.trio_model import BundledTrio
from mmviz.training.world.questions import QuestionGenerator
from mmviz.training.world.scenes import Thing
from mmviz.training.world.sprites import concepts
from mmviz.types import Sample

FREE = (
    # short
    "", "?", "hi", "hello", "why", "help me", "and now?", "42", "cats", "dogs?", "picture", "yes", "the", "x",
    # about the picture or the sound, but none of the wordings
    "what colour is the dog", "What color is the cat?", "is the dog happy?", "where is the cat",
    "what is the dog doing?", "who is in the picture?", "what do you see?", "Describe this image.",
    "how many dogs are there", "how many things can you hear", "count the animals", "is it raining?",
    "is this a photo?", "describe the sound", "Where is the dog?", "what is this",
    "What's in the picture?", "what is in the image", "is there anything in the picture",
    "are there any cats", "is there a cat", "is there a cat in the image", "is there a cat or a dog in the picture",
    "Is there a red car in the picture?", "can you see a big dog", "can you hear the dog", "did you hear a dog bark",
    "was it a dog", "was the cat mentioned?", "what is next to the cat", "what is behind the dog?",
    "what is to the left of the cat", "what is left of the cat and the dog", "the cat is left of the dog",
    "a cat near a dog", "a dog and a cat", "a cat and a", "a [MASK] and a [MASK]", "which one is different: cat",
    "transcribe the audio", "translate what was said into French", "who is speaking?", "is the speaker a woman?",
    # other languages
    "Was ist auf dem Bild zu sehen?", "Was wurde gesagt?", "Ist ein Hund im Bild?", "¿Qué hay en la imagen?",
    "Y a-t-il un chien dans l'image ?", "что на картинке?", "图片里有什么?", "画像には何がありますか", "क्या कहा गया",
    # long
    "Please look carefully at the picture and tell me in a few words what the person in the middle is holding.",
    "I recorded this sound in my garden this morning; which bird do you think is singing, and is it also in the photo?",
    "is there a cat in the picture? is there a dog in the picture? is there a bird in the picture?",
    "ignore the picture and write a poem about autumn leaves falling on a quiet river",
    # words that are not in the list
    "is there a helicopterz in the picture", "can you see an airship", "did you hear thunder", "was banjo said",
    "what is left of the lantern", "a cat above the couch", "a platypus and a [MASK]", "which one differs: wardrobe",
)  # fmt: skip


def expected_question(family: str, word: str, other: str, relation: str) -> Question:
    """What a question is that was composed of these."""
    needed = slots(family)
    words = tuple(value for name, value in (("x", word), ("y", other)) if name in needed)
    return Question(family, words, relation if "rel" in needed else "")


def test_what_is_composed_is_read_again() -> None:
    words = known_words()
    for family, wordings in TEMPLATES.items():
        for k, word in enumerate(words):
            for relation in RELATIONS:
                for wording in range(len(wordings)):
                    other = words[(k + 7) % len(words)]
                    text = compose(family, word, other, relation, wording)
                    assert read(text) == expected_question(family, word, other, relation), text


@pytest.mark.parametrize("change", [
    str.upper, str.title, lambda text: text.rstrip("?.") + "!", lambda text: f"  {text.replace(' ', '  ')} \n",
    lambda text: text.rstrip("?.") + " ?", lambda text: text.replace(" an ", " ").replace(" a ", " a "),
])  # fmt: skip
def test_case_mark_and_spaces_are_free(change) -> None:  # type: ignore[no-untyped-def]
    for family in FAMILIES:
        text = compose(family, "eagle", "dog", "right of")
        assert read(change(text)) == read(text) != None, change(text)  # noqa: E711


@pytest.mark.parametrize("written", ["a owl", "an owl", "the owl", "owl"])
def test_any_article_will_do(written: str) -> None:
    for text in (f"can you see {written}", f"{written} and a [MASK]", f"what is above {written}", written):
        parsed = read(text)
        assert parsed is not None and parsed.words == ("owl",), text


def test_the_article_is_the_spoken_one() -> None:
    assert [article(word) for word in ("cat", "apple", "umbrella", "unicorn")] == ["a", "an", "an", "a"]
    assert compose("there", "octopus") == "Is there an octopus in the picture?"
    assert compose("caption", "owl", "cat", "left of") == "An owl left of the cat."
    assert compose("odd", "cat") == "cat" and compose("odd", "cat", template=1) == "Which one differs: cat"


def test_a_question_without_its_words_is_not_composed() -> None:
    with pytest.raises(ValueError, match="needs rel and x"):
        compose("rel")
    assert {family: slots(family) for family in ("name", "said", "relheard", "caption")} == {
        "name": (), "said": ("x",), "relheard": ("rel",), "caption": ("x", "rel", "y"),
    }  # fmt: skip


def test_every_question_of_the_world_is_read() -> None:
    rng, generator, words = np.random.default_rng(3), QuestionGenerator(concepts()), concepts()
    for _ in range(400):
        names = [str(word) for word in rng.choice(words, int(rng.integers(1, 6)), replace=False)]
        things = [Thing(name, (*(corner := rng.random(2) * 0.8), *(corner + 0.1))) for name in names]
        spoken = names[0] if rng.random() < 0.5 else str(rng.choice(words))
        for family in FAMILIES:
            if generator.applies(family, things, spoken):
                question = generator.generate(rng, family, things, spoken)
                parsed = read(question.text)
                assert parsed is not None and parsed.family == family and parsed.words == question.words, question.text


@pytest.mark.parametrize("text", FREE)
def test_a_free_question_is_none_of_the_world(text: str) -> None:
    assert read(text) is None
    assert read(nearest(text)) is not None


def test_there_are_enough_free_questions() -> None:
    assert len(set(FREE)) == len(FREE) >= 60


def test_a_word_that_is_not_in_the_list_is_named() -> None:
    assert unknown_word("Is there a helicopterz in the picture?") == "helicopterz"
    assert unknown_word("a cat above the couch") == "couch"
    assert unknown_word("is there a cat in the picture") is None
    assert unknown_word("what colour is the dog") is None
    assert unknown_word("can you see <b>it</b>") is None, "only letters are ever named"


def test_the_nearest_question_is_about_the_same_words() -> None:
    assert nearest("is there a dog on the picture") == "Is there a dog in the picture?"
    assert nearest("is there a helicopterz in the picture") == "Is there a helicopter in the picture?"
    assert nearest("what's right of the bus please") == "What is right of the bus?"
    assert nearest("what is next to the cat") == "What is left of the cat?", "what is not a misspelt hat"
    assert nearest("Was ist denn da los, bitte?") == "Is there a cat in the picture?"
    assert nearest("a" * 5_000) == "Is there a cat in the picture?"


def test_the_mask_is_read_in_any_case() -> None:
    model = BundledTrio("cpu")
    given, other = (model.prepare(Sample(text=f"a cat and a {mask}.")) for mask in ("[MASK]", "[mask]"))
    assert given.tensors.text.tolist() == other.tensors.text.tolist() and not other.notices
    assert [token.label for token in other.streams["tokens"]].count("[MASK]") == 1
