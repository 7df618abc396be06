"""Answers of many words: the shares of attention of each, its probability without some inputs, and effects on it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_checkpoints  # first: it sets what transformers reads
import torch
import transformers

import mmviz
from mmviz import Modality, Sample, Token, make_sample
from mmviz.analysis.answer_shares import answer_log_probability, answer_shares, written_log_probability
from mmviz.analysis.available_maps import last_keys
from mmviz.backends import wire
from mmviz.backends.local import LocalBackend
from mmviz.cli import main
from mmviz.experiments.faithfulness import FLAT, curve_requests, measure_faithfulness
from mmviz.experiments.language_prior import measure_language_prior, removals
from mmviz.experiments.modality_shapley import effect_requests
from mmviz.experiments.sweep_requests import sweep_effects, sweep_requests
from mmviz.i18n.minus_sign import MINUS
from mmviz.io.run_file import from_bytes, to_bytes
from mmviz.models.custom_model_factory import load
from mmviz.report import ViewerData
from mmviz.types import AblateHead, DropModality, MmvizError, PooledMap, ReplaceInput, Request
from mmviz.viewer.binary_format import decode

pytestmark = pytest.mark.slow

PIXELS = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
QUESTION = "What is this?"


@pytest.fixture(scope="module")
def run(llava_spec: str, llava_backend: LocalBackend) -> mmviz.Run:
    return mmviz.explain(
        image=PIXELS, text=QUESTION, model=llava_spec, backend=llava_backend, options={"new_tokens": 6}
    )


def test_shares_worked_out_by_hand() -> None:
    kinds = [Modality.IMAGE, Modality.TEXT, Modality.AUDIO, Modality.SPECIAL, Modality.TEXT, Modality.TEXT]
    keys = [Token(kind, "t") for kind in kinds]
    rows = np.array([[0.4, 0.1, 0.3, 0.2, 0, 0], [0.1, 0.1, 0.25, 0.25, 0.3, 0]])
    shares = answer_shares(rows, (4, 5), keys, (4, 5))
    assert shares.groups == ("image", "text", "audio", "special", "answer")
    assert shares.queries == (3, 4), "a word is written from the token before it"
    np.testing.assert_allclose(shares.shares, [[0.4, 0.1, 0.3, 0.2, 0], [0.1, 0.1, 0.25, 0.25, 0.3]])
    assert answer_shares(rows, (4, 5), keys, ()).groups == ("image", "text", "audio", "special")
    with pytest.raises(ValueError, match="do not fit"):
        answer_shares(rows[:, 1:], (4, 5), keys, (4, 5))


def test_the_shares_of_each_word_are_those_of_its_query_and_sum_to_1(run: mmviz.Run) -> None:
    shares = run.answer_shares()
    tokens = run.record.streams["language_model"]
    assert shares is not None and shares.words == tuple(range(len(tokens) - 6, len(tokens)))
    assert shares.queries[0] == run.answer_query
    np.testing.assert_allclose(shares.shares.sum(1), 1, atol=1e-6)
    image = [k for k, token in enumerate(tokens) if token.modality is Modality.IMAGE]
    for row, query in zip(shares.shares, shares.queries, strict=True):
        weights = run.attention(token=query)
        assert row[shares.groups.index("image")] == pytest.approx(weights[image].sum(), abs=1e-6)
        assert row[shares.groups.index("answer")] == pytest.approx(weights[-6:].sum(), abs=1e-6)
    assert shares.shares[0, shares.groups.index("answer")] == 0, "there is no earlier word"
    tower = next(m for m in run.record.maps if m.stack != run.record.default_stack)
    number = run.record.maps.index(tower)
    assert run.answer_shares(run.record.map_ref(number)) is None, "patches are no words"
    summary = run.summary()["answer_shares"]
    assert summary["shares"] == shares.shares.tolist() and len(summary["words"]) == 6


def by_hand(llava_folder: Path, answer: list[int], with_image: bool) -> np.ndarray:
    """Returns the log-probability of each token of an answer as transformers alone gives it, ``[token]``."""
    processor = transformers.AutoProcessor.from_pretrained(llava_folder)
    model = transformers.LlavaForConditionalGeneration.from_pretrained(llava_folder, attn_implementation="eager").eval()
    content = [{"type": "image"}] * with_image + [{"type": "text", "text": QUESTION}]
    prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    pictures = {"images": [PIXELS]} if with_image else {}
    inputs = dict(processor(text=[prompt], return_tensors="pt", **pictures))
    first = inputs["input_ids"].shape[1]
    ids = torch.cat([inputs["input_ids"], torch.tensor([answer])], 1)
    with torch.no_grad():
        logits = model(input_ids=ids, pixel_values=inputs.get("pixel_values")).logits.double().log_softmax(-1)
    values: np.ndarray = logits[0, first - 1 : -1].gather(-1, torch.tensor(answer)[:, None])[:, 0].numpy()
    return values


def test_the_prior_of_each_word_is_that_of_the_same_words_without_the_picture(
    llava_folder: Path, llava_backend: LocalBackend, run: mmviz.Run
) -> None:
    steps: list[tuple[int, int]] = []
    assert run.request is not None
    prior = measure_language_prior(llava_backend, run.request, lambda *step: steps.append(step))
    assert prior is not None and prior.removed == ((), (Modality.IMAGE,)) and steps == [(1, 2), (2, 2)]
    answer = run.record.made_by["answer"]
    assert list(prior.words) == [token.label for token in run.record.streams["language_model"][-6:]]
    for row, with_image in zip(prior.log_probabilities, (True, False), strict=True):
        np.testing.assert_allclose(row, by_hand(llava_folder, answer, with_image), rtol=1e-6)
    np.testing.assert_allclose(prior.evidence, prior.log_probabilities[0] - prior.log_probabilities[1])
    assert np.abs(prior.evidence).max() > 1e-3, "the picture matters for some word"
    summary = run.summary()["language_prior"]
    assert [row["without"] for row in summary["rows"]] == [[], ["image"]] and summary["required"] == []
    assert [row["log_probabilities"] for row in summary["rows"]] == prior.log_probabilities.tolist()
    assert measure_language_prior(llava_backend, run.request, stop=lambda: True) is None


@pytest.mark.slow
def test_what_a_model_cannot_do_without_is_named(tmp_path: Path) -> None:
    path = tiny_checkpoints.save_checkpoint("whisper", tmp_path)
    whisper = LocalBackend("cpu", {"w": load(f"hf:{path}", "cpu")})
    wave = (np.sin(np.arange(16_000) / 9) / 2).astype(np.float32)
    request = Request("w", make_sample(audio=(wave, 16_000)), options=(("new_tokens", 3),))
    (record,) = whisper.run([request])
    data = ViewerData(mmviz.Run(request.sample, record, whisper, request))
    header, sections = decode(data.to_bytes())
    ref = header["initial_view"]["map"]
    shown = record.maps[record.map_number(mmviz.MapRef.parse(ref))]
    assert isinstance(shown, PooledMap), "a map of 1,500 moments has not all its weights in a record"
    rows = [f"row/{ref}/from/{word - 1}" for word in header["answer_words"]["decoder"]]
    assert len(rows) == len(record.made_by["answer"]) and set(rows) <= set(sections), (
        "the viewer has those of the words"
    )
    other = ref.replace("mean", "0")
    assert len(decode(data.encode_sections([f"row/{other}/from/0"]))[1]) == len(rows), "and of any map that it shows"
    assert record.made_by["settings"] == {"new_tokens": 3}, "a system prompt would change nothing"
    with pytest.raises(MmvizError, match="system"):
        whisper.run([replace(request, options=(("system", "x"),))])
    prior = measure_language_prior(whisper, request)
    assert prior is not None and prior.required == (Modality.AUDIO,)
    assert prior.removed == ((),) and prior.log_probabilities.shape == (1, len(prior.words))
    with pytest.raises(MmvizError) as refused:
        measure_language_prior(LocalBackend("cpu"), Request("toy", Sample(text="left")))
    assert refused.value.code == "prior-model"


def test_picture_and_sound_are_removed_alone_and_together() -> None:
    both = make_sample(image=PIXELS, text="a", audio=(np.zeros(16_000, np.float32) + 0.1, 16_000))
    image, audio = Modality.IMAGE, Modality.AUDIO
    assert removals(both) == [(), (image,), (audio,), (image, audio)]
    assert removals(Sample(text="a")) == [()]


@pytest.mark.parametrize("part", [(2,), (0, 1), (1, 4)])
def test_a_run_about_some_words_gives_their_log_probability(
    llava_folder: Path, llava_backend: LocalBackend, run: mmviz.Run, part: tuple[int, ...]
) -> None:
    assert run.request is not None
    answer = run.record.made_by["answer"]
    request = replace(run.request, answer_part=part)
    (record,) = llava_backend.run([request])
    with_image, without = (by_hand(llava_folder, answer, is_there)[list(part)].sum() for is_there in (True, False))
    assert np.log(record.answers[0].probability) == pytest.approx(with_image, rel=1e-6)
    assert record.made_by["answer_part"] == list(part)
    assert record.made_by["answer_token"][1] == run.answer_query + part[0], "the token before the first wrote it"
    (swept,) = llava_backend.run([replace(request, maps=False, sweep=((), (DropModality(Modality.IMAGE),)))])
    assert swept.sweep is not None
    np.testing.assert_allclose(swept.sweep[:, 0], [with_image, without], rtol=1e-6)
    assert run.about_words(part).record.answers == record.answers


def test_effects_of_some_words_keep_the_answer_and_the_settings(llava_backend: LocalBackend, run: mmviz.Run) -> None:
    assert run.request is not None
    request = replace(run.request, answer_part=(3,))
    for planned in (*effect_requests(request), *sweep_requests(request, [()], 8)):
        assert (planned.answer, planned.answer_part, planned.options) == (request.answer, (3,), request.options)
    for part in ((6,), (0, 9)):
        with pytest.raises(MmvizError) as refused:
            llava_backend.run([replace(request, answer_part=part)])
        assert refused.value.code == "answer-part" and "6 tokens" in str(refused.value)
    with pytest.raises(MmvizError) as refused:
        llava_backend.run([Request("toy", Sample(text="left"), answer_part=(0,))])
    assert refused.value.code == "answer-part-model"


def test_variants_of_one_shape_run_in_one_call(
    llava_spec: str, llava_backend: LocalBackend, run: mmviz.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run.request is not None
    number = next(k for k, m in enumerate(run.record.maps) if m.stack == run.record.default_stack)
    heads = [(AblateHead(number, head),) for head in range(4)]
    sweep = (*heads, (ReplaceInput(Modality.IMAGE, "mean"),), (DropModality(Modality.IMAGE),))
    llava_backend.run([replace(run.request, maps=False, changes=heads[0])])  # which attention the maps are is kept
    model = llava_backend._models[llava_spec]
    rows: list[int] = []
    forward = model.token_log_probabilities  # type: ignore[attr-defined]

    def counted(self: object, tensors: object) -> torch.Tensor:
        rows.append(tensors.rows)  # type: ignore[attr-defined]
        log_p: torch.Tensor = forward.__func__(self, tensors)
        return log_p

    monkeypatch.setattr(type(model), "token_log_probabilities", counted)
    request = replace(run.request, maps=False)
    (together,) = llava_backend.run([replace(request, sweep=sweep)])
    assert rows == [1, 5, 1, 1], "the run, a batch, the row of it that is checked, and the row of another shape"
    alone = [llava_backend.run([replace(request, sweep=(variant,))])[0] for variant in sweep]
    assert together.sweep is not None and together.answer_log_probabilities is not None
    expected = np.concatenate([record.answer_log_probabilities[1:] for record in alone])  # type: ignore[index]
    np.testing.assert_allclose(together.answer_log_probabilities[1:], expected, atol=2e-5)
    np.testing.assert_allclose(together.sweep[:, 0], expected.sum(1), atol=1e-4)


def test_words_and_their_probabilities_survive_files_and_the_wire(run: mmviz.Run) -> None:
    assert run.request is not None and run.record.answer_log_probabilities is not None
    _, loaded = from_bytes(to_bytes(run.sample, run.record))
    assert loaded == run.record and wire.record_from_bytes(wire.record_to_bytes(run.record)) == run.record
    request = replace(run.request, answer_part=(1, 3))
    assert wire.request_from_bytes(wire.request_to_bytes(request)).answer_part == (1, 3)
    for damage in ({"answer": 5}, {"answer": ["x"]}, {"answer_part": [-1]}, {"answer": [1]}):
        damaged = replace(run.record, made_by={**run.record.made_by, **damage})
        with pytest.raises(MmvizError):
            from_bytes(to_bytes(run.sample, damaged))


def test_faithfulness_is_about_the_log_probability(run: mmviz.Run, llava_backend: LocalBackend) -> None:
    assert run.request is not None
    curves = measure_faithfulness(
        llava_backend, run.request, run.record, {"random": np.arange(len(last_keys(run.record)))}, "mean"
    )
    assert curves is not None and run.record.answers[0].probability < FLAT
    curve, requests = curves["random"], curve_requests(
        run.request, last_keys(run.record), {"random": np.arange(len(last_keys(run.record)))}, "mean"
    )  # fmt: skip
    (first, *_) = llava_backend.run(requests)
    assert first.sweep is not None and not curve.is_flat
    whole, nothing, some = written_log_probability(run.record), first.sweep[0, 0], first.sweep[1, 0]
    assert whole is not None and curve.random[0, 1] == pytest.approx((some - nothing) / (whole - nothing), abs=1e-6)


def test_a_run_from_a_file_is_made_again_by_the_backend_that_has_its_model(
    run: mmviz.Run, llava_backend: LocalBackend, tmp_path: Path
) -> None:
    part = run.about_words([1, 3])
    part.save(tmp_path / "run.npz")
    loaded = mmviz.Run.load(tmp_path / "run.npz")
    request = loaded.rerun_request(llava_backend)
    assert (request.answer, request.answer_part) == (tuple(run.record.made_by["answer"]), (1, 3))
    assert request.options == (("new_tokens", 6),)
    assert loaded.effect(backend=llava_backend) == part.effect()
    assert loaded.about_words([2], llava_backend).record.answers == run.about_words([2]).record.answers
    with pytest.raises(MmvizError) as refused:
        loaded.effect()
    assert refused.value.code == "effect-model"


def test_an_answer_too_improbable_for_a_float_is_compared_by_its_logarithm(run: mmviz.Run) -> None:
    written = np.full((2, 6), -200.0)
    written[1] -= 0.5
    record = replace(
        run.record, answers=tuple(replace(a, probability=p) for a, p in zip(run.record.answers, (0, 1), strict=True)),
        sweep=np.stack([written.sum(1)[1:], [0.0]], 1), answer_log_probabilities=written,
    )  # fmt: skip
    assert answer_log_probability(record) == -1200
    assert [effect for effect, *_ in sweep_effects(record)] == pytest.approx([-3.0])


def test_a_control_writes_an_answer_of_its_own(llava_folder: Path, tmp_path: Path) -> None:
    arguments = ["compare", "--text", QUESTION, "--model", f"hf:{llava_folder}", "--new-tokens", "4"]
    assert main([*arguments, "--other-control", "shuffled", "--json", str(tmp_path / "b.json")]) == 0
    table = json.loads((tmp_path / "b.json").read_text())
    assert table["answer"] != table["other"]["answer"]


def test_the_command_line_is_about_chosen_words(
    llava_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["explain", "--text", QUESTION, "--model", f"hf:{llava_folder}", "--words"]
    file = tmp_path / "run.json"
    assert main([*arguments, "3,2", "--json", str(file)]) == 0
    summary = json.loads(file.read_text())
    assert summary["made_by"]["answer_part"] == [1, 2]
    prior = summary["language_prior"]
    assert len(prior["words"]) == len(summary["made_by"]["answer"]) == len(summary["answer_shares"]["words"])
    chosen = sum(prior["rows"][0]["log_probabilities"][1:3])
    assert np.log(next(iter(summary["probabilities"].values()))) == pytest.approx(chosen, rel=1e-6)
    assert f"log-probability: {MINUS}{-chosen:.2f} nats" in capsys.readouterr().out, "of the chosen words, not of all"
    for wrong in ("x", "0", "1,"):
        assert main([*arguments, wrong]) == 2
        assert "--words" in capsys.readouterr().err
