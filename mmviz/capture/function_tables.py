"""What torch's functions do to the numbers of a tensor, by their names: one table for all that follow tensors."""

from __future__ import annotations

FLAT = frozenset({
    "view", "reshape", "flatten", "unflatten", "squeeze", "squeeze_", "unsqueeze", "unsqueeze_", "view_as",
    "reshape_as",
})  # fmt: skip
"""They keep the order of all numbers."""
TURNS = frozenset({
    "permute", "transpose", "transpose_", "swapaxes", "swapdims", "movedim", "moveaxis", "t", "adjoint", "__get__",
})  # fmt: skip
"""They move axes; ``__get__`` is the getter of ``T``, ``mT`` and the like."""
CUTS = frozenset({"__getitem__", "narrow", "select", "index_select"})
"""They leave numbers out, or pick them."""
PARTS = frozenset({"chunk", "split", "split_with_sizes", "tensor_split", "unbind", "hsplit", "vsplit"})
"""They cut a tensor into several."""
SPREADS = frozenset({"expand", "expand_as", "broadcast_to", "repeat", "repeat_interleave", "tile"})
"""They repeat numbers."""
JOINS = frozenset({"cat", "concat", "concatenate", "stack"})
"""They join tensors along an axis."""
MATRIX_PRODUCTS = frozenset({"matmul", "__matmul__", "mm", "bmm", "addmm", "baddbmm", "__rmatmul__"})
"""They multiply matrices."""
PLACEMENTS = frozenset({
    "masked_scatter", "masked_scatter_", "index_put", "index_put_", "__setitem__", "scatter", "scatter_", "where",
})  # fmt: skip
"""They put tokens among others, at places that indices or a mask tell."""
OF_FIRST = frozenset({"type_as", "to", "view_as", "reshape_as", "expand_as"})
"""They take the type, the device or the shape of their second argument, and none of its numbers."""
WRITES = frozenset({"__setitem__", "copy_", "index_put", "index_put_"})
"""They overwrite a part of a tensor, or all of it."""
MOVES = FLAT | TURNS | CUTS | PARTS | SPREADS | {"roll", "flip", "unfold"}
"""They move, repeat or leave out the numbers of one tensor, and do nothing else."""
RESIZES = (
    CUTS | PARTS | SPREADS | JOINS | WRITES
    | {"gather", "take_along_dim", "pad", "where", "topk", "roll"}
)  # fmt: skip
"""Their result may have another number of entries than an argument whose entries it has."""
CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d"})
"""They sum over the neighbours of each place."""
POOLS = CONVOLUTIONS | {
    "mean", "sum", "amax", "amin", "max", "min", "interpolate", "avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "max_pool1d", "max_pool2d",
}  # fmt: skip
"""They pool several tokens into a new token. Which tokens, does not depend on the numbers."""
_NORMS = frozenset({"layer_norm", "rms_norm", "group_norm", "batch_norm", "instance_norm"})
SOFTMAXES = frozenset({"softmax", "softmin", "gumbel_softmax", "special_softmax", "log_softmax"})
"""They turn scores into weights that sum to 1, or into their logarithm."""
MIXES = CONVOLUTIONS | _NORMS | {
    "conv_transpose1d", "conv_transpose2d", "embedding", "cos", "sin", "scaled_dot_product_attention", "argmax",
    "argsort",
}  # fmt: skip
"""They make other numbers: what comes after is neither scores nor weights of an attention before."""
