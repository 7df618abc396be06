"""The lens: answers that form where they are planted, the model's own answer after the last layer, and refusals."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import lens_models
import numpy as np
import pytest
import torch
from lens_models import ANSWERS, COPIES_AT, SCALE, SOURCE, forming, usual

import mmviz
from mmviz.backends import replay, wire
from mmviz.backends.local import LocalBackend
from mmviz.cli import main
from mmviz.experiments.lens import Lens, lens_requests, measure_lens, read_lens
from mmviz.io.npz import pack_npz
from mmviz.io.run_file import from_bytes, to_bytes
from mmviz.report.lens_table import layer_names, lens_table, misleads, rows
from mmviz.types import (
    ANSWER,
    AblateHead,
    AttentionRecord,
    CaptureError,
    CutRoute,
    MmvizError,
    Modality,
    Request,
    Sample,
    ShuffleWeights,
    UniformAttention,
)

SAMPLE = Sample(text="x")
EXACT = 1e-6


def lens_of(model: mmviz.CustomModel, **request: Any) -> Lens:
    lens = measure_lens(LocalBackend("cpu", {"m": model}), Request("m", SAMPLE, **request))
    assert lens is not None
    return lens


def record_of(model: mmviz.CustomModel) -> AttentionRecord:
    (record,) = LocalBackend("cpu", {"m": model}).run(lens_requests(Request("m", SAMPLE)))
    return record


def on_paper(held: torch.Tensor) -> np.ndarray:
    """Log-probabilities ``[token, answer]`` of what tokens hold: SCALE times their direction, normalised."""
    scores = SCALE * held.double() / held.double().norm(dim=-1, keepdim=True)
    log_p: np.ndarray = (scores - scores.exp().sum(-1, keepdim=True).log()).numpy()
    return log_p


def test_an_answer_forms_in_the_layer_that_writes_it() -> None:
    lens = lens_of(forming())
    held = lens_models.holdings()
    written = held.clone()
    written[0] += held[SOURCE]
    assert lens.reading.layers == ("blocks.0:input", "blocks.0", "blocks.1", "blocks.2")
    assert lens.reading.through == ("final_norm", "answer_head") and lens.reading.answer == "dog"
    for layer in range(4):
        expected = on_paper(written if layer >= COPIES_AT else held)
        for token in range(len(lens.tokens)):
            assert dict(lens.answers_of(layer, token)) == pytest.approx(
                dict(zip(ANSWERS, expected[token], strict=True)), abs=EXACT
            )
        np.testing.assert_allclose(lens.reading.answer_log_probabilities[layer], expected[:, 1], atol=EXACT)
    steps = lens.forming()
    assert [step.answers[0][0] for step in steps] == ["cat", "cat", "dog", "dog"]
    assert [step.rank for step in steps] == [2, 2, 1, 1] and lens.formed_at == COPIES_AT
    assert [step.answers[0][0] for step in lens.forming(SOURCE)] == ["dog"] * 4
    assert lens.reading.answer_token == 0 and lens.tokens[0].label == "token 0"


def test_a_model_with_uniform_attention_forms_no_dog() -> None:
    """Then token 0 adds a fifth of everything to half a cat: (0.8, 0.2, 0.2, 0.2), a cat."""
    lens = lens_of(forming(), changes=(UniformAttention(),))
    assert lens.reading.answer == "cat" and lens.formed_at == 0
    expected = on_paper(torch.tensor([[0.8, 0.2, 0.2, 0.2]]))[0]
    assert lens.reading.answer_log_probabilities[-1, 0] == pytest.approx(expected[0], abs=EXACT)


def test_a_lens_of_an_ablated_head_is_that_of_the_run_without_it() -> None:
    lens = lens_of(forming(), changes=(AblateHead(COPIES_AT - 1, 0),))
    assert [step.answers[0][0] for step in lens.forming()] == ["cat"] * 4 and lens.reading.answer == "cat"
    kept = lens_of(forming(), changes=(AblateHead(0, 0),))
    assert [step.answers[0][0] for step in kept.forming()] == ["cat", "cat", "dog", "dog"]
    assert lens_of(usual(), changes=(AblateHead(1, 0),)).reading.parity <= EXACT


def test_a_lens_of_a_cut_route_is_that_of_the_run_with_the_cut() -> None:
    cut = CutRoute(ANSWER, Modality.IMAGE)
    sample = mmviz.make_sample(image=np.zeros((32, 32, 3), np.uint8), text="what is it")
    backend = LocalBackend("cpu")
    lenses = [measure_lens(backend, Request("trio", sample, changes=changes)) for changes in ((), (cut,))]
    (record,) = backend.run([Request("trio", sample, (cut,))])
    assert lenses[0] is not None and lenses[1] is not None
    answers = [(answer.label, pytest.approx(math.log(answer.probability), abs=EXACT)) for answer in record.answers]
    assert list(lenses[1].forming()[-1].answers) == answers[: len(lenses[1].forming()[-1].answers)]
    before, after = (lens.reading.answer_log_probabilities[-1] for lens in lenses if lens is not None)
    assert np.abs(before - after).max() > 0.01, "the cut moves the answer"


def test_layers_norm_and_head_of_a_usual_module_are_found_and_give_its_answer() -> None:
    model = usual()
    record = record_of(model)
    lens = read_lens([record])
    assert lens is not None
    assert lens.reading.layers == ("encoder.layers.0:input", *(f"encoder.layers.{k}" for k in range(3)))
    assert lens.reading.through == ("norm", "head") and lens.reading.answer_token == 3
    last = lens.forming()[-1]
    assert [answer for answer, _ in last.answers] == [answer.label for answer in record.answers]
    assert [p for _, p in last.answers] == pytest.approx(
        [math.log(answer.probability) for answer in record.answers], abs=EXACT
    )
    assert lens.reading.parity <= EXACT and last.rank == 1
    states = model.module.embed(model.prepare(SAMPLE).tensors)  # type: ignore[operator]
    for layer, step in enumerate(lens.reading.layers):
        if not step.endswith(":input"):
            states = model.module.get_submodule(step)(states)
        log_p = model.module.head(model.module.norm(states))[0].double().log_softmax(-1)  # type: ignore[operator]
        index = ANSWERS.index(lens.reading.answer)
        np.testing.assert_allclose(
            lens.reading.answer_log_probabilities[layer], log_p[:, index].detach().numpy(), atol=1e-5
        )


def test_named_parts_are_taken() -> None:
    named = lens_of(usual(lens_layers="encoder.layers", lens_norm="norm", lens_head="head"))
    assert named.reading == lens_of(usual()).reading
    module = lens_models.Usual()

    def head(states: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = module.head(module.norm(states))
        return logits

    own = lens_of(usual(lens_head=head))
    assert own.reading.through == ("head",) and own.reading.layers == named.reading.layers
    np.testing.assert_allclose(own.reading.answer_log_probabilities, named.reading.answer_log_probabilities, atol=EXACT)


def test_a_lens_that_does_not_end_with_the_answer_is_refused() -> None:
    for model in (usual(pools=True), usual(lens_head=lambda states: states[:, :4]), usual(answer_token=1)):
        with pytest.raises(MmvizError) as error:
            lens_of(model)
        assert error.value.code == "lens-parity" and "lens_head" in str(error.value)


def test_a_lens_of_shuffled_weights_is_that_of_the_shuffled_model() -> None:
    lens = lens_of(usual(), changes=(ShuffleWeights(4),))
    plain = lens_of(usual())
    assert lens.reading.parity <= EXACT
    assert not np.allclose(lens.reading.answer_log_probabilities[1], plain.reading.answer_log_probabilities[1])


@pytest.mark.parametrize(
    ("head", "code"),
    [(lambda states: states @ torch.ones(3, 4), "own-raised"), (lambda states: states[0], "own-output")],
)
def test_a_readout_that_fails_is_told_in_a_sentence(head: Any, code: str) -> None:
    with pytest.raises(MmvizError) as error:
        lens_of(usual(lens_head=head))
    assert error.value.code == code


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lens_layers": "encoder.layer"}, ("lens_layers='encoder.layer'", "encoder.layers")),
        ({"lens_layers": "head"}, ("lens_layers='head'",)),
        ({"lens_norm": "nrom"}, ("lens_norm='nrom'", "norm")),
        ({"lens_head": "heads"}, ("lens_head='heads'", "head")),
    ],
)
def test_a_part_that_is_not_there_is_named_with_what_is_near(options: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(MmvizError) as error:
        usual(**options)
    assert error.value.code == "lens-path" and all(word in str(error.value) for word in words)


def test_a_model_without_layers_or_readout_says_so() -> None:
    with pytest.raises(MmvizError) as error:
        measure_lens(LocalBackend("cpu"), Request("toy", Sample(text="left")))
    assert error.value.code == "lens-model"
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    module = torch.nn.Sequential(layer, torch.nn.Flatten(1), torch.nn.Linear(24, 4))
    with pytest.raises(MmvizError) as error:
        lens_of(mmviz.CustomModel(module, lambda sample: (torch.zeros(1, 3, 8), ["a", "b", "c"]), ANSWERS))
    assert error.value.code == "lens-undetected" and "lens_layers" in str(error.value)


def test_a_run_without_a_lens_has_none() -> None:
    (record,) = LocalBackend("cpu", {"m": usual()}).run([Request("m", SAMPLE)])
    assert record.lens is None
    with pytest.raises(LookupError):
        read_lens([record])
    assert read_lens([]) is None
    assert measure_lens(LocalBackend("cpu", {"m": usual()}), Request("m", SAMPLE), stop=lambda: True) is None


def test_a_lens_survives_files_and_the_wire_and_fits_its_stream() -> None:
    record = record_of(usual())
    request = lens_requests(Request("m", SAMPLE))[0]
    assert wire.request_from_bytes(wire.request_to_bytes(request)) == request and request.lens
    assert wire.record_from_bytes(wire.record_to_bytes(record)) == record
    assert from_bytes(to_bytes(SAMPLE, record))[1].lens == record.lens and record.lens is not None
    with pytest.raises(CaptureError) as error:
        replace(record, streams={name: tokens[:-1] for name, tokens in record.streams.items()}, maps=())
    assert error.value.code == "lens-shape"
    data = wire.record_to_bytes(record)
    with np.load(io.BytesIO(data)) as file:
        parts = {name: file[name] for name in file.files}
    header = json.loads(parts.pop("header").tobytes())
    for field, value in (("answer_token", 99), ("labels", []), ("layers", "ab"), ("parity", None), ("answers", True)):
        damaged = {**header, "lens": {**header["lens"], field: value}}
        with pytest.raises(MmvizError) as refused:
            wire.record_from_bytes(pack_npz(damaged, parts))
        assert refused.value.code == "wire-unreadable"
    for damage in ({"answer_token": 6}, {"labels": ("cat",)}, {"layers": ("a",)}, {"answers": 1}):
        with pytest.raises(ValueError):
            replace(record.lens, **damage)


def test_rows_csv_and_json_hold_the_whole_grid() -> None:
    lens = lens_of(forming())
    grid = rows(lens)
    assert len(grid) == 4 * 5 and [row["layer"] for row in grid[::5]] == [0, 1, 2, 3]
    assert [row["is_answer_token"] for row in grid[:5]] == [True, False, False, False, False]
    best = lens.forming(4)[-1].answers[0]
    assert (grid[-1]["top_1"], grid[-1]["top_1_log_probability"]) == best and best[0] == "cat"
    table = lens_table(Request("m", SAMPLE), record_of(forming()), lens, "mmviz lens --text x")
    lines = list(csv.DictReader(table.to_csv().splitlines()))
    assert len(lines) == 20 and lines[2]["label"] == "token 2" and lines[2]["top_1"] == "dog"
    assert [float(line["answer_log_probability"]) for line in lines] == [row["answer_log_probability"] for row in grid]
    document = json.loads(table.to_json())
    assert document["lens"] == grid and document["command"] == "mmviz lens --text x"
    assert document["followed"] == document["answer"] == "dog" and document["formed_at"] == COPIES_AT
    assert "From layer 2 of 3 on" in document["about"][1]
    assert len(document["misleads"]) == 2 and "Belrose et al. 2023" in document["misleads"][0]


def test_a_lens_without_what_enters_counts_its_layers_from_one() -> None:
    lens = lens_of(forming())
    cut = {
        name: getattr(lens.reading, name)[1:]
        for name in ("layers", "top", "top_log_probabilities", "answer_ranks", "answer_log_probabilities")
    }
    rest = replace(lens, reading=replace(lens.reading, **cut))
    assert layer_names(lens) == ["input", "1", "2", "3"] and layer_names(rest) == ["1", "2", "3"]
    assert [step.layer for step in rest.forming()] == [1, 2, 3] and rest.formed_at == lens.formed_at == COPIES_AT
    assert [row["layer"] for row in rows(rest)] == [row["layer"] for row in rows(lens)[5:]]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["trio", "trio-reduced"])
def test_the_lens_of_the_bundled_models_is_that_of_their_states(kind: str, sample: Sample) -> None:
    """The states that the network itself returns, read as it reads its answer token."""
    backend = LocalBackend("cpu")
    (record,) = backend.run(lens_requests(Request(kind, sample)))
    lens = read_lens([record])
    assert lens is not None and lens.reading.answer_token == 0 and lens.reading.parity <= EXACT
    expected = {answer.label: math.log(answer.probability) for answer in record.answers[:5]}
    assert dict(lens.forming()[-1].answers) == pytest.approx(expected, abs=EXACT)
    model = backend._models[kind]
    network: Any = model.module
    with torch.no_grad():
        states = network(model.prepare(sample).tensors).states
        index = model.card.answers.index(record.answers[0].label)
        for layer, state in enumerate(states, 1):
            log_p = network.answer_logits(state[0]).double().log_softmax(-1)
            np.testing.assert_allclose(lens.reading.answer_log_probabilities[layer], log_p[:, index], atol=1e-5)
            best = [model.card.answers[int(k)] for k in log_p.argmax(1)]
            assert [lens.answers_of(layer, token)[0][0] for token in range(len(lens.tokens))] == best
    assert "for the token that answers alone" in misleads(lens)[1]


def test_a_recorded_run_does_not_answer_for_a_lens() -> None:
    request = Request("trio", SAMPLE)
    assert replay._needs_a_model(lens_requests(request)[0]) and not replay._needs_a_model(request)


@pytest.mark.slow
def test_kinds_whose_answer_comes_from_several_streams_have_none(sample: Sample) -> None:
    with pytest.raises(MmvizError) as error:
        measure_lens(LocalBackend("cpu"), Request("late", sample))
    assert error.value.code == "lens-joined" and "trio-reduced" in str(error.value)


@pytest.mark.slow
def test_the_command_prints_how_the_answer_forms_and_writes_the_grid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = {kind: str(tmp_path / f"lens.{kind}") for kind in ("json", "csv")}
    words = ["lens", "--text", "is there a dog in the picture?", "--json", out["json"], "--csv", out["csv"]]
    assert main(words) == 0
    printed = capsys.readouterr().out
    document = json.loads(Path(out["json"]).read_text())
    assert document["command"].startswith("mmviz lens --text 'is there a dog") and document["model"] == "trio"
    of_answer = [row for row in document["lens"] if row["is_answer_token"]]
    table = printed.split("\n\n")[1].splitlines()
    assert len(table) == 1 + len(of_answer) == 8 and f"rank of {document['answer']}" in table[0]
    for line, row in zip(table[1:], of_answer, strict=True):
        assert row["top_1"] in line and f"  {row['answer_rank']} " in line
    assert of_answer[-1]["answer_rank"] == 1 and of_answer[-1]["top_1"] == document["answer"]
    assert len(list(csv.DictReader(Path(out["csv"]).read_text().splitlines()))) == len(document["lens"])
    assert main([*words[:3], "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["lens"] == document["lens"]
    assert (
        main(["lens", "--text", "a", "--csv", "-"]) == 2 and "--csv needs the name of a file" in capsys.readouterr().err
    )
