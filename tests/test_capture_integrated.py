"""Integrated gradients: exact where a formula is known, complete everywhere, and no hook stays behind."""

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
from mmviz.backends.local.shuffled_weights import shuffle_parameters
from mmviz.capture.integrated_gradients import STEPS, TokenAttributions, integrated_gradients, tokens_entering
from mmviz.inputs.examples import load_gallery
from mmviz.models.custom import CustomModel
from mmviz.models.trio_model import BundledTrio
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

pytestmark = pytest.mark.slow

LN3 = math.log(3)


class SumModel(nn.Module):
    """Two logits: ``function`` of the sum of the first numbers of all tokens, and 0."""

    def __init__(self, function: Callable[[Tensor], Tensor] = lambda z: z):
        super().__init__()
        self.tokens, self.function = nn.Identity(), function

    def forward(self, x: Tensor) -> Tensor:
        z = self.function(self.tokens(x)[..., 0].sum(1))
        return torch.stack([z, torch.zeros_like(z)], -1)


TOKENS = torch.tensor([[[2 * LN3, 7.0], [-LN3, 1.0], [0.0, 5.0]]])


def attributions_of(
    module: nn.Module, tokens: Tensor, baseline: Tensor, rows: int = STEPS, answer: int = 0
) -> TokenAttributions:
    def run(count: int) -> Tensor:
        logits: Tensor = module(tokens.expand(count, -1, -1))
        return logits

    return integrated_gradients(module, "tokens", run, answer, tokens, baseline, rows)


def test_attributions_of_a_linear_model_follow_the_formula() -> None:
    # the sum goes from 0 to ln 3, so p from 1/2 to 3/4; each token has its part of the total, ln 3/2
    attributions = attributions_of(SumModel(), TOKENS, torch.zeros_like(TOKENS))
    assert attributions.total == pytest.approx(math.log(1.5), abs=1e-6) and attributions.steps == STEPS
    assert attributions.amounts == pytest.approx(np.array([2, -1, 0]) * math.log(1.5), abs=1e-6)
    assert attributions.amounts.dtype == np.float32 and abs(attributions.gap) < 1e-6
    # of the other answer p goes from 1/2 to 1/4
    other = attributions_of(SumModel(), TOKENS, torch.zeros_like(TOKENS), answer=1)
    assert other.amounts == pytest.approx(np.array([-2, 1, 0]) * math.log(2), abs=1e-6)


def test_attributions_are_relative_to_the_baseline() -> None:
    # from -ln 3 to ln 3, so p from 1/4 to 3/4, over distances of 2, -1 and 1 times ln 3
    baseline = torch.tensor([[[0.0, 7.0], [0.0, -3.0], [-LN3, 0.0]]])
    attributions = attributions_of(SumModel(), TOKENS, baseline)
    assert attributions.total == pytest.approx(LN3, abs=1e-6)
    assert attributions.amounts == pytest.approx(np.array([1, -0.5, 0.5]) * LN3, abs=1e-6)


@pytest.mark.parametrize("rows", [1, STEPS])
def test_a_steep_answer_takes_more_steps(rows: int) -> None:
    tokens = torch.tensor([[[0.75, 0.0], [0.25, 0.0]]])
    steep = SumModel(lambda z: 300 * (z - 0.337))
    attributions = attributions_of(steep, tokens, torch.zeros_like(tokens), rows)
    assert attributions.total == pytest.approx(300 * 0.337, rel=1e-4) and attributions.steps > STEPS
    assert attributions.amounts == pytest.approx(np.array([0.75, 0.25]) * attributions.total, rel=0.01)
    assert float(attributions.amounts.sum()) - attributions.total == pytest.approx(attributions.gap, abs=1e-3)


@pytest.mark.parametrize("family", ["seen", "said"])
def test_attributions_of_trio_sum_to_the_change_of_log_probability(family: str) -> None:
    (sample,) = (example.sample() for example in load_gallery() if example.id == family)
    record = LocalBackend("cpu").run([Request("trio", sample, maps=False, integrated=True)])[0]
    model = BundledTrio("cpu")
    tensors = model.prepare(sample).tensors
    stream = record.streams["tokens"]
    with torch.no_grad():
        trio: Any = model.module
        x, valid_mask = trio.sequence(tensors, trio.encode_image(tensors.image), trio.encode_audio(tensors.mel))
        x = x[:, valid_mask[0]]
        order = (Modality.TEXT, Modality.IMAGE, Modality.AUDIO)
        baseline = [
            state if token.modality is Modality.SPECIAL else trio.absent_embedding[order.index(token.modality)]
            for token, state in zip(stream, x[0], strict=True)
        ]
        both = torch.stack([x[0], torch.stack(baseline)])
        logits = trio.fuse(both, torch.ones(both.shape[:2], dtype=torch.bool)).logits.double().log_softmax(-1)
    answer = model.card.answers.index(record.answers[0].label)
    total = float(logits[0, answer] - logits[1, answer])
    assert record.integrated is not None and record.integrated.shape == (len(stream),)
    method = record.made_by["integrated"]
    assert method["baseline"] == "learned" and method["steps"] >= STEPS
    assert method["total"] == pytest.approx(total, abs=1e-3)
    assert abs(float(record.integrated.sum()) - total) <= 0.01 * max(abs(total), 0.1)
    assert record.integrated[0] == 0, "input and baseline have the same answer token"
    assert "gradients" in record.made_by["milliseconds"] and not record.integrated.flags.writeable


def hook_count(module: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())


def test_the_hook_is_removed_even_after_an_error() -> None:
    module = SumModel()
    output = module(TOKENS)
    attributions_of(module, TOKENS, torch.zeros_like(TOKENS))
    assert hook_count(module) == 0 and torch.equal(module(TOKENS), output)

    def failing(count: int) -> Tensor:
        module(TOKENS)
        raise RuntimeError("too hot")

    with pytest.raises(RuntimeError, match="too hot"):
        integrated_gradients(module, "tokens", failing, 0, TOKENS, torch.zeros_like(TOKENS))
    with pytest.raises(RuntimeError, match="too hot"):
        tokens_entering(module, "tokens", lambda: failing(1))
    assert hook_count(module) == 0 and torch.equal(module(TOKENS), output)


class Odd(nn.Module):
    """Submodules at most of which no tokens enter."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.twice, self.unused, self.never, self.good = (nn.Identity() for _ in range(5))
        self.pair = nn.LSTM(2, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        self.unused(x)
        output: Tensor = self.pair(self.twice(self.twice(x)))[0].sum(1) + self.flat(x.sum(1))
        return output + self.good(x).sum(1)


@pytest.mark.parametrize("path", ["flat", "twice", "pair", "never"])
def test_a_submodule_whose_output_is_not_tokens_is_refused(path: str) -> None:
    module = Odd()
    with pytest.raises(CaptureError) as error:
        tokens_entering(module, path, lambda: module(TOKENS))
    assert error.value.code == "integrated-place" and f": {path} does not output tokens" in str(error.value)
    assert hook_count(module) == 0
    model = CustomModel(module, lambda sample: (TOKENS, list("abc")), ["yes", "no"], embedding=path)
    record = LocalBackend("cpu", {"own": model}).run([Request("own", Sample(text="a"), maps=False, integrated=True)])[0]
    assert record.integrated is None and [notice.code for notice in record.notices] == ["integrated-place"]
    assert record.made_by["integrated"] == {"refused": "integrated-place", "path": path}
    assert torch.equal(tokens_entering(module, "good", lambda: module(TOKENS)), TOKENS)


class NoGrad(SumModel):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return super().forward(x)


@pytest.mark.parametrize(("module", "path"), [(NoGrad(), "tokens"), (Odd(), "unused")])
def test_a_submodule_that_gradients_do_not_reach_is_refused(module: nn.Module, path: str) -> None:
    model = CustomModel(module, lambda sample: (TOKENS, list("abc")), ["yes", "no"], embedding=path)
    record = LocalBackend("cpu", {"own": model}).run([Request("own", Sample(text="a"), maps=False, integrated=True)])[0]
    assert record.integrated is None and [notice.code for notice in record.notices] == ["integrated-graph"]
    assert path in str(record.notices[0]) and len(record.answers) == 2 and hook_count(module) == 0


def test_a_model_without_a_known_embedding_has_none_and_an_unknown_path_raises() -> None:
    record = LocalBackend("cpu").run([Request("toy", Sample(text="left"), integrated=True)])[0]
    assert record.integrated is None and [notice.code for notice in record.notices] == ["integrated-model"]
    with pytest.raises(MmvizError) as error:
        CustomModel(SumModel(), lambda sample: (TOKENS, list("abc")), ["yes", "no"], embedding="nowhere")
    assert error.value.code == "own-embedding"


class Overwriting(SumModel):
    """Adds to its tokens in place."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.tokens(x.clone())
        tokens += 1
        z = tokens[..., 0].sum(1)
        return torch.stack([z, torch.full_like(z, 3.0)], -1)


@pytest.mark.parametrize("module", [SumModel(), Overwriting()])
def test_a_custom_model_names_its_embedding(module: nn.Module) -> None:
    model = CustomModel(module, lambda sample: (TOKENS, list("abc")), ["yes", "no"], embedding="tokens")
    record = LocalBackend("cpu", {"own": model}).run([Request("own", Sample(text="a"), maps=False, integrated=True)])[0]
    assert record.answers[0].label == "yes" and record.made_by["integrated"]["baseline"] == "zeros"
    assert record.integrated == pytest.approx(np.array([2, -1, 0]) * math.log(1.5), abs=1e-6)


QUESTION = Sample(text="what colour is the dog")


def run_of(model: Any, *changes: Any, name: str = "trio") -> AttentionRecord:
    """Returns the answers and integrated gradients of ``model``, or of the bundled one where that is None."""
    backend = LocalBackend("cpu", {} if model is None else {name: model})
    return backend.run([Request(name, QUESTION, changes, maps=False, integrated=True)])[0]


def agree(record: AttentionRecord, other: AttentionRecord) -> bool:
    """Returns whether two runs have the same answer and the same integrated gradients, to 1e-4."""
    totals = [run.made_by["integrated"]["total"] for run in (record, other)]
    assert record.integrated is not None and other.integrated is not None
    return record.answers[0].label == other.answers[0].label and bool(
        np.allclose(record.integrated, other.integrated, atol=1e-4) and abs(totals[0] - totals[1]) < 1e-4
    )


def test_attributions_are_those_of_the_changed_model() -> None:
    plain = run_of(None)
    cut = BundledTrio("cpu")
    with torch.no_grad():
        cut.module.get_parameter("blocks.1.attention.output.weight")[:, 48:96] = 0
    ablated = run_of(None, AblateHead(1, 1))
    assert agree(ablated, run_of(cut, name="cut")) and not agree(ablated, plain)
    shuffled = BundledTrio("cpu")
    shuffle_parameters(shuffled.module, 4)
    control = run_of(None, ShuffleWeights(4))
    assert agree(control, run_of(shuffled, name="shuffled")) and not agree(control, plain)


def test_attributions_under_uniform_attention() -> None:
    def uniform(weights: Tensor) -> Tensor:
        return torch.full_like(weights, 1 / weights.shape[-1])

    model, record = BundledTrio("cpu"), run_of(None, UniformAttention())
    trio: Any = model.module
    prepared, log_p = model.prepare(QUESTION), []
    tokens = tokens_entering(model.module, model.embedding, lambda: model(prepared.tensors))
    for x in (tokens, model.baseline_tokens(prepared, tokens)):
        with torch.no_grad(), mmviz.capture(model.module, replace=uniform):
            fused = trio.fuse(x, torch.ones(x.shape[:2], dtype=torch.bool))
            log_p.append(fused.logits[0].double().log_softmax(-1))
    answer = model.card.answers.index(record.answers[0].label)
    assert record.made_by["integrated"]["total"] == pytest.approx(float((log_p[0] - log_p[1])[answer]), abs=1e-4)
