"""The steps of an attention lead to what the model itself had: weights, values, output, for every layer and head."""

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
from mmviz.capture.attention_steps import steps
from mmviz.inputs.examples import load_gallery
from mmviz.models.bundled import BundledTrio
from mmviz.models.custom import CustomModel
from mmviz.types import AblateHead, AttentionRecord, AttentionSteps, CaptureError, Request, Sample, UniformAttention

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

HEADS, SIZE, TOKENS = 4, 8, 7
WIDTH = HEADS * SIZE


def eager(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Weights and mixed values in float64, of ``[head, token, d]``."""
    scores = query.double() @ key.double().transpose(-2, -1) / query.shape[-1] ** 0.5
    weights = (scores if mask is None else scores + mask).softmax(-1)
    return weights, weights @ value.double()


def again(found: AttentionSteps) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and mixed values, of the steps alone."""
    scores = torch.from_numpy(found.query @ found.key.swapaxes(1, 2)).double() * found.scale
    mask = 0 if found.mask is None else torch.from_numpy(np.array(found.mask)).double()
    weights = (scores + mask).softmax(-1).nan_to_num()
    return weights.numpy(), (weights @ torch.from_numpy(np.array(found.value)).double()).numpy()


def check(found: AttentionSteps, weights: Tensor, attn_output: Tensor, output: Tensor | None = None) -> None:
    """That the steps give these, to 1e-5, and say that the model gave them."""
    for one, expected in zip(again(found), (weights, attn_output), strict=True):
        assert np.abs(one - expected.detach().numpy()).max() < 1e-5
    assert np.abs(found.attn_output - attn_output.detach().numpy()).max() < 1e-5
    if output is not None:
        joined = again(found)[1].swapaxes(0, 1).reshape(found.shape[0], -1) @ found.projection.T.astype(np.float64)
        joined = joined + (0 if found.bias is None else found.bias)
        for one in (joined, found.output):
            assert np.abs(one - output.detach().numpy()).max() < 1e-5


def check_maps(found: AttentionSteps, state: Tensor, context: Tensor) -> None:
    """That queries, keys and values come from these tokens by the maps that were found."""
    assert np.array_equal(found.state, state.detach().numpy()) and np.array_equal(found.context, context.numpy())
    for name, given in (("query", found.state), ("key", found.context), ("value", found.context)):
        matrix, bias = getattr(found, f"to_{name}"), getattr(found, f"{name}_bias")
        made = (given @ matrix.T + (0 if bias is None else bias)).reshape(len(given), found.heads, -1).swapaxes(0, 1)
        assert np.abs(made - getattr(found, name)).max() < 1e-5


def heard(model: nn.Module, *given: Any, **named: Any) -> tuple[Any, ...]:
    with torch.no_grad(), mmviz.capture(model, steps=True) as seen:
        model(*given, **named)
    return seen.everything


# The ways in which people write it: each is given queries, keys and values [batch, head, token, d] and a mask to add.


def fused(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, mask, enable_gqa=True)


def fused_by_truth(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, value, mask == 0, enable_gqa=True)


def wide(query: Tensor, *parts: Tensor) -> list[Tensor]:
    return [part.repeat_interleave(query.shape[1] // part.shape[1], 1) for part in parts]


def scores_divided(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    key, value = wide(query, key, value)
    return torch.softmax(query @ key.transpose(-2, -1) / SIZE**0.5 + mask, -1) @ value


def queries_divided(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    key, value = wide(query, key, value)
    scores = torch.matmul(query * SIZE**-0.5, key.transpose(-2, -1))
    return F.softmax(scores.masked_fill(mask != 0, -torch.inf), dim=-1).matmul(value)


def both_divided(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    key, value = wide(query, key, value)
    return ((query * SIZE**-0.25) @ (key * SIZE**-0.25).mT + mask).float().softmax(-1) @ value


def in_place(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    key, value = wide(query, key, value)
    scores = query @ key.mT
    scores *= SIZE**-0.5
    scores += mask
    return scores.softmax(-1) @ value


def by_letters(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    key, value = wide(query, key, value)
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) / SIZE**0.5
    return torch.einsum("bhqk,bhkd->bhqd", torch.where(mask == 0, scores, -torch.inf).softmax(-1), value)


def flat(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    batch, (key, value) = len(query), wide(query, key, value)
    query, key, value = (part.flatten(0, 1) for part in (query, key, value))
    mask = mask.expand(batch, HEADS, TOKENS, TOKENS).flatten(0, 1)
    scores = torch.baddbmm(mask, query, key.mT, alpha=SIZE**-0.5)
    return torch.bmm(scores.softmax(-1), value).unflatten(0, (batch, HEADS))


WAYS = [fused, fused_by_truth, scores_divided, queries_divided, both_divided, in_place, by_letters, flat]


class Layer(nn.Module):
    """Self-attention written in one of these ways, with the last key masked for the first query."""

    def __init__(self, attend: Callable[..., Tensor], kv_heads: int = HEADS, bias: bool = True):
        super().__init__()
        self.attend = attend
        self.query, self.out = (nn.Linear(WIDTH, WIDTH, bias=bias) for _ in range(2))
        self.key, self.value = (nn.Linear(WIDTH, kv_heads * SIZE, bias=bias) for _ in range(2))
        self.mask = torch.zeros(TOKENS, TOKENS).index_put((torch.tensor(0), torch.tensor(-1)), torch.tensor(-torch.inf))

    def parts(self, x: Tensor) -> list[Tensor]:
        maps = (self.query, self.key, self.value)
        return [part(x).unflatten(-1, (-1, SIZE)).transpose(1, 2) for part in maps]

    def forward(self, x: Tensor) -> Tensor:
        attn_output = self.attend(*self.parts(x), self.mask)
        made: Tensor = self.out(attn_output.transpose(1, 2).reshape(x.shape))
        made += x  # in its place, as some models add it
        return made


@pytest.mark.parametrize("attend", WAYS)
@pytest.mark.parametrize("kv_heads", [HEADS, 2])
def test_steps_are_those_of_the_model_however_it_is_written(attend: Callable[..., Tensor], kv_heads: int) -> None:
    torch.manual_seed(0)
    model, x = Layer(attend, kv_heads, bias=kv_heads == 2).eval(), torch.randn(3, TOKENS, WIDTH)
    if attend is flat and kv_heads == 2:
        x = x[:1]  # the heads of three dimensions are those of one sample
    if attend is flat:
        x = x[:1]
    (one,) = heard(model, x)
    for batch in range(len(x)):
        found = steps(one, batch)
        with torch.no_grad():
            query, key, value = (part[batch] for part in model.parts(x))
            key, value = (part.repeat_interleave(HEADS // kv_heads, 0) for part in (key, value))
            weights, attn_output = eager(query, key, value, model.mask)
            output = model(x)[batch] - x[batch]
        check(found, weights, attn_output, output)
        check_maps(found, x[batch], x[batch])
        assert found.scale == pytest.approx(SIZE**-0.5, abs=1e-12)
        assert found.mask.shape == (1, TOKENS, TOKENS) and np.isneginf(found.mask).sum() == 1
        assert np.array_equal(found.mask[0] == 0, model.mask == 0)
        assert np.abs(found.query - query.numpy()).max() < 1e-6 and np.abs(found.key - key.numpy()).max() < 1e-6
        assert not found.query.flags.writeable and found.query.dtype == np.float32


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("masked", ["none", "added", "truth", "padding"])
def test_steps_of_multi_head_attention(batch_first: bool, need_weights: bool, masked: str) -> None:
    torch.manual_seed(1)
    model = nn.MultiheadAttention(WIDTH, HEADS, batch_first=batch_first).eval()
    x, memory = torch.randn(2, 5, WIDTH), torch.randn(2, 9, WIDTH)
    mask = torch.randn(5, 9) if masked == "added" else torch.rand(5, 9) < 0.3
    padding = torch.arange(9)[None] >= torch.tensor([9, 6])[:, None]
    named = {
        "none": {}, "added": {"attn_mask": mask}, "truth": {"attn_mask": mask}, "padding": {"key_padding_mask": padding}
    }[masked]  # fmt: skip
    given = [one if batch_first else one.transpose(0, 1) for one in (x, memory, memory)]
    (one,) = heard(model, *given, need_weights=need_weights, **named)
    with torch.no_grad():
        output, expected = model(*given, average_attn_weights=False, **named)
        output = output if batch_first else output.transpose(0, 1)
        maps = zip((x, memory, memory), model.in_proj_weight.chunk(3), model.in_proj_bias.chunk(3), strict=True)
        value = [F.linear(*each).unflatten(-1, (HEADS, SIZE)).transpose(1, 2) for each in maps][2]
    for batch in range(2):
        found = steps(one, batch)
        check(found, expected[batch], expected[batch].double() @ value[batch].double(), output[batch])
        check_maps(found, x[batch], memory[batch])
        assert (found.mask is None) == (masked == "none" or (masked == "padding" and batch == 0))


@pytest.mark.parametrize("name", ["bert", "llama", "vit", "t5", "whisper"])
@pytest.mark.parametrize("how", ["eager", "sdpa"])
def test_steps_of_hugging_face_models(name: str, how: str) -> None:
    import transformers as hf

    tiny = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": HEADS, "intermediate_size": 64}
    ids = torch.randint(5, 90, (1, 9), generator=torch.Generator().manual_seed(0))
    given: dict[str, Any] = {"input_ids": ids}
    torch.manual_seed(2)
    if name == "bert":
        model: Any = hf.BertModel(hf.BertConfig(**tiny, vocab_size=100, initializer_range=0.3))
    elif name == "llama":
        named = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "vocab_size": 100}
        model = hf.LlamaModel(hf.LlamaConfig(**tiny, num_key_value_heads=2, initializer_range=0.3, **named))
    elif name == "vit":
        model = hf.ViTModel(hf.ViTConfig(**tiny, image_size=16, patch_size=8, initializer_range=0.3))
        given = {"pixel_values": torch.randn(1, 3, 16, 16)}
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
        given = {"input_features": torch.randn(1, 8, 20), "decoder_input_ids": ids}
    model.eval().set_attn_implementation(how)
    found = [steps(one) for one in heard(model, **given)]
    model.set_attn_implementation("eager")
    with torch.no_grad():
        made = model(**given, output_attentions=True)
    attentions = [
        one
        for part in ("attentions", "encoder_attentions", "decoder_attentions", "cross_attentions")
        for one in getattr(made, part, None) or ()
    ]
    assert len(found) == len(attentions) > 1
    for one in found:  # in another order than that of execution, so each must be one of them
        weights, attn_output = again(one)
        assert min(
            np.abs(weights - each[0].numpy()).max() for each in attentions if each[0].shape == weights.shape
        ) < 1e-5  # fmt: skip
        assert np.abs(attn_output - one.attn_output).max() < 1e-5
        assert one.projection is not None and one.output is not None and one.to_value is not None
        assert (one.to_query is None) == (name == "llama"), "rotated queries do not come from a linear map alone"


@pytest.fixture(scope="module")
def sample() -> Sample:
    return load_gallery()[0].sample()


@pytest.fixture(scope="module")
def record(sample: Sample) -> AttentionRecord:
    return LocalBackend("cpu").run([Request("trio", sample, steps=True)])[0]


def test_steps_of_trio_come_with_its_record(sample: Sample, record: AttentionRecord) -> None:
    """Against what the parts of the model say of themselves, for every layer, head, query and key."""
    assert len(record.steps) == len(record.maps) == 6 and record.notices == ()
    model = BundledTrio("cpu")
    parts: dict[str, Tensor] = {}
    for layer, block in enumerate(model.module.blocks):
        for name in ("query", "key", "value", "output"):
            part = getattr(block.attention, name)
            part.register_forward_hook(lambda *call, at=f"{layer}{name}": parts.update({at: call[-1][0].detach()}))
        block.attention.query.register_forward_hook(lambda *call, at=f"{layer}x": parts.update({at: call[1][0][0]}))
    with torch.no_grad():
        model(model.prepare(sample).tensors)
    for layer, (found, one) in enumerate(zip(record.steps, record.maps, strict=True)):
        vectors = [parts[f"{layer}{name}"].unflatten(-1, (4, -1)).transpose(0, 1) for name in ("query", "key", "value")]
        check(found, *eager(*vectors), parts[f"{layer}output"])
        check_maps(found, parts[f"{layer}x"], parts[f"{layer}x"])
        assert np.abs(again(found)[0] - one.weights).max() < 1e-5
        assert found.scale == pytest.approx(48**-0.5, abs=1e-15) and found.mask is None and found.ablate == ()


def test_a_head_that_is_off_brings_nothing_to_the_output(sample: Sample) -> None:
    changed = LocalBackend("cpu").run([Request("trio", sample, (AblateHead(2, 1),), steps=True)])[0]
    assert [one.ablate for one in changed.steps] == [(), (), (1,), (), (), ()]
    one = changed.steps[2]
    attn_output = again(one)[1]
    assert np.abs(attn_output[1] - one.attn_output[1]).max() < 1e-5, "what it would have brought"
    attn_output[1] = 0
    joined = attn_output.swapaxes(0, 1).reshape(one.shape[0], -1) @ one.projection.T + one.bias
    assert np.abs(joined - one.output).max() < 1e-5


class Capped(nn.Module):
    """Scores that go through tanh: they are no longer queries times keys."""

    def forward(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (HEADS, SIZE)).transpose(1, 2)
        scores = 5 * torch.tanh(heads @ heads.mT / 5)
        return (scores.softmax(-1) @ heads).transpose(1, 2).flatten(2)[:, 0, :2]


class PerHead(nn.Module):
    """Scores with a scale of its own for each head."""

    def forward(self, x: Tensor) -> Tensor:
        heads = x.unflatten(-1, (HEADS, SIZE)).transpose(1, 2)
        scores = heads @ heads.mT * torch.linspace(0.1, 1, HEADS)[:, None, None]
        return (scores.softmax(-1) @ heads).transpose(1, 2).flatten(2)[:, 0, :2]


@pytest.mark.parametrize("made", [Capped, PerHead])
def test_scores_of_another_kind_are_refused_in_words(made: type[nn.Module]) -> None:
    with pytest.raises(CaptureError) as refusal:
        steps(heard(made(), torch.randn(1, 5, WIDTH))[0])
    assert refusal.value.code == "steps-scores" and made.__name__ in str(refusal.value)
    own = CustomModel(made(), lambda sample: (torch.randn(1, 5, WIDTH), list("abcde")), ["yes", "no"])
    record = LocalBackend("cpu", {"own": own}).run([Request("own", Sample(text="a"), steps=True)])[0]
    assert record.steps == () and [notice.code for notice in record.notices] == ["steps-scores"]
    assert len(record.maps) == 1


def test_weights_that_were_replaced_are_no_softmax_of_scores(sample: Sample) -> None:
    record = LocalBackend("cpu").run([Request("trio", sample, (UniformAttention(),), steps=True)])[0]
    assert record.steps == () and [notice.code for notice in record.notices] == ["steps-parity"]


def test_long_inputs_and_those_that_were_heard_without_steps_are_refused() -> None:
    torch.manual_seed(3)
    model = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).eval()
    x = torch.randn(1, 600, WIDTH)
    with pytest.raises(CaptureError, match="up to 512 tokens"):
        steps(heard(model, x, x, x)[0])
    with torch.no_grad(), mmviz.capture(model) as seen:
        model(x[:, :5], x[:, :5], x[:, :5])
    with pytest.raises(CaptureError, match="it was not seen"):
        steps(seen.everything[0])


def test_what_was_written_over_is_refused() -> None:
    def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        attn_output = fused(query, key, value, mask)
        key.zero_()
        return attn_output

    with pytest.raises(CaptureError) as refusal:
        steps(heard(Layer(attend).eval(), torch.randn(1, TOKENS, WIDTH))[0])
    assert refusal.value.code == "capture-changed"


def test_without_a_map_that_joins_the_heads_there_is_no_output() -> None:
    class Bare(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            heads = x.unflatten(-1, (HEADS, SIZE)).transpose(1, 2)
            return F.scaled_dot_product_attention(heads, heads, heads)

    found = steps(heard(Bare(), torch.randn(1, 5, WIDTH))[0])
    assert {name for name, _ in found.arrays()} == {"query", "key", "value", "mixed"}


@pytest.mark.parametrize(
    ("name", "part"),
    [("key", lambda a: a[:, 1:]), ("mixed", lambda a: a * np.nan), ("projection", lambda a: a[:, 1:]),
     ("query", lambda a: a.astype(np.float64)), ("mask", lambda a: np.full((2, 3, 3), np.inf, np.float32))],
)  # fmt: skip
def test_steps_refuse_to_be_wrong(name: str, part: Callable[..., Any]) -> None:
    whole = np.ones((2, 3, 4), np.float32)
    good = AttentionSteps(
        whole, whole, whole, 0.5, whole, np.zeros((1, 3, 3), np.float32), np.ones((5, 8), np.float32), None,
        np.ones((3, 5), np.float32),
    )  # fmt: skip
    with pytest.raises(CaptureError, match="do not fit together"):
        replace(good, **{name: part(getattr(good, name))})
    with pytest.raises(CaptureError):
        replace(good, output=None)


def test_a_run_that_is_too_long_says_so_and_keeps_nothing_for_it() -> None:
    class Long(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, x, x)[0][:, 0, :2]

    tokens = [str(k) for k in range(600)]
    backend = LocalBackend(
        "cpu", {"own": CustomModel(Long(), lambda _: (torch.randn(1, 600, WIDTH), tokens), ["a", "b"])}
    )
    (record,) = backend.run([Request("own", Sample(text="a"), steps=True)])
    assert record.is_long and record.steps == ()
    assert [notice.code for notice in record.notices if notice.code.startswith("steps")] == ["steps-long"]
    (kept,) = backend._shelf.get(record.id).seen.heard()
    assert kept.making is not None and not kept.making.before and kept.making.scores is None
