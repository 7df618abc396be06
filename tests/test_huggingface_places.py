"""Where tokens of Hugging Face models lie: what moves in a picture or a sound changes the tokens whose place holds it.

To check the way from patches to the tokens of a language model, attention in the towers is switched off: then each
token depends on its own part of the input alone, whatever functions lie between.
"""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints  # first: it sets what transformers reads
import torch
from numpy.typing import NDArray

from mmviz import Modality, PixelBox, Sample, Seconds, Token, make_sample
from mmviz.backends.local import LocalBackend
from mmviz.capture import capture
from mmviz.explain import Run, run_sample
from mmviz.models.custom_model_factory import load
from mmviz.models.huggingface.patch_cells import grid_cells
from mmviz.types import AudioInput, ImageInput

pytestmark = pytest.mark.slow

WIDTH, HEIGHT, RATE = 96, 64, 16_000
GREY = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
SILENCE = np.zeros(2 * RATE, np.float32)
QUESTION = "What is this?"
PICTURES = ("llava", "llava_next", "idefics3", "gemma3", "paligemma", "clip", "vilt", "vit", "dinov2")
SOUNDS = ("qwen2_audio", "whisper", "ast")
MERGED = ("llava", "llava_next", "idefics3", "gemma3", "paligemma")
TILED = ("llava_next", "idefics3")
Changed = NDArray[np.float32]
FIRST_OF_LIST = re.compile(r"(.+?(?:\.0)+)\.")
"""The path of the first block of a list, or of the first list of several."""
REACH = 0.04
"""Seconds beyond the place of a moment that its vector may come from: half a window of a spectrogram, and what
convolutions join."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def models(folder: Path) -> dict[str, Any]:
    """Checkpoints by name, as loaded from their folder; each is loaded when it is first asked for."""

    class Models(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            self[name] = load(f"hf:{tiny_checkpoints.save_checkpoint(name, folder)}", "cpu")
            return self[name]

    return Models()


def sample_of(model: Any, pixels: NDArray[np.uint8] = GREY, wave: NDArray[np.float32] = SILENCE) -> Sample:
    """Returns a sample with what the model reads."""
    family = model.family
    return make_sample(
        image=pixels if family.reads_image else None, text=QUESTION if family.reads_text else None,
        audio=(wave, RATE) if family.reads_audio else None,
    )  # fmt: skip


def answered(model: Any) -> Any:
    """Returns the model with an answer, so that nothing needs to be written; others as they are."""
    return model.answering((60, 70)) if hasattr(model, "answering") else model


def streams_of(model: Any, sample: Sample) -> dict[str, list[Token]]:
    """Returns the tokens of each stream of one run."""
    model = answered(model)
    prepared = model.prepare(sample)
    torch.manual_seed(0)  # ViLT draws the patches that it reads
    with torch.no_grad(), capture(model.module) as result:
        model(prepared.tensors)
    located: dict[str, list[Token]] = model.located_tokens(prepared, result.fields)
    return located


class Entered(Exception):
    """Ends a pass at the block whose input is looked at."""


def entering(model: Any, sample: Sample, block: str) -> NDArray[np.float32]:
    """Returns the vectors of the tokens that enter ``block``, ``[token, width]``, those of several rows in turn."""
    model, kept = answered(model), []
    module = model.module.get_submodule(block)

    def keep(_: Any, args: Any, kwargs: Any) -> None:
        kept.append(args[0] if args else kwargs["hidden_states"])
        raise Entered

    handle = module.register_forward_pre_hook(keep, with_kwargs=True)
    torch.manual_seed(0)
    with torch.no_grad(), suppress(Entered):
        model(model.prepare(sample).tensors)
    handle.remove()
    vectors = kept[0]
    if vectors.dim() == 4 and "vision" in block:  # of a tower of convolutions, which has its features before its places
        vectors = vectors.movedim(1, -1)
    return np.asarray(vectors.reshape(-1, vectors.shape[-1]))


def block_of(model: Any, sample: Sample, stream: str) -> str:
    """Returns the path of the first block that attends over a stream."""
    return streams_and_blocks(model, sample)[1][stream]


def streams_and_blocks(model: Any, sample: Sample) -> tuple[dict[str, list[Token]], dict[str, str]]:
    """Returns the tokens of each stream of one run, and the path of the first block that attends over each."""
    model = answered(model)
    prepared = model.prepare(sample)
    with torch.no_grad(), capture(model.module) as result:
        model(prepared.tensors)
    streams: dict[str, list[Token]] = model.located_tokens(prepared, result.fields)
    record = result.record(streams, batch=0 if result.samples() > 1 else None)
    paths = {attn_map.queries: attn_map.name for attn_map in reversed(record.maps)}
    first = {stream: FIRST_OF_LIST.match(path) for stream, path in paths.items()}
    return streams, {stream: match[1] for stream, match in first.items() if match is not None}


def meets(token: Token, square: PixelBox, margin: float) -> bool:
    """Returns whether the place of a token meets a square, or comes nearer than a margin for resampling."""
    box = token.location
    return isinstance(box, PixelBox) and (
        box.x0 - margin < square.x1 and box.x1 + margin > square.x0
        and box.y0 - margin < square.y1 and box.y1 + margin > square.y0
    )  # fmt: skip


def picture_stream(streams: dict[str, list[Token]], is_tower: bool = True) -> str:
    """Returns the name of the stream with most patches, or of the one that also has the question."""
    names = [
        name for name, tokens in streams.items()
        if any(token.modality is Modality.IMAGE for token in tokens)
        and (is_tower or any(token.modality is Modality.TEXT for token in tokens))
    ]  # fmt: skip
    return names[0]


@pytest.mark.parametrize("name", PICTURES)
def test_a_white_square_changes_the_patches_whose_place_it_meets(models: dict[str, Any], name: str) -> None:
    model = models[name]
    streams = streams_of(model, sample_of(model))
    stream = picture_stream(streams)
    tokens, block = streams[stream], block_of(model, sample_of(model), stream)
    before = entering(model, sample_of(model), block)
    assert len(before) == len(tokens)
    patches = [k for k, token in enumerate(tokens) if token.location is not None and token.modality is Modality.IMAGE]
    for number in (patches[0], patches[len(patches) // 2], patches[-1]):
        box = tokens[number].location
        assert isinstance(box, PixelBox)
        (x0, x1), (y0, y1) = (_middle(box.x0, box.x1), _middle(box.y0, box.y1))
        pixels = GREY.copy()
        pixels[y0:y1, x0:x1] = 255
        change = np.abs(entering(model, sample_of(model, pixels), block) - before).max(1)
        square = PixelBox(x0, y0, x1, y1)
        if name in TILED:  # the whole picture has it as well
            assert change[number] > 1e-5 and meets(tokens[int(change.argmax())], square, 0)
        else:
            assert int(change.argmax()) == number
        for token, amount in zip(tokens, change, strict=True):
            assert amount < 1e-5 or meets(token, square, 8), (token, amount)


def _middle(first: float, last: float) -> tuple[int, int]:
    """Returns the middle half of an interval, in whole pixels."""
    return round(first + (last - first) / 4), max(
        round(last - (last - first) / 4), round(first + (last - first) / 4) + 2
    )


@pytest.mark.parametrize("name", MERGED)
def test_each_token_of_the_language_model_stands_for_the_patches_at_its_place(
    models: dict[str, Any], name: str
) -> None:
    model = models[name]
    towers = [key for key, _ in model.module.named_parameters() if "vision" in key]
    saved = {key: value.clone() for key, value in model.module.state_dict().items() if key in towers}
    with torch.no_grad():
        for key, parameter in model.module.named_parameters():
            if key in towers and ("o_proj" in key or "out_proj" in key):
                parameter.zero_()  # what a patch reads from others is left out
    try:
        streams = streams_of(model, sample_of(model))
        stream = picture_stream(streams, is_tower=False)
        block = block_of(model, sample_of(model), stream)
        before = entering(model, sample_of(model), block)
        changed_somewhere = set()
        for x in range(3, WIDTH - 6, 15):
            for y in range(3, HEIGHT - 6, 15):
                pixels = GREY.copy()
                pixels[y : y + 6, x : x + 6] = 255
                change = np.abs(entering(model, sample_of(model, pixels), block) - before).max(1)
                square = PixelBox(x, y, x + 6, y + 6)
                for k in np.flatnonzero(change > 1e-5):
                    assert meets(streams[stream][k], square, 8), (streams[stream][k], square)
                    changed_somewhere.add(int(k))
        patches = {k for k, token in enumerate(streams[stream]) if token.location and token.modality is Modality.IMAGE}
        assert changed_somewhere <= patches and len(changed_somewhere) > 0.6 * len(patches)
    finally:
        model.module.load_state_dict(saved, strict=False)


@pytest.mark.parametrize("name", SOUNDS)
def test_a_beep_changes_most_the_moment_that_holds_it(models: dict[str, Any], name: str) -> None:
    model = models[name]
    rng = np.random.default_rng(0)
    wave = (rng.standard_normal(2 * RATE) / 50).astype(np.float32)
    wave[1600:2400] += np.sin(np.arange(800) / 5).astype(np.float32) / 2  # the loudest, to which all is compared
    streams = streams_of(model, sample_of(model, wave=wave))
    stream = next(name for name, tokens in streams.items() if any(isinstance(t.location, Seconds) for t in tokens))
    tokens, block = streams[stream], block_of(model, sample_of(model, wave=wave), stream)
    before = entering(model, sample_of(model, wave=wave), block)
    for start in (0.42, 1.3):
        beep = wave.copy()
        first = int(start * RATE)
        beep[first : first + 480] += np.sin(np.arange(480) / 3).astype(np.float32) / 3
        change = np.abs(entering(model, sample_of(model, wave=beep), block) - before).max(1)
        only_moments_near(tokens, change, start)


def only_moments_near(tokens: list[Token], change: Changed, start: float, is_cumulative: bool = False) -> None:
    """Checks that a beep of 30 ms changed the moments that it meets alone, and most the one that holds it.

    ``is_cumulative``: whether the model compares each moment with all that came before it, so that later ones change.
    """
    middle = start + 0.015
    strongest = tokens[int(change.argmax())].location
    assert isinstance(strongest, Seconds) and strongest.start - 0.03 < middle < strongest.end + 0.03, strongest
    for k in np.flatnonzero(change > 1e-4 * change.max()):
        place = tokens[k].location
        assert isinstance(place, Seconds) and place.end + REACH > start, (tokens[k], start)
        assert is_cumulative or place.start - REACH < start + 0.03, (tokens[k], start)


def test_every_character_of_the_question_belongs_to_its_token(models: dict[str, Any]) -> None:
    for name in ("llava", "paligemma", "gemma3", "vilt", "clip", "qwen2_audio"):
        model = models[name]
        streams = streams_of(model, sample_of(model))
        words = [t for tokens in streams.values() for t in tokens if t.modality is Modality.TEXT and t.location]
        assert "".join(token.label for token in words) == QUESTION, name
        for token in words:
            assert token.label == QUESTION[token.location.start : token.location.end]  # type: ignore[union-attr]


def test_what_the_model_crops_away_has_no_patch(models: dict[str, Any]) -> None:
    streams = streams_of(models["llava"], sample_of(models["llava"]))
    boxes = [t.location for t in streams["vision_tower"] if isinstance(t.location, PixelBox)]
    assert min(box.x0 for box in boxes) == pytest.approx(16, abs=0.3)
    assert max(box.x1 for box in boxes) == pytest.approx(80, abs=0.3)
    assert max(box.y1 for box in boxes) == pytest.approx(64, abs=0.3)


def test_tiles_and_the_thumbnail_of_a_picture_have_their_own_places(models: dict[str, Any]) -> None:
    streams = streams_of(models["idefics3"], sample_of(models["idefics3"]))
    boxes = [t.location for t in streams[picture_stream(streams, is_tower=False)] if isinstance(t.location, PixelBox)]
    widths = sorted({round(box.x1 - box.x0) for box in boxes})
    assert len(boxes) == 5 * 16 and widths == [12, 24]  # four tiles of 48 px in 4 columns, and the whole in 4


def test_a_run_shows_picture_sound_and_words_in_one_record(models: dict[str, Any]) -> None:
    model = models["qwen2_audio"]
    run: Run = run_sample(sample_of(model), model="m", backend=LocalBackend("cpu", {"m": model}))
    moments = [token.location for token in run.tokens if isinstance(token.location, Seconds)]
    assert len(moments) == 50 and moments[0].start == 0 and moments[-1].end == pytest.approx(2, abs=0.03)
    assert all(a.end == pytest.approx(b.start) for a, b in pairwise(moments))
    assert isinstance(run.sample.audio, AudioInput) and not isinstance(run.sample.image, ImageInput)


@pytest.mark.parametrize(("size", "kernel", "stride"), [(32, 7, 4), (96, 31, 8), (96, 3, 8), (32, 63, 8)])
def test_cells_of_strided_convolutions_lie_around_the_middle_of_what_they_see(
    size: int, kernel: int, stride: int
) -> None:
    """A convolution with as much padding on both sides sees ``kernel`` pixels around the first of each stride."""
    order = np.repeat(np.arange(size // stride), 2)  # two rows
    low, high = (np.clip(order * stride + edge, 0.0, size) for edge in (-(kernel // 2), kernel // 2 + 1))
    cells = grid_cells(low, high, order)
    if kernel == 3 or kernel > size:  # they do not overlap, or each sees an end of the picture
        assert np.array_equal(cells, (low, high))
        return
    middles = order * stride + 0.5
    expected = np.clip([middles - stride / 2, middles + stride / 2], 0, size)
    expected[1, order == order.max()] = size  # what is beyond the last middle belongs to it
    np.testing.assert_allclose(cells, expected, atol=1e-9)
