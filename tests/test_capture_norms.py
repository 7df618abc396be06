"""Value-weighted attention equals its formula, computed directly, vector by vector."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import mmviz
from mmviz.backends.local import LocalBackend
from mmviz.capture.value_norms import value_norms
from mmviz.inputs.examples import load_gallery
from mmviz.models.custom import CustomModel
from mmviz.models.trio_model import BundledTrio
from mmviz.types import AblateHead, CaptureError, Request, Sample

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

HEADS, SIZE = 4, 8
WIDTH = HEADS * SIZE


def expected_norms(
    weights: Tensor, value: Tensor, projection: Tensor, ablate: tuple[int, ...] = ()
) -> NDArray[np.float64]:
    """Returns ``|| sum over heads of a_h W_h v_h ||``, ``[query, key]``, without the heads in ``ablate``.

    ``weights`` ``[head, query, key]``, ``value`` ``[kv head, key, d_v]``, ``projection`` ``[width, head * d_v]``.
    """
    heads, size = len(weights), value.shape[-1]
    total = torch.zeros(*weights.shape[1:], len(projection), dtype=torch.float64)
    for head in set(range(heads)) - set(ablate):
        part = projection.double()[:, head * size : (head + 1) * size]
        transformed = value.double()[head // (heads // len(value))] @ part.T
        total += weights.double()[head, :, :, None] * transformed[None]
    return total.norm(dim=-1).numpy()


def eager_weights(query: Tensor, key: Tensor) -> Tensor:
    """Returns attention weights in float64 for queries and keys ``[head, token, d]``."""
    key = key.repeat_interleave(len(query) // len(key), 0)
    return (query.double() @ key.double().transpose(-2, -1) / query.shape[-1] ** 0.5).softmax(-1)


def is_close(norms: NDArray[np.float32], expected: NDArray[np.float64]) -> bool:
    assert norms.dtype == np.float32 and norms.shape == expected.shape
    return float(np.abs(norms - expected).max()) < 1e-5 * float(expected.max())


class Layer(nn.Module):
    """Self-attention, a gate of the same width on the same tokens, and the linear map that joins the heads."""

    def __init__(self, attend: Callable[..., Tensor], heads: int = HEADS, kv_heads: int = HEADS):
        super().__init__()
        self.attend = attend
        self.query, self.gate, self.out = (nn.Linear(heads * SIZE, heads * SIZE) for _ in range(3))
        self.key, self.value = (nn.Linear(heads * SIZE, kv_heads * SIZE) for _ in range(2))

    def vectors(self, x: Tensor) -> list[Tensor]:
        """Returns queries, keys and values, ``[batch, head, token, d]``."""
        linear_maps = (self.query, self.key, self.value)
        return [linear(x).unflatten(-1, (-1, SIZE)).transpose(1, 2) for linear in linear_maps]

    def forward(self, x: Tensor) -> Tensor:
        attn_output = self.attend(*self.vectors(x))
        gate = self.gate(x)
        output: Tensor = self.out(attn_output.transpose(1, 2).reshape(x.shape))
        return output * gate


def fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, enable_gqa=True)


def eager(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], 1) for part in (key, value))
    return torch.softmax(query @ key.transpose(-2, -1) / SIZE**0.5, -1) @ value


def attention_calls(model: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    """Returns the attention calls of one run of the model."""
    with torch.no_grad(), mmviz.capture(model) as result:
        model(*args, **kwargs)
    return result.all_attention_calls


@pytest.mark.parametrize("attend", [fused, eager])
@pytest.mark.parametrize("kv_heads", [HEADS, 2, 1])
def test_norms_are_those_of_the_weighted_transformed_values(attend: Callable[..., Tensor], kv_heads: int) -> None:
    torch.manual_seed(0)
    model, x = Layer(attend, kv_heads=kv_heads).eval(), torch.randn(3, 7, WIDTH)
    (call,) = attention_calls(model, x)
    assert call.projection is model.out.weight
    for batch in range(3):
        with torch.no_grad():
            query, key, value = (part[batch] for part in model.vectors(x))
            assert is_close(
                value_norms(call, batch), expected_norms(eager_weights(query, key), value, model.out.weight)
            )


def test_norms_of_one_head_with_identity_projection_are_weight_times_value_norm() -> None:
    torch.manual_seed(1)
    model, x = Layer(fused, 1, 1).eval(), torch.randn(1, 6, SIZE)
    with torch.no_grad():
        model.out.weight.copy_(torch.eye(SIZE))
        query, key, value = (part[0] for part in model.vectors(x))
    expected = eager_weights(query, key)[0] * value[0].double().norm(dim=-1)
    assert is_close(value_norms(attention_calls(model, x)[0]), expected.numpy())


def test_heads_with_opposite_contributions_cancel() -> None:
    torch.manual_seed(2)
    model, x = Layer(eager, 2, 1).eval(), torch.randn(1, 5, 2 * SIZE)
    with torch.no_grad():
        model.query.weight[SIZE:] = model.query.weight[
            :SIZE
        ]  # both heads have the same queries, and share their values
        model.query.bias[SIZE:] = model.query.bias[:SIZE]
        model.out.weight[:, SIZE:] = -model.out.weight[:, :SIZE]
        value = model.vectors(x)[2][0]
    single_head = expected_norms(torch.ones(1, 5, 5), value, model.out.weight.detach()[:, :SIZE])
    assert value_norms(attention_calls(model, x)[0]).max() < 1e-3 * single_head.max()


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("queries", [2, 6])  # 2: as many as samples
def test_norms_of_multi_head_attention(batch_first: bool, need_weights: bool, queries: int) -> None:
    torch.manual_seed(3)
    model = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first).eval()
    x, memory = torch.randn(2, queries, WIDTH), torch.randn(2, 9, WIDTH)
    inputs = [part if batch_first else part.transpose(0, 1) for part in (x, memory, memory)]
    (call,) = attention_calls(model, *inputs, need_weights=need_weights)
    with torch.no_grad():
        linear_maps = zip((x, memory, memory), model.in_proj_weight.chunk(3), model.in_proj_bias.chunk(3), strict=True)
        vectors = [F.linear(*args).unflatten(-1, (HEADS, SIZE)).transpose(1, 2) for args in linear_maps]
    for batch in range(2):
        query, key, value = (part[batch] for part in vectors)
        assert is_close(
            value_norms(call, batch), expected_norms(eager_weights(query, key), value, model.out_proj.weight.detach())
        )


def submodule_outputs(module: nn.Module, names: list[str], run: Callable[[], Any]) -> dict[str, Tensor]:
    """Returns the outputs of some submodules in one run."""
    outputs: dict[str, Tensor] = {}
    handles = [
        module.get_submodule(name).register_forward_hook(lambda *call, name=name: outputs.update({name: call[-1]}))
        for name in names
    ]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return outputs


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_norms_of_hugging_face_models(name: str) -> None:
    import transformers as hf

    tiny = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": HEADS, "intermediate_size": 64}
    torch.manual_seed(4)
    if name == "bert":
        model: Any = hf.BertModel(hf.BertConfig(**tiny, vocab_size=100, initializer_range=0.3)).eval()
        layers = [f"encoder.layer.{k}.attention." for k in (0, 1)]
        value, out = "self.value", "output.dense"
    else:
        special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "vocab_size": 100}
        config = hf.LlamaConfig(**tiny, num_key_value_heads=2, initializer_range=0.3, **special)
        model = hf.LlamaModel(config).eval()
        layers = [f"layers.{k}.self_attn." for k in (0, 1)]
        value, out = "v_proj", "o_proj"
    ids = torch.randint(5, 90, (2, 9), generator=torch.Generator().manual_seed(0))
    text = {"input_ids": ids, "attention_mask": (torch.arange(9) < torch.tensor([9, 6])[:, None]).long()}
    model.set_attn_implementation("sdpa")
    calls = attention_calls(model, **text)
    model.set_attn_implementation("eager")
    values = submodule_outputs(model, [layer + value for layer in layers], lambda: model(**text))
    with torch.no_grad():
        weights = model(**text, output_attentions=True).attentions
    for call, layer, weight in zip(calls, layers, weights, strict=True):
        projection = model.get_submodule(layer + out).weight.detach()
        for batch, count in enumerate((9, 6)):  # weights of padding queries are undefined
            heads = values[layer + value][batch].unflatten(-1, (-1, SIZE)).transpose(0, 1)
            expected = expected_norms(weight[batch], heads, projection)
            assert is_close(value_norms(call, batch)[:count], expected[:count])


@pytest.fixture(scope="module")
def sample() -> Sample:
    return load_gallery()[0].sample()


@pytest.mark.slow
def test_norms_of_trio_come_with_its_record(sample: Sample) -> None:
    record = LocalBackend("cpu").run([Request("trio", sample, norms=True)])[0]
    assert len(record.norms) == len(record.maps) == 6 and record.notices == ()
    model = BundledTrio("cpu")
    names = [f"blocks.{k}.attention.{part}" for k in range(6) for part in ("query", "key", "value")]
    outputs = submodule_outputs(model.module, names, lambda: model(model.prepare(sample).tensors))
    for k, norms in enumerate(record.norms):
        query, key, value = (
            outputs[f"blocks.{k}.attention.{part}"][0].unflatten(-1, (4, -1)).transpose(0, 1)
            for part in ("query", "key", "value")
        )
        projection = model.module.get_submodule(f"blocks.{k}.attention.output").weight.detach()
        assert is_close(norms, expected_norms(eager_weights(query, key), value, projection))
        assert not norms.flags.writeable


def test_an_ablated_head_is_not_in_the_norms(sample: Sample) -> None:
    torch.manual_seed(5)
    model, x = Layer(fused).eval(), torch.randn(2, 7, WIDTH)
    with torch.no_grad(), mmviz.capture(model, ablate=[[(0, 1)], [(0, 0), (0, 3)]]) as result:
        model(x)
    for batch, ablate in enumerate([(1,), (0, 3)]):
        with torch.no_grad():
            query, key, value = (part[batch] for part in model.vectors(x))
            expected = expected_norms(eager_weights(query, key), value, model.out.weight, ablate)
        assert is_close(value_norms(result.all_attention_calls[0], batch), expected)
    record = LocalBackend("cpu").run([Request("trio", sample, (AblateHead(2, 1),), norms=True)])[0]
    assert len(record.norms) == 6 and record.notices == ()


class Bare(nn.Module):
    """Attention without an output projection; the next linear map takes another tensor of the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.next = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (HEADS, SIZE)).transpose(1, 2)
        attn_output = F.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(2)
        output: Tensor = self.next(2 * attn_output)
        return output[:, 0, :2]


def test_attention_without_an_output_projection_has_no_norms_and_a_notice_says_so() -> None:
    torch.manual_seed(6)
    with pytest.raises(CaptureError) as error:
        value_norms(attention_calls(Bare().eval(), torch.randn(1, 5, WIDTH))[0])
    assert error.value.code == "norms-projection" and "Bare" in str(error.value)
    own = CustomModel(Bare(), lambda sample: (torch.randn(1, 5, WIDTH), list("abcde")), ["yes", "no"])
    record = LocalBackend("cpu", {"own": own}).run([Request("own", Sample(text="a"), norms=True)])[0]
    assert record.norms == () and [notice.code for notice in record.notices] == ["norms-projection"]
    assert len(record.maps) == 1


def test_norms_of_overwritten_values_raise() -> None:
    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        attn_output = fused(query, key, value)
        value.zero_()
        return attn_output

    torch.manual_seed(7)
    (call,) = attention_calls(Layer(attend).eval(), torch.randn(1, 5, WIDTH))
    assert call.projection is not None
    with pytest.raises(CaptureError) as error:
        value_norms(call)
    assert error.value.code == "capture-changed"
