"""Fusion kinds: which stream attends to which, shown by the numbers; shared inputs and encoders; training."""

from __future__ import annotations

import lzma
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from app_page import FULL
from feature_chunks import FeatureStore
from torch import Tensor

from mmviz.assets_path import assets_dir
from mmviz.backends.local import LocalBackend
from mmviz.cli import train as command
from mmviz.models.cards import COMPARED, REDUCED, kind_file
from mmviz.models.encoders.picture_encoder import PATCHES
from mmviz.models.fusion_model import FROZEN, FusionModel, build_network
from mmviz.models.fusion_networks import (
    BOTTLENECK_TOKENS,
    FUSION_KINDS,
    STREAMS,
    FusionNetwork,
    attention_modules,
    pairs,
)
from mmviz.models.int8_weights import packed, unpacked
from mmviz.models.trio_model import BundledTrio
from mmviz.models.trio_network import FRAMES, TrioConfig, TrioOutput
from mmviz.training.evaluate.compare_fusions import ALL, _best_maps, is_cross_modal, markdown
from mmviz.training.evaluate.metrics import Score
from mmviz.training.fit.data import ExampleEncoder, Recipe
from mmviz.training.fit.feature_store import open_chunks
from mmviz.training.fit.question_batches import PairStream
from mmviz.training.fit.train_fusions import TrainedFusion, budget, export
from mmviz.training.fit.train_trio import TrainingSession, run_session
from mmviz.training.world.sprites import concepts
from mmviz.training.world.tokenizer import build_tokenizer
from mmviz.types import AttentionRecord, DropModality, DropTokens, MmvizError, Modality, Request

pytestmark = pytest.mark.slow

SIZES = [5, PATCHES**2, FRAMES]
PART = {"text": slice(1, 6), "image": slice(6, 150), "audio": slice(150, 200)}


@cache
def record_of(backend: LocalBackend, kind: str) -> AttentionRecord:
    return backend.run([Request(kind, FULL.sample())])[0]


@cache
def new_network(kind: str) -> FusionNetwork:
    torch.manual_seed(0)
    return FusionNetwork(TrioConfig(40, (1, 2, 3), (), layers=4, mlp_ratio=2), kind).eval()


def tokens() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(1, 200, 192), torch.ones(1, 200, dtype=torch.bool)


@cache
def fused(kind: str, changed: str = "") -> TrioOutput:
    """Returns what a new network computes of the tokens, those of a stream ``changed``."""
    model, (x, valid_mask) = new_network(kind), tokens()
    if changed:
        x[:, PART[changed]] = x[:, PART[changed]].flip(-1)  # the layer norm would remove a shift
    with torch.no_grad():
        return model.fuse(x, valid_mask, SIZES)


def depends(kind: str, of: str, on: str, layer: int) -> bool:
    """Returns whether the states of stream ``of`` after a layer change with the tokens of stream ``on``."""
    first, second = (output.states[layer][:, PART[of]] for output in (fused(kind), fused(kind, on)))
    return not torch.equal(first, second)


@pytest.mark.parametrize("of", STREAMS)
@pytest.mark.parametrize("on", STREAMS)
def test_late_fusion_has_no_attention_across_modalities(of: str, on: str) -> None:
    assert depends("late", of, on, 3) == (of == on)


@pytest.mark.parametrize(("of", "on"), pairs())
def test_bottleneck_tokens_connect_modalities_from_the_second_layer(of: str, on: str) -> None:
    assert not depends("bottleneck", of, on, 0)
    assert depends("bottleneck", of, on, 1)


@pytest.mark.parametrize(("of", "on"), pairs())
def test_crossmodal_pairs_connect_modalities_in_the_first_layer(of: str, on: str) -> None:
    assert depends("crossmodal", of, on, 0)


@pytest.mark.parametrize("kind", FUSION_KINDS)
def test_the_answer_depends_on_all_three_modalities(kind: str) -> None:
    for stream in STREAMS:
        assert not torch.allclose(fused(kind).logits, fused(kind, stream).logits, atol=1e-5)


@pytest.mark.parametrize("kind", FUSION_KINDS)
def test_padding_has_no_effect(kind: str) -> None:
    model, (x, valid_mask) = new_network(kind), tokens()
    valid_mask = valid_mask.clone()
    valid_mask[:, 194:] = False  # the last six frames
    with torch.no_grad():
        padded = model.fuse(x, valid_mask, SIZES).logits
        shorter = model.fuse(x[:, :194], valid_mask[:, :194], [5, PATCHES**2, 44]).logits
    torch.testing.assert_close(padded, shorter, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ALL)
def test_maps_come_from_the_modules_and_streams_of_the_kind(backend: LocalBackend, kind: str) -> None:
    record = record_of(backend, kind)
    if kind in ("trio", REDUCED):
        assert {(attn_map.queries, attn_map.keys) for attn_map in record.maps} == {("tokens", "tokens")}
    else:
        maps = [(attn_map.name, attn_map.queries, attn_map.keys) for attn_map in record.maps]
        assert maps == attention_modules(kind)
        for name in STREAMS:
            labels = [token.modality for token in record.streams[name]]
            extra = BOTTLENECK_TOKENS if kind == "bottleneck" else 0
            assert labels[: 1 + extra] == [Modality.SPECIAL] * (1 + extra) and labels[1 + extra] == name
            assert labels.count(Modality.SPECIAL) == 1 + extra
    is_cross = {attn_map.queries != attn_map.keys for attn_map in record.maps}
    assert is_cross == ({True, False} if kind == "crossmodal" else {False})


@pytest.mark.parametrize("kind", COMPARED)
def test_capture_does_not_change_the_answers(backend: LocalBackend, kind: str) -> None:
    captured, (plain,) = record_of(backend, kind), backend.run([Request(kind, FULL.sample(), maps=False)])
    assert [answer.label for answer in captured.answers[:5]] == [answer.label for answer in plain.answers[:5]]
    assert captured.answers[0].probability == pytest.approx(plain.answers[0].probability, abs=1e-6)


@pytest.mark.parametrize("kind", COMPARED)
def test_a_dropped_modality_equals_a_missing_one(backend: LocalBackend, kind: str) -> None:
    sample = FULL.sample()
    modalities = (Modality.IMAGE, Modality.AUDIO)
    sweep = backend.run([Request(kind, sample, maps=False, sweep=tuple((DropModality(m),) for m in modalities))])[0]
    assert sweep.sweep is not None
    for modality, row in zip(modalities, sweep.sweep, strict=True):
        (missing,) = backend.run([Request(kind, replace(sample, **{modality.value: None}), maps=False)])
        dropped = dict(zip((answer.label for answer in sweep.answers), np.exp(row), strict=True))
        for answer in missing.answers[:10]:
            assert dropped[answer.label] == pytest.approx(answer.probability, abs=1e-5)


def test_dropping_single_tokens_of_several_streams_is_refused(backend: LocalBackend) -> None:
    with pytest.raises(MmvizError, match="late") as refusal:
        backend.run([Request("late", FULL.sample(), (DropTokens((3,)),))])
    assert refusal.value.code == "hide-model"


@pytest.mark.parametrize("kind", COMPARED)
def test_encoders_are_those_of_trio(backend: LocalBackend, kind: str) -> None:
    model, trio = backend._models[kind], backend._models["trio"]
    part = model.module if kind == REDUCED else model.module.get_submodule("trio")
    for name in FROZEN:
        own, theirs = (module.get_submodule(name).state_dict() for module in (part, trio.module))
        assert own.keys() == theirs.keys() and all(torch.equal(own[key], theirs[key]) for key in own)
    assert model.card.weights_digest != trio.card.weights_digest


def test_weights_of_another_kind_are_refused() -> None:
    data = lzma.decompress(kind_file("late").read_bytes())
    for wrong in (data[:1000], data):
        with pytest.raises(MmvizError) as refusal:
            FusionModel("cpu", "crossmodal", wrong)
        assert refusal.value.code == "weights-unreadable"


def test_all_weights_together_are_small_enough() -> None:
    assert sum(path.stat().st_size for path in assets_dir().rglob("*.safetensors*")) <= 40_000_000


def _encoder() -> ExampleEncoder:
    return ExampleEncoder(build_tokenizer(concepts()), concepts())


def pair_stream(store: FeatureStore) -> PairStream:
    recipe = Recipe(scenes=4, questions=2, drop=0.2, many_words=0.2)
    return PairStream(open_chunks(store[0]), open_chunks(store[1]), _encoder(), recipe, 5)


@pytest.mark.long
@pytest.mark.parametrize("kind", COMPARED)
def test_training_lowers_the_loss_and_keeps_the_encoders_frozen(
    kind: str, feature_store: FeatureStore, tmp_path: Path
) -> None:
    session = TrainingSession(budget(1_000), tmp_path, 1, "cpu", None, lambda: TrainedFusion(kind))
    session.scenes = 100  # past the warm-up
    before = {name: tensor.clone() for name, tensor in session.trained.state_dict().items() if _is_frozen(name)}
    batch, rows = next(iter(pair_stream(feature_store))), torch.tensor(_encoder().rows)
    losses = [session.step(batch, rows) for _ in range(12)]
    assert losses[-1]["answer"] < 0.5 * losses[0]["answer"]
    for name, tensor in before.items():
        assert torch.equal(tensor, session.trained.state_dict()[name]), name


def _is_frozen(name: str) -> bool:
    is_running = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    return any(f".{part}." in name for part in FROZEN) and not is_running


@pytest.mark.long
def test_exported_weights_are_the_running_average(feature_store: FeatureStore, tmp_path: Path) -> None:
    stage = replace(budget(8), scenes=8)
    session = TrainingSession(stage, tmp_path / "late", 1, "cpu", None, lambda: TrainedFusion("late"))
    run_session(session, iter(pair_stream(feature_store)), torch.tensor(_encoder().rows))
    export(tmp_path, tmp_path / "fusions")
    exported = lzma.decompress((tmp_path / "fusions" / kind_file("late").name).read_bytes())
    model = FusionModel("cpu", "late", exported)
    average = unpacked(packed({k: v.half() for k, v in session.average.module.model.state_dict().items()}))
    for name, tensor in model.module.state_dict().items():
        if not any(f"{part}." in name for part in FROZEN):
            assert torch.equal(tensor, average[name]), name


def test_the_map_that_points_best_is_chosen() -> None:
    scores = {
        ("late", 0, "image"): Score(3, 10),
        ("late", 3, "image"): Score(7, 10),
        ("late", 2, "audio"): Score(1, 10),
    }
    assert _best_maps(scores) == {("late", "image"): 3, ("late", "audio"): 2}


def test_which_families_are_cross_modal() -> None:
    assert [family for family in ("name", "heard", "count") if is_cross_modal(family)] == []
    assert all(
        is_cross_modal(family) for family in ("there", "said", "seen", "rel", "relheard", "mask", "caption", "odd")
    )


def test_the_table_prints_the_measured_figures() -> None:
    from mmviz.models.question_templates import FAMILIES

    late = {"accuracy": dict.fromkeys(FAMILIES, 0.25), "cross-modal": 0.5, "single modality": 0.75,
            "parameters": 1_500_000, "time": 2.0, "pointing": {"image": 0.6, "audio": 0.7}, "maps": {}}  # fmt: skip
    kinds = {"trio": {**late, "parameters": None}, "late": late}
    result = {"count": 9, "pointing count": 4, "seed": 1, "machine": "m", "kinds": kinds,
             "chance": {"image": 0.1, "audio": 0.2}}  # fmt: skip
    lines = markdown(result).splitlines()
    assert lines[0] == "9 examples a family (pointing: 4), seed 1, m."
    assert "| relheard | image and audio | 0.25 | 0.25 |" in lines
    assert "| parameters of the fusion, millions | | – | 1.5 |" in lines
    assert "| **modalities must be related** | | **0.50** | **0.50** |" in lines
    assert "| pointing, audio (chance 0.20) | | 0.70 | 0.70 |" in lines


def test_the_command_offers_every_kind() -> None:
    assert command.KINDS == COMPARED


def test_a_new_network_shares_the_frozen_modules() -> None:
    source = BundledTrio("cpu").module
    _, trio = build_network("late", source)
    assert trio.get_submodule("token_embedding") is source.get_submodule("token_embedding")
