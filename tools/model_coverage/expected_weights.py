"""The weights of one sample as a map of the whole stream, from what a model's own eager code returned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tools.model_coverage.captured_run import Trial
from tools.model_coverage.model_build import BATCH, LENGTH, PADDING, ExpectedStack, ModelBuild


def expected_weights(
    build: ModelBuild, stack: ExpectedStack, own: Sequence[Tensor], layer: int, sample: int, shape: Sequence[int]
) -> NDArray[np.float32] | None:  # fmt: skip
    """Returns ``[head, query, key]``, or None where the model returned no weights of its own.

    ``own``: what one module returned in a call, in order; ``shape``: of the recorded map, which decides of packed
    samples whether all of them are shown or one.
    """
    if not own or stack.own_axes is None:
        return None
    heads = shape[0]
    ordered = [weights.permute(stack.own_axes) if stack.own_axes else weights for weights in own]
    runs = [_four_axes(weights, heads) for weights in ordered]
    if stack.packed:
        blocks = [block for weights in runs for block in weights]
        return _packed(blocks, sample, shape)
    if stack.windows is not None:
        return _from_windows(runs, stack.windows(layer), (stack.key_windows or stack.windows)(layer), sample)
    weights = runs[layer] if len(runs) > 1 and layer < len(runs) else runs[0]
    return weights[sample] if len(weights) == BATCH else weights.reshape(BATCH, -1, *weights.shape[-2:])[sample]


def valid_rows(build: ModelBuild, stack: ExpectedStack, trial: Trial, sample: int, queries: int) -> NDArray[np.bool_]:
    """Returns which queries are no padding, whose weights are undefined."""
    valid = np.ones(queries, bool)
    length = build.streams.get("text", LENGTH)
    if trial.side and sample == 1 and stack.queries.partition(",")[0] == "text" and queries == length:
        valid[slice(0, PADDING) if trial.side == "left" else slice(-PADDING, None)] = False
    return valid


def _four_axes(weights: Tensor, heads: int) -> NDArray[np.float32]:
    """Returns ``[sample, head, query, key]``; batch and heads may share an axis, and other axes may come first."""
    array: NDArray[np.float32] = weights.float().cpu().numpy()
    if array.ndim == 4 and array.shape[1] == heads:
        return array
    return array.reshape(-1, heads, *array.shape[-2:])


def _packed(blocks: Sequence[NDArray[np.float32]], sample: int, shape: Sequence[int]) -> NDArray[np.float32]:
    """Returns the blocks on the diagonal of one sequence, or those of one sample where the map is as small as that."""
    total = sum(block.shape[-1] for block in blocks)
    if shape[-1] < total and len(blocks) % BATCH == 0:
        share = len(blocks) // BATCH
        blocks = blocks[sample * share : (sample + 1) * share]
        total = sum(block.shape[-1] for block in blocks)
    elif shape[-1] * BATCH == total and len(blocks) == 1:
        part = slice(sample * shape[-1], (sample + 1) * shape[-1])
        return blocks[0][:, part, part]
    whole = np.zeros((blocks[0].shape[0], total, total), np.float32)
    place = 0
    for block in blocks:
        size = block.shape[-1]
        whole[:, place : place + size, place : place + size] = block
        place += size
    return whole


def _from_windows(
    runs: Sequence[NDArray[np.float32]], windows: NDArray[np.int64], key_windows: NDArray[np.int64], sample: int
) -> NDArray[np.float32]:  # fmt: skip
    """Returns the windows of a sample at their places in the streams of queries and of keys."""
    if len(runs) == 1 and len(runs[0]) == 1:  # learned queries, which are the same in every sample
        blocks = np.broadcast_to(runs[0], (len(windows), *runs[0].shape[1:]))
    elif len(runs) == 1:  # the windows of a sample after one another in the axis of samples
        blocks = runs[0].reshape(BATCH, len(windows), *runs[0].shape[1:])[sample]
    else:
        blocks = np.stack([weights[sample] for weights in runs])
    whole = np.zeros((blocks.shape[1], windows.size, key_windows.size), np.float32)
    for block, places, keys in zip(blocks, windows, key_windows, strict=True):
        whole[:, places[:, None], keys[None, :]] = block
    return whole
