"""Examples encoded once by the frozen encoders of `trio`, so that several fusion kinds can be trained on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mmviz.models.trio_network import MAX_TEXT_TOKENS, Trio
from mmviz.training.fit.data import Batch, BatchStream, ExampleEncoder, Recipe, loader, model_input
from mmviz.training.world.examples import World

PER_TEXT = ("text", "word_image", "word_audio", "word_position")
"""Arrays with an axis of text tokens, which a batch trims to its longest text."""
_SCENE = ("frames",)
_INT16 = ("answer", "family", "text_lengths", "word_image", "word_audio", "frame_image", "patch_spoken", "patch_named",
          "patch_candidate", "patch_evidence", "frame_evidence")  # fmt: skip


@torch.no_grad()
def encode(
    world: World, encoder: ExampleEncoder, model: Trio, recipe: Recipe, scenes: int, seed: int,
    progress: Callable[[int, int], None] = lambda done, of: None, workers: int = 1,
) -> Batch:  # fmt: skip
    """Returns ``scenes`` encoded scenes (a multiple of ``recipe.scenes``) with their questions.

    ``patch_tokens`` float16 ``[scene, 100, D]`` and ``frame_tokens`` ``[scene, 50, D]`` in the common space, ``frames``
    ``[scene]``; the arrays of questions (see `mmviz.training.world.labels.question_arrays`) have the shape
    ``[scene * questions, ...]``.
    """
    parts: list[Batch] = []
    batches = loader(BatchStream(world, encoder, recipe, seed), workers)
    while len(parts) * recipe.scenes < scenes:
        batch = next(batches)
        image, mel, _ = model_input(batch)
        part = {name: batch[name] for name in _SCENE}
        part["patch_tokens"], part["frame_tokens"] = model.encode_image(image).half(), model.encode_audio(mel).half()
        questions = len(batch["text"])
        for name, array in batch.items():
            if name in part or len(array) != questions or name in ("image", "mel"):
                continue
            if name in PER_TEXT:
                fill = 0 if name == "text" else -1
                padded = torch.full((questions, MAX_TEXT_TOKENS, *array.shape[2:]), fill, dtype=array.dtype)
                padded[:, : array.shape[1]] = array
                array = padded
            part[name] = array.to(torch.int16) if name in _INT16 else array
        parts.append(part)
        progress(len(parts) * recipe.scenes, scenes)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def batches(pool: Batch, scenes: int, start: int) -> Iterator[Batch]:
    """Yields batches of ``scenes`` scenes with all their questions, from scene ``start`` on, over and over."""
    count = len(pool["frames"])
    questions = len(pool["text"]) // count
    first = start
    while True:
        rows = torch.arange(first, first + scenes) % count
        question_rows = (rows[:, None] * questions + torch.arange(questions)).flatten()
        batch = {
            name: array[rows if name in ("patch_tokens", "frame_tokens", "frames") else question_rows]
            for name, array in pool.items()
        }
        longest = int(batch["text_lengths"].max())
        for name in PER_TEXT:
            batch[name] = batch[name][:, :longest]
        yield {name: array.long() if array.dtype == torch.int16 else array for name, array in batch.items()}
        first += scenes


def open_or_encode(path: Path, make: Callable[[], Batch]) -> Batch:
    """Returns the pool in the file ``path``, which ``make`` makes first if there is none."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        pool: dict[str, Tensor] = make()
        part = path.with_suffix(".part")
        save_file(pool, part)
        part.replace(path)
    return load_file(path)
