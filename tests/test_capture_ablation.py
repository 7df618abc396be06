"""An ablated head has output 0, by every route, for one sample of a batch or for all; nothing else changes."""

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
Ablate = Sequence[Sequence[tuple[int | str, int]]]


def fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, enable_gqa=True)


def wide_values(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """A kernel that returns no log-sum-exp, as values have another size than keys."""
    return F.scaled_dot_product_attention(query[..., :4], key[..., :4], value, scale=0.5)


def softmax(query: Tensor, key: Tensor) -> Tensor:
    return torch.softmax(query @ key.transpose(-2, -1) / SIZE**0.5, -1)


def eager(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return softmax(query, key) @ value


def flat(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Three axes, of one sample: batch and heads cannot be told apart."""
    assert len(query) == 1
    return torch.bmm(softmax(query[0], key[0]), value[0])[None]


def einsum(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return torch.einsum("bhqk,bhkd->bhqd", softmax(query, key), value)


def swapped_einsum(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Another order of axes, and the value first."""
    scores = torch.einsum("bhqd,bhkd->bqkh", query, key) / SIZE**0.5
    return torch.einsum("bkhd,bqkh->bqhd", value.transpose(1, 2), torch.softmax(scores, 2)).transpose(1, 2)


class Layer(nn.Module):
    """Self-attention with a linear map that joins its heads."""

    def __init__(self, attend: Attend, kv_heads: int = HEADS):
        super().__init__()
        self.attend = attend
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key, self.value = (nn.Linear(WIDTH, kv_heads * SIZE) for _ in range(2))
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        projections = (self.query, self.key, self.value)
        heads = [projection(x).unflatten(-1, (-1, SIZE)).transpose(1, 2) for projection in projections]
        output: Tensor = self.out(self.attend(*heads).transpose(1, 2).reshape(x.shape))
        return x + output


def layers(attend: Attend, kv_heads: int = HEADS, count: int = 2) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(Layer(attend, kv_heads) for _ in range(count))).eval()


def tokens(batch: int = BATCH) -> Tensor:
    return torch.randn(batch, TOKENS, WIDTH, generator=torch.Generator().manual_seed(1))


def without(model: nn.Module, projection: str, head: int, size: int = SIZE) -> nn.Module:
    """Returns the model without the columns of a linear map that take the output of ``head``: an ablation on paper."""
    ablated = copy.deepcopy(model)
    linear: Any = ablated.get_submodule(projection)
    weight = linear.weight.T if type(linear).__name__ == "Conv1D" else linear.weight
    with torch.no_grad():
        weight[:, head * size : (head + 1) * size] = 0
    return ablated


def run(model: nn.Module, inputs: Any, ablate: Ablate = ()) -> tuple[Tensor, CaptureResult]:
    with torch.no_grad(), mmviz.capture(model, ablate=ablate) as result:
        output = model(**inputs) if isinstance(inputs, dict) else model(inputs)
    return output if isinstance(output, Tensor) else output[0], result


def check(model: nn.Module, inputs: Any, projections: Sequence[str], head: int, size: int = SIZE) -> None:
    """Checks that ablating ``head`` is the model without its columns, in each attention, and changes the output."""
    plain, result = run(model, inputs)
    modules = [call.module for call in result.all_attention_calls]
    for number, name in enumerate(projections):
        output, result = run(model, inputs, [[(number, head)]])
        expected = run(without(model, name, head, size), inputs)[0]
        assert torch.allclose(output, expected, atol=1e-5), (number, name)
        assert float((output - plain).abs().max()) > 1e-3, "the head has an output"
        assert result.record().made_by["parity"] < 1e-4
        assert torch.equal(run(model, inputs, [[(modules[number], head)]])[0], output), "by number or by module path"


@pytest.mark.parametrize("attend", [fused, wide_values, eager, einsum, swapped_einsum, flat])
def test_an_ablated_head_is_a_model_without_its_columns(attend: Attend) -> None:
    check(layers(attend), tokens(1 if attend is flat else BATCH), ["0.out", "1.out"], head=2)


@pytest.mark.parametrize("attend", [fused, lambda q, k, v: eager(q, *(x.repeat_interleave(2, 1) for x in (k, v)))])
def test_heads_that_share_keys_are_ablated_one_by_one(attend: Attend) -> None:
    for head in range(HEADS):
        check(layers(attend, kv_heads=2), tokens(), ["0.out", "1.out"], head)


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_head_of_multi_head_attention_is_ablated(need_weights: bool, batch_first: bool) -> None:
    torch.manual_seed(2)
    model = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first).eval()
    x = tokens() if batch_first else tokens().transpose(0, 1)
    check(model, {"query": x, "key": x, "value": x, "need_weights": need_weights}, ["out_proj"], head=1)


def test_a_head_of_a_transformer_encoder_is_ablated() -> None:
    torch.manual_seed(3)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 64, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).eval()
    padded = torch.arange(TOKENS) >= torch.tensor([TOKENS, 5, 3])[:, None]
    names = [f"layers.{k}.self_attn.out_proj" for k in range(3)]
    check(model, {"src": tokens(), "src_key_padding_mask": padded}, names, head=3)


def hugging_face(name: str) -> tuple[nn.Module, list[str]]:
    import transformers as hf

    tiny = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": HEADS, "intermediate_size": 64}
    ids = {"vocab_size": 100, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    torch.manual_seed(4)
    if name == "bert":
        config: Any = hf.BertConfig(**tiny, vocab_size=100, initializer_range=0.3)
        return hf.BertModel(config), [f"encoder.layer.{k}.attention.output.dense" for k in (0, 1)]
    if name == "gpt2":
        config = hf.GPT2Config(n_embd=WIDTH, n_layer=2, n_head=HEADS, n_positions=64, initializer_range=0.3, **ids)
        return hf.GPT2LMHeadModel(config), [f"transformer.h.{k}.attn.c_proj" for k in (0, 1)]
    config = hf.LlamaConfig(**tiny, num_key_value_heads=2, initializer_range=0.3, **ids)
    return hf.LlamaForCausalLM(config), [f"model.layers.{k}.self_attn.o_proj" for k in (0, 1)]


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["bert", "gpt2", "llama"])
def test_a_head_of_a_hugging_face_model_is_ablated(name: str, implementation: str) -> None:
    model, projections = hugging_face(name)
    model.eval().set_attn_implementation(implementation)  # type: ignore[operator]
    ids = torch.randint(5, 90, (2, 9), generator=torch.Generator().manual_seed(0))
    padded = torch.arange(9) < torch.tensor([9, 6])[:, None]
    check(model, {"input_ids": ids, "attention_mask": padded.long()}, projections, head=1)


@pytest.mark.parametrize("attend", [fused, eager, einsum, swapped_einsum])
def test_each_sample_of_a_batch_can_have_its_own_ablated_heads(attend: Attend) -> None:
    model, x = layers(attend), tokens()
    ablate: Ablate = [[], [(0, 1)], [(0, 0), ("1", 3), (0, 2)]]
    output = run(model, x, ablate)[0]
    for row, heads in enumerate(ablate):
        assert torch.allclose(output[row], run(model, x[row : row + 1], [heads])[0][0], atol=1e-6)
    assert torch.equal(run(model, x, [[], [], []])[0], run(model, x)[0])
    for row in range(BATCH):  # a single list applies to all samples
        assert torch.allclose(
            run(model, x, ablate[2:])[0][row], run(model, x[row : row + 1], ablate[2:])[0][0], atol=1e-6
        )


def test_samples_of_multi_head_attention_can_have_their_own_ablated_heads() -> None:
    torch.manual_seed(2)
    model, x = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval(), tokens()
    for need_weights in (False, True):
        inputs = {"query": x, "key": x, "value": x, "need_weights": need_weights}
        output = run(model, inputs, [[(0, 0)], [], [(0, 3)]])[0]
        for row, reference in enumerate([without(model, "out_proj", 0), model, without(model, "out_proj", 3)]):
            assert torch.allclose(output[row], run(reference, inputs)[0][row], atol=1e-6)


@pytest.mark.parametrize("attend", [fused, eager])
def test_the_map_of_an_ablated_head_stays_what_the_model_computed(attend: Attend) -> None:
    model, x = layers(attend), tokens(1)
    plain, ablated = (run(model, x, ablate)[1].record() for ablate in ((), [[(0, 1)]]))
    expected = run(without(model, "0.out", 1), x)[1].record()
    assert np.array_equal(ablated.maps[0].weights, plain.maps[0].weights), "an ablated head still attends"
    assert np.abs(ablated.maps[1].weights - expected.maps[1].weights).max() < 1e-6, "later layers read the rest"
    assert np.abs(ablated.maps[1].weights - plain.maps[1].weights).max() > 1e-4
    assert ablated.made_by["parity"] < 1e-5


@pytest.mark.parametrize("attend", [fused, eager, einsum])
def test_no_gradient_and_no_relevance_goes_through_an_ablated_head(attend: Attend) -> None:
    def relevance(model: nn.Module, ablate: Ablate = ()) -> np.ndarray[Any, Any]:
        with mmviz.capture(model, ablate=ablate) as result:
            logit = model(tokens(1)).pow(2).sum()
        gradient = torch.autograd.grad(logit, [result.all_attention_calls[0].output], retain_graph=True)[0]
        for _, head in (ablate or [[]])[0]:
            assert float(gradient[:, head].abs().max()) == 0
        return result.relevance(logit)

    two, single = layers(attend), layers(attend, count=1)
    amounts, expected = relevance(two, [[(0, 1)]]), relevance(without(two, "0.out", 1))
    assert np.abs(amounts - expected).max() < 1e-5 * expected.max()
    assert np.abs(relevance(two) - expected).max() > 1e-3 * expected.max()
    assert relevance(single).max() > 0
    assert relevance(single, [[(0, head) for head in range(HEADS)]]).max() == 0


@pytest.mark.parametrize("head", [(2, 0), (0, 4), (-1, 0), (0, -1)])
def test_a_head_that_does_not_exist_is_refused(head: tuple[int, int]) -> None:
    model = layers(fused)
    for ablate in ([[head]], [[], [(0, 1)], [(1, 1), head]]):
        with pytest.raises(CaptureError) as error:
            run(model, tokens(), ablate)
        assert error.value.code == "head-missing"
        assert error.value.parameters == {"map": head[0], "head": head[1], "count": 2}


@pytest.mark.parametrize("head", [("2", 0), ("0", 4), ("1.out", 0)])
def test_a_module_without_the_head_is_refused_with_the_modules_that_attended(head: tuple[str, int]) -> None:
    with pytest.raises(CaptureError) as error:
        run(layers(fused), tokens(), [[head]])
    assert error.value.code == "head-module"
    assert error.value.parameters == {"name": head[0], "head": head[1], "known": "0, 1"}


@pytest.mark.parametrize("ref", [1, "1"])
def test_a_head_is_ablated_in_every_call_of_the_model(ref: int | str) -> None:
    model, x = layers(fused), tokens()
    expected = run(without(model, "1.out", 2), x)[0]
    with torch.no_grad(), mmviz.capture(model, ablate=[[(ref, 2)]]) as result:
        outputs = [model(x) for _ in range(3)]
    for output in outputs:
        assert torch.allclose(output, expected, atol=1e-6)
    ablated = [call.ablated_heads is not None for call in result.all_attention_calls]
    assert ablated == [False, True] * 3


def test_a_module_that_runs_twice_in_one_call_is_ablated_both_times_by_its_path() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layers(fused, count=1)[0]

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.layer(x))

    model, x = Twice(), tokens()
    output = run(model, x, [[("layer", 1)]])[0]
    assert torch.allclose(output, run(without(model, "layer.out", 1), x)[0], atol=1e-6)
    assert not torch.allclose(output, run(model, x, [[(0, 1)]])[0], atol=1e-4), "the number is that of the first run"


@pytest.mark.parametrize("ref", [0, "transformer.h.0.attn"])
def test_a_head_is_ablated_in_every_step_of_generate(ref: int | str) -> None:
    model, projections = hugging_face("gpt2")
    ids = torch.randint(5, 90, (1, 9), generator=torch.Generator().manual_seed(0))
    steps = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    with torch.no_grad():
        with mmviz.capture(model.eval(), ablate=[[(ref, head) for head in range(3)]]) as result:
            written = model.generate(ids, **steps, output_logits=True, return_dict_in_generate=True)
        for head in range(3):
            model = without(model, projections[0], head)
        expected = model.generate(ids, **steps, output_logits=True, return_dict_in_generate=True)
    assert len(result.calls) == 6
    for logits, expected_logits in zip(written.logits, expected.logits, strict=True):
        assert torch.allclose(logits, expected_logits, atol=1e-5)


def is_clean(model: nn.Module) -> bool:
    """Returns whether a capture left nothing behind."""
    hooks = [part for part in model.modules() if part._forward_hooks or part._forward_pre_hooks]
    return not hooks and torch._C._len_torch_function_stack() == 0


def test_another_batch_size_is_refused_and_nothing_stays_behind() -> None:
    model, x = layers(eager), tokens()
    plain = model(x)
    with pytest.raises(CaptureError) as error:
        run(model, x, [[(0, 1)], [(0, 2)]])
    assert error.value.code == "head-batch" and error.value.parameters == {"count": 2, "batch": 3}
    assert is_clean(model) and torch.equal(model(x), plain)
    run(model, x, [[(0, 1)]])
    assert is_clean(model) and torch.equal(model(x), plain)


@pytest.mark.parametrize("attend", [fused, eager])
def test_heads_are_ablated_under_uniform_attention(attend: Attend) -> None:
    def uniform(weights: Tensor) -> Tensor:
        return torch.full_like(weights, 1 / weights.shape[-1])

    model, x = layers(attend), tokens()
    with torch.no_grad():
        with mmviz.capture(model, replace=uniform, ablate=[[(1, 0)]]):
            output = model(x)
        with mmviz.capture(without(model, "1.out", 0), replace=uniform) as result:
            expected = result.model(x)
    assert torch.allclose(output, expected, atol=1e-6)


def test_an_ablated_head_has_output_0_even_where_it_was_not_finite() -> None:
    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        scores = query @ key.transpose(-2, -1)
        scores[:, 1, 0] = -math.inf  # a fully masked query in head 1
        return torch.softmax(scores, -1) @ value

    model, x = layers(attend, count=1), tokens()
    assert run(model, x)[0].isnan().any()
    assert torch.isfinite(run(model, x, [[(0, 1)]])[0]).all()


def test_a_head_whose_weights_all_samples_share_is_ablated() -> None:
    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return eager(query[:1], key[:1], value)

    model, x = layers(attend), tokens()
    assert torch.allclose(run(model, x, [[(0, 2)]])[0], without(model, "0.out", 2)(x), atol=1e-6)


def test_heads_are_ablated_in_attention_on_five_axes() -> None:
    windows = torch.randn(2, 5, HEADS, TOKENS, SIZE, generator=torch.Generator().manual_seed(1))

    class Windows(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(x, x, x)

    model = Windows()
    plain = model(windows)
    assert torch.equal(run(model, windows)[0], plain)
    output = run(model, windows, [[(0, 1)]])[0]
    assert not output[:, :, 1].any() and torch.equal(output[:, :, 0], plain[:, :, 0]) and is_clean(model)
