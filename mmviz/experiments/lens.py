"""The lens: what each token would answer after each layer, read through the model's own final norm and head.

It shows an answer as it forms, and it can mislead. The states of early layers may hold an answer in directions that
the head does not read, so that one which seems to be missing may be there; probes that are trained for each layer read
them better. And a token that no training made answer is read as if it were the one that answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmviz.backends import Backend, Progress, Stop, ignore_progress, never_stop
from mmviz.experiments.sweep_requests import answers_only
from mmviz.types import AttentionRecord, Request, Token, TokenLens


@dataclass(frozen=True)
class LayerAnswer:
    """What the token that answers would answer after one layer."""

    layer: int
    """0 for the tokens that enter the first layer, then the number of layers that have run."""
    module: str
    """What it was read after, as in `TokenLens.layers`."""
    answers: tuple[tuple[str, float], ...]
    """The most probable answers, best first, each with its log-probability in nats."""
    rank: int
    """Rank of the final answer, 1 for the most probable."""
    log_probability: float
    """Log-probability of the final answer, in nats."""


@dataclass(frozen=True)
class Lens:
    """A grid of layers and tokens: what each token would answer after each layer."""

    tokens: tuple[Token, ...]
    """The tokens of the stream, in its order."""
    reading: TokenLens
    """What was read of them, arrays ``[layer, token]``."""
    is_written: bool = False
    """Whether the model writes its answer, so that each word is read as the token that comes after it."""

    @property
    def layer_numbers(self) -> range:
        """The number of layers that had run before each row: from 0, or from 1 where what enters was not read."""
        start = 0 if self.reading.layers[0].endswith(":input") else 1
        return range(start, start + len(self.reading.layers))

    def answers_of(self, row: int, token: int) -> tuple[tuple[str, float], ...]:
        """Returns the most probable answers of a token in a row, best first, with their log-probabilities in nats."""
        reading = self.reading
        labels = (reading.labels[index] for index in reading.top[row, token])
        return tuple(zip(labels, reading.top_log_probabilities[row, token].tolist(), strict=True))

    def forming(self, token: int | None = None) -> list[LayerAnswer]:
        """Returns what ``token`` would answer after each layer; that of the token that answers for None."""
        reading = self.reading
        token = reading.answer_token if token is None else token
        return [
            LayerAnswer(
                layer, module, self.answers_of(row, token), int(reading.answer_ranks[row, token]),
                float(reading.answer_log_probabilities[row, token]),
            )
            for row, (layer, module) in enumerate(zip(self.layer_numbers, reading.layers, strict=True))
        ]  # fmt: skip

    @property
    def formed_at(self) -> int | None:
        """The first layer from which on the final answer is the most probable one of the token that answers.

        None where it is not after the last layer either, as of a part of an answer that was given.
        """
        ranks = self.reading.answer_ranks[:, self.reading.answer_token]
        others = np.flatnonzero(ranks != 1)
        first = int(others[-1]) + 1 if len(others) else 0
        return self.layer_numbers[first] if first < len(ranks) else None


def lens_requests(request: Request) -> tuple[Request, ...]:
    """Returns the request that `read_lens` needs the record of. Its maps tell where the tokens lie in the inputs."""
    return (replace(answers_only(request), maps=True, lens=True),)


def measure_lens(
    backend: Backend, request: Request, progress: Progress = ignore_progress, stop: Stop = never_stop
) -> Lens | None:
    """Returns the `Lens` of the answer of ``request``, or None if it was stopped.

    Formula: ``log_softmax(head(norm(h)))`` for the hidden state h of every token after every layer. Of a model that
    writes its answer, the answer that is followed is the first token of it, or of `Request.answer_part`.

    Raises ``MmvizError``: ``answer-none`` for a model without answers; ``lens-model``, ``lens-joined`` for one without
    a lens; ``lens-undetected``, ``lens-stream``, ``lens-tokens`` where its layers, norm and head must be named;
    ``lens-parity`` where what is read after the last layer is not the answer of the model.

    Sources: nostalgebraist 2020, "interpreting GPT: the logit lens"; where it misleads, Belrose et al. 2023,
    "Eliciting Latent Predictions from Transformers with the Tuned Lens", section 2.

    Examples:
        >>> lens = measure_lens(run.backend, run.request)
        >>> [step.answers[0][0] for step in lens.forming()]  # the input, and after each of six layers
        ['yes', 'nothing', 'nothing', 'nothing', 'nothing', 'nothing', 'fire']
    """
    return read_lens(backend.run(lens_requests(request), progress, stop))


def read_lens(records: Sequence[AttentionRecord]) -> Lens | None:
    """Returns the lens of the record of `lens_requests`; None without a record.

    Raises ``LookupError`` for a record of another request, which has none.
    """
    if not records:
        return None
    reading = records[0].lens
    if reading is None:
        raise LookupError("the record has no lens")
    tokens = records[0].streams[reading.stream]
    return Lens(tuple(tokens), reading, records[0].answer_log_probabilities is not None)
