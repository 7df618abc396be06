"""Checkpoints of Hugging Face by one flag: what they answer, how answers are recorded, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints  # first: it sets what transformers reads
import torch
import transformers

import mmviz
from mmviz import Modality, Sample, make_sample
from mmviz.backends import wire
from mmviz.backends.local import LocalBackend
from mmviz.cli import main
from mmviz.experiments.modality_shapley import measure_modality_effect
from mmviz.models.custom_model_factory import load
from mmviz.models.huggingface import load_checkpoint, memory_need
from mmviz.models.huggingface.checkpoint_files import read_checkpoint
from mmviz.models.huggingface.checkpoint_spec import parse_checkpoint
from mmviz.models.huggingface.disk_checkpoints import disk_checkpoints
from mmviz.types import DropModality, MmvizError, Request

PIXELS = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
QUESTION = "What is this?"


@pytest.fixture(scope="module")
def sample() -> Sample:
    return make_sample(image=PIXELS, text=QUESTION)


@pytest.fixture(scope="module")
def run(llava_spec: str, llava_backend: LocalBackend) -> mmviz.Run:
    return mmviz.explain(image=PIXELS, text=QUESTION, model=llava_spec, backend=llava_backend)


def refusal(code: str, function: Any, *args: Any) -> str:
    with pytest.raises(MmvizError) as refused:
        function(*args)
    assert refused.value.code == code
    return str(refused.value)


def inputs_of(llava_folder: Path) -> tuple[Any, dict[str, Any]]:
    """Returns the model as transformers loads it, and the inputs of the sample as its processor makes them."""
    processor = transformers.AutoProcessor.from_pretrained(llava_folder)
    model = transformers.LlavaForConditionalGeneration.from_pretrained(llava_folder, attn_implementation="eager").eval()
    content = [{"type": "image"}, {"type": "text", "text": QUESTION}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    return model, dict(processor(images=[PIXELS], text=[prompt], return_tensors="pt"))


def test_the_answer_is_what_transformers_itself_writes(llava_folder: Path, run: mmviz.Run) -> None:
    model, inputs = inputs_of(llava_folder)
    image = tiny_checkpoints.tokenizer(["<image>"]).convert_tokens_to_ids("<image>")
    written = model.generate(**inputs, max_new_tokens=32, do_sample=False, suppress_tokens=[image])
    assert run.record.made_by["answer"] == written[0, inputs["input_ids"].shape[1] :].tolist()
    with torch.no_grad():
        logits = model(input_ids=written, pixel_values=inputs["pixel_values"]).logits.double().log_softmax(-1)
    first = inputs["input_ids"].shape[1]
    expected = logits[0, first - 1 : -1].gather(-1, written[0, first:, None]).sum()
    assert np.log(run.record.answers[0].probability) == pytest.approx(float(expected), rel=1e-6)
    assert [answer.index for answer in run.record.answers] == [0, 1], "the answer comes first, whatever its probability"


def test_the_record_is_that_of_one_eager_pass_over_prompt_and_answer(llava_folder: Path, run: mmviz.Run) -> None:
    model, inputs = inputs_of(llava_folder)
    ids = torch.cat([inputs["input_ids"], torch.tensor([run.record.made_by["answer"]])], 1)
    with torch.no_grad():
        output = model(input_ids=ids, pixel_values=inputs["pixel_values"], output_attentions=True)
    maps = [m for m in run.record.maps if m.stack == run.record.default_stack]
    assert len(maps) == len(output.attentions) == 2
    for attn_map, weights in zip(maps, output.attentions, strict=True):
        np.testing.assert_allclose(attn_map.weights, weights[0], atol=2e-6)


def test_every_word_of_the_answer_is_a_query(run: mmviz.Run) -> None:
    tokens = run.record.streams["language_model"]
    count = len(run.record.made_by["answer"])
    assert all(token.modality is Modality.TEXT and token.location is None for token in tokens[-count:])
    assert run.answer_query == len(tokens) - count - 1, "the last token of the prompt writes the first word"
    assert run.attention(token=len(tokens) - 1).sum() == pytest.approx(1, abs=1e-6)


def test_effects_are_about_the_answer_that_was_written(
    llava_spec: str, llava_backend: LocalBackend, run: mmviz.Run
) -> None:
    effect = run.effect()
    measured = measure_modality_effect(llava_backend, run.request)  # type: ignore[arg-type]
    assert measured is not None and not measured.tells_changes, "all other texts together are more probable"
    whole = np.log(run.record.answers[0].probability)
    without = []
    for changes in ((DropModality(Modality.IMAGE),), (DropModality(Modality.IMAGE), DropModality(Modality.TEXT))):
        assert run.request is not None
        request = Request(llava_spec, run.sample, changes, answer=run.request.answer, maps=False)
        (record,) = llava_backend.run([request])
        assert record.made_by["answer"] == run.record.made_by["answer"]
        without.append(np.log(record.answers[0].probability))
    assert effect["total"] == pytest.approx(whole - without[1], abs=1e-6)
    assert effect["image"] + effect["text"] == pytest.approx(effect["total"], abs=1e-6)


def test_settings_change_the_prompt_and_the_length(
    llava_spec: str, llava_backend: LocalBackend, sample: Sample
) -> None:
    options = (("new_tokens", 3), ("system", "Be brief."))
    (record,) = llava_backend.run([Request(llava_spec, sample, options=options)])
    assert len(record.made_by["answer"]) == 3
    labels = "".join(token.label for token in record.streams["language_model"])
    assert labels.startswith("system: Be brief.")
    for wrong in ((("temperature", 1),), (("new_tokens", "3"),)):
        text = refusal("options-name", llava_backend.run, [Request(llava_spec, sample, options=wrong)])
        assert "new_tokens" in text
    refusal("hf-template", llava_backend.run, [Request(llava_spec, sample, options=(("template", "{{ nothing( }}"),))])
    refusal("options-model", llava_backend.run, [Request("toy", Sample(text="left"), options=options)])


def test_what_a_checkpoint_changes_of_greedy_decoding_is_told(llava_folder: Path, sample: Sample) -> None:
    model: Any = load(f"hf:{llava_folder}", "cpu")
    assert model.prepare(sample).details["decoding"] == {}
    config = model.module.generation_config
    config.repetition_penalty, config.suppress_tokens = 1.3, [5, 6]
    config.do_sample, config.temperature = True, 0.7  # which greedy decoding does without
    assert model.prepare(sample).details["decoding"] == {"repetition_penalty": 1.3, "suppress_tokens": 2}


def test_writing_can_be_stopped_and_tells_how_far_it_is(
    llava_spec: str, llava_backend: LocalBackend, sample: Sample
) -> None:
    from mmviz.backends.layer_progress import report_layers

    steps: list[tuple[int, int]] = []
    model = load(llava_spec, "cpu")
    with report_layers(lambda done, of: steps.append((done, of))):
        written = model.generate(model.prepare(sample), lambda: len(steps) > 4, lambda d, of: steps.append((d, of)))  # type: ignore[attr-defined]
    assert len(written) == 5 and steps[:5] == [(k, 32) for k in range(1, 6)]
    assert llava_backend.run([Request(llava_spec, sample)], stop=lambda: True) == ()


def test_a_request_with_answer_and_settings_crosses_the_wire(llava_spec: str, sample: Sample) -> None:
    request = Request(llava_spec, sample, answer=(5, 6), options=(("new_tokens", 3), ("system", "x")))
    received = wire.request_from_bytes(wire.request_to_bytes(request))
    assert (received.answer, received.options) == (request.answer, request.options)


@pytest.mark.slow
def test_the_command_line_takes_a_folder(
    llava_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "picture.png"
    from PIL import Image

    Image.fromarray(PIXELS).save(picture)
    out = {kind: tmp_path / f"run.{kind}" for kind in ("json", "html", "npz")}
    files = [part for kind, path in out.items() for part in (f"--{kind}", str(path))]
    arguments = ["explain", "--image", str(picture), "--text", QUESTION, "--model", f"hf:{llava_folder}", *files]
    assert main(arguments) == 0
    summary = json.loads(out["json"].read_text())
    assert summary["made_by"]["answer"] and summary["answer"]
    assert "data-mmviz" in out["html"].read_text() and mmviz.Run.load(out["npz"]).record.stacks
    assert main(["doctor", "--model", f"hf:{llava_folder}"]) == 0


@pytest.mark.parametrize(
    ("value", "code"),
    [("hf:", "hf-spec"), ("hf:name", "hf-spec"), ("hf:a/b/c", "hf-spec"), ("hf:./none", "hf-folder"),
     ("hf:a b/c", "hf-spec"), ("hf:/nowhere", "hf-folder"), ("hf:a/b@", "hf-spec")],
)  # fmt: skip
def test_what_names_no_checkpoint_is_refused(value: str, code: str) -> None:
    refusal(code, parse_checkpoint, value)


def test_what_names_a_checkpoint() -> None:
    parsed = parse_checkpoint("hf:OWNER/some-model.v1@refs/pr/3")
    assert (parsed.name, parsed.revision, parsed.folder) == ("OWNER/some-model.v1", "refs/pr/3", None)


def test_the_checkpoints_on_this_disk_are_listed(llava_folder: Path, tmp_path: Path) -> None:
    for name, changes in (
        ("models--a--whole", {}), ("models--b--other", {"model_type": "mamba"}),
        ("models--d--pixtral", {"vision_config": {"model_type": "pixtral"}}),
    ):  # fmt: skip
        snapshot = tmp_path / name / "snapshots" / ("1" * 40)
        shutil.copytree(llava_folder, snapshot)
        (tmp_path / name / "blobs").mkdir()
        (tmp_path / name / "refs").mkdir()
        (tmp_path / name / "refs" / "main").write_text("1" * 40)
        config = json.loads((snapshot / "config.json").read_text())
        (snapshot / "config.json").write_text(json.dumps(config | changes))
    shutil.copytree(tmp_path / "models--a--whole", tmp_path / "models--c--damaged")
    weights = tmp_path / "models--c--damaged" / "snapshots" / ("1" * 40) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    families = {checkpoint.spec: checkpoint.family for checkpoint in disk_checkpoints(tmp_path)}
    assert families == {"hf:a/whole": "LLaVA", "hf:d/pixtral": "Pixtral"}, "as it is called once it is loaded"
    assert disk_checkpoints(tmp_path / "nowhere") == []


def test_a_checkpoint_that_is_not_here_needs_the_network() -> None:
    assert "hf:FOLDER" in refusal("hf-offline", load, "hf:nobody/no-such-model", "cpu")


def broken(llava_folder: Path, tmp_path: Path, name: str) -> Path:
    """Returns a copy of the checkpoint with one fault."""
    copy = tmp_path / name
    shutil.copytree(llava_folder, copy)
    weights = copy / "model.safetensors"
    if name == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif name == "pickle":
        weights.rename(copy / "pytorch_model.bin")
    elif name == "empty":
        weights.unlink()
    elif name == "shard":
        weights.unlink()
        index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
        (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    elif name == "index":
        (copy / "model.safetensors.index.json").write_text('{"weight_map": ["a"]}')
    elif name == "config":
        (copy / "config.json").unlink()
    elif name == "garbled":
        (copy / "config.json").write_text("{")
    elif name == "family":
        config = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps(config | {"model_type": "mamba"}))
    elif name == "tower":
        config = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps(config | {"vision_config": "none"}))
    elif name == "part":
        from safetensors.torch import load_file, save_file

        tensors = load_file(weights)
        tensors.pop(next(key for key in tensors if "mlp" in key))
        save_file(tensors, weights, {"format": "pt"})
    return copy


@pytest.mark.parametrize(
    ("name", "code"),
    [("cut", "hf-damaged"), ("pickle", "hf-pickle"), ("empty", "hf-no-weights"), ("shard", "hf-shard"),
     ("config", "hf-no-config"), ("garbled", "hf-damaged"), ("family", "hf-family"), ("part", "hf-incomplete"),
     ("tower", "hf-load"), ("index", "hf-damaged")],
)  # fmt: skip
def test_a_folder_that_is_no_whole_checkpoint_is_refused(
    llava_folder: Path, tmp_path: Path, name: str, code: str
) -> None:
    text = refusal(code, load, f"hf:{broken(llava_folder, tmp_path, name)}", "cpu")
    assert name in text and "Traceback" not in text


@pytest.mark.skipif(bool(find_spec("torchvision")), reason="torchvision is installed, so nothing is missing")
@pytest.mark.parametrize("processor", ["Phi4MultimodalProcessor", "Qwen2VLProcessor"])
def test_a_processor_without_torchvision_is_told_with_the_line_to_type(
    llava_folder: Path, tmp_path: Path, processor: str
) -> None:
    """One has no image processor without it, the other no video processor: transformers says so by two errors."""
    folder = tmp_path / "other"
    shutil.copytree(llava_folder, folder)
    pictures = {"image_processor_type": processor.replace("Processor", "ImageProcessor")}
    sounds = {"feature_extractor_type": "Phi4MultimodalFeatureExtractor"}
    videos = {"video_processor_type": "Qwen2VLVideoProcessor"}
    config = {
        "processor_class": processor, "image_processor": pictures, "audio_processor": sounds, "video_processor": videos,
    }  # fmt: skip
    (folder / "processor_config.json").write_text(json.dumps(config))
    assert "pip install torchvision" in refusal("hf-package", load, f"hf:{folder}", "cpu")


def test_without_transformers_the_extra_is_named(llava_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_checkpoint, "find_spec", lambda name: None)
    assert "pip install 'mmviz[hf]'" in refusal("hf-extra", load, f"hf:{llava_folder}", "cpu")


def test_code_of_a_checkpoint_is_never_run(llava_folder: Path, tmp_path: Path) -> None:
    folder, mark = tmp_path / "with code", tmp_path / "mark"
    shutil.copytree(llava_folder, folder)
    (folder / "theirs.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).write_text('ran')\n")
    for file, names in (
        ("config.json", ("AutoConfig", "AutoModelForImageTextToText")), ("processor_config.json", ("AutoProcessor",)),
        ("tokenizer_config.json", ("AutoTokenizer",)),
    ):  # fmt: skip
        settings = json.loads((folder / file).read_text())
        codes = {name: "theirs.Theirs" for name in names}
        codes |= {"AutoTokenizer": ["theirs.Theirs", "theirs.Theirs"]} if "AutoTokenizer" in names else {}
        (folder / file).write_text(json.dumps(settings | {"auto_map": codes}))
    assert load(f"hf:{folder}", "cpu").card.details["family"] == "LLaVA" and not mark.exists()


def test_the_type_of_numbers_and_the_memory(llava_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = read_checkpoint(llava_folder, "tiny")
    module = load(f"hf:{llava_folder}", "cpu").module
    assert files.parameters == sum(parameter.numel() for parameter in module.parameters())
    assert files.disk_bytes == pytest.approx(4 * files.parameters, rel=0.1)
    assert memory_need.choose_dtype(files, "cpu", "tiny") is torch.float32
    half = replace(files, dtype="BF16")
    monkeypatch.setattr(memory_need, "free_memory", lambda device: int(files.parameters * 2 * 1.3))
    assert memory_need.choose_dtype(half, "cpu", "tiny") is torch.bfloat16, "float32 does not fit"
    monkeypatch.setattr(memory_need, "free_memory", lambda device: 1000)
    assert "tiny" in refusal("hf-memory", memory_need.choose_dtype, half, "cpu", "tiny")


def test_a_large_model_runs_without_gradients(
    llava_spec: str, llava_backend: LocalBackend, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record,) = llava_backend.run([Request(llava_spec, sample, relevance=True)])
    assert record.relevance is not None and np.abs(record.relevance).max() > 0
    monkeypatch.setattr("mmviz.backends.local.gradients.MAX_PARAMETERS", 1000)
    (record,) = llava_backend.run([Request(llava_spec, sample, relevance=True)])
    assert record.relevance is None and "gradients-large" in [notice.code for notice in record.notices]


def test_a_prompt_beyond_the_length_of_the_model_is_refused(llava_spec: str, llava_backend: LocalBackend) -> None:
    text = refusal("hf-long", llava_backend.run, [Request(llava_spec, make_sample(text="word " * 900))])
    assert "4096" in text


@pytest.mark.slow
def test_what_a_model_needs_and_cannot_read_is_said(tmp_path: Path) -> None:
    path = tiny_checkpoints.save_checkpoint("whisper", tmp_path)
    model = load(f"hf:{path}", "cpu")
    backend = LocalBackend("cpu", {"w": model})
    refusal("hf-needs", backend.run, [Request("w", Sample(text="hi"))])
    wave = (np.sin(np.arange(16_000) / 9) / 2).astype(np.float32)
    (record,) = backend.run([Request("w", make_sample(text="hi", audio=(wave, 16_000)))])
    assert "hf-unread" in [notice.code for notice in record.notices]
    assert record.default_stack.endswith("encoder_attn"), "the words meet the sound there"
