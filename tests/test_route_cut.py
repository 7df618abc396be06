"""Cut routes: known on paper in planted models; minus infinity under eager attention in the bundled ones; in batches,
over a server, and refused in one sentence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from routed_model import COUNTS, routed
from safetensors.torch import save
from serving import running_service
from torch import Tensor

from mmviz.backends import change_codec, wire
from mmviz.backends.local import LocalBackend
from mmviz.backends.local.route_sites import known_sites
from mmviz.backends.remote import RemoteBackend
from mmviz.inputs import make_sample
from mmviz.models.encoders.encoder_cache import kept_encodings
from mmviz.models.fusion_model import FROZEN, FusionModel, build_network
from mmviz.models.trio_layers import Attention
from mmviz.models.trio_model import BundledTrio
from mmviz.types import (
    ANSWER,
    AblateHead,
    AttentionRecord,
    ChosenTokens,
    CutRoute,
    DropModality,
    DropTokens,
    MmvizError,
    Modality,
    Request,
    Sample,
    ShuffleWeights,
    TokenGroup,
    UniformAttention,
)

pytestmark = pytest.mark.slow

IMAGE, TEXT, AUDIO, SPECIAL = Modality
LIMIT = 2e-6
KINDS = ("trio", "trio-reduced", "crossmodal", "bottleneck", "late")


def logit(record: AttentionRecord) -> float:
    """Returns the value that the routed model's answer token ends with."""
    by_label = {answer.label: answer.probability for answer in record.answers}
    return math.log(by_label["seen"] / by_label["unseen"])


def own_backend(**models: Any) -> LocalBackend:
    return LocalBackend("cpu", models)


@pytest.mark.parametrize("implementation", ["fused", "eager", "einsum"])
def test_the_carrying_route_is_the_one_on_paper(implementation: str) -> None:
    backend = own_backend(routed=routed(implementation))
    values = {"image": 2.0, "text": 0.0, "audio": 0.0, "special": 0.0}
    others = {kind: count for kind, count in COUNTS.items() if kind != "text"}
    mean_of_others = sum(values[kind] * count for kind, count in others.items()) / sum(others.values())
    expected: dict[tuple[CutRoute, ...], float] = {
        (): 1.0,
        (CutRoute(TEXT, IMAGE),): 0.0,  # the words read the other tokens, whose values are 0
        (CutRoute(TEXT, IMAGE, layers=(0,)),): 0.0,
        (CutRoute(TEXT, IMAGE, layers=(1,)),): 1.0,
        (CutRoute("answer", IMAGE),): 1.0,
        (CutRoute("answer", TEXT, layers=(0,)),): 1.0,
        (CutRoute("answer", TEXT),): mean_of_others,  # what is left has equal scores
        (CutRoute("answer", TEXT), CutRoute("answer", IMAGE)): 0.0,
        (CutRoute(SPECIAL, TEXT, "layers", (1,)), CutRoute("answer", IMAGE)): 0.0,
        (CutRoute(ChosenTokens((4,)), IMAGE),): 0.5,  # one of two words carries it
        (CutRoute(ChosenTokens((4,)), ChosenTokens((1, 2, 3))),): 0.5,
        (CutRoute(TEXT, ChosenTokens((1, 2))),): 1.0,  # the third patch has the same value
        (CutRoute(AUDIO, IMAGE), CutRoute(IMAGE, TEXT)): 1.0,
        (CutRoute(TEXT, IMAGE, layers=()),): 1.0,
    }
    sweep = Request("routed", make_sample(text="x"), maps=False, sweep=tuple(expected))
    table = backend.run([sweep])[0]
    assert table.sweep is not None
    columns = [[answer.label for answer in table.answers].index(label) for label in ("seen", "unseen")]
    for (cuts, value), row in zip(expected.items(), table.sweep, strict=True):
        assert row[columns[0]] - row[columns[1]] == pytest.approx(value, abs=1e-5), cuts
        for maps in (True, False):
            record = backend.run([Request("routed", make_sample(text="x"), cuts, maps=maps)])[0]
            assert logit(record) == pytest.approx(value, abs=1e-5), cuts


def test_queries_with_nothing_left_are_zero_counted_and_told() -> None:
    backend, sample = own_backend(routed=routed()), make_sample(text="x")
    everything = tuple(CutRoute("answer", kind, layers=(1,)) for kind in (IMAGE, TEXT, AUDIO, SPECIAL))
    for maps in (True, False):
        record = backend.run([Request("routed", sample, everything, maps=maps)])[0]
        assert logit(record) == pytest.approx(0, abs=1e-6)
        (notice,) = (notice for notice in record.notices if notice.code.startswith("cut"))
        assert (notice.code, dict(notice.parameters)) == ("cut-rows", {"count": 1, "of": 10, "maps": 1})
        assert "1 of 10 queries" in str(notice)
    record = backend.run([Request("routed", sample, everything, steps=True)])[0]
    assert not record.maps[1].weights[:, 0].any() and record.maps[1].weights[:, 1:].sum(-1) == pytest.approx(
        1, abs=1e-5
    )
    assert "fully-masked" not in [notice.code for notice in record.notices]
    assert len(record.steps) == 2


def test_a_cut_stands_beside_other_changes() -> None:
    backend, sample = own_backend(routed=routed("eager")), make_sample(text="x")
    cut = CutRoute("answer", TEXT)
    uniform = backend.run([Request("routed", sample, (UniformAttention(), cut))])[0]
    kept = [k for k, token in enumerate(uniform.streams["tokens"]) if token.modality is not TEXT]
    for attn_map in uniform.maps:
        assert attn_map.weights[:, 0, kept] == pytest.approx(1 / len(kept))
        assert attn_map.weights[:, 1:] == pytest.approx(1 / 10)
    ablated = backend.run([Request("routed", sample, (AblateHead(1, 0), cut))])[0]
    assert logit(ablated) == pytest.approx(0, abs=1e-6)
    assert backend.run([Request("routed", sample, (ShuffleWeights(0), cut))])[0].made_by["trained"] is False


@pytest.mark.parametrize(
    ("cut", "code", "words"),
    [
        (CutRoute(TEXT, IMAGE, "encoder"), "cut-stack", "There are: layers."),
        (CutRoute(TEXT, IMAGE, layers=(0, 2)), "cut-layer", "no layer 2"),
        (CutRoute(TEXT, IMAGE, "layers", (7,)), "cut-layer", "It has 2 layers"),
        (CutRoute(TEXT, IMAGE, "layers", (0,), (0, 1)), "cut-head", "There is no head 1 in layers"),
        (CutRoute(ChosenTokens((0,), "sound"), IMAGE), "cut-stream", "There are: tokens."),
        (CutRoute(TEXT, ChosenTokens((10,))), "cut-token", "It has 10 tokens"),
        (CutRoute(TEXT, ChosenTokens((-1,))), "cut-token", "no token -1"),
    ],
)
def test_what_a_model_does_not_have_is_one_sentence(cut: CutRoute, code: str, words: str) -> None:
    backend, sample = own_backend(routed=routed()), make_sample(text="x")
    for request in (Request("routed", sample, (cut,)), Request("routed", sample, maps=False, sweep=((), (cut,)))):
        with pytest.raises(MmvizError) as error:
            backend.run([request])
        assert error.value.code == code and words in str(error.value) and str(error.value).count("\n") == 0


def test_an_unknown_group_is_one_sentence() -> None:
    with pytest.raises(MmvizError, match="no group of tokens called 'video'"):
        CutRoute("video", "image")  # type: ignore[arg-type]
    assert CutRoute("text", "answer").queries is TEXT  # type: ignore[arg-type]


def questions() -> list[Sample]:
    """Returns samples of several lengths, one without a sound and one without a picture."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (60, 90, 3), dtype=np.uint8)
    waves = [(rng.standard_normal(16_000 * seconds) * 0.1).astype(np.float32) for seconds in (1, 2)]
    return [
        make_sample(image=pixels, text="What is left of the dog?", audio=(waves[0], 16_000)),
        make_sample(image=pixels[:40], text="Is there what you hear in the picture?", audio=(waves[1], 16_000)),
        make_sample(image=pixels, text="What is this?"),
        make_sample(text="What do you hear?", audio=(waves[1], 16_000)),
    ]


@cache
def untrained(kind: str) -> FusionModel:
    """Returns the model of a compared kind, with weights that nothing has trained."""
    torch.manual_seed(len(kind))
    network, _ = build_network(kind, BundledTrio("cpu").module)
    own = {
        name: value.contiguous() for name, value in network.state_dict().items()
        if not any(f"{part}." in name for part in FROZEN)
    }  # fmt: skip
    return FusionModel("cpu", kind, save(own))


@pytest.fixture(scope="module")
def fusions() -> LocalBackend:
    """A backend with trio, and with a compared kind that has a stream for each modality."""
    return LocalBackend("cpu", {id_of("crossmodal"): untrained("crossmodal")})


def id_of(kind: str) -> str:
    return kind if kind == "trio" else f"own-{kind}"


def pairs_of(record: AttentionRecord, cut: CutRoute) -> dict[int, NDArray[np.bool_]]:
    """Returns the pairs ``[head, query, key]`` that ``cut`` names, by the number of the map."""

    def members(group: Any, stream: str) -> NDArray[np.bool_]:
        tokens = record.streams[stream]
        if isinstance(group, ChosenTokens):
            return np.isin(np.arange(len(tokens)), group.tokens) & (stream == group.stream)
        return np.array([token.label == "answer" if group == "answer" else token.modality is group for token in tokens])

    pairs = {}
    for number, attn_map in enumerate(record.maps):
        if cut.stack in ("", attn_map.stack) and (cut.layers is None or attn_map.layer in cut.layers):
            heads = np.isin(np.arange(attn_map.heads), range(attn_map.heads) if cut.heads is None else cut.heads)
            own = np.outer(members(cut.queries, attn_map.queries), members(cut.keys, attn_map.keys))
            pairs[number] = heads[:, None, None] & own
    return pairs


@contextmanager
def minus_infinity(record: AttentionRecord, pairs: Mapping[int, NDArray[np.bool_]]) -> Iterator[None]:
    """Lets every attention of the fusions run by hand, with minus infinity at ``pairs`` ``[head, query, key]`` by the
    number of the map."""
    numbers = iter(range(len(record.maps)))

    def forward(self: Attention, x: Tensor, attn_mask: Tensor | None, context: Tensor | None = None) -> Tensor:
        query, key, value = self.project(x, context)
        scores = (query / math.sqrt(query.shape[-1])) @ key.transpose(-2, -1)
        scores = scores if attn_mask is None else scores + attn_mask
        number = next(numbers)
        if number in pairs:
            scores = scores.masked_fill(torch.from_numpy(pairs[number]), -math.inf)
        return self.join_heads(torch.nan_to_num(scores.softmax(-1), 0.0) @ value)

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(Attention, "forward", forward)
        yield


def by_index(record: AttentionRecord, row: Sequence[float] | NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Returns the log-probabilities of a run or of a variant, by the index of the answer."""
    values = np.log([answer.probability for answer in record.answers]) if row is None else np.asarray(row)
    ordered = np.empty(len(values))
    ordered[[int(answer.index or 0) for answer in record.answers]] = values
    return ordered


def cuts_for(record: AttentionRecord) -> list[CutRoute]:
    """Returns cuts of every kind of group, in all layers, in one and in one stack, and in some heads."""
    last = record.stacks[-1]
    groups: tuple[TokenGroup, ...] = (IMAGE, TEXT, AUDIO, ANSWER)
    cuts = [CutRoute(queries, keys) for queries in groups for keys in (IMAGE, TEXT, AUDIO, SPECIAL)]
    cuts += [CutRoute(queries, keys, layers=(1,)) for queries in groups for keys in (IMAGE, TEXT, AUDIO)]
    stream = record.flow_streams[0]
    cuts += [CutRoute("answer", keys, last, (record.maps[-1].layer,), (0,)) for keys in (IMAGE, TEXT, SPECIAL)]
    cuts += [CutRoute("answer", SPECIAL, heads=(1, 3)), CutRoute(ChosenTokens((0, 1), stream), TEXT, last, None, (2,))]
    return [*cuts, CutRoute("answer", SPECIAL, last, (0, 1)), CutRoute(ChosenTokens((1, 2), stream), AUDIO)]


@pytest.mark.parametrize(
    "kind", ["trio", *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS if kind != "trio")]
)
def test_every_cut_of_a_bundled_model_is_minus_infinity(fusions: LocalBackend, kind: str) -> None:
    sample, name = questions()[0], id_of(kind)
    if kind not in ("trio", "crossmodal"):
        fusions = LocalBackend("cpu", {name: untrained(kind)})
    plain = fusions.run([Request(name, sample)])[0]
    model = fusions._models[name]
    sites = known_sites(model, [model.prepare(sample)])
    told = [(s.place[0], s.stack, s.layer, s.queries, s.keys, s.heads, s.shape[1:]) for s in sites.sites]
    assert told == [(m.name, m.stack, m.layer, m.queries, m.keys, m.heads, m.shape) for m in plain.maps]
    cuts = cuts_for(plain)
    swept = fusions.run([Request(name, sample, maps=False, sweep=tuple((cut,) for cut in cuts))])[0]
    assert swept.sweep is not None
    tensors, changes = model.prepare(sample).tensors, []
    for cut, row in zip(cuts, swept.sweep, strict=True):
        with minus_infinity(plain, pairs_of(plain, cut)), kept_encodings():
            expected = model(tensors).double().log_softmax(-1).numpy()
        np.testing.assert_allclose(by_index(swept, row), expected, atol=LIMIT, err_msg=str(cut))
        changes.append(np.abs(expected - by_index(plain)).max())
    assert sum(change > 1e-4 for change in changes) >= (10 if kind in ("bottleneck", "late") else 20)
    for cut in (cuts[1], cuts[-1]):
        record = fusions.run([Request(name, sample, (cut,))])[0]
        row = swept.sweep[cuts.index(cut)]
        np.testing.assert_allclose(by_index(record), by_index(swept, row), atol=LIMIT)
        assert record.made_by["parity"] < 1e-4 and len(record.maps) == len(plain.maps)


@pytest.mark.parametrize("kind", ["trio", "crossmodal"])
def test_cutting_nothing_is_equal_to_the_bit(fusions: LocalBackend, kind: str) -> None:
    name = id_of(kind)
    for sample in questions()[:3:2]:  # the second has no sound: nothing to cut
        nothing = [
            CutRoute(TEXT, IMAGE, layers=()), CutRoute(TEXT, IMAGE, heads=()),
            CutRoute(ChosenTokens(()), IMAGE, heads=(1,)),
        ]  # fmt: skip
        plain = fusions.run([Request(name, sample, relevance=True)])[0]
        for cut in nothing if sample.audio else [CutRoute(TEXT, ChosenTokens(()))]:
            same = fusions.run([Request(name, sample, (cut,), relevance=True)])[0]
            assert same.answers == plain.answers and same.notices == plain.notices
            assert same.relevance is not None and plain.relevance is not None
            assert np.array_equal(same.relevance, plain.relevance)
            for attn_map, other in zip(same.maps, plain.maps, strict=True):
                assert np.array_equal(attn_map.weights, other.weights)


def test_queries_with_nothing_left_are_told_for_each_row_of_a_call(fusions: LocalBackend) -> None:
    stack = "fusion.pairs.text_image.attention"
    cuts = (CutRoute(TEXT, IMAGE, stack), CutRoute(TEXT, SPECIAL, stack))
    for samples in (questions()[:1], questions()[:2]):  # alone, and two that share a call
        for record in fusions.run([Request(id_of("crossmodal"), sample, cuts) for sample in samples]):
            (notice,) = (notice for notice in record.notices if notice.code.startswith("cut"))
            words = len(record.streams["text"]) - 1
            assert dict(notice.parameters) == {"count": 2 * words, "of": 2 * words + 2, "maps": 2}
            for attn_map in record.maps[:2]:
                assert attn_map.stack == stack and not attn_map.weights[:, 1:].any()
                assert attn_map.weights[:, 0].sum(-1) == pytest.approx(1)


def test_rows_of_a_call_carry_cuts_of_their_own(fusions: LocalBackend) -> None:
    samples = questions()
    changes = [
        (CutRoute("answer", IMAGE),), (), (CutRoute(IMAGE, IMAGE, layers=(0, 5)), CutRoute("answer", TEXT)),
        (CutRoute(ChosenTokens((1,)), AUDIO, layers=(2,), heads=(1,)), DropModality(TEXT)),
    ]  # fmt: skip
    sweep = (
        (), (CutRoute("answer", AUDIO, layers=(5,)),), (CutRoute(TEXT, TEXT), DropTokens((2,))),
        (CutRoute("answer", TEXT, layers=(3, 4), heads=(0, 2)), CutRoute(TEXT, IMAGE, layers=(3,))),
    )  # fmt: skip
    for maps in (True, False):
        requests = [
            Request("trio", sample, own, maps=maps, relevance=maps, sweep=sweep)
            for sample, own in zip(samples, changes, strict=True)
        ]
        together = fusions.run(requests)
        assert any(record.made_by.get("batch_size", 1) > 1 for record in together)
        for request, record in zip(requests, together, strict=True):
            alone = next(iter(fusions.outcomes([request], [lambda: False])))
            assert isinstance(alone, AttentionRecord) and alone.made_by.get("batch_size") is None
            np.testing.assert_allclose(by_index(record), by_index(alone), atol=LIMIT)
            assert record.sweep is not None and alone.sweep is not None
            for row, other in zip(record.sweep, alone.sweep, strict=True):
                np.testing.assert_allclose(by_index(record, row), by_index(alone, other), atol=LIMIT)
            for attn_map, other_map in zip(record.maps, alone.maps, strict=True):
                np.testing.assert_allclose(attn_map.weights, other_map.weights, atol=LIMIT)


def test_a_tower_is_cut_where_it_is_named(fusions: LocalBackend) -> None:
    sample, tower = questions()[0], "encoders.sound.layers.attention"
    cut = CutRoute(AUDIO, AUDIO, tower, (1,))
    plain = fusions.run([Request("trio", sample, towers=True)])[0]
    everywhere = fusions.run([Request("trio", sample, (CutRoute(AUDIO, AUDIO),), towers=True)])[0]
    inside = fusions.run([Request("trio", sample, (cut,), towers=True)])[0]
    swept = fusions.run([Request("trio", sample, maps=False, sweep=((), (cut,)))])[0]
    assert swept.sweep is not None
    np.testing.assert_allclose(by_index(swept, swept.sweep[1]), by_index(inside), atol=LIMIT)
    assert np.abs(by_index(inside) - by_index(plain)).max() > 1e-3
    tower_maps = [number for number, attn_map in enumerate(plain.maps) if attn_map.stack == tower]
    sounding = [k for k, token in enumerate(plain.streams["sound encoder"]) if token.modality is AUDIO]
    for number in tower_maps:
        assert np.array_equal(everywhere.maps[number].weights, plain.maps[number].weights)
        pairs = inside.maps[number].weights[:, sounding][:, :, sounding]
        assert (pairs.max() == 0) == (inside.maps[number].layer == 1)
    in_head = fusions.run([Request("trio", sample, (replace(cut, heads=(4,)),), towers=True)])[0]
    for number in tower_maps:
        largest = in_head.maps[number].weights[:, sounding][:, :, sounding].max((1, 2))
        assert [head for head in range(6) if not largest[head]] == ([4] if in_head.maps[number].layer == 1 else [])


def test_a_cut_comes_over_a_server_as_it_is(fusions: LocalBackend) -> None:
    sample = questions()[0]
    cuts = (
        CutRoute(TEXT, IMAGE, layers=(2, 3)), CutRoute("answer", ChosenTokens((5, 6), "tokens"), "blocks.attention"),
        CutRoute(ChosenTokens(()), SPECIAL), CutRoute("answer", IMAGE, layers=(4,), heads=(2,)),
        CutRoute(TEXT, IMAGE, heads=()),
    )  # fmt: skip
    request = Request("trio", sample, cuts, sweep=((CutRoute("answer", AUDIO),), cuts[:1]))
    back = wire.request_from_bytes(wire.request_to_bytes(request))
    assert (back.changes, back.sweep) == (request.changes, request.sweep)
    with running_service(fusions) as url:
        remote = RemoteBackend(url)
        far, near = remote.run([request])[0], fusions.run([request])[0]
        np.testing.assert_allclose(by_index(far), by_index(near), atol=LIMIT)
        assert far.sweep is not None and near.sweep is not None
        np.testing.assert_allclose(far.sweep, near.sweep, atol=LIMIT)
        assert [str(notice) for notice in far.notices] == [str(notice) for notice in near.notices]
        with pytest.raises(MmvizError, match="no stack 'towers'"):
            remote.run([Request("trio", sample, (CutRoute(TEXT, IMAGE, "towers"),))])
    whole = {"kind": "CutRoute", "queries": "text", "keys": "image", "stack": "", "layers": None, "heads": None}
    assert change_codec._decode_change(whole) == CutRoute(TEXT, IMAGE)
    for field, value in (("queries", "video"), ("layers", [-1]), ("heads", ["0"]), ("heads", 1), ("stack", 3)):
        broken = {**whole, field: value}
        with pytest.raises((ValueError, MmvizError)):
            change_codec._decode_change(broken)
