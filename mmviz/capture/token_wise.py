"""Functions that leave every token by itself: a module that runs nothing else is no attention, whatever its name."""

from __future__ import annotations

_TOKEN_WISE = frozenset({
    # attributes and questions
    "__get__", "__set__", "size", "dim", "numel", "stride", "is_contiguous", "is_floating_point", "is_complex", "item",
    "__len__", "__bool__", "get_device", "requires_grad_", "is_cuda", "__format__", "__repr__", "tolist",
    "element_size", "_is_view", "is_inference", "ndimension", "storage_offset", "data_ptr", "__hash__",
    # linear maps, norms and functions of each number
    "linear", "bilinear", "dropout", "dropout_", "dropout1d", "dropout2d", "feature_dropout", "alpha_dropout",
    "layer_norm", "rms_norm", "batch_norm", "group_norm", "instance_norm", "normalize", "rsqrt", "sqrt", "square",
    "relu", "relu_", "relu6", "gelu", "silu", "mish", "elu", "selu", "celu", "leaky_relu", "hardtanh", "hardswish",
    "tanh", "tanh_", "logsigmoid", "softsign", "glu", "prelu", "abs", "neg", "__neg__", "log", "log1p", "log2",
    "reciprocal", "sign", "round", "floor", "ceil", "clone", "detach", "add", "add_", "sub", "sub_", "__rsub__", "rsub",
    "mul_", "mul", "div", "div_", "true_divide", "floor_divide", "pow", "pow_", "remainder", "__radd__", "__rmul__",
    "__rdiv__", "__rpow__", "minimum", "min", "max", "fill_", "zero_", "masked_fill", "masked_fill_", "where", "lerp",
    "eq", "ne", "gt", "ge", "lt", "le", "logical_and", "logical_or", "logical_not", "bitwise_not", "bitwise_and",
    "bitwise_or", "__and__", "__or__", "__invert__", "isnan", "isinf", "isfinite", "any", "all", "nan_to_num",
    # casts and views
    "to", "type", "type_as", "float", "half", "bfloat16", "double", "int", "long", "bool", "cuda", "cpu", "contiguous",
    "view", "view_as", "reshape", "reshape_as", "permute", "transpose", "transpose_", "swapaxes", "swapdims", "movedim",
    "moveaxis", "t", "flatten", "unflatten", "squeeze", "squeeze_", "unsqueeze", "unsqueeze_", "expand", "expand_as",
    "broadcast_to", "repeat", "repeat_interleave", "tile", "chunk", "split", "split_with_sizes", "tensor_split",
    "unbind", "__getitem__", "select", "narrow", "cat", "concat", "stack", "copy_", "__setitem__", "pad", "flip",
    # tables and new tensors
    "embedding", "arange", "zeros", "ones", "full", "empty", "zeros_like", "ones_like", "full_like", "empty_like",
    "new_zeros", "new_ones", "new_full", "new_empty", "new_tensor", "tensor", "as_tensor", "triu", "tril",
    "cos", "sin", "outer", "linspace", "rand_like", "randn_like",
})  # fmt: skip


def is_token_wise(name: str) -> bool:
    """Returns whether the function called ``name`` mixes no tokens with each other."""
    return name in _TOKEN_WISE
