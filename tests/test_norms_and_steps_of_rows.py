"""Norms and steps of a record are those of its own maps and of the row that it shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from eager_attention import drawn, run_of
from numpy.typing import NDArray
from test_capture_norms import SIZE, WIDTH, Layer, eager_weights, expected_norms, fused, is_close
from torch import Tensor, nn

import mmviz
from mmviz.analysis.attributions import value_weighted
from mmviz.types import AttentionMap, AttentionTensors, Request

PATCHES, TEXTS = drawn(1, 3, WIDTH), drawn(2, 4, WIDTH, seed=1)
WORDS = drawn(1, 4, WIDTH, seed=2)


class Fitting(nn.Module):
    """How well each of two texts ``[2, 4, width]`` fits the image ``[1, 3, width]``; the second fits better."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.vision, self.text = Layer(fused), Layer(fused)

    def forward(self, image: Tensor, texts: Tensor) -> Tensor:
        fit = self.vision(image).mean(1) @ self.text(texts).mean(1).T
        return fit - fit.detach() + torch.tensor([[0.0, 1.0]])


def expected_of(layer: Layer, x: Tensor) -> NDArray[np.float64]:
    """The norms ``[query, key]`` of a layer over one sample ``[token, width]``, from its vectors."""
    with torch.no_grad():
        query, key, value = (part[0] for part in layer.vectors(x[None]))
        return expected_norms(eager_weights(query, key), value, layer.out.weight)


def test_the_row_of_the_answer_has_its_own_norms_and_steps() -> None:
    labels = [[f"{letter}{k}" for k in range(4)] for letter in "ab"]
    own = mmviz.CustomModel(
        Fitting(), lambda sample: ((PATCHES, TEXTS), {"patches": ["p", "q", "r"], "words": labels}), ["a", "b"],
        streams={"vision": "patches", "text": "words"},
    )  # fmt: skip
    request = Request("own", mmviz.make_sample(text="a"), norms=True, steps=True)
    (record,) = mmviz.LocalBackend("cpu", {"own": own}).run([request])
    assert record.answers[0].label == "b" and [attn_map.name for attn_map in record.maps] == ["vision", "text"]
    for number, (layer, x) in enumerate(((own.module.vision, PATCHES[0]), (own.module.text, TEXTS[1]))):
        assert is_close(record.norms[number], expected_of(layer, x))
        query, key, _ = (part[0] for part in layer.vectors(x[None]))
        weights = softmax_of(record.steps[number])
        np.testing.assert_allclose(weights, eager_weights(query, key).detach().numpy(), atol=1e-5)


def softmax_of(steps: AttentionTensors) -> NDArray[np.float64]:
    """The weights ``[head, query, key]`` that the queries and keys of ``steps`` give."""
    scores = steps.scale * steps.query.astype(np.float64) @ steps.key.astype(np.float64).swapaxes(-2, -1)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


def sorted_keys(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention to keys in an order that depends on their numbers, so that its map is left out."""
    return fused(query, key.sort(2).values, value)


class Stacked(nn.Module):
    """Three layers, the first of which has no map that could be shown."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.layers = nn.ModuleList(Layer(attend) for attend in (sorted_keys, fused, fused))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return x.mean(1)[:, :2]


def test_a_map_that_is_left_out_has_no_norms_and_no_steps() -> None:
    own = mmviz.CustomModel(Stacked(), lambda sample: (WORDS, list("abcd")), ["yes", "no"])
    run = run_of(own, text="a")
    request = Request("own", run.sample, norms=True, steps=True)
    (record,) = mmviz.LocalBackend("cpu", {"own": own}).run([request])
    assert [attn_map.name for attn_map in record.maps] == ["layers.1", "layers.2"]
    assert len(record.norms) == len(record.steps) == 2
    x = WORDS
    with torch.no_grad():
        for number, layer in enumerate(own.module.layers):
            if number:
                expected = expected_of(layer, x[0])
                assert is_close(record.norms[number - 1], expected)
                attn_map = record.maps[number - 1]
                assert isinstance(attn_map, AttentionMap)
                np.testing.assert_allclose(softmax_of(record.steps[number - 1]), attn_map.weights, atol=1e-5)
            x = x + layer(x)
    shares = value_weighted(record)
    assert any(np.allclose(shares, row / row.sum(), atol=1e-5) for row in expected), "those of the last layer"


class Windowed(nn.Module):
    """Attention within two windows of two tokens each."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.layer = Layer(fused)

    def forward(self, x: Tensor) -> Tensor:
        windows = self.layer(x.reshape(-1, 2, WIDTH))
        return windows.reshape(x.shape).mean(1)[:, :2]


def test_attention_within_windows_has_a_notice_in_their_place_and_its_run_can_be_read_again(tmp_path: Path) -> None:
    own = mmviz.CustomModel(Windowed(), lambda sample: (WORDS, list("abcd")), ["yes", "no"])
    run = run_of(own, text="a")
    request = Request("own", run.sample, norms=True, steps=True)
    (record,) = mmviz.LocalBackend("cpu", {"own": own}).run([request])
    assert not record.norms and not record.steps
    notices = [notice for notice in record.notices if notice.code in ("norms-windows", "steps-windows")]
    assert len(notices) == 2 and all("layer" in str(notice) and "windows" in str(notice) for notice in notices)
    mmviz.Run(run.sample, record).save(tmp_path / "run.npz")
    (loaded,) = mmviz.Run.load(tmp_path / "run.npz").record.maps
    assert isinstance(loaded, AttentionMap) and loaded.windows == (0, 0, 1, 1)
    assert SIZE * loaded.weights.shape[0] == WIDTH


def test_samples_in_windows_that_share_a_call_have_no_norms_of_each_other() -> None:
    def prepare(sample: mmviz.Sample) -> tuple[Tensor, list[str]]:
        return drawn(1, 16, WIDTH, seed=len(sample.text or "")), [str(number) for number in range(16)]

    own = mmviz.CustomModel(Windowed(), prepare, ["yes", "no"], batches=True)
    requests = [Request("own", mmviz.make_sample(text=text), norms=True) for text in ("a", "ab")]
    records = mmviz.LocalBackend("cpu", {"own": own}).run(requests)
    for record in records:
        assert record.made_by["batch_size"] == 2 and not record.norms
        assert "norms-windows" in {notice.code for notice in record.notices}
