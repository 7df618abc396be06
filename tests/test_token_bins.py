"""Bins of tokens keep to one modality, and sums and means over them are those of every entry."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mmviz.types import Modality, Token
from mmviz.types.token_bins import bin_edges, bin_means, bin_sums, modality_runs

LETTERS = {"i": Modality.IMAGE, "t": Modality.TEXT, "a": Modality.AUDIO, "s": Modality.SPECIAL}


def tokens(modalities: str) -> list[Token]:
    """Returns a token for each letter: i for image, t for text, a for audio, s for special."""
    return [Token(LETTERS[letter], letter) for letter in modalities]


@pytest.mark.parametrize(
    ("modalities", "runs"),
    [("", []), ("i", [(0, 1)]), ("sttti", [(0, 1), (1, 4), (4, 5)]), ("titi", [(0, 1), (1, 2), (2, 3), (3, 4)])],
)
def test_runs_of_one_modality(modalities: str, runs: list[tuple[int, int]]) -> None:
    assert modality_runs(tokens(modalities)) == runs


def test_a_short_stream_has_a_bin_for_each_token() -> None:
    assert bin_edges(tokens("sttia"), 8) == [0, 1, 2, 3, 4, 5]
    assert bin_edges([], 8) == [0]


def test_a_long_stream_has_bins_of_one_modality_with_similar_widths() -> None:
    stream = tokens("s" + "i" * 60 + "t" * 5 + "a" * 34)
    edges = bin_edges(stream, 12)
    assert len(edges) == 13 and edges[0] == 0 and edges[-1] == 100 and edges == sorted(set(edges))
    bins = [stream[first:last] for first, last in pairwise(edges)]
    assert all(len({token.modality for token in group}) == 1 for group in bins)
    assert max(map(len, bins)) <= 10


def test_modalities_that_change_too_often_are_binned_evenly() -> None:
    assert bin_edges(tokens("it" * 50), 10) == list(range(0, 101, 10))


def test_sums_and_means_over_bins_are_those_of_every_entry() -> None:
    weights = np.random.default_rng(0).random((2, 9, 12)).astype(np.float32)
    query_edges, key_edges = [2, 3, 8], [1, 4, 5, 11]
    means, column_sums = bin_means(weights, query_edges, key_edges), bin_sums(weights, key_edges, 2)
    assert means.shape == (2, 2, 3) and means.dtype == column_sums.dtype == np.float64
    for q, (first, last) in enumerate(pairwise(query_edges)):
        for k, (start, end) in enumerate(pairwise(key_edges)):
            expected = weights[:, first:last, start:end].astype(np.float64)
            assert means[:, q, k] == pytest.approx(expected.mean((1, 2)), abs=1e-15)
            assert column_sums[:, :, k] == pytest.approx(weights[:, :, start:end].astype(np.float64).sum(2), abs=1e-15)
