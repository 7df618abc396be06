"""What frozen encoders gave for an input serves the variants of an experiment, which are as where it runs anew."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmviz.backends.local import LocalBackend
from mmviz.experiments.example_runs import TOGETHER
from mmviz.experiments.head_ablation import measure_head_ablation
from mmviz.experiments.head_edges import edge_cut
from mmviz.experiments.modality_shapley import measure_modality_effect
from mmviz.experiments.route_cut import measure_routes, route_cells
from mmviz.experiments.story import measure_story
from mmviz.models.content_caches import forget_contents
from mmviz.models.encoders.encoder_cache import (
    INPUTS,
    EncoderCache,
    encoded_anew,
    kept_encodings,
)
from mmviz.types import (
    AblateHead,
    AttentionRecord,
    Change,
    CutRoute,
    DropTokens,
    Modality,
    ReplaceInput,
    Request,
    Sample,
    ShuffleWeights,
)

IMAGE, AUDIO = Modality.IMAGE, Modality.AUDIO
Counts = dict[str, int]
VARIANTS: list[tuple[Change, ...]] = [
    (DropTokens((3, 40, 160)),), (CutRoute("answer", IMAGE),), (AblateHead(2, 1),), (ReplaceInput(IMAGE, "mean"),),
    (ReplaceInput(AUDIO, "noise"),), (ShuffleWeights(1),), (AblateHead(7, 1),),
]  # fmt: skip
"""Changes of the fusion, of each input, of the weights, and of the sound encoder."""


@pytest.fixture(scope="module", params=["trio", "trio-reduced"])
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def encoders_of(backend: LocalBackend, model: str) -> nn.Module:
    module = backend._models[model].module
    return next(part for name, part in module.named_modules() if name.rpartition(".")[2] == "encoders")


@pytest.fixture
def calls(backend: LocalBackend) -> Iterator[Callable[[str], Counts]]:
    """Counts how often the encoders of a model run, which begin without anything kept."""
    handles = []

    def counted(model: str) -> Counts:
        encoders: Any = encoders_of(backend, model)
        encoders._cache = EncoderCache()
        counts = {"picture": 0, "sound": 0}

        def count(name: str) -> Callable[..., None]:
            return lambda *_: counts.update({name: counts[name] + 1})

        handles.extend(encoders.get_submodule(name).register_forward_hook(count(name)) for name in counts)
        return counts

    yield counted
    for handle in handles:
        handle.remove()


def assert_equal(own: AttentionRecord, other: AttentionRecord) -> None:
    """To the bit."""
    assert own.answers == other.answers and own.notices == other.notices
    assert (own.sweep is None) == (other.sweep is None)
    assert own.sweep is None or other.sweep is None or np.array_equal(own.sweep, other.sweep)
    for one_map, other_map in zip(own.maps, other.maps, strict=True):
        assert np.array_equal(one_map.weights, other_map.weights)  # type: ignore[union-attr]
    for name in ("norms", "relevance"):
        pairs = zip(getattr(own, name), getattr(other, name), strict=True)
        assert all(np.array_equal(one_part, other_part) for one_part, other_part in pairs)


@pytest.mark.slow
def test_runs_and_variants_are_to_the_bit_as_where_each_encodes_anew(
    backend: LocalBackend, sample: Sample, model: str
) -> None:
    variants = VARIANTS if model == "trio" else [v for v in VARIANTS if not isinstance(v[0], DropTokens | AblateHead)]
    request = Request(model, sample, relevance=True, norms=True, towers=model == "trio", sweep=tuple(variants))
    backend.run([request])
    with encoded_anew(encoders_of(backend, model).modules()):
        expected = backend.run([request])[0]
    assert_equal(backend.run([request])[0], expected)
    assert expected.sweep is not None and len(np.unique(expected.sweep[:, 0])) == len(variants)


@pytest.mark.long
@pytest.mark.slow
def test_each_experiment_encodes_each_input_once(
    backend: LocalBackend, sample: Sample, calls: Callable[[str], Counts]
) -> None:
    request = Request("trio", sample)
    counts = calls("trio")
    (record,) = backend.run([request])
    assert counts == {"picture": 1, "sound": 1}
    measure_routes(backend, request, record, route_cells(record)[:4])
    measure_head_ablation(backend, request, record)
    measure_story(backend, request, record)
    backend.run([Request("trio", sample, (AblateHead(0, 0), CutRoute(AUDIO, IMAGE)), sweep=((DropTokens((9,)),),))])
    backend.run([Request("trio", sample, lens=True)])
    assert counts == {"picture": 1, "sound": 1}
    assert measure_modality_effect(backend, request, "mean") is not None
    assert counts == {"picture": 2, "sound": 2}, "each once more, replaced"
    backend.run([Request("trio", Sample(sample.image, sample.text, sample.audio), (ReplaceInput(AUDIO, "blur"),))])
    assert counts == {"picture": 2, "sound": 3}, "the other modality alone"
    backend.forget_inputs(())
    backend.run([request])
    assert counts == {"picture": 3, "sound": 4}, "nothing is left of what was forgotten"


@pytest.mark.slow
def test_shuffled_weights_encode_by_their_own(
    backend: LocalBackend, sample: Sample, calls: Callable[[str], Counts]
) -> None:
    first = backend.run([Request("trio", sample)])[0]
    shuffled = backend.run([Request("trio", sample, (ShuffleWeights(0),))])[0]
    assert first.answers != shuffled.answers
    encoders: Any = copy.deepcopy(encoders_of(backend, "trio"))
    picture = torch.rand(1, 3, 384, 384)
    with kept_encodings():
        before, _ = encoders.encode_picture(picture)
        with torch.no_grad():
            encoders.picture.stem.weight.mul_(2)
        after, _ = encoders.encode_picture(picture)
    assert not torch.equal(before, after), "changed in place"


@pytest.mark.slow
def test_an_edge_of_a_head_of_the_sound_encoder_runs_it_and_not_the_picture_encoder(
    backend: LocalBackend, sample: Sample, calls: Callable[[str], Counts]
) -> None:
    request = Request("trio", sample, towers=True)
    (record,) = backend.run([request])
    counts = calls("trio")
    backend.run([Request("trio", sample, maps=False)])
    number = next(k for k, attn_map in enumerate(record.maps) if "sound" in attn_map.stack)
    cuts = tuple((edge_cut(record.maps[number], 0, (query,), (0, 1)),) for query in range(3))  # type: ignore[arg-type]
    backend.run([Request("trio", sample, maps=False, sweep=cuts)])
    assert counts == {"picture": 1, "sound": 1 + len(cuts)}


class Doubled(nn.Module):
    """Doubles its input, and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += len(x)
        return 2 * x


def test_the_inputs_that_an_experiment_runs_together_are_all_kept() -> None:
    assert INPUTS >= TOGETHER, "else the first is encoded again for the next variant of the examples"


def test_a_cache_is_cleared_with_the_others_and_is_not_held_by_them() -> None:
    cache, module = EncoderCache(), Doubled().eval()

    def encode(rows: Tensor) -> tuple[Tensor]:
        return (module(rows),)

    for calls in (1, 2):
        with kept_encodings():
            for _ in range(2):
                cache.encoded("doubled", (module,), encode, torch.ones(1, 1))
        assert module.calls == calls
        forget_contents()
    gone = weakref.ref(cache)
    del cache
    gc.collect()
    assert gone() is None


def test_only_the_last_inputs_are_kept_and_none_where_nobody_asks_for_it() -> None:
    cache, module = EncoderCache(), Doubled().eval()
    inputs = torch.arange(INPUTS + 1.0)[:, None]

    def encoded(rows: Tensor) -> Tensor:
        (outputs,) = cache.encoded("doubled", (module,), lambda some: (module(some),), rows)
        assert torch.equal(outputs, 2 * rows)
        return outputs

    for _ in range(2):
        encoded(inputs[:1])
    assert module.calls == 2
    with kept_encodings():
        encoded(torch.cat([inputs[:2], inputs[:1]]))
        assert module.calls == 4, "two rows that differ"
        encoded(inputs[1:])
        assert module.calls == 4 + INPUTS - 1, "all but the second, which is kept"
        encoded(inputs[:1])
        assert module.calls == 4 + INPUTS, "the first has gone"
        with encoded_anew(module.modules()):
            encoded(inputs[:1])
        encoded(inputs[:1].clone().requires_grad_())
        with torch.autocast("cpu"):
            encoded(inputs[:1])
        assert module.calls == 7 + INPUTS
        encoded(inputs[:1])[:] = 0
        encoded(inputs[:1])
