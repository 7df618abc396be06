"""The choice of a model in the page: what the operator allows, loaded in the background, stopped, or refused."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tiny_checkpoints  # first: it sets what transformers reads
from app_page import EXAMPLES, AppTest, address, markup, notes, now, press, run, settled, visit, word
from records import plain

from mmviz.app import model_links
from mmviz.app import session_state as state
from mmviz.app.components.model_picker import model_labels
from mmviz.app.operator_config import OperatorConfig
from mmviz.backends.local.backend import this_machine
from mmviz.cli import main
from mmviz.experiments.modality_shapley import measure_modality_effect
from mmviz.models.custom_model_factory import load
from mmviz.models.huggingface.progress_bars import download_bar
from mmviz.models.loading_watch import LoadingWatch, watch_loading
from mmviz.types import MmvizError, Notice, Request

RELEASE, LOADING = threading.Event(), threading.Event()


def make() -> object:
    """A factory that takes as long as the test wants."""
    LOADING.set()
    assert RELEASE.wait(60)
    raise RuntimeError("no model")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    tiny_checkpoints.save_checkpoint("clip", folder)
    damaged = tiny_checkpoints.save_checkpoint("vit", folder)
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    return folder


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    """Returns a function that opens a page on which these models may be chosen."""

    def open_page(*models: str, **params: str) -> AppTest:
        options = [part for model in models for part in ("--model", model)]
        monkeypatch.setattr(sys, "argv", ["run.py", *options])
        return visit(**params)

    RELEASE.clear()
    LOADING.clear()
    yield open_page
    RELEASE.set()


def until_loaded(page: AppTest) -> AppTest:
    """Returns the page once the loading is finished and the run that follows is on the screen."""
    job = now(page).model_job
    assert job is None or job.wait(60)
    return run(run(page))


def choices(page: AppTest) -> list[str]:
    return [button.label for button in page.button if str(button.key).startswith("model-") and "stop" not in button.key]


@pytest.mark.slow
def test_a_visitor_chooses_among_what_the_operator_allows(folders: Path, offer: Callable[..., AppTest]) -> None:
    clip, damaged = f"hf:{folders / 'clip'}", f"hf:{folders / 'vit'}"
    page = offer("trio", clip, damaged)
    first = now(page).run
    assert first is not None and first.record.made_by["model"] == "trio"
    assert choices(page) == ["trio", "clip", "vit"] and page.button(key="model-0").disabled
    assert "CLIP, 0 million weights" in markup(page) and str(folders) not in markup(page)

    press(page, "model-2")
    until_loaded(page)
    (error,) = notes(page, "error")
    assert "is damaged: model.safetensors cannot be read" in error
    assert now(page).run is first and now(page).config.model == "trio", "the page keeps what it had"

    press(page, "model-1")
    until_loaded(page)
    second = now(page).run
    assert second is not None and second.record.made_by["model"] == clip and not notes(page, "error")
    assert word(page) in ("fits", "does not fit") and "inside clip" in markup(page)
    assert page.button(key="model-1").disabled and second.sample.text == first.sample.text

    press(page, "model-0")
    until_loaded(page)
    third = now(page).run
    assert third is not None and third.record.made_by["model"] == "trio", "the recorded run of the example"


@pytest.mark.slow
def test_after_a_first_run_that_failed_the_run_on_the_screen_is_measured_on_its_own_model(
    folders: Path, offer: Callable[..., AppTest]
) -> None:
    clip = f"hf:{folders / 'clip'}"
    page = until_loaded(offer(clip, "trio"))
    first = now(page).run
    assert first is not None and first.record.made_by["model"] == clip
    page.checkbox(state.USE_IMAGE).uncheck()
    page.checkbox(state.USE_AUDIO).uncheck()
    page.text_input(state.QUESTION).set_value("")
    press(run(page), "model-1")
    until_loaded(page)
    assert notes(page, "error") and now(page).run is first and now(page).config.model == "trio"
    assert address(page)["model"] == "clip", "a link opens the run on the screen"
    press(page, "page-debug")
    page = settled(page)
    (job,) = (job for name, job in now(page).experiments.items() if name[1:] == ("effect", "learned"))
    expected = measure_modality_effect(this_machine(clip), Request(clip, first.sample))
    assert job.error is None and job.result.total == pytest.approx(expected.total, abs=1e-4)


@pytest.mark.slow
def test_loading_shows_progress_and_can_be_stopped(offer: Callable[..., AppTest]) -> None:
    page = offer("trio", f"{__name__}:make")
    first = now(page).run
    press(page, "model-1")
    assert LOADING.wait(60)
    run(page)
    job = now(page).model_job
    assert job is not None and not job.wait(0) and "Loading the model." in page.get("progress")[0].proto.text
    assert page.get("bidi_component"), "the page goes on with the model that it has"
    press(page, "model-stop")
    assert job.is_stopped and now(page).model_job is None and not page.get("progress")
    assert now(page).run is first and now(page).config.spec is None and not notes(page, "error")
    RELEASE.set()


@pytest.mark.slow
def test_the_loading_goes_on_while_inputs_are_forgotten(offer: Callable[..., AppTest]) -> None:
    page = offer("trio", f"{__name__}:make")
    page.text_input(state.QUESTION).set_value("secret words")
    press(page, "run")
    press(page, "model-1")
    assert LOADING.wait(60)
    run(page)
    job = now(page).model_job
    press(page, "forget")
    assert now(page).run is None and "secret" not in markup(page)
    assert job is not None and now(page).model_job is job and not job.is_stopped and page.get("progress")
    RELEASE.set()


@pytest.mark.long
@pytest.mark.slow
def test_a_link_opens_the_model_that_was_picked(folders: Path, offer: Callable[..., AppTest]) -> None:
    clip = f"hf:{folders / 'clip'}"
    page = offer("trio", clip)
    assert address(page)["model"] == "trio"
    press(page, "model-1")
    until_loaded(page)
    copied = address(page)
    assert copied["model"] == "clip" and str(folders) not in str(copied)
    copied["query"] = "3"

    other = until_loaded(offer("trio", clip, **copied))
    shown = now(other).run
    assert shown is not None and shown.record.made_by["model"] == clip and now(other).config.model == clip
    assert now(other).selection.tokens == (3,) and address(other) == copied and not notes(other, "remark")

    elsewhere = offer("late", "trio", **copied)
    run(elsewhere)
    (remark,) = notes(elsewhere, "remark")
    assert "names the model “clip”, which this page does not offer. “late” is used instead." in remark
    assert now(elsewhere).run.record.made_by["model"] == "late" and address(elsewhere)["model"] == "late"


@pytest.mark.slow
def test_a_link_to_a_model_that_cannot_be_loaded_shows_its_example_with_another(
    folders: Path, offer: Callable[..., AppTest]
) -> None:
    damaged, example = f"hf:{folders / 'vit'}", EXAMPLES[3]
    page = until_loaded(offer("trio", damaged, example=example.id, model="vit", query="2"))
    (remark,) = notes(page, "remark")
    assert "another is used" in remark and "is damaged" in remark and not notes(page, "error")
    assert now(page).run_example == example and now(page).config.model == "trio"


@pytest.mark.slow
def test_the_example_of_a_link_waits_for_its_model_until_that_is_stopped(offer: Callable[..., AppTest]) -> None:
    example = EXAMPLES[3]
    page = offer("trio", f"{__name__}:make", example=example.id, model=f"{__name__}:make")
    assert LOADING.wait(60)
    run(page)
    assert now(page).run is None and page.get("progress") and not now(page).run_requested
    press(page, "model-stop")
    run(page)
    assert now(page).run_example == example and now(page).run.record.made_by["model"] == "trio"
    assert not notes(page, "remark") and address(page)["model"] == "trio"
    RELEASE.set()


def test_models_of_one_name_have_links_of_their_own(tmp_path: Path) -> None:
    specs = []
    for part in ("a", "b"):
        (tmp_path / part / "model").mkdir(parents=True)
        specs.append(f"hf:{tmp_path / part / 'model'}")
    config = OperatorConfig(models=("trio", *specs))
    names = model_links.link_names(config)
    assert names["trio"] == "trio" and len(set(names.values())) == 3 and "/" not in "".join(names.values())
    assert all(model_links.linked_model(config, {"model": name}) == model for model, name in names.items())
    fewer = OperatorConfig(models=(specs[1], "trio", specs[0]))
    assert model_links.link_names(fewer) == names, "in whichever order they are offered"
    assert model_links.linked_model(config, {"model": "model"}) is None
    assert model_links.linked_model(config, {}) == "trio"
    trained = OperatorConfig(models=("trio", str(tmp_path / "runs" / "mine")))
    assert [*model_links.link_names(trained).values()] == ["trio", "mine"], "a folder that was trained has its name"


@pytest.mark.slow
def test_one_model_needs_no_choice(offer: Callable[..., AppTest]) -> None:
    page = offer("trio")
    assert not choices(page) and now(page).run is not None and "model" not in address(page)


def test_what_is_not_offered_cannot_be_chosen() -> None:
    config = OperatorConfig(spec="hf:a/b", models=("hf:a/b", "trio"))
    assert config.with_model("trio").model == "trio" and config.with_model("trio").spec is None
    for model in ("hf:c/d", "toy", "os:getcwd", None):
        assert config.with_model(model) == config


def test_equal_names_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / part / "model" for part in ("a", "b")]
    for path in paths:
        path.mkdir(parents=True)
    specs = [f"hf:{path}" for path in paths]
    assert model_labels([*specs, "hf:x/y"]) == {specs[0]: specs[0], specs[1]: specs[1], "hf:x/y": "x/y"}


def test_the_command_line_takes_several_models_what_is_on_the_disk_and_a_saved_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from mmviz.cli.commands import app
    from mmviz.models.huggingface import disk_checkpoints as disk

    started: list[list[str]] = []
    monkeypatch.setattr(app, "run_module", lambda module, arguments, environment: started.append(arguments) or 0)
    monkeypatch.setattr(disk, "disk_checkpoints", lambda: [disk.DiskCheckpoint("hf:a/b", "LLaVA", 1, 1)])
    monkeypatch.setattr(app, "check_port", lambda *_: None)
    monkeypatch.delenv("MMVIZ_MODEL", raising=False)
    for options, models in (
        (["--model", "late", "--model", "trio"], ["late", "trio"]),
        (["--models-on-disk"], ["trio", "hf:a/b"]),
        (["--model", "hf:a/b", "--models-on-disk"], ["hf:a/b"]),
        ([], []),
    ):
        assert main(["app", "--headless", *options]) == 0
        arguments = started.pop()
        assert [arguments[k + 1] for k, part in enumerate(arguments) if part == "--model"] == models
    assert main(["app", "--model", "trio", "--model", "none"]) == 2 and not started
    plain().save(tmp_path / "run.npz")
    assert main(["app", "--headless", str(tmp_path / "run.npz")]) == 0
    arguments = started.pop()
    assert arguments[arguments.index("--run") + 1] == str(tmp_path / "run.npz")
    assert main(["app", "--headless", str(tmp_path / "none.npz")]) == 2 and not started


def watched(folder: Path, stop_after: int) -> tuple[list[Notice], list[tuple[int, int]], str]:
    """Loads a checkpoint, and returns what was told of it and the code of the error."""
    notices: list[Notice] = []
    counts: list[tuple[int, int]] = []
    watch = LoadingWatch(notices.append, lambda done, of: counts.append((done, of)), lambda: len(counts) >= stop_after)
    try:
        with watch_loading(watch):
            load(f"hf:{folder}", "cpu")
    except MmvizError as error:
        return notices, counts, error.code
    return notices, counts, ""


def test_who_watches_is_told_of_every_tensor_and_can_stop(folders: Path) -> None:
    from safetensors import safe_open
    from transformers.utils import logging

    with safe_open(folders / "clip" / "model.safetensors", "np") as tensors:
        total = len(tensors.keys())
    notices, counts, code = watched(folders / "clip", 1_000_000)
    assert code == "" and [notice.code for notice in notices] == ["hf-loading"]
    assert [done for done, _ in counts] == list(range(len(counts))) and len(counts) == counts[0][1] <= total
    _, stopped, code = watched(folders / "clip", 3)
    assert code == "loading-stopped" and len(stopped) == 3
    assert watched(folders / "clip", 0)[1:] == ([], "loading-stopped"), "before anything is read"
    assert logging.set_tqdm_hook(None) is None, "nothing stays behind"


def test_who_watches_is_told_of_the_bytes_of_a_download_and_can_stop() -> None:
    assert download_bar() is None
    counts: list[tuple[int, int]] = []
    watch = LoadingWatch(lambda notice: None, lambda done, of: counts.append((done, of)), lambda: len(counts) > 1)
    with watch_loading(watch):
        bar_class = download_bar()
    files = bar_class(total=3, disable=True)
    received = bar_class(total=100, unit="B", name="huggingface_hub.snapshot_download.transfer", disable=True)
    written = bar_class(total=100, unit="B", name="huggingface_hub.snapshot_download", disable=True)
    for bar in (files, received, written):
        bar.update(10)
    written.update(30)
    assert counts == [(10, 100), (40, 100)], "the bytes that are written, in a bar that is not even shown"
    with pytest.raises(MmvizError):
        files.update(1)
