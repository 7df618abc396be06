"""The result of a capture: planted patterns, streams, calls, uncaptured attention, and that nothing stays behind."""

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
from eager_attention import KernelAttention, LinearAttention
from planted import HEADS, Planted, expected, kinds
from torch import Tensor, nn

import mmviz
from mmviz.types import CaptureError, Modality, PooledMap, Token

DEADLINE = 60.0
"""Seconds for a thread to finish."""


def captured(model: nn.Module, *args: Any, **kwargs: Any) -> mmviz.capture.CaptureResult:
    """Returns the result of a capture of one call of ``model``."""
    with torch.no_grad(), mmviz.capture(model) as result:
        model(*args, **kwargs)
    return result


@pytest.mark.parametrize("implementation", ["fused", "grouped", "einsum", "matmul"])
def test_a_planted_pattern_is_captured_as_on_paper(implementation: str) -> None:
    kind = torch.stack([kinds(30), kinds(30, 1)])
    record = captured(Planted(implementation), kind).record()
    assert [attn_map.name for attn_map in record.maps] == ["attention"] and record.notices == ()
    for sample in range(2):
        assert np.abs(record.maps[0].weights[sample] - expected(kind[sample])).max() < 1e-6


@pytest.mark.parametrize("implementation", ["fused", "matmul"])
def test_a_planted_pattern_is_captured_at_any_length(implementation: str) -> None:
    kind = kinds(1500)
    result = captured(Planted(implementation), kind[None])
    truth = expected(kind)
    view = result.view("attention")
    assert np.abs(view.rows([3, 1499], 1) - truth[1][[3, 1499]]).max() < 1e-6
    assert np.abs(view.rows([7]) - truth[:, [7]].mean(0)).max() < 1e-6
    assert np.abs(view.columns([0, 700], 0) - truth[0][:, [0, 700]]).max() < 1e-6
    assert np.abs(view.zoom(range(90, 101), range(1400, 1451), 1) - truth[1][90:100, 1400:1450]).max() < 1e-6
    means = truth[0][200:1400].reshape(2, 600, 1500)[:, :, :900].mean(1).reshape(2, 3, 300).mean(2)
    assert np.abs(view.zoom([200, 800, 1400], [0, 300, 600, 900], 0) - means).max() < 1e-6


def test_a_long_map_holds_exact_means_and_sums() -> None:
    kind = kinds(1100)
    modalities = [Modality.IMAGE, Modality.TEXT, Modality.AUDIO, Modality.SPECIAL]
    sizes = (500, 90, 509, 1)
    tokens = [
        Token(modality, f"{modality} {k}")
        for modality, size in zip(modalities, sizes, strict=True)
        for k in range(size)
    ]
    (pooled,) = captured(Planted(), kind[None]).record(tokens).maps
    truth = expected(kind)
    assert isinstance(pooled, PooledMap) and pooled.shape == (1100, 1100) and pooled.heads == HEADS
    ends = np.cumsum((0, *sizes))
    assert set(ends) <= set(pooled.query_edges) and pooled.overview.shape == (HEADS, 512, 512)
    for (q0, q1), row in zip(pairwise(pooled.query_edges), range(512), strict=True):
        if row % 100 == 0:
            means = np.add.reduceat(truth[1][q0:q1].mean(0), pooled.key_edges[:-1]) / np.diff(pooled.key_edges)
            assert np.abs(pooled.overview[1, row] - means).max() < 1e-6
    for number, (start, end) in enumerate(pairwise(ends)):
        assert np.abs(pooled.row_modality_sums[0, :, number] - truth[0][:, start:end].sum(1)).max() < 1e-5
        assert np.abs(pooled.column_modality_sums[1, :, number] - truth[1][start:end].sum(0)).max() < 1e-4
    assert pooled.largest == pytest.approx(truth.max((1, 2)), abs=1e-6)
    with pytest.raises(CaptureError) as error:
        _ = pooled.weights
    assert error.value.code == "map-long"


def test_the_largest_weight_may_lie_in_any_row_tile() -> None:
    query, key = torch.randn(2, 1, 2, 1100, 8, generator=torch.Generator().manual_seed(0))
    query[0, 0, 40] *= 9
    query[0, 1, 1050] *= 9

    class Attend(nn.Module):
        def forward(self, query: Tensor, key: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(query, key, key)

    (pooled,) = captured(Attend(), query, key).record().maps
    truth = (query.double() @ key.double().transpose(-2, -1) / 8**0.5).softmax(-1)[0]
    assert truth[0].argmax() // 1100 == 40 and truth[1].argmax() // 1100 == 1050
    assert pooled.largest == pytest.approx(truth.amax((1, 2)).numpy(), abs=1e-6)


def test_the_modality_matrix_of_a_view_is_that_of_the_weights() -> None:
    kind = kinds(700)
    tokens = [Token(Modality.IMAGE if k < 300 else Modality.TEXT, str(k)) for k in range(700)]
    matrix = captured(Planted(), kind[None]).view(0).modality_matrix(tokens, tokens)
    truth = expected(kind)
    assert matrix.shape == (HEADS, 4, 4)
    for head in range(HEADS):
        assert matrix[head, 0, 1] == pytest.approx(truth[head][:300, 300:].sum(1).mean(), abs=1e-5)
        assert matrix[head, 1, 1] == pytest.approx(truth[head][300:, 300:].sum(1).mean(), abs=1e-5)
    assert matrix[:, 2:].max() == matrix[:, :, 2:].max() == 0


class Two(nn.Module):
    """Text that attends to itself and to an image."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.cross_attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, words: Tensor, patches: Tensor) -> Tensor:
        words = self.self_attention(words, words, words, need_weights=False)[0]
        output: Tensor = self.cross_attention(words, patches, patches)[0]
        return output


@pytest.mark.parametrize("count", [5, 3])
def test_streams_of_queries_and_keys_are_told_apart_even_at_equal_length(count: int) -> None:
    result = captured(Two().eval(), torch.randn(1, 3, 8), torch.randn(1, count, 8))
    record = result.record()
    pairs = [(attn_map.queries, attn_map.keys) for attn_map in record.maps]
    assert pairs == [("tokens", "tokens"), ("tokens", "memory")]
    assert {name: len(tokens) for name, tokens in record.streams.items()} == {"tokens": 3, "memory": count}
    named = result.record({"tokens": list("abc"), "memory": [Token(Modality.IMAGE, str(k)) for k in range(count)]})
    assert named.streams["memory"][0].modality is Modality.IMAGE
    rows = {name: result.rollout([0], keys=name) for name in ("tokens", "memory")}
    weights = [result.view(number).full().mean(0, np.float64)[0] for number in range(2)]
    own = (np.eye(3)[0] + weights[0]) / 2
    np.testing.assert_allclose(rows["tokens"][0], own / 2, atol=1e-6)
    np.testing.assert_allclose(rows["memory"][0], weights[1] / 2, atol=1e-6)


def test_names_of_tokens_are_kept_where_their_number_tells_the_stream() -> None:
    result = captured(Two().eval(), torch.randn(1, 3, 8), torch.randn(1, 5, 8))
    record = result.record({"words": list("abc"), "patches": list("01234")})
    assert [(attn_map.queries, attn_map.keys) for attn_map in record.maps] == [("words", "words"), ("words", "patches")]
    with pytest.raises(CaptureError) as error:
        result.record(list("abcd"))
    assert error.value.code == "capture-tokens" and "'tokens' with 3, 'memory' with 5" in str(error.value)
    with pytest.raises(CaptureError) as error:
        result.record("abc")
    assert error.value.code == "capture-token-kind"


def test_a_call_and_a_sample_are_chosen_by_number() -> None:
    model = Planted()
    with torch.no_grad(), mmviz.capture(model) as result:
        model(torch.stack([kinds(6), kinds(6, 1)]))
        model(kinds(9)[None])
    assert result.calls == ("Planted", "Planted")
    assert result.record(call=0, batch=1).maps[0].weights.shape == (HEADS, 6, 6)
    assert result.record(call=1).maps[0].weights.shape == (HEADS, 9, 9)
    for options, code in (({}, "capture-calls"), ({"call": 2}, "capture-call")):
        with pytest.raises(CaptureError) as error:
            result.record(**options)
        assert error.value.code == code
    for options, code in (({}, "capture-batch-choose"), ({"batch": 2}, "capture-batch")):
        with pytest.raises(CaptureError) as error:
            result.view(0, call=0, **options)
        assert error.value.code == code


@pytest.mark.parametrize(
    ("access", "code"),
    [
        (lambda result: result.view("elsewhere"), "capture-map"),
        (lambda result: result.view(1), "capture-map"),
        (lambda result: result.view(0).rows([6]), "view-tokens"),
        (lambda result: result.view(0).columns([-1]), "view-tokens"),
        (lambda result: result.view(0).rows([0], HEADS), "view-head"),
        (lambda result: result.view(0).zoom([0, 7], [0, 6]), "view-edges"),
        (lambda result: result.view(0).zoom([3, 3], [0, 6]), "view-edges"),
        (lambda result: result.rollout([6]), "view-tokens"),
    ],
)
def test_attention_that_does_not_exist_is_refused(access: Any, code: str) -> None:
    result = captured(Planted(), kinds(6)[None])
    with pytest.raises(CaptureError) as error:
        access(result)
    assert error.value.code == code


class Sum(nn.Module):
    """Attention whose weights are multiplied and summed, not matrix-multiplied."""

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.softmax(x @ x.transpose(-2, -1), -1)
        return (weights.unsqueeze(-1) * x.unsqueeze(-3)).sum(-2)


@pytest.mark.parametrize(
    ("module", "code", "excerpt"),
    [
        (Sum(), "uncaptured-softmax", "[1, 5, 5]"),
        (KernelAttention(), "uncaptured-kernel", "flash"),
        (LinearAttention(), "uncaptured-module", "1 ran"),
    ],
    ids=["sum", "kernel", "linear"],
)
def test_uncaptured_attention_is_named(module: nn.Module, code: str, excerpt: str) -> None:
    x = torch.randn(1, 5, 8)
    with torch.no_grad():
        plain = module(x)
        with mmviz.capture(module) as result:
            output = module(x)
    assert torch.equal(plain, output)
    if code != "uncaptured-module":  # the name of the model itself tells nothing
        with pytest.raises(CaptureError) as error:
            result.record()
        assert error.value.code == "capture-nothing" and excerpt in str(error.value)
    both = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), module).eval()
    record = captured(both, x).record()
    assert [attn_map.name for attn_map in record.maps] == ["0.self_attn"]
    (notice,) = record.notices
    assert notice.code == code and excerpt in str(notice) and notice.parameters["module"] == "1"


def test_a_softmax_that_is_no_attention_is_not_named() -> None:
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.attention(x, x, x)[0].mean(1).softmax(-1)

    assert captured(Classifier().eval(), torch.randn(1, 4, 8)).record().notices == ()


def test_what_is_no_module_or_has_no_attention_is_refused() -> None:
    linear = nn.Linear(2, 2)
    with pytest.raises(CaptureError) as error:
        captured(linear, torch.randn(1, 2)).record()
    assert error.value.code == "capture-nothing" and "Linear" in str(error.value)
    with mmviz.capture(linear) as result:
        pass
    with pytest.raises(CaptureError) as error:
        result.record()
    assert error.value.code == "capture-not-run"
    for model, code in (("a model", "capture-kind"), (torch.jit.script(linear), "capture-script")):
        with pytest.raises(CaptureError) as error, mmviz.capture(model):
            pass
        assert error.value.code == code


def leftovers(model: nn.Module) -> list[Any]:
    hooks = [hook for part in model.modules() for hook in (*part._forward_hooks, *part._forward_pre_hooks)]
    stacks = torch.overrides._get_current_function_mode_stack()
    return hooks + stacks + torch.utils._python_dispatch._get_current_dispatch_mode_stack()


class Fails(nn.Module):
    """Raises ``problem`` after its attention."""

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


def test_module_paths_are_right_after_an_exception_that_the_model_caught() -> None:
    class Catches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fails, self.works = Fails(RuntimeError("in the middle")), Planted()

        def forward(self, kind: Tensor) -> Tensor:
            with suppress(RuntimeError):
                self.fails(kind)
            output: Tensor = self.works(kind)
            return output + F.scaled_dot_product_attention(output, output, output)

    names = [call.module for call in captured(Catches(), kinds(5)[None]).all_attention_calls]
    assert names == ["fails.inner.attention", "works.attention", "Catches"]


def test_a_torchscript_submodule_is_skipped() -> None:
    both = nn.Sequential(torch.jit.script(nn.Linear(8, 8)), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True))
    assert [attn_map.name for attn_map in captured(both.eval(), torch.randn(1, 5, 8)).record().maps] == ["1.self_attn"]


@pytest.mark.slow
def test_threads_that_share_a_model_do_not_mix() -> None:
    model = Planted()
    wrong: list[str] = []

    def work(number: int) -> None:
        for turn in range(60):
            kind = kinds(5 + number, 60 * number + turn)
            (attn_map,) = captured(model, kind[None]).record().maps
            if attn_map.weights.shape[-1] != 5 + number or np.abs(attn_map.weights - expected(kind)).max() > 1e-6:
                wrong.append(f"{number}, {turn}")

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    assert wrong == [] and leftovers(model) == []


COMPILED = """
import threading, numpy as np, torch, mmviz
from torch import nn
plain = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
x = torch.randn(1, 5, 8)
runs = []
def backend(graph, inputs):
    def run(*args):
        runs.append(len(inputs))
        return graph.forward(*args)
    return run
compiled = torch.compile(plain, backend=backend)
with torch.no_grad():
    compiled(x)
    assert len(runs) == 1
    with mmviz.capture(plain) as result: plain(x)
    reference = result.record().maps[0].weights
    entered, leave = threading.Event(), threading.Event()
    def other():
        with mmviz.capture(compiled): entered.set(); leave.wait(30)
    thread = threading.Thread(target=other, daemon=True); thread.start(); entered.wait(30)
    with mmviz.capture(compiled) as result: compiled(x)
    (attn_map,) = result.record().maps
    assert attn_map.name == "self_attn", attn_map.name
    assert np.abs(attn_map.weights - reference).max() < 1e-6
    compiled(x)
    assert len(runs) == 1, "another capture is still open"
    leave.set(); thread.join(30)
    compiled(x)
    assert len(runs) == 2, "compiled again, once no capture is open"
    plain.compile(backend=backend)
    with mmviz.capture(plain) as result: plain(x)
    assert len(result.record().maps) == 1
"""


@pytest.mark.slow
def test_a_compiled_model_is_captured_uncompiled_and_compiled_again_afterwards() -> None:
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]


def test_fully_masked_queries_are_noted_in_short_and_long_maps() -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            mask = torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool)
            mask[2] = False
            return F.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    for count in (6, 600):
        record = captured(Masked(), torch.randn(1, 2, count, 4)).record()
        (notice,) = record.notices
        assert notice.code == "fully-masked" and (notice.parameters["count"], notice.parameters["of"]) == (1, count)


def test_an_output_that_is_overwritten_is_checked_as_it_was() -> None:
    class Adds(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(x, x, x).add_(1)

    for count in (6, 600):
        record = captured(Adds(), torch.randn(1, 2, count, 4)).record()
        assert record.notices == () and record.made_by["parity"] < 1e-5
