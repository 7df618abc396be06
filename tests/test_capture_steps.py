"""The steps of an attention reproduce the model's own weights, values and output, for every layer and head."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

import mmviz
from mmviz.backends.local import LocalBackend
from mmviz.capture.qkv_and_projections import attention_tensors
from mmviz.inputs.examples import load_gallery
from mmviz.models.custom import CustomModel
from mmviz.models.trio_model import BundledTrio
from mmviz.types import AblateHead, AttentionRecord, AttentionTensors, CaptureError, Request, Sample, UniformAttention

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

HEADS, SIZE, TOKENS = 4, 8, 7
WIDTH = HEADS * SIZE


def eager_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Returns weights and their product with the values in float64, for ``[head, token, d]``."""
    scores = query.double() @ key.double().transpose(-2, -1) / query.shape[-1] ** 0.5
    weights = (scores if mask is None else scores + mask).softmax(-1)
    return weights, weights @ value.double()


def recomputed(steps: AttentionTensors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns weights and their product with the values, from the steps alone."""
    scores = torch.from_numpy(steps.query @ steps.key.swapaxes(1, 2)).double() * steps.scale
    mask = 0 if steps.mask is None else torch.from_numpy(np.array(steps.mask)).double()
    weights = (scores + mask).softmax(-1).nan_to_num()
    return weights.numpy(), (weights @ torch.from_numpy(np.array(steps.value)).double()).numpy()


def projected(steps: AttentionTensors, attn_output: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the output of the linear map that joins the heads, ``[query, D]``."""
    concatenated = attn_output.swapaxes(0, 1).reshape(steps.shape[0], -1)
    assert steps.projection is not None
    output = concatenated @ steps.projection.T.astype(np.float64)
    return np.asarray(output + (0 if steps.bias is None else steps.bias))


def check_steps(steps: AttentionTensors, weights: Tensor, attn_output: Tensor, output: Tensor | None = None) -> None:
    """Checks that the steps give these numbers, to 1e-5, and hold them as the model's own.

    For vectors that is relative to the largest value, since float32 rounds relative to size.
    """
    computed_weights, computed_output = recomputed(steps)
    assert np.abs(computed_weights - weights.detach().numpy()).max() < 1e-5
    limit = 1e-5 * max(1.0, float(np.abs(steps.value).max()))
    for values in (computed_output, steps.attn_output):
        assert np.abs(values - attn_output.detach().numpy()).max() < limit
    if output is not None:
        for values in (projected(steps, recomputed(steps)[1]), steps.output):
            assert np.abs(values - output.detach().numpy()).max() < 1e-5


def check_linear_maps(steps: AttentionTensors, state: Tensor, context: Tensor) -> None:
    """Checks that queries, keys and values come from these tokens by the linear maps in the steps."""
    assert np.array_equal(steps.state, state.detach().numpy()) and np.array_equal(steps.context, context.numpy())
    for name, tokens in (("query", steps.state), ("key", steps.context), ("value", steps.context)):
        weight, bias = getattr(steps, f"to_{name}"), getattr(steps, f"{name}_bias")
        flat = tokens @ weight.T + (0 if bias is None else bias)
        vectors = flat.reshape(len(tokens), steps.heads, -1).swapaxes(0, 1)
        assert np.abs(vectors - getattr(steps, name)).max() < 1e-5


def attention_calls(model: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    """Returns the attention calls of one run, captured with what their steps need."""
    with torch.no_grad(), mmviz.capture(model, steps=True) as result:
        model(*args, **kwargs)
    return result.all_attention_calls


# Attention as people write it: each function takes queries, keys, values [batch, head, token, d] and an additive mask.


def fused(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, mask, enable_gqa=True)


def fused_boolean_mask(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, mask == 0, enable_gqa=True)


def per_query_head(query: Tensor, *tensors: Tensor) -> list[Tensor]:
    return [tensor.repeat_interleave(query.shape[1] // tensor.shape[1], 1) for tensor in tensors]


def scores_divided(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    key, value = per_query_head(query, key, value)
    return torch.softmax(query @ key.transpose(-2, -1) / SIZE**0.5 + mask, -1) @ value


def queries_divided(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    key, value = per_query_head(query, key, value)
    scores = torch.matmul(query * SIZE**-0.5, key.transpose(-2, -1))
    return F.softmax(scores.masked_fill(mask != 0, -torch.inf), dim=-1).matmul(value)


def both_divided(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    key, value = per_query_head(query, key, value)
    return ((query * SIZE**-0.25) @ (key * SIZE**-0.25).mT + mask).float().softmax(-1) @ value


def in_place(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    key, value = per_query_head(query, key, value)
    scores = query @ key.mT
    scores *= SIZE**-0.5
    scores += mask
    return scores.softmax(-1) @ value


def einsum(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    key, value = per_query_head(query, key, value)
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) / SIZE**0.5
    return torch.einsum("bhqk,bhkd->bhqd", torch.where(mask == 0, scores, -torch.inf).softmax(-1), value)


def einsum_keys_first(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    key, value = per_query_head(query, key, value)
    scores = torch.einsum("bhkd, bhqd -> bhqk", key, query) * SIZE**-0.5 + mask
    return torch.einsum("bhkd,bhqk->bhqd", value, scores.softmax(-1))


def flat_heads(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    batch, (key, value) = len(query), per_query_head(query, key, value)
    query, key, value = (tensor.flatten(0, 1) for tensor in (query, key, value))
    mask = mask.expand(batch, HEADS, TOKENS, TOKENS).flatten(0, 1)
    scores = torch.baddbmm(mask, query, key.mT, alpha=SIZE**-0.5)
    return torch.bmm(scores.softmax(-1), value).unflatten(0, (batch, HEADS))


ATTENTION_FUNCTIONS = [
    fused, fused_boolean_mask, scores_divided, queries_divided, both_divided, in_place, einsum, einsum_keys_first,
    flat_heads,
]  # fmt: skip


class Layer(nn.Module):
    """Self-attention by one of these functions; the last key is masked for the first query."""

    def __init__(self, attend: Callable[..., Tensor], kv_heads: int = HEADS, bias: bool = True):
        super().__init__()
        self.attend = attend
        self.query, self.out = (nn.Linear(WIDTH, WIDTH, bias=bias) for _ in range(2))
        self.key, self.value = (nn.Linear(WIDTH, kv_heads * SIZE, bias=bias) for _ in range(2))
        self.mask = torch.zeros(TOKENS, TOKENS).index_put((torch.tensor(0), torch.tensor(-1)), torch.tensor(-torch.inf))

    def vectors(self, x: Tensor) -> list[Tensor]:
        """Returns queries, keys and values, ``[batch, head, token, d]``."""
        linear_maps = (self.query, self.key, self.value)
        return [linear(x).unflatten(-1, (-1, SIZE)).transpose(1, 2) for linear in linear_maps]

    def forward(self, x: Tensor) -> Tensor:
        attn_output = self.attend(*self.vectors(x), self.mask)
        output: Tensor = self.out(attn_output.transpose(1, 2).reshape(x.shape))
        output += x  # in place, as some models add it
        return output


@pytest.mark.parametrize("attend", ATTENTION_FUNCTIONS)
@pytest.mark.parametrize("kv_heads", [HEADS, 2])
def test_steps_are_those_of_the_model_however_it_is_written(attend: Callable[..., Tensor], kv_heads: int) -> None:
    torch.manual_seed(0)
    batch_size = 1 if attend is flat_heads else 3  # the heads of three axes are those of one sample
    model, x = Layer(attend, kv_heads, bias=kv_heads == 2).eval(), torch.randn(batch_size, TOKENS, WIDTH)
    (call,) = attention_calls(model, x)
    for batch in range(batch_size):
        steps = attention_tensors(call, batch)
        with torch.no_grad():
            query, key, value = (part[batch] for part in model.vectors(x))
            key, value = (part.repeat_interleave(HEADS // kv_heads, 0) for part in (key, value))
            weights, attn_output = eager_attention(query, key, value, model.mask)
            output = model(x)[batch] - x[batch]
        check_steps(steps, weights, attn_output, output)
        check_linear_maps(steps, x[batch], x[batch])
        assert steps.scale == pytest.approx(SIZE**-0.5, abs=1e-12)
        assert steps.mask.shape == (1, TOKENS, TOKENS) and np.isneginf(steps.mask).sum() == 1
        assert np.array_equal(steps.mask[0] == 0, model.mask == 0)
        assert np.abs(steps.query - query.numpy()).max() < 1e-6 and np.abs(steps.key - key.numpy()).max() < 1e-6
        assert not steps.query.flags.writeable and steps.query.dtype == np.float32


def test_steps_of_a_causal_kernel_have_its_mask() -> None:
    def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)

    torch.manual_seed(0)
    model, x = Layer(attend).eval(), torch.randn(1, TOKENS, WIDTH)
    steps = attention_tensors(attention_calls(model, x)[0])
    causal = torch.full((TOKENS, TOKENS), -torch.inf).triu(1)
    check_steps(steps, *eager_attention(*(part[0] for part in model.vectors(x)), causal))
    assert np.array_equal(steps.mask[0], causal.numpy())


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("masked", ["none", "added", "boolean", "padding"])
def test_steps_of_multi_head_attention(batch_first: bool, need_weights: bool, masked: str) -> None:
    torch.manual_seed(1)
    model = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first).eval()
    x, memory = torch.randn(2, 5, WIDTH), torch.randn(2, 9, WIDTH)
    mask = torch.randn(5, 9) if masked == "added" else torch.rand(5, 9) < 0.3
    padding = torch.arange(9)[None] >= torch.tensor([9, 6])[:, None]
    masks = {
        "none": {}, "added": {"attn_mask": mask}, "boolean": {"attn_mask": mask},
        "padding": {"key_padding_mask": padding},
    }[masked]  # fmt: skip
    inputs = [tensor if batch_first else tensor.transpose(0, 1) for tensor in (x, memory, memory)]
    (call,) = attention_calls(model, *inputs, need_weights=need_weights, **masks)
    with torch.no_grad():
        output, weights = model(*inputs, average_attn_weights=False, **masks)
        output = output if batch_first else output.transpose(0, 1)
        value_weight, value_bias = model.in_proj_weight.chunk(3)[2], model.in_proj_bias.chunk(3)[2]
        value = F.linear(memory, value_weight, value_bias).unflatten(-1, (HEADS, SIZE)).transpose(1, 2)
    for batch in range(2):
        steps = attention_tensors(call, batch)
        check_steps(steps, weights[batch], weights[batch].double() @ value[batch].double(), output[batch])
        check_linear_maps(steps, x[batch], memory[batch])
        assert (steps.mask is None) == (masked == "none" or (masked == "padding" and batch == 0))


@pytest.mark.parametrize("name", ["bert", "llama", "vit", "t5", "whisper"])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_steps_of_hugging_face_models(name: str, implementation: str) -> None:
    import transformers as hf

    tiny = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": HEADS, "intermediate_size": 64}
    ids = torch.randint(5, 90, (1, 9), generator=torch.Generator().manual_seed(0))
    inputs: dict[str, Any] = {"input_ids": ids}
    torch.manual_seed(2)
    if name == "bert":
        model: Any = hf.BertModel(hf.BertConfig(**tiny, vocab_size=100, initializer_range=0.3))
    elif name == "llama":
        special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "vocab_size": 100}
        model = hf.LlamaModel(hf.LlamaConfig(**tiny, num_key_value_heads=2, initializer_range=0.3, **special))
    elif name == "vit":
        model = hf.ViTModel(hf.ViTConfig(**tiny, image_size=16, patch_size=8, initializer_range=0.3))
        inputs = {"pixel_values": torch.randn(1, 3, 16, 16)}
    elif name == "t5":
        model = hf.T5EncoderModel(
            hf.T5Config(vocab_size=100, d_model=WIDTH, d_kv=SIZE, d_ff=64, num_layers=2, num_heads=HEADS)
        )
    else:
        model = hf.WhisperModel(
            hf.WhisperConfig(
                vocab_size=100, num_mel_bins=8, encoder_layers=1, encoder_attention_heads=HEADS, decoder_layers=1,
                decoder_attention_heads=HEADS, d_model=WIDTH, encoder_ffn_dim=64, decoder_ffn_dim=64,
                max_source_positions=10, max_target_positions=20, pad_token_id=0, bos_token_id=1, eos_token_id=2,
                decoder_start_token_id=1, suppress_tokens=None, begin_suppress_tokens=None,
            )
        )  # fmt: skip
        inputs = {"input_features": torch.randn(1, 8, 20), "decoder_input_ids": ids}
    model.eval().set_attn_implementation(implementation)
    layers = [attention_tensors(call) for call in attention_calls(model, **inputs)]
    model.set_attn_implementation("eager")
    with torch.no_grad():
        outputs = model(**inputs, output_attentions=True)
    attentions = [
        weights
        for field in ("attentions", "encoder_attentions", "decoder_attentions", "cross_attentions")
        for weights in getattr(outputs, field, None) or ()
    ]
    assert len(layers) == len(attentions) > 1
    for steps in layers:  # transformers lists them in another order than that of execution
        weights, attn_output = recomputed(steps)
        candidates = [attention[0].numpy() for attention in attentions if attention[0].shape == weights.shape]
        assert min(np.abs(weights - candidate).max() for candidate in candidates) < 1e-5
        assert np.abs(attn_output - steps.attn_output).max() < 1e-5
        assert steps.projection is not None and steps.output is not None and steps.to_value is not None
        assert (steps.to_query is None) == (name == "llama"), "rotated queries do not come from a linear map alone"


@pytest.fixture(scope="module")
def sample() -> Sample:
    return load_gallery()[0].sample()


@pytest.fixture(scope="module")
def record(sample: Sample) -> AttentionRecord:
    return LocalBackend("cpu").run([Request("trio", sample, steps=True)])[0]


def test_steps_of_trio_equal_what_its_submodules_compute(sample: Sample, record: AttentionRecord) -> None:
    """Compared for every layer, head, query and key."""
    assert len(record.steps) == len(record.maps) == 6 and record.notices == ()
    model = BundledTrio("cpu")
    tensors: dict[str, Tensor] = {}
    for layer, block in enumerate(model.module.blocks):
        for name in ("query", "key", "value", "output"):
            linear = getattr(block.attention, name)
            linear.register_forward_hook(lambda *call, at=f"{layer}{name}": tensors.update({at: call[-1][0].detach()}))
        block.attention.query.register_forward_hook(lambda *call, at=f"{layer}x": tensors.update({at: call[1][0][0]}))
    with torch.no_grad():
        model(model.prepare(sample).tensors)
    for layer, (steps, attn_map) in enumerate(zip(record.steps, record.maps, strict=True)):
        vectors = [
            tensors[f"{layer}{name}"].unflatten(-1, (4, -1)).transpose(0, 1) for name in ("query", "key", "value")
        ]
        check_steps(steps, *eager_attention(*vectors), tensors[f"{layer}output"])
        check_linear_maps(steps, tensors[f"{layer}x"], tensors[f"{layer}x"])
        assert np.abs(recomputed(steps)[0] - attn_map.weights).max() < 1e-5
        assert steps.scale == pytest.approx(48**-0.5, abs=1e-15) and steps.mask is None and steps.ablated_heads == ()


def test_an_ablated_head_adds_nothing_to_the_output(sample: Sample) -> None:
    ablated = LocalBackend("cpu").run([Request("trio", sample, (AblateHead(2, 1),), steps=True)])[0]
    assert [steps.ablated_heads for steps in ablated.steps] == [(), (), (1,), (), (), ()]
    steps = ablated.steps[2]
    attn_output = recomputed(steps)[1]
    assert np.abs(attn_output[1] - steps.attn_output[1]).max() < 1e-5, "its own output is kept"
    attn_output[1] = 0
    assert np.abs(projected(steps, attn_output) - steps.output).max() < 1e-5


class Capped(nn.Module):
    """Scores that go through tanh, and are no longer queries times keys."""

    def forward(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (HEADS, SIZE)).transpose(1, 2)
        scores = 5 * torch.tanh(heads @ heads.mT / 5)
        return (scores.softmax(-1) @ heads).transpose(1, 2).flatten(2)[:, 0, :2]


class PerHead(nn.Module):
    """Scores with another scale for each head."""

    def forward(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (HEADS, SIZE)).transpose(1, 2)
        scores = heads @ heads.mT * torch.linspace(0.1, 1, HEADS)[:, None, None]
        return (scores.softmax(-1) @ heads).transpose(1, 2).flatten(2)[:, 0, :2]


@pytest.mark.parametrize("module", [Capped, PerHead])
def test_scores_other_than_scaled_products_have_no_steps_and_a_notice_says_so(module: type[nn.Module]) -> None:
    with pytest.raises(CaptureError) as error:
        attention_tensors(attention_calls(module(), torch.randn(1, 5, WIDTH))[0])
    assert error.value.code == "steps-scores" and module.__name__ in str(error.value)
    custom = CustomModel(module(), lambda sample: (torch.randn(1, 5, WIDTH), list("abcde")), ["yes", "no"])
    record = LocalBackend("cpu", {"own": custom}).run([Request("own", Sample(text="a"), steps=True)])[0]
    assert record.steps == () and [notice.code for notice in record.notices] == ["steps-scores"]
    assert len(record.maps) == 1


def test_replaced_weights_are_no_softmax_of_scores(sample: Sample) -> None:
    record = LocalBackend("cpu").run([Request("trio", sample, (UniformAttention(),), steps=True)])[0]
    assert record.steps == () and "steps-parity" in [notice.code for notice in record.notices]


def test_long_inputs_and_captures_without_steps_raise() -> None:
    torch.manual_seed(3)
    model = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval()
    x = torch.randn(1, 600, WIDTH)
    with pytest.raises(CaptureError) as error:
        attention_tensors(attention_calls(model, x, x, x)[0])
    assert error.value.code == "steps-long"
    with torch.no_grad(), mmviz.capture(model) as result:
        model(x[:, :5], x[:, :5], x[:, :5])
    with pytest.raises(CaptureError) as error:
        attention_tensors(result.all_attention_calls[0])
    assert error.value.code == "steps-scores"


def test_overwritten_tensors_raise() -> None:
    def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        attn_output = fused(query, key, value, mask)
        key.zero_()
        return attn_output

    with pytest.raises(CaptureError) as error:
        attention_tensors(attention_calls(Layer(attend).eval(), torch.randn(1, TOKENS, WIDTH))[0])
    assert error.value.code == "capture-changed"


def test_attention_without_an_output_projection_has_no_output() -> None:
    class Bare(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            heads = x.unflatten(-1, (HEADS, SIZE)).transpose(1, 2)
            return F.scaled_dot_product_attention(heads, heads, heads)

    steps = attention_tensors(attention_calls(Bare(), torch.randn(1, 5, WIDTH))[0])
    assert {name for name, _ in steps.arrays()} == {"query", "key", "value", "attn_output"}


def small_steps() -> AttentionTensors:
    """Returns steps of 2 heads, 3 tokens, d 4, with a projection to width 5."""
    vectors = np.ones((2, 3, 4), np.float32)
    return AttentionTensors(
        vectors, vectors, vectors, 0.5, vectors, np.zeros((1, 3, 3), np.float32), np.ones((5, 8), np.float32), None,
        np.ones((3, 5), np.float32),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change"),
    [("key", lambda a: a[:, 1:]), ("attn_output", lambda a: a * np.nan), ("projection", lambda a: a[:, 1:]),
     ("query", lambda a: a.astype(np.float64)), ("mask", lambda a: np.full((2, 3, 3), np.inf, np.float32)),
     ("output", lambda a: None)],
)  # fmt: skip
def test_steps_with_arrays_that_do_not_fit_together_raise(name: str, change: Callable[..., Any]) -> None:
    steps = small_steps()
    with pytest.raises(CaptureError) as error:
        replace(steps, **{name: change(getattr(steps, name))})
    assert error.value.code == "steps-shape"


def test_steps_are_values_that_later_writes_do_not_reach() -> None:
    vectors = np.ones((2, 3, 4), np.float32)
    steps = replace(small_steps(), query=vectors)
    assert steps == small_steps() and hash(steps) == hash(small_steps())
    vectors[:] = 9
    assert steps == small_steps() != replace(small_steps(), scale=0.25)


def test_a_run_too_long_for_steps_has_a_notice_and_keeps_no_tensors_for_them() -> None:
    class Long(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, x, x)[0][:, 0, :2]

    tokens = [str(k) for k in range(600)]
    custom = CustomModel(Long(), lambda _: (torch.randn(1, 600, WIDTH), tokens), ["a", "b"])
    backend = LocalBackend("cpu", {"own": custom})
    (record,) = backend.run([Request("own", Sample(text="a"), steps=True)])
    assert record.is_long and record.steps == ()
    assert [notice.code for notice in record.notices if notice.code.startswith("steps")] == ["steps-long"]
    (call,) = backend._cache.get(record.id).result.attention_calls()
    assert call.score_trace is not None
    assert not call.score_trace.linear_calls and call.score_trace.scores is None
