"""Sweeps: the answers of every variant equal those of a run by itself with the same changes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mmviz.backends.local import LocalBackend
from mmviz.backends.local.variants import ROWS
from mmviz.models.custom import CustomModel
from mmviz.models.trio_model import BundledTrio
from mmviz.models.trio_network import STREAM
from mmviz.types import (
    ANSWER,
    AblateHead,
    AttentionRecord,
    CaptureError,
    Change,
    Chars,
    CutRoute,
    DropModality,
    DropTokens,
    InputError,
    MmvizError,
    Modality,
    PixelBox,
    ReplaceInput,
    Request,
    Sample,
    Seconds,
    ShuffleWeights,
    Token,
    UniformAttention,
)

pytestmark = pytest.mark.slow

IMAGE, TEXT, AUDIO = Modality.IMAGE, Modality.TEXT, Modality.AUDIO
Variant = tuple[Change, ...]


@pytest.fixture(scope="module")
def stream(backend: LocalBackend, sample: Sample) -> tuple[Token, ...]:
    return run(backend, sample, "trio").streams[STREAM]


def run(
    backend: LocalBackend, sample: Sample, model: str, *changes: Change, sweep: Sequence[Variant] = (),
    maps: bool = False, seed: int = 0,
) -> AttentionRecord:  # fmt: skip
    return backend.run([Request(model, sample, changes, seed, maps=maps, sweep=tuple(sweep))])[0]


def log_probabilities(record: AttentionRecord) -> NDArray[np.float64]:
    """Returns the checked sweep of a record, ``[variant, answer]``."""
    assert record.sweep is not None and record.sweep.dtype == np.float64 and not record.sweep.flags.writeable
    assert np.allclose(np.exp(record.sweep).sum(1), 1)
    return record.sweep


def single_run(
    backend: LocalBackend, sample: Sample, model: str, *changes: Change, **options: Any
) -> NDArray[np.float64]:
    """Returns the log-probabilities of a run by itself, answers ordered by label."""
    record = run(backend, sample, model, *changes, **options)
    return np.log([answer.probability for answer in sorted(record.answers, key=lambda answer: answer.label)])


def by_label(record: AttentionRecord) -> NDArray[np.float64]:
    """Returns the sweep of a record, answers ordered by label."""
    order = sorted(range(len(record.answers)), key=lambda k: record.answers[k].label)
    return log_probabilities(record)[:, order]


def check(
    backend: LocalBackend, sample: Sample, variants: Sequence[Variant], model: str = "trio", *base: Change
) -> NDArray[np.float64]:
    """Checks that each variant on top of ``base`` equals a run by itself, and returns `by_label`."""
    table = by_label(run(backend, sample, model, *base, sweep=variants))
    for row, variant in zip(table, variants, strict=True):
        expected = single_run(backend, sample, model, *base, *variant)
        assert np.allclose(row, expected, rtol=1e-6, atol=1e-5), (variant, np.abs(row - expected).max())
    return table


def indices(stream: Sequence[Token], modality: Modality) -> tuple[int, ...]:
    return tuple(k for k, token in enumerate(stream) if token.modality is modality)


PATCHES = (PixelBox(13, 9, 39, 27), PixelBox(104, 72, 130, 90))
VARIANTS: list[Variant] = [
    (),
    (DropModality(IMAGE),),
    (DropModality(TEXT),),
    (DropModality(AUDIO),),
    (DropModality(IMAGE), DropModality(TEXT), DropModality(AUDIO)),
    (DropTokens((1,)),),
    (DropTokens((3, 9, 40, 41, 160)),),
    (DropTokens(tuple(range(9, 140))),),
    (ReplaceInput(IMAGE, "mean"),),
    (ReplaceInput(IMAGE, "blur", PATCHES),),
    (ReplaceInput(IMAGE, "noise", PATCHES[:1]),),
    (ReplaceInput(AUDIO, "noise", (Seconds(0.16, 0.4),)),),
    (ReplaceInput(TEXT, "mean", (Chars(3, 8), Chars(11, 14))),),
    (ReplaceInput(TEXT, "mean"),),
    (AblateHead(0, 0),),
    (AblateHead(3, 2), AblateHead(5, 1)),
    (DropModality(TEXT), AblateHead(1, 1)),
    (ReplaceInput(IMAGE, "mean", PATCHES), DropModality(AUDIO), DropTokens((2, 50)), AblateHead(2, 3)),
    (ShuffleWeights(1),),
    (ShuffleWeights(1), DropModality(IMAGE)),
    (UniformAttention(),),
    (UniformAttention(), DropTokens((20, 21)), AblateHead(0, 3)),
    (ShuffleWeights(2), UniformAttention(), DropModality(TEXT)),
    (DropModality(IMAGE),),
]


def test_each_variant_of_trio_equals_a_run_by_itself(backend: LocalBackend, sample: Sample) -> None:
    table = check(backend, sample, VARIANTS)
    pairs = itertools.combinations(range(len(VARIANTS)), 2)
    equal = [(a, b) for a, b in pairs if np.abs(table[a] - table[b]).max() < 1e-4]
    assert equal == [(1, 23), (2, 13)], "no other variants are equal"


def test_variants_are_added_to_the_changes_of_the_run(backend: LocalBackend, sample: Sample) -> None:
    check(
        backend,
        sample,
        [(), (DropModality(IMAGE),), (AblateHead(1, 0),), (DropTokens((5,)),)],
        "trio",
        DropModality(TEXT),
        AblateHead(0, 1),
    )
    check(backend, sample, [(DropModality(IMAGE),), (DropTokens((7,)),)], "trio", ShuffleWeights(1))
    check(backend, sample, [(AblateHead(1, 0),)], "trio", UniformAttention())


@pytest.mark.parametrize(
    "changes",
    [(UniformAttention(),), (AblateHead(0, 1),), (DropTokens((5, 30)),), (UniformAttention(), AblateHead(5, 0))],
)
def test_answers_are_the_same_without_maps(backend: LocalBackend, sample: Sample, changes: Variant) -> None:
    expected = single_run(backend, sample, "trio", *changes, maps=True)
    assert np.allclose(single_run(backend, sample, "trio", *changes), expected, atol=1e-5)
    assert np.abs(expected - single_run(backend, sample, "trio")).max() > 1e-3


def test_a_dropped_token_is_left_out_of_the_sequence(backend: LocalBackend, sample: Sample) -> None:
    dropped = [3, 9, 40, 41, 160]
    record = run(backend, sample, "trio", DropTokens(tuple(dropped)), maps=True)
    model: Any = backend._models["trio"]
    ready = model.prepare(sample)
    trio, given = model.module, ready.tensors
    with torch.no_grad():
        x, real = trio.sequence(given, trio.encode_image(given.image), trio.encode_audio(given.mel))
        x = x[:, real[0]]
        left = [k for k in range(x.shape[1]) if k not in dropped]
        logits = trio.fuse(x[:, left], torch.ones(1, len(left), dtype=torch.bool)).logits[0].double()
    expected = dict(zip(model.card.answers, logits.log_softmax(-1).exp().tolist(), strict=True))
    assert {answer.label: answer.probability for answer in record.answers} == pytest.approx(expected, abs=1e-5)
    assert record.streams[STREAM] == tuple(ready.streams[STREAM][k] for k in left)
    assert record.maps[0].shape == (len(left), len(left))


@pytest.mark.parametrize("modality", [IMAGE, TEXT, AUDIO])
def test_dropping_all_tokens_of_a_modality_drops_the_modality(
    backend: LocalBackend, sample: Sample, stream: tuple[Token, ...], modality: Modality
) -> None:
    tokens, whole = DropTokens(indices(stream, modality)), DropModality(modality)
    by_tokens, by_modality = (run(backend, sample, "trio", change, maps=True) for change in (tokens, whole))
    assert by_tokens.streams == by_modality.streams
    assert np.abs(by_tokens.maps[5].weights - by_modality.maps[5].weights).max() < 1e-5
    table = log_probabilities(run(backend, sample, "trio", sweep=[(tokens,), (whole,), (tokens, whole)]))
    assert np.allclose(table, table[0], atol=1e-5)


def test_token_indices_count_the_tokens_that_earlier_changes_leave(
    backend: LocalBackend, sample: Sample, stream: tuple[Token, ...]
) -> None:
    words, patch = len(indices(stream, TEXT)), indices(stream, IMAGE)[7]
    shorter = run(backend, sample, "trio", DropModality(TEXT)).streams[STREAM]
    moved = patch - words + 1
    assert shorter[moved] == stream[patch]
    twice = (
        DropTokens((patch - 2,)),
        DropTokens((patch - 1,)),
    )  # the second token is one index further on, now that one is dropped
    variants = [
        (DropModality(TEXT), DropTokens((moved,))),
        (DropTokens((patch,)), DropModality(TEXT)),
        (DropTokens((*indices(stream, TEXT), patch)),),
        twice,
        (DropTokens((patch - 2, patch)),),
    ]
    check(backend, sample, variants)
    table = log_probabilities(run(backend, sample, "trio", sweep=variants))
    assert np.allclose(table[:3], table[0], atol=1e-5) and np.allclose(table[3], table[4], atol=1e-5)
    tokens = run(backend, sample, "trio", DropModality(TEXT), DropTokens((moved,)), maps=True).streams[STREAM]
    assert tokens == tuple(token for k, token in enumerate(shorter) if k != moved)
    table = log_probabilities(run(backend, sample, "trio", sweep=[(DropTokens((0,)),), ()]))
    assert np.allclose(table[0], table[1], atol=1e-6), "the answer token cannot be dropped"


def test_a_token_that_does_not_exist_is_an_error(
    backend: LocalBackend, sample: Sample, stream: tuple[Token, ...]
) -> None:
    for changes, variants in (
        ((DropTokens((len(stream),)),), ()),
        ((), [(), (DropTokens((1, 999)),)]),
        ((DropTokens((-1,)),), ()),
    ):
        with pytest.raises(CaptureError) as error:
            run(backend, sample, "trio", *changes, sweep=variants)
        assert error.value.code == "view-tokens" and error.value.parameters["count"] == len(stream)


def test_a_head_that_does_not_exist_is_an_error(backend: LocalBackend, sample: Sample) -> None:
    for variants in ([(AblateHead(10, 0),)], [(), (AblateHead(0, 4),), (DropModality(IMAGE),)]):
        with pytest.raises(CaptureError) as error:
            run(backend, sample, "trio", sweep=variants)
        assert error.value.code == "head-missing"


def count_rows(module: nn.Module, path: str = "") -> list[int]:
    """Returns a list that grows by the number of rows in each call of a submodule."""
    rows: list[int] = []
    module.get_submodule(path).register_forward_hook(lambda *call: rows.append(len(call[-1])))
    return rows


@pytest.fixture(scope="module")
def model() -> BundledTrio:
    """A model with hooks that count, for which reason no other file may have it."""
    return BundledTrio("cpu")


def test_an_image_that_all_variants_share_is_encoded_once(model: BundledTrio, sample: Sample) -> None:
    backend = LocalBackend("cpu", {"trio": model})
    run(backend, sample, "trio")  # what it does not know of a sample is read once
    images, clips = (count_rows(model.module, name) for name in ("encoders.picture", "encoders.sound"))
    run(
        backend,
        sample,
        "trio",
        sweep=[
            (),
            (DropModality(TEXT),),
            (DropTokens((2, 50)),),
            (AblateHead(0, 1),),
            (DropModality(IMAGE), DropModality(AUDIO)),
        ],
    )
    assert images == clips == [], "the run before has encoded them"
    run(backend, sample, "trio", sweep=[(ReplaceInput(IMAGE, "mean", PATCHES),), (), (DropTokens((4,)),)])
    assert images == [1] and clips == [], "the replaced one"


@pytest.mark.parametrize(
    "changes", [(), (DropModality(AUDIO),), (DropTokens((2, 50)),), (ReplaceInput(IMAGE, "mean"),)]
)
def test_cuts_of_a_run_with_changed_inputs_share_a_call(
    model: BundledTrio, sample: Sample, changes: tuple[Change, ...]
) -> None:
    backend = LocalBackend("cpu", {"trio": model})
    cuts = [CutRoute(ANSWER, IMAGE, "blocks.attention", (layer,)) for layer in range(6)]
    run(backend, sample, "trio", *changes)
    first, last = (count_rows(model.module, f"blocks.{number}") for number in (0, 5))
    record = run(backend, sample, "trio", *changes, sweep=[(cut,) for cut in cuts])
    assert (first, last) == ([1, 2], [1, 7]), "the answer without a cut, then a row that joins in each layer"
    for row, cut in zip(log_probabilities(record), cuts, strict=True):
        expected = run(backend, sample, "trio", *changes, cut)
        by_label = {answer.label: answer.probability for answer in expected.answers}
        assert np.exp(row) == pytest.approx([by_label[answer.label] for answer in record.answers], abs=2e-6)


def test_a_sweep_can_be_stopped(model: BundledTrio) -> None:
    backend = LocalBackend("cpu", {"trio": model})
    calls_of_model = count_rows(model.module, "fusion_input")
    request = Request("trio", Sample(text="what was said"), maps=False, sweep=((DropTokens((1,)),),) * (2 * ROWS + 1))
    calls = itertools.count()
    assert backend.run([request], stop=lambda: next(calls) == 3) == (), "before its third batch"
    assert next(calls) == 4 and len(calls_of_model) == 3
    assert log_probabilities(backend.run([request])[0]).shape == (2 * ROWS + 1, len(model.card.answers))


def test_columns_are_in_the_order_of_the_answers(backend: LocalBackend, sample: Sample) -> None:
    record = run(backend, sample, "trio", sweep=[(), (DropModality(IMAGE),)])
    expected = np.log([answer.probability for answer in record.answers])
    assert (
        np.allclose(log_probabilities(record)[0], expected, atol=1e-4)
        and (np.diff(log_probabilities(record)[0]) <= 1e-6).all()
    )
    other = {answer.label: answer.probability for answer in run(backend, sample, "trio", DropModality(IMAGE)).answers}
    labels = [answer.label for answer in record.answers]
    assert np.allclose(np.exp(log_probabilities(record)[1]), [other[label] for label in labels], atol=1e-5)
    assert labels != sorted(other, key=lambda label: -other[label]), "the other run orders its answers differently"
    assert "sweep" in record.made_by["milliseconds"]


class Logits(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


def test_log_probabilities_of_tiny_probabilities_are_exact() -> None:
    model = CustomModel(
        Logits(), lambda sample: (torch.tensor([[[0.0, -3000.0, -200.0]]]), ["a"]), ["one", "two", "three"]
    )
    rows = count_rows(model.module)
    record = run(LocalBackend("cpu", {"own": model}), Sample(text="a"), "own", sweep=[(), (DropModality(IMAGE),)])
    assert [answer.label for answer in record.answers] == ["one", "three", "two"] and rows == [1, 2, 1]
    assert log_probabilities(record) == pytest.approx(np.array([[0, -200.0, -3000.0]] * 2), abs=1e-9)
    assert math.log(record.answers[1].probability) == pytest.approx(-200), "in a single run as well"


def test_a_model_that_cannot_drop_single_tokens_says_so(backend: LocalBackend) -> None:
    for changes, variants in (((DropTokens((0,)),), ()), ((), [(DropTokens((0,)),)])):
        with pytest.raises(MmvizError) as error:
            run(backend, Sample(text="left both"), "toy", *changes, sweep=variants)
        assert error.value.code == "hide-model"


def test_an_error_of_the_model_ends_the_sweep(backend: LocalBackend) -> None:
    for variants in ([(), (DropModality(TEXT),)], [(ReplaceInput(TEXT, "blur"),)]):
        with pytest.raises(InputError) as error:
            run(backend, Sample(text="left both"), "toy", sweep=variants)
        assert error.value.code == "model-needs-text"
    check(
        backend,
        Sample(text="left both"),
        [(), (ReplaceInput(TEXT, "mean", (Chars(5, 9),)),), (AblateHead(0, 0),)],
        "toy",
    )
