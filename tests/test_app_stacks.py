"""The page with a model of three stacks with layers of equal numbers: it says which stack, and keeps them apart."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from app_page import AppTest, address, markup, now, payload, run, selected, settled, visit

from mmviz.analysis.answer_token import answer_token
from mmviz.backends.local import LocalBackend
from mmviz.i18n.debug import DEBUG
from mmviz.i18n.language import translate
from mmviz.i18n.viewer import viewer_words
from mmviz.types import AttentionRecord, MapRef

pytestmark = pytest.mark.slow

SEES, READS, ASKS = "see.attn", "layers.self_attn", "layers.multihead_attn"
TOWERS = """
import torch
from torch import nn
import mmviz
from mmviz import Modality, PixelBox, Token

class See(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = nn.MultiheadAttention(8, 4, batch_first=True)

    def forward(self, x):
        return x + self.attn(x, x, x)[0]

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.see = nn.ModuleList([See(), See(), See()])
        self.layers = nn.ModuleList([nn.TransformerDecoderLayer(8, 2, 16, batch_first=True) for _ in range(2)])
        self.word, self.answer = nn.Embedding(100, 8), nn.Linear(8, 2)

    def forward(self, words, patches):
        for layer in self.see:
            patches = layer(patches)
        x, mask = self.word(words), torch.triu(torch.full((words.shape[1],) * 2, -torch.inf), 1)
        for layer in self.layers:
            x = layer(x, patches, tgt_mask=mask)
        return self.answer(x[:, -1])

def prepare(sample):
    text = (sample.text or "none").split()[:7]
    wide, high = (sample.image.width, sample.image.height) if sample.image else (40, 30)
    boxes = [PixelBox(c * wide / 4, r * high / 3, (c + 1) * wide / 4, (r + 1) * high / 3)
             for r in range(3) for c in range(4)]
    patches = torch.randn(1, 12, 8, generator=torch.Generator().manual_seed(0))
    return (torch.tensor([[len(word) for word in text]]), patches), {
        "text": [Token(Modality.TEXT, word) for word in text],
        "picture": [Token(Modality.IMAGE, f"patch {k}", box) for k, box in enumerate(boxes)],
    }

def make():
    return mmviz.CustomModel(Model(), prepare, answers=["yes", "no"])
"""


def with_stacks(record: AttentionRecord) -> AttentionRecord:
    """The record with its maps in the stacks that their paths tell, whatever it had before."""
    maps = []
    for attn_map in record.maps:
        stack = re.sub(r"\.\d+(?=\.|$)", "", attn_map.name)
        maps.append(replace(attn_map, stack=stack, layer=sum(earlier.stack == stack for earlier in maps)))
    return replace(record, maps=tuple(maps))


@pytest.fixture(autouse=True)
def towers(operator_model: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    operator_model("towers", TOWERS)
    backend_run = LocalBackend.run

    def run_with_stacks(self: LocalBackend, *given: Any, **options: Any) -> list[AttentionRecord]:
        return [with_stacks(record) for record in backend_run(self, *given, **options)]

    monkeypatch.setattr(LocalBackend, "run", run_with_stacks)


def record_of(page: AppTest) -> AttentionRecord:
    shown = now(page).run
    assert shown is not None
    return shown.record


def box(page: AppTest, key: str) -> Any:
    (only,) = [box for box in (*page.selectbox, *page.multiselect) if str(box.key).startswith(key)]
    return only


def test_the_page_opens_where_modalities_meet_on_the_word_that_answers() -> None:
    page = visit()
    assert record_of(page).stacks == (SEES, READS, ASKS)
    assert str(selected(page).map_ref) == f"{ASKS}/1:mean" == address(page)["map"]
    assert selected(page).tokens == (len(record_of(page).streams["text"]) - 1,)
    header, _ = payload(page)
    assert header["default_stack"] == ASKS and header["initial_view"]["map"] == f"{ASKS}/1:mean"


def test_a_link_opens_the_same_stack_and_one_without_a_stack_the_default_one() -> None:
    for text in (f"{SEES}/2:3", f"{READS}/0:mean", f"{ASKS}/0:1"):
        page = visit(map=text)
        assert str(selected(page).map_ref) == text == address(page)["map"]
        again = visit(**address(page))
        assert selected(again) == selected(page)
    assert str(selected(visit(map="0:1")).map_ref) == f"{ASKS}/0:1"


def test_the_heads_of_every_stack_stand_under_their_own_names() -> None:
    page = settled(visit(page="debug", section="heads"))
    record = record_of(page)
    stacks = box(page, "heads-stack")
    assert stacks.value == ASKS and [text.partition(":")[0] for text in stacks.options] == [SEES, READS, ASKS]
    words = viewer_words()
    assert stacks.options[0] == f"{SEES}: {words['stack-streams-own'].format_map({'from': 'picture'})}"
    ends = {"from": words["modality-text"], "to": words["modality-image"]}
    assert stacks.options[2] == f"{ASKS}: {words['stack-streams'].format_map(ends)}"
    layers = page.dataframe[0].value[translate(DEBUG, "heads-column-layer")]
    assert len(layers) == 3 * 4 + 2 * 2 + 2 * 2 == sum(attn_map.heads for attn_map in record.maps)
    assert {text.partition(",")[0] for text in layers} == {SEES, READS, ASKS}
    effects = now(page).experiments
    assert effects
    stacks.set_value(SEES)
    run(page)
    assert not page.exception


def test_methods_are_compared_within_the_stack_that_was_chosen() -> None:
    page = settled(visit(page="debug", section="compare"))
    stacks, methods = box(page, "compare-stack"), box(page, "compare-method")
    assert stacks.value == ASKS and methods.value == f"{ASKS}/1:mean"
    stacks.set_value(SEES)
    page = settled(run(page))
    methods = box(page, "compare-method")
    flows = [text for text in methods.options if text.startswith(("rollout", "gradient relevance"))]
    maps = [text for text in methods.options if text not in flows]
    assert len(maps) == 3 * (4 + 1) and all(text.startswith(SEES) for text in maps)
    assert len(flows) == 4 and sum(text.endswith("to text") for text in flows) == 2, "to the picture, and to the text"


@pytest.mark.parametrize("section", ["faithfulness", "effect"])
def test_other_experiments_are_about_the_keys_of_the_default_stack(section: str) -> None:
    page = settled(visit(page="debug", section=section))
    record = record_of(page)
    if section == "effect":
        tokens = box(page, "perturb-tokens-" + record.id)
        assert len(tokens.options) == 12
    else:
        heads = box(page, "faithfulness-head")
        keys = {record.maps[record.map_number(MapRef.parse(str(ref)))].keys for ref in heads_of(record)}
        assert keys == {"picture"} and len(heads.options) == 3 * 4 + 2 * 2
        assert f"{ASKS}, " in markup(page) or f"{SEES}, " in markup(page)


def heads_of(record: AttentionRecord) -> list[MapRef]:
    """The heads whose keys are those of the default stack."""
    return [
        record.map_ref(number, head)
        for number, attn_map in enumerate(record.maps)
        for head in range(attn_map.heads)
        if attn_map.keys == "picture"
    ]


@pytest.mark.parametrize("name", ["tokens", "scores", "softmax", "output", "heads", "cross-modal"])
def test_a_lesson_lets_its_reader_choose_the_stack_before_the_layer(name: str) -> None:
    page = visit(page="learn", lesson=name, **{"at-stack": "2"})
    if now(page).experiments:
        page = settled(page)
    assert not page.exception
    if name in ("tokens", "output"):
        return
    stacks = box(page, f"learn-{name}-stack")
    layers = box(page, f"learn-{name}-{'map' if name == 'cross-modal' else 'layer'}")
    assert stacks.value == ASKS and len(layers.options) == 2
    stacks.set_value(SEES)
    page = run(page)
    layers = box(page, f"learn-{name}-{'map' if name == 'cross-modal' else 'layer'}")
    assert layers.options == ["1", "2", "3"] and address(page)["at-stack"] == "0"
    again = visit(**address(page))
    assert box(again, f"learn-{name}-stack").value == SEES
    if name == "heads":
        record = record_of(page)
        query = box(page, "learn-heads-query")
        assert len(query.options) == 12 and query.value == answer_token(record, "picture")
        weights = record.maps[1].weights
        assert f"{np.float32(weights[0, query.value].max()):.3f}" in markup(page)


def test_streams_that_were_taken_for_others_get_the_names_that_the_visitor_writes() -> None:
    page = visit()
    before = record_of(page)
    assert {(m.queries, m.keys) for m in before.maps if m.stack == SEES} == {("picture", "picture")}
    fields = [field for field in page.text_input if str(field.key).endswith(("-queries", "-keys"))]
    assert [field.value for field in fields[:2]] == ["picture", "picture"]
    for field in fields[:2]:
        field.set_value("seen")
    page.button(key="FormSubmitter:streams-Run with these names").click()
    run(page)
    after = record_of(page)
    assert {(m.queries, m.keys) for m in after.maps if m.stack == SEES} == {("seen", "seen")}
    assert {(m.queries, m.keys) for m in after.maps if m.stack == ASKS} == {("text", "picture")}
    for old, new in zip(before.maps, after.maps, strict=True):
        np.testing.assert_array_equal(old.weights, new.weights)
    now_shown = now(page).run
    assert now_shown is not None and now_shown.rerun_request().pairs == (("see.*.attn", "seen", "seen"),)
    page.button(key="streams-reset").click()
    run(page)
    assert record_of(page).streams.keys() == before.streams.keys()


def test_the_first_lesson_compares_the_tokens_of_both_sides_of_cross_attention() -> None:
    page = settled(visit(page="learn", lesson="tokens", **{"at-open": "1"}))
    assert not page.exception
    record = record_of(page)
    words, patches = len(record.streams["text"]), len(record.streams["picture"])
    assert f"<b>{words}</b>" in markup(page) and f"<b>{patches}</b>" in markup(page)
    assert "this model&#x27;s own encoder of pictures" in markup(page) and "convolutional" not in markup(page)
    assert [metric.value for metric in page.metric[:2]] == [str(words + patches), "8"]
    (choice,) = [box for box in page.selectbox if str(box.key).startswith("learn-tokens-token")]
    assert choice.options[:words] == [token.label for token in record.streams["text"]]
    assert len(choice.options) == words + patches and choice.value == words - 1
