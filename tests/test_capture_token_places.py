"""Which token of which stream each weight belongs to, where models rearrange tokens: answers known on paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from eager_attention import Blocks, drawn, heads, labels, record_of, weights_by_hand
from torch import Tensor, nn

import mmviz
from mmviz import CaptureError
from mmviz.capture.stacks import stacks_of


def attend(query: Tensor, key: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(query, key, key)


class Own(nn.Module):
    """Attention of tokens ``[batch, token, width]`` to each other, with two heads."""

    num_heads = 2

    def forward(self, x: Tensor, key: Tensor | None = None) -> Tensor:
        query, key = (heads(part) for part in (x, x if key is None else key))
        return attend(query, key).transpose(1, 2).flatten(2)


class ShiftedWindows(nn.Module):
    """Windows of three of eight tokens, shifted by one, so that one token of padding fills the last window up."""

    num_heads = 2

    def forward(self, x: Tensor) -> Tensor:
        windows = F.pad(x.roll(-1, 1), (0, 0, 0, 1)).unflatten(1, (3, 3)).flatten(0, 1)
        output = attend(heads(windows), heads(windows)).transpose(1, 2).flatten(2)
        return output.unflatten(0, (len(x), 3)).flatten(1, 2)[:, :8].roll(1, 1)


@pytest.mark.parametrize("sample", [0, 1])
def test_shifted_and_padded_windows_stand_under_the_tokens_of_the_picture(sample: int) -> None:
    x = drawn(2, 8, 8)
    windowed, whole = record_of(Blocks(ShiftedWindows(), Own()), x, batch=sample).maps
    places = [[1, 2, 3], [4, 5, 6], [7, 0, -1]]
    expected = np.zeros((2, 8, 8))
    for window in places:
        tokens = torch.stack([x[sample, k] if k >= 0 else torch.zeros(8) for k in window])[None]
        weights = weights_by_hand(heads(tokens), heads(tokens))[0]
        for row, query in enumerate(window):
            for column, key in enumerate(window):
                if min(query, key) >= 0:
                    expected[:, query, key] = weights[:, row, column]
    np.testing.assert_allclose(windowed.weights, expected, atol=2e-6)
    assert windowed.absorbed_by == "padding" and windowed.windows == (2, 0, 0, 0, 1, 1, 1, 2)
    assert (whole.queries, whole.keys, whole.windows) == (windowed.queries, windowed.keys, ())
    assert (windowed.stack, windowed.layer, whole.layer) == (whole.stack, 0, 1)


class LastQuery(nn.Module):
    """Only the last token is a query, as in the last layer of some classifiers."""

    num_heads = 2

    def forward(self, x: Tensor) -> Tensor:
        return attend(heads(x[:, -1:]), heads(x)).transpose(1, 2).flatten(2)


def test_a_query_that_is_a_part_of_a_stream_keeps_its_token() -> None:
    record = record_of(Blocks(Own(), LastQuery()), drawn(1, 4, 8), tokens=list("abcd"))
    first, last = record.maps
    assert labels(record, last.queries) == ["d"] and labels(record, last.keys) == list("abcd")
    assert last.keys == first.keys and last.queries != first.queries


class TokensFirst(nn.Module):
    """Tokens on the first axis and samples on the second."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attention = nn.MultiheadAttention(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.attention(x, x, x)[0]
        return output


@pytest.mark.parametrize("count", [3, 5])
def test_samples_on_the_second_axis_are_samples(count: int) -> None:
    """Also where there are as many samples as tokens."""
    x = drawn(count, 3, 8)
    with torch.no_grad(), mmviz.capture(model := TokensFirst().eval()) as result:
        model(x)
        expected = model.attention(x, x, x, average_attn_weights=False)[1]
    for sample in range(3):
        (attn_map,) = result.record(call=0, batch=sample).maps
        np.testing.assert_allclose(attn_map.weights, expected[sample], atol=2e-6)


class Siamese(nn.Module):
    """The same blocks for two inputs, and blocks of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.left = Blocks(Own(), Own()), Blocks(Own())

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.left(self.shared(x)) + self.shared(y)


def test_one_tower_that_runs_for_two_inputs_has_two_streams_and_two_stacks() -> None:
    record = record_of(Siamese(), drawn(1, 4, 8), drawn(1, 4, 8, seed=1))
    assert len(record.maps) == 5 and all(attn_map.queries == attn_map.keys for attn_map in record.maps)
    first, second = (
        {m.keys for m in record.maps if m.stack.startswith("shared") and m.keys in k} for k in record.streams
    )
    assert first != second and len(record.streams) == 2
    shared = [(m.keys, m.stack, m.layer) for m in record.maps if m.name.startswith("shared")]
    assert [layer for _, _, layer in shared] == [0, 1, 0, 1] and len({stack for _, stack, _ in shared}) == 2
    (left,) = (m for m in record.maps if m.name.startswith("left"))
    assert left.keys == shared[0][0], "its tokens are those that the shared blocks had first"


class Sorted(nn.Module):
    """Tokens in an order that depends on their numbers, which nothing can follow."""

    num_heads = 2

    def forward(self, x: Tensor) -> Tensor:
        ordered = x.sort(1).values
        return attend(heads(ordered), heads(ordered)).transpose(1, 2).flatten(2)


def test_tokens_that_cannot_be_followed_are_not_labelled_as_those_before() -> None:
    model = nn.ModuleDict({"first": Own(), "second": Sorted()})
    model.forward = lambda x: model["second"](model["first"](x))  # type: ignore[method-assign]
    record = record_of(model, drawn(1, 4, 8))
    assert len({attn_map.keys for attn_map in record.maps}) == 2


class WrongHeads(nn.Module):
    """A module that names another number of heads than it computes."""

    num_heads = 3

    def forward(self, x: Tensor) -> Tensor:
        return attend(heads(x), heads(x)).transpose(1, 2).flatten(2)


def test_heads_that_contradict_the_module_are_left_out_by_name() -> None:
    record = record_of(nn.Sequential(Own(), WrongHeads()), drawn(1, 4, 8))
    assert [attn_map.name for attn_map in record.maps] == ["0"]
    assert [(notice.code, notice.parameters["name"]) for notice in record.notices] == [("axes-heads", "1")]
    with pytest.raises(CaptureError) as error:
        record_of(nn.Sequential(WrongHeads()), drawn(1, 4, 8))
    assert error.value.code == "axes-heads"


class Pictures(nn.Module):
    """Two pictures a sample as rows of their own, which the text of the sample attends to together."""

    def __init__(self) -> None:
        super().__init__()
        self.text = Own()

    def forward(self, words: Tensor, pictures: Tensor) -> Tensor:
        return self.text(words, pictures.unflatten(0, (2, 2)).flatten(1, 2))


@pytest.mark.parametrize("sample", [0, 1])
def test_pictures_that_a_sample_has_several_of_are_keys_of_that_sample(sample: int) -> None:
    words, pictures = drawn(2, 3, 8), drawn(4, 5, 8, seed=1)
    (attn_map,) = record_of(Pictures(), words, pictures, batch=sample).maps
    own = pictures[2 * sample : 2 * sample + 2].flatten(0, 1)[None]
    np.testing.assert_allclose(attn_map.weights, weights_by_hand(heads(words[sample][None]), heads(own))[0], atol=2e-6)


def test_pairs_overrule_what_was_worked_out() -> None:
    record = record_of(Siamese(), drawn(1, 4, 8), drawn(1, 4, 8, seed=1), pairs={"left.*": ("mine", "mine")})
    assert {attn_map.keys for attn_map in record.maps if attn_map.name.startswith("left")} == {"mine"}
    with pytest.raises(CaptureError) as error:
        record_of(Siamese(), drawn(1, 4, 8), drawn(1, 4, 8, seed=1), pairs={"right.*": ("mine", "mine")})
    assert error.value.code == "capture-pattern"


@pytest.mark.parametrize(
    ("paths", "stacks"),
    [
        (["a.0.attn", "a.1.attn"], [("a.attn", 0), ("a.attn", 1)]),
        (["a.0.b.0.attn", "a.0.b.1.attn"], [("a.0.b.attn", 0), ("a.0.b.attn", 1)]),
        (["layers.0.0.fn", "layers.1.0.fn"], [("layers.0.fn", 0), ("layers.0.fn", 1)]),
        (["attention"], [("attention", 0)]),
        (["shared", "shared"], [("shared", 0), ("shared", 1)]),
    ],
)
def test_stacks_are_named_by_the_path_without_the_number_of_the_layer(
    paths: list[str], stacks: list[tuple[str, int]]
) -> None:
    assert stacks_of(paths, ["x"] * len(paths), range(len(paths))) == stacks


def test_several_maps_of_one_run_are_of_one_layer() -> None:
    assert [layer for _, layer in stacks_of(["a.0", "a.0", "a.1", "a.1"], ["x"] * 4, [0, 0, 1, 1])] == [0, 0, 1, 1]


def test_modules_between_other_streams_are_another_stack() -> None:
    names = [stack for stack, _ in stacks_of(["a.0", "a.1", "a.0", "a.1"], ["x", "x", "y", "y"], range(4))]
    assert names == ["a (1)", "a (1)", "a (2)", "a (2)"]
