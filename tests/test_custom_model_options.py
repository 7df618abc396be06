"""Options of a custom model: streams, answer token, vocabularies, rows of a batch, required modalities, devices."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from eager_attention import drawn, picture, run_of
from torch import Tensor, nn

import mmviz
from mmviz import Chars, Modality, Request, Token
from mmviz.app.pages.debug.modality_effect import effect_html, subsets_html
from mmviz.backends.layer_progress import report_layers
from mmviz.experiments.audit import Assessment, modality_use
from mmviz.experiments.modality_shapley import effect_requests, measure_modality_effect, read_effect
from mmviz.report.effect_table import effect_sentences
from mmviz.types import DropModality, MmvizError, ReplaceInput, Sample

IMAGE, TEXT, AUDIO = Modality.IMAGE, Modality.TEXT, Modality.AUDIO
SOUND = (np.sin(np.arange(1600) / 9).astype(np.float32) / 2, 16_000)


class Attending(nn.Module):
    """Self-attention over ``[1, token, 8]``, in layers; logits of every token."""

    def __init__(self, answers: int, layers: int = 3) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.ModuleList(nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(layers))
        self.head = nn.Linear(8, answers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x, x, x, need_weights=False)[0]
        logits: Tensor = self.head(x)
        return logits


def attending(answers: Any, **options: Any) -> mmviz.CustomModel:
    """A custom model over five letters."""
    count = len(answers)
    tokens = [Token(TEXT, letter, Chars(k, k + 1)) for k, letter in enumerate("abcde")]
    return mmviz.CustomModel(
        Attending(count), lambda sample: (drawn(1, 5, 8), tokens), answers, **{"answer_token": -1} | options
    )


@pytest.mark.parametrize(
    ("answer_token", "index"), [(-1, 4), (2, 2), (("tokens", -2), 3), (lambda tokens: len(tokens) - 4, 1)]
)
def test_the_answer_token_is_shown_first_and_gives_the_logits(answer_token: Any, index: int) -> None:
    options = {"logits": lambda output: output[:, index]} if callable(answer_token) else {}
    own = attending(["yes", "no"], answer_token=answer_token, **options)
    run = run_of(own, text="abcde")
    with torch.no_grad():
        expected = own.module(drawn(1, 5, 8))[0, index].double().softmax(-1).tolist()
    assert tuple(run.record.made_by["answer_token"]) == ("tokens", index) and run.answer_query == index
    assert {answer.index: answer.probability for answer in run.record.answers} == pytest.approx(
        dict(enumerate(expected)), abs=1e-6
    )


@pytest.mark.parametrize("answer_token", [5, -6, ("elsewhere", 0), "last", True, (1, 2, 3)])
def test_an_answer_token_that_is_none_of_the_tokens_is_named(answer_token: Any) -> None:
    with pytest.raises(MmvizError) as error:
        run_of(attending(["yes", "no"], answer_token=answer_token), text="abcde")
    assert error.value.code == "own-answer-token" and "tokens (5)" in str(error.value)


class Tokenizer:
    """A vocabulary of three pieces, two of which look alike."""

    def __len__(self) -> int:
        return 3

    def decode(self, ids: list[int]) -> str:
        return ["cat", "", "cat"][ids[0]]


class Padded(Attending):
    """A language model whose output embeddings are longer than its vocabulary, as in Hugging Face."""

    def get_output_embeddings(self) -> nn.Linear:
        return self.head


def test_a_tokenizer_gives_the_answers_of_its_vocabulary() -> None:
    assert attending(Tokenizer()).card.answers == ("cat", "#1", "cat")
    own = mmviz.CustomModel(Padded(5), lambda sample: (drawn(1, 5, 8), list("abcde")), Tokenizer(), answer_token=-1)
    assert own.card.answers == ("cat", "#1", "cat", "#3", "#4")
    assert {answer.index for answer in run_of(own, text="a").record.answers} == {0, 1, 2, 3, 4}


def test_a_record_keeps_the_top_answers_and_what_the_sweep_needs() -> None:
    labels = [f"word {k}" for k in range(300)]
    few, every = (attending(labels, top=top) for top in (3, 300))
    sweep = tuple((mmviz_change,) for mmviz_change in map(head, range(6)))
    records = {}
    for name, own in (("few", few), ("every", every)):
        backend = mmviz.LocalBackend("cpu", {"own": own})
        (records[name],) = backend.run([Request("own", mmviz.make_sample(text="abcde"), sweep=sweep)])
    assert [len(records[name].answers) for name in ("few", "every")] == [pytest.approx(3, abs=12), 300]
    assert records["few"].answers[:3] == records["every"].answers[:3]
    assert records["few"].sweep is not None and records["every"].sweep is not None
    whole = np.array([answer.probability for answer in records["every"].answers])
    some = np.array([answer.probability for answer in records["few"].answers])
    for row, full in zip(np.exp(records["few"].sweep), np.exp(records["every"].sweep), strict=True):
        assert records["few"].answers[row.argmax()].label == records["every"].answers[full.argmax()].label
        assert np.abs(row - some).max() == pytest.approx(np.abs(full - whole).max(), abs=1e-9)


def head(number: int) -> mmviz.types.AblateHead:
    """A change that ablates one of the six heads."""
    return mmviz.types.AblateHead(number // 2, number % 2)


class ByModality(nn.Module):
    """The logit of the first answer adds what each modality is worth, and 1 for image and text together."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 1, batch_first=True)

    def forward(self, given: Tensor) -> Tensor:
        attended = self.attention(given[:, None], given[:, None], given[:, None])[0].sum() * 0
        image, text, audio = given[0, :3]
        first = 0.5 * image + 1.5 * text - 0.75 * audio + image * text + attended
        return torch.stack([first, torch.zeros_like(first)])[None]


def by_modality(**options: Any) -> mmviz.CustomModel:
    def prepare(sample: Sample) -> tuple[Tensor, list[str]]:
        given = [float(value is not None) for value in (sample.image, sample.text, sample.audio)]
        return torch.tensor([[*given, 0.0]]), ["all"]

    return mmviz.CustomModel(ByModality(), prepare, ["yes", "no"], **options)


WHOLE = mmviz.make_sample(picture(16, 16), "a", SOUND)


def shapley_by_permutations(required: tuple[int, ...]) -> dict[Modality, float]:
    """Shapley values of the modalities that are not required, as the mean over all orders of joining."""

    def value(kept: tuple[int, ...]) -> float:
        given = [float(k in kept) for k in range(3)]
        logit = 0.5 * given[0] + 1.5 * given[1] - 0.75 * given[2] + given[0] * given[1]
        return -math.log1p(math.exp(-logit))

    players = [k for k in range(3) if k not in required]
    orders = list(permutations(players))
    phi = dict.fromkeys((IMAGE, TEXT, AUDIO), 0.0)
    for order in orders:
        for position, player in enumerate(order):
            before = (*required, *order[:position])
            phi[(IMAGE, TEXT, AUDIO)[player]] += (value((*before, player)) - value(before)) / len(orders)
    return phi


@pytest.mark.parametrize("required", [("image",), ("image", "audio"), ()])
def test_shapley_goes_over_the_modalities_that_can_be_missing(required: tuple[str, ...]) -> None:
    backend = mmviz.LocalBackend("cpu", {"own": by_modality(required=required)})
    effect = measure_modality_effect(backend, Request("own", WHOLE))
    assert effect is not None and effect.required == frozenset(required)
    indices = tuple((IMAGE, TEXT, AUDIO).index(Modality(name)) for name in required)
    assert effect.phi == pytest.approx(shapley_by_permutations(indices), abs=1e-6)
    assert effect.total == pytest.approx(sum(effect.phi.values()), abs=1e-6)
    assert len(effect.values) == 2 ** (3 - len(required))
    run = run_of(by_modality(required=required), image=picture(16, 16), text="a", audio=SOUND)
    assert set(run.effect()) == {"image", "text", "audio", "total"} - set(required)


def test_a_required_modality_is_named_and_not_called_unused() -> None:
    backend = mmviz.LocalBackend("cpu", {"own": by_modality(required="image")})
    effect = measure_modality_effect(backend, Request("own", WHOLE))
    assert effect is not None
    (sentence, agrees) = effect_sentences(
        effect, {IMAGE: 0.98, TEXT: 0.02, AUDIO: 0.0} | {AUDIO: effect.shares[AUDIO]}
    )[:2]
    assert "cannot run without the picture" in sentence and "picture" not in agrees
    assert effect_html(effect, None).count("<td>–</td>") == 5  # three of attention, share and effect of the image
    assert subsets_html(effect).count("<td class='mark'>") == 3 * len(effect.values), "those that were measured"
    (use,) = (row for row in modality_use([Assessment("a", effect, None)]) if row.modality is IMAGE)
    assert use.present == use.ignored == 0 and use.effect is None


def test_dropping_a_required_modality_is_refused_and_replacing_it_is_measured() -> None:
    backend = mmviz.LocalBackend("cpu", {"own": by_modality(required=("image",))})
    with pytest.raises(MmvizError) as error:
        backend.run([Request("own", WHOLE, (DropModality(IMAGE),))])
    assert error.value.code == "own-required-drop" and "mean, blur or noise" in str(error.value)
    (record,) = backend.run([Request("own", WHOLE, (ReplaceInput(IMAGE, "mean"),))])
    assert len(record.answers) == 2
    (request,) = effect_requests(Request("own", WHOLE), "mean")
    assert read_effect(WHOLE, backend.run([request])).required == frozenset()
    with pytest.raises(MmvizError) as error:
        backend.run([Request("own", mmviz.make_sample(text="a"))])
    assert error.value.code == "own-required" and "image" in str(error.value)


class OneLabel(ByModality):
    """As above, beside an answer whose label is the same."""

    def forward(self, given: Tensor) -> Tensor:
        return super().forward(given) - torch.tensor([[0.0, -1.0]])


def test_an_answer_of_the_same_label_counts_as_another_answer() -> None:
    own = by_modality()
    twice = mmviz.CustomModel(OneLabel(), own._prepare, ["a", "a"])
    effect = measure_modality_effect(mmviz.LocalBackend("cpu", {"own": twice}), Request("own", WHOLE))
    assert effect is not None and effect.is_changed(frozenset({IMAGE})) and not effect.is_changed(effect.everything)


class Fitting(nn.Module):
    """How well each text ``[row, 4, 8]`` fits the image ``[1, 3, 8]``, each with attention of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.vision, self.text = (nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(2))

    def forward(self, image: Tensor, texts: Tensor) -> Tensor:
        image = image + self.vision(image, image, image, need_weights=False)[0]
        texts = texts + self.text(texts, texts, texts, need_weights=False)[0]
        return image.mean(1) @ texts.mean(1).T


def test_rows_of_texts_are_told_apart_and_that_of_the_answer_is_shown() -> None:
    inputs = drawn(1, 3, 8), drawn(5, 4, 8, seed=1)
    labels = [[f"{letter}{k}" for k in range(4)] for letter in "abcde"]
    own = mmviz.CustomModel(
        Fitting(), lambda sample: (inputs, {"patches": ["p", "q", "r"], "words": labels}), list("abcde"),
        streams={"vision": "patches", "text": "words"},
    )  # fmt: skip
    record = run_of(own, text="a").record
    row = record.answers[0].index
    assert row, "a first row would be shown anyway"
    assert [token.label for token in record.streams["words"]] == labels[row]
    with torch.no_grad():
        texts = inputs[1]
        expected = own.module.text(texts, texts, texts, average_attn_weights=False)[1][row]
        whole = own.module.vision(inputs[0], inputs[0], inputs[0], average_attn_weights=False)[1][0]
    (vision,), (text,) = ([m for m in record.maps if m.name == name] for name in ("vision", "text"))
    np.testing.assert_allclose(text.weights, expected.numpy(), atol=2e-6)
    np.testing.assert_allclose(vision.weights, whole.numpy(), atol=2e-6)
    assert any(notice.code == "own-row" and "5 rows" in str(notice) for notice in record.notices)


def test_rows_of_different_lengths_are_refused() -> None:
    own = mmviz.CustomModel(Fitting(), lambda sample: (drawn(1, 3, 8), {"words": [["a"], ["b", "c"]]}), ["a", "b"])
    with pytest.raises(MmvizError) as error:
        run_of(own, text="a")
    assert error.value.code == "own-rows" and "1, 2 tokens" in str(error.value)


@pytest.mark.parametrize("option", [{"streams": {"vison.*": "image"}}, {"pairs": {"vison": ("a", "b")}}])
def test_names_of_streams_for_no_module_are_refused(option: Mapping[str, Any]) -> None:
    with pytest.raises(MmvizError) as error:
        mmviz.CustomModel(Fitting(), lambda sample: None, ["a"], **option)  # type: ignore[arg-type, return-value]
    assert error.value.code == "own-pattern" and "vision" in str(error.value)


def test_a_modality_that_is_none_is_refused() -> None:
    with pytest.raises(MmvizError) as error:
        by_modality(required=("picture",))
    assert error.value.code == "own-required-name" and "picture" in str(error.value)


def test_the_layers_of_a_slow_model_are_reported_while_it_runs() -> None:
    own = attending(["yes", "no"])
    reports: list[tuple[int, int]] = []
    with report_layers(lambda done, of: reports.append((done, of))):
        run_of(own, text="abcde")
    assert reports == [(1, 3), (2, 3), (3, 3)]
    run_of(own, text="abcde")
    assert len(reports) == 3 and not any(part._forward_hooks for part in own.module.modules())


class Offloaded(nn.Module):
    """A linear layer whose weights are fetched for each forward, and gone between, as accelerate does it."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched = nn.Linear(8, 2)
        self.weights = {name: value.detach().clone() for name, value in self.fetched.state_dict().items()}
        self.fetched.to("meta")
        self.fetched.register_forward_pre_hook(lambda *_: self._fetch("cpu"))
        self.fetched.register_forward_hook(lambda *_: self._fetch("meta"))

    def _fetch(self, device: str) -> None:
        self.fetched.to_empty(device=device)
        if device == "cpu":
            self.fetched.load_state_dict(self.weights)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.fetched(x)
        return output


class Spread(nn.Module):
    """A model of which a part is offloaded, and which must not be moved."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = Offloaded()

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.out(self.attention(x, x, x)[0].sum(1))
        return output


def test_a_model_on_several_devices_stays_where_it_is() -> None:
    own = mmviz.CustomModel(Spread(), lambda sample: (drawn(1, 3, 8), list("abc")), ["yes", "no"])
    own.to("meta")
    assert own.device == "cpu" and own.module.attention.in_proj_weight.device.type == "cpu"
    assert own.module.out.fetched.weight.is_meta
    assert len(run_of(own, text="abc").record.maps) == 1
    plain = attending(["yes", "no"])
    assert plain.to("meta").module.head.weight.is_meta, "any other model is moved"


class Merging(nn.Module):
    """Patches are written over the embedded words, and the layers take the merged tokens by keyword."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.patch = nn.Embedding(9, 8), nn.Linear(8, 8)
        self.layers = Layers()

    def forward(self, pieces: Tensor, patches: Tensor) -> Tensor:
        merged = torch.where((pieces == 8)[..., None], self.patch(patches), self.embed(pieces))
        logits: Tensor = self.layers(mask=None, hidden_states=merged)
        return logits


class Layers(nn.Module):
    """A layer over merged tokens, called by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 2)

    def forward(self, mask: None, hidden_states: Tensor) -> Tensor:
        attended = self.layer(hidden_states, hidden_states, hidden_states)[0]
        logits: Tensor = self.out((hidden_states + attended)[:, -1])
        return logits


def merging(embedding: str) -> tuple[mmviz.CustomModel, mmviz.AttentionRecord]:
    pieces, patches = torch.tensor([[8, 8, 8, 1, 2]]), drawn(1, 5, 8)
    own = mmviz.CustomModel(
        Merging(), lambda sample: ((pieces, patches), list("PQRvw")), ["a", "b"], embedding=embedding
    )
    backend = mmviz.LocalBackend("cpu", {"own": own})
    (record,) = backend.run([Request("own", mmviz.make_sample(text="ab"), integrated=True)])
    return own, record


@pytest.mark.slow
def test_integrated_gradients_start_at_the_input_of_a_module() -> None:
    own, record = merging("layers:input")
    assert record.integrated is not None
    pieces, patches = torch.tensor([[8, 8, 8, 1, 2]]), drawn(1, 5, 8)
    module = own.module
    tokens = torch.where((pieces == 8)[..., None], module.patch(patches), module.embed(pieces)).detach()
    answer, points = record.answers[0].index, 500
    amounts = torch.zeros(5, dtype=torch.float64)
    for step in range(points):  # the midpoint rule, on its own
        x = (tokens * (step + 0.5) / points).requires_grad_()
        log_p = module.layers(mask=None, hidden_states=x).double().log_softmax(-1)[0, answer]
        amounts += (torch.autograd.grad(log_p, x)[0][0] * tokens[0]).sum(-1) / points
    np.testing.assert_allclose(record.integrated, amounts.numpy(), atol=2e-3)
    assert not any(part._forward_pre_hooks for part in module.modules())


def test_tokens_that_the_model_writes_over_are_named() -> None:
    _, record = merging("embed")
    (notice,) = (notice for notice in record.notices if notice.code == "integrated-overwritten")
    assert record.integrated is None and "3 of 5 tokens" in str(notice) and "P, Q, R" in str(notice)


@pytest.mark.parametrize(("place", "code"), [("layers:output", "own-place"), ("nowhere:input", "own-embedding")])
def test_a_place_that_is_none_is_refused(place: str, code: str) -> None:
    with pytest.raises(MmvizError) as error:
        merging(place)
    assert error.value.code == code


def test_a_module_without_tokens_among_its_inputs_is_refused() -> None:
    _, record = merging("embed:input")
    assert record.integrated is None and [notice.code for notice in record.notices] == ["integrated-input"]


class MaskedPadding(nn.Module):
    """Sets padding to 0 after it was embedded, and masks it: nothing is written over."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attention = nn.Embedding(9, 8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.out = nn.Linear(8, 2)

    def forward(self, pieces: Tensor) -> Tensor:
        is_padding = pieces == 0
        x = self.embed(pieces) * ~is_padding[..., None]
        logits: Tensor = self.out(self.attention(x, x, x, key_padding_mask=is_padding)[0][:, 0])
        return logits


def test_masked_padding_does_not_count_as_written_over() -> None:
    own = mmviz.CustomModel(
        MaskedPadding(), lambda sample: (torch.tensor([[1, 2, 0, 0]]), list("ab..")), ["a", "b"], embedding="embed"
    )
    backend = mmviz.LocalBackend("cpu", {"own": own})
    (record,) = backend.run([Request("own", mmviz.make_sample(text="ab"), integrated=True)])
    assert record.integrated is not None and (record.integrated[2:] == 0).all()


def test_the_example_of_the_documentation_shows_the_text_that_fits_best() -> None:
    text = (Path(__file__).resolve().parent.parent / "docs" / "custom-models.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[-1]
    namespace: dict[str, Any] = {}
    exec(example, namespace)
    run = run_of(namespace["make"](), image=picture(64, 64))
    best = run.record.answers[0].label
    assert [token.label for token in run.record.streams["texts"]] == (best.split() + ["[PAD]"])[:3]
    assert len(run.record.maps) == 4 and len(run.record.streams["image"]) == 16


class OnAGpu(nn.Parameter):
    """A parameter that says that it lies on the second GPU."""

    device = torch.device("cuda:1")  # type: ignore[assignment]


class Sent(Tensor):
    """An input that remembers where it was sent."""

    sent_to: object = None

    def to(self, *args: Any, **_: Any) -> Sent:  # type: ignore[override]
        self.sent_to = args[0]
        return self


def test_inputs_go_to_where_the_module_lies_now() -> None:
    x = drawn(1, 5, 8).as_subclass(Sent)
    own = mmviz.CustomModel(nn.Linear(8, 2), lambda sample: (x, list("abcde")), ["yes", "no"])
    own.prepare(mmviz.make_sample(text="a"))
    assert (own.device, x.sent_to) == ("cpu", "cpu")
    for name, parameter in list(own.module.named_parameters()):  # as module.to("cuda:1") of its owner does
        setattr(own.module, name, Tensor._make_subclass(OnAGpu, parameter.detach(), False))
    own.prepare(mmviz.make_sample(text="a"))
    assert (own.device, x.sent_to) == ("cuda:1", "cuda:1")


def test_a_record_names_the_device_of_the_model_that_ran() -> None:
    tokens = [str(number) for number in range(16)]
    own = mmviz.CustomModel(
        Attending(2), lambda sample: (drawn(1, 16, 8), tokens), ["yes", "no"], answer_token=-1, batches=True
    )
    backend, request = mmviz.LocalBackend("cuda", {"own": own}), Request("own", mmviz.make_sample(text="a"))
    for count in (1, 2):
        for record in backend.run([request] * count):
            assert record.made_by["device"] == "cpu" and "CPU" in record.made_by["device_name"]
            assert record.made_by.get("batch_size", 1) == count
