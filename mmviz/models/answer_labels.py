"""The labels of a model's answers: as listed, or those of the vocabulary of a tokenizer."""

from __future__ import annotations

from typing import Any

from torch import nn

from mmviz.types import MmvizError


def answer_labels(answers: Any, module: nn.Module) -> tuple[str, ...]:
    """Returns a label for each logit.

    ``answers``: the labels, or a tokenizer, something with a length and ``decode([index])``. A vocabulary is as long as
    the output embeddings of ``module``, where it has such (``get_output_embeddings()``), since those are often padded;
    a piece without a text of its own is labelled ``#index``. Raises ``MmvizError`` (``own-answers``).
    """
    if callable(getattr(answers, "decode", None)) and not isinstance(answers, str | bytes):
        return tuple(_decoded(answers, index) for index in range(_vocabulary_size(answers, module)))
    if isinstance(answers, str) or not answers or not all(isinstance(label, str) for label in answers):
        raise MmvizError("own-answers")
    return tuple(answers)


def _vocabulary_size(tokenizer: Any, module: nn.Module) -> int:
    try:
        output_embeddings = module.get_output_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):  # no language model of Hugging Face, or one without them
        return len(tokenizer)
    rows = getattr(getattr(output_embeddings, "weight", None), "shape", (0,))[0]
    return int(rows) or len(tokenizer)


def _decoded(tokenizer: Any, index: int) -> str:
    label = str(tokenizer.decode([index])) if index < len(tokenizer) else ""
    return label or f"#{index}"
