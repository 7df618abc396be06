"""A head that is switched off brings nothing, by every route, in one row of a batch or in all; nothing else changes."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mmviz
from mmviz.capture import CaptureResult
from mmviz.types import CaptureError

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

BATCH, TOKENS, HEADS, SIZE = 3, 7, 4, 8
WIDTH = HEADS * SIZE
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
Off = Sequence[Sequence[tuple[int, int]]]


def fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, enable_gqa=True)


def wider(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """A kernel that keeps its sums to itself: values of another size than keys."""
    return F.scaled_dot_product_attention(query[..., :4], key[..., :4], value, scale=0.5)


def softmax(query: Tensor, key: Tensor) -> Tensor:
    return torch.softmax(query @ key.transpose(-2, -1) / SIZE**0.5, -1)


def by_hand(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return softmax(query, key) @ value


def folded(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Three dimensions: of one sample, as batch and heads cannot be told apart."""
    assert len(query) == 1
    return torch.bmm(softmax(query[0], key[0]), value[0])[None]


def letters(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return torch.einsum("bhqk,bhkd->bhqd", softmax(query, key), value)


def swapped(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Another order of axes, and the value first."""
    scores = torch.einsum("bhqd,bhkd->bqkh", query, key) / SIZE**0.5
    return torch.einsum("bkhd,bqkh->bqhd", value.transpose(1, 2), torch.softmax(scores, 2)).transpose(1, 2)


class Layer(nn.Module):
    """Self-attention with a linear map that brings its heads together."""

    def __init__(self, attend: Attend, kv_heads: int = HEADS):
        super().__init__()
        self.attend = attend
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key, self.value = (nn.Linear(WIDTH, kv_heads * SIZE) for _ in range(2))
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        parts = [part(x).unflatten(-1, (-1, SIZE)).transpose(1, 2) for part in (self.query, self.key, self.value)]
        found: Tensor = self.out(self.attend(*parts).transpose(1, 2).reshape(x.shape))
        return x + found


def layers(attend: Attend, kv_heads: int = HEADS, count: int = 2) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(Layer(attend, kv_heads) for _ in range(count))).eval()


def tokens(batch: int = BATCH) -> Tensor:
    return torch.randn(batch, TOKENS, WIDTH, generator=torch.Generator().manual_seed(1))


def without(model: nn.Module, projection: str, head: int, size: int = SIZE) -> nn.Module:
    """The same model without the columns of a linear map that take what ``head`` brings."""
    made = copy.deepcopy(model)
    part: Any = made.get_submodule(projection)
    weight = part.weight.T if type(part).__name__ == "Conv1D" else part.weight
    with torch.no_grad():
        weight[:, head * size : (head + 1) * size] = 0
    return made


def run(model: nn.Module, given: Any, ablate: Off = ()) -> tuple[Tensor, CaptureResult]:
    with torch.no_grad(), mmviz.capture(model, ablate=ablate) as seen:
        found = model(**given) if isinstance(given, dict) else model(given)
    return found if isinstance(found, Tensor) else found[0], seen


def check(model: nn.Module, given: Any, projections: Sequence[str], head: int, size: int = SIZE) -> None:
    """That ``head`` off is the model without its columns, in each attention in turn, and differs from the model."""
    whole = run(model, given)[0]
    for number, name in enumerate(projections):
        found, seen = run(model, given, [[(number, head)]])
        expected = run(without(model, name, head, size), given)[0]
        assert torch.allclose(found, expected, atol=1e-5), (number, name)
        assert float((found - whole).abs().max()) > 1e-3, "the head had brought something"
        assert seen.record().made_by["parity"] < 1e-4


@pytest.mark.parametrize("attend", [fused, wider, by_hand, letters, swapped, folded])
def test_a_head_that_is_off_is_a_model_without_its_columns(attend: Attend) -> None:
    check(layers(attend), tokens(1 if attend is folded else BATCH), ["0.out", "1.out"], head=2)


@pytest.mark.parametrize("attend", [fused, lambda q, k, v: by_hand(q, *(x.repeat_interleave(2, 1) for x in (k, v)))])
def test_heads_that_share_their_keys_are_switched_off_one_by_one(attend: Attend) -> None:
    for head in range(HEADS):
        check(layers(attend, kv_heads=2), tokens(), ["0.out", "1.out"], head)


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_head_of_multi_head_attention_is_off(need_weights: bool, batch_first: bool) -> None:
    torch.manual_seed(2)
    model = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first).eval()
    x = tokens() if batch_first else tokens().transpose(0, 1)
    check(model, {"query": x, "key": x, "value": x, "need_weights": need_weights}, ["out_proj"], head=1)


def test_a_head_of_a_transformer_encoder_is_off() -> None:
    torch.manual_seed(3)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 64, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).eval()
    padded = torch.arange(TOKENS) >= torch.tensor([TOKENS, 5, 3])[:, None]
    names = [f"layers.{k}.self_attn.out_proj" for k in range(3)]
    check(model, {"src": tokens(), "src_key_padding_mask": padded}, names, head=3)


def hugging_face(name: str) -> tuple[nn.Module, list[str]]:
    import transformers as hf

    tiny = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": HEADS, "intermediate_size": 64}
    named = {"vocab_size": 100, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    torch.manual_seed(4)
    if name == "bert":
        config: Any = hf.BertConfig(**tiny, vocab_size=100, initializer_range=0.3)
        return hf.BertModel(config), [f"encoder.layer.{k}.attention.output.dense" for k in (0, 1)]
    if name == "gpt2":
        config = hf.GPT2Config(n_embd=WIDTH, n_layer=2, n_head=HEADS, n_positions=64, initializer_range=0.3, **named)
        return hf.GPT2LMHeadModel(config), [f"transformer.h.{k}.attn.c_proj" for k in (0, 1)]
    config = hf.LlamaConfig(**tiny, num_key_value_heads=2, initializer_range=0.3, **named)
    return hf.LlamaForCausalLM(config), [f"model.layers.{k}.self_attn.o_proj" for k in (0, 1)]


@pytest.mark.parametrize("how", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
def test_a_head_of_a_hugging_face_model_is_off(name: str, how: str) -> None:
    model, projections = hugging_face(name)
    model.eval().set_attn_implementation(how)  # type: ignore[operator]
    ids = torch.randint(5, 90, (2, 9), generator=torch.Generator().manual_seed(0))
    padded = torch.arange(9) < torch.tensor([9, 6])[:, None]
    check(model, {"input_ids": ids, "attention_mask": padded.long()}, projections, head=1)


@pytest.mark.parametrize("attend", [fused, by_hand, letters, swapped])
def test_each_row_of_a_batch_has_heads_of_its_own_off(attend: Attend) -> None:
    model, x = layers(attend), tokens()
    ablate: list[list[tuple[int, int]]] = [[], [(0, 1)], [(0, 0), (1, 3), (0, 2)]]
    found = run(model, x, ablate)[0]
    for row, places in enumerate(ablate):
        assert torch.allclose(found[row], run(model, x[row : row + 1], [places])[0][0], atol=1e-6)
    assert torch.equal(run(model, x, [[], [], []])[0], run(model, x)[0])
    for row in range(BATCH):  # one list is for all of them
        assert torch.allclose(
            run(model, x, ablate[2:])[0][row], run(model, x[row : row + 1], ablate[2:])[0][0], atol=1e-6
        )


def test_the_rows_of_multi_head_attention_may_differ() -> None:
    torch.manual_seed(2)
    model, x = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval(), tokens()
    for need_weights in (False, True):
        given = {"query": x, "key": x, "value": x, "need_weights": need_weights}
        found = run(model, given, [[(0, 0)], [], [(0, 3)]])[0]
        for row, reference in enumerate([without(model, "out_proj", 0), model, without(model, "out_proj", 3)]):
            assert torch.allclose(found[row], run(reference, given)[0][row], atol=1e-6)


@pytest.mark.parametrize("attend", [fused, by_hand])
def test_the_maps_stay_what_the_model_computed(attend: Attend) -> None:
    model, x = layers(attend), tokens(1)
    whole, seen = run(model, x)[1].record(), run(model, x, [[(0, 1)]])[1]
    found, expected = seen.record(), run(without(model, "0.out", 1), x)[1].record()
    assert np.array_equal(found.maps[0].weights, whole.maps[0].weights), "the head that is off still attends"
    assert np.abs(found.maps[1].weights - expected.maps[1].weights).max() < 1e-6, "what comes later sees what is left"
    assert np.abs(found.maps[1].weights - whole.maps[1].weights).max() > 1e-4
    assert found.made_by["parity"] < 1e-5


@pytest.mark.parametrize("attend", [fused, by_hand, letters])
def test_no_gradient_and_no_relevance_goes_through_a_head_that_is_off(attend: Attend) -> None:
    def relevance(model: nn.Module, ablate: Off = ()) -> np.ndarray[Any, Any]:
        with mmviz.capture(model, ablate=ablate) as seen:
            logit = model(tokens(1)).pow(2).sum()
        gradient = torch.autograd.grad(logit, [seen.everything[0].output], retain_graph=True)[0]
        for _, head in (ablate or [[]])[0]:
            assert float(gradient[:, head].abs().max()) == 0
        return seen.relevance(logit)

    two, one = layers(attend), layers(attend, count=1)
    found, expected = relevance(two, [[(0, 1)]]), relevance(without(two, "0.out", 1))
    assert np.abs(found - expected).max() < 1e-5 * expected.max()
    assert np.abs(relevance(two) - expected).max() > 1e-3 * expected.max()
    assert relevance(one).max() > 0
    assert relevance(one, [[(0, head) for head in range(HEADS)]]).max() == 0


@pytest.mark.parametrize("place", [(2, 0), (0, 4), (-1, 0), (0, -1)])
def test_a_head_that_is_not_there_is_told(place: tuple[int, int]) -> None:
    model = layers(fused)
    for ablate in ([[place]], [[], [(0, 1)], [(1, 1), place]]):
        with pytest.raises(CaptureError) as refusal:
            run(model, tokens(), ablate)
        assert refusal.value.code == "head-missing"
        assert f"no head {place[1]} in attention {place[0]}" in str(refusal.value) and "; 2 att" in str(refusal.value)


def gone(model: nn.Module) -> bool:
    """Whether nothing of a capture is left behind."""
    hooks = [part for part in model.modules() if part._forward_hooks or part._forward_pre_hooks]
    return not hooks and torch._C._len_torch_function_stack() == 0


def test_another_batch_is_told_and_nothing_stays_behind() -> None:
    model, x = layers(by_hand), tokens()
    whole = model(x)
    with pytest.raises(CaptureError) as refusal:
        run(model, x, [[(0, 1)], [(0, 2)]])
    assert refusal.value.code == "head-batch" and "for 2 samples" in str(refusal.value)
    assert "a batch of 3" in str(refusal.value) and gone(model) and torch.equal(model(x), whole)
    run(model, x, [[(0, 1)]])
    assert gone(model) and torch.equal(model(x), whole)


@pytest.mark.parametrize("attend", [fused, by_hand])
def test_heads_are_off_while_attention_is_even(attend: Attend) -> None:
    def even(weights: Tensor) -> Tensor:
        return torch.full_like(weights, 1 / weights.shape[-1])

    model, x = layers(attend), tokens()
    with torch.no_grad():
        with mmviz.capture(model, replace=even, ablate=[[(1, 0)]]):
            found = model(x)
        with mmviz.capture(without(model, "1.out", 0), replace=even) as seen:
            expected = seen.model(x)
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_head_that_is_off_brings_0_even_where_it_brought_no_number() -> None:
    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scores = query @ key.transpose(-2, -1)
        scores[:, 1, 0] = -math.inf  # a query that may ask nobody, in head 1
        return torch.softmax(scores, -1) @ value

    model, x = layers(attend, count=1), tokens()
    assert run(model, x)[0].isnan().any()
    found = run(model, x, [[(0, 1)]])[0]
    assert torch.isfinite(found).all()


def test_weights_that_all_samples_share_are_switched_off() -> None:
    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return by_hand(query[:1], key[:1], value)

    model, x = layers(attend), tokens()
    assert torch.allclose(run(model, x, [[(0, 2)]])[0], without(model, "0.out", 2)(x), atol=1e-6)


def test_attention_in_windows_runs_while_it_is_watched_and_is_refused_in_words() -> None:
    windows = torch.randn(2, 5, HEADS, TOKENS, SIZE, generator=torch.Generator().manual_seed(1))

    class Windows(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(x, x, x)

    model = Windows()
    assert torch.equal(run(model, windows)[0], model(windows))
    with pytest.raises(CaptureError) as refusal:
        run(model, windows, [[(0, 1)]])
    assert refusal.value.code == "map-shape" and gone(model)
