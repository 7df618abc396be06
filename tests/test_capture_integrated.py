"""Integrated gradients: exact where paper knows them, complete everywhere, and nothing stays behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import mmviz
from mmviz.backends.local import LocalBackend
from mmviz.backends.local.backend import shuffle_parameters
from mmviz.capture.integrated_gradients import STEPS, IntegratedGradients, integrated_gradients, tokens_entering
from mmviz.inputs.examples import load_gallery
from mmviz.models.bundled import BundledTrio
from mmviz.models.custom import CustomModel
from mmviz.types import (
    AblateHead,
    AttentionRecord,
    CaptureError,
    MmvizError,
    Modality,
    Request,
    Sample,
    ShuffleWeights,
    UniformAttention,
)

LN3 = math.log(3)


class Sums(nn.Module):
    """Two logits: ``shape`` of the sum of the first numbers of all tokens, and 0."""

    def __init__(self, shape: Callable[[Tensor], Tensor] = lambda z: z):
        super().__init__()
        self.tokens, self.shape = nn.Identity(), shape

    def forward(self, x: Tensor) -> Tensor:
        z = self.shape(self.tokens(x)[..., 0].sum(1))
        return torch.stack([z, torch.zeros_like(z)], -1)


TOKENS = torch.tensor([[[2 * LN3, 7.0], [-LN3, 1.0], [0.0, 5.0]]])


def sums(
    module: nn.Module, tokens: Tensor, baseline: Tensor, rows: int = STEPS, answer: int = 0
) -> IntegratedGradients:
    def run(count: int) -> Tensor:
        found: Tensor = module(tokens.expand(count, -1, -1))
        return found

    return integrated_gradients(module, "tokens", run, answer, tokens, baseline, rows)


def test_a_linear_model_gives_what_paper_gives() -> None:
    # the sum goes from 0 to ln 3, so p from 1/2 to 3/4; each token has its share of the sum of ln 3/2
    found = sums(Sums(), TOKENS, torch.zeros_like(TOKENS))
    assert found.total == pytest.approx(math.log(1.5), abs=1e-6) and found.steps == STEPS
    assert found.amounts == pytest.approx(np.array([2, -1, 0]) * math.log(1.5), abs=1e-6)
    assert found.amounts.dtype == np.float32 and abs(found.gap) < 1e-6
    # of the other answer p goes from 1/2 to 1/4
    other = sums(Sums(), TOKENS, torch.zeros_like(TOKENS), answer=1)
    assert other.amounts == pytest.approx(np.array([-2, 1, 0]) * math.log(2), abs=1e-6)


def test_amounts_begin_at_the_baseline() -> None:
    # from -ln 3 to ln 3, so p from 1/4 to 3/4, on a way of 2, -1 and 1 times ln 3
    baseline = torch.tensor([[[0.0, 7.0], [0.0, -3.0], [-LN3, 0.0]]])
    found = sums(Sums(), TOKENS, baseline)
    assert found.total == pytest.approx(LN3, abs=1e-6)
    assert found.amounts == pytest.approx(np.array([1, -0.5, 0.5]) * LN3, abs=1e-6)


@pytest.mark.parametrize("rows", [1, STEPS])
def test_where_the_answer_turns_sharply_more_points_are_taken(rows: int) -> None:
    tokens = torch.tensor([[[0.75, 0.0], [0.25, 0.0]]])
    steep = Sums(lambda z: 300 * (z - 0.337))
    found = sums(steep, tokens, torch.zeros_like(tokens), rows)
    assert found.total == pytest.approx(300 * 0.337, rel=1e-4) and found.steps > STEPS
    assert found.amounts == pytest.approx(np.array([0.75, 0.25]) * found.total, rel=0.01)
    assert float(found.amounts.sum()) - found.total == pytest.approx(found.gap, abs=1e-3)


@pytest.mark.parametrize("name", ["seen", "said"])
def test_amounts_of_trio_add_up(name: str) -> None:
    (sample,) = (trio.sample() for trio in load_gallery() if trio.id == name)
    record = LocalBackend("cpu").run([Request("trio", sample, maps=False, integrated_gradients=True)])[0]
    model = BundledTrio("cpu")
    ready = model.prepare(sample)
    stream = record.streams["tokens"]
    with torch.no_grad():
        trio: Any = model.module
        x, real = trio.sequence(ready.tensors, *(
            part(given) for part, given in
            ((trio.encode_image, ready.tensors.image), (trio.encode_audio, ready.tensors.mel))
        ))  # fmt: skip
        x = x[:, real[0]]
        order = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO)
        nothing = [
            own if token.modality is Modality.SPECIAL else trio.absent_embedding[order.index(token.modality)]
            for token, own in zip(stream, x[0], strict=True)
        ]
        both = torch.stack([x[0], torch.stack(nothing)])
        logits = trio.fuse(both, torch.ones(both.shape[:2], dtype=torch.bool)).logits.double().log_softmax(-1)
    answer = model.card.answers.index(record.answers[0].label)
    total = float(logits[0, answer] - logits[1, answer])
    assert record.integrated is not None and record.integrated.shape == (len(stream),)
    made = record.made_by["integrated"]
    assert made["baseline"] == "learned" and made["steps"] >= STEPS
    assert made["total"] == pytest.approx(total, abs=1e-3)
    assert abs(float(record.integrated.sum()) - total) <= 0.01 * max(abs(total), 0.1)
    assert record.integrated[0] == 0, "the answer token is there in both"
    assert "gradients" in record.made_by["milliseconds"] and not record.integrated.flags.writeable


def hooks(module: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())


def test_the_hook_is_gone_afterwards_even_after_a_failure() -> None:
    module = Sums()
    before = module(TOKENS)
    sums(module, TOKENS, torch.zeros_like(TOKENS))
    assert hooks(module) == 0 and torch.equal(module(TOKENS), before)

    def failing(count: int) -> Tensor:
        module(TOKENS)
        raise RuntimeError("too hot")

    with pytest.raises(RuntimeError, match="too hot"):
        integrated_gradients(module, "tokens", failing, 0, TOKENS, torch.zeros_like(TOKENS))
    with pytest.raises(RuntimeError, match="too hot"):
        tokens_entering(module, "tokens", lambda: failing(1))
    assert hooks(module) == 0 and torch.equal(module(TOKENS), before)


class Odd(nn.Module):
    """Parts that are no place where tokens enter."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.twice, self.unused, self.never, self.good = (nn.Identity() for _ in range(5))
        self.pair = nn.LSTM(2, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        self.unused(x)
        found: Tensor = self.pair(self.twice(self.twice(x)))[0].sum(1) + self.flat(x.sum(1))
        return found + self.good(x).sum(1)


@pytest.mark.parametrize("path", ["flat", "twice", "pair", "never"])
def test_a_place_that_gives_no_tokens_is_told(path: str) -> None:
    module = Odd()
    with pytest.raises(CaptureError) as refusal:
        tokens_entering(module, path, lambda: module(TOKENS))
    assert refusal.value.code == "integrated-place" and f": {path} does not output tokens" in str(refusal.value)
    assert hooks(module) == 0
    own = CustomModel(module, lambda sample: (TOKENS, list("abc")), ["yes", "no"], embedding=path)
    record = LocalBackend("cpu", {"own": own}).run(
        [Request("own", Sample(text="a"), maps=False, integrated_gradients=True)]
    )[0]
    assert record.integrated is None and [notice.code for notice in record.notices] == ["integrated-place"]
    assert record.made_by["integrated"] == {"refused": "integrated-place", "path": path}
    assert torch.equal(tokens_entering(module, "good", lambda: module(TOKENS)), TOKENS)


class Quiet(Sums):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(x)


@pytest.mark.parametrize(("module", "path"), [(Quiet(), "tokens"), (Odd(), "unused")])
def test_a_place_that_gradients_do_not_reach_is_told(module: nn.Module, path: str) -> None:
    own = CustomModel(module, lambda sample: (TOKENS, list("abc")), ["yes", "no"], embedding=path)
    record = LocalBackend("cpu", {"own": own}).run(
        [Request("own", Sample(text="a"), maps=False, integrated_gradients=True)]
    )[0]
    assert record.integrated is None and [notice.code for notice in record.notices] == ["integrated-graph"]
    assert path in str(record.notices[0]) and len(record.answers) == 2 and hooks(module) == 0


def test_a_model_without_a_place_says_so_and_one_names_only_its_own() -> None:
    record = LocalBackend("cpu").run([Request("toy", Sample(text="left"), integrated_gradients=True)])[0]
    assert record.integrated is None and "where tokens enter toy is not known" in str(record.notices[0])
    with pytest.raises(MmvizError) as refusal:
        CustomModel(Sums(), lambda sample: (TOKENS, list("abc")), ["yes", "no"], embedding="nowhere")
    assert refusal.value.code == "own-embedding"


class Overwriting(Sums):
    """Adds to its tokens in their place."""

    def forward(self, x: Tensor) -> Tensor:
        found = self.tokens(x.clone())
        found += 1
        z = found[..., 0].sum(1)
        return torch.stack([z, torch.full_like(z, 3.0)], -1)


@pytest.mark.parametrize("module", [Sums(), Overwriting()])
def test_a_model_of_ones_own_names_its_place(module: nn.Module) -> None:
    own = CustomModel(module, lambda sample: (TOKENS, list("abc")), ["yes", "no"], embedding="tokens")
    record = LocalBackend("cpu", {"own": own}).run(
        [Request("own", Sample(text="a"), maps=False, integrated_gradients=True)]
    )[0]
    assert record.answers[0].label == "yes" and record.made_by["integrated"]["baseline"] == "zeros"
    assert record.integrated == pytest.approx(np.array([2, -1, 0]) * math.log(1.5), abs=1e-6)


SPOKEN = Sample(text="what colour is the dog")


def asked(model: Any, *changes: Any, name: str = "trio") -> AttentionRecord:
    backend = LocalBackend("cpu", {} if model is None else {name: model})
    return backend.run([Request(name, SPOKEN, changes, maps=False, integrated_gradients=True)])[0]


def same(one: AttentionRecord, other: AttentionRecord) -> bool:
    totals = [record.made_by["integrated"]["total"] for record in (one, other)]
    assert one.integrated is not None and other.integrated is not None
    return one.answers[0].label == other.answers[0].label and bool(
        np.allclose(one.integrated, other.integrated, atol=1e-4) and abs(totals[0] - totals[1]) < 1e-4
    )


def test_they_are_those_of_the_model_as_it_was_changed() -> None:
    plain = asked(None)
    cut = BundledTrio("cpu")
    with torch.no_grad():
        cut.module.get_parameter("blocks.1.attention.output.weight")[:, 48:96] = 0
    ablate = asked(None, AblateHead(1, 1))
    assert same(ablate, asked(cut, name="cut")) and not same(ablate, plain)
    shuffled = BundledTrio("cpu")
    shuffle_parameters(shuffled.module, 4)
    random = asked(None, ShuffleWeights(4))
    assert same(random, asked(shuffled, name="shuffled")) and not same(random, plain)


def test_even_attention_is_even_in_them() -> None:
    def even(weights: Tensor) -> Tensor:
        return torch.full_like(weights, 1 / weights.shape[-1])

    model, record = BundledTrio("cpu"), asked(None, UniformAttention())
    trio: Any = model.module
    ready, values = model.prepare(SPOKEN), []
    tokens = tokens_entering(model.module, "tokens", lambda: model(ready.tensors))
    for x in (tokens, model.baseline_tokens(ready, tokens)):
        with torch.no_grad(), mmviz.capture(model.module, replace=even):
            fused = trio.fuse(x, torch.ones(x.shape[:2], dtype=torch.bool))
            values.append(fused.logits[0].double().log_softmax(-1))
    answer = model.card.answers.index(record.answers[0].label)
    assert record.made_by["integrated"]["total"] == pytest.approx(float((values[0] - values[1])[answer]), abs=1e-4)
