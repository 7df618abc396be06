"""Capture against independent answers: a hand-written softmax, a model worked out on paper, and what it must refuse."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
import torch
from checked_map import attention_map
from torch import nn

from mmviz.capture import AttentionCall, capture, relevance
from mmviz.models.toy import PaperModel
from mmviz.models.trio import Trio, TrioConfig, TrioInput
from mmviz.types import CaptureError

LAYERS = tuple(f"blocks.{layer}.attention" for layer in range(6))


@pytest.fixture(scope="module")
def trio() -> Trio:
    torch.manual_seed(0)
    return Trio(TrioConfig(40, tuple(range(4, 30)))).eval()


def some_input(rows: int = 1, text: int = 5) -> TrioInput:
    generator = torch.Generator().manual_seed(3)
    yes = torch.ones(rows, dtype=torch.bool)
    return TrioInput(
        image=torch.randn(rows, 3, 160, 160, generator=generator),
        mel=torch.randn(rows, 64, 400, generator=generator),
        frames=torch.full((rows,), 12),
        text=torch.randint(4, 30, (rows, text), generator=generator),
        pieces=torch.full((rows,), text),
        has_image=yes,
        has_audio=yes.clone(),
        has_text=yes.clone(),
    )


def test_maps_equal_a_softmax_written_independently(trio: Trio) -> None:
    given: list[tuple[torch.Tensor | None, ...]] = []
    handles = [
        block.attention.register_forward_pre_hook(lambda module, args: given.append(args)) for block in trio.blocks
    ]
    with torch.no_grad(), capture(trio, expected=LAYERS) as seen:
        trio(some_input())
    heard = seen.everything
    for handle in handles:
        handle.remove()
    for layer, (one, (x, mask, context)) in enumerate(zip(heard, given, strict=True)):
        attention = trio.blocks[layer].attention
        query, key = (
            (part(x[0]).double().detach().numpy()).reshape(x.shape[1], 4, 48)
            for part in (attention.query, attention.key)
        )
        assert x is not None and mask is None and context is None
        scores = np.einsum("qhd,khd->hqk", query, key) / math.sqrt(48)
        exponents = np.exp(scores - scores.max(-1, keepdims=True))
        expected = exponents / exponents.sum(-1, keepdims=True)
        found, parity = attention_map(one, layer, "tokens", "tokens")
        assert np.abs(found.weights - expected).max() < 1e-5
        assert parity < 1e-5


def test_padding_gets_nothing_and_real_rows_still_sum_to_one(trio: Trio) -> None:
    batch = some_input(rows=2)
    batch.has_image[0] = False
    with torch.no_grad(), capture(trio, expected=LAYERS) as seen:
        trio(batch)
    heard = seen.everything
    without, full = heard[0].weights
    image = slice(1 + 5 + 1, 1 + 5 + 100)  # all but the first image token, which is the absent token
    assert float(without[:, :, image].abs().max()) == 0.0 and float(full[:, :, image].min()) > 0
    assert torch.allclose(without.sum(-1), torch.ones(()), atol=1e-5)


def test_a_row_answers_the_same_alone_and_beside_a_longer_one(trio: Trio) -> None:
    both = some_input(rows=2)
    both.frames[0], both.pieces[0] = 7, 3
    first = TrioInput(**{name: value[:1] for name, value in vars(both).items() if value is not None})
    first.text = first.text[:, :3]
    with torch.no_grad():
        assert torch.allclose(trio(both).logits[0], trio(first).logits[0], atol=1e-4)


def test_the_watched_model_answers_the_same_to_the_bit(trio: Trio) -> None:
    with torch.no_grad():
        before = trio(some_input()).logits
        with capture(trio, expected=LAYERS):
            watched = trio(some_input()).logits
        after = trio(some_input()).logits
    assert torch.equal(before, watched) and torch.equal(before, after)


def hooks(module: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())


def test_nothing_stays_behind_after_a_crash(trio: Trio) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("in the middle")

    handle = trio.blocks[3].register_forward_pre_hook(crash)
    with pytest.raises(RuntimeError, match="in the middle"), capture(trio, expected=LAYERS):
        trio(some_input())
    handle.remove()
    assert hooks(trio) == 0
    assert torch.overrides._get_current_function_mode_stack() == []
    with torch.no_grad(), capture(trio, expected=LAYERS) as seen:
        trio(some_input())
    heard = seen.everything
    assert [one.module for one in heard] == list(LAYERS)


def test_two_threads_do_not_mix(trio: Trio) -> None:
    shapes: dict[int, set[int]] = {}
    together = threading.Barrier(2)

    def capture_targets(pieces: int) -> None:
        with torch.no_grad(), capture(trio) as seen:
            together.wait(30)
            for _ in range(3):
                trio(some_input(text=pieces))
            together.wait(30)
        heard = seen.everything
        shapes[pieces] = {one.weights.shape[-1] for one in heard}
        assert [one.module for one in heard] == list(LAYERS) * 3

    threads = [threading.Thread(target=capture_targets, args=(pieces,)) for pieces in (3, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shapes == {3: {1 + 3 + 100 + 12}, 9: {1 + 9 + 100 + 12}}
    assert hooks(trio) == 0


def test_what_another_thread_runs_is_not_heard() -> None:
    module = PaperModel()
    x = torch.eye(2)[None, None]
    with capture(module) as seen:
        other = threading.Thread(target=module, args=(x,))
        other.start()
        other.join()
        torch.softmax(x, -1) @ x  # in no module: nobody's attention
    heard = seen.everything
    assert heard == ()


def test_missing_attention_is_an_error_that_names_what_was_heard(trio: Trio) -> None:
    with (
        pytest.raises(CaptureError) as refusal,
        torch.no_grad(),
        capture(trio, expected=(*LAYERS, "blocks.6.attention")),
    ):
        trio(some_input())
    assert "blocks.6.attention" in str(refusal.value) and "blocks.5.attention" in str(refusal.value)


def test_the_paper_model_attends_as_on_paper() -> None:
    module = PaperModel()
    x = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    with capture(module, expected=("attention",)) as seen:
        logits = module(x)
    heard = seen.everything
    found, _ = attention_map(heard[0], 0, "words", "words")
    own = math.exp(1 / math.sqrt(2)) / (math.exp(1 / math.sqrt(2)) + 1)
    assert np.allclose(found.weights, [[[own, 1 - own], [1 - own, own]]], atol=1e-6)
    assert torch.allclose(logits, torch.tensor([0.5, 0.5]))


def test_a_replaced_map_is_what_the_model_uses() -> None:
    module = PaperModel()
    x = torch.tensor([[[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]])
    with capture(module, expected=("attention",), replace=lambda weights: torch.full_like(weights, 1 / 3)) as seen:
        logits = module(x)
    heard = seen.everything
    found, parity = attention_map(heard[0], 0, "words", "words")
    assert np.allclose(found.weights, 1 / 3) and parity < 1e-6
    assert torch.allclose(logits, torch.tensor([2 / 3, 1 / 3]))


def heard_with(**changes: torch.Tensor) -> AttentionCall:
    weights = torch.softmax(torch.randn(1, 2, 3, 4), -1)
    value = torch.randn(1, 2, 4, 5)
    parts = {"weights": weights, "value": value, "mixed": weights @ value} | changes
    return AttentionCall("somewhere", **parts)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"weights": torch.rand(2, 3, 4)}, "map-shape"),
        ({"weights": torch.full((1, 2, 3, 4), 0.3), "mixed": torch.full((1, 2, 3, 4), 0.3) @ torch.ones(1, 2, 4, 5),
          "value": torch.ones(1, 2, 4, 5)}, "map-rows"),
        ({"mixed": torch.zeros(1, 2, 3, 5)}, "map-parity"),
        ({"value": torch.randn(1, 2, 6, 5)}, "map-keys"),
    ],
)  # fmt: skip
def test_the_gate_refuses(changes: dict[str, torch.Tensor], code: str) -> None:
    with pytest.raises(CaptureError) as refusal:
        attention_map(heard_with(**changes), 0, "queries", "keys")
    assert refusal.value.code == code


def test_the_gate_lets_an_honest_map_through() -> None:
    heard = heard_with()
    found, parity = attention_map(heard, 2, "queries", "keys")
    assert found.layer == 2 and parity < 1e-6
    assert np.allclose(found.weights, heard.weights[0])


def test_relevance_of_one_layer_is_gradient_times_weight() -> None:
    torch.manual_seed(1)
    module = PaperModel()
    x = torch.randn(1, 1, 3, 2, requires_grad=True)
    with capture(module, expected=("attention",)) as seen:
        logits = module(x)
    heard = seen.everything
    found = relevance(logits[0], heard)
    # logit 0 is the mean over queries of sum_k A[q, k] x[k, 0], so dlogit/dA[q, k] = x[k, 0] / 3
    weights = heard[0].weights[0, 0].detach()
    expected = (weights * x[0, 0, :, 0].detach() / 3).clamp(min=0)
    assert np.allclose(found, expected, atol=1e-6)
