"""Variants of Hugging Face models in batches: fewer passes, and the log-probabilities that each has alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints  # first: it sets what transformers reads
import tiny_dual_checkpoints
import tiny_sound_checkpoints
from numpy.typing import NDArray

from mmviz import Modality, Sample, make_sample
from mmviz.backends.local import LocalBackend, variants
from mmviz.experiments.modality_shapley import effect_requests
from mmviz.models.custom_model_factory import load
from mmviz.models.huggingface.processor_inputs import CheckpointInputs
from mmviz.models.huggingface.variant_batches import FREE_PADDING, MAX_PADDING, batches_of
from mmviz.models.protocol import Prepared
from mmviz.types import AttentionRecord, PixelBox, ReplaceInput, Request, Seconds

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 255, (64, 96, 3), dtype=np.uint8)
WAVE = (RNG.standard_normal(20_000) * 0.1).astype(np.float32)
TEXT = "What is this, and what is heard?"
SAVE: dict[str, Callable[[str, Path], Path]] = {
    **dict.fromkeys(("clip", "siglip2"), tiny_dual_checkpoints.save_dual_checkpoint),
    "clap": tiny_sound_checkpoints.save_sound_checkpoint,
}  # fmt: skip


class Checkpoint:
    """A checkpoint on a backend of its own, which counts the passes through its module."""

    def __init__(self, name: str, folder: Path):
        self.model: Any = load(f"hf:{SAVE.get(name, tiny_checkpoints.save_checkpoint)(name, folder)}", "cpu")
        self.backend = LocalBackend("cpu", {"m": self.model})
        self.passes = 0
        self.model.module.register_forward_pre_hook(lambda *_: setattr(self, "passes", self.passes + 1))

    def sample(self) -> Sample:
        family = self.model.family
        return make_sample(
            image=PIXELS if family.reads_image else None, text=TEXT if family.reads_text else None,
            audio=(WAVE, 16_000) if family.reads_audio else None,
        )  # fmt: skip

    def run(self, request: Request) -> tuple[AttentionRecord, int]:
        """Returns the record, and how many passes it took."""
        self.passes = 0
        (record,) = self.backend.run([request])
        return record, self.passes

    def answered(self) -> Request:
        """Returns the request of the checkpoint's own answer, if it writes one."""
        request = Request("m", self.sample(), maps=False)
        if not hasattr(self.model, "generate"):
            return request
        request = replace(request, options=(("new_tokens", 8),))
        return replace(request, answer=tuple(self.run(request)[0].made_by["answer"]))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[[str], Checkpoint]:
    return lambda name: Checkpoint(name, tmp_path)


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Callable[[Checkpoint, Request], NDArray[np.float64]]:
    """Returns a function that runs each variant by itself, and returns the log-probabilities."""

    def run(checkpoint: Checkpoint, request: Request) -> NDArray[np.float64]:
        with monkeypatch.context() as patch:
            patch.setattr(variants, "_run_batch", lambda *_: None)
            return values(checkpoint.run(request)[0])

    return run


def values(record: AttentionRecord) -> NDArray[np.float64]:
    """Returns the log-probabilities of each variant: of the answer's tokens, or of the answers."""
    assert record.sweep is not None
    tokens = record.answer_log_probabilities
    return record.sweep if tokens is None else tokens[1:]


def replacements(modality: Modality, count: int) -> tuple[tuple[ReplaceInput], ...]:
    """Returns variants that each lack another part of the picture or the sound."""
    if modality is Modality.IMAGE:
        return tuple((ReplaceInput(modality, "mean", (PixelBox(k * 20, 0, k * 20 + 20, 64),)),) for k in range(count))
    return tuple((ReplaceInput(modality, "mean", (Seconds(k * 0.2, k * 0.2 + 0.2),)),) for k in range(count))


def largest_difference(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Returns the largest difference as a share of the largest magnitude: of float32 numbers, six digits are exact."""
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.mark.parametrize("name", ["llava", "llava_next", "idefics3", "gemma3", "paligemma", "qwen2_audio"])
def test_prompts_of_different_lengths_run_together(
    checkpoint: Callable[[str], Checkpoint], one_by_one: Callable[[Checkpoint, Request], NDArray[np.float64]], name: str
) -> None:
    model = checkpoint(name)
    (request,) = effect_requests(model.answered())
    first, checked = model.run(request)
    again, passes = model.run(request)
    (alone_passes, alone) = 1 + len(values(first)), one_by_one(model, request)
    assert alone_passes == model.passes, "one for the run itself, then one for each coalition"
    rows = len(alone) if name != "paligemma" else 2  # which takes no prompt without a picture
    assert passes == 1 + rows // 2 and checked == passes + 1, "halved; the first time, one row is compared"
    assert largest_difference(values(first), alone) < 1e-6 and largest_difference(values(again), alone) < 1e-6
    assert np.ptp(alone) > 0.1, "the variants differ"


@pytest.mark.parametrize(("name", "modality"), [
    ("vit", Modality.IMAGE), ("vilt", Modality.IMAGE), ("clip", Modality.IMAGE), ("siglip2", Modality.IMAGE),
    ("ast", Modality.AUDIO), ("clap", Modality.AUDIO),
])  # fmt: skip
def test_inputs_of_encoders_run_together(
    checkpoint: Callable[[str], Checkpoint], one_by_one: Callable[[Checkpoint, Request], NDArray[np.float64]],
    name: str, modality: Modality,
) -> None:  # fmt: skip
    model = checkpoint(name)
    request = replace(model.answered(), sweep=((), *replacements(modality, 4)))
    model.run(request)
    record, passes = model.run(request)
    assert passes == 2, "the run itself, and all variants"
    alone = one_by_one(model, request)
    assert model.passes == 6 and np.ptp(alone, axis=0).max() > 1e-4
    np.testing.assert_allclose(values(record), alone, atol=2e-6, rtol=1e-6)


def test_a_batch_that_differs_from_its_rows_is_not_tried_again(
    checkpoint: Callable[[str], Checkpoint], one_by_one: Callable[[Checkpoint, Request], NDArray[np.float64]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    model = checkpoint("llava")
    (request,) = effect_requests(model.answered())
    alone = one_by_one(model, request)
    join = type(model.model).join

    def damaged(self: Any, rows: Any) -> CheckpointInputs:
        joined: CheckpointInputs = join(self, rows)
        return replace(joined, lengths=tuple(length - 1 for length in joined.lengths))

    monkeypatch.setattr(type(model.model), "join", damaged)
    first, passes = model.run(request)
    assert passes > 5 and largest_difference(values(first), alone) < 1e-6
    again, passes = model.run(request)
    assert passes == 5 and largest_difference(values(again), alone) < 1e-6


def test_a_module_that_takes_no_batch_runs_one_by_one(
    checkpoint: Callable[[str], Checkpoint], one_by_one: Callable[[Checkpoint, Request], NDArray[np.float64]]
) -> None:
    model = checkpoint("vit")
    request = replace(model.answered(), sweep=replacements(Modality.IMAGE, 3))
    alone = one_by_one(model, request)

    def refuse(module: Any, args: Any, kwargs: Any) -> None:
        if len(kwargs["pixel_values"]) > 1:
            raise RuntimeError("one picture at a time")

    model.model.module.register_forward_pre_hook(refuse, with_kwargs=True)
    np.testing.assert_allclose(values(model.run(request)[0]), alone, atol=1e-6)


def test_a_row_is_padded_by_little() -> None:
    import torch

    def row(length: int, pictures: int = 0) -> Prepared:
        inputs = {"input_ids": torch.zeros(1, length), "attention_mask": torch.ones(1, length)}
        inputs |= {"pixel_values": torch.zeros(pictures, 3)} if pictures else {}
        return Prepared(CheckpointInputs(inputs), ["t"] * length)

    longest = int(400 * (1 + MAX_PADDING)) + FREE_PADDING
    rows = [row(longest), row(400), row(400, 1), row(longest + 1), row(401, 1), row(401, 2)]
    assert batches_of(rows, pads_prompts=True) == [[1, 0], [3], [2, 4], [5]]
    assert sorted(map(sorted, batches_of([row(7), row(8), row(7)], pads_prompts=False))) == [[0, 2], [1]]
    unmasked = [Prepared(CheckpointInputs({"input_ids": torch.zeros(1, n)}), ["t"] * n) for n in (7, 8)]
    assert batches_of(unmasked, pads_prompts=True) == [[0], [1]], "nothing would tell what is padding"
