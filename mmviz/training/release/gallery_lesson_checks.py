"""The example of the gallery on which each lesson of the page Learn shows what it says, and the check that it does.

What a lesson draws first is what is measured: the answer token's query, in the first head of the second layer of the
stack in which modalities meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.answer_token import answer_token
from mmviz.analysis.attention_steps import largest_difference, scale_scores, scores, softmax_weights
from mmviz.analysis.attributions import modality_shares
from mmviz.analysis.available_maps import default_map_ref
from mmviz.analysis.modality_matrix import cross_modal_share, modality_matrix
from mmviz.analysis.similarity import cosine_similarity, effective_number_of_keys, js_distance, token_vectors
from mmviz.training.release.gallery_checks import (
    IDLE_SHARE,
    Answers,
    Claim,
    MeasuredExample,
    OnlyKindFails,
    Verdict,
)
from mmviz.types import AttentionRecord, AttentionTensors, Modality, PixelBox

LAYER, HEAD = 1, 0
"""The layer of the stack and the head that the lessons begin with."""


@dataclass(frozen=True)
class WordNearPatches:
    """Tokens: a word of the text is more similar to the patches that show its thing than to those of the ground."""

    word: str
    """The label of the token, and the word of the thing."""
    margin: float = 0.1
    """By how much the mean cosines differ."""

    def verdict(self, example: MeasuredExample) -> Verdict:
        """Compares mean cosines of tokens as they enter the first attention. Patches of other things do not count."""
        record, image = example.record, example.sample.image
        assert image is not None  # the claim is about one
        number = _layers(record)[0]
        tokens = record.streams[record.maps[number].keys]
        words = [k for k, token in enumerate(tokens) if token.modality is Modality.TEXT and token.label == self.word]
        if not words:
            return Verdict(False, f"no token of the text is {self.word}")
        cosines = cosine_similarity(token_vectors(record.steps[number]), words[0])
        inside: list[float] = []
        ground: list[float] = []
        for token, cosine in zip(tokens, cosines, strict=True):
            if not isinstance(token.location, PixelBox):
                continue
            x = (token.location.x0 + token.location.x1) / 2 / image.width
            y = (token.location.y0 + token.location.y1) / 2 / image.height
            shown = {thing.word for thing in example.things if _contains(thing.box, x, y)}
            (inside if self.word in shown else [] if shown else ground).append(float(cosine))
        if not inside or not ground:
            return Verdict(False, f"no patch lies in the box of {self.word}, or all lie in boxes")
        near, far = float(np.mean(inside)), float(np.mean(ground))
        return Verdict(
            near >= far + self.margin, f"cosine {near:.2f} to the patches of {self.word}, {far:.2f} elsewhere"
        )


@dataclass(frozen=True)
class PowersDiffer:
    """Dot products: unscaled, two keys get 0.9 of the weight; each larger power of d_k spreads it over more keys."""

    def verdict(self, example: MeasuredExample) -> Verdict:
        """Divides the scores by ``d_k`` to the powers 0, 0.5 and 1, and counts the effective number of keys of each."""
        steps, query = _first_query(example.record)
        raw = scores(steps, HEAD, query)
        rows = [softmax_weights(raw / steps.query.shape[-1] ** power) for power in (0.0, 0.5, 1.0)]
        spread = [effective_number_of_keys(row) for row in rows]
        top = float(np.sort(rows[0])[-2:].sum())
        keys = ", ".join(f"{number:.1f}" for number in spread)
        figure = f"unscaled, two keys get {top:.2f}; effective number of keys at powers 0, 0.5, 1: {keys}"
        return Verdict(top >= 0.9 and spread[0] < spread[1] < spread[2] < len(raw), figure)


@dataclass(frozen=True)
class TemperatureSharpens:
    """Softmax: the lowest temperature gives one key more than 0.9 of the weight, which it does not have at 1."""

    def verdict(self, example: MeasuredExample) -> Verdict:
        """Compares the largest weights at the temperatures 0.1 and 1."""
        steps, query = _first_query(example.record)
        scaled = scale_scores(steps, scores(steps, HEAD, query))
        largest = [float(softmax_weights(scaled, temperature).max()) for temperature in (0.1, 1.0)]
        figure = f"largest weight {largest[0]:.2f} at temperature 0.1, {largest[1]:.2f} at 1"
        return Verdict(largest[0] > 0.9 > largest[1], figure)


@dataclass(frozen=True)
class StepsAgree:
    """Output: every step computed again from the model's own vectors is the model's."""

    def verdict(self, example: MeasuredExample) -> Verdict:
        """Holds where `largest_difference` is below 1e-4."""
        difference = largest_difference(example.record)
        return Verdict(difference < 1e-4, f"largest difference {difference:.1e}")


@dataclass(frozen=True)
class HeadUnlikeMean:
    """Heads: the row of some head is nothing like the mean over heads."""

    distance: float = 0.4
    """The Jensen-Shannon distance that some head must reach, 0 to 1."""

    def verdict(self, example: MeasuredExample) -> Verdict:
        """Measures the Jensen-Shannon distance of each head's row from the mean over heads."""
        weights, query = _first_weights(example.record)
        rows = weights[:, query]
        distances = [js_distance(row[None], rows.mean(0, keepdims=True)) for row in rows]
        return Verdict(
            max(distances) >= self.distance, f"largest distance of a head from the mean {max(distances):.2f}"
        )


@dataclass(frozen=True)
class CrossModalVaries:
    """Cross-modal: in some layers attention crosses modalities more than uniform attention does, in others less."""

    def verdict(self, example: MeasuredExample) -> Verdict:
        """Compares `cross_modal_share` with that of uniform attention in each layer."""
        record, excess = example.record, []
        for number in _layers(record):
            attn_map = record.maps[number]
            matrix = modality_matrix(
                attn_map.weights.mean(0, dtype=np.float64),
                record.streams[attn_map.queries],
                record.streams[attn_map.keys],
            )
            share, uniform = cross_modal_share(matrix)
            excess.append(share - uniform)
        figure = "cross-modal attention less its uniform value, by layer: " + ", ".join(f"{x:+.2f}" for x in excess)
        return Verdict(max(excess) > 0 > min(excess), figure)


@dataclass(frozen=True)
class AttentionIsNotEffect:
    """Limits: a modality gets much of the attention and has hardly an effect, or the other way round."""

    much: float = 0.3
    """Share that the larger of both must reach; the smaller stays below `IDLE_SHARE`."""

    def verdict(self, example: MeasuredExample) -> Verdict:
        """Compares each modality's share of the attention of the default map with its share of the effect."""
        record, shares = example.record, example.effect.shares
        attention = modality_shares(record, default_map_ref(record))
        differs = any(
            max(attention[m], shares[m]) >= self.much and min(attention[m], shares[m]) < IDLE_SHARE
            for m in example.effect.everything
        )
        pairs = ", ".join(f"{m} {attention[m]:.2f} and {shares[m]:.2f}" for m in example.effect.everything)
        return Verdict(differs, f"shares of attention and of the effect: {pairs}")


LESSONS: Mapping[str, tuple[str, tuple[Claim, ...]]] = {
    "tokens": ("mask", (WordNearPatches("banana"),)),
    "scores": ("seen", (PowersDiffer(),)),
    "softmax": ("caption", (TemperatureSharpens(),)),
    "output": ("count", (StepsAgree(),)),
    "heads": ("mismatch", (HeadUnlikeMean(),)),
    "cross-modal": ("spoken-place", (CrossModalVaries(),)),
    "fusion": ("spoken-place", (OnlyKindFails("late"),)),
    "training": ("spoken-place", (Answers(),)),
    "cost": ("spoken-place", ()),
    "limits": ("heard", (AttentionIsNotEffect(),)),
}
"""Lesson of the page Learn -> the id of its example, and what it claims of that. The cost has no claim on an example:
it is measured by the number of tokens alone."""


def lesson_claims(example_id: str) -> tuple[Claim, ...]:
    """Returns what the lessons claim of an example of the gallery."""
    return tuple(claim for name, claims in LESSONS.values() if name == example_id for claim in claims)


def _contains(box: tuple[float, float, float, float], x: float, y: float) -> bool:
    return box[0] <= x < box[2] and box[1] <= y < box[3]


def _layers(record: AttentionRecord) -> list[int]:
    """Returns the positions of the maps of the stack in which modalities meet."""
    return [number for number, attn_map in enumerate(record.maps) if attn_map.stack == record.default_stack]


def _first_query(record: AttentionRecord) -> tuple[AttentionTensors, int]:
    """Returns the tensors of the layer that lessons begin with, and the index of the answer token's query."""
    number = _layers(record)[LAYER]
    return record.steps[number], answer_token(record, record.maps[number].queries)


def _first_weights(record: AttentionRecord) -> tuple[NDArray[np.float32], int]:
    """Returns the weights ``[head, query, key]`` of that layer, and the index of the answer token's query."""
    attn_map = record.maps[_layers(record)[LAYER]]
    return attn_map.weights, answer_token(record, attn_map.queries)
