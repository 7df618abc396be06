"""Variants of one sample in a batch: which run together, and how shorter prompts are padded.

In a model that writes its answer, no token attends to those behind it, or only to those of the prompt. So a prompt that
is padded behind the answer, where the attention mask is 0, gives the same log-probabilities as alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mmviz.models.huggingface.processor_inputs import CheckpointInputs
from mmviz.models.protocol import Prepared

MAX_BATCH_TOKENS = 8_192
"""Tokens that run in one call of the model, all rows together, unless a single row has more."""
MAX_PADDING, FREE_PADDING = 0.25, 64
"""Share of its tokens by which a row may be padded, and tokens that do not count."""
_MASK, _TYPES = "attention_mask", "token_type_ids"
_SEQUENCES = ("input_ids", _MASK, _TYPES, "mm_token_type_ids", "image_embeds_position_mask")
"""Inputs that have an entry for each token of the prompt."""
_SEEN_PICTURES = "cross_attention_mask"
"""The pictures that each token of the prompt sees, ``[sample, token, picture, tile]``: the answer sees those that the
last one does."""


def batches_of(rows: Sequence[Prepared], pads_prompts: bool) -> list[list[int]]:
    """Returns the indices of the rows that run together.

    Their pictures and sounds have equal shapes. Prompts may differ in length where ``pads_prompts``, as long as little
    is padded.
    """
    by_shape: dict[tuple[Any, ...], list[int]] = {}
    for number, row in enumerate(rows):
        inputs = row.tensors.inputs
        pads = pads_prompts and _MASK in inputs
        shapes = tuple((name, None if pads and _is_sequence(name) else value.shape) for name, value in inputs.items())
        by_shape.setdefault(shapes, []).append(number)
    batches: list[list[int]] = []
    for numbers in by_shape.values():
        batch: list[int] = []
        for number in sorted(numbers, key=lambda number: _length(rows[number])):
            length = _length(rows[number])
            is_full = (len(batch) + 1) * len(rows[number].streams) > MAX_BATCH_TOKENS
            is_longer = batch and length > (1 + MAX_PADDING) * _length(rows[batch[0]]) + FREE_PADDING
            if batch and (is_full or is_longer):
                batches.append(batch)
                batch = []
            batch.append(number)
        batches.append(batch)
    return batches


def joined_inputs(rows: Sequence[Prepared], pad_id: int, packs_pictures: bool = False) -> CheckpointInputs:
    """Returns the inputs of the rows of a batch; shorter prompts are padded behind, with ``pad_id``.

    ``packs_pictures``: see `Family.packs_pictures`.
    """
    first: CheckpointInputs = rows[0].tensors
    lengths = [_length(row) for row in rows]
    longest = max(lengths)
    inputs = {}
    for name in first.inputs:
        values = [row.tensors.inputs[name] for row in rows]
        if _is_sequence(name):
            values = [_padded(value, longest, pad_id if name == "input_ids" else 0) for value in values]
        inputs[name] = torch.cat(values, -1 if packs_pictures and name in first.pictures else 0)
    is_padded = min(lengths) < longest
    return replace(first, inputs=inputs, rows=len(rows), lengths=tuple(lengths) if is_padded else ())


def extended_inputs(tensors: CheckpointInputs, answer: Tensor, answer_type: int = 0) -> dict[str, Any]:
    """Returns the inputs of prompt and answer as one sequence: ones in the mask, zeros in types of modalities.

    ``answer``: ids ``[row, token]``, which stand right behind the prompt of each row, before what it is padded with.
    ``answer_type``: see `Family.answer_type`.
    """
    inputs = tensors.inputs
    extended = dict(inputs)
    fillings = {_MASK: 1, _TYPES: answer_type}
    for name in filter(inputs.__contains__, _SEQUENCES):
        tail = answer if name == "input_ids" else torch.full_like(answer, fillings.get(name, 0))
        extended[name] = _inserted(inputs[name], tail.to(inputs[name].dtype), tensors.lengths)
    if _SEEN_PICTURES in inputs:
        mask, ends = inputs[_SEEN_PICTURES], tensors.lengths or [inputs[_SEEN_PICTURES].shape[1]] * len(answer)
        last = torch.stack([row[end - 1 : end] for row, end in zip(mask, ends, strict=True)])
        tail = last.expand(-1, answer.shape[1], -1, -1)
        extended[_SEEN_PICTURES] = _inserted(mask, tail, tensors.lengths)
    return extended


def longest_padding(tensors: CheckpointInputs) -> int:
    """Returns how many tokens the most padded row of a batch is padded with."""
    return max(tensors.lengths) - min(tensors.lengths) if tensors.lengths else 0


def answer_positions(tensors: CheckpointInputs, logits: Tensor, count: int) -> Tensor:
    """Returns the logits of the ``count`` tokens of the answer, ``[row, count, vocabulary]``.

    ``logits``: of the last tokens of `extended_inputs`, ``[row, token, vocabulary]``. Each is that of the token before.
    """
    if not tensors.lengths:
        return logits[:, -count - 1 : -1]
    longest = max(tensors.lengths)
    starts = [logits.shape[1] - count - 1 - (longest - length) for length in tensors.lengths]
    return torch.stack([row[start : start + count] for row, start in zip(logits, starts, strict=True)])


def _is_sequence(name: str) -> bool:
    return name in _SEQUENCES or name == _SEEN_PICTURES


def _length(row: Prepared) -> int:
    """Returns the number of tokens of a prompt; 0 for a model whose inputs are none."""
    inputs: Mapping[str, Any] = row.tensors.inputs
    return int(inputs["input_ids"].shape[1]) if "input_ids" in inputs else 0


def _padded(value: Tensor, length: int, filling: int) -> Tensor:
    """Returns ``value`` ``[sample, token, ...]`` with ``filling`` behind its tokens, up to ``length`` of them."""
    missing = length - value.shape[1]
    if not missing:
        return value
    return torch.cat([value, value.new_full((len(value), missing, *value.shape[2:]), filling)], 1)


def _inserted(values: Tensor, tail: Tensor, lengths: Sequence[int]) -> Tensor:
    """Returns ``values`` ``[row, token, ...]`` with ``tail`` behind the first ``lengths`` tokens of each row."""
    if not lengths:
        return torch.cat([values, tail], 1)
    rows = zip(values, tail, lengths, strict=True)
    return torch.stack([torch.cat([value[:length], own, value[length:]]) for value, own, length in rows])
