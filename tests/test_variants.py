"""Many variants in few calls: each answers as a run of its own with the same changes would."""

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
from mmviz.inputs import make_sample
from mmviz.models.bundled import STREAM, BundledTrio
from mmviz.models.custom import CustomModel
from mmviz.types import (
    AblateHead,
    AttentionRecord,
    CaptureError,
    Change,
    Chars,
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

IMAGE, TEXT, AUDIO = Modality.IMAGE, Modality.TEXT, Modality.AUDIO
Variant = tuple[Change, ...]


@pytest.fixture(scope="module")
def backend() -> LocalBackend:
    return LocalBackend("cpu")


@pytest.fixture(scope="module")
def sample() -> Sample:
    rng = np.random.default_rng(5)
    picture = rng.integers(0, 255, (90, 130, 3), dtype=np.uint8)
    wave = (rng.standard_normal(20_000) * 0.1).astype(np.float32)
    return make_sample(image=picture, text="Is there a dog in the picture?", audio=(wave, 16_000))


@pytest.fixture(scope="module")
def stream(backend: LocalBackend, sample: Sample) -> tuple[Token, ...]:
    return run(backend, sample, "trio").streams[STREAM]


def run(
    backend: LocalBackend, sample: Sample, model: str, *changes: Change, sweep: Sequence[Variant] = (),
    maps: bool = False, seed: int = 0,
) -> AttentionRecord:  # fmt: skip
    return backend.run([Request(model, sample, changes, seed, maps=maps, sweep=tuple(sweep))])[0]


def swept(record: AttentionRecord) -> NDArray[np.float64]:
    assert record.sweep is not None and record.sweep.dtype == np.float64 and not record.sweep.flags.writeable
    assert np.allclose(np.exp(record.sweep).sum(1), 1)
    return record.sweep


def alone(backend: LocalBackend, sample: Sample, model: str, *changes: Change, **options: Any) -> NDArray[np.float64]:
    """Log-probabilities of a run of its own, in the order of the answers' labels."""
    record = run(backend, sample, model, *changes, **options)
    return np.log([answer.probability for answer in sorted(record.answers, key=lambda answer: answer.label)])


def by_label(record: AttentionRecord) -> NDArray[np.float64]:
    order = sorted(range(len(record.answers)), key=lambda k: record.answers[k].label)
    return swept(record)[:, order]


def check(
    backend: LocalBackend, sample: Sample, variants: Sequence[Variant], model: str = "trio", *base: Change
) -> NDArray[np.float64]:
    """That each variant beside ``base`` answers as a run of its own; log-probabilities by label."""
    found = by_label(run(backend, sample, model, *base, sweep=variants))
    for row, variant in zip(found, variants, strict=True):
        expected = alone(backend, sample, model, *base, *variant)
        assert np.allclose(row, expected, rtol=1e-6, atol=1e-5), (variant, np.abs(row - expected).max())
    return found


def of(stream: Sequence[Token], modality: Modality) -> tuple[int, ...]:
    return tuple(k for k, token in enumerate(stream) if token.modality is modality)


PATCHES = (PixelBox(13, 9, 39, 27), PixelBox(104, 72, 130, 90))
VARIANTS: list[Variant] = [
    (),
    (DropModality(IMAGE),), (DropModality(TEXT),), (DropModality(AUDIO),), (DropModality(IMAGE), DropModality(TEXT), DropModality(AUDIO)),
    (DropTokens((1,)),), (DropTokens((3, 9, 40, 41, 110)),), (DropTokens(tuple(range(9, 100))),),
    (ReplaceInput(IMAGE, "mean"),), (ReplaceInput(IMAGE, "blur", PATCHES),), (ReplaceInput(IMAGE, "noise", PATCHES[:1]),),
    (ReplaceInput(AUDIO, "noise", (Seconds(0.16, 0.4),)),), (ReplaceInput(TEXT, "mean", (Chars(3, 8), Chars(11, 14))),),
    (ReplaceInput(TEXT, "mean"),),
    (AblateHead(0, 0),), (AblateHead(3, 2), AblateHead(5, 1)),
    (DropModality(TEXT), AblateHead(1, 1)), (ReplaceInput(IMAGE, "mean", PATCHES), DropModality(AUDIO), DropTokens((2, 50)), AblateHead(2, 3)),
    (ShuffleWeights(1),), (ShuffleWeights(1), DropModality(IMAGE)), (UniformAttention(),), (UniformAttention(), DropTokens((20, 21)), AblateHead(0, 3)),
    (ShuffleWeights(2), UniformAttention(), DropModality(TEXT)), (DropModality(IMAGE),),
]  # fmt: skip


def test_each_variant_of_trio_is_a_run_of_its_own(backend: LocalBackend, sample: Sample) -> None:
    found = check(backend, sample, VARIANTS)
    pairs = itertools.combinations(range(len(VARIANTS)), 2)
    same = [(a, b) for a, b in pairs if np.abs(found[a] - found[b]).max() < 1e-4]
    assert same == [(1, 23), (2, 13)], "no other variants are alike"


def test_variants_are_tried_beside_the_changes_of_the_run(backend: LocalBackend, sample: Sample) -> None:
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
    expected = alone(backend, sample, "trio", *changes, maps=True)
    assert np.allclose(alone(backend, sample, "trio", *changes), expected, atol=1e-5)
    assert np.abs(expected - alone(backend, sample, "trio")).max() > 1e-3


def test_a_token_that_is_hidden_is_as_if_it_were_not_there(backend: LocalBackend, sample: Sample) -> None:
    gone = [3, 9, 40, 41, 110]
    record = run(backend, sample, "trio", DropTokens(tuple(gone)), maps=True)
    model: Any = BundledTrio("cpu")
    ready = model.prepare(sample)
    trio, given = model.module, ready.tensors
    with torch.no_grad():
        x, real = trio.sequence(given, trio.encode_image(given.image), trio.encode_audio(given.mel))
        x = x[:, real[0]]
        left = [k for k in range(x.shape[1]) if k not in gone]
        logits = trio.fuse(x[:, left], torch.ones(1, len(left), dtype=torch.bool)).logits[0].double()
    expected = dict(zip(model.card.answers, logits.log_softmax(-1).exp().tolist(), strict=True))
    assert {answer.label: answer.probability for answer in record.answers} == pytest.approx(expected, abs=1e-5)
    assert record.streams[STREAM] == tuple(ready.streams[STREAM][k] for k in left)
    assert record.maps[0].shape == (len(left), len(left))


@pytest.mark.parametrize("modality", [IMAGE, TEXT, AUDIO])
def test_a_modality_of_which_all_is_hidden_is_dropped(
    backend: LocalBackend, sample: Sample, stream: tuple[Token, ...], modality: Modality
) -> None:
    every = DropTokens(of(stream, modality))
    hidden, dropped = (run(backend, sample, "trio", change, maps=True) for change in (every, DropModality(modality)))
    assert hidden.streams == dropped.streams
    assert np.abs(hidden.maps[5].weights - dropped.maps[5].weights).max() < 1e-5
    found = swept(
        run(backend, sample, "trio", sweep=[(every,), (DropModality(modality),), (every, DropModality(modality))])
    )
    assert np.allclose(found, found[0], atol=1e-5)


def test_hidden_tokens_count_among_those_that_earlier_changes_leave(
    backend: LocalBackend, sample: Sample, stream: tuple[Token, ...]
) -> None:
    words, patch = len(of(stream, TEXT)), of(stream, IMAGE)[7]
    shorter = run(backend, sample, "trio", DropModality(TEXT)).streams[STREAM]
    moved = patch - words + 1
    assert shorter[moved] == stream[patch]
    twice = (
        DropTokens((patch - 2,)),
        DropTokens((patch - 1,)),
    )  # the second is one place further on, now that one is gone
    variants = [
        (DropModality(TEXT), DropTokens((moved,))), (DropTokens((patch,)), DropModality(TEXT)), (DropTokens((*of(stream, TEXT), patch)),),
        twice, (DropTokens((patch - 2, patch)),),
    ]  # fmt: skip
    check(backend, sample, variants)
    found = swept(run(backend, sample, "trio", sweep=variants))
    assert np.allclose(found[:3], found[0], atol=1e-5) and np.allclose(found[3], found[4], atol=1e-5)
    lone = run(backend, sample, "trio", DropModality(TEXT), DropTokens((moved,)), maps=True).streams[STREAM]
    assert lone == tuple(token for k, token in enumerate(shorter) if k != moved)
    answer = swept(run(backend, sample, "trio", sweep=[(DropTokens((0,)),), ()]))
    assert np.allclose(answer[0], answer[1], atol=1e-6), "what answers cannot be hidden"


def test_a_token_that_is_not_there_is_told(backend: LocalBackend, sample: Sample, stream: tuple[Token, ...]) -> None:
    for changes, variants in (
        ((DropTokens((len(stream),)),), ()),
        ((), [(), (DropTokens((1, 999)),)]),
        ((DropTokens((-1,)),), ()),
    ):
        with pytest.raises(CaptureError) as refusal:
            run(backend, sample, "trio", *changes, sweep=variants)
        assert refusal.value.code == "view-tokens" and f"there are {len(stream)}" in str(refusal.value)


def test_a_head_that_is_not_there_is_told(backend: LocalBackend, sample: Sample) -> None:
    for variants in ([(AblateHead(6, 0),)], [(), (AblateHead(0, 4),), (DropModality(IMAGE),)]):
        with pytest.raises(CaptureError, match="no head"):
            run(backend, sample, "trio", sweep=variants)


def counted(module: nn.Module, path: str = "") -> list[int]:
    """How many rows go through a part of a module, call by call."""
    rows: list[int] = []
    module.get_submodule(path).register_forward_hook(lambda *call: rows.append(len(call[-1])))
    return rows


def test_a_picture_that_all_share_is_encoded_once(sample: Sample) -> None:
    model = BundledTrio("cpu")
    backend = LocalBackend("cpu", {"trio": model})
    pictures, sounds = (counted(model.module, name) for name in ("image_encoder", "audio_encoder"))
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
    assert pictures == [1, 1] and sounds == [1, 1], "by the run, and by all of its variants together"
    run(backend, sample, "trio", sweep=[(ReplaceInput(IMAGE, "mean", PATCHES),), (), (DropTokens((4,)),)])
    assert pictures[2:] == [1, 3], "pictures that differ are read each for itself"


def test_a_sweep_can_be_stopped(sample: Sample) -> None:
    model = BundledTrio("cpu")
    backend = LocalBackend("cpu", {"trio": model})
    sounds = counted(model.module, "audio_encoder")
    request = Request("trio", Sample(text="what was said"), maps=False, sweep=((DropTokens((1,)),),) * (2 * ROWS + 1))
    asked = itertools.count()
    assert backend.run([request], stop=lambda: next(asked) == 3) == (), "before its third batch"
    assert next(asked) == 4 and len(sounds) == 3
    assert swept(backend.run([request])[0]).shape == (2 * ROWS + 1, len(model.card.answers))


def test_columns_are_in_the_order_of_the_answers(backend: LocalBackend, sample: Sample) -> None:
    record = run(backend, sample, "trio", sweep=[(), (DropModality(IMAGE),)])
    expected = np.log([answer.probability for answer in record.answers])
    assert np.allclose(swept(record)[0], expected, atol=1e-4) and (np.diff(swept(record)[0]) <= 1e-6).all()
    other = {answer.label: answer.probability for answer in run(backend, sample, "trio", DropModality(IMAGE)).answers}
    labels = [answer.label for answer in record.answers]
    assert np.allclose(np.exp(swept(record)[1]), [other[label] for label in labels], atol=1e-5)
    assert labels != sorted(other, key=lambda label: -other[label]), "the order of the other run would be another"
    assert "sweep" in record.made_by["milliseconds"]


class Logits(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


def test_tiny_probabilities_keep_their_logarithm() -> None:
    own = CustomModel(
        Logits(), lambda sample: (torch.tensor([[[0.0, -3000.0, -200.0]]]), ["a"]), ["one", "two", "three"]
    )
    rows = counted(own.module)
    record = run(LocalBackend("cpu", {"own": own}), Sample(text="a"), "own", sweep=[(), (DropModality(IMAGE),)])
    assert [answer.label for answer in record.answers] == ["one", "three", "two"] and rows == [1, 2, 1]
    assert swept(record) == pytest.approx(np.array([[0, -200.0, -3000.0]] * 2), abs=1e-9)
    assert math.log(record.answers[1].probability) == pytest.approx(-200), "of a single run as well, while it can"


def test_single_tokens_cannot_be_hidden_from_every_model(backend: LocalBackend) -> None:
    for changes, variants in (((DropTokens((0,)),), ()), ((), [(DropTokens((0,)),)])):
        with pytest.raises(MmvizError) as refusal:
            run(backend, Sample(text="left both"), "toy", *changes, sweep=variants)
        assert refusal.value.code == "hide-model" and "Choose mean, blur or noise" in str(refusal.value)


def test_a_refusal_of_a_model_passes_through(backend: LocalBackend) -> None:
    with pytest.raises(InputError, match="reads words only"):
        run(backend, Sample(text="left both"), "toy", sweep=[(), (DropModality(TEXT),)])
    with pytest.raises(InputError, match="reads words only"):
        run(backend, Sample(text="left both"), "toy", sweep=[(ReplaceInput(TEXT, "blur"),)])
    check(
        backend,
        Sample(text="left both"),
        [(), (ReplaceInput(TEXT, "mean", (Chars(5, 9),)),), (AblateHead(0, 0),)],
        "toy",
    )
