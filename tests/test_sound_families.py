"""Families that read sounds: where their tokens lie in time and frequency, what they are asked, and what they need."""

from __future__ import annotations

import json
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny_sound_checkpoints  # first: it sets what transformers reads
import torch
from generated_scores import probabilities_are_those_of_generate
from numpy.typing import NDArray
from several_input_checks import several_sounds_at_their_moments
from test_huggingface_places import entering, streams_and_blocks, streams_of

from mmviz import Modality, Run, Sample, Seconds, Token, make_sample
from mmviz.backends.local import LocalBackend
from mmviz.capture.pooling_windows import interpolation_windows
from mmviz.explain import run_sample
from mmviz.figures.token_labels import full_names
from mmviz.inputs.baseline import replace_input
from mmviz.models.custom_model_factory import load
from mmviz.models.huggingface.load_checkpoint import load_checkpoint
from mmviz.report.viewer_payload_header import stream_header
from mmviz.types import MmvizError, PooledMap, ReplaceInput, SpectrogramPatch

pytestmark = pytest.mark.slow

RATE, QUESTION = 16_000, "What is this?"
NAMES = ("moonshine", "clap", "ast", "voxtral", "granite_speech", "qwen3_omni")
BLUR = {"clap": 0.3, "qwen3_omni": 0.12}
"""Seconds by which a family's frames reach beyond their place: its window, and what it interpolates or joins."""


@pytest.fixture(scope="module")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("sounds")

    @cache
    def model(name: str) -> Any:
        if name in tiny_sound_checkpoints.UNSAVED:
            return tiny_sound_checkpoints.unsaved_model(name)
        return load(f"hf:{tiny_sound_checkpoints.save_sound_checkpoint(name, folder)}", "cpu")

    return model


def sample_of(model: Any, wave: NDArray[np.float32]) -> Sample:
    return make_sample(text=QUESTION if model.family.reads_text else None, audio=(wave, RATE))


def noise(seconds: float = 2.0) -> NDArray[np.float32]:
    """Returns soft noise, with the loudest part near the beginning, to which some extractors compare all else."""
    wave = (np.random.default_rng(0).standard_normal(round(seconds * RATE)) / 50).astype(np.float32)
    wave[1600:2400] += np.sin(np.arange(800) / 5).astype(np.float32) / 2
    return wave


def with_beep(wave: NDArray[np.float32], start: float, seconds: float, hertz: float) -> NDArray[np.float32]:
    count, first = round(seconds * RATE), round(start * RATE)
    beep = np.hanning(count) * np.sin(2 * np.pi * hertz * np.arange(count) / RATE) / 3
    changed = wave.copy()
    changed[first : first + count] += beep.astype(np.float32)
    return changed


def sound_stream(streams: dict[str, list[Token]]) -> str:
    return next(name for name, tokens in streams.items() if any(isinstance(t.location, Seconds) for t in tokens))


@pytest.mark.parametrize("name", NAMES)
def test_a_beep_changes_only_the_tokens_whose_place_it_meets(
    model_of: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, wave = model_of(name), noise()
    sample = sample_of(model, wave)
    streams, blocks = streams_and_blocks(model, sample)
    stream = sound_stream(streams)
    tokens, block = streams[stream], blocks[stream]
    if name == "moonshine":  # its group norm compares each moment with the whole sound
        monkeypatch.setattr(model.module.model.encoder.groupnorm, "forward", lambda states: states)
    before = entering(model, sample, block)
    assert len(before) == len(tokens)
    margin, length = BLUR.get(name, 0.06), 0.03 if name not in ("clap", "ast") else 0.1
    for start, hertz in ((0.42, 500), (1.3, 6000), (1.72, 300)):
        beep = with_beep(wave, start, length, hertz)
        change = np.abs(entering(model, sample_of(model, beep), block) - before).max(1)
        largest = float(change.max())
        for token, amount in zip(tokens, change, strict=True):
            place = token.location
            is_near = (
                isinstance(place, Seconds) and place.start - margin < start + length and place.end + margin > start
            )
            assert amount < 1e-3 * largest or is_near or (token.location is None and amount < 0.2 * largest), (
                token,
                amount,
            )
        strongest = tokens[int(change.argmax())].location
        assert isinstance(strongest, Seconds)
        middle = start + length / 2
        assert strongest.start - 0.02 <= middle < strongest.end + 0.02, (strongest, middle)
        if isinstance(strongest, SpectrogramPatch):
            assert strongest.low_hertz <= hertz < strongest.high_hertz


@pytest.mark.parametrize("name", ["clap", "ast"])
def test_patches_of_a_spectrogram_tile_time_and_frequency(model_of: Any, name: str) -> None:
    model = model_of(name)
    streams = streams_of(model, sample_of(model, noise()))
    patches = [t.location for t in streams[sound_stream(streams)] if isinstance(t.location, SpectrogramPatch)]
    bands = sorted({(patch.low_hertz, patch.high_hertz) for patch in patches})
    assert len(bands) == 2 and bands[0][1] == pytest.approx(bands[1][0])
    assert bands[1][1] == pytest.approx(14_000 if name == "clap" else 8_000, rel=0.01)
    low = [patch for patch in patches if patch.low_hertz == bands[0][0]]
    assert [(p.start, p.end) for p in low] == [(p.start, p.end) for p in patches if p not in low]
    steps = [
        (a, b) for a, b in pairwise(patches) if a.low_hertz == b.low_hertz and a.start < b.start and a.end < b.end
    ]  # but those where the sound is repeated
    assert len(steps) > len(patches) / 2 and all(a.end == pytest.approx(b.start, abs=1e-4) for a, b in steps)
    assert patches[0].start == 0 and max(patch.end for patch in patches) == pytest.approx(2, abs=0.11)


def test_patches_of_a_spectrogram_are_saved_and_shown_with_their_band(model_of: Any, tmp_path: Path) -> None:
    model = model_of("ast")
    run = run_sample(sample_of(model, noise(1.0)), model="m", backend=LocalBackend("cpu", {"m": model}))
    patches = [token for token in run.tokens if isinstance(token.location, SpectrogramPatch)]
    assert patches and full_names(run.tokens)[run.tokens.index(patches[0])].endswith(" Hz")
    run.save(tmp_path / "run.npz")
    assert Run.load(tmp_path / "run.npz").tokens == run.tokens
    place = patches[0].location
    assert place is not None and list(vars(place).values()) in stream_header(run.tokens)["location"]
    assert len(vars(place)) == 4 and "data-mmviz" in run.to_html()


@pytest.mark.parametrize("name", NAMES)
def test_the_record_is_that_of_an_eager_pass(model_of: Any, name: str) -> None:
    model = model_of(name)
    run: Run = run_sample(
        sample_of(model, noise(1.0)), model="m", backend=LocalBackend("cpu", {"m": model}),
        options={"new_tokens": 4} if hasattr(model, "generate") else None,
    )  # fmt: skip
    assert run.request is not None and run.record.made_by["parity"] < 2e-6
    implementation = model.module.config._attn_implementation
    model.module.set_attn_implementation("eager")
    try:
        (eager,) = LocalBackend("cpu", {"m": model}).run([run.request])
    finally:
        model.module.set_attn_implementation(implementation)
    assert [m.name for m in run.record.maps] == [m.name for m in eager.maps] and eager.maps
    for fused, plain in zip(run.record.maps, eager.maps, strict=True):
        if isinstance(fused, PooledMap):
            np.testing.assert_allclose(fused.overview, plain.overview, atol=2e-6)  # type: ignore[union-attr]
        else:
            np.testing.assert_allclose(fused.weights, plain.weights, atol=2e-6)


@pytest.mark.parametrize("name", ["moonshine", "voxtral", "granite_speech", "qwen3_omni"])
def test_an_answer_is_as_probable_as_when_it_was_written(model_of: Any, name: str) -> None:
    model = model_of(name)
    probabilities_are_those_of_generate(model, sample_of(model, noise(1.0)))


def test_granite_has_its_adapter_on_for_a_sound_alone_whatever_was_asked_before(model_of: Any) -> None:
    """``generate`` of transformers switches it by the prompt that it is given, and leaves it so."""
    peft = pytest.importorskip("peft")
    model = tiny_sound_checkpoints.unsaved_model("granite_speech")
    torch.manual_seed(0)
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model.module.add_adapter(config)
    with_sound, read = sample_of(model, noise(1.0)), Sample(text=QUESTION)
    expected = {}
    for sample in (with_sound, read):
        probabilities_are_those_of_generate(model, sample)
        expected[sample] = log_probabilities(model, sample)
    model.module.disable_adapters()
    bare = model_of("granite_speech")
    assert log_probabilities(model, with_sound) == expected[with_sound] != log_probabilities(bare, with_sound)
    model.module.enable_adapters()
    assert log_probabilities(model, read) == expected[read] == log_probabilities(bare, read)


def log_probabilities(model: Any, sample: Sample) -> list[float]:
    answered_model = model.answering((60, 70))
    with torch.no_grad():
        values: list[float] = answered_model.token_log_probabilities(answered_model.prepare(sample).tensors)[0].tolist()
    return values


def test_a_prompt_with_a_sound_is_that_of_mistral(model_of: Any) -> None:
    model = model_of("voxtral")
    tokens = streams_of(model, sample_of(model, noise()))["language_model"]
    labels = [token.label for token in tokens]
    assert labels[:3] == ["<s>", "[INST]", "[BEGIN_AUDIO]"] and labels[3 + 375 :][: len(QUESTION)] == list(QUESTION)
    assert labels[3 + 375 + len(QUESTION)] == "[/INST]"
    moments = [token.location for token in tokens if isinstance(token.location, Seconds)]
    starts = [moment.start for moment in moments]  # a token is four frames of 20 ms, each centred 5 ms after its start
    np.testing.assert_allclose(starts, [0, *(np.arange(1, 26) * 0.08 - 0.005)], atol=1e-3)
    assert moments[-1].end == pytest.approx(2)
    told = model.with_options({"system": "Be brief."})
    assert (
        told.prepare(sample_of(model, noise()))
        .details["prompt"]
        .startswith("<s>[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST][AUDIO]")
    )
    silent = model.answering((60,)).prepare(make_sample(text=QUESTION))
    assert "input_features" not in silent.tensors.inputs


def test_a_sound_of_several_pieces_goes_on_where_the_last_ended(model_of: Any) -> None:
    model = model_of("voxtral")
    tokens = streams_of(model, sample_of(model, noise(40.0)))["language_model"]
    moments = [token.location for token in tokens if isinstance(token.location, Seconds)]
    assert len(moments) == 501 and moments[-1].end == pytest.approx(40)
    assert all(a.end == pytest.approx(b.start, abs=1e-3) for a, b in pairwise(moments))


def test_a_sound_beyond_what_a_model_reads_is_cut_and_said_so(model_of: Any) -> None:
    for name, seconds, read in (("ast", 3.0, "2.0 s"), ("clap", 12.0, "10.0 s"), ("clap", 10.0, "")):
        model = model_of(name)
        prepared = model.prepare(sample_of(model, noise(seconds)))
        notices = [str(notice) for notice in prepared.notices if notice.code == "hf-sound-cut"]
        assert len(notices) == bool(read) and all(read in notice for notice in notices), name


def test_learned_queries_stand_for_the_sound_without_a_place(model_of: Any) -> None:
    model = model_of("granite_speech")
    tokens = streams_of(model, sample_of(model, noise(1.8)))["language_model"]
    sounds = [token for token in tokens if token.modality is Modality.AUDIO]
    assert len(sounds) == 18 and all(token.location is None for token in sounds), "three for each 15 frames of 20 ms"
    words = [token for token in tokens if token.location]
    assert "".join(token.label for token in words) == QUESTION


def test_what_a_family_needs_is_said_with_the_line_to_type(tmp_path: Path) -> None:
    model, processor = tiny_sound_checkpoints.granite_speech()
    model.save_pretrained(tmp_path)
    processor.tokenizer.save_pretrained(tmp_path)
    config = {"feature_extractor_type": "GraniteSpeechFeatureExtractor", "processor_class": "GraniteSpeechProcessor"}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    for has_adapter, code, package in ((False, "hf-package", "torchaudio"), (True, "hf-adapter", "peft")):
        settings = json.loads((tmp_path / "config.json").read_text()) | {"has_lora_adapter": has_adapter}
        (tmp_path / "config.json").write_text(json.dumps(settings))
        with pytest.raises(MmvizError) as refused:
            load_checkpoint(f"hf:{tmp_path}", "cpu")
        assert refused.value.code == code and f"pip install {package}" in str(refused.value)


def test_a_patch_of_the_spectrogram_is_removed_in_its_band_alone() -> None:
    times = np.arange(2 * RATE) / RATE
    low, high = (np.sin(2 * np.pi * hertz * times) / 4 for hertz in (500, 3000))
    sample = make_sample(audio=((low + high).astype(np.float32), RATE))
    change = ReplaceInput(Modality.AUDIO, "mean", (SpectrogramPatch(0.5, 1.0, 2000, 4000),))
    changed = replace_input(sample, change).audio
    assert changed is not None
    inside = (times >= 0.5) & (times < 1.0)
    np.testing.assert_allclose(changed.wave[inside], low[inside], atol=1e-3)
    np.testing.assert_allclose(changed.wave[~inside], (low + high)[~inside], atol=1e-4)


@pytest.mark.parametrize("mode", ["nearest", "linear", "bilinear", "bicubic"])
@pytest.mark.parametrize("is_aligned", [False, True])
@pytest.mark.parametrize(("size", "results"), [(5, 8), (8, 5), (6, 6), (4, 7)])
def test_places_that_are_interpolated_are_those_that_change_the_result(
    mode: str, is_aligned: bool, size: int, results: int
) -> None:
    axes = 1 if mode == "linear" else 2
    options: dict[str, Any] = {"mode": mode} | ({} if mode == "nearest" else {"align_corners": is_aligned})
    inputs = torch.zeros(size, 1, *([size] * axes), dtype=torch.float64)
    for place in range(size):
        inputs[place, 0, place] = 1  # one row, or one place of a line
    made_of = torch.nn.functional.interpolate(inputs, size=(results,) * axes, **options).abs() > 1e-9
    step = SimpleNamespace(func=torch.nn.functional.interpolate, args=(inputs, (results,) * axes), kwargs=options,
                           shape=(size, 1, *([results] * axes)))  # fmt: skip
    windows = interpolation_windows(step)  # type: ignore[arg-type]
    assert windows is not None and len(windows) == axes
    for result in range(results):
        changing = {place for place in range(size) if made_of[place, 0, result].any()}
        assert changing == {place for place in windows[0][result].tolist() if place >= 0}, (result, changing)


@pytest.mark.parametrize("name", ["voxtral", "qwen3_omni"])
def test_moments_of_several_sounds_lie_in_their_own(model_of: Any, name: str) -> None:
    several_sounds_at_their_moments(SimpleNamespace(name=name, model=model_of(name)))  # type: ignore[arg-type]
