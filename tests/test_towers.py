"""The sound encoder's own attention: a stack of its own beside the fusion, where a run is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from records import SEES
from records import towers as several_stacks
from safetensors.torch import save
from untrained_trio import untrained_trio

import mmviz
from mmviz.analysis.attributions import attributions
from mmviz.analysis.available_maps import map_words, parse_map_ref
from mmviz.analysis.map_weights import attention_row
from mmviz.analysis.stack_words import stack_words
from mmviz.app.components.stack_select import stack_text
from mmviz.backends import wire
from mmviz.backends.backend_for_run import rebuilt_request
from mmviz.backends.local import LocalBackend
from mmviz.experiments.sweep_requests import answers_only
from mmviz.i18n.page import say
from mmviz.models import fusion_model
from mmviz.models.encoders.sound_encoder import HEADS, LAYERS, POSITIONS
from mmviz.models.fusion_networks import FUSION_KINDS
from mmviz.models.trio_inputs import PADDING, sound_tokens
from mmviz.models.trio_model import SOUND_STREAM
from mmviz.models.trio_network import STREAM
from mmviz.report.heads_table import layer_name
from mmviz.report.viewer_payload_header import map_header
from mmviz.types import (
    AblateHead,
    AttentionMap,
    AttentionRecord,
    Change,
    DropModality,
    DropTokens,
    MapRef,
    Modality,
    Request,
    Sample,
    Seconds,
    UniformAttention,
)

pytestmark = pytest.mark.slow

TOWER, FUSION = "encoders.sound.layers.attention", "blocks.attention"
FUSION_LAYERS = 6


@pytest.fixture(scope="module")
def trio() -> LocalBackend:
    return LocalBackend("cpu", {"trio": untrained_trio()})


def run(trio: LocalBackend, sample: Sample, changes: Sequence[Change] = (), **fields: Any) -> AttentionRecord:
    (record,) = trio.run([Request("trio", sample, tuple(changes), **{"towers": True} | fields)])
    return record


def test_people_read_plain_names_and_links_keep_the_paths(trio: LocalBackend, sample: Sample) -> None:
    record = run(trio, sample)
    assert (stack_words(record, FUSION), stack_words(record, TOWER)) == ("fusion", "sound encoder")
    for stack, name in ((FUSION, "fusion"), (TOWER, "sound encoder")):
        ref = parse_map_ref(record, f"{stack}/1:mean")
        assert map_words(ref, record) == f"{name}, layer 2, mean of heads" and str(ref) == f"{stack}/1:mean"
        number = record.map_number(ref)
        header = map_header(record, number)
        assert (header["stack"], header["stack_name"], header["ref"]) == (stack, name, f"{stack}/1")
        assert layer_name(record, number) == f"{name}, {say('heads-layer', layer=2)}"
        assert stack not in stack_text(record, stack)
    two = replace(record, made_by={**record.made_by, "towers": [FUSION, TOWER]})
    assert stack_words(two, FUSION) == FUSION, "a tower of several modalities has no plain name"
    assert stack_words(several_stacks().record, SEES) == SEES, "nor has any stack of a model without towers"


def weights_of(record: AttentionRecord, number: int) -> np.ndarray:
    attn_map = record.maps[number]
    assert isinstance(attn_map, AttentionMap)
    return attn_map.weights


def test_the_maps_are_the_softmax_of_the_encoders_scores(trio: LocalBackend, sample: Sample) -> None:
    """softmax(Q K^T / sqrt(64)), in float64 from what each layer was given."""
    layers = untrained_trio().module.get_submodule("encoders.sound.layers")
    inputs: list[torch.Tensor] = []
    hooks = [layer.attention.register_forward_hook(lambda _, given, __: inputs.append(given[0])) for layer in layers]
    record = run(trio, sample)
    for hook in hooks:
        hook.remove()
    assert record.stacks == (FUSION, TOWER) and len(inputs) == LAYERS == len(record.maps) - FUSION_LAYERS
    for number, (x, layer) in enumerate(zip(inputs, layers, strict=True)):
        query, key = (linear(x[0]).double().view(POSITIONS, HEADS, -1).transpose(0, 1)
                      for linear in (layer.attention.query, layer.attention.key))  # fmt: skip
        expected = torch.softmax(query @ key.transpose(1, 2) / 8, -1).detach().numpy()
        attn_map = record.maps[FUSION_LAYERS + number]
        assert (attn_map.stack, attn_map.layer, attn_map.queries) == (TOWER, number, SOUND_STREAM) == (
            record.map_ref(FUSION_LAYERS + number).stack, attn_map.layer, attn_map.keys
        )  # fmt: skip
        np.testing.assert_allclose(weights_of(record, FUSION_LAYERS + number), expected, atol=1e-5)


@pytest.mark.slow
def test_all_else_of_a_run_is_the_same_without_them(trio: LocalBackend, sample: Sample) -> None:
    fields: dict[str, Any] = {"relevance": True, "norms": True, "steps": True}
    with_towers, without = (run(trio, sample, towers=towers, **fields) for towers in (True, False))
    assert with_towers.default_stack == without.default_stack == FUSION and without.stacks == (FUSION,)
    assert with_towers.answers == without.answers and with_towers.notices == without.notices
    for number in range(FUSION_LAYERS):
        np.testing.assert_array_equal(weights_of(with_towers, number), weights_of(without, number))
        np.testing.assert_array_equal(with_towers.norms[number], without.norms[number])
    np.testing.assert_array_equal(with_towers.relevance, without.relevance)  # type: ignore[arg-type]
    rollouts = [attention_row(record, MapRef("rollout"), 0, "from") for record in (with_towers, without)]
    np.testing.assert_array_equal(*rollouts)
    assert len(with_towers.norms) == len(with_towers.steps) == len(with_towers.maps) == FUSION_LAYERS + LAYERS
    assert (without.made_by.get("towers"), with_towers.made_by["towers"]) == (None, [TOWER])


@pytest.mark.slow
@pytest.mark.parametrize("kind", FUSION_KINDS)
def test_the_compared_fusions_have_the_tower_beside_their_own_stacks(
    kind: str, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion_model, "BundledTrio", lambda _: untrained_trio())
    torch.manual_seed(1)
    network, _ = fusion_model.build_network(kind, untrained_trio().module)
    own = {
        name: tensor.clone() for name, tensor in network.state_dict().items()
        if not any(f"{part}." in name for part in fusion_model.FROZEN)
    }  # fmt: skip
    backend = LocalBackend("cpu", {kind: fusion_model.FusionModel("cpu", kind, save(own))})
    with_towers, without = (backend.run([Request(kind, sample, towers=towers)])[0] for towers in (True, False))
    assert with_towers.stacks == (*without.stacks, f"trio.{TOWER}")
    assert with_towers.default_stack == without.default_stack
    assert len(with_towers.maps) == len(without.maps) + LAYERS


def test_a_token_is_20_ms_of_the_sound_and_silence_after_it_is_padding(sample: Sample) -> None:
    assert sample.audio is not None and sample.audio.seconds == 1.25
    tokens = sound_tokens(sample.audio)
    assert [token.location for token in tokens[:2]] == [Seconds(0, 0.02), Seconds(0.02, 0.04)]
    assert tokens[62].location == Seconds(1.24, 1.25) and tokens[62].label == "1.24 s"
    rest = {(token.modality, token.label, token.location) for token in tokens[63:]}
    assert rest == {(Modality.SPECIAL, PADDING, None)} and len(tokens) == POSITIONS
    long = mmviz.make_sample(audio=(np.full(5 * 16_000, 0.1, np.float32), 16_000)).audio
    short = mmviz.make_sample(audio=(np.full(1_601, 0.1, np.float32), 16_000)).audio
    assert long is not None and short is not None
    assert [token.label for token in sound_tokens(long)].count(PADDING) == 0
    assert [token.label for token in sound_tokens(short)].count(PADDING) == POSITIONS - 6


@pytest.mark.slow
def test_a_tower_without_a_sound_is_not_shown(trio: LocalBackend, sample: Sample) -> None:
    frames = tuple(
        number for number, token in enumerate(run(trio, sample).streams[STREAM]) if token.modality is Modality.AUDIO
    )
    for absent in (
        run(trio, replace(sample, audio=None)),
        run(trio, sample, [DropModality(Modality.AUDIO)]),
        run(trio, sample, [DropTokens(frames)]),
    ):
        assert absent.stacks == (FUSION,)
    assert run(trio, sample, [DropTokens(frames[1:])]).stacks == (FUSION, TOWER)


@pytest.mark.slow
def test_a_head_of_the_encoder_is_ablated_by_the_number_of_its_map(trio: LocalBackend, sample: Sample) -> None:
    """Independent: the columns of the output projection that read the head are 0."""
    number, head = FUSION_LAYERS + 1, 2
    changes = (AblateHead(number, head),)
    module = untrained_trio().module
    output = module.get_submodule("encoders.sound.layers.1.attention.output")
    assert isinstance(output, torch.nn.Linear)
    kept = output.weight.detach().clone()
    with torch.no_grad():
        output.weight[:, 64 * head : 64 * (head + 1)] = 0
        expected = run(trio, sample).answers
        output.weight.copy_(kept)
    probabilities = {answer.index: answer.probability for answer in expected}
    for towers in (True, False):
        for answer in run(trio, sample, changes, towers=towers).answers:
            assert answer.probability == pytest.approx(probabilities[answer.index], abs=1e-6)
    assert run(trio, sample).answers[0].probability != pytest.approx(expected[0].probability, abs=1e-6)
    sweep: list[tuple[Change, ...]] = [
        changes, (AblateHead(1, 0),), (), (DropModality(Modality.IMAGE), *changes, AblateHead(0, 3)),
    ]  # fmt: skip
    (swept,) = trio.run([answers_only(Request("trio", sample), sweep)])
    assert swept.sweep is not None
    for row, variant in zip(swept.sweep, sweep, strict=True):
        alone = {answer.index: answer.probability for answer in run(trio, sample, variant).answers}
        np.testing.assert_allclose(np.exp(row), [alone[answer.index] for answer in swept.answers], atol=1e-6)


def test_heads_that_no_map_has_are_named(trio: LocalBackend, sample: Sample) -> None:
    for change, named in ((AblateHead(10, 0), "10"), (AblateHead(8, HEADS), "encoders.sound.layers.2.attention")):
        with pytest.raises(mmviz.MmvizError, match=named):
            run(trio, sample, [change])


def test_uniform_attention_leaves_the_encoder_as_it_is(trio: LocalBackend, sample: Sample) -> None:
    plain, uniform = run(trio, sample), run(trio, sample, [UniformAttention()])
    np.testing.assert_array_equal(weights_of(plain, FUSION_LAYERS), weights_of(uniform, FUSION_LAYERS))
    np.testing.assert_allclose(weights_of(uniform, 0), 1 / len(uniform.streams[STREAM]), atol=1e-6)


def test_requests_and_records_with_towers_travel(trio: LocalBackend, sample: Sample) -> None:
    for towers in (True, False):
        request = Request("trio", sample, towers=towers)
        assert wire.request_from_bytes(wire.request_to_bytes(request)).towers is towers
    record = run(trio, sample)
    integrated = np.arange(len(record.streams[STREAM]), dtype=np.float32)  # of the keys of the fusion
    back = wire.record_from_bytes(wire.record_to_bytes(replace(record, integrated=integrated)))
    np.testing.assert_array_equal(attributions(back)["integrated"], integrated)
    assert back.stacks == record.stacks and back.made_by["towers"] == [TOWER]
    np.testing.assert_array_equal(weights_of(back, 9), weights_of(record, 9))


def test_a_run_that_is_shown_has_them_and_experiments_leave_them_out(trio: LocalBackend, sample: Sample) -> None:
    from mmviz.explain import run_sample

    shown = run_sample(sample, backend=trio)
    assert shown.record.stacks == (FUSION, TOWER) and shown.map_ref.stack in ("", FUSION)
    assert shown.request is not None and not answers_only(shown.request).towers
    assert rebuilt_request(shown.record, sample, None, trio).towers
    assert not rebuilt_request(run(trio, sample, towers=False), sample, None, trio).towers
