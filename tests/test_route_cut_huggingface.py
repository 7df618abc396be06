"""A cut route in Hugging Face models is what their eager attention gives with minus infinity there."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import hf_factories
import numpy as np
import pytest
import tiny_sound_checkpoints
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.masking_utils import eager_mask

import mmviz
from mmviz import Modality, Sample, Token, make_sample
from mmviz.backends.local import LocalBackend
from mmviz.backends.local.written_answer import answer_logits, answering
from mmviz.experiments import head_edges
from mmviz.experiments.head_ablation import measure_head_ablation
from mmviz.models.custom_model_factory import load
from mmviz.types import AttentionRecord, ChosenTokens, CutRoute, Request
from mmviz.types.readout_tokens import answer_tokens

IMAGE, TEXT, AUDIO, SPECIAL = Modality
NAME = "tiny"
LIMIT = 2e-6
ROUNDING = 1e-6
"""Of log-probabilities, which float32 keeps to seven digits."""
Blocked = dict[str, list[NDArray[np.bool_]]]


@contextmanager
def minus_infinity(module: nn.Module, blocked: Blocked) -> Iterator[None]:
    """Lets ``module`` attend by hand, with minus infinity at the pairs that are ``blocked`` in its submodules, for each
    of their calls; rows without any key left are 0."""
    paths = {id(part): path for path, part in module.named_modules()}
    calls = {path: iter(pairs) for path, pairs in blocked.items()}

    def attend(
        part: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
        scaling: float | None = None, position_bias: Tensor | None = None, **_: Any,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
        scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
        for added in (position_bias, attention_mask):
            if added is not None:
                added = torch.where(added <= torch.finfo(added.dtype).min / 2, -math.inf, added)
                scores = scores + added[..., : scores.shape[-1]]
        if paths[id(part)] in calls:
            scores = scores.masked_fill(torch.from_numpy(next(calls[paths[id(part)]])), -math.inf)
        weights = torch.nan_to_num(scores.softmax(-1), 0.0)
        return (weights @ value).transpose(1, 2).contiguous(), weights

    AttentionInterface.register("by_hand", attend)
    AttentionMaskInterface.register("by_hand", eager_mask)
    before = module.config._attn_implementation  # type: ignore[union-attr]
    module.set_attn_implementation("by_hand")  # type: ignore[operator]
    try:
        with torch.no_grad():
            yield
    finally:
        module.set_attn_implementation(before)  # type: ignore[operator]


def blocked_by_hand(record: AttentionRecord, cut: CutRoute) -> Blocked:
    """Returns the pairs that ``cut`` blocks by the module path of each map, from the tokens of ``record``."""

    def members(group: Any, stream: str) -> NDArray[np.bool_]:
        tokens = record.streams[stream]
        if isinstance(group, ChosenTokens):
            return np.isin(np.arange(len(tokens)), group.tokens) & (stream == group.stream)
        if group == "answer":
            return np.isin(np.arange(len(tokens)), answer_tokens(record).get(stream, ()))
        return np.array([token.modality is group for token in tokens])

    blocked: Blocked = {}
    for attn_map in record.maps:
        if cut.stack not in ("", attn_map.stack) or (cut.layers is not None and attn_map.layer not in cut.layers):
            continue
        heads = np.isin(np.arange(attn_map.heads), range(attn_map.heads) if cut.heads is None else cut.heads)
        pairs = np.outer(members(cut.queries, attn_map.queries), members(cut.keys, attn_map.keys))
        pairs = heads[:, None, None] & pairs
        if pairs.any():
            blocked.setdefault(attn_map.name, []).append(pairs)
    return blocked


def t5() -> mmviz.CustomModel:
    """An encoder that reads the words, and a decoder that answers with one token of a prefix of three."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"decoder_start_token_id": 0}
    module = T5ForConditionalGeneration(
        T5Config(d_model=32, d_kv=8, d_ff=64, num_layers=3, num_heads=4, vocab_size=40, **options)
    )

    def prepare(sample: Sample) -> tuple[dict[str, Tensor], dict[str, list[Token]]]:
        words = (sample.text or "").split()
        kinds = [TEXT, IMAGE, AUDIO, TEXT]
        ids = torch.tensor([[1, *(5 + len(word) for word in words)]])
        memory = [Token(SPECIAL, "<s>"), *(Token(kinds[k % 4], word) for k, word in enumerate(words))]
        decoded = [Token(SPECIAL, "<start>"), Token(TEXT, "a"), Token(TEXT, "b")]
        inputs = {"input_ids": ids, "decoder_input_ids": torch.tensor([[0, 7, 9]])}
        return inputs, {"encoder": memory, "decoder": decoded}

    return mmviz.CustomModel(
        module, prepare, [f"word {k}" for k in range(40)], trained=False, name=NAME, answer_token=("decoder", -1),
    )  # fmt: skip


def llava(checkpoint: Callable[[str], Any]) -> Any:
    return load(f"hf:{checkpoint('llava')}", "cpu")


MODELS: dict[str, Callable[[Callable[[str], Any]], Any]] = {
    "t5": lambda _: t5(),
    "whisper": lambda _: hf_factories.whisper().own,
    "omni": lambda _: hf_factories.omni().own,
    "qwen3-omni": lambda _: tiny_sound_checkpoints.unsaved_model("qwen3_omni"),
    "llava": llava,
}
"""Models with a module of Hugging Face: three of one's own, and two that write their answer."""
CUTS: dict[str, list[CutRoute]] = {
    "t5": [
        CutRoute(TEXT, IMAGE), CutRoute("answer", AUDIO), CutRoute("answer", TEXT, layers=(1, 2)),
        CutRoute(ChosenTokens((2,), "decoder"), ChosenTokens((1, 3), "encoder")), CutRoute(SPECIAL, SPECIAL),
        CutRoute(TEXT, TEXT, "decoder.block.layer.1.EncDecAttention", (0,)),
        CutRoute("answer", TEXT, heads=(0, 2)), CutRoute(TEXT, IMAGE, "encoder", (1,), (3,)),
    ],
    "whisper": [
        CutRoute(TEXT, AUDIO), CutRoute("answer", AUDIO, layers=(1,)), CutRoute(AUDIO, AUDIO, layers=(0,)),
        CutRoute("answer", AUDIO, heads=(1,)),
    ],
    "omni": [
        CutRoute(TEXT, IMAGE), CutRoute(TEXT, AUDIO, layers=(0,)), CutRoute("answer", TEXT),
        CutRoute(TEXT, AUDIO, heads=(1,)),
    ],
    "qwen3-omni": [
        CutRoute(TEXT, AUDIO, "language"), CutRoute("answer", TEXT, "language", (1,)),
        CutRoute("answer", TEXT, "language", (0,), (2,)),
    ],
    "llava": [
        CutRoute(TEXT, IMAGE, "language"), CutRoute("answer", IMAGE, "language", (0,)),
        CutRoute(IMAGE, IMAGE, "vision", (0,)), CutRoute(TEXT, TEXT), CutRoute("answer", SPECIAL),
        CutRoute("answer", IMAGE, "language", (1,), (1,)),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def models(checkpoint: Callable[[str], Any]) -> Callable[[str], Any]:
    """Returns a model by its kind; each is made once."""
    return cache(lambda kind: MODELS[kind](checkpoint))


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_every_cut_is_minus_infinity(kind: str, implementation: str, models: Callable[[str], Any]) -> None:
    model = models(kind)
    model.module.set_attn_implementation(implementation)
    backend, sample = LocalBackend("cpu", {NAME: model}), sample_for(kind)
    plain = backend.run([Request(NAME, sample)])[0]
    written = tuple(plain.made_by.get("answer", ()))
    answered = answering(model, sample, written) if written else model
    cuts = [_named(cut, plain) for cut in CUTS[kind]]
    sweep = tuple((cut,) for cut in (*cuts, CutRoute(TEXT, IMAGE, layers=())))
    swept = backend.run([Request(NAME, sample, maps=False, answer=written, sweep=sweep)])[0]
    tensors, changes = answered.prepare(sample).tensors, []
    for number, cut in enumerate(cuts):
        blocked = blocked_by_hand(plain, cut)
        with minus_infinity(model.module, blocked):
            logits, log_p = answer_logits(answered, tensors)
        expected = (logits.double().log_softmax(-1) if log_p is None else log_p).numpy()
        record = backend.run([Request(NAME, sample, (cut,), answer=written)])[0]
        np.testing.assert_allclose(answers_of(record), expected, rtol=ROUNDING, atol=LIMIT, err_msg=str(cut))
        np.testing.assert_allclose(answers_of(swept, number), expected, rtol=ROUNDING, atol=LIMIT, err_msg=str(cut))
        for attn_map in record.maps:
            for pairs in blocked.get(attn_map.name, ()):
                assert not attn_map.weights[pairs].any(), "the map holds the weights after the cut"
        assert record.made_by["parity"] < 1e-4
        changes.append(np.abs(expected - answers_of(plain)).max())
    assert min(changes) > 1e-5, "every cut changes something"
    np.testing.assert_allclose(answers_of(swept, len(cuts)), answers_of(plain), atol=LIMIT, err_msg="nothing is cut")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["t5", "llava"])
def test_cutting_nothing_changes_nothing(kind: str, models: Callable[[str], Any]) -> None:
    backend, sample = LocalBackend("cpu", {NAME: models(kind)}), sample_for(kind)
    plain = backend.run([Request(NAME, sample)])[0]
    for cut in (CutRoute(TEXT, IMAGE, layers=()), CutRoute(TEXT, TEXT, heads=()), CutRoute(ChosenTokens(()), TEXT)):
        same = backend.run([Request(NAME, sample, (cut,))])[0]
        assert same.answers == plain.answers and same.notices == plain.notices
        for attn_map, other in zip(same.maps, plain.maps, strict=True):
            assert np.array_equal(attn_map.weights, other.weights)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["t5", "llava"])
def test_the_edges_of_a_head_are_masked_as_by_hand(
    kind: str, models: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_edges, "DEAD", 0.0)  # random weights move the answer by little
    model = models(kind)
    backend, sample = LocalBackend("cpu", {NAME: model}), sample_for(kind)
    plain = backend.run([Request(NAME, sample)])[0]
    written = tuple(plain.made_by.get("answer", ()))
    request = Request(NAME, sample, answer=written)
    effects = measure_head_ablation(backend, request, plain)
    needed = max(effects, key=lambda effect: abs(effect.effect))
    edges = head_edges.measure_head_edges(backend, request, plain, needed.map, needed.head)
    assert edges.effect == pytest.approx(needed.effect, abs=LIMIT) and edges.together
    attn_map = plain.maps[needed.map]
    pairs = np.zeros((attn_map.heads, *attn_map.shape), np.bool_)
    for edge in edges.together:
        pairs[needed.head][np.ix_(edge.queries, edge.keys)] = True
    answered = answering(model, sample, written) if written else model
    with minus_infinity(model.module, {attn_map.name: [pairs]}):
        logits, log_p = answer_logits(answered, answered.prepare(sample).tensors)
    answer = plain.answers[0]
    after = float(logits.double().log_softmax(-1)[answer.index] if log_p is None else log_p.sum())
    assert edges.together[-1].together == pytest.approx(after - math.log(answer.probability), abs=2 * LIMIT)


def answers_of(record: AttentionRecord, variant: int | None = None) -> NDArray[np.float64]:
    """Returns the log-probabilities of the tokens of a written answer, else of all answers by their index."""
    if record.answer_log_probabilities is not None:
        row: NDArray[np.float64] = record.answer_log_probabilities[0 if variant is None else 1 + variant]
        return row
    values = np.zeros(len(record.answers))
    own = [math.log(answer.probability) for answer in record.answers]
    assert record.sweep is not None or variant is None
    values[[answer.index for answer in record.answers]] = own if variant is None else record.sweep[variant]  # type: ignore[index]
    return values


def sample_for(kind: str) -> Sample:
    """Returns the inputs that a model reads."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (48, 60, 3), dtype=np.uint8)
    wave = (rng.standard_normal(12_000) * 0.1).astype(np.float32)
    image, audio = (None if kind == "qwen3-omni" else pixels), (None if kind == "llava" else (wave, 16_000))
    return make_sample(image=image, text="What is this thing?", audio=audio)


def _named(cut: CutRoute, record: AttentionRecord) -> CutRoute:
    """Returns a cut whose stack, given by a part of its name, has its whole name."""
    stack = next((stack for stack in record.stacks if cut.stack and cut.stack in stack), cut.stack)
    return replace(cut, stack=stack)
