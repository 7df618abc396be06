"""Long runs of another machine, saved with the tensors behind them: as exact as those that were computed here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from long_model import make as make_long
from serving import running_service

from mmviz import MapRef, MmvizError, Run, Sample
from mmviz.backends.fallback import FallbackBackend
from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import RemoteBackend
from mmviz.backends.server import Limits
from mmviz.explain import run_sample
from mmviz.types import Rows
from mmviz.types.exact_attention import ExactAttention

pytestmark = pytest.mark.slow
SAMPLE = Sample(text="x")


@pytest.fixture(scope="module")
def local() -> LocalBackend:
    return LocalBackend("cpu", {"long": make_long()})


@pytest.fixture(scope="module")
def remote(local: LocalBackend) -> Iterator[RemoteBackend]:
    with running_service(local, limits=Limits(seconds=120)) as url:  # on a machine that has much else to do
        yield RemoteBackend(url, deadline=120)


def test_a_remote_run_is_saved_exactly(remote: RemoteBackend, local: LocalBackend, tmp_path: Path) -> None:
    backend = FallbackBackend(remote, lambda: pytest.fail("the remote backend is there"))
    run = run_sample(SAMPLE, model="long", backend=backend)
    assert run.record.is_long and "exact_nbytes" not in run.record.made_by
    assert run.exact_nbytes() == local.exact_nbytes(run.record.id) == local.exact(run.record.id).nbytes
    run.save(tmp_path / "run.npz", keep="exact")
    opened = Run.load(tmp_path / "run.npz")
    assert opened.is_exact and opened.record == run.record
    for ref in (MapRef("attention", 0, 1), MapRef("rollout")):
        here = local.view(run.record.id, Rows(ref, (3, 500)))
        assert np.allclose(opened.view(Rows(ref, (3, 500))), here, atol=1e-7)


def test_the_size_is_known_without_a_call(remote: RemoteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_sample(SAMPLE, model="long", backend=remote)
    monkeypatch.setattr(remote, "_call", lambda *_, **__: pytest.fail("the page asks at each drawing"))
    assert run.exact_nbytes() > 0
    with pytest.raises(MmvizError) as gone:
        remote.exact("0" * 32)
    assert gone.value.code == "view-gone"


def test_a_run_that_is_no_longer_kept_there_says_so(remote: RemoteBackend, local: LocalBackend) -> None:
    run = run_sample(SAMPLE, model="long", backend=remote)
    local._cache.clear()
    with pytest.raises(MmvizError) as gone:
        run.to_bytes(keep="exact")
    assert gone.value.code == "view-gone"


def test_a_server_that_keeps_nothing_says_so(local: LocalBackend) -> None:
    class Viewing:
        """A backend that hands out no tensors."""

        models, run, view = local.models, local.run, local.view

    with running_service(Viewing(), limits=Limits(seconds=120)) as url:
        run = run_sample(SAMPLE, model="long", backend=RemoteBackend(url, deadline=120))
        with pytest.raises(MmvizError) as error:
            run.exact_nbytes()
    assert error.value.code == "keep-elsewhere"


def test_tensors_of_another_run_are_refused(
    remote: RemoteBackend, local: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_sample(SAMPLE, model="long", backend=remote)
    exact = local.exact

    def fewer(record_id: str) -> Any:
        return ExactAttention(exact(record_id).maps[1:])

    monkeypatch.setattr(local, "exact", fewer)
    with pytest.raises(MmvizError) as error:
        run.to_bytes(keep="exact")
    assert error.value.code == "wire-unreadable"
