"""Runs with made-up attention, of every shape that the viewer must handle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from made_up_tokens import ANSWER, PIXELS, WAVE, patches
from numpy.typing import NDArray

from mmviz.explain import Run
from mmviz.types import (
    Answer,
    AttentionMap,
    AttentionRecord,
    AudioInput,
    Chars,
    ImageInput,
    Modality,
    Sample,
    Seconds,
    Token,
)

TEXT = "what is left of the cat"
PAIR = ("all", "all")


def words(text: str = TEXT) -> list[Token]:
    """One token per word."""
    tokens, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        tokens.append(Token(Modality.TEXT, word, Chars(at, at + len(word))))
        at += len(word)
    return tokens


def frames(count: int) -> list[Token]:
    """Tokens of the audio `WAVE`, half a second."""
    step = 0.5 / count
    return [Token(Modality.AUDIO, f"frame {k}", Seconds(k * step, (k + 1) * step)) for k in range(count)]


def trio(rows: int = 3, columns: int = 5, audio: int = 6) -> list[Token]:
    """An answer token, patches of `PIXELS`, words and ``audio`` tokens of the audio."""
    return [ANSWER, *patches(301, 187, rows, columns), *words(), *frames(audio)]


def attention(heads: int, queries: int, keys: int, seed: int = 0) -> NDArray[np.float32]:
    """Weights ``[head, query, key]``: rows sum to 1 and have zeros; head 0 is uniform, so there are ties."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_gamma(0.2, (heads, queries, keys)) + 1e-12
    weights[..., : keys // 4] *= rng.random((heads, queries, keys // 4)) > 0.5
    weights[0] = 1
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float32)


def record(
    streams: dict[str, list[Token]], maps: Sequence[tuple[str, str, int, int]], answers: int = 7, **fields: Any
) -> AttentionRecord:
    """A record with ``maps`` (queries, keys, layer, heads); ``fields`` are further fields of the record."""
    return AttentionRecord(
        **{
            "id": "made-up",
            "streams": {name: tuple(tokens) for name, tokens in streams.items()},
            "maps": tuple(
                AttentionMap(
                    f"layer{layer}",
                    layer,
                    queries,
                    keys,
                    attention(heads, len(streams[queries]), len(streams[keys]), seed),
                )  # fmt: skip
                for seed, (queries, keys, layer, heads) in enumerate(maps)
            ),
            "answers": tuple(Answer(f"word {k}", 0.5 / 2**k) for k in range(answers)),
            "made_by": {},
        }
        | fields
    )


WHOLE = Sample(ImageInput(PIXELS, 301, 187), TEXT, AudioInput(WAVE, 16_000, 0.5))


def plain(layers: int = 2, heads: int = 3) -> Run:
    """A small trio with relevance."""
    tokens = trio()
    relevance = attention(1, len(tokens), len(tokens), 99)[0] * 3
    return Run(WHOLE, record({"all": tokens}, [(*PAIR, layer, heads) for layer in range(layers)], relevance=relevance))


def cross() -> Run:
    """A decoder of three tokens with self-attention, and twice cross-attention to a trio without an answer token."""
    streams = {"decoder": [ANSWER, *words("a cat")], "all": trio()[1:]}
    maps = [("decoder", "decoder", 0, 2), ("decoder", "all", 0, 2), ("decoder", "all", 1, 3), ("all", "all", 4, 1)]
    return Run(WHOLE, record(streams, maps))


SEES, READS, ASKS = "vision_model.encoder.layers.self_attn", "decoder.layers.self_attn", "decoder.layers.encoder_attn"
"""The stacks of `towers`."""


def causal(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights ``[head, query, key]`` without those on later keys, rows summing to 1 again."""
    lower = np.tril(weights.astype(np.float64) + 1e-3)
    return (lower / lower.sum(-1, keepdims=True)).astype(np.float32)


def towers() -> Run:
    """A picture tower whose first layer has windows, and a causal decoder, with a sink, that attends to its patches.

    All three stacks have the layers 0 and 1; those of the decoder run by turns.
    """
    picture, text = patches(301, 187, 3, 4), [ANSWER, *words()]
    windows = tuple(int(k >= 6) for k in range(12))
    same = np.equal.outer(windows, windows)
    first = attention(2, 12, 12, 1) * same + 1e-6 * same
    within = attention(2, len(text), len(text), 2)
    sees = [first / first.sum(-1, keepdims=True), attention(2, 12, 12, 3)]
    maps = [
        AttentionMap(f"vision_model.encoder.layers.{k}.self_attn", k, "picture", "picture", weights.astype(np.float32),
                     stack=SEES, windows=() if k else windows)
        for k, weights in enumerate(sees)
    ]  # fmt: skip
    for k in range(2):
        name = f"decoder.layers.{k}"
        weights = causal(within) * np.float32(0.75)
        maps.append(AttentionMap(f"{name}.self_attn", k, "text", "text", weights, stack=READS, absorbed_by="sink"))
        weights = attention(3, len(text), 12, 5 + k)
        maps.append(AttentionMap(f"{name}.encoder_attn", k, "text", "picture", weights, stack=ASKS))
    streams: dict[str, list[Token]] = {"picture": picture, "text": text}
    return Run(Sample(WHOLE.image, TEXT), replace(record(streams, []), maps=tuple(maps)))


def one_token() -> Run:
    """One token, one head, no answers, no image and no audio."""
    return Run(Sample(text="cat"), record({"all": words("cat")}, [(*PAIR, 0, 1)], answers=0))


def one_modality() -> Run:
    """Patches alone."""
    return Run(Sample(image=WHOLE.image), record({"all": patches(301, 187, 4, 4)}, [(*PAIR, 0, 2)]))


def unlocated() -> Run:
    """Inputs without tokens of their own: one token stands in the place of each modality."""
    tokens = [ANSWER, *(Token(modality, "absent") for modality in (Modality.IMAGE, Modality.TEXT, Modality.AUDIO))]
    return Run(WHOLE, record({"all": tokens}, [(*PAIR, 0, 2)]))


def alternating() -> Run:
    """Modalities that change with every token, more often than there are bins."""
    pairs = zip(patches(301, 187, 5, 8), frames(40), strict=True)
    return Run(WHOLE, record({"all": [token for pair in pairs for token in pair]}, [(*PAIR, 0, 2)]))


def many_heads() -> Run:
    """32 layers of 32 heads."""
    return Run(WHOLE, record({"all": trio()}, [(*PAIR, layer, 32) for layer in range(32)]))


def long() -> Run:
    """1,024 tokens, six layers of three heads."""
    tokens = [ANSWER, *patches(301, 187, 25, 40), *words(), *frames(17)]
    return Run(WHOLE, record({"all": tokens}, [(*PAIR, layer, 3) for layer in range(6)]))


ODD: dict[str, Callable[[], Run]] = {
    build.__name__: build
    for build in (plain, cross, towers, one_token, one_modality, unlocated, alternating, many_heads, long)
}
