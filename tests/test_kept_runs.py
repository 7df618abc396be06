"""Runs that are kept for a reload and for links: how many, how large, for how long, and who can delete them."""

from __future__ import annotations

import gc
import re
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from processes import wait_until
from records import plain

from mmviz.app.draft import Draft, VideoFile
from mmviz.app.effect_and_story import Trace
from mmviz.app.kept_runs import MAX_BYTES, KeptInputs, KeptRun, KeptRuns
from mmviz.experiments.story import Story

IMAGE_BYTES = 1_000_000


def kept(visitor: str = "a", image_bytes: int = IMAGE_BYTES) -> KeptRun:
    """Returns a run with a file of this size."""
    return KeptRun(plain(), Draft(bytes(image_bytes), "what is it?", None), None, "trained", (), (), visitor)


def test_a_run_is_found_by_its_id_alone() -> None:
    runs, first, second = KeptRuns(), kept(), kept("b")
    ids = [runs.add(first), runs.add(second)]
    assert [runs.get(run_id) for run_id in ids] == [first, second]
    assert all(re.fullmatch(r"[\w-]{22}", run_id) for run_id in ids) and ids[0] != ids[1]
    assert all(runs.get(other) is None for other in ("", ids[0][:-1], ids[0] + "=", first.run.record.id, "a", "b"))


def test_the_size_is_that_of_files_and_arrays() -> None:
    run = plain()
    assert run.sample.image and run.sample.audio
    arrays = sum(attn_map.weights.nbytes for attn_map in run.record.maps)
    arrays += run.sample.image.pixels.nbytes + run.sample.audio.wave.nbytes
    small, large = kept(image_bytes=0).nbytes, kept().nbytes
    assert large - small == pytest.approx(IMAGE_BYTES, abs=100)
    assert arrays < small < 1.5 * arrays


def test_what_is_traced_of_a_run_stays_with_it_within_the_bounds() -> None:
    traced = replace(kept(), traces={None: Trace(None, Story("yes", 0.5, ()))})
    runs = KeptRuns(max_bytes=traced.nbytes)
    run_id = runs.add(kept())
    runs.update(traced, run_id)
    assert traced.nbytes > kept().nbytes and runs.get(run_id) is traced and runs.nbytes == traced.nbytes
    runs.update(replace(traced, traces={**traced.traces, 1: Trace(None, None)}), run_id)
    assert runs.get(run_id) is traced, "there is no room for more"
    runs.forget(run_id, "")
    runs.update(traced, run_id)
    assert len(runs) == 0, "what was forgotten does not come back"


def test_the_run_shown_the_longest_ago_gives_way_to_the_newest() -> None:
    runs = KeptRuns(max_runs=3)
    first, second, third = (runs.add(kept(visitor)) for visitor in "abc")
    assert runs.get(first)
    fourth = runs.add(kept("d"))
    assert len(runs) == 3 and runs.get(second) is None
    assert all(runs.get(run_id) for run_id in (first, third, fourth))


def test_one_visitor_cannot_drive_out_the_others() -> None:
    runs = KeptRuns(max_runs_of_visitor=2)
    other = runs.add(kept("b"))
    own = [runs.add(kept("a")) for _ in range(5)]
    assert [bool(runs.get(run_id)) for run_id in (other, *own)] == [True, False, False, False, True, True]


def test_memory_is_bounded() -> None:
    runs = KeptRuns(max_bytes=3 * kept().nbytes + 1000)
    ids = [runs.add(kept(str(k))) for k in range(10)]
    assert len(runs) == 3 and runs.nbytes <= 3 * kept().nbytes + 1000
    assert all(runs.get(run_id) for run_id in ids[-3:])
    assert runs.add(kept(image_bytes=4 * kept().nbytes)) == "" and len(runs) == 3, "too large for a link of its own"
    assert MAX_BYTES <= 1_000_000_000


@pytest.mark.slow
def test_what_nobody_shows_is_deleted_without_a_visit() -> None:
    runs = KeptRuns(max_age=0.3)
    entry = kept()
    gone = weakref.ref(entry.run.record)
    run_id = runs.add(entry)
    del entry

    def is_deleted() -> bool:
        gc.collect()
        return gone() is None

    wait_until(is_deleted, "the run is still in memory")
    assert len(runs) == 0 and runs.get(run_id) is None


@pytest.mark.slow
def test_a_run_that_is_shown_stays() -> None:
    runs = KeptRuns(max_age=1.0)
    shown, left = runs.add(kept("a")), runs.add(kept("b"))
    wait_until(lambda: runs.get(shown) is not None and len(runs) == 1, "the other run is not deleted")
    assert runs.get(left) is None


def test_a_visitor_deletes_the_run_on_the_screen_and_their_own() -> None:
    runs = KeptRuns()
    own, other, shown = [runs.add(kept("a")), runs.add(kept("a"))], runs.add(kept("b")), runs.add(kept("c"))
    runs.forget(shown, "a")
    assert [runs.get(run_id) is None for run_id in (*own, shown, other)] == [True, True, True, False]
    runs.forget("", "")
    assert runs.get(other)


def test_threads_may_add_show_and_delete_at_once() -> None:
    runs, barrier = KeptRuns(max_runs=5, max_age=0.05), threading.Barrier(4)

    def work(visitor: str) -> None:
        barrier.wait(30)
        for _ in range(40):
            runs.get(runs.add(kept(visitor, 10)))
            runs.forget("", visitor)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, "abcd"))
    assert len(runs) == 0


def test_inputs_are_kept_in_the_place_of_those_before() -> None:
    store: KeptRuns[KeptInputs] = KeptRuns()
    first = KeptInputs(Draft(b"abc", "é", (b"de", b"f")), None, "me")
    assert first.nbytes == 3 + 2 + 3
    name = store.add(first)
    second = KeptInputs(Draft(VideoFile(b"abcd"), "", None), None, "me")
    assert store.add(second, name) == name and store.get(name) is second and len(store) == 1
    assert store.nbytes == 4
    store.forget("", "me")
    assert store.get(name) is None
