"""The checkpoints to begin with: their figures agree with each other and with the rule that is checked on loading."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from mmviz.cli import main
from mmviz.cli.commands.models import preset_lines
from mmviz.i18n.errors_and_notices import sentence
from mmviz.models.huggingface import memory_need as memory
from mmviz.models.huggingface.checkpoint_files import read_checkpoint
from mmviz.models.huggingface.checkpoint_spec import parse_checkpoint
from mmviz.models.huggingface.disk_checkpoints import DiskCheckpoint
from mmviz.models.huggingface.families import FAMILIES
from mmviz.models.huggingface.presets import PRESETS, Preset, preset_of
from mmviz.types import Card, MmvizError

ITEM_BYTES = {"F32": 4, "BF16": 2}
SMOL = preset_of("smolvlm-256m")


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_the_sizes_of_a_preset_agree(preset: Preset) -> None:
    loaded = preset.parameters * ITEM_BYTES[preset.dtype]
    if preset.family.part:  # the files hold more than what is loaded
        assert loaded < 0.9 * preset.disk_bytes
    else:
        assert loaded == pytest.approx(preset.disk_bytes, rel=2e-3), "the file is weights and a header"
    assert sentence(f"preset-{preset.name}") and preset.licence and preset.repository.count("/") == 1


def test_presets_have_names_of_their_own_and_go_from_small_to_large() -> None:
    assert len({preset.name for preset in PRESETS}) == len(PRESETS) >= 8
    assert [preset.disk_bytes for preset in PRESETS] == sorted(preset.disk_bytes for preset in PRESETS)
    assert {"smolvlm-256m", "qwen2.5-omni-3b"} <= {preset.name for preset in PRESETS}
    assert ("gemma4" in FAMILIES) == (preset_of("gemma-4-e2b") is not None)


def test_a_short_name_stands_for_its_repository() -> None:
    for name in ("hf:smolvlm-256m", "hf:SmolVLM-256M"):
        assert parse_checkpoint(name).name == "HuggingFaceTB/SmolVLM-256M-Instruct"
    with pytest.raises(MmvizError) as refused:
        parse_checkpoint("hf:smolvlm-257m")
    assert refused.value.code == "hf-spec" and "smolvlm-256m" in str(refused.value)


def test_a_folder_comes_before_a_short_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clip-base").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_checkpoint("hf:clip-base").folder == Path("clip-base")


def test_the_memory_of_a_preset_is_that_of_the_check_on_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SMOL is not None
    half, full = int(256_484_928 * 2 * 1.2), int(256_484_928 * 4 * 1.2)
    for free, dtype, needed in ((full, "float32", full), (full - 1, "bfloat16", half), (half - 1, "", 0)):
        monkeypatch.setattr(memory, "free_memory", lambda device, free=free: free)
        need = memory.memory_need(SMOL, "cpu")
        assert (need.stored, need.full, need.free, need.dtype, need.needed) == (half, full, free, dtype, needed)
        if dtype:
            assert memory.choose_dtype(SMOL, "cpu", "smol") is getattr(torch, dtype)
        else:
            with pytest.raises(MmvizError):
                memory.choose_dtype(SMOL, "cpu", "smol")
    monkeypatch.setattr(memory, "free_memory", lambda device: full)
    assert memory.memory_need(SMOL, "cuda:0").dtype == "bfloat16", "a GPU keeps the type of the checkpoint"


def test_the_command_tells_what_each_costs_and_which_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SMOL is not None
    monkeypatch.setattr(memory, "free_memory", lambda device: 3_000_000_000)
    lines = preset_lines([DiskCheckpoint(f"hf:{SMOL.repository}", "Idefics 3", 1, 1)], "cpu")
    text = "\n".join(lines)
    for preset in PRESETS:
        start = lines.index(f"hf:{preset.name} = hf:{preset.repository}")
        about = " ".join(lines[start + 1 : start + 6])
        assert preset.licence in about and ("on this disk" in about) == (preset == SMOL)
    assert "0.6 GB as bfloat16 on a GPU, 1.2 GB as float32 on a CPU" in text
    assert "Here: 1.2 GB as float32 on cpu, of 3.0 GB that are free." in text
    assert "Here: too large, since 3.0 GB are free on cpu." in text


def test_only_the_part_that_is_loaded_counts(tmp_path: Path) -> None:
    tensors: dict[str, Any] = {
        "thinker.a": torch.zeros(5, 3, dtype=torch.bfloat16), "talker.b": torch.zeros(100, 10),
    }  # fmt: skip
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_5_omni"}))
    files = read_checkpoint(tmp_path, "omni")
    assert (files.parameters, files.dtype) == (15, "BF16") and files.disk_bytes > 4000
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llava"}))
    whole = read_checkpoint(tmp_path, "other")
    assert (whole.parameters, whole.dtype) == (1015, "F32")
    assert memory.bytes_needed(replace(whole, parameters=1000), torch.float32) == 4800


def test_a_model_too_large_for_a_gpu_is_spread_where_accelerate_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SMOL is not None
    half = int(256_484_928 * 2 * 1.2)
    free = {"cuda:0": half, "cuda:1": half // 2, "cpu": half // 2}
    monkeypatch.setattr(memory, "free_memory", lambda device: free["cuda:0" if device == "cuda" else device])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert memory.choose_placement(SMOL, "cuda", "smol") == memory.Placement(torch.bfloat16, "cuda", None)
    free["cuda:0"] = half // 2
    monkeypatch.setattr(memory, "find_spec", lambda name: None)
    with pytest.raises(MmvizError) as refused:
        memory.choose_placement(SMOL, "cuda", "smol")
    assert refused.value.code == "hf-spread" and "pip install accelerate" in str(refused.value)
    monkeypatch.setattr(memory, "find_spec", lambda name: object())
    spread = memory.choose_placement(SMOL, "cuda", "smol")
    assert (spread.dtype, spread.device, spread.device_map) == (torch.bfloat16, "cuda:0 + cuda:1 + cpu", "auto")
    free["cpu"] = free["cuda:1"] = half // 8
    for device in ("cuda", "cpu"):
        with pytest.raises(MmvizError) as refused:
            memory.choose_placement(SMOL, device, "smol")
        assert refused.value.code == "hf-memory", "nothing helps, or a CPU alone"


def test_a_spread_model_answers_like_one_on_a_single_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the CPU is the first device, and a folder on the disk the second."""
    pytest.importorskip("accelerate", reason="accelerate, which spreads models, is not installed")
    import tiny_checkpoints
    import transformers

    from mmviz import Sample
    from mmviz.backends.local import LocalBackend
    from mmviz.models.custom_model_factory import load
    from mmviz.models.huggingface import load_checkpoint as loading
    from mmviz.types import Request

    spec = f"hf:{tiny_checkpoints.save_checkpoint('llava', tmp_path)}"
    whole = load(spec, "cpu")
    from_pretrained = transformers.LlavaForConditionalGeneration.from_pretrained
    room = {"max_memory": {"cpu": "120KB"}, "offload_folder": str(tmp_path / "offloaded")}
    monkeypatch.setattr(
        transformers.LlavaForConditionalGeneration, "from_pretrained",
        lambda *given, **options: from_pretrained(*given, **options, **room),
    )  # fmt: skip
    placement = memory.Placement(torch.float32, "cpu + disk", "auto")
    monkeypatch.setattr(loading, "choose_placement", lambda *_: placement)
    spread = load(spec, "cpu")
    assert {*spread.module.hf_device_map.values()} == {"cpu", "disk"}  # type: ignore[union-attr, operator]
    backend = LocalBackend("cpu", {"whole": whole, "spread": spread})
    first, second = backend.run([Request(name, Sample(text="hello")) for name in ("whole", "spread")])
    assert first.made_by["answer"] == second.made_by["answer"] and len(first.maps) == len(second.maps) == 2


def test_the_command_lists_the_models_with_their_licences_and_that_of_the_lesson(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = Card("trio", "trio", "A model.", True, ("yes",), "d1935cafe", {"licences": "Encoders: Apache-2.0."})
    monkeypatch.setattr("mmviz.backends.local.LocalBackend.models", lambda self: (card,))
    monkeypatch.setattr("mmviz.models.huggingface.disk_checkpoints.disk_checkpoints", lambda: [])
    assert main(["models"]) == 0
    first, licences, lesson = capsys.readouterr().out.splitlines()[:3]
    assert first.startswith("trio") and licences == "  Encoders: Apache-2.0."
    assert lesson.startswith("conv-attention ") and "mmviz train --model conv-attention" in lesson
