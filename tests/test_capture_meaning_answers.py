"""Answers of a custom model: large vocabularies, labels that occur twice, the answer token, integrated gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from eager_attention import drawn, run_of  # first: it sets what transformers reads
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

import mmviz
from mmviz import Chars, Modality, Request, Token


class Scaled(nn.Module):
    """Logits that run from one number down to its opposite."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.enter, self.attention = nn.Identity(), nn.MultiheadAttention(8, 2, batch_first=True)
        self.answers = answers

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        return self.attention(x, x, x)[0].sum(1)[:, :1] * torch.linspace(-1, 1, self.answers)


def scaled(answers: list[str]) -> mmviz.CustomModel:
    """A model with these answers, whose input is ones for a sample with text, else zeros."""

    def prepare(sample: mmviz.Sample) -> tuple[Tensor, list[str]]:
        return torch.ones(1, 3, 8) * bool(sample.text), list("abc")

    return mmviz.CustomModel(Scaled(len(answers)), prepare, answers, embedding="enter")


def rise_by_hand() -> float:
    """How far the log-probability of the likelier of two answers rises from no text to a text."""
    model = Scaled(2).eval()
    with torch.no_grad():
        with_text, without_text = (model(torch.ones(1, 3, 8) * share)[0].double().log_softmax(-1) for share in (1, 0))
    return float((with_text - without_text)[with_text.argmax()])


def test_the_effect_is_that_of_the_likeliest_answer() -> None:
    for answers in (["a", "b"], ["b", "a"]):
        assert run_of(scaled(answers), text="abc").effect()["total"] == pytest.approx(rise_by_hand(), abs=1e-5)


def test_answers_of_one_label_are_told_apart_by_the_effect() -> None:
    assert run_of(scaled(["a", "a"]), text="abc").effect()["total"] == pytest.approx(rise_by_hand(), abs=1e-5)


def test_answers_of_one_label_are_told_apart_by_integrated_gradients() -> None:
    backend = mmviz.LocalBackend("cpu", {"own": scaled(["a", "a"])})
    (record,) = backend.run([Request("own", mmviz.make_sample(text="abc"), integrated=True)])
    assert record.integrated is not None and record.integrated.sum() == pytest.approx(rise_by_hand(), abs=0.01)


class Counted(str):
    """A label that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_the_effect_does_not_look_every_answer_up_in_the_list_of_all() -> None:
    run = run_of(scaled([Counted(k) for k in range(400)]), text="abc")
    Counted.compared = 0
    run.effect()
    assert Counted.compared < 20 * 400


def test_the_last_token_of_a_causal_model_answers() -> None:
    torch.manual_seed(0)
    config = LlamaConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64, vocab_size=9)
    model = LlamaForCausalLM(config)
    pieces = torch.tensor([[1, 2, 3, 4]])
    tokens = [Token(Modality.SPECIAL, "<bos>")]
    tokens += [Token(Modality.TEXT, letter, Chars(k, k + 1)) for k, letter in enumerate("abc")]
    own = mmviz.CustomModel(
        model, lambda sample: ({"input_ids": pieces}, tokens), list("012345678"), logits=lambda out: out.logits[:, -1]
    )
    run = run_of(own, text="abc")
    model.set_attn_implementation("eager")
    with torch.no_grad():
        (eager,) = model(pieces, output_attentions=True).attentions
    assert run.tokens[run.answer_query].label == "c"
    np.testing.assert_allclose(run.attention(), eager[0, :, -1].mean(0).numpy(), atol=2e-6)


class Scattered(nn.Module):
    """As vision-language models do: patches are written over placeholders after the words were embedded."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.patch, self.out = nn.Embedding(9, 8), nn.Linear(8, 8), nn.Linear(8, 2)
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1)

    def forward(self, pieces: Tensor, patches: Tensor) -> Tensor:
        merged = torch.where((pieces == 8)[..., None], self.patch(patches), self.embed(pieces))
        logits: Tensor = self.out(self.layers(merged)[:, -1])
        return logits


def test_integrated_gradients_of_patches_that_move_the_answer_are_refused_or_not_zero() -> None:
    pieces, patches = torch.tensor([[8, 8, 8, 1, 2]]), drawn(1, 5, 8)
    own = mmviz.CustomModel(
        Scattered(), lambda sample: ((pieces, patches), list("PPPww")), ["a", "b"], embedding="embed"
    )
    backend = mmviz.LocalBackend("cpu", {"own": own})
    (record,) = backend.run([Request("own", mmviz.make_sample(text="ab"), integrated=True)])
    tracked = patches.clone().requires_grad_()
    own.module(pieces, tracked).log_softmax(-1)[0, 0].backward()
    moves = tracked.grad[0].abs().sum(-1).numpy() > 0
    assert record.integrated is None or (record.integrated[:3] != 0).tolist() == moves[:3].tolist()
