"""Value-weighted attention is the norm of what each token brings to each, as its formula says, worked out directly."""

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
from mmviz.capture.value_norms import norms
from mmviz.inputs.examples import load_gallery
from mmviz.models.bundled import BundledTrio
from mmviz.models.custom import CustomModel
from mmviz.types import AblateHead, CaptureError, Request, Sample

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

HEADS, SIZE = 4, 8
WIDTH = HEADS * SIZE


def brought(weights: Tensor, value: Tensor, matrix: Tensor, ablate: tuple[int, ...] = ()) -> NDArray[np.float64]:
    """``|| sum over heads of a_h W_h v_h ||``, one vector at a time; ``weights`` ``[head, query, key]``, ``value``
    ``[kv head, key, d_v]``, ``matrix`` ``[width, head * d_v]``."""
    heads, size = len(weights), value.shape[-1]
    total = torch.zeros(*weights.shape[1:], len(matrix), dtype=torch.float64)
    for head in set(range(heads)) - set(ablate):
        part = matrix.double()[:, head * size : (head + 1) * size]
        moved = value.double()[head // (heads // len(value))] @ part.T
        total += weights.double()[head, :, :, None] * moved[None]
    return total.norm(dim=-1).numpy()


def eager(query: Tensor, key: Tensor) -> Tensor:
    """Weights in float64, of ``[head, token, d]``."""
    key = key.repeat_interleave(len(query) // len(key), 0)
    return (query.double() @ key.double().transpose(-2, -1) / query.shape[-1] ** 0.5).softmax(-1)


def is_near(found: NDArray[np.float32], expected: NDArray[np.float64]) -> bool:
    assert found.dtype == np.float32 and found.shape == expected.shape
    return float(np.abs(found - expected).max()) < 1e-5 * float(expected.max())


class Layer(nn.Module):
    """Self-attention, a gate of the same width that reads the same tokens, and the map that joins the heads."""

    def __init__(self, attend: Callable[..., Tensor], heads: int = HEADS, kv_heads: int = HEADS):
        super().__init__()
        self.attend = attend
        self.query, self.gate, self.out = (nn.Linear(heads * SIZE, heads * SIZE) for _ in range(3))
        self.key, self.value = (nn.Linear(heads * SIZE, kv_heads * SIZE) for _ in range(2))

    def parts(self, x: Tensor) -> list[Tensor]:
        maps = (self.query, self.key, self.value)
        return [part(x).unflatten(-1, (-1, SIZE)).transpose(1, 2) for part in maps]

    def forward(self, x: Tensor) -> Tensor:
        attn_output = self.attend(*self.parts(x))
        gate = self.gate(x)
        found: Tensor = self.out(attn_output.transpose(1, 2).reshape(x.shape))
        return found * gate


def fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, enable_gqa=True)


def by_hand(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    key, value = (part.repeat_interleave(query.shape[1] // part.shape[1], 1) for part in (key, value))
    return torch.softmax(query @ key.transpose(-2, -1) / SIZE**0.5, -1) @ value


def heard(model: nn.Module, *given: Any, **named: Any) -> tuple[Any, ...]:
    with torch.no_grad(), mmviz.capture(model) as seen:
        model(*given, **named)
    return seen.everything


@pytest.mark.parametrize("attend", [fused, by_hand])
@pytest.mark.parametrize("kv_heads", [HEADS, 2, 1])
def test_norms_are_those_of_the_vectors_that_are_added(attend: Callable[..., Tensor], kv_heads: int) -> None:
    torch.manual_seed(0)
    model, x = Layer(attend, kv_heads=kv_heads).eval(), torch.randn(3, 7, WIDTH)
    (one,) = heard(model, x)
    assert one.projection is model.out.weight
    for batch in range(3):
        with torch.no_grad():
            query, key, value = (part[batch] for part in model.parts(x))
            assert is_near(norms(one, batch), brought(eager(query, key), value, model.out.weight))


def test_with_one_head_and_nothing_moved_they_are_weight_times_length() -> None:
    torch.manual_seed(1)
    model, x = Layer(fused, 1, 1).eval(), torch.randn(1, 6, SIZE)
    with torch.no_grad():
        model.out.weight.copy_(torch.eye(SIZE))
        query, key, value = (part[0] for part in model.parts(x))
    expected = eager(query, key)[0] * value[0].double().norm(dim=-1)
    assert is_near(norms(heard(model, x)[0]), expected.numpy())


def test_heads_that_bring_opposite_things_cancel() -> None:
    torch.manual_seed(2)
    model, x = Layer(by_hand, 2, 1).eval(), torch.randn(1, 5, 2 * SIZE)
    with torch.no_grad():
        model.query.weight[SIZE:] = model.query.weight[:SIZE]  # both heads ask the same, of the same values
        model.query.bias[SIZE:] = model.query.bias[:SIZE]
        model.out.weight[:, SIZE:] = -model.out.weight[:, :SIZE]
        value = model.parts(x)[2][0]
    alone = brought(torch.ones(1, 5, 5), value, model.out.weight.detach()[:, :SIZE])
    assert norms(heard(model, x)[0]).max() < 1e-3 * alone.max()


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("queries", [2, 6])  # as many as there are samples, too
def test_norms_of_multi_head_attention(batch_first: bool, need_weights: bool, queries: int) -> None:
    torch.manual_seed(3)
    model = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first).eval()
    x, memory = torch.randn(2, queries, WIDTH), torch.randn(2, 9, WIDTH)
    given = [one if batch_first else one.transpose(0, 1) for one in (x, memory, memory)]
    (one,) = heard(model, *given, need_weights=need_weights)
    with torch.no_grad():
        maps = zip((x, memory, memory), model.in_proj_weight.chunk(3), model.in_proj_bias.chunk(3), strict=True)
        parts = [F.linear(*each).unflatten(-1, (HEADS, SIZE)).transpose(1, 2) for each in maps]
    for batch in range(2):
        query, key, value = (part[batch] for part in parts)
        assert is_near(norms(one, batch), brought(eager(query, key), value, model.out_proj.weight.detach()))


def hooked(module: nn.Module, names: list[str], run: Callable[[], Any]) -> dict[str, Tensor]:
    """What the parts of a module give in one run."""
    found: dict[str, Tensor] = {}
    handles = [
        module.get_submodule(name).register_forward_hook(lambda *call, name=name: found.update({name: call[-1]}))
        for name in names
    ]
    with torch.no_grad():
        run()
    for handle in handles:
        handle.remove()
    return found


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
        named = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "vocab_size": 100}
        config = hf.LlamaConfig(**tiny, num_key_value_heads=2, initializer_range=0.3, **named)
        model = hf.LlamaModel(config).eval()
        layers = [f"layers.{k}.self_attn." for k in (0, 1)]
        value, out = "v_proj", "o_proj"
    ids = torch.randint(5, 90, (2, 9), generator=torch.Generator().manual_seed(0))
    text = {"input_ids": ids, "attention_mask": (torch.arange(9) < torch.tensor([9, 6])[:, None]).long()}
    model.set_attn_implementation("sdpa")
    found = heard(model, **text)
    model.set_attn_implementation("eager")
    values = hooked(model, [layer + value for layer in layers], lambda: model(**text))
    with torch.no_grad():
        weights = model(**text, output_attentions=True).attentions
    for one, layer, weight in zip(found, layers, weights, strict=True):
        matrix = model.get_submodule(layer + out).weight.detach()
        for batch, real in enumerate((9, 6)):  # queries that are padding may ask anything
            heads = values[layer + value][batch].unflatten(-1, (-1, SIZE)).transpose(0, 1)
            expected = brought(weight[batch], heads, matrix)
            assert is_near(norms(one, batch)[:real], expected[:real])


@pytest.fixture(scope="module")
def sample() -> Sample:
    return load_gallery()[0].sample()


def test_norms_of_trio_come_with_its_record(sample: Sample) -> None:
    record = LocalBackend("cpu").run([Request("trio", sample, norms=True)])[0]
    assert len(record.norms) == len(record.maps) == 6 and record.notices == ()
    model = BundledTrio("cpu")
    names = [f"blocks.{k}.attention.{part}" for k in range(6) for part in ("query", "key", "value")]
    parts = hooked(model.module, names, lambda: model(model.prepare(sample).tensors))
    for k, found in enumerate(record.norms):
        query, key, value = (
            parts[f"blocks.{k}.attention.{part}"][0].unflatten(-1, (4, -1)).transpose(0, 1)
            for part in ("query", "key", "value")
        )
        matrix = model.module.get_submodule(f"blocks.{k}.attention.output").weight.detach()
        assert is_near(found, brought(eager(query, key), value, matrix)) and not found.flags.writeable


def test_a_head_that_is_off_is_not_in_the_norms(sample: Sample) -> None:
    torch.manual_seed(5)
    model, x = Layer(fused).eval(), torch.randn(2, 7, WIDTH)
    with torch.no_grad(), mmviz.capture(model, ablate=[[(0, 1)], [(0, 0), (0, 3)]]) as seen:
        model(x)
    for batch, ablate in enumerate([(1,), (0, 3)]):
        with torch.no_grad():
            query, key, value = (part[batch] for part in model.parts(x))
            expected = brought(eager(query, key), value, model.out.weight, ablate)
        assert is_near(norms(seen.everything[0], batch), expected)
    record = LocalBackend("cpu").run([Request("trio", sample, (AblateHead(2, 1),), norms=True)])[0]
    assert len(record.norms) == 6 and record.notices == ()


class Bare(nn.Module):
    """Attention that no linear map follows; what comes next reads something else, of the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.next = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (HEADS, SIZE)).transpose(1, 2)
        attn_output = F.scaled_dot_product_attention(heads, heads, heads).transpose(1, 2).flatten(2)
        found: Tensor = self.next(2 * attn_output)
        return found[:, 0, :2]


def test_without_a_linear_map_there_are_none_and_it_says_so() -> None:
    torch.manual_seed(6)
    with pytest.raises(CaptureError) as refusal:
        norms(heard(Bare().eval(), torch.randn(1, 5, WIDTH))[0])
    assert refusal.value.code == "norms-projection" and "follow the heads of Bare" in str(refusal.value)
    own = CustomModel(Bare(), lambda sample: (torch.randn(1, 5, WIDTH), list("abcde")), ["yes", "no"])
    record = LocalBackend("cpu", {"own": own}).run([Request("own", Sample(text="a"), norms=True)])[0]
    assert record.norms == () and [notice.code for notice in record.notices] == ["norms-projection"]
    assert len(record.maps) == 1


def test_what_was_written_over_before_the_linear_map_is_refused() -> None:
    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        attn_output = fused(query, key, value)
        value.zero_()
        return attn_output

    torch.manual_seed(7)
    (one,) = heard(Layer(attend).eval(), torch.randn(1, 5, WIDTH))
    assert one.projection is not None
    with pytest.raises(CaptureError) as refusal:
        norms(one)
    assert refusal.value.code == "capture-changed"
