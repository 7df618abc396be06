"""Sweeps of custom models: in one call where the rows of a batch are independent, else in one call a variant."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from test_variants import (
    AUDIO,
    IMAGE,
    TEXT,
    Variant,
    by_label,
    check,
    count_rows,
    log_probabilities,
    run,
    single_run,
)
from torch import Tensor, nn

from mmviz.backends.local import LocalBackend
from mmviz.models.custom import CustomModel
from mmviz.types import (
    AblateHead,
    CaptureError,
    Chars,
    ChosenTokens,
    CutRoute,
    DropModality,
    ImageInput,
    InputError,
    MmvizError,
    PixelBox,
    ReplaceInput,
    Sample,
    ShuffleWeights,
    UniformAttention,
)

pytestmark = pytest.mark.slow

WIDTH, HEADS = 16, 4
SAMPLE = Sample(ImageInput(np.random.default_rng(2).integers(0, 255, (8, 8, 3), np.uint8), 8, 8), "is it so")
VARIANTS: list[Variant] = [
    (),
    (DropModality(IMAGE),),
    (ReplaceInput(IMAGE, "mean"),),
    (ReplaceInput(IMAGE, "noise", (PixelBox(0, 0, 4, 4),)),),
    (AblateHead(0, 1),),
    (AblateHead(1, 3), AblateHead(0, 2)),
    (DropModality(IMAGE), AblateHead(1, 0)),
    (DropModality(AUDIO),),
    (ShuffleWeights(1),),
    (UniformAttention(),),
    (UniformAttention(), AblateHead(0, 0)),
    (DropModality(IMAGE),),
]


class Layers(nn.Module):
    """Two attention layers over words and patches. ``postprocess`` is applied to the logits of a batch."""

    def __init__(self, postprocess: Callable[[Tensor], Tensor] = lambda logits: logits):
        super().__init__()
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 32, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.answer, self.postprocess = nn.Linear(WIDTH, 3), postprocess

    def forward(self, words: Tensor, patches: Tensor, **_: Any) -> Tensor:
        logits: Tensor = self.answer(self.layers(torch.cat([words, patches], 1))[:, 0])
        return self.postprocess(3 * logits)


def prepare(sample: Sample) -> tuple[dict[str, Any], list[str]]:
    """Returns a token for each word, and four patches, which are 0 without an image."""
    words = (sample.text or "").split()
    vectors = [torch.randn(WIDTH, generator=torch.Generator().manual_seed(len(word))) for word in words]
    pixels = np.zeros((8, 8, 3)) if sample.image is None else sample.image.pixels / 255
    patches = torch.from_numpy(pixels.astype(np.float32)).reshape(4, 16, 3).mean(-1)
    return {"words": torch.stack(vectors)[None], "patches": patches[None]}, [*words, *"1234"]


def custom(module: nn.Module, prepare: Any = prepare) -> tuple[LocalBackend, list[int]]:
    """Returns a backend with a custom model, and the list of `count_rows`."""
    return LocalBackend("cpu", {"own": CustomModel(module, prepare, ["yes", "no", "maybe"])}), count_rows(module)


def test_a_model_with_independent_rows_is_called_once_for_many_variants() -> None:
    backend, rows = custom(Layers())
    table = check(backend, SAMPLE, VARIANTS, "own")
    assert np.allclose(table[1], table[11]) and np.allclose(table[0], table[7])
    assert np.abs(table[0] - table[4]).max() > 1e-3 < np.abs(table[0] - table[1]).max()
    rows.clear()
    run(backend, SAMPLE, "own", sweep=VARIANTS[:8])
    assert rows == [1, 8, 1], "the run, all variants, and one variant by itself to compare with the batch"


def dependent_rows(logits: Tensor) -> Tensor:
    """Makes each row depend on the others."""
    return logits - logits.mean(0) if len(logits) > 1 else logits


def single_row(logits: Tensor) -> Tensor:
    """Returns one row for the whole batch."""
    return logits.sum(0, keepdim=True)


def batch_of_one(logits: Tensor) -> Tensor:
    """Fails for a larger batch."""
    if len(logits) > 1:
        raise ValueError("one at a time")
    return logits


@pytest.mark.parametrize("postprocess", [dependent_rows, single_row, batch_of_one])
def test_a_model_whose_batches_fail_is_called_once_for_each_variant(postprocess: Callable[[Tensor], Tensor]) -> None:
    backend, rows = custom(Layers(postprocess))
    table = check(backend, SAMPLE, VARIANTS, "own")
    assert np.allclose(table, by_label(run(custom(Layers())[0], SAMPLE, "own", sweep=VARIANTS)), atol=1e-5)
    rows.clear()
    run(backend, SAMPLE, "own", sweep=VARIANTS[:8])
    assert [count for count in rows if count == 1][-8:] == [1] * 8


def test_inputs_of_different_shapes_are_not_batched() -> None:
    backend, rows = custom(Layers())
    check(
        backend,
        SAMPLE,
        [(), (ReplaceInput(TEXT, "mean", (Chars(0, 2),)),), (DropModality(IMAGE),), (AblateHead(0, 1),)],
        "own",
    )
    rows.clear()
    run(backend, SAMPLE, "own", sweep=[(), (ReplaceInput(TEXT, "mean", (Chars(0, 2),)),), (DropModality(IMAGE),)])
    assert rows == [1] * 4


class Config:
    """An object that cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise TypeError("no")

    __hash__ = None  # type: ignore[assignment]


BATCHED, SINGLE = [1, 4, 1], [1] * 5
"""Rows of each call of a model for a run and four variants: together, with the row that is checked, or one by one."""
UNKNOWN = [1, *SINGLE]
"""And a trial, of inputs that cannot be told to be those of the run before, to learn which attention the maps are."""


@pytest.mark.parametrize(
    ("extra", "calls"),
    [
        (lambda: "mean", BATCHED),
        (lambda: 0.5, BATCHED),
        (random.random, UNKNOWN),
        (lambda: np.zeros(3), SINGLE),
        (lambda: [torch.zeros(2), torch.zeros(2)], SINGLE),
        (lambda: torch.tensor(2.0), SINGLE),
        (lambda: torch.zeros(2, 3), SINGLE),
        (lambda: (torch.zeros(1, 3), {"deep": torch.zeros(1, 2)}), BATCHED),
        (Config, UNKNOWN),
    ],
    ids=["string", "number", "number that differs", "array", "list", "scalar", "other batch", "nested", "object"],
)
def test_other_inputs_are_batched_where_they_are_equal_or_tensors(extra: Callable[[], Any], calls: list[int]) -> None:
    def prepared(sample: Sample) -> tuple[dict[str, Any], list[str]]:
        inputs, tokens = prepare(sample)
        return inputs | {"extra": extra()}, tokens

    backend, rows = custom(Layers(), prepared)
    check(backend, SAMPLE, VARIANTS[1:5], "own")
    rows.clear()
    run(backend, SAMPLE, "own", sweep=VARIANTS[1:5])
    assert rows == calls


def test_heads_of_inputs_that_cannot_be_told_take_one_trial_together() -> None:
    def prepared(sample: Sample) -> tuple[dict[str, Any], list[str]]:
        inputs, tokens = prepare(sample)
        return inputs | {"extra": Config()}, tokens

    backend, rows = custom(Layers(), prepared)
    run(backend, SAMPLE, "own", sweep=[(AblateHead(0, head),) for head in range(3)])
    assert rows == [1, 1, 3, 1], "the run, the trial, a batch of all heads, and the row of it that is checked"


class Folded(nn.Module):
    """Folds heads and rows into one dimension, so that heads of single rows cannot be ablated in a batch."""

    def forward(self, words: Tensor, patches: Tensor) -> Tensor:
        x = torch.cat([words, patches], 1)
        heads = x.unflatten(-1, (HEADS, -1)).transpose(1, 2).flatten(0, 1)
        attn_output = torch.bmm(torch.softmax(torch.bmm(heads, heads.transpose(1, 2)), -1), heads)
        return attn_output.unflatten(0, (-1, HEADS)).transpose(1, 2).flatten(2).mean(1)[:, 3:12:4]


def test_heads_of_a_folded_batch_are_ablated_in_one_call_each() -> None:
    backend, rows = custom(Folded())
    variants: list[Variant] = [(AblateHead(0, head),) for head in range(HEADS)] + [(DropModality(IMAGE),)]
    table = check(backend, SAMPLE, variants, "own")
    plain = single_run(backend, SAMPLE, "own")
    assert all(np.abs(row - plain).max() > 1e-3 for row in table[:3]) and np.allclose(table[3], plain)
    rows.clear()
    run(backend, SAMPLE, "own", sweep=[(DropModality(IMAGE),), (ReplaceInput(IMAGE, "mean"),)])
    assert rows == [1, 2, 1], "without ablated heads, folded rows are batched"
    with pytest.raises(CaptureError) as error:
        run(backend, SAMPLE, "own", sweep=[(), (AblateHead(0, 4),)])
    assert error.value.code == "head-missing" and error.value.parameters["head"] == 4


def failing_without_image(problem: Exception) -> Callable[[Sample], Any]:
    def prepared(sample: Sample) -> Any:
        if sample.image is None:
            raise problem
        return prepare(sample)

    return prepared


def test_an_error_for_a_missing_image_ends_the_sweep() -> None:
    for problem, code, parameters in (
        (ValueError("an image is needed"), "own-raised", {"kind": "ValueError", "words": "an image is needed"}),
        (InputError("model-needs-text", model="mine"), "model-needs-text", {"model": "mine"}),
    ):
        backend, _ = custom(Layers(), failing_without_image(problem))
        with pytest.raises(MmvizError) as error:
            run(backend, SAMPLE, "own", sweep=[(), (ReplaceInput(IMAGE, "mean"),), (DropModality(IMAGE),)])
        assert error.value.code == code and parameters.items() <= error.value.parameters.items()
        assert len(log_probabilities(run(backend, SAMPLE, "own", sweep=[(), (ReplaceInput(IMAGE, "mean"),)]))) == 2


@pytest.mark.parametrize("place", ["prepare", "model"])
def test_random_numbers_are_the_same_in_every_variant(place: str) -> None:
    def noisy(sample: Sample) -> Any:
        inputs, tokens = prepare(sample)
        return inputs | {"words": inputs["words"] + torch.randn(1, 3, WIDTH)}, tokens

    def with_noise(logits: Tensor) -> Tensor:
        return logits + torch.randn(logits.shape)

    backend, _ = custom(*((Layers(), noisy) if place == "prepare" else (Layers(with_noise), prepare)))
    table = check(backend, SAMPLE, [(), (DropModality(IMAGE),), (DropModality(AUDIO),), (AblateHead(0, 1),)], "own")
    assert np.allclose(table[0], table[2]) and np.abs(table[0] - table[1]).max() > 1e-3
    again = by_label(run(backend, SAMPLE, "own", sweep=[(), (DropModality(IMAGE),)], seed=1))
    assert np.abs(again - table[:2]).max() > 1e-3, "they differ with another seed"


CUTS: list[Variant] = [
    (CutRoute(ChosenTokens((query,)), ChosenTokens(keys), "layers.layers.self_attn", layers),)
    for layers in ((0,), (1,), (0, 1))
    for query, keys in ((0, (1, 2)), (1, (0, 4)))
]


@pytest.mark.parametrize("is_known", [False, True], ids=["tried", "recorded"])
def test_cuts_join_the_call_of_a_custom_model_at_their_layer(is_known: bool) -> None:
    module = Layers()
    backend, rows = custom(module)
    layers = [count_rows(module, f"layers.layers.{layer}") for layer in range(2)]
    run(backend, SAMPLE, "own", maps=is_known)
    for counts in (rows, *layers):
        counts.clear()
    run(backend, SAMPLE, "own", sweep=CUTS)
    tried = [] if is_known else [1]
    assert rows == [1, *tried, 7, 1], "the run, where its tokens are not known yet once more, all cuts, and one alone"
    assert layers[0] == [1, *tried, 5, 1] and layers[1] == [1, *tried, 7, 1]
    table = check(backend, SAMPLE, CUTS, "own")
    assert np.allclose(table[3], single_run(backend, SAMPLE, "own")), "the answer reads nothing from it any more"
    assert np.allclose(table[5], table[1]) and len(np.unique(table.round(6), axis=0)) == 5
    assert not any(part._forward_pre_hooks for part in module.modules())


class Counting(Layers):
    """Brings the states of its layers to the number of rows of its inputs, and takes no more."""

    def forward(self, words: Tensor, patches: Tensor, **_: Any) -> Tensor:
        states = self.layers(torch.cat([words, patches], 1)).view(len(words), -1, WIDTH)
        logits: Tensor = self.postprocess(3 * self.answer(states[:, 0]))
        return logits


@pytest.mark.parametrize(
    "module", [Counting(), Layers(dependent_rows), Layers(single_row)], ids=["view", "mean", "one"]
)
def test_cuts_that_cannot_join_are_run_as_they_can(module: nn.Module) -> None:
    backend, rows = custom(module)
    check(backend, SAMPLE, CUTS, "own")
    rows.clear()
    run(backend, SAMPLE, "own", sweep=CUTS)
    assert 7 not in rows, "it is not tried again"


def test_a_call_has_fewer_rows_where_a_stream_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, rows = custom(Layers())
    table = by_label(run(backend, SAMPLE, "own", sweep=VARIANTS[1:7]))
    monkeypatch.setattr("mmviz.backends.local.variants.PAIRS", 4 * 7**2)
    rows.clear()
    assert np.allclose(by_label(run(backend, SAMPLE, "own", sweep=VARIANTS[1:7])), table, atol=1e-6)
    assert rows == [1, 4, 1, 2, 1], "four rows of seven tokens, then what is left, each beside one alone"
