"""Sweeps of a model of one's own: in one call where it answers row by row, else one by one, and always the same."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from test_sweep import AUDIO, IMAGE, TEXT, Variant, alone, by_label, check, counted, run, swept
from torch import Tensor, nn

from mmviz.backends.local import LocalBackend
from mmviz.models.custom import CustomModel
from mmviz.types import (
    AblateHead,
    CaptureError,
    Chars,
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

WIDTH, HEADS = 16, 4
SAMPLE = Sample(ImageInput(np.random.default_rng(2).integers(0, 255, (8, 8, 3), np.uint8), 8, 8), "is it so")
VARIANTS: list[Variant] = [
    (), (DropModality(IMAGE),), (ReplaceInput(IMAGE, "mean"),), (ReplaceInput(IMAGE, "noise", (PixelBox(0, 0, 4, 4),)),),
    (AblateHead(0, 1),), (AblateHead(1, 3), AblateHead(0, 2)), (DropModality(IMAGE), AblateHead(1, 0)), (DropModality(AUDIO),),
    (ShuffleWeights(1),), (UniformAttention(),), (UniformAttention(), AblateHead(0, 0)), (DropModality(IMAGE),),
]  # fmt: skip


class Layers(nn.Module):
    """Two layers of attention over words and patches; ``twist``: what else is done to a batch of logits."""

    def __init__(self, twist: Callable[[Tensor], Tensor] = lambda logits: logits):
        super().__init__()
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 32, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.answer, self.twist = nn.Linear(WIDTH, 3), twist

    def forward(self, words: Tensor, patches: Tensor, **_: Any) -> Tensor:
        found: Tensor = self.answer(self.layers(torch.cat([words, patches], 1))[:, 0])
        return self.twist(3 * found)


def prepare(sample: Sample) -> tuple[dict[str, Any], list[str]]:
    """As many tokens as there are words, and four patches; without a picture these are 0."""
    words = (sample.text or "").split()
    vectors = [torch.randn(WIDTH, generator=torch.Generator().manual_seed(len(word))) for word in words]
    pixels = np.zeros((8, 8, 3)) if sample.image is None else sample.image.pixels / 255
    patches = torch.from_numpy(pixels.astype(np.float32)).reshape(4, 16, 3).mean(-1)
    return {"words": torch.stack(vectors)[None], "patches": patches[None]}, [*words, *"1234"]


def own(module: nn.Module, prepare: Any = prepare) -> tuple[LocalBackend, list[int]]:
    """A backend with a model of one's own, and how many rows go through it, call by call."""
    return LocalBackend("cpu", {"own": CustomModel(module, prepare, ["yes", "no", "maybe"])}), counted(module)


def test_a_model_that_answers_row_by_row_is_called_once_for_many() -> None:
    backend, rows = own(Layers())
    found = check(backend, SAMPLE, VARIANTS, "own")
    assert np.allclose(found[1], found[11]) and np.allclose(found[0], found[7])
    assert np.abs(found[0] - found[4]).max() > 1e-3 < np.abs(found[0] - found[1]).max()
    rows.clear()
    run(backend, SAMPLE, "own", sweep=VARIANTS[:8])
    assert rows == [1, 8, 1], "the run, all variants, and one of them alone, to see that a batch changes nothing"


def mixed(logits: Tensor) -> Tensor:
    """Rows that see each other."""
    return logits - logits.mean(0) if len(logits) > 1 else logits


def summed(logits: Tensor) -> Tensor:
    """One answer for all rows."""
    return logits.sum(0, keepdim=True)


def alone_only(logits: Tensor) -> Tensor:
    if len(logits) > 1:
        raise ValueError("one at a time")
    return logits


@pytest.mark.parametrize("twist", [mixed, summed, alone_only])
def test_a_model_whose_batch_does_not_work_is_called_for_each(twist: Callable[[Tensor], Tensor]) -> None:
    backend, rows = own(Layers(twist))
    found = check(backend, SAMPLE, VARIANTS, "own")
    assert np.allclose(found, by_label(run(own(Layers())[0], SAMPLE, "own", sweep=VARIANTS)), atol=1e-5)
    rows.clear()
    run(backend, SAMPLE, "own", sweep=VARIANTS[:8])
    assert [count for count in rows if count == 1][-8:] == [1] * 8


def test_inputs_of_different_shapes_go_one_by_one() -> None:
    backend, rows = own(Layers())
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
    """Of which nobody knows when two are the same."""

    def __eq__(self, other: object) -> bool:
        raise TypeError("no")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("extra", "is_joined"),
    [
        (lambda: "mean", True),
        (lambda: 0.5, True),
        (random.random, False),
        (lambda: np.zeros(3), False),
        (lambda: [torch.zeros(2), torch.zeros(2)], False),
        (lambda: torch.tensor(2.0), False),
        (lambda: torch.zeros(2, 3), False),
        (lambda: (torch.zeros(1, 3), {"deep": torch.zeros(1, 2)}), True),
        (Config, False),
    ],
    ids=["string", "number", "number that differs", "array", "list", "scalar", "other batch", "nested", "object"],
)
def test_whatever_else_goes_in_is_joined_or_goes_one_by_one(extra: Callable[[], Any], is_joined: bool) -> None:
    def prepared(sample: Sample) -> tuple[dict[str, Any], list[str]]:
        inputs, tokens = prepare(sample)
        return inputs | {"extra": extra()}, tokens

    backend, rows = own(Layers(), prepared)
    check(backend, SAMPLE, VARIANTS[1:5], "own")
    rows.clear()
    run(backend, SAMPLE, "own", sweep=VARIANTS[1:5])
    assert rows == ([1, 4, 1] if is_joined else [1] * 5)


class Folded(nn.Module):
    """Heads and rows in one dimension, so that heads of single rows cannot be told apart in a batch."""

    def forward(self, words: Tensor, patches: Tensor) -> Tensor:
        x = torch.cat([words, patches], 1)
        heads = x.unflatten(-1, (HEADS, -1)).transpose(1, 2).flatten(0, 1)
        mixed = torch.bmm(torch.softmax(torch.bmm(heads, heads.transpose(1, 2)), -1), heads)
        return mixed.unflatten(0, (-1, HEADS)).transpose(1, 2).flatten(2).mean(1)[:, 3:12:4]


def test_heads_of_a_folded_batch_are_switched_off_one_by_one() -> None:
    backend, rows = own(Folded())
    variants: list[Variant] = [(AblateHead(0, head),) for head in range(HEADS)] + [(DropModality(IMAGE),)]
    found = check(backend, SAMPLE, variants, "own")
    plain = alone(backend, SAMPLE, "own")
    assert all(np.abs(row - plain).max() > 1e-3 for row in found[:3]) and np.allclose(found[3], plain)
    rows.clear()
    run(backend, SAMPLE, "own", sweep=[(DropModality(IMAGE),), (ReplaceInput(IMAGE, "mean"),)])
    assert rows == [1, 2, 1], "where no head is off, folded rows go together"
    with pytest.raises(CaptureError, match="no head 4 in attention 0"):
        run(backend, SAMPLE, "own", sweep=[(), (AblateHead(0, 4),)])


def refusing(problem: Exception) -> Callable[[Sample], Any]:
    def prepared(sample: Sample) -> Any:
        if sample.image is None:
            raise problem
        return prepare(sample)

    return prepared


def test_a_refusal_to_do_without_passes_through_in_words() -> None:
    for problem, code, words in (
        (ValueError("a picture is needed"), "own-raised", "ValueError: a picture is needed (test_sweep_yours.py"),
        (InputError("model-needs-text", model="mine"), "model-needs-text", "mine reads words only"),
    ):
        backend, _ = own(Layers(), refusing(problem))
        with pytest.raises(MmvizError) as refusal:
            run(backend, SAMPLE, "own", sweep=[(), (ReplaceInput(IMAGE, "mean"),), (DropModality(IMAGE),)])
        assert refusal.value.code == code and words in str(refusal.value)
        assert len(swept(run(backend, SAMPLE, "own", sweep=[(), (ReplaceInput(IMAGE, "mean"),)]))) == 2


@pytest.mark.parametrize("where", ["prepare", "model"])
def test_what_is_random_is_the_same_in_every_variant(where: str) -> None:
    def noisy(sample: Sample) -> Any:
        inputs, tokens = prepare(sample)
        return inputs | {"words": inputs["words"] + torch.randn(1, 3, WIDTH)}, tokens

    def shaken(logits: Tensor) -> Tensor:
        return logits + torch.randn(logits.shape)

    made = (Layers(), noisy) if where == "prepare" else (Layers(shaken), prepare)
    backend, _ = own(*made)
    found = check(backend, SAMPLE, [(), (DropModality(IMAGE),), (DropModality(AUDIO),), (AblateHead(0, 1),)], "own")
    assert np.allclose(found[0], found[2]) and np.abs(found[0] - found[1]).max() > 1e-3
    again = by_label(run(backend, SAMPLE, "own", sweep=[(), (DropModality(IMAGE),)], seed=1))
    assert np.abs(again - found[:2]).max() > 1e-3, "and another with another seed"
