"""Rollout and relevance of records of several streams: as the capture computes them, through files, and in views."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from co_attention import SIZE, CoAttention, EncoderDecoder, P, W
from hf_factories import omni
from test_capture_lost_routes import Stacked
from test_capture_stream_links import PLACES, PROJECTIONS, Reader
from torch import Tensor, nn

import mmviz
from mmviz.analysis.attributions import attributions
from mmviz.analysis.available_maps import flows, map_words, parse_map_ref, streams_of
from mmviz.analysis.map_views import view_of
from mmviz.analysis.map_weights import weights
from mmviz.backends.local import LocalBackend
from mmviz.backends.wire import record_from_bytes, record_to_bytes, view_from_bytes, view_to_bytes
from mmviz.explain import Run, run_sample
from mmviz.io.run_file import from_bytes, to_bytes
from mmviz.report import ViewerData
from mmviz.types import (
    Columns,
    MapRef,
    MmvizError,
    Modality,
    Rows,
    Sample,
    StreamLink,
    Token,
)
from mmviz.viewer.binary_format import decode

PATCHES, WORDS = 7, 5


class First(nn.Module):
    """Two logits of the first word of a model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.head = model, nn.Linear(SIZE, 2)

    def forward(self, words: Tensor, patches: Tensor) -> Tensor:
        output = self.model(words, patches)
        logits: Tensor = self.head((output[0] if isinstance(output, tuple) else output)[:, 0])
        return logits


def tokens(modality: Modality, count: int) -> list[Token]:
    return [Token(modality, f"{modality} {k}") for k in range(count)]


@cache
def run_of(kind: type[nn.Module] | str) -> tuple[Run, Any]:
    """A run of a planted model of two streams with relevance, and the capture that its record comes from."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    if isinstance(kind, str):
        project, features = PROJECTIONS[kind]
        reader = Reader(project, PLACES["cat"], features)
        counts, module = {"tower": 16, "decoder": 6 + 4}, First(reader)
        inputs = tuple(torch.randn(1, count, SIZE, generator=generator) for count in (16, 6))
    else:
        counts, module = {P: PATCHES, W: WORDS}, First(kind())
        inputs = tuple(torch.randn(1, count, SIZE, generator=generator) for count in (WORDS, PATCHES))
    image, text = list(counts)
    streams = {image: tokens(Modality.IMAGE, counts[image]), text: tokens(Modality.TEXT, counts[text])}
    if isinstance(kind, str):
        streams[text] = [*streams[text][:2], *tokens(Modality.IMAGE, 4), *streams[text][6:]]
    own = mmviz.CustomModel(module, lambda sample: (inputs, streams), ["a", "b"])
    run = run_sample(Sample(text="a"), model="own", backend=LocalBackend("cpu", {"own": own}), relevance=True)
    with torch.enable_grad(), mmviz.capture(module) as result:
        logits = module(*inputs)[0]
    result.record(streams)
    return run, (result, logits[int(logits.argmax())])


KINDS = [CoAttention, EncoderDecoder, "merged"]


@pytest.mark.parametrize("kind", KINDS)
def test_flows_of_a_record_are_those_of_its_capture(kind: type[nn.Module] | str) -> None:
    run, (result, logit) = run_of(kind)
    record = run.record
    image, text = list(record.streams) if kind != EncoderDecoder else (P, W)
    image, text = ("tower", "decoder") if isinstance(kind, str) else (P, W)
    all_flows = flows(record)
    queries = next(iter(all_flows.values()))[0]
    assert {keys for _, keys in all_flows.values()} == {image, text} and len(all_flows) == 4
    for ref, (query_stream, key_stream) in all_flows.items():
        assert query_stream == queries and streams_of(record, ref) == (queries, key_stream)
        assert parse_map_ref(record, str(ref)) == ref
        ends = {"queries": queries, "keys": key_stream}
        if ref.method == "rollout":
            expected = result.rollout(range(len(record.streams[queries])), **ends)
        else:
            expected = result.relevance(logit, **ends)
        np.testing.assert_allclose(weights(record, ref, record.relevance), expected, atol=2e-6 * max(1, expected.max()))
    other = next(ref for ref in all_flows if ref.method == "rollout" and ref.keys)
    assert map_words(other).endswith(f"to {other.keys}")
    view = Rows(other, (2,))
    np.testing.assert_allclose(view_of(record, view), weights(record, other)[[2]], atol=1e-6)
    np.testing.assert_allclose(run.attention(other, 2), weights(record, other)[2], atol=1e-6)
    assert set(attributions(record)) >= {"rollout", "relevance"}


@pytest.mark.parametrize("kind", KINDS)
def test_files_and_the_wire_keep_what_flows_need(kind: type[nn.Module] | str) -> None:
    run, _ = run_of(kind)
    assert run.record.links is not None and bool(run.record.links) == isinstance(kind, str)
    assert any(attn_map.keys_state is not None for attn_map in run.record.maps) == (kind is CoAttention)
    for loaded in (from_bytes(to_bytes(run.sample, run.record))[1], record_from_bytes(record_to_bytes(run.record))):
        assert loaded == run.record
        for ref in flows(run.record):
            np.testing.assert_array_equal(
                weights(loaded, ref, loaded.relevance), weights(run.record, ref, run.record.relevance)
            )
    view = Columns(MapRef("relevance", keys="tower"), (1, 2))
    assert view_from_bytes(view_to_bytes(view)) == view


LINK = StreamLink("decoder", "tower", 2, np.array([2]), np.array([0]), np.array([1.0], np.float32))


@pytest.mark.parametrize(
    "changes",
    [
        {"tokens": np.array([99])}, {"source_tokens": np.array([-1])}, {"shares": np.array([1.5], np.float32)},
        {"shares": np.array([np.nan], np.float32)}, {"source_state": 9}, {"stream": "tower", "source": "decoder"},
        {"source": "decoder"},
    ],
)  # fmt: skip
def test_links_that_join_what_is_not_there_are_refused(changes: dict[str, Any]) -> None:
    run, _ = run_of("merged")
    record = replace(run.record, links=(LINK,))
    assert from_bytes(to_bytes(run.sample, record))[1] == record
    links = (LINK, replace(LINK, **changes)) if "stream" in changes else (replace(LINK, **changes),)
    with pytest.raises(MmvizError):
        from_bytes(to_bytes(run.sample, replace(record, links=links)))


def test_a_record_without_links_stays_in_one_stream() -> None:
    record = replace(run_of("merged")[0].record, links=None, relevance_to={})
    assert [str(ref) for ref in flows(record)] == ["rollout", "relevance"]
    with pytest.raises(LookupError):
        streams_of(record, MapRef("rollout", keys="tower"))


def test_what_cannot_be_followed_is_noticed_and_not_offered() -> None:
    reader = Reader(lambda x, reader: x[:, :4].cumsum(1), PLACES["cat"])
    with torch.no_grad(), mmviz.capture(reader) as result:
        reader(torch.randn(1, 16, SIZE), torch.randn(1, 6, SIZE))
    record = result.record()
    (notice,) = (notice for notice in record.notices if notice.code == "flow-lost")
    assert all(part in str(notice) for part in ("tower", "decoder", "cumsum"))
    assert {keys for _, keys in flows(record).values()} == {"decoder"}


def test_a_flow_that_would_leave_something_out_is_not_offered() -> None:
    with torch.no_grad(), mmviz.capture(model := Stacked(adds_later=True)) as result:
        model(torch.randn(1, 4, SIZE), torch.randn(1, 3, SIZE))
    record = result.record()
    assert record.links and any(notice.code == "flow-lost" for notice in record.notices)
    assert {keys for _, keys in flows(record).values()} == {"decoder"}


def test_the_viewer_is_told_each_flow_and_gets_its_weights() -> None:
    run, _ = run_of("merged")
    header, sections = decode(ViewerData(run).to_bytes(maps=["tower/rollout"]))
    assert header["flows"]["tower/rollout"] == header["flows"]["tower/relevance"] == ["decoder", "tower"]
    assert "codes/tower/rollout" in sections and "codes/tower/relevance" in sections


def test_rollout_of_omni_leads_from_the_answer_token_into_both_towers() -> None:
    model = omni()
    sample = mmviz.make_sample(
        image=np.full((56, 84, 3), 90, np.uint8), text="so", audio=(np.zeros(16_000, np.float32) + 0.01, 16_000)
    )
    backend = LocalBackend("cpu", {"omni": model.own})
    run = run_sample(sample, model="omni", backend=backend, relevance=True)
    refs = {str(ref): ends for ref, ends in flows(run.record).items()}
    towers = {keys for _, keys in refs.values()} - {run.record.maps[-1].keys}
    assert len(towers) == 2 and len(refs) == 6
    shares = [run.attention(MapRef("rollout", keys=keys), run.answer_query).sum() for keys in towers]
    within = run.attention(MapRef("rollout"), run.answer_query)
    for tower, share, modality in zip(towers, shares, sorted(towers), strict=True):
        of_modality = {"audio_tower": Modality.AUDIO, "visual": Modality.IMAGE}[tower]
        tokens_of = [token.modality is of_modality for token in run.tokens]
        assert share == pytest.approx(within[tokens_of].sum(), abs=1e-6), modality
        assert run.attention(MapRef("relevance", keys=tower), run.answer_query).max() > 0
