"""Tokens with their locations: patches tile the image, moments the audio, pieces of a prompt know their characters."""

from __future__ import annotations

import numpy as np
import pytest

import mmviz
from mmviz import Chars, Modality, PixelBox, Seconds, Token
from mmviz.inputs.token_builders import audio_moments, image_patches, prompt_tokens
from mmviz.types import MmvizError


def test_patches_tile_the_image_row_by_row() -> None:
    sample = mmviz.make_sample(np.zeros((40, 90, 3), np.uint8))
    assert sample.image is not None
    patches = image_patches(sample.image, 2, 3)
    assert [token.label for token in patches] == [f"patch {row}, {column}" for row in (0, 1) for column in (0, 1, 2)]
    assert patches[0].location == PixelBox(0, 0, 30, 20) and patches[5].location == PixelBox(60, 20, 90, 40)


def test_moments_end_with_the_audio_and_padding_follows() -> None:
    sample = mmviz.make_sample(audio=(np.full(16_000 + 4_000, 0.1, np.float32), 16_000))  # 1.25 s
    assert sample.audio is not None
    moments = audio_moments(sample.audio, 4, 0.5)
    assert [token.location for token in moments] == [
        Seconds(0, 0.5), Seconds(0.5, 1), Seconds(1, 1.25), None
    ]  # fmt: skip
    assert [token.modality for token in moments] == [Modality.AUDIO] * 3 + [Modality.SPECIAL]
    assert moments[3].label == "padding"


PROMPT = "<s>look: <I><I> a cat? a cat</s>"
TEXT = "a cat"


def offsets(*pieces: str) -> list[tuple[int, int]]:
    """Where the pieces stand in the prompt, one after another."""
    places, end = [], 0
    for piece in pieces:
        start = PROMPT.index(piece, end)
        end = start + len(piece)
        places.append((start, end))
    return places


def test_pieces_of_a_prompt_are_the_text_special_tokens_or_what_stands_in_their_place() -> None:
    pieces = ("<s>", "look:", "<I>", "<I>", "a cat?", "a", "cat", "</s>")
    patches = [Token(Modality.IMAGE, f"p{k}", PixelBox(k, 0, k + 1, 1)) for k in (0, 1)]
    tokens = prompt_tokens(PROMPT, offsets(*pieces), TEXT, {"<I>": patches})
    assert [token.label for token in tokens] == ["<s>", "look:", "p0", "p1", "a cat?", "a", "cat", "</s>"]
    assert tokens[5] == Token(Modality.TEXT, "a", Chars(0, 1)) and tokens[6].location == Chars(2, 5)
    assert tokens[2:4] == patches and tokens[4].modality is tokens[1].modality is Modality.SPECIAL


@pytest.mark.parametrize("count", [1, 3])
def test_a_prompt_with_another_number_of_places_is_refused(count: int) -> None:
    patches = [Token(Modality.IMAGE, "p", PixelBox(0, 0, 1, 1))] * count
    with pytest.raises(MmvizError) as error:
        prompt_tokens(PROMPT, offsets("<I>", "<I>"), placeholders={"<I>": patches})
    assert error.value.code == "own-placeholders" and f"2 places of <I>, but {count} tokens" in str(error.value)


def test_a_prompt_without_text_of_the_user_has_special_tokens_alone() -> None:
    assert [token.modality for token in prompt_tokens("<s>hi", [(0, 3), (3, 5)])] == [Modality.SPECIAL] * 2
