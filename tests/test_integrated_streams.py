"""Integrated gradients of the tokens of several streams, each where it enters, in the order of its stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from co_attention import SIZE, CoAttention, P, W
from hf_factories import omni
from test_capture_stream_links import PLACES, PROJECTIONS, Reader
from test_joint_flows_record import First, tokens
from torch import Tensor, nn

import mmviz
from mmviz.analysis.attributions import attributions
from mmviz.backends.local import LocalBackend
from mmviz.capture import integrated_gradients
from mmviz.io.run_file import from_bytes, to_bytes
from mmviz.types import AttentionRecord, MmvizError, Modality, Request, Sample


def integrated(
    module: nn.Module, inputs: tuple[Tensor, ...], streams: dict[str, Any], embedding: dict[str, str]
) -> AttentionRecord:
    own = mmviz.CustomModel(module, lambda sample: (inputs, streams), ["a", "b"], embedding=embedding)
    (record,) = LocalBackend("cpu", {"own": own}).run([Request("own", Sample(text="a"), integrated=True)])
    return record


def by_midpoints(run: Any, x: Tensor, answer: int, points: int = 400) -> tuple[np.ndarray, float]:
    """The amounts of all tokens, and what they sum to, by the midpoint rule."""
    amounts = torch.zeros(x.shape[1], dtype=torch.float64)
    for step in range(points):
        part = (x * (step + 0.5) / points).detach().requires_grad_()
        log_p = run(part).double().log_softmax(-1)[0, answer]
        amounts += (torch.autograd.grad(log_p, part)[0][0] * x[0]).sum(-1).detach() / points
    ends = [run(scale * x).double().log_softmax(-1)[0, answer].item() for scale in (1, 0)]
    return amounts.numpy(), ends[0] - ends[1]


@pytest.mark.long
@pytest.mark.slow
def test_each_stream_of_co_attention_has_what_its_tokens_change() -> None:
    torch.manual_seed(0)
    module = First(CoAttention(1))
    generator = torch.Generator().manual_seed(1)
    words, patches = (torch.randn(1, count, SIZE, generator=generator) for count in (5, 7))
    streams = {P: tokens(Modality.IMAGE, 7), W: tokens(Modality.TEXT, 5)}
    places = {W: "model.word_layers.0:input", P: "model.patch_layers.0:input"}
    record = integrated(module, (words, patches), streams, places)
    answer = record.answers[0].index
    for stream, run, x in ((W, lambda x: module(x, patches), words), (P, lambda x: module(words, x), patches)):
        amounts, total = by_midpoints(run, x, answer)
        # the gap that is allowed is that of the sum: what single tokens miss may be more, and cancel
        np.testing.assert_allclose(record.integrated_of[stream], amounts, atol=2e-3 + 0.01 * np.abs(amounts).max())
        details = record.made_by["integrated_of"][stream]
        assert details["total"] == pytest.approx(total, abs=1e-5)
        assert abs(details["gap"]) <= 0.01 * max(abs(total), 0.1)
    np.testing.assert_array_equal(record.integrated, record.integrated_of[record.flow_streams[1]])
    loaded = from_bytes(to_bytes(Sample(text="a"), record))[1]
    assert loaded == record and set(loaded.integrated_of) == {P, W}
    keys = record.maps[max(k for k, m in enumerate(record.maps) if m.stack == record.default_stack)].keys
    np.testing.assert_allclose(attributions(record)["integrated"], record.integrated_of[keys])


@pytest.mark.slow
def test_a_tower_and_the_tokens_that_it_gives_to_a_decoder_have_their_own_amounts() -> None:
    project, features = PROJECTIONS["merged"]
    module = First(Reader(project, PLACES["cat"], features))
    generator = torch.Generator().manual_seed(1)
    patches, words = (torch.randn(1, count, SIZE, generator=generator) for count in (16, 6))
    streams = {"tower": tokens(Modality.IMAGE, 16), "decoder": tokens(Modality.TEXT, 10)}
    places = {"tower": "model.tower.0:input", "decoder": "model.decoder.0:input", "nowhere": "head"}
    record = integrated(module, (patches, words), streams, places)
    amounts, _ = by_midpoints(lambda x: module(x, words), patches, record.answers[0].index)
    np.testing.assert_allclose(record.integrated_of["tower"], amounts, atol=2e-3)
    assert len(record.integrated_of["decoder"]) == 10
    (notice,) = (notice for notice in record.notices if notice.code == "integrated-stream")
    assert "nowhere" in str(notice) and "decoder" in str(notice)


def test_a_place_before_others_are_joined_is_refused_by_its_tokens() -> None:
    project, features = PROJECTIONS["merged"]
    module = First(Reader(project, PLACES["cat"], features))
    inputs = torch.randn(1, 16, SIZE), torch.randn(1, 6, SIZE)
    streams = {"tower": tokens(Modality.IMAGE, 16), "decoder": tokens(Modality.TEXT, 10)}
    record = integrated(module, inputs, streams, {"decoder": "model.merger"})
    (notice,) = (notice for notice in record.notices if notice.code == "integrated-order")
    assert not record.integrated_of and "6 of its 10" in str(notice) and "text 0" in str(notice)


def omni_record(place: str) -> AttentionRecord:
    model = omni()
    own = mmviz.CustomModel(
        model.module, model.prepare, model.own.card.answers, answer_token=-1, embedding={"visual": place}
    )
    image = np.random.default_rng(0).integers(0, 255, (56, 84, 3)).astype(np.uint8)
    (record,) = LocalBackend("cpu", {"own": own}).run(
        [Request("own", mmviz.make_sample(image=image, text="so"), integrated=True)]
    )
    return record


def test_patches_of_omni_keep_their_amounts_when_windows_put_them_into_another_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(integrated_gradients, "STEPS", 4)  # few points are the same at both places
    monkeypatch.setattr(integrated_gradients, "MAX_STEPS", 4)
    places = "model.visual.patch_embed", "model.visual.blocks.0:input"
    before, after = (omni_record(place).integrated_of["visual"] for place in places)
    assert len(before) == 24 and np.abs(after).max() > 1e-6
    np.testing.assert_allclose(before, after, atol=1e-5 * np.abs(after).max())


def test_a_place_of_a_stream_must_be_a_module() -> None:
    with pytest.raises(MmvizError) as error:
        mmviz.CustomModel(First(CoAttention()), lambda sample: ((), {}), ["a", "b"], embedding={"words": "nowhere"})
    assert error.value.code == "own-embedding"
