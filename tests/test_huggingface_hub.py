"""Checkpoints from a hub: what is told before and during a download, what is refused, and what a stop leaves behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints  # noqa: F401  # first: it sets what transformers reads
from huggingface_hub import constants
from local_hub import LocalHub, running_hub
from processes import free_port
from serving import faulty_server

from mmviz.models.huggingface import checkpoint_files
from mmviz.models.huggingface.checkpoint_files import fetch_checkpoint, gigabytes, read_checkpoint
from mmviz.models.huggingface.checkpoint_spec import CheckpointSpec
from mmviz.models.loading_watch import LoadingWatch, watch_loading
from mmviz.types import MmvizError

SPEC = CheckpointSpec("owner/name")
SHARDS = {f"model-0000{k}-of-00002.safetensors": bytes([k]) * 50_000 for k in (1, 2)}
INDEX = {"model.safetensors.index.json": json.dumps({"weight_map": dict(zip("ab", SHARDS, strict=True))}).encode()}
Reach = Callable[[str], None]


@pytest.fixture
def reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reach:
    """Makes the hub at an address the one that is asked, with an empty cache on this disk."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def at(address: str) -> None:
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        for name, value in (
            ("ENDPOINT", address), ("HUGGINGFACE_CO_URL_TEMPLATE", template), ("HF_HUB_OFFLINE", False),
            ("HF_HUB_CACHE", str(tmp_path / "cache" / "hub")), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", True),
        ):  # fmt: skip
            monkeypatch.setattr(constants, name, value)

    return at


@pytest.fixture
def hub(reach: Reach) -> Iterator[LocalHub]:
    with running_hub(LocalHub({})) as hub:
        reach(hub.address)
        yield hub


def fetched(stop: Callable[[int], bool] = lambda done: False) -> tuple[Path, list[tuple[str, Any]], list[int]]:
    """Returns the folder of the checkpoint, what was told, and how many bytes were there each time."""
    told: list[tuple[str, Any]] = []
    counts: list[int] = []
    watch = LoadingWatch(
        lambda notice: None, lambda done, of: counts.append(done), lambda: stop(max(counts, default=0))
    )
    with watch_loading(watch):
        return fetch_checkpoint(SPEC, lambda *words: told.append(words)), told, counts


def refused(code: str) -> str:
    with pytest.raises(MmvizError) as error:
        fetched()
    assert error.value.code == code
    return str(error.value)


def test_a_checkpoint_is_downloaded_without_what_could_run(hub: LocalHub, llava_folder: Path) -> None:
    files = {path.name: path.read_bytes() for path in llava_folder.iterdir()}
    hub.files = {**files, "pytorch_model.bin": b"pickle", "modeling_x.py": b"raise SystemExit"}
    folder, told, counts = fetched()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    size = sum(map(len, files.values()))
    assert told == [("hf-download", {"name": "owner/name", "size": gigabytes(size)})], "before it begins"
    assert counts == sorted(counts) and counts[-1] == size
    assert read_checkpoint(folder, "name").parameters == read_checkpoint(llava_folder, "name").parameters
    hub.refusal = (500, "")
    assert fetched() == (folder, [], []), "what is on the disk needs no hub"


@pytest.mark.parametrize("lost", ["nothing", "trees"], ids=["", "huggingface_hub 1 keeps no list of files"])
def test_a_download_that_was_stopped_goes_on(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    second = list(SHARDS)[1]
    hub.files = {"config.json": b"{}", **INDEX, **SHARDS}
    folder, _, _ = fetched()
    (folder / second).resolve().unlink()
    (folder / second).unlink()
    later = tmp_path / "later"  # of another process, which remembers nothing
    shutil.copytree(tmp_path / "cache" / "hub", later, symlinks=True, ignore=shutil.ignore_patterns(lost))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(later))
    hub.fetched.clear()
    folder, _, _ = fetched()
    assert folder.is_relative_to(later) and (folder / second).read_bytes() == SHARDS[second]
    assert hub.fetched == [second], "nothing is downloaded twice"


def test_a_stop_ends_a_download(hub: LocalHub) -> None:
    hub.files = {"config.json": b"{}", **INDEX, **SHARDS}
    with pytest.raises(MmvizError) as error:
        fetched(stop=lambda done: done > 0)
    assert error.value.code == "loading-stopped"
    folder, _, counts = fetched()
    assert all((folder / name).read_bytes() == content for name, content in SHARDS.items()) and counts


@pytest.mark.parametrize(
    ("refusal", "code", "help"),
    [((403, "GatedRepo"), "hf-login", "hf auth login"), ((401, "GatedRepo"), "hf-login", "hf auth login"),
     ((404, "RepoNotFound"), "hf-unknown", "owner/name"), ((404, "RevisionNotFound"), "hf-unknown", "revision main"),
     ((401, ""), "hf-unknown", "hf auth login"), ((403, ""), "hf-unknown", "hf auth login"),
     ((500, ""), "hf-offline", "hf:FOLDER")],
)  # fmt: skip
def test_what_a_hub_refuses_is_one_sentence_with_what_to_do(
    hub: LocalHub, refusal: tuple[int, str], code: str, help: str
) -> None:
    hub.refusal = refusal
    assert help in refused(code)


def test_a_hub_that_does_not_answer_is_one_sentence(reach: Reach) -> None:
    reach(f"http://127.0.0.1:{free_port()}")
    assert "hf:FOLDER" in refused("hf-offline")
    with faulty_server(lambda connection: None) as (address, _):
        reach(address)
        refused("hf-offline")


def test_weights_that_are_pickles_are_not_downloaded(hub: LocalHub) -> None:
    hub.files = {"config.json": b"{}", "pytorch_model.bin": b"pickle"}
    assert "owner/name" in refused("hf-pickle") and not hub.fetched


def test_what_is_too_large_for_the_disk_of_the_cache_is_not_downloaded(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files = {"config.json": b"{}", **SHARDS}
    hub.sizes = dict.fromkeys(SHARDS, 10**15)
    looked_at: list[Path] = []
    usage = shutil.disk_usage
    monkeypatch.setattr(
        checkpoint_files.shutil, "disk_usage", lambda path: (looked_at.append(Path(path)), usage(path))[1]
    )
    assert "2000000.0 GB" in refused("hf-disk") and not hub.fetched
    assert looked_at == [tmp_path], "where the cache is to be, not at home"
    blocked = tmp_path / "cache"
    blocked.write_text("a file where the cache is to be")
    hub.sizes = {}
    assert str(blocked) in refused("file-unwritable"), "a full or blocked disk is no missing network"
