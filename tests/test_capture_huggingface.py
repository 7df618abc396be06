"""Hugging Face models as they come: what is heard of their fused attention is what their eager attention gives."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import mmviz
from mmviz.capture.recorder import BY_HAND, FUSED_LSE
from mmviz.types import AttentionRecord, CaptureError

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from transformers import (  # after the environment, which it reads once
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
    ViltConfig,
    ViltModel,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

TINY: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 100,
}  # fmt: skip
NAMED = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
IDS = torch.randint(5, 90, (2, 9), generator=torch.Generator().manual_seed(0))
PADDED = torch.arange(9) < torch.tensor([9, 6])[:, None]
TEXT = {"input_ids": IDS, "attention_mask": PADDED.long()}
PICTURES = {"pixel_values": torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))}
PATCHES = {"image_size": 32, "patch_size": 8}


def bert() -> tuple[Any, dict[str, Tensor]]:
    return BertModel(BertConfig(**TINY)), TEXT


def gpt2() -> tuple[Any, dict[str, Tensor]]:
    config = GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=100, n_positions=64, **NAMED)
    return GPT2LMHeadModel(config), TEXT


def t5(decoded: int = 5) -> tuple[Any, dict[str, Tensor]]:
    config = T5Config(
        d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, vocab_size=100, decoder_start_token_id=0,
        eos_token_id=2,
    )  # fmt: skip
    return T5ForConditionalGeneration(config), TEXT | {"decoder_input_ids": IDS[:, :decoded]}


def t5_of_one_length() -> tuple[Any, dict[str, Tensor]]:
    return t5(9)


def llama() -> tuple[Any, dict[str, Tensor]]:
    return LlamaForCausalLM(LlamaConfig(**TINY, num_key_value_heads=2, **NAMED)), TEXT


def clip() -> tuple[Any, dict[str, Tensor]]:
    text = TINY | NAMED | {"max_position_embeddings": 20}
    seen = {name: size for name, size in TINY.items() if name != "vocab_size"} | PATCHES
    return CLIPModel(CLIPConfig(text_config=text, vision_config=seen, projection_dim=16)), TEXT | PICTURES


def vilt() -> tuple[Any, dict[str, Tensor]]:
    """Shuffles its patches anew at every call."""
    return ViltModel(ViltConfig(**TINY, **PATCHES, max_position_embeddings=20)), TEXT | PICTURES


def whisper() -> tuple[Any, dict[str, Tensor]]:
    config = WhisperConfig(
        vocab_size=100, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, num_mel_bins=16, max_source_positions=25,
        max_target_positions=20, decoder_start_token_id=1, suppress_tokens=[], begin_suppress_tokens=[], **NAMED,
    )  # fmt: skip
    sound = torch.randn(2, 16, 50, generator=torch.Generator().manual_seed(2))
    return WhisperForConditionalGeneration(config), {"input_features": sound, "decoder_input_ids": IDS[:, :5]}


Make = Callable[[], tuple[Any, dict[str, Tensor]]]


def run(make: Make, implementation: str, **options: Any) -> tuple[Any, Any, Any]:
    """What a model gives alone, what it gives while it is listened to, and what was seen."""
    torch.manual_seed(3)
    model, inputs = make()
    model.eval().set_attn_implementation(implementation)
    with torch.no_grad():
        torch.manual_seed(4)
        alone = model(**inputs, **options)
        torch.manual_seed(4)
        with mmviz.capture(model) as seen:
            watched = model(**inputs, **options)
    return alone, watched, seen


def eager_maps(output: Any) -> list[Tensor]:
    """The attention that a model returns itself, in order of execution."""
    if "text_model_output" in output:
        return [*output.vision_model_output.attentions, *output.text_model_output.attentions]
    if "decoder_attentions" in output:
        pairs = zip(output.decoder_attentions, output.cross_attentions, strict=True)
        return [*output.encoder_attentions, *(one for pair in pairs for one in pair)]
    return list(output.attentions)


@pytest.mark.parametrize("make", [bert, gpt2, t5, t5_of_one_length, llama, clip, vilt, whisper])
def test_fused_attention_is_heard_as_eager_attention_would_be(make: Make) -> None:
    options = {"output_attentions": True}
    (reference, _, _), (alone, watched, seen) = run(make, "eager", **options), run(make, "sdpa")
    assert torch.equal(alone[0], watched[0]), "the model answers the same, to the bit"
    record = seen.record()
    expected = eager_maps(reference)
    assert record.notices == () and record.made_by["routes"][0] in (FUSED_LSE, BY_HAND)
    for found, one in zip(record.maps, expected, strict=True):
        assert found.weights.shape == one.shape
        real = PADDED.numpy() if one.shape[-2] == 9 and make is not vilt else np.ones(one.shape[0::2], bool)
        for sample in range(2):  # queries that are padding may ask anything
            rows = found.weights[sample][:, real[sample]] - one[sample].numpy()[:, real[sample]]
            assert np.abs(rows).max() < 2e-6, found.name


def test_what_the_eager_code_does_is_heard_as_well() -> None:
    alone, watched, seen = run(bert, "eager", output_attentions=True)
    assert torch.equal(alone[0], watched[0])
    for found, one in zip(seen.record().maps, alone.attentions, strict=True):
        assert np.array_equal(found.weights, one.numpy())
    assert seen.record().made_by["routes"] == [BY_HAND] * 2


def test_padded_keys_get_nothing() -> None:
    for make in (bert, llama):
        record: AttentionRecord = run(make, "sdpa")[2].record(batch=1)
        for found in record.maps:
            assert found.weights[:, :6, 6:].max() == 0 and found.weights[:, :6].sum(-1) == pytest.approx(1, abs=1e-5)


def test_names_are_module_paths_and_streams_those_of_encoder_and_decoder() -> None:
    record = run(t5_of_one_length, "sdpa")[2].record(tokens={"memory": list("abcdefghi"), "tokens": list("ABCDEFGHI")})
    assert [(one.name, one.layer, one.queries, one.keys) for one in record.maps] == [
        ("encoder.block.0.layer.0.SelfAttention", 0, "memory", "memory"),
        ("encoder.block.1.layer.0.SelfAttention", 1, "memory", "memory"),
        ("decoder.block.0.layer.0.SelfAttention", 0, "tokens", "tokens"),
        ("decoder.block.0.layer.1.EncDecAttention", 0, "tokens", "memory"),
        ("decoder.block.1.layer.0.SelfAttention", 1, "tokens", "tokens"),
        ("decoder.block.1.layer.1.EncDecAttention", 1, "tokens", "memory"),
    ]
    assert [token.label for token in record.streams["tokens"]] == list("ABCDEFGHI")


def test_softcap_is_in_the_weights() -> None:
    def gemma(softcap: float | None) -> Make:
        config = Gemma2Config(
            **TINY, num_key_value_heads=2, head_dim=8, attn_logit_softcapping=softcap, query_pre_attn_scalar=1,
            initializer_range=0.5, **NAMED,
        )  # fmt: skip
        return lambda: (Gemma2ForCausalLM(config), TEXT)

    capped, free = (run(gemma(softcap), "eager", output_attentions=True) for softcap in (0.5, None))
    for alone, _, seen in (capped, free):
        for found, one in zip(seen.record().maps, alone.attentions, strict=True):
            assert np.abs(found.weights - one.numpy()).max() < 1e-6
    assert np.abs(capped[2].record().maps[0].weights - free[2].record().maps[0].weights).max() > 0.01


def test_a_step_of_generate_can_be_chosen() -> None:
    torch.manual_seed(3)
    model = gpt2()[0].eval()
    with torch.no_grad(), mmviz.capture(model) as seen:
        written = model.generate(IDS[:1], max_new_tokens=4, min_new_tokens=4, do_sample=False)
    assert seen.calls == ("GPT2LMHeadModel",) * 4 and written.shape == (1, 13)
    with pytest.raises(CaptureError) as refusal:
        seen.record()
    assert refusal.value.code == "capture-calls" and "call=0 to 3" in str(refusal.value)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        whole = model(written, output_attentions=True).attentions
    first = seen.record(call=0)
    assert list(first.streams) == ["tokens"] and first.maps[0].weights.shape == (4, 9, 9)
    for step in (1, 3):
        record = seen.record([f"piece {k}" for k in range(9 + step)], call=step)
        name = "last 1 of tokens"
        assert [token.label for token in record.streams[name]] == [f"piece {8 + step}"]
        for found, one in zip(record.maps, whole, strict=True):
            assert (found.queries, found.keys) == (name, "tokens")
            assert np.abs(found.weights - one[0, :, 8 + step : 9 + step, : 9 + step].numpy()).max() < 2e-6


def test_the_encoder_of_generate_is_a_call_of_its_own() -> None:
    torch.manual_seed(3)
    model = t5()[0].eval()
    with torch.no_grad(), mmviz.capture(model) as seen:
        model.generate(IDS[:1], max_new_tokens=3, min_new_tokens=3, do_sample=False)
    assert seen.calls == ("encoder", *["T5ForConditionalGeneration"] * 3)
    last = seen.record(call=3)
    assert [(one.queries, one.keys) for one in last.maps] == [
        ("last 1 of tokens", "tokens"),
        ("last 1 of tokens", "memory"),
    ] * 2
    assert [len(last.streams[name]) for name in ("tokens", "memory")] == [3, 9]
