"""Speech that a model writes down: trained Whisper on real speech, and the tokens that a decoder begins with."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints  # first: it sets what transformers reads
import torch
import whisper_tiny_en
from scipy.stats import spearmanr

from mmviz import Modality, Run, Seconds, Token, make_sample
from mmviz.analysis.word_moments import rising_share, strongest_moments
from mmviz.backends.local import LocalBackend
from mmviz.explain import run_sample
from mmviz.models.custom_model_factory import load
from mmviz.models.huggingface.speech_model import SpeechModel
from mmviz.training.fit.ctranslate2_tensors import read_ctranslate2
from mmviz.types import MmvizError, Request, Rows

pytestmark = pytest.mark.slow

RATE = 16_000
NOISE = (np.random.default_rng(0).standard_normal(RATE) / 9).astype(np.float32)


@pytest.fixture(scope="module")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper_tiny_en.save_whisper(tmp_path_factory.mktemp("whisper-tiny.en"))


@pytest.fixture(scope="module")
def words() -> list[str]:
    return whisper_tiny_en.speech("0890")[2]


@pytest.fixture(scope="module")
def whisper(whisper_folder: Path) -> SpeechModel:
    model = load(f"hf:{whisper_folder}", "cpu")
    assert isinstance(model, SpeechModel)
    return model


@pytest.fixture(scope="module")
def run(whisper: SpeechModel) -> Run:
    wave, rate, _ = whisper_tiny_en.speech("0890")
    backend = LocalBackend("cpu", {"whisper": whisper})
    return run_sample(make_sample(audio=(wave, rate)), model="whisper", backend=backend)


def cross_attention(run: Run, layer: int, head: int) -> np.ndarray[Any, Any]:
    """Returns the exact weights from every token of the decoder to every moment, ``[query, key]``."""
    record = run.record
    number = next(k for k, m in enumerate(record.maps) if m.name.endswith("encoder_attn") and m.layer == layer)
    return run.view(Rows(record.map_ref(number, head), tuple(range(len(record.streams["decoder"])))))


def test_trained_whisper_writes_down_real_speech(run: Run, words: list[str]) -> None:
    written = run.record.answers[0].label.lower().replace("-", " ").strip(".").split()
    assert written == words


def test_the_strongest_moment_of_the_alignment_heads_rises_with_the_words(run: Run) -> None:
    tokens, answer = run.record.streams["decoder"], run.record.made_by["answer"]
    first = len(tokens) - len(answer)
    heads = run.record.made_by["alignment_heads"]
    assert len(heads) == 8
    weights = np.mean([cross_attention(run, *head) for head in heads], 0)
    # the token before a word writes it; the last two write the full stop and the end, which nobody speaks
    moments = strongest_moments(weights[first - 1 : len(tokens) - 3], run.record.streams["encoder"])
    assert all(moments) and rising_share(moments) == 1
    starts = [place.start for place in moments if place is not None]
    steps = np.diff(starts)
    assert len(starts) == 17 and (steps >= 0).all() and (steps > 0).mean() > 0.8
    assert spearmanr(np.arange(len(starts)), starts).statistic > 0.99
    assert run.sample.audio is not None and np.ptp(starts) > 0.8 * run.sample.audio.seconds
    others = [(layer, head) for layer in range(4) for head in range(6) if [layer, head] not in heads]
    scattered = [cross_attention(run, *head)[first - 1 : len(tokens) - 3].argmax(1) for head in others]
    assert np.mean([spearmanr(np.arange(len(starts)), row).statistic for row in scattered]) < 0.8, "most others do not"


def test_the_record_of_speech_is_that_of_one_pass_over_prefix_and_answer(run: Run, whisper: SpeechModel) -> None:
    wave, rate, _ = whisper_tiny_en.speech("0890")
    features = whisper.processor(wave, sampling_rate=rate, return_tensors="pt").input_features
    prefix = [whisper_tiny_en.START, whisper_tiny_en.NO_TIMESTAMPS]
    inputs = {"input_features": features, "decoder_input_ids": torch.tensor([prefix + run.record.made_by["answer"]])}
    projected: dict[str, Any] = {}
    hooks = [
        module.register_forward_hook(lambda _, given, output, name=name: projected.update({name: output.double()}))
        for name, module in whisper.module.named_modules() if name.endswith(("q_proj", "k_proj"))
    ]  # fmt: skip
    module: Any = whisper.module
    with torch.no_grad():
        module(**inputs)
        for hook in hooks:
            hook.remove()
        module.set_attn_implementation("eager")
        try:
            eager = module(**inputs, output_attentions=True)
        finally:
            module.set_attn_implementation("sdpa")
    for layer in range(4):
        path = f"model.decoder.layers.{layer}"
        own = next(m for m in run.record.maps if m.name == f"{path}.self_attn").weights
        crossed = np.stack([cross_attention(run, layer, head) for head in range(6)])
        for name, weights, of_eager, is_causal in (
            ("self_attn", own, eager.decoder_attentions[layer][0], True),
            ("encoder_attn", crossed, eager.cross_attentions[layer][0], False),
        ):
            query, key = (projected[f"{path}.{name}.{side}_proj"][0].unflatten(-1, (6, 64)) for side in "qk")
            scores = torch.einsum("qhd,khd->hqk", query, key) / 8
            if is_causal:
                scores = scores.masked_fill(torch.ones(scores.shape[1:]).triu(1).bool(), -torch.inf)
            np.testing.assert_allclose(weights, scores.softmax(-1), atol=5e-6)  # scores of up to 41 in float32
            np.testing.assert_allclose(weights, of_eager, atol=1e-5)
    tokens = run.record.streams["decoder"]
    assert [token.label for token in tokens[:2]] == ["<|startoftranscript|>", "<|notimestamps|>"]
    assert all(token.modality is Modality.SPECIAL for token in tokens[:2])
    assert run.record.made_by["answer"][-1] == whisper_tiny_en.END and run.answer_query == 1


def test_moments_of_words_are_those_worked_out_on_paper() -> None:
    keys = [Token(Modality.AUDIO, "", Seconds(k, k + 1)) for k in range(3)] + [Token(Modality.SPECIAL, "padding")]
    weights = np.array([[0.7, 0.1, 0.1, 0.1], [0, 0.2, 0.8, 0], [0.1, 0.5, 0.4, 0], [0.2, 0.2, 0.1, 0.5], [1, 0, 0, 0]])
    moments = strongest_moments(weights, keys)
    assert moments == [Seconds(0, 1), Seconds(2, 3), Seconds(1, 2), None, Seconds(0, 1)]
    assert rising_share(moments) == 0.5, "0 to 2 rises, 2 to 1 does not, and padding is left out"
    assert rising_share(moments[:2] + moments[:1]) == 0.5 and np.isnan(rising_share(moments[:1]))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> SpeechModel:
    """A tiny multilingual Whisper, whose decoder begins with start, language, task and no timestamps."""
    model = load(f"hf:{tiny_checkpoints.save_checkpoint('whisper', tmp_path_factory.mktemp('tiny'))}", "cpu")
    assert isinstance(model, SpeechModel)
    config: Any = model.module.generation_config
    settings = {
        "is_multilingual": True, "lang_to_id": {"<|en|>": 4, "<|de|>": 20}, "task_to_id": {"transcribe": 5},
        "task": "transcribe", "no_timestamps_token_id": 6,  # all ids after it are moments, at which Whisper would go on
    }  # fmt: skip
    for name, value in settings.items():
        setattr(config, name, value)
    return model


def test_the_decoder_begins_with_the_tokens_that_generate_begins_with(speech: SpeechModel) -> None:
    sample = make_sample(audio=(NOISE, RATE))
    (record,) = LocalBackend("cpu", {"w": speech}).run([Request("w", sample, options=(("new_tokens", 5),))])
    inputs = speech.processor(NOISE, sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        whole: Any = speech.module.generate(  # type: ignore[operator]
            **inputs, max_new_tokens=5, do_sample=False, return_dict_in_generate=True, force_unique_generate_call=True
        )
    ids = whole.sequences[0].tolist()
    language = ids[1]
    assert ids[:4] == [3, language, 5, 6] and language in (4, 20)
    assert record.made_by["answer"] == ids[4:]
    tokens = record.streams["decoder"]
    assert [token.label for token in tokens] == [speech.tokenizer.decode([k]) or f"#{k}" for k in ids]
    assert [token.modality is Modality.SPECIAL for token in tokens] == [True] * 4 + [False] * (len(ids) - 4)
    with torch.no_grad():
        logits = speech.module(**inputs, decoder_input_ids=whole.sequences).logits[0].double().log_softmax(-1)
    expected = sum(float(logits[k - 1, ids[k]]) for k in range(4, len(ids)))
    assert np.log(record.answers[0].probability) == pytest.approx(expected, rel=1e-6)


def test_the_language_of_an_answer_stays_when_the_sound_is_changed(
    speech: SpeechModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def detect(input_features: Any, **_: Any) -> Any:
        """Detects the second language in a loud sound."""
        return torch.tensor([20 if input_features.max() - input_features.min() > 1 else 4])

    monkeypatch.setattr(speech.module, "detect_language", detect)
    loud, silent = (make_sample(audio=(wave, RATE)) for wave in (NOISE, np.zeros_like(NOISE)))
    assert [token.label for token in speech.answering((60,)).prepare(silent).streams][1] == "<|en|>"
    written = speech.answering((60, 70), sample=loud)
    for sample in (loud, silent):
        prepared = written.prepare(sample)
        assert prepared.tensors.prefix == (3, 20, 5, 6) and len(prepared.streams) == 6
    assert speech.answering((60,), sample=silent).prepare(loud).tensors.prefix == (3, 4, 5, 6)


def test_tokens_that_a_checkpoint_suppresses_are_not_written(speech: SpeechModel) -> None:
    config: Any = speech.module.generation_config
    sample = make_sample(audio=(NOISE, RATE))
    unhindered = LocalBackend("cpu", {"w": speech}).run([Request("w", sample, maps=False)])[0].made_by["answer"]
    config.suppress_tokens = sorted({*unhindered})
    try:
        (record,) = LocalBackend("cpu", {"w": speech}).run([Request("w", sample, maps=False)])
    finally:
        config.suppress_tokens = None
    assert record.made_by["answer"] and not {*record.made_by["answer"]} & {*unhindered}


def tensor(name: str, kind: int, values: np.ndarray[Any, Any]) -> bytes:
    """Returns a tensor as CTranslate2 stores it."""
    sizes = struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)
    data = values.tobytes()
    return string(name) + sizes + struct.pack("<BI", kind, len(data)) + data


def string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def test_tensors_of_ctranslate2_are_read_as_they_were_written(tmp_path: Path) -> None:
    half = np.array([[1.5, -2], [0.25, 1e-3], [4, 5]], "<f2")
    codes, single = np.array([[-128, 127]], "<i1"), np.float32(3.25)
    upper = (np.array([1.0, -0.15625], "<f4").view("<u4") >> 16).astype("<u2")
    count = struct.pack("<I", 4)
    content = struct.pack("<I", 6) + string("Spec") + struct.pack("<I", 3) + count
    content += tensor("a/half", 4, half) + tensor("codes", 1, codes) + tensor("scale", 0, np.array(single))
    content += tensor("brain", 5, upper) + struct.pack("<I", 1) + string("same") + string("a/half")
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    tensors = read_ctranslate2(path)
    np.testing.assert_array_equal(tensors["a/half"], half)
    assert tensors["same"] is tensors["a/half"] and tensors["a/half"].dtype == np.float16
    np.testing.assert_array_equal(tensors["codes"], codes)
    assert tensors["scale"].shape == () and float(tensors["scale"]) == 3.25
    np.testing.assert_array_equal(tensors["brain"], [1.0, -0.15625])
    assert not any(values.flags.writeable for values in tensors.values())
    for length in range(len(content)):
        path.with_name("cut.bin").write_bytes(content[:length])
        with pytest.raises(MmvizError) as refused:
            read_ctranslate2(path.with_name("cut.bin"))
        assert refused.value.code == "ctranslate2-damaged" and "cut.bin" in str(refused.value)
