"""Words that a model wrote: which tokens they are, and what was attended to while each of them was written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.modality_matrix import modality_members
from mmviz.types import MODALITIES, AttentionRecord, Token, is_unlocated_word, read_only

WRITTEN = "answer"
"""The group of the keys that are words of the answer."""
GROUPS = (*map(str, MODALITIES), WRITTEN)
"""Groups of keys: picture, text of the prompt, sound, special tokens, and the answer's own earlier words."""


@dataclass(frozen=True, eq=False)
class AnswerShares:
    """Where attention went while each word of an answer was written.

    A word is written from the token before it, so its row is that of this query, and its own earlier words are all that
    the query sees of the answer.
    """

    words: tuple[int, ...]
    """Indices of the answer's tokens in the stream of the queries."""
    queries: tuple[int, ...]
    """Indices of the tokens that wrote them, in the same stream."""
    groups: tuple[str, ...]
    """The groups of `GROUPS` that have keys."""
    shares: NDArray[np.float64]
    """float64 ``[word, group]``: sums of attention weights from the query to the keys of the group. A row sums to 1, or
    to less where the model takes a share away itself, see `mmviz.types.AttentionMap`."""


def answer_words(record: AttentionRecord, stream: str) -> tuple[int, ...]:
    """Returns the indices of the tokens of ``stream`` that the model wrote, in order; empty where it has none of them.

    They are its last tokens, as many as ``made_by["answer"]`` names. Raises ``KeyError`` where there is no such stream.
    """
    tokens, count = record.streams[stream], len(record.made_by.get("answer", ()))
    first = len(tokens) - count
    is_written = 0 < first < len(tokens) and all(map(is_unlocated_word, tokens[first:]))
    return tuple(range(first, len(tokens))) if is_written else ()


def written_log_probability(record: AttentionRecord) -> float | None:
    """Returns the log-probability of a written answer, or of the part that the run is about, in nats; None for others.

    Formula: the sum over its tokens of ``log p(token t | prompt, tokens before t)``.
    """
    if record.answer_log_probabilities is None or not record.answers:
        return None
    part = list(record.made_by.get("answer_part", ()))
    values = record.answer_log_probabilities[0]
    return float((values[part] if part else values).sum())


def answer_log_probability(record: AttentionRecord) -> float:
    """Returns the log-probability in nats of the answer that a record is about, see `mmviz.types.best_answer`.

    Of a written answer it is `written_log_probability`: the probability of a long text is too small for a float.
    """
    log_p = written_log_probability(record)
    return math.log(max(record.answers[0].probability, 1e-300)) if log_p is None else log_p


def answer_shares(
    rows: NDArray[Any], words: Sequence[int], key_tokens: Sequence[Token], written_keys: Sequence[int]
) -> AnswerShares:
    """Sums the attention of the queries that wrote an answer over groups of keys.

    Formula: ``share[t, g] = sum over keys k of group g of w[t - 1, k]`` for the token ``t`` of the answer.
    Shapes: ``rows`` ``[word, key]``, those of the tokens before ``words``; the result is at most ``[word, 5]``.
    ``written_keys``: the keys that are words of the answer, by index; they count as a group of their own.
    Raises ``ValueError`` where the rows do not fit.
    """
    if rows.shape != (len(words), len(key_tokens)):
        raise ValueError(f"rows {list(rows.shape)} do not fit {len(words)} words and {len(key_tokens)} keys")
    written = np.zeros(len(key_tokens))
    written[list(written_keys)] = 1
    members = np.vstack([modality_members(key_tokens, MODALITIES) * (1 - written), written])
    present = [number for number, keys in enumerate(members) if keys.any()]
    return AnswerShares(
        words=tuple(words),
        queries=tuple(word - 1 for word in words),
        groups=tuple(GROUPS[number] for number in present),
        shares=read_only(rows.astype(np.float64) @ members[present].T),
    )
