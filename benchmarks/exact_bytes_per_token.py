"""Prints how many bytes a token takes in a run that is saved with ``keep="exact"``.

``python benchmarks/exact_bytes_per_token.py``

The model has the sizes of the language model of SmolVLM-256M (30 layers, 9 heads, 3 key-value heads of 64 numbers) and
random weights, which the size does not depend on.
"""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import mmviz
from mmviz.backends.local import LocalBackend
from mmviz.explain import Run, run_sample
from mmviz.types import Sample

TOKENS, WORDS = 1_000, 100


def saved_run() -> Run:
    """Returns a run over `TOKENS` tokens, in float32."""
    config = LlamaConfig(
        vocab_size=WORDS, hidden_size=576, intermediate_size=64, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, head_dim=64,
    )  # fmt: skip
    ids = torch.arange(TOKENS)[None] % WORDS
    names = [str(word) for word in range(WORDS)]
    model = mmviz.CustomModel(
        LlamaForCausalLM(config), lambda sample: (ids, [names[k] for k in ids[0]]), names, answer_token=-1
    )
    return run_sample(Sample(text="a"), model="llama", backend=LocalBackend("cpu", {"llama": model}))


if __name__ == "__main__":
    run = saved_run()
    told, plain, written = run.exact_nbytes(), len(run.to_bytes()), len(run.to_bytes(keep="exact"))
    print(f"{told:,} bytes told, {written - plain:,} written beside an overview of {plain:,}")
    print(f"{told / TOKENS:,.0f} bytes for each of {TOKENS:,} tokens")
