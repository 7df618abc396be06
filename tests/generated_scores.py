"""What ``generate`` of transformers itself gives for the tokens that it writes, one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mmviz import Sample

WRITTEN = 5


def probabilities_are_those_of_generate(model: Any, sample: Sample) -> None:
    """One pass over prompt and answer gives each token the log-probability with which ``generate`` wrote it: no token
    sees itself or those behind it."""
    inputs = model.prepare(sample).tensors.inputs
    words = model.tokenizer
    special = sorted({*words.all_special_ids, *words.get_added_vocab().values()})  # a picture begins with some
    written = model.module.generate(
        **inputs, max_new_tokens=WRITTEN, do_sample=False, output_logits=True, output_scores=True,
        return_dict_in_generate=True, suppress_tokens=special,
    )  # fmt: skip
    ids = tuple(int(scores[0].argmax()) for scores in written.scores)
    rows = [logits[0].double().log_softmax(-1) for logits in written.logits]
    expected = [float(row[token_id]) for row, token_id in zip(rows, ids, strict=True)]
    assert len(ids) == WRITTEN and max(expected) < -1e-3
    answered = model.answering(ids, sample=sample)
    with torch.no_grad():
        log_p = answered.token_log_probabilities(answered.prepare(sample).tensors)
    np.testing.assert_allclose(log_p[0], expected, atol=1e-4)
