"""``mmviz doctor``: the checks of capture on this machine, and their text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from planted import Planted, kinds

import mmviz
from mmviz.capture.recorder import EAGER, SDPA, SDPA_LSE
from mmviz.capture.route_probe import route_check
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
