"""What `mmviz.capture` says of a model: planted patterns, streams, calls, what it missed, and that nothing stays."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from planted import HEADS, Planted, expected, kinds
from torch import Tensor, nn

import mmviz
from mmviz.types import CaptureError, Modality, PooledMap, Token


def seen_of(model: nn.Module, *given: Any, **named: Any) -> Any:
    with torch.no_grad(), mmviz.capture(model) as seen:
        model(*given, **named)
    return seen


@pytest.mark.parametrize("how", ["fused", "grouped", "einsum", "matmul"])
def test_a_planted_pattern_is_found_as_on_paper(how: str) -> None:
    kind = torch.stack([kinds(30), kinds(30, 1)])
    record = seen_of(Planted(how), kind).record()
    assert [found.name for found in record.maps] == ["attention"] and record.notices == ()
    for sample in range(2):
        assert np.abs(record.maps[0].weights[sample] - expected(kind[sample])).max() < 1e-6


@pytest.mark.parametrize("how", ["fused", "matmul"])
def test_a_planted_pattern_is_found_at_any_length(how: str) -> None:
    kind = kinds(1500)
    seen = seen_of(Planted(how), kind[None])
    truth = expected(kind)
    view = seen.view("attention")
    assert np.abs(view.rows([3, 1499], 1) - truth[1][[3, 1499]]).max() < 1e-6
    assert np.abs(view.rows([7]) - truth[:, [7]].mean(0)).max() < 1e-6
    assert np.abs(view.columns([0, 700], 0) - truth[0][:, [0, 700]]).max() < 1e-6
    assert np.abs(view.zoom(range(90, 101), range(1400, 1451), 1) - truth[1][90:100, 1400:1450]).max() < 1e-6
    means = truth[0][200:1400].reshape(2, 600, 1500)[:, :, :900].mean(1).reshape(2, 3, 300).mean(2)
    assert np.abs(view.zoom([200, 800, 1400], [0, 300, 600, 900], 0) - means).max() < 1e-6


def test_a_long_map_holds_exact_means_and_sums() -> None:
    kind = kinds(1100)
    of = [Modality.IMAGE, Modality.TEXT, Modality.AUDIO, Modality.SPECIAL]
    sizes = (500, 90, 509, 1)
    tokens = [Token(one, f"{one} {k}") for one, size in zip(of, sizes, strict=True) for k in range(size)]
    (found,) = seen_of(Planted(), kind[None]).record(tokens).maps
    truth = expected(kind)
    assert isinstance(found, PooledMap) and found.shape == (1100, 1100) and found.heads == HEADS
    ends = np.cumsum((0, *sizes))
    assert set(ends) <= set(found.query_edges) and found.overview.shape == (HEADS, 512, 512)
    for (q0, q1), row in zip(pairwise(found.query_edges), range(512), strict=True):
        if row % 100 == 0:
            means = np.add.reduceat(truth[1][q0:q1].mean(0), found.key_edges[:-1]) / np.diff(found.key_edges)
            assert np.abs(found.overview[1, row] - means).max() < 1e-6
    for number, (start, end) in enumerate(pairwise(ends)):
        assert np.abs(found.given[0, :, number] - truth[0][:, start:end].sum(1)).max() < 1e-5
        assert np.abs(found.column_modality_sums[1, :, number] - truth[1][start:end].sum(0)).max() < 1e-4
    assert found.largest == pytest.approx(truth.max((1, 2)), abs=1e-6)
    with pytest.raises(CaptureError) as refusal:
        _ = found.weights
    assert refusal.value.code == "map-long"


def test_the_largest_weight_may_lie_in_any_strip() -> None:
    query, key = torch.randn(2, 1, 2, 1100, 8, generator=torch.Generator().manual_seed(0))
    query[0, 0, 40] *= 9
    query[0, 1, 1050] *= 9

    class Attend(nn.Module):
        def forward(self, query: Tensor, key: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(query, key, key)

    (found,) = seen_of(Attend(), query, key).record().maps
    truth = (query.double() @ key.double().transpose(-2, -1) / 8**0.5).softmax(-1)[0]
    assert truth[0].argmax() // 1100 == 40 and truth[1].argmax() // 1100 == 1050
    assert found.largest == pytest.approx(truth.amax((1, 2)).numpy(), abs=1e-6)


def test_the_modality_matrix_of_a_view_is_that_of_the_weights() -> None:
    kind = kinds(700)
    tokens = [Token(Modality.IMAGE if k < 300 else Modality.TEXT, str(k)) for k in range(700)]
    found = seen_of(Planted(), kind[None]).view(0).modality_matrix(tokens, tokens)
    truth = expected(kind)
    assert found.shape == (HEADS, 4, 4)
    for head in range(HEADS):
        assert found[head, 0, 1] == pytest.approx(truth[head][:300, 300:].sum(1).mean(), abs=1e-5)
        assert found[head, 1, 1] == pytest.approx(truth[head][300:, 300:].sum(1).mean(), abs=1e-5)
    assert found[:, 2:].max() == found[:, :, 2:].max() == 0


class Two(nn.Module):
    """Words that attend to themselves and to patches."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.MultiheadAttention(8, 2, batch_first=True)
        self.across = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, words: Tensor, patches: Tensor) -> Tensor:
        words = self.own(words, words, words, need_weights=False)[0]
        found: Tensor = self.across(words, patches, patches)[0]
        return found


@pytest.mark.parametrize("count", [5, 3])
def test_streams_are_told_apart_even_where_they_are_as_long(count: int) -> None:
    seen = seen_of(Two().eval(), torch.randn(1, 3, 8), torch.randn(1, count, 8))
    record = seen.record()
    assert [(one.queries, one.keys) for one in record.maps] == [("tokens", "tokens"), ("tokens", "memory")]
    assert {name: len(tokens) for name, tokens in record.streams.items()} == {"tokens": 3, "memory": count}
    named = seen.record({"tokens": list("abc"), "memory": [Token(Modality.IMAGE, str(k)) for k in range(count)]})
    assert named.streams["memory"][0].modality is Modality.IMAGE
    with pytest.raises(CaptureError) as refusal:
        seen.rollout([0])
    assert refusal.value.code == "flow-streams"


def test_given_names_stay_where_the_number_of_tokens_tells_them() -> None:
    seen = seen_of(Two().eval(), torch.randn(1, 3, 8), torch.randn(1, 5, 8))
    record = seen.record({"words": list("abc"), "patches": list("01234")})
    assert [(one.queries, one.keys) for one in record.maps] == [("words", "words"), ("words", "patches")]
    with pytest.raises(CaptureError) as refusal:
        seen.record(list("abcd"))
    assert refusal.value.code == "capture-tokens" and "'tokens' with 3, 'memory' with 5" in str(refusal.value)
    with pytest.raises(CaptureError) as refusal:
        seen.record("abc")
    assert refusal.value.code == "capture-token-kind"


def test_a_call_and_a_sample_are_chosen_by_number() -> None:
    model = Planted()
    with torch.no_grad(), mmviz.capture(model) as seen:
        model(torch.stack([kinds(6), kinds(6, 1)]))
        model(kinds(9)[None])
    assert seen.calls == ("Planted", "Planted")
    assert seen.record(call=0, batch=1).maps[0].weights.shape == (HEADS, 6, 6)
    assert seen.record(call=1).maps[0].weights.shape == (HEADS, 9, 9)
    for wrong, code in (({}, "capture-calls"), ({"call": 2}, "capture-call")):
        with pytest.raises(CaptureError) as refusal:
            seen.record(**wrong)
        assert refusal.value.code == code
    for wrong, code in (({}, "capture-batch-choose"), ({"batch": 2}, "capture-batch")):
        with pytest.raises(CaptureError) as refusal:
            seen.view(0, call=0, **wrong)
        assert refusal.value.code == code


@pytest.mark.parametrize(
    ("look", "code"),
    [
        (lambda seen: seen.view("elsewhere"), "capture-map"),
        (lambda seen: seen.view(1), "capture-map"),
        (lambda seen: seen.view(0).rows([6]), "view-tokens"),
        (lambda seen: seen.view(0).columns([-1]), "view-tokens"),
        (lambda seen: seen.view(0).rows([0], HEADS), "view-head"),
        (lambda seen: seen.view(0).zoom([0, 7], [0, 6]), "view-edges"),
        (lambda seen: seen.view(0).zoom([3, 3], [0, 6]), "view-edges"),
        (lambda seen: seen.rollout([6]), "view-tokens"),
    ],
)
def test_what_is_not_there_is_refused_in_words(look: Any, code: str) -> None:
    seen = seen_of(Planted(), kinds(6)[None])
    with pytest.raises(CaptureError) as refusal:
        look(seen)
    assert refusal.value.code == code


class Sum(nn.Module):
    """Attention whose weights are multiplied and summed, not matrix-multiplied."""

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.softmax(x @ x.transpose(-2, -1), -1)
        return (weights.unsqueeze(-1) * x.unsqueeze(-3)).sum(-2)


class Kernel(nn.Module):
    """A kernel that is called by its own name."""

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, None]
        found: Tensor = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(x, x, x)[0][:, 0]
        return found


class LinearAttention(nn.Module):
    """Attention without a softmax."""

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(x) @ (F.elu(x).transpose(-2, -1) @ x)


class Flex(nn.Module):
    """Attention by a program of its own."""

    def forward(self, x: Tensor) -> Tensor:
        from torch.nn.attention.flex_attention import flex_attention

        found: Tensor = flex_attention(x[:, None], x[:, None], x[:, None])[:, 0]
        return found


@pytest.mark.parametrize(
    ("part", "code", "words"),
    [
        (Sum(), "capture-unheard-softmax", "[1, 5, 5]"),
        (Kernel(), "capture-unheard-kernel", "flash"),
        (LinearAttention(), "capture-unheard-module", "1 ran"),
        pytest.param(Flex(), "capture-unheard-kernel", "flex_attention", marks=pytest.mark.slow),
    ],
    ids=["sum", "kernel", "linear", "flex"],
)
def test_attention_that_nobody_caught_is_named(part: nn.Module, code: str, words: str) -> None:
    x = torch.randn(1, 5, 8)
    with torch.no_grad():
        alone = part(x)
        with mmviz.capture(part) as seen:
            watched = part(x)
    assert torch.equal(alone, watched)
    if code != "capture-unheard-module":  # a module that is the whole model promises nothing
        with pytest.raises(CaptureError) as refusal:
            seen.record()
        assert refusal.value.code == "capture-nothing" and words in str(refusal.value)
    both = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), part).eval()
    record = seen_of(both, x).record()
    assert [found.name for found in record.maps] == ["0.self_attn"]
    (notice,) = record.notices
    assert notice.code == code and words in str(notice) and notice.parameters["module"] == "1"


def test_a_softmax_that_is_no_attention_is_not_named() -> None:
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, x, x)[0].mean(1).softmax(-1)

    assert seen_of(Classifier().eval(), torch.randn(1, 4, 8)).record().notices == ()


def test_what_is_no_model_or_does_not_attend_is_refused_in_words() -> None:
    linear = nn.Linear(2, 2)
    with pytest.raises(CaptureError) as refusal:
        seen_of(linear, torch.randn(1, 2)).record()
    assert refusal.value.code == "capture-nothing" and "Linear" in str(refusal.value)
    with mmviz.capture(linear) as seen:
        pass
    with pytest.raises(CaptureError) as refusal:
        seen.record()
    assert refusal.value.code == "capture-not-run"
    for thing, code in (("a model", "capture-kind"), (torch.jit.script(linear), "capture-script")):
        with pytest.raises(CaptureError) as refusal, mmviz.capture(thing):
            pass
        assert refusal.value.code == code


def leftovers(model: nn.Module) -> list[Any]:
    hooks = [one for part in model.modules() for one in (*part._forward_hooks, *part._forward_pre_hooks)]
    stacks = torch.overrides._get_current_function_mode_stack()
    return hooks + stacks + torch.utils._python_dispatch._get_current_dispatch_mode_stack()


class Fails(nn.Module):
    """Stops in the middle, for one reason or another."""

    def __init__(self, problem: BaseException):
        super().__init__()
        self.inner, self.problem = Planted(), problem

    def forward(self, kind: Tensor) -> Tensor:
        self.inner(kind)
        raise self.problem


@pytest.mark.parametrize("problem", [None, RuntimeError("in the middle"), KeyboardInterrupt()])
def test_nothing_stays_behind(problem: BaseException | None) -> None:
    model = Planted() if problem is None else Fails(problem)
    try:
        with mmviz.capture(model):
            assert leftovers(model)
            model(kinds(5)[None])
    except (RuntimeError, KeyboardInterrupt) as raised:
        assert raised is problem
    else:
        assert problem is None
    assert leftovers(model) == []
    with pytest.raises(CaptureError), mmviz.capture(model, expected=("elsewhere",)):
        pass
    assert leftovers(model) == []


def test_names_are_right_after_a_module_that_failed_and_was_forgiven() -> None:
    class Forgives(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fails, self.works = Fails(RuntimeError("in the middle")), Planted()

        def forward(self, kind: Tensor) -> Tensor:
            with suppress(RuntimeError):
                self.fails(kind)
            found: Tensor = self.works(kind)
            return found + F.scaled_dot_product_attention(found, found, found)

    names = [found.module for found in seen_of(Forgives(), kinds(5)[None]).everything]
    assert names == ["fails.inner.attention", "works.attention", "Forgives"]


def test_a_part_of_torchscript_is_passed_by() -> None:
    both = nn.Sequential(torch.jit.script(nn.Linear(8, 8)), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True))
    assert [found.name for found in seen_of(both.eval(), torch.randn(1, 5, 8)).record().maps] == ["1.self_attn"]


def test_threads_share_a_model_without_a_mix_up() -> None:
    model = Planted()
    wrong: list[str] = []

    def work(number: int) -> None:
        for turn in range(60):
            kind = kinds(5 + number, 60 * number + turn)
            (found,) = seen_of(model, kind[None]).record().maps
            if found.weights.shape[-1] != 5 + number or np.abs(found.weights - expected(kind)).max() > 1e-6:
                wrong.append(f"{number}, {turn}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and leftovers(model) == []


COMPILED = """
import threading, numpy as np, torch, mmviz
from torch import nn
plain = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
x = torch.randn(1, 5, 8)
runs = []
def backend(graph, inputs):
    def run(*given):
        runs.append(len(inputs))
        return graph.forward(*given)
    return run
compiled = torch.compile(plain, backend=backend)
with torch.no_grad():
    compiled(x)
    assert len(runs) == 1
    with mmviz.capture(plain) as seen: plain(x)
    reference = seen.record().maps[0].weights
    entered, leave = threading.Event(), threading.Event()
    def other():
        with mmviz.capture(compiled): entered.set(); leave.wait(30)
    thread = threading.Thread(target=other); thread.start(); entered.wait(30)
    with mmviz.capture(compiled) as seen: compiled(x)
    (found,) = seen.record().maps
    assert found.name == "self_attn", found.name
    assert np.abs(found.weights - reference).max() < 1e-6
    compiled(x)
    assert len(runs) == 1, "somebody still listens"
    leave.set(); thread.join()
    compiled(x)
    assert len(runs) == 2, "compiled again, once nobody listens"
    plain.compile(backend=backend)
    with mmviz.capture(plain) as seen: plain(x)
    assert len(seen.record().maps) == 1
"""


@pytest.mark.slow
def test_a_compiled_model_is_heard_uncompiled_and_compiled_again_afterwards() -> None:
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_silent_queries_are_noted_and_long_maps_take_them() -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mask = torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool)
            mask[2] = False
            return F.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    for count in (6, 600):
        record = seen_of(Masked(), torch.randn(1, 2, count, 4)).record()
        (notice,) = record.notices
        assert notice.code == "capture-silent" and (notice.parameters["count"], notice.parameters["of"]) == (1, count)


def test_an_output_that_is_written_over_has_been_compared_as_it_was() -> None:
    class Adds(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(x, x, x).add_(1)

    for count in (6, 600):
        record = seen_of(Adds(), torch.randn(1, 2, count, 4)).record()
        assert record.notices == () and record.made_by["parity"] < 1e-5
