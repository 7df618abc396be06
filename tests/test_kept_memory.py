"""The memory that capture keeps: counted exactly in small runs, and told in advance for longer ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints  # first: it sets what transformers reads
import torch
import transformers

import mmviz
from mmviz.backends.local.doctor_checks import LONGER, memory_check
from mmviz.capture import CaptureResult
from mmviz.capture.kept_memory import kept_bytes, map_bytes

LENGTHS = (40, 300, 512, 513, 900)


def language_model(**sizes: int) -> Any:
    torch.manual_seed(0)
    config = {"vocab_size": 50, "max_position_embeddings": 4096, **tiny_checkpoints.TINY, **sizes}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**config)).eval()


def captured(model: Any, tokens: int, padded: bool = False) -> CaptureResult:
    ids = torch.randint(3, 40, (1, tokens), generator=torch.Generator().manual_seed(tokens))
    mask = torch.ones_like(ids)
    mask[:, 0] = int(not padded)
    with torch.no_grad(), mmviz.capture(model) as result:
        model(input_ids=ids, attention_mask=mask, use_cache=False)
    return result


@pytest.mark.parametrize(
    "sizes",
    [{}, {"num_key_value_heads": 2}, {"num_hidden_layers": 3, "hidden_size": 64, "num_attention_heads": 8}],
    ids=["plain", "grouped queries", "deeper and wider"],
)
@pytest.mark.parametrize("padded", [False, True])
def test_memory_of_a_longer_run_is_told_to_the_byte(sizes: dict[str, int], padded: bool) -> None:
    model = language_model(**sizes)
    calls = {tokens: captured(model, tokens, padded).attention_calls() for tokens in LENGTHS}
    for tokens in LENGTHS:
        for other in LENGTHS:
            assert kept_bytes(calls[tokens], other) == kept_bytes(calls[other]), (tokens, other)


def test_memory_of_a_run_is_what_the_formula_on_paper_says() -> None:
    """Of each layer: queries of 4 heads, keys and values of 2, the output at the checked rows, a float for each row."""
    model = language_model(num_key_value_heads=2)
    for tokens, rows in ((40, 40), (900, 64)):
        layer = 4 * 8 * (4 * tokens + 2 * 2 * tokens + 4 * rows) + 4 * 4 * tokens
        assert kept_bytes(captured(model, tokens).attention_calls()) == 2 * layer


def test_the_page_on_hugging_face_tells_what_a_model_of_3_billion_weights_keeps() -> None:
    """The same formula: 36 layers, 16 heads, 2 of keys and values of width 128, bfloat16, float32 row sums."""
    token, outputs = 36 * (2 * 128 * (16 + 2 * 2) + 4 * 16), 36 * 2 * 128 * 16 * 64  # of the rows that are checked
    text = (Path(__file__).parent.parent / "docs" / "how-to" / "hugging-face.md").read_text("utf-8")
    assert "36 layers of 16 heads, 2 of keys and values, each of width 128, in bfloat16" in text
    assert f"keeps {token / 1e6:.2f} MB a token, {(4_000 * token + outputs) / 1e9:.1f} GB at 4,000 tokens" in text


def test_the_maps_of_a_record_have_the_size_that_is_told() -> None:
    result = captured(language_model(), 300)
    record = result.record(["token"] * 300)
    told = map_bytes(captured(language_model(), 40).attention_calls(), 300)
    assert told == sum(attn_map.weights.nbytes for attn_map in record.maps)  # type: ignore[union-attr]
    assert map_bytes(result.attention_calls(), 513) == 0


def test_doctor_tells_the_memory_of_longer_runs() -> None:
    model = language_model()
    check = memory_check(captured(model, 40))
    assert check["weights"] == sum(4 * parameter.numel() for parameter in model.parameters())
    assert (check["tokens"], check["stack"]) == (40, "model.layers.*.self_attn")
    measured = {tokens: kept_bytes(captured(model, tokens).attention_calls()) for tokens in LONGER}
    assert {longer["tokens"]: longer["kept"] for longer in check["longer"]} == measured
    assert [bool(longer["maps"]) for longer in check["longer"]] == [True, False]
