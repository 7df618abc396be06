"""Hugging Face models unmodified: what is captured of their fused attention is what their eager attention returns."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import mmviz
from mmviz.capture.recorder import EAGER, SDPA_LSE
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
    LogitsProcessor,
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
SPECIAL_IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
IDS = torch.randint(5, 90, (2, 9), generator=torch.Generator().manual_seed(0))
VALID = torch.arange(9) < torch.tensor([9, 6])[:, None]
TEXT = {"input_ids": IDS, "attention_mask": VALID.long()}
IMAGES = {"pixel_values": torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))}
PATCHES = {"image_size": 32, "patch_size": 8}


def bert() -> tuple[Any, dict[str, Tensor]]:
    return BertModel(BertConfig(**TINY)), TEXT


def gpt2() -> tuple[Any, dict[str, Tensor]]:
    config = GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=100, n_positions=64, **SPECIAL_IDS)
    return GPT2LMHeadModel(config), TEXT


def t5(decoded: int = 5) -> tuple[Any, dict[str, Tensor]]:
    config = T5Config(
        d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, vocab_size=100, decoder_start_token_id=0,
        eos_token_id=2,
    )  # fmt: skip
    return T5ForConditionalGeneration(config), TEXT | {"decoder_input_ids": IDS[:, :decoded]}


def t5_of_equal_length() -> tuple[Any, dict[str, Tensor]]:
    return t5(9)


def llama() -> tuple[Any, dict[str, Tensor]]:
    return LlamaForCausalLM(LlamaConfig(**TINY, num_key_value_heads=2, **SPECIAL_IDS)), TEXT


def clip() -> tuple[Any, dict[str, Tensor]]:
    text = TINY | SPECIAL_IDS | {"max_position_embeddings": 20}
    vision = {name: size for name, size in TINY.items() if name != "vocab_size"} | PATCHES
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)), TEXT | IMAGES


def vilt() -> tuple[Any, dict[str, Tensor]]:
    """Returns a ViLT, which shuffles its patches at every call."""
    return ViltModel(ViltConfig(**TINY, **PATCHES, max_position_embeddings=20)), TEXT | IMAGES


def whisper() -> tuple[Any, dict[str, Tensor]]:
    config = WhisperConfig(
        vocab_size=100, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, num_mel_bins=16, max_source_positions=25,
        max_target_positions=20, decoder_start_token_id=1, suppress_tokens=[], begin_suppress_tokens=[], **SPECIAL_IDS,
    )  # fmt: skip
    mel = torch.randn(2, 16, 50, generator=torch.Generator().manual_seed(2))
    return WhisperForConditionalGeneration(config), {"input_features": mel, "decoder_input_ids": IDS[:, :5]}


Make = Callable[[], tuple[Any, dict[str, Tensor]]]


def run(make: Make, implementation: str, **options: Any) -> tuple[Any, Any, Any]:
    """Returns the output of a model without capture, its output during capture, and the result of the capture."""
    torch.manual_seed(3)
    model, inputs = make()
    model.eval().set_attn_implementation(implementation)
    with torch.no_grad():
        torch.manual_seed(4)
        plain = model(**inputs, **options)
        torch.manual_seed(4)
        with mmviz.capture(model) as result:
            output = model(**inputs, **options)
    return plain, output, result


def eager_maps(output: Any) -> list[Tensor]:
    """Returns the attention that a model itself returns, in order of execution."""
    if "text_model_output" in output:
        return [*output.vision_model_output.attentions, *output.text_model_output.attentions]
    if "decoder_attentions" in output:
        pairs = zip(output.decoder_attentions, output.cross_attentions, strict=True)
        return [*output.encoder_attentions, *(weights for pair in pairs for weights in pair)]
    return list(output.attentions)


@pytest.mark.parametrize("make", [bert, gpt2, t5, t5_of_equal_length, llama, clip, vilt, whisper])
def test_fused_attention_is_captured_as_eager_attention_returns_it(make: Make) -> None:
    (reference, _, _), (plain, output, result) = run(make, "eager", output_attentions=True), run(make, "sdpa")
    assert torch.equal(plain[0], output[0]), "capture leaves the output unchanged to the bit"
    record = result.record()
    assert record.notices == () and record.made_by["routes"][0] in (SDPA_LSE, EAGER)
    for attn_map, eager in zip(record.maps, eager_maps(reference), strict=True):
        assert attn_map.weights.shape == eager.shape
        valid = VALID.numpy() if eager.shape[-2] == 9 and make is not vilt else np.ones(eager.shape[0::2], bool)
        for sample in range(2):  # the rows of queries that are padding are undefined
            difference = attn_map.weights[sample] - eager[sample].numpy()
            assert np.abs(difference[:, valid[sample]]).max() < 2e-6, attn_map.name


def test_eager_attention_is_captured_exactly() -> None:
    plain, output, result = run(bert, "eager", output_attentions=True)
    assert torch.equal(plain[0], output[0])
    for attn_map, eager in zip(result.record().maps, plain.attentions, strict=True):
        assert np.array_equal(attn_map.weights, eager.numpy())
    assert result.record().made_by["routes"] == [EAGER] * 2


def test_nothing_attends_to_padded_keys() -> None:
    for make in (bert, llama):
        record: AttentionRecord = run(make, "sdpa")[2].record(batch=1)
        for attn_map in record.maps:
            weights = attn_map.weights[:, :6]
            assert weights[..., 6:].max() == 0 and weights.sum(-1) == pytest.approx(1, abs=1e-5)


def test_maps_are_named_by_module_path_and_have_the_streams_of_encoder_and_decoder() -> None:
    record = run(t5_of_equal_length, "sdpa")[2].record(
        tokens={"memory": list("abcdefghi"), "tokens": list("ABCDEFGHI")}
    )
    assert [(attn_map.name, attn_map.layer, attn_map.queries, attn_map.keys) for attn_map in record.maps] == [
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
            initializer_range=0.5, **SPECIAL_IDS,
        )  # fmt: skip
        return lambda: (Gemma2ForCausalLM(config), TEXT)

    capped, free = (run(gemma(softcap), "eager", output_attentions=True) for softcap in (0.5, None))
    for plain, _, result in (capped, free):
        for attn_map, eager in zip(result.record().maps, plain.attentions, strict=True):
            assert np.abs(attn_map.weights - eager.numpy()).max() < 1e-6
    assert np.abs(capped[2].record().maps[0].weights - free[2].record().maps[0].weights).max() > 0.01


def test_a_step_of_generate_can_be_chosen() -> None:
    torch.manual_seed(3)
    model = gpt2()[0].eval()
    with torch.no_grad(), mmviz.capture(model) as result:
        written = model.generate(IDS[:1], max_new_tokens=4, min_new_tokens=4, do_sample=False)
    assert result.calls == ("GPT2LMHeadModel",) * 4 and written.shape == (1, 13)
    with pytest.raises(CaptureError) as error:
        result.record()
    assert error.value.code == "capture-calls" and "call=0 to 3" in str(error.value)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        whole = model(written, output_attentions=True).attentions
    first = result.record(call=0)
    assert list(first.streams) == ["tokens"] and first.maps[0].weights.shape == (4, 9, 9)
    for step in (1, 3):
        record = result.record([f"piece {k}" for k in range(9 + step)], call=step)
        name = "last 1 of tokens"
        assert [token.label for token in record.streams[name]] == [f"piece {8 + step}"]
        for attn_map, eager in zip(record.maps, whole, strict=True):
            assert (attn_map.queries, attn_map.keys) == (name, "tokens")
            assert np.abs(attn_map.weights - eager[0, :, 8 + step : 9 + step, : 9 + step].numpy()).max() < 2e-6


def test_the_encoder_of_generate_is_a_call_of_its_own() -> None:
    torch.manual_seed(3)
    model = t5()[0].eval()
    with torch.no_grad(), mmviz.capture(model) as result:
        model.generate(IDS[:1], max_new_tokens=3, min_new_tokens=3, do_sample=False)
    assert result.calls == ("encoder", *["T5ForConditionalGeneration"] * 3)
    last = result.record(call=3)
    assert [(attn_map.queries, attn_map.keys) for attn_map in last.maps] == [
        ("last 1 of tokens", "tokens"),
        ("last 1 of tokens", "memory"),
    ] * 2
    assert [len(last.streams[name]) for name in ("tokens", "memory")] == [3, 9]


class KeptBeams(LogitsProcessor):
    """Keeps the tokens of all beams at each step, which the model has just read."""

    def __init__(self) -> None:
        self.steps: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self.steps.append(input_ids.clone())
        return scores


@pytest.mark.parametrize("make", [gpt2, llama, t5])
def test_each_of_five_beams_has_the_attention_of_its_own_tokens(make: Make) -> None:
    torch.manual_seed(3)
    model, beams = make()[0].eval(), KeptBeams()
    with torch.no_grad(), mmviz.capture(model) as result:
        model.generate(
            IDS, max_new_tokens=4, min_new_tokens=4, do_sample=False, num_beams=5, logits_processor=[beams]
        )  # fmt: skip
    first = len(result.calls) - len(beams.steps)  # the encoder is a call of its own
    model.set_attn_implementation("eager")
    is_moved = False
    for step in (1, 3):
        rows = beams.steps[step]
        is_moved |= not torch.equal(rows[:, :-1], beams.steps[step - 1])
        inputs = {"input_ids": IDS.repeat_interleave(5, 0), "decoder_input_ids": rows} if first else {"input_ids": rows}
        with torch.no_grad():
            whole = model(**inputs, output_attentions=True)
        eager = [layer[:, :, -1:] for layer in (whole.decoder_attentions if first else whole.attentions)]
        if first:
            crosses = [layer[:, :, -1:] for layer in whole.cross_attentions]
            eager = [layer for pair in zip(eager, crosses, strict=True) for layer in pair]
        for beam in (0, 3, 4, 5, 9):
            record = result.record(call=first + step, batch=beam)
            assert len(record.maps) == len(eager)
            for attn_map, layer in zip(record.maps, eager, strict=True):
                assert np.abs(attn_map.weights - layer[beam].numpy()).max() < 2e-6
    assert is_moved, "beams go on from others, so that the keys in the cache change their rows"
