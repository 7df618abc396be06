"""The lens of Hugging Face models that write their answer: that of their own hidden states, norm and head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints  # noqa: F401  # first: it sets what transformers reads
import torch
import transformers as hf

from mmviz import Modality, Sample, make_sample
from mmviz.backends.local import LocalBackend
from mmviz.experiments.lens import Lens, lens_requests, read_lens
from mmviz.models.custom_model_factory import load
from mmviz.models.huggingface.language_lens_readout import language_readout
from mmviz.models.huggingface.variant_batches import extended_inputs
from mmviz.models.lens_readout import first_tensor
from mmviz.report.lens_table import misleads
from mmviz.types import AttentionRecord, Request

PIXELS = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
WAVE = np.sin(np.arange(16_000) / 9).astype(np.float32) * 0.3
PICTURE = make_sample(image=PIXELS, text="What is this?")
SOUND = make_sample(audio=(WAVE, 16_000), text="What is this?")
PARTS = {
    "llava": ("model.language_model.layers", "model.language_model.norm"),
    "gemma3": ("model.language_model.layers", "model.language_model.norm"),
    "qwen2_audio": ("model.language_model.layers", "model.language_model.norm"),
}


def lens_of(model: Any, sample: Sample, **request: Any) -> tuple[Lens, AttentionRecord]:
    backend = LocalBackend("cpu", {"m": model})
    (record,) = backend.run(lens_requests(Request("m", sample, options=(("new_tokens", 3),), **request)))
    lens = read_lens([record])
    assert lens is not None
    return lens, record


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_what_is_read_is_the_hidden_states_that_transformers_returns(
    name: str, checkpoint: Callable[[str], Path]
) -> None:
    model: Any = load(f"hf:{checkpoint(name)}", "cpu")
    sample = SOUND if name == "qwen2_audio" else PICTURE
    lens, record = lens_of(model, sample)
    layers, norm = PARTS[name]
    assert lens.reading.layers == (f"{layers}.0:input", f"{layers}.0", f"{layers}.1")
    assert lens.reading.through == (norm, "lm_head") and lens.is_written
    assert lens.reading.parity <= 1e-6 and lens.reading.answer_token == len(lens.tokens) - 4
    written = record.answer_log_probabilities
    assert written is not None and lens.forming()[-1].log_probability == pytest.approx(written[0, 0], abs=1e-6)
    answer = tuple(record.made_by["answer"])
    answered = model.answering(answer)
    tensors = answered.prepare(sample).tensors
    with torch.no_grad():
        inputs = extended_inputs(tensors, torch.tensor([answer]))
        output = model.module(**inputs, output_hidden_states=True, use_cache=False)
    rows = [model.module.lm_head(model.module.get_submodule(norm)(s[0])) for s in output.hidden_states[:-1]]
    rows.append(output.logits[0])  # the last of the hidden states has gone through the norm already
    for layer, logits in enumerate(rows):
        log_p = logits.detach().double().log_softmax(-1)
        np.testing.assert_allclose(lens.reading.answer_log_probabilities[layer], log_p[:, answer[0]], atol=1e-5)
        ranks = 1 + (log_p > log_p[:, answer[0], None]).sum(1)
        assert (np.abs(lens.reading.answer_ranks[layer] - ranks.numpy()) <= 1).all()
    modality = Modality.AUDIO if name == "qwen2_audio" else Modality.IMAGE
    assert any(token.modality is modality and token.location is not None for token in lens.tokens)
    assert "after patches and moments" in misleads(lens)[1]


def test_the_word_that_a_run_is_about_is_followed(checkpoint: Callable[[str], Path]) -> None:
    model = load(f"hf:{checkpoint('llava')}", "cpu")
    first, record = lens_of(model, PICTURE)
    answer = tuple(record.made_by["answer"])
    third, about = lens_of(model, PICTURE, answer=answer, answer_part=(2,))
    assert third.reading.answer_token == first.reading.answer_token + 2
    written = about.answer_log_probabilities
    assert written is not None and third.forming()[-1].log_probability == pytest.approx(written[0, 2], abs=1e-6)


@pytest.mark.slow
def test_the_decoder_of_a_speech_model_is_read(checkpoint: Callable[[str], Path]) -> None:
    lens, record = lens_of(load(f"hf:{checkpoint('whisper')}", "cpu"), make_sample(audio=(WAVE, 16_000)))
    assert lens.reading.stream == "decoder" and lens.reading.through == ("model.decoder.layer_norm", "proj_out")
    assert len(lens.tokens) == len(record.streams["decoder"]) and lens.reading.parity <= 1e-6


@pytest.mark.parametrize(
    ("kind", "setting", "value"),
    [("Gemma2", "final_logit_softcapping", 0.05), ("Granite", "logits_scaling", 8.0), ("Cohere", "logit_scale", 0.1)],
)
def test_logits_that_are_bounded_or_scaled_are_so_in_the_lens(kind: str, setting: str, value: float) -> None:
    config = getattr(hf, f"{kind}Config")(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2, head_dim=8,
        intermediate_size=32, pad_token_id=0, bos_token_id=1, eos_token_id=2, **{setting: value},
    )  # fmt: skip
    torch.manual_seed(0)
    module = getattr(hf, f"{kind}ForCausalLM")(config).eval()
    ids, last = torch.tensor([[3, 4, 5]]), list[Any]()
    with torch.no_grad():
        module.lm_head.weight.normal_(0, 1)
        readout = language_readout(module, lambda: module(ids), str)
        assert readout.layers == ("model.layers.0", "model.layers.1")
        layer = module.get_submodule(readout.layers[-1])
        handle = layer.register_forward_hook(lambda _, __, output: last.append(first_tensor(output)))
        logits = module(ids).logits
        handle.remove()
        unscaled = module.lm_head(module.model.norm(last[0][0]))
        torch.testing.assert_close(readout.read(last[0][0]), logits[0], atol=1e-6, rtol=0)
    assert not torch.allclose(unscaled, logits[0], atol=0.1)


@pytest.mark.slow
def test_the_lens_of_trained_whisper_ends_with_its_words(tmp_path: Path) -> None:
    import whisper_tiny_en

    wave, rate, _ = whisper_tiny_en.speech("0890")
    model = load(f"hf:{whisper_tiny_en.save_whisper(tmp_path)}", "cpu")
    lens, _ = lens_of(model, make_sample(audio=(wave, rate)))
    assert lens.reading.parity <= 2e-5 and lens.reading.answers == 51_864
    assert lens.forming()[-1].answers[0][0] == lens.reading.answer
