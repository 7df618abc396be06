"""Loads a checkpoint of Hugging Face: which class, which type of numbers, on which device, and what can be missing."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmviz.models.huggingface.chat_model import ChatModel
from mmviz.models.huggingface.checkpoint_files import Report, fetch_checkpoint, gigabytes, read_checkpoint
from mmviz.models.huggingface.checkpoint_spec import parse_checkpoint
from mmviz.models.huggingface.encoder_decoder_model import PromptEncoderModel
from mmviz.models.huggingface.encoder_models import DualEncoderModel, EncoderModel
from mmviz.models.huggingface.families import FAMILIES, Family, Task, family_of
from mmviz.models.huggingface.memory_need import Placement, bytes_needed, choose_placement, dtype_name
from mmviz.models.huggingface.progress_bars import watched_weights
from mmviz.models.huggingface.speech_model import SpeechModel
from mmviz.models.loading_watch import check_stop
from mmviz.models.protocol import Model
from mmviz.models.weight_devices import input_device, weights_digest
from mmviz.types import Card, MmvizError

_ADAPTERS: dict[Task, Callable[[Any, Any, Family, Card, str], Model]] = {
    "chat": ChatModel, "speech": SpeechModel, "encoded": PromptEncoderModel, "matching": DualEncoderModel,
    "labels": EncoderModel,
}  # fmt: skip
_PACKAGES = {"torchvision": "torchvision", "timm": "timm", "sentencepiece": "sentencepiece", "librosa": "librosa",
             "torchaudio": "torchaudio", "num2words": "num2words", "PIL": "pillow", "tiktoken": "tiktoken",
             "mistral-common": "mistral-common"}  # fmt: skip


def load_checkpoint(spec: str, device: str, report: Report = lambda code, parameters: None) -> Model:
    """Returns the model that ``spec`` (``hf:OWNER/NAME[@REVISION]`` or ``hf:FOLDER``) names, on ``device``.

    Weights are read from safetensors alone, and no code of a checkpoint is run. ``report`` is told what goes on, see
    `fetch_checkpoint`; ``hf-loading`` comes with the memory that is needed.

    The type of numbers: on a GPU that of the checkpoint; on a CPU float32, which has exact parity checks, or that of
    the checkpoint where only that fits into memory. A model that is too large for one GPU is spread by accelerate, see
    `mmviz.models.huggingface.memory_need.choose_placement`.

    Raises ``MmvizError``: as `parse_checkpoint`, `fetch_checkpoint` and `read_checkpoint` do; ``hf-extra`` without
    transformers, ``hf-family`` for a family that is not supported, ``hf-memory`` and ``hf-spread`` for a model that is
    too large, ``hf-package`` for a package that its processor needs, ``hf-adapter`` for the one that loads adapters,
    ``hf-incomplete`` where weights are missing, ``hf-load``.
    """
    checkpoint = parse_checkpoint(spec)
    if find_spec("transformers") is None:
        raise MmvizError("hf-extra")
    files = read_checkpoint(fetch_checkpoint(checkpoint, report), checkpoint.name)
    family = family_of(files.config)
    if family is None:
        known = ", ".join(sorted({entry.title for entry in FAMILIES.values()}))
        raise MmvizError("hf-family", name=checkpoint.name, kind=files.config.get("model_type"), known=known)
    placement = choose_placement(files, device, checkpoint.name)
    dtype, needed = placement.dtype, bytes_needed(files, placement.dtype)
    report("hf-loading", {"name": checkpoint.name, "size": gigabytes(files.disk_bytes), "memory": gigabytes(needed),
                          "dtype": dtype_name(dtype), "device": placement.device})  # fmt: skip
    if files.config.get("has_lora_adapter") and find_spec("peft") is None:
        # transformers would leave the adapter out with a warning, and the model could not read sounds
        raise MmvizError("hf-adapter", name=checkpoint.name)
    module, processor = _loaded(files.folder, family, placement, checkpoint.name)
    if placement.device_map is None:
        module.to(device)
    else:
        device = str(input_device(module))
    details = {
        "family": family.title, "parameters": files.parameters, "dtype": dtype_name(dtype),
        "disk_bytes": files.disk_bytes,
    }  # fmt: skip
    about = f"{family.title}, {files.parameters / 1e6:,.0f} million weights, {details['dtype']}."
    card = Card(spec, checkpoint.name, about, True, ("", ""), weights_digest(module), details)
    return _ADAPTERS[family.task](module, processor, family, card, device)


def _loaded(folder: Path, family: Family, placement: Placement, name: str) -> tuple[Any, Any]:
    """Returns the module, in eval mode, and the processor."""
    import transformers

    options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
    auto: Any = transformers.AutoProcessor
    processor = _tried(lambda: auto.from_pretrained(folder, **options), name)
    model_class = getattr(transformers, family.model_class)
    with watched_weights():
        module, info = _tried(
            lambda: model_class.from_pretrained(
                folder,
                dtype=placement.dtype,
                device_map=placement.device_map,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            ),
            name,
        )
    check_stop()
    if family.processor_calls is not None:
        processor = family.processor_calls(processor)
    missing = sorted(info["missing_keys"])
    if missing or info.get("mismatched_keys"):
        keys = missing or [str(entry[0]) for entry in info["mismatched_keys"]]
        raise MmvizError("hf-incomplete", name=name, count=len(keys), keys=", ".join(keys[:3]))
    return module.eval(), processor


def _tried(load: Callable[[], Any], name: str) -> Any:
    """Returns what ``load`` does. Raises ``MmvizError`` (``hf-package``, ``hf-load``) where it fails."""
    try:
        return load()
    except MmvizError:
        raise
    except Exception as problem:  # transformers raises what it likes
        text = str(problem).strip()
        package = _missing_package(text, isinstance(problem, ImportError))
        if package:
            raise MmvizError("hf-package", name=name, package=package) from problem
        why = f"{type(problem).__name__}: {text.splitlines()[0] if text else ''}"
        raise MmvizError("hf-load", name=name, why=why[:200]) from problem


def _missing_package(text: str, is_import: bool) -> str:
    """Returns the package that the message of an error asks for; "" for none.

    ``is_import``: whether something could not be imported. Of other errors, only packages that are not installed are
    named, in the list of classes that a processor may have.
    """
    for module, package in _PACKAGES.items():
        if module.lower() in text.lower() and (is_import or find_spec(module.replace("-", "_")) is None):
            return package
    return ""
