"""A run leaves torch's random generators and TF32 as they were, and draws the same whatever runs beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from eager_attention import drawn
from torch import Tensor, nn

import mmviz
from mmviz.capture.capture_route_probe import probe_routes
from mmviz.types import AblateHead, Request

SAMPLE = mmviz.make_sample(text="a")
DEADLINE = 60.0


class Drawing(nn.Module):
    """Attention over tokens with noise, drawn in many steps; ``meanwhile`` is called before each."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None, steps: int = 1) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, dropout=0.5)
        with torch.no_grad():  # the same weights for all, without drawing any from the generator under test
            for number, parameter in enumerate(self.parameters()):
                parameter.copy_(drawn(*parameter.shape, seed=number))
        self.meanwhile, self.steps = meanwhile, steps

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.steps):
            self.meanwhile()
            x = x + torch.rand(x.shape) / self.steps
        output: Tensor = self.attention(x, x, x, need_weights=False)[0].mean(1)
        return output


def backend_of(module: nn.Module, **options: Any) -> mmviz.LocalBackend:
    labels = [str(number) for number in range(16)]
    own = mmviz.CustomModel(module, lambda sample: (drawn(1, 16, 8), labels), list("abcdefgh"), **options)
    return mmviz.LocalBackend("cpu", {"own": own})


def plain(backend: mmviz.LocalBackend) -> None:
    backend.run([Request("own", SAMPLE, relevance=True)])


def in_one_call(backend: mmviz.LocalBackend) -> None:
    records = backend.run([Request("own", SAMPLE)] * 2)
    assert [record.made_by["batch_size"] for record in records] == [2, 2]


def with_a_sweep(backend: mmviz.LocalBackend) -> None:
    backend.run([Request("own", SAMPLE, sweep=((), (AblateHead(0, 0),)))])


def checks(backend: mmviz.LocalBackend) -> None:
    backend.model_checks("own", SAMPLE)


def refused(backend: mmviz.LocalBackend) -> None:
    with pytest.raises(mmviz.MmvizError):
        backend.run([Request("own", SAMPLE, (AblateHead(7, 0),))])


@pytest.mark.parametrize("act", [plain, in_one_call, with_a_sweep, checks, refused])
def test_random_numbers_after_a_run_are_those_without_it(act: Callable[[mmviz.LocalBackend], None]) -> None:
    backend = backend_of(Drawing(), batches=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        expected = torch.rand(5)
        torch.manual_seed(11)
        act(backend)
        assert torch.equal(torch.rand(5), expected)


@pytest.fixture
def tf32() -> Iterator[None]:
    """TF32 where the caller has set it, by the names that every torch has; afterwards as before."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


def settings() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_tf32_is_off_during_a_run_and_as_before_after_it(tf32: None) -> None:
    during: list[tuple[bool, bool]] = []
    backend = backend_of(Drawing(lambda: during.append(settings())))
    mmviz.LocalBackend("cuda")
    assert settings() == (True, True), "nothing has run yet"
    plain(backend)
    assert during == [(False, False)] and settings() == (True, True)
    refused(backend)
    assert settings() == (True, True)


def test_a_run_beside_another_draws_what_it_draws_alone() -> None:
    requests = [Request("own", SAMPLE, seed=seed) for seed in (1, 2)]
    backends = [backend_of(Drawing(steps=400)) for _ in requests]
    alone = [backend.run([request])[0] for backend, request in zip(backends, requests, strict=True)]
    assert alone[0].maps[0].weights.tobytes() != alone[1].maps[0].weights.tobytes()
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(backend.run, [request]) for backend, request in zip(backends, requests, strict=True)]
        records = [future.result(DEADLINE)[0] for future in futures]
    for record, expected in zip(records, alone, strict=True):
        np.testing.assert_array_equal(record.maps[0].weights, expected.maps[0].weights)


def test_a_model_may_make_a_run_in_its_own_and_draws_on_as_before() -> None:
    inner = backend_of(Drawing())
    (expected,) = backend_of(Drawing(steps=2)).run([Request("own", SAMPLE, seed=3)])
    outer = backend_of(Drawing(lambda: inner.run([Request("own", SAMPLE, seed=4)]), steps=2))
    with ThreadPoolExecutor(1) as pool:
        (record,) = pool.submit(outer.run, [Request("own", SAMPLE, seed=3)]).result(DEADLINE)
    assert record.answers == expected.answers


def test_the_probes_of_capture_leave_the_generator_as_it_was() -> None:
    before = torch.get_rng_state()
    first, second = probe_routes("cpu"), probe_routes("cpu")
    assert first == second and torch.equal(torch.get_rng_state(), before)
