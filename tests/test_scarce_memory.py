"""A sweep for which the GPU has too little memory is run in smaller calls, to the same answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_variants_custom import SAMPLE, VARIANTS, Layers, prepare
from torch import Tensor
from untrained_trio import untrained_trio

import mmviz
from mmviz.models.custom import CustomModel
from mmviz.types import AblateHead, AttentionRecord, MmvizError, Request, Sample


class Scarce(Layers):
    """Has memory for ``most`` rows; ``calls`` are the rows of each call."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.calls: list[int] = []

    def forward(self, words: Tensor, patches: Tensor, **options: Any) -> Tensor:
        self.calls.append(len(words))
        if len(words) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return super().forward(words, patches, **options)


def backend_of(module: Layers) -> mmviz.LocalBackend:
    return mmviz.LocalBackend("cpu", {"own": CustomModel(module, prepare, ["yes", "no", "maybe"])})


def swept(backend: mmviz.LocalBackend, model: str, sample: Sample, **options: Any) -> AttentionRecord:
    return backend.run([Request(model, sample, sweep=tuple(VARIANTS[:6]), **options)])[0]


class Earlier:
    """What is kept of an earlier run."""

    nbytes = 1


def test_a_call_with_too_little_memory_is_halved_and_earlier_runs_are_kept() -> None:
    scarce = Scarce(2)
    backend, plenty = backend_of(scarce), backend_of(Layers())
    backend._cache.put("earlier", Earlier())  # type: ignore[arg-type]
    record = swept(backend, "own", SAMPLE, relevance=True)
    assert record.sweep is not None and record.relevance is not None, "it is not run again without relevance"
    expected = swept(plenty, "own", SAMPLE).sweep
    assert expected is not None
    np.testing.assert_allclose(record.sweep, expected, atol=1e-5)
    assert not {"memory-smaller", "memory-cpu"} & {notice.code for notice in record.notices}
    assert scarce.calls[:4] == [1, 6, 3, 2] and max(scarce.calls[3:]) == 2, "the run, halves, and no more of those"
    assert isinstance(backend._cache.get("earlier"), Earlier)


def test_a_model_that_mmviz_knows_is_halved_too(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    model = untrained_trio()
    batch, calls = model.batch, list[int]()

    def scarce(tensors: Any, rows: int) -> Tensor:
        calls.append(rows)
        if rows > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return batch(tensors, rows)

    backend = mmviz.LocalBackend("cpu", {"known": model})
    expected = swept(backend, "known", sample, maps=False).sweep
    monkeypatch.setattr(model, "batch", scarce)
    record = swept(backend, "known", sample, maps=False)
    assert expected is not None and record.sweep is not None and calls == [6, 3, 2, 2]
    np.testing.assert_allclose(record.sweep, expected, atol=1e-5)
    assert not {"memory-smaller", "memory-cpu"} & {notice.code for notice in record.notices}


def test_a_single_row_with_too_little_memory_is_refused_in_a_sentence() -> None:
    scarce = Scarce(0)
    with pytest.raises(MmvizError) as error:
        backend_of(scarce).run([Request("own", SAMPLE, (AblateHead(0, 0),))])
    assert error.value.code == "memory-own" and scarce.calls == [1, 1]
