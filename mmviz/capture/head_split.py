"""How the axes of an attention call hold its heads, told by the features of its vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class HeadSplit:
    """How axes are cut, so that heads have axes of their own."""

    sizes: tuple[tuple[int, ...], ...]
    """The sizes that each axis is cut into."""
    is_head: tuple[tuple[bool, ...], ...]
    """Which of these are heads."""

    @property
    def heads(self) -> int:
        """Number of heads."""
        return math.prod(
            size for sizes, flags in zip(self.sizes, self.is_head, strict=True)
            for size, flag in zip(sizes, flags, strict=True) if flag
        )  # fmt: skip


def split_of(features: Tensor) -> HeadSplit | None:
    """Returns how the axes of ``features`` ``[*leading, token]`` hold the heads: vectors of one head have the same.

    Returns None where they do not follow the axes.
    """
    shape = features.shape
    for axis, size in enumerate(shape):  # an axis along which nothing changes is not read in full
        first = features.narrow(axis, 0, min(size, 1))
        if features.stride(axis) == 0 or bool((features == first).all()):
            features = first
    heads = len(set(features.flatten().tolist()))
    sizes: list[tuple[int, ...]] = []
    is_head: list[tuple[bool, ...]] = []
    for axis, size in enumerate(shape):
        line = features[tuple(slice(None) if k == axis else 0 for k in range(features.dim()))]
        count = len(set(line.tolist()))
        if count == 1:
            sizes.append((size,))
            is_head.append((False,))
        elif count == size:
            sizes.append((size,))
            is_head.append((True,))
        elif size % count == 0 and bool((line.view(count, -1) == line.view(count, -1)[:, :1]).all()):
            sizes.append((count, size // count))
            is_head.append((True, False))
        elif size % count == 0 and bool((line.view(-1, count) == line.view(-1, count)[:1]).all()):
            sizes.append((size // count, count))
            is_head.append((False, True))
        else:
            return None
    split = HeadSplit(tuple(sizes), tuple(is_head))
    return split if split.heads == heads else None
