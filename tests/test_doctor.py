"""``mmviz doctor``: the checks of capture on this machine, and their text."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from planted import Planted, kinds

import mmviz
from mmviz.capture.capture_route_probe import route_check
from mmviz.capture.recorder import EAGER, SDPA, SDPA_LSE
from mmviz.cli.commands.doctor import all_passed, diagnose, to_text
from mmviz.i18n.errors_and_notices import sentence


@pytest.fixture(scope="module")
def findings() -> dict[str, Any]:
    return diagnose("toy", mmviz.LocalBackend("cpu"))


def test_every_implementation_of_attention_passes_on_the_cpu(findings: dict[str, Any]) -> None:
    checks = {check["implementation"]: check for check in findings["probes"] if check["device"] == "cpu"}
    assert all_passed(findings) and len(checks) == 11
    assert checks["scaled_dot_product_attention"]["route"] == checks["with a bias"]["route"] == SDPA_LSE
    assert checks["softmax and matmul"]["route"] == checks["softmax and einsum"]["route"] == EAGER
    assert {check["route"] for check in checks.values()} <= {SDPA, SDPA_LSE, EAGER}
    assert checks["softmax and matmul"]["difference"] is None
    assert 0 < checks["bfloat16"]["difference"] < 5e-5 and checks["causal"]["parity"] < 1e-5


def test_the_attention_of_the_model_is_listed_by_module_path(findings: dict[str, Any]) -> None:
    (check,) = findings["modules"]
    assert (check["module"], check["route"], check["heads"]) == ("attention", EAGER, 1)
    assert findings["notices"] == [] and json.loads(json.dumps(findings)) == findings
    text = to_text(findings)
    assert sentence("doctor-well") in text and "attention" in text
    assert all(check["implementation"] in text for check in findings["probes"])


def test_a_failed_check_is_marked_and_changes_the_verdict(findings: dict[str, Any]) -> None:
    refused = {"module": "layers.0", "route": EAGER, "passed": False, "problem": "Rows do not sum to 1."}
    beyond = findings["modules"][0] | {"passed": False}
    text = to_text(findings | {"modules": [refused, beyond]})
    assert not all_passed(findings | {"modules": [refused]})
    assert "Rows do not sum to 1." in text and "BEYOND TOLERANCE" in text and sentence("doctor-ill") in text


def test_attention_whose_tensors_do_not_fit_together_fails_its_check() -> None:
    with mmviz.capture(model := Planted("matmul")) as result:
        model(kinds(6)[None])
    (call,) = result.attention_calls()
    assert route_check(call)["passed"]
    call.attn_output.zero_()
    check = route_check(call)
    assert not check["passed"] and check["module"] == "attention" and "problem" in check


class Renamed(torch.nn.Module):
    """Attention of four heads in a module that says it has five."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.inner, self.num_heads = torch.nn.Linear(8, 8), heads

    def forward(self, x: torch.Tensor, is_sorted: bool = False) -> torch.Tensor:
        query = self.inner(x).unflatten(-1, (4, 2)).transpose(1, 2)
        key = query.sort(2).values if is_sorted else query
        return torch.nn.functional.scaled_dot_product_attention(query, key, query).transpose(1, 2).flatten(2)


class Tower(torch.nn.Module):
    """Two layers in a list, and two logits."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.ModuleList(Renamed(heads) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return x[:, 0, :2]


class Half(Tower):
    """A third layer, whose weights are no softmax, so that its attention is missing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (torch.sigmoid(x @ x.mT) @ x)[:, 0, :2] + super().forward(x)


class SharedLayer(Tower):
    """One layer that runs three times; the last two times its keys are sorted by their numbers, so none is a token."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for is_sorted in (False, True, True):
            x = x + self.layers[0](x, is_sorted)
        return x[:, 0, :2]


def findings_of(heads: int, tower: type[Tower] = Tower) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    own = mmviz.CustomModel(
        tower(heads), lambda sample: (torch.randn(1, 3, 8, generator=generator), list("abc")), ["a", "b"]
    )
    return mmviz.LocalBackend("cpu", {"own": own}).model_checks("own", mmviz.make_sample(text="abc"))


def test_the_meaning_of_each_map_is_listed() -> None:
    findings = findings_of(4)
    first, second = findings["meaning"]
    assert (first["module"], first["layer"], second["layer"]) == ("layers.0", 0, 1)
    assert first["stack"] == second["stack"] and first["queries"] == first["keys"] and first["tokens"] == [3, 3]
    assert (first["heads"], first["own_heads"], first["samples"], first["windows"]) == (4, [4], 1, 0)
    assert first["passed"] and findings["left_out"] == [] and findings["refused"] == ""
    whole = findings | {"probes": [], "machine": diagnosed_machine(), "versions": {}, "model": "own"}
    assert all_passed(whole) and "layers.1" in to_text(whole) and "4 heads (the module names 4)" in to_text(whole)


def test_attention_that_was_not_captured_changes_the_verdict() -> None:
    findings = findings_of(4, Half)
    whole = findings | {"probes": [], "machine": diagnosed_machine(), "versions": {}, "model": "own"}
    (missing,) = findings["left_out"]
    assert "sigmoid" in missing["reason"] and missing["reason"] not in findings["notices"]
    assert len(findings["meaning"]) == 2 and not all_passed(whole) and sentence("doctor-unclear") in to_text(whole)


def test_each_run_of_a_shared_layer_that_is_left_out_is_listed_and_changes_the_verdict() -> None:
    findings = findings_of(4, SharedLayer)
    whole = findings | {"probes": [], "machine": diagnosed_machine(), "versions": {}, "model": "own"}
    assert [check["module"] for check in findings["meaning"]] == ["layers.0"] and len(findings["modules"]) == 3
    assert [entry["module"] for entry in findings["left_out"]] == ["layers.0"] * 2
    assert all("left out" in entry["reason"] for entry in findings["left_out"])
    assert not all_passed(whole) and sentence("doctor-unclear") in to_text(whole)


def test_heads_that_contradict_the_module_are_not_shown_or_marked() -> None:
    findings = findings_of(5)
    whole = findings | {"probes": [], "machine": diagnosed_machine(), "versions": {}, "model": "own"}
    assert not all_passed(whole) and sentence("doctor-unclear") in to_text(whole)
    assert findings["refused"] or all(check["problems"] == ["heads"] for check in findings["meaning"])


def test_attention_that_is_left_out_is_named_and_changes_the_verdict(findings: dict[str, Any]) -> None:
    left_out = findings | {"left_out": [{"module": "layers.7", "reason": "Its heads cannot be told apart."}]}
    assert not all_passed(left_out) and all_passed(findings)
    text = to_text(left_out)
    assert "layers.7: Its heads cannot be told apart." in text and sentence("doctor-unclear") in text
    assert sentence("doctor-ill") not in text and sentence("doctor-well") not in text
    contradicting = findings["meaning"][0] | {"passed": False, "problems": ["samples"]}
    assert "CONTRADICTS THE MODEL: samples" in to_text(findings | {"meaning": [contradicting]})


def diagnosed_machine() -> dict[str, Any]:
    return {"name": "n", "system": "s", "devices": ["cpu"], "device": "cpu", "threads": 1}


def test_an_attention_of_many_tokens_is_checked_at_the_rows_that_are_kept() -> None:
    with mmviz.capture(model := Planted("matmul")) as result:
        model(kinds(1_100)[None])
    (call,) = result.attention_calls()
    check = route_check(call)
    assert check["passed"] and check["queries"] == 1_100 > call.attn_output.shape[2]
    call.attn_output[:, :, -1] += 1
    assert not route_check(call)["passed"], "the last row is among them"
