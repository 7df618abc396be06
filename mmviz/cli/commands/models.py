"""``mmviz models``: the models of the catalogue and of the lesson, checkpoints of Hugging Face, and presets."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mmviz.i18n.command_help import help_text
from mmviz.i18n.errors_and_notices import sentence

if TYPE_CHECKING:
    from mmviz.models.huggingface.disk_checkpoints import DiskCheckpoint
    from mmviz.models.huggingface.presets import Preset


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser("models", help=help_text("models"), description=help_text("models-description"))
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from mmviz.backends.local import LocalBackend

    backend = LocalBackend()
    for card in backend.models():
        print(f"{card.id:8} {card.description} (weights {card.weights_digest[:12]})")
        if card.details.get("licences"):
            print(f"  {card.details['licences']}")
    print(f"conv-attention {sentence('models-lesson')}")
    from mmviz.models.huggingface.checkpoint_files import gigabytes
    from mmviz.models.huggingface.disk_checkpoints import disk_checkpoints

    on_disk = disk_checkpoints()
    if on_disk:
        print(f"\n{sentence('models-disk')}")
    for checkpoint in on_disk:
        millions, size = checkpoint.parameters / 1e6, gigabytes(checkpoint.disk_bytes)
        facts = {"spec": checkpoint.spec, "family": checkpoint.family, "millions": millions, "size": size}
        print(sentence("models-checkpoint", **facts))
    print("\n" + "\n".join(preset_lines(on_disk, backend.device)))
    return 0


def preset_lines(on_disk: Sequence[DiskCheckpoint], device: str) -> list[str]:
    """Returns the presets as lines of text, with whether each fits into the memory of a device."""
    from mmviz.models.huggingface.presets import PRESETS

    specs = {checkpoint.spec for checkpoint in on_disk}
    lines = [sentence("models-presets")]
    for preset in PRESETS:
        full_spec = f"hf:{preset.repository}"
        lines.append(f"hf:{preset.name} = {full_spec}")
        lines += [f"  {text}" for text in _preset_texts(preset, full_spec in specs, device)]
    return lines


def _preset_texts(preset: Preset, is_on_disk: bool, device: str) -> list[str]:
    from mmviz.models.huggingface.checkpoint_files import gigabytes
    from mmviz.models.huggingface.memory_need import memory_need

    texts = [
        sentence(f"preset-{preset.name}"),
        sentence(
            "preset-on-disk" if is_on_disk else "preset-size", family=preset.family.title,
            millions=preset.parameters / 1e6, size=gigabytes(preset.disk_bytes), licence=preset.licence,
        ),
    ]  # fmt: skip
    if preset.is_gated and not is_on_disk:
        texts.append(sentence("preset-gated"))
    need = memory_need(preset, device)
    texts.append(
        sentence("preset-memory", stored=gigabytes(need.stored), dtype=need.stored_dtype, full=gigabytes(need.full))
    )
    if need.free is not None:
        known = {"free": gigabytes(need.free), "device": device}
        texts.append(
            sentence("preset-fits", memory=gigabytes(need.needed), dtype=need.dtype, **known)
            if need.dtype else sentence("preset-large", **known)
        )  # fmt: skip
    return texts
