"""`mmviz.explain`, `mmviz.Run` and the command ``mmviz explain``."""

from __future__ import annotations

import importlib
import io
import json
import pickle
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
from PIL import Image

import mmviz
from mmviz.backends.backend_for_run import custom_spec
from mmviz.backends.local import LocalBackend
from mmviz.cli import main
from mmviz.i18n.errors_and_notices import sentence
from mmviz.types import Answer, CaptureError, MapRef, MmvizError, Rows


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    rng = np.random.default_rng(2)
    Image.fromarray(rng.integers(0, 255, (123, 200, 3), dtype=np.uint8)).save(tmp_path / "image.png")
    soundfile.write(tmp_path / "audio.wav", rng.standard_normal(8_000) * 0.1, 8_000)
    return {"image": str(tmp_path / "image.png"), "audio": str(tmp_path / "audio.wav")}


@pytest.mark.slow
def test_every_kind_of_source_gives_the_same_answer(files: dict[str, str]) -> None:
    text = "how many things are there"
    image_bytes, audio_bytes = Path(files["image"]).read_bytes(), Path(files["audio"]).read_bytes()
    wave, rate = soundfile.read(io.BytesIO(audio_bytes), dtype="float32")
    images = [
        files["image"],
        Path(files["image"]),
        image_bytes,
        Image.open(files["image"]),
        np.asarray(Image.open(files["image"])),
    ]
    audios = [files["audio"], Path(files["audio"]), audio_bytes, (wave, rate), (wave, rate)]
    runs = [mmviz.explain(image=image, text=text, audio=audio) for image, audio in zip(images, audios, strict=True)]
    first = runs[0].summary()
    for run in runs[1:]:
        assert run.summary()["probabilities"] == first["probabilities"]


def test_the_summary_has_tokens_attention_and_modality_matrix(files: dict[str, str]) -> None:
    summary = mmviz.explain(text="What is it?", **files).summary()
    assert summary["answer"] == max(summary["probabilities"], key=summary["probabilities"].get)
    assert len(summary["tokens"]["image"]) == len(summary["attention"]["image"]) == 144
    assert summary["tokens"]["image"][-1]["box"] == pytest.approx([200 * 11 / 12, 123 * 11 / 12, 200, 123])
    assert [token["label"] for token in summary["tokens"]["text"]] == ["what", "is", "it", "?"]
    assert summary["tokens"]["text"][2]["chars"] == [8, 10]
    assert summary["tokens"]["audio"][-1]["seconds"] == pytest.approx([0.96, 1.0])
    attention = summary["attention"]
    total = sum(sum(attention[modality]) for modality in ("image", "text", "audio"))
    assert attention["query"] == "answer" and 0 < total <= 1 + 1e-6
    matrix = summary["modality_matrix"]
    assert np.allclose(np.sum(matrix["sums"], axis=1), 1)
    assert any("8,000" in notice or "8000" in notice for notice in summary["notices"])
    json.dumps(summary)


def test_a_missing_modality_has_no_tokens_in_the_summary(files: dict[str, str]) -> None:
    summary = mmviz.explain(image=files["image"], text="what is it").summary()
    assert summary["tokens"]["audio"] == summary["attention"]["audio"] == []
    assert len(summary["attention"]["image"]) == 144 and "audio" in summary["modality_matrix"]["keys"]


def test_of_answers_that_share_a_label_the_most_probable_is_told() -> None:
    run = mmviz.explain(text="is there a dog")
    answers = tuple(Answer(label, p, k) for k, (label, p) in enumerate([("the", 0.6), ("a", 0.3), ("the", 0.1)]))
    summary = replace(run, record=replace(run.record, answers=answers, sweep=None), backend=None).summary()
    assert list(summary["probabilities"].items()) == [("the", 0.6), ("a", 0.3)]


def test_attention_is_that_of_the_map_that_a_reference_names() -> None:
    run = mmviz.explain(text="is there a dog", relevance=True)
    record = run.record
    for number in (0, len(record.maps) - 1):
        weights = record.maps[number].weights.astype(np.float64)
        assert np.allclose(run.attention(record.map_ref(number, 1), 2), weights[1, 2])
        assert np.allclose(run.attention(record.map_ref(number), [1, 3], "to"), weights.mean(0)[:, [1, 3]].mean(1))
        assert np.array_equal(run.view(Rows(record.map_ref(number, 0), (2,)))[0], record.maps[number].weights[0, 2])
    assert np.allclose(run.attention(), run.attention(run.map_ref, run.answer_query))
    assert np.allclose(run.attention(MapRef("rollout"), 2), run.view(Rows(MapRef("rollout"), (2,)))[0], atol=1e-6)
    assert record.relevance is not None
    assert np.allclose(run.attention(MapRef("relevance"), 2), record.relevance[2])
    with pytest.raises(LookupError):
        run.attention(MapRef("attention", 99))


@pytest.mark.slow
@pytest.mark.parametrize("with_sound", [False, True])
def test_runs_compare_by_value_and_a_loaded_run_has_no_backend(
    files: dict[str, str], tmp_path: Path, with_sound: bool
) -> None:
    run = mmviz.explain(text="is there a dog", audio=files["audio"] if with_sound else None)
    run.save(tmp_path / "run.npz")
    loaded = mmviz.Run.load(tmp_path / "run.npz")
    assert loaded == replace(run, backend=None, request=None) != run
    assert pickle.loads(pickle.dumps(loaded)) == loaded and hash(loaded) == hash(mmviz.Run.load(tmp_path / "run.npz"))
    assert run.request is not None and bool(run.record.made_by.get("towers")) == with_sound
    assert loaded.rerun_request() == replace(run.request, towers=with_sound), "without sound there is no tower"


def test_a_run_refuses_a_record_that_cannot_be_shown() -> None:
    run = mmviz.explain(text="is there a dog")
    for made_by, code in (("9:mean", "run-map-ref"), ("relevance", "run-map-ref"), ("nonsense", "run-map-ref")):
        with pytest.raises(MmvizError) as error:
            replace(run, record=replace(run.record, made_by={"map_ref": made_by}))
        assert error.value.code == code and made_by in str(error.value)
    with pytest.raises(MmvizError) as error:
        replace(run, record=replace(run.record, maps=()))
    assert error.value.code == "run-no-maps" and str(error.value) == sentence("run-no-maps")
    weights = run.record.maps[0].weights
    batch = mmviz.record([np.stack([weights, weights])])
    with pytest.raises(CaptureError) as error:
        mmviz.Run(run.sample, batch)
    assert error.value.code == "run-batch" and mmviz.Run(run.sample, batch.sample(1)).record.batch is None


def test_a_run_of_another_model_cannot_be_run_again() -> None:
    run = mmviz.explain(text="is there a dog")
    for change in ({"model": "unknown"}, {"weights": "0" * 64}, {"changes": ["UniformAttention()"]}):
        record = replace(run.record, made_by={**run.record.made_by, **change})
        with pytest.raises(MmvizError) as error:
            mmviz.Run(run.sample, record).rerun_request()
        assert error.value.code == "effect-model"


@pytest.mark.slow
def test_the_command_writes_json_npz_and_png(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = {kind: tmp_path / f"out.{kind}" for kind in ("json", "npz", "png")}
    code = main(
        ["explain", "--image", files["image"], "--text", "what is it", "--audio", files["audio"]]
        + [part for kind, path in out.items() for part in (f"--{kind}", str(path))]
    )
    assert code == 0 and "answer:" in capsys.readouterr().out
    summary = json.loads(out["json"].read_text())
    saved = mmviz.Run.load(out["npz"])  # the model is not run again for the summary
    assert saved.summary() == summary | {"effect": None}
    assert saved.effect() == pytest.approx(summary["effect"], abs=1e-6)
    with Image.open(out["png"]) as image:
        assert image.size == (1600, 1800), "the two maps of the first view"
        colours = len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0))
    assert colours > 50


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain"], sentence("input-none")),
        (["explain", "--image", "nowhere.png"], "nowhere.png"),
        (["explain", "--text", "dog", "--model", "other"], "other"),
        (["explain", "--text", "dog", "--json", "/nowhere/at/all.json"], "all.json"),
    ],
)
def test_unusable_input_is_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and message in printed and "Traceback" not in printed


def test_a_file_that_is_no_image_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "letter.png").write_text("Dear all")
    assert main(["explain", "--image", str(tmp_path / "letter.png")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.long
def test_a_missing_synthesiser_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mmviz.training.world.espeak.find_library", lambda name: None)
    monkeypatch.setenv("MMVIZ_CACHE", str(tmp_path))
    assert main(["evaluate", "--count", "1"]) == 2
    printed = capsys.readouterr().err
    assert "apt-get install espeak-ng" in printed and "Traceback" not in printed


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert main(["evaluate"]) == 2
    assert "mmviz[train]" in capsys.readouterr().err


SMALL_MODEL = """
import torch
from torch import nn
import mmviz

calls = 0

class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.word, self.answer = nn.Embedding(100, 8), nn.Linear(8, 2)

    def forward(self, ids):
        return self.answer(self.layer(self.word(ids))[:, 0])

def prepare(sample):
    words = sample.text.split()
    return torch.tensor([[len(word) for word in words]]), [mmviz.Token(mmviz.Modality.TEXT, word) for word in words]

def make():
    global calls
    calls += 1
    return mmviz.CustomModel(Reader(), prepare, answers=["short", "long"], trained=False)

def broken():
    raise ValueError("no weights here")
"""


@pytest.fixture
def small_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module with factories of custom models, on the path of this process."""
    (tmp_path / "small_model_by_name.py").write_text(SMALL_MODEL, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("small_model_by_name")
    del sys.modules["small_model_by_name"]


def test_a_custom_model_is_named_as_in_the_command(small_model: ModuleType, tmp_path: Path) -> None:
    spec = f"{small_model.__name__}:make"
    run = mmviz.explain(text="a bb ccc", model=spec)
    assert run.rerun_request().model == spec
    assert [token.label for token in run.tokens] == ["a", "bb", "ccc"]
    own = mmviz.explain(text="a bb ccc", model="own", backend=LocalBackend(models={"own": small_model.make()}))
    assert run.record.answers == own.record.answers and np.array_equal(run.attention(), own.attention())
    before = small_model.calls
    assert mmviz.explain(text="a bb", model=spec).record.answers and small_model.calls == before, "it is kept"
    run.save(tmp_path / "run.npz")
    for later in (mmviz.Run.load(tmp_path / "run.npz"), replace(run, backend=None)):
        with pytest.raises(MmvizError) as refused:
            later.story()
        assert refused.value.code == "effect-model" and small_model.calls == before, "what a file names runs no code"


@pytest.mark.parametrize(
    "spec", [":make", "small_model_by_name:", "no such:make", "nowhere_at_all:make", "small_model_by_name:mak",
             "small_model_by_name:calls", "small_model_by_name:broken", "nobody"],
)  # fmt: skip
def test_a_custom_model_that_cannot_be_made_is_refused_as_by_the_command(
    small_model: ModuleType, spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MmvizError) as refused:
        mmviz.explain(text="a bb ccc", model=spec)
    assert main(["explain", "--text", "a bb ccc", "--model", spec]) == 2
    assert capsys.readouterr().err == f"mmviz: {refused.value}\n"


def test_a_folder_is_a_custom_model_and_a_name_of_the_catalogue_never_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("trio", "weights"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert [custom_spec(name) for name in ("trio", "weights", "nobody")] == [None, "weights", None]
    assert custom_spec("hf:owner/name") == "hf:owner/name" and custom_spec("module:make") == "module:make"
    with pytest.raises(MmvizError) as refused:
        mmviz.explain(text="hi", model="weights")
    assert str(refused.value) == sentence("weights-missing", folder="weights")
