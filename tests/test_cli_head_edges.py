"""``mmviz heads --edges``: the edges of one head, as the library measures them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cli_experiments import INPUTS

from mmviz.cli import main
from mmviz.experiments.head_ablation import measure_head_ablation
from mmviz.experiments.head_edges import measure_head_edges
from mmviz.explain import run_sample
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.page import say
from mmviz.inputs import make_sample
from mmviz.report.edge_table import edges_summary

pytestmark = pytest.mark.slow

_, IMAGE, _, TEXT, _, AUDIO = INPUTS


@pytest.mark.long
def test_the_edges_of_a_head_are_those_of_the_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_sample(make_sample(image=IMAGE, text=TEXT, audio=AUDIO))
    record, request, backend = run.record, run.rerun_request(), run.backend
    assert backend is not None
    fusion = record.maps[0].stack  # a head of the sound tower costs ten times as much: the encoders run for each edge
    effects = measure_head_ablation(backend, request, record)
    needed = min(
        (effect for effect in effects if record.maps[effect.map].stack == fusion), key=lambda effect: effect.effect
    )
    ref = str(record.map_ref(needed.map, needed.head))
    path = tmp_path / "edges.json"
    assert main(["heads", *INPUTS, "--edges", ref, "--json", str(path)]) == 0
    printed, progress = capsys.readouterr()
    document = json.loads(path.read_text("utf-8"))
    edges = measure_head_edges(backend, request, record, needed.map, needed.head)
    assert [row["keys"] for row in document["edges"]] == [list(edge.keys) for edge in edges.edges]
    for name in ("effect", "together"):
        values = [getattr(edge, name) for edge in edges.together]
        assert [row[name] for row in document["edges"][: len(values)]] == pytest.approx(values, abs=1e-5)
    assert document["map"] == ref and document["effect"] == pytest.approx(needed.effect, abs=1e-5)
    assert edges_summary(record, edges) in printed and say("edges-column-keys") in printed
    assert f"--edges {ref}" in document["command"] and "at most about" in progress


@pytest.mark.parametrize("ref", ["1:mean", "rollout", "99:0", "nonsense"])
def test_what_is_no_head_is_one_sentence(ref: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["heads", *INPUTS, "--edges", ref]) != 0
    told = capsys.readouterr().err
    assert sentence("map-unknown", map_ref=ref, known="@").split("@")[0] in told and "5:3" in told
