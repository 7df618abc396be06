"""Capture against independent references: a softmax written in numpy, a model computed on paper, refused maps."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
import torch
from checked_map import attention_map
from torch import nn

from mmviz.capture import AttentionCall, capture, relevance
from mmviz.models.encoders.frozen_encoders import classified_words, load_encoders
from mmviz.models.encoders.picture_encoder import PATCHES, SIDE
from mmviz.models.toy import PaperModel
from mmviz.models.trio_network import Trio, TrioConfig, TrioInput
from mmviz.types import CaptureError

FUSION = "blocks.*"
LAYERS = tuple(f"blocks.{layer}.attention" for layer in range(6))
DEADLINE = 60.0
"""Seconds for a thread to finish."""


@pytest.fixture(scope="module")
def trio() -> Trio:
    torch.manual_seed(0)
    classified = tuple(range(len(classified_words())))
    return Trio(TrioConfig(len(classified), tuple(range(4, 30)), classified), encoders=load_encoders()).eval()


def trio_input(rows: int = 1, text: int = 5) -> TrioInput:
    generator = torch.Generator().manual_seed(3)
    yes = torch.ones(rows, dtype=torch.bool)
    return TrioInput(
        image=torch.randn(rows, 3, SIDE, SIDE, generator=generator),
        mel=torch.randn(rows, 80, 400, generator=generator),
        frames=torch.full((rows,), 12),
        text=torch.randint(4, 30, (rows, text), generator=generator),
        text_lengths=torch.full((rows,), text),
        has_image=yes,
        has_audio=yes.clone(),
        has_text=yes.clone(),
    )


def test_maps_equal_a_softmax_written_independently(trio: Trio) -> None:
    inputs: list[tuple[torch.Tensor | None, ...]] = []
    handles = [
        block.attention.register_forward_pre_hook(lambda module, args: inputs.append(args)) for block in trio.blocks
    ]
    with torch.no_grad(), capture(trio, only=FUSION, expected=LAYERS) as result:
        trio(trio_input())
    for handle in handles:
        handle.remove()
    for layer, (call, (x, mask, context)) in enumerate(zip(result.all_attention_calls, inputs, strict=True)):
        attention = trio.blocks[layer].attention
        query, key = (
            projection(x[0]).double().detach().numpy().reshape(x.shape[1], 4, 48)
            for projection in (attention.query, attention.key)
        )
        assert x is not None and mask is None and context is None
        scores = np.einsum("qhd,khd->hqk", query, key) / math.sqrt(48)
        exponents = np.exp(scores - scores.max(-1, keepdims=True))
        expected = exponents / exponents.sum(-1, keepdims=True)
        attn_map, parity = attention_map(call, layer, "tokens", "tokens")
        assert np.abs(attn_map.weights - expected).max() < 1e-5
        assert parity < 1e-5


def test_nothing_attends_to_padding_and_rows_still_sum_to_one(trio: Trio) -> None:
    batch = trio_input(rows=2)
    batch.has_image[0] = False
    with torch.no_grad(), capture(trio, only=FUSION, expected=LAYERS) as result:
        trio(batch)
    without_image, with_image = result.all_attention_calls[0].weights
    valid = 1 + 5 + 1 + 12  # answer, text, absent token and frames; behind them stands padding
    assert without_image.shape[-1] == with_image.shape[-1] == 1 + 5 + PATCHES**2 + 12
    assert float(without_image[:, :, valid:].abs().max()) == 0.0 and float(without_image[:, :, :valid].min()) > 0
    assert float(with_image.min()) > 0
    assert torch.allclose(without_image.sum(-1), torch.ones(()), atol=1e-5)


def test_a_sample_has_the_same_answer_alone_and_beside_a_longer_one(trio: Trio) -> None:
    both = trio_input(rows=2)
    both.frames[0], both.text_lengths[0] = 7, 3
    first = TrioInput(**{name: value[:1] for name, value in vars(both).items() if value is not None})
    first.text = first.text[:, :3]
    with torch.no_grad():
        assert torch.allclose(trio(both).logits[0], trio(first).logits[0], atol=1e-4)


def test_capture_leaves_the_output_unchanged_to_the_bit(trio: Trio) -> None:
    with torch.no_grad():
        before = trio(trio_input()).logits
        with capture(trio, only=FUSION, expected=LAYERS):
            captured = trio(trio_input()).logits
        after = trio(trio_input()).logits
    assert torch.equal(before, captured) and torch.equal(before, after)


def count_hooks(module: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())


def test_nothing_stays_behind_after_a_crash(trio: Trio) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("in the middle")

    handle = trio.blocks[3].register_forward_pre_hook(crash)
    with pytest.raises(RuntimeError, match="in the middle"), capture(trio, only=FUSION, expected=LAYERS):
        trio(trio_input())
    handle.remove()
    assert count_hooks(trio) == 0
    assert torch.overrides._get_current_function_mode_stack() == []
    with torch.no_grad(), capture(trio, only=FUSION, expected=LAYERS) as result:
        trio(trio_input())
    assert [call.module for call in result.all_attention_calls] == list(LAYERS)


@pytest.mark.slow
def test_two_threads_do_not_mix(trio: Trio) -> None:
    sizes: dict[int, set[int]] = {}
    barrier = threading.Barrier(2)

    def run(text: int) -> None:
        with torch.no_grad(), capture(trio, only=FUSION) as result:
            barrier.wait(DEADLINE)
            for _ in range(3):
                trio(trio_input(text=text))
            barrier.wait(DEADLINE)
        assert [call.module for call in result.all_attention_calls] == list(LAYERS) * 3
        sizes[text] = {call.weights.shape[-1] for call in result.all_attention_calls}

    threads = [threading.Thread(target=run, args=(text,), daemon=True) for text in (3, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert sizes == {3: {1 + 3 + 144 + 12}, 9: {1 + 9 + 144 + 12}}
    assert count_hooks(trio) == 0


def test_attention_of_another_thread_or_outside_the_model_is_not_captured() -> None:
    module = PaperModel()
    x = torch.eye(2)[None, None]
    with capture(module) as result:
        other = threading.Thread(target=module, args=(x,), daemon=True)
        other.start()
        other.join(DEADLINE)
        torch.softmax(x, -1) @ x
    assert not other.is_alive() and result.all_attention_calls == ()


def test_missing_attention_is_an_error_that_names_the_modules_that_attended(trio: Trio) -> None:
    with (
        pytest.raises(CaptureError) as error,
        torch.no_grad(),
        capture(trio, only=FUSION, expected=(*LAYERS, "blocks.6.attention")),
    ):
        trio(trio_input())
    assert "blocks.6.attention" in str(error.value) and "blocks.5.attention" in str(error.value)


def test_the_paper_model_attends_as_on_paper() -> None:
    module = PaperModel()
    x = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    with capture(module, expected=("attention",)) as result:
        logits = module(x)
    attn_map, _ = attention_map(result.all_attention_calls[0], 0, "words", "words")
    own = math.exp(1 / math.sqrt(2)) / (math.exp(1 / math.sqrt(2)) + 1)
    assert np.allclose(attn_map.weights, [[[own, 1 - own], [1 - own, own]]], atol=1e-6)
    assert torch.allclose(logits, torch.tensor([0.5, 0.5]))


def test_the_model_uses_replaced_weights() -> None:
    module = PaperModel()
    x = torch.tensor([[[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]])
    with capture(module, expected=("attention",), replace=lambda weights: torch.full_like(weights, 1 / 3)) as result:
        logits = module(x)
    attn_map, parity = attention_map(result.all_attention_calls[0], 0, "words", "words")
    assert np.allclose(attn_map.weights, 1 / 3) and parity < 1e-6
    assert torch.allclose(logits, torch.tensor([2 / 3, 1 / 3]))


def attention_call(**changes: torch.Tensor) -> AttentionCall:
    weights = torch.softmax(torch.randn(1, 2, 3, 4), -1)
    value = torch.randn(1, 2, 4, 5)
    tensors = {"weights": weights, "value": value, "attn_output": weights @ value} | changes
    return AttentionCall("somewhere", **tensors)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"weights": torch.rand(2, 3, 4)}, "map-shape"),
        ({"weights": torch.full((1, 2, 3, 4), 0.3), "value": torch.ones(1, 2, 4, 5),
          "attn_output": torch.full((1, 2, 3, 4), 0.3) @ torch.ones(1, 2, 4, 5)}, "map-rows"),
        ({"attn_output": torch.zeros(1, 2, 3, 5)}, "map-parity"),
        ({"value": torch.randn(1, 2, 6, 5)}, "map-keys"),
    ],
)  # fmt: skip
def test_a_wrong_map_is_refused(changes: dict[str, torch.Tensor], code: str) -> None:
    with pytest.raises(CaptureError) as error:
        attention_map(attention_call(**changes), 0, "queries", "keys")
    assert error.value.code == code


def test_a_right_map_passes() -> None:
    call = attention_call()
    attn_map, parity = attention_map(call, 2, "queries", "keys")
    assert attn_map.layer == 2 and parity < 1e-6
    assert np.allclose(attn_map.weights, call.weights[0])


def test_relevance_of_one_layer_is_gradient_times_weight() -> None:
    torch.manual_seed(1)
    module = PaperModel()
    x = torch.randn(1, 1, 3, 2, requires_grad=True)
    with capture(module, expected=("attention",)) as result:
        logits = module(x)
    calls = result.all_attention_calls
    # logit 0 is the mean over queries of sum_k A[q, k] x[k, 0], so dlogit/dA[q, k] = x[k, 0] / 3
    weights = calls[0].weights[0, 0].detach()
    expected = (weights * x[0, 0, :, 0].detach() / 3).clamp(min=0)
    assert np.allclose(relevance(logits[0], calls), expected, atol=1e-6)
