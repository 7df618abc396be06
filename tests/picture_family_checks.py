"""What must hold for a checkpoint of any family that reads pictures: places, words, attention weights and answers."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from typing import Any

import numpy as np
import torch
import transformers
from generated_scores import probabilities_are_those_of_generate
from numpy.typing import NDArray
from picture_checkpoints import attending_tower, gemma3n
from PIL import Image
from several_input_checks import checks_of_several
from test_huggingface_places import (
    GREY,
    HEIGHT,
    QUESTION,
    RATE,
    WIDTH,
    answered,
    block_of,
    entering,
    meets,
    only_moments_near,
    picture_stream,
    sample_of,
    streams_and_blocks,
    streams_of,
)

from mmviz import Modality, PixelBox, Sample, Seconds, Token, VideoPatch, make_sample
from mmviz.backends.local import LocalBackend
from mmviz.capture import capture
from mmviz.explain import run_sample
from mmviz.models.huggingface.chat_model import ChatModel

RESAMPLED = 8
"""Pixels around a place from which resampling may bring something."""
UNCHANGED = 1e-5
FIRST_BLOCKS = {("minicpmv4_6", "language_model"): "model.language_model.layers.0"}
"""Blocks before the first one that attends: those of linear attention mix tokens as well."""
TOWERS = ("vision", "visual", "image_encoder", "image_embed")
OUTPUTS = (
    "o_proj", "out_proj", "attn.proj.", "attention.output", "projection_layer", "self_attn.projection", "block.conv",
)  # fmt: skip
"""Parts of the names of the weights by which attention, or a convolution beside it, adds to what it reads."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A tiny checkpoint of a family."""

    name: str
    folder: str
    model: Any

    @cached_property
    def streams(self) -> dict[str, list[Token]]:
        """The tokens of each stream for the grey picture."""
        return streams_of(self.model, sample_of(self.model))

    def entering(self, stream: str, sample: Sample | None = None) -> NDArray[np.float32]:
        """Returns the vectors that enter the first block over a stream, ``[token, width]``."""
        if (self.name, stream) in FIRST_BLOCKS:
            self._blocks[stream] = FIRST_BLOCKS[self.name, stream]
        if stream not in self._blocks:
            self._blocks[stream] = block_of(self.model, sample_of(self.model), stream)
        vectors = entering(self.model, sample or sample_of(self.model), self._blocks[stream])
        if self.name in STACKED and "language" in stream:  # copies of the tokens follow them
            vectors = vectors[: len(vectors) // 2]
        return vectors

    @cached_property
    def _blocks(self) -> dict[str, str]:
        return {}


def patches_at_their_places(checkpoint: Checkpoint) -> None:
    """A white square changes the vectors of the patches whose place it meets, and no others."""
    model = checkpoint.model
    stream = picture_stream(checkpoint.streams)
    tokens, before = checkpoint.streams[stream], checkpoint.entering(stream)
    assert len(before) == len(tokens)
    patches = [k for k, token in enumerate(tokens) if token.modality is Modality.IMAGE]
    assert all(isinstance(tokens[k].location, PixelBox) for k in patches) and len(patches) > 3
    for number in (patches[0], patches[len(patches) // 2], patches[-1]):
        square = _core(tokens[number])
        change = np.abs(checkpoint.entering(stream, sample_of(model, _with_square(square))) - before).max(1)
        assert change[number] > UNCHANGED and meets(tokens[int(change.argmax())], square, 0)
        for token, amount in zip(tokens, change, strict=True):
            assert amount < UNCHANGED or meets(token, square, RESAMPLED), (token, amount)


def stages_at_their_places(checkpoint: Checkpoint) -> None:
    """At each stage of a tower a square changes most the patch whose place holds it, whatever convolutions mix."""
    model = checkpoint.model
    for stream in STAGES[checkpoint.name]:
        tokens, before = checkpoint.streams[stream], checkpoint.entering(stream)
        patches = [k for k, token in enumerate(tokens) if token.modality is Modality.IMAGE and token.location]
        assert len(before) == len(tokens) and len(patches) in (16, 64)
        rows = {tokens[k].location.y0: tokens[k].location.y1 for k in patches}  # type: ignore[union-attr]
        assert [*rows.values()][:-1] == [*rows][1:], "rows of patches meet"
        for number in patches[:: 1 + len(patches) // 20]:
            pixels = _with_square(_core(tokens[number]))
            change = np.abs(checkpoint.entering(stream, sample_of(model, pixels)) - before)
            assert int(change.mean(1).argmax()) == number, (stream, tokens[number])


def grid_at_its_places(checkpoint: Checkpoint) -> None:
    """A white square changes most the token whose place holds it, where convolutions let all see something of it."""
    model = checkpoint.model
    stream = picture_stream(checkpoint.streams)
    tokens, before = checkpoint.streams[stream], checkpoint.entering(stream)
    patches = [k for k, token in enumerate(tokens) if token.modality is Modality.IMAGE]
    assert len(patches) == 16 and all(isinstance(tokens[k].location, PixelBox) for k in patches)
    assert len({tokens[k].location for k in patches}) == 16
    held = 0
    for number in patches:
        square = _core(tokens[number])
        change = np.abs(checkpoint.entering(stream, sample_of(model, _with_square(square))) - before).mean(1)
        held += int(change.argmax()) == number
    assert held >= 14, held


def tower_patches_lie_in_what_they_see(checkpoint: Checkpoint) -> None:
    """The patches of a tower whose last stages attend are cells that they see, half a cell off at most."""
    torch.manual_seed(0)
    module, processor = gemma3n(attending_tower(), 2048)
    model = answered(ChatModel(module.eval(), processor, checkpoint.model.family, checkpoint.model.card, "cpu"))
    prepared = model.prepare(sample_of(model))
    with torch.no_grad(), capture(model.module) as result:
        model(prepared.tensors)
    streams, fields = model.located_tokens(prepared, result.fields), result.fields(prepared.tensors.pictures)
    for stream, side in (("blocks.2", 8), ("memory", 4), ("blocks.3", 4)):
        low, high = fields[stream].low, fields[stream].high
        assert low is not None and high is not None
        places = [token.location for token in streams[stream]]
        cells = np.array([[(p.x0, p.x1), (p.y0, p.y1)] for p in places if isinstance(p, PixelBox)])  # [token, axis, 2]
        middles = (cells.mean(2) / (WIDTH, HEIGHT)).T
        assert len(cells) == len({*map(str, cells)}) == side**2, stream
        assert (low < middles).all() and (middles < high).all(), stream
        is_whole = (low > 0.01) & (high < 0.99)
        assert (np.abs((low + high) / 2 - middles)[is_whole] < 0.5 / side).all(), stream
        assert is_whole.any() or stream != "blocks.2", "of some the end of the picture cuts nothing"


def language_tokens_at_their_places(checkpoint: Checkpoint) -> None:
    """Without attention in the tower, a square changes the tokens of the language model that stand for its place."""
    model = checkpoint.model
    saved = {key: value.clone() for key, value in model.module.state_dict().items()}
    silenced = [
        parameter for key, parameter in model.module.named_parameters()
        if any(tower in key for tower in TOWERS) and any(part in key for part in OUTPUTS)
    ]  # fmt: skip
    assert silenced
    with torch.no_grad():
        for parameter in silenced:
            parameter.zero_()
    try:
        stream = picture_stream(checkpoint.streams, is_tower=False)
        tokens, before = checkpoint.streams[stream], checkpoint.entering(stream)
        changed: set[int] = set()
        margin = RESAMPLED + SEEN_BEYOND.get(checkpoint.name, 0)
        for x in range(3, WIDTH - 6, 15):
            for y in range(3, HEIGHT - 6, 15):
                square = PixelBox(x, y, x + 6, y + 6)
                change = np.abs(checkpoint.entering(stream, sample_of(model, _with_square(square))) - before).max(1)
                for k in np.flatnonzero(change > UNCHANGED):
                    if tokens[k].label == "whole picture":
                        continue
                    assert meets(tokens[k], square, margin), (tokens[k], square)
                    changed.add(int(k))
        patches = {k for k, token in enumerate(tokens) if token.location and token.modality is Modality.IMAGE}
        assert changed <= patches and len(changed) > 0.6 * len(patches), (len(changed), len(patches))
        boxes = [tokens[k].location for k in patches]
        areas = [(box.x1 - box.x0) * (box.y1 - box.y0) for box in boxes if isinstance(box, PixelBox)]
        assert np.median(areas) < WIDTH * HEIGHT / 4, "a place is a part of the picture"
    finally:
        model.module.load_state_dict(saved)


def words_at_their_places(checkpoint: Checkpoint) -> None:
    """The question's tokens are its characters, and another letter changes only the tokens that hold it."""
    model = checkpoint.model
    streams = checkpoint.streams
    stream = next(name for name, tokens in streams.items() if any(_is_word(token) for token in tokens))
    tokens = streams[stream]
    words = [token for token in tokens if _is_word(token)]
    assert "".join(token.label for token in words) == QUESTION
    assert all(token.label == QUESTION[token.location.start : token.location.end] for token in words)
    before = checkpoint.entering(stream)
    place = QUESTION.index("t")
    asked = QUESTION[:place] + "x" + QUESTION[place + 1 :]
    other = replace(sample_of(model), text=asked)
    change = np.abs(checkpoint.entering(stream, other) - before).max(1)
    expected = [k for k, token in enumerate(tokens) if _is_word(token) and token.location.start == place]
    assert np.flatnonzero(change > UNCHANGED).tolist() == expected


def moments_at_their_places(checkpoint: Checkpoint) -> None:
    """A beep changes only the moments that it meets, and most the one that holds it."""
    model = checkpoint.model
    wave = (np.random.default_rng(0).standard_normal(2 * RATE) / 50).astype(np.float32)
    wave[1600:2400] += np.sin(np.arange(800) / 5).astype(np.float32) / 2  # the loudest, to which all is compared
    given = sample_of(model, wave=wave)
    streams = streams_of(model, given)
    stream = next(name for name, tokens in streams.items() if any(isinstance(t.location, Seconds) for t in tokens))
    block = block_of(model, given, stream)
    before = entering(model, given, block)
    for start in (0.42, 1.3):
        beep = wave.copy()
        beep[int(start * RATE) :][:480] += np.sin(np.arange(480) / 3).astype(np.float32) / 3
        change = np.abs(entering(model, sample_of(model, wave=beep), block) - before).max(1)
        only_moments_near(streams[stream], change, start, checkpoint.name in CUMULATIVE)


def weights_of_eager_attention(checkpoint: Checkpoint) -> None:
    """The maps of the default stack are the weights that transformers' own eager attention returns."""
    model = answered(checkpoint.model)
    prepared = model.prepare(sample_of(model))
    with torch.no_grad(), capture(model.module) as result:
        model(prepared.tensors)
    record = result.record(batch=0 if result.samples() > 1 else None)
    assert record.made_by["parity"] < 2e-6
    maps = {attn_map.name: attn_map for attn_map in record.maps if attn_map.stack == record.default_stack}
    eager, returned = copy.copy(model), {}
    eager_class = getattr(transformers, model.family.model_class)
    eager.module = eager_class.from_pretrained(checkpoint.folder, attn_implementation="eager").eval()
    for name in maps:
        module = eager.module.get_submodule(name)
        module.register_forward_hook(lambda _, given, output, name=name: returned.update({name: output[1]}))
    with torch.no_grad():
        eager(prepared.tensors)
    assert returned.keys() == maps.keys() and maps
    for name, attn_map in maps.items():
        np.testing.assert_allclose(attn_map.weights, returned[name][0], atol=EAGER.get(checkpoint.name, 2e-6))


def softmax_of_the_very_scores(checkpoint: Checkpoint) -> None:
    """All weights are a softmax in float64 of the very queries, keys and mask that were used."""
    model = answered(checkpoint.model)
    with torch.no_grad(), capture(model.module) as result:
        model(model.prepare(sample_of(model)).tensors)
    assert _difference_from_definition(result) < 2e-6


def weights_of_a_padded_batch(checkpoint: Checkpoint) -> None:
    """The weights of a prompt in a batch, padded, are those that it has alone, and a softmax of the very scores."""
    model = answered(checkpoint.model)
    longer = replace(sample_of(model), text=f"{QUESTION} And where is it?")
    rows = [model.prepare(sample) for sample in (sample_of(model), longer)]
    tensors = model.join(rows)
    assert tensors.rows == 2 and tensors.lengths == tuple(len(row.streams) - 2 for row in rows), "one is padded"
    with torch.no_grad(), capture(model.module) as result:
        model.token_log_probabilities(tensors)
    assert _difference_from_definition(result) < 2e-6
    for number, row in enumerate(rows):
        with torch.no_grad(), capture(model.module) as alone:
            model(row.tensors)
        record = alone.record(batch=0 if alone.samples() > 1 else None)
        together = {attn_map.name: attn_map for attn_map in result.record(batch=number).maps}
        count = len(row.streams)
        for attn_map in (attn_map for attn_map in record.maps if attn_map.stack == record.default_stack):
            weights = together[attn_map.name].weights
            np.testing.assert_allclose(weights[:, :count, :count], attn_map.weights, atol=BATCHED)
            assert not weights[:, :count, count:].any(), "nothing attends to the padding"


def _difference_from_definition(result: Any) -> float:
    from tools.model_coverage.captured_run import definition_difference

    return definition_difference(result)


def _without_picture(check: Callable[[Checkpoint], None]) -> Callable[[Checkpoint], None]:
    """Returns the check of a checkpoint that is given sound and words alone."""

    @wraps(check)
    def of_the_others(checkpoint: Checkpoint) -> None:
        model = copy.copy(checkpoint.model)
        model.family = replace(model.family, reads_image=False)
        check(Checkpoint(checkpoint.name, checkpoint.folder, model))

    return of_the_others


def answers_and_effects(checkpoint: Checkpoint) -> None:
    """A run answers, the effects of modalities sum to that of all, and every map passes its check."""
    model = checkpoint.model
    run = run_sample(sample_of(model), model="m", backend=LocalBackend("cpu", {"m": model}), relevance=True)
    if run.record.relevance is not None:
        assert np.isfinite(run.record.relevance).all() and run.record.relevance.any()
    effect = run.effect()
    parts = [effect[name] for name in ("image", "text", "audio") if name in effect]
    assert abs(sum(parts) - effect["total"]) < 1e-6 and any(parts) and run.record.answers[0].probability > 0
    assert run.record.made_by["parity"] < 2e-6 and run.record.default_stack
    notices = run.record.notices
    assert "own-row" not in [notice.code for notice in notices]
    assert not [notice for notice in notices if notice.code.startswith("hf-places")]
    assert run.attention(token=run.answer_query).sum() > 0.99


def learned_queries_lead_to_patches(checkpoint: Checkpoint) -> None:
    """Tokens of learned queries count as picture without a place, and rollout goes on through them to the patches."""
    model = checkpoint.model
    prepared = answered(model).prepare(sample_of(model))
    with torch.no_grad(), capture(model.module) as result:
        answered(model)(prepared.tensors)
    streams = answered(model).located_tokens(prepared, result.fields)
    tower, language = picture_stream(streams), next(name for name in streams if any(map(_is_word, streams[name])))
    maps = result.record(streams).maps
    resampler = next(
        attn_map for attn_map in maps
        if attn_map.keys != attn_map.queries and any(token.location for token in streams[attn_map.keys])
    )  # fmt: skip
    queries = [k for k, token in enumerate(streams[language]) if token.modality is Modality.IMAGE]
    assert len(queries) == resampler.weights.shape[-2] > 1
    assert all(streams[language][k].location is None for k in queries)
    last = [len(streams[language]) - 1]
    rows = result.rollout(last, queries=language, keys=tower)
    patches = [k for k, token in enumerate(streams[tower]) if token.modality is Modality.IMAGE]
    assert rows[0, patches].sum() > 0.001
    if resampler.queries in streams:  # all of its tokens are queries
        first_hop = result.rollout(last, queries=language, keys=language)[:, queries]
        second_hop = result.rollout(list(range(len(queries))), queries=resampler.queries, keys=tower)
        np.testing.assert_allclose(rows, first_hop @ second_hop, atol=1e-6)


def frames_at_their_moments(checkpoint: Checkpoint) -> None:
    """A white square in one frame of a video changes the tubes that hold its place and moment, and no others."""
    model, frames = checkpoint.model, [GREY[:48, :72].copy() for _ in range(FRAMES)]
    for name, value in OWN_CHOICE.items():  # as a checkpoint may say, which is not asked: what is shown is read
        if hasattr(model.processor.video_processor, name):
            setattr(model.processor.video_processor, name, value)
    for number, frame in enumerate(frames):
        frame[0, 0] = number  # else Pillow writes them as one
    before = _video(frames)
    prompt = model.prepare(before).details["prompt"]
    assert prompt.count(model.processor.video_token) == 1, "the frames go to the processor of videos"
    inputs = model.prepare(before).tensors.inputs
    for seconds in (inputs[name] for name in SECONDS_OF_TUBES if name in inputs):
        assert float(seconds) == JOINED_FRAMES[checkpoint.name] * STEP, "positions in time are those of the video"
    sheet = before.image
    assert sheet is not None
    saved = {key: value.clone() for key, value in model.module.state_dict().items()}
    with torch.no_grad():
        for key, parameter in model.module.named_parameters():
            if any(tower in key for tower in TOWERS) and any(part in key for part in OUTPUTS):
                parameter.zero_()
    try:
        streams, blocks = streams_and_blocks(model, before)
        for is_tower in (True, False):
            stream = picture_stream(streams, is_tower)
            tokens = streams[stream]
            tubes = [token.location for token in tokens if isinstance(token.location, VideoPatch)]
            moments = sorted({(tube.start, tube.end) for tube in tubes})
            joined = FRAMES // len(moments)
            assert joined == JOINED_FRAMES.get(checkpoint.name, 1)
            assert moments == [(k * joined * STEP, (k + 1) * joined * STEP) for k in range(len(moments))]
            assert all(len(tube.boxes) == joined for tube in tubes)
            block = FIRST_BLOCKS.get((checkpoint.name, stream)) or blocks[stream]
            vectors = entering(model, before, block)
            assert len(vectors) == len(tokens)
            for number, (x, y) in ((0, (5, 7)), (1, (48, 30)), (FRAMES - 1, (30, 20))):
                lit = [frame.copy() for frame in frames]
                lit[number][y : y + 10, x : x + 10] = 255
                cell = sheet.parts[number]
                square = PixelBox(cell.x0 + x, cell.y0 + y, cell.x0 + x + 10, cell.y0 + y + 10)
                change = np.abs(entering(model, _video(lit), block) - vectors).max(1)
                changed = [tokens[k] for k in np.flatnonzero(change > UNCHANGED)]
                assert changed, (stream, number)
                for token in changed:
                    location = token.location
                    assert isinstance(location, VideoPatch), (stream, token)
                    assert location.start <= number * STEP < location.end, (stream, number, token)
                    places = [Token(Modality.IMAGE, "", box) for box in location.boxes]
                    assert any(meets(place, square, RESAMPLED) for place in places), (stream, number, token)
    finally:
        model.module.load_state_dict(saved)


def _video(frames: list[NDArray[np.uint8]]) -> Sample:
    """Returns a sample with a video of `STEP` a frame."""
    file = io.BytesIO()
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(file, "WEBP", save_all=True, append_images=pictures[1:], duration=int(STEP * 1_000), lossless=True)
    return make_sample(video=file.getvalue(), text=QUESTION)


def rollout_goes_on_into_the_sound(checkpoint: Checkpoint) -> None:
    """What the rollout of an answer gives to the tokens of a sound goes on to moments of its tower, none later."""
    model = answered(checkpoint.model)
    prepared = model.prepare(sample_of(model))
    with torch.no_grad(), capture(model.module) as result:
        model(prepared.tensors)
    record = result.record(model.located_tokens(prepared, result.fields))
    language = picture_stream(checkpoint.streams, is_tower=False)
    tower = next(attn_map.queries for attn_map in record.maps if "audio" in attn_map.name)
    places = [k for k, token in enumerate(record.streams[language]) if isinstance(token.location, Seconds)]
    last, rows = len(record.streams[language]) - 1, result.rollout([*places], queries=language, keys=tower)
    in_tower = result.rollout([last], queries=language, keys=tower).sum()
    assert in_tower > 0
    np.testing.assert_allclose(in_tower, result.rollout([last], queries=language)[0, places].sum(), rtol=1e-4)
    starts = [token.location.start for token in record.streams[tower]]  # type: ignore[union-attr]
    for place, row in zip(places, rows, strict=True):
        moment = record.streams[language][place].location
        assert isinstance(moment, Seconds) and row.any()
        assert all(start < moment.end for start in np.array(starts)[row > 0]), (moment, row)


def answers_as_they_were_written(checkpoint: Checkpoint) -> None:
    """Each token of an answer has the log-probability with which ``generate`` of transformers wrote it."""
    probabilities_are_those_of_generate(checkpoint.model, sample_of(checkpoint.model))


EXACT = (weights_of_eager_attention, answers_and_effects, answers_as_they_were_written)
CHECKS = (patches_at_their_places, words_at_their_places, *EXACT)
LEARNED_QUERIES = ("blip2", "kosmos2")
CROSS_ATTENTION = ("mllama", "blip")
"""Families whose words attend to the tower itself, without tokens of the picture among them."""
EAGER = {"gemma4": 5e-6}
"""By how much both ways of transformers to compute attention differ, where scores are not scaled down."""
SEEN_BEYOND = {"florence2": 8}
"""Pixels by which convolutions from stage to stage see beyond the cell of a patch: 15 pixels of 32 for a step of 8."""
BATCHED = 5e-6
"""By how much weights in a batch differ from those alone, as their very queries and keys do in float32."""
GRIDS = ("gemma3n",)
"""Families whose towers are convolutions, which see most of the picture."""
STACKED = ("gemma3n",)
"""Families whose language model carries several vectors for each token (AltUp)."""
SOUNDS = ("qwen2_5_omni", "qwen3_omni", "gemma4")
CUMULATIVE = ("gemma3n",)
"""Families whose towers of sounds normalise each moment by all up to it."""
STAGES = {"florence2": ("blocks.0", "blocks.1")}
"""Streams of families whose tower has stages, each of fewer and larger patches than the one before."""
SEVERAL = (
    "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen2_5_omni", "qwen3_omni", "llava_onevision", "internvl", "smolvlm",
    "pixtral", "minicpmv4_6", "gemma4", "mllama",
)  # fmt: skip
"""Families that take several pictures, or sounds, in one prompt."""
FRAMES, STEP = 4, 0.25
"""Frames of a video, and the seconds from one to the next: other ones than processors take for granted."""
OWN_CHOICE = {"do_sample_frames": True, "num_frames": 2, "stack_frames": 3}
"""How processors would choose and join frames themselves."""
VIDEOS = (
    "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen2_5_omni", "qwen3_omni", "llava_onevision", "internvl", "smolvlm",
    "minicpmv4_6", "gemma4",
)  # fmt: skip
"""Families that have a processor of videos."""
SECONDS_OF_TUBES = ("second_per_grid_ts", "video_second_per_grid")
"""Inputs that say how many seconds lie between tubes."""
JOINED_FRAMES = {"qwen2_vl": 2, "qwen2_5_vl": 2, "qwen3_vl": 2, "qwen2_5_omni": 2, "qwen3_omni": 2}
"""Frames that one patch joins, where it joins several."""
LONG = ("phi4_multimodal",)
"""Families whose processor makes at least 2,048 patches, whose prompts with a picture are too long for whole maps."""
UNCOVERED = ("gemma3n", "gemma4", "phi4_multimodal", "minicpmv4_6")
"""Families without a build in the table of what capture records, see `tools.model_coverage`."""


def checks_of(name: str) -> dict[str, Callable[[Checkpoint], None]]:
    """Returns the checks of a checkpoint by their names."""
    shared = (weights_of_a_padded_batch,) if name in UNCOVERED else ()
    if name in GRIDS:
        checks_of_grid = (
            grid_at_its_places,
            tower_patches_lie_in_what_they_see,
            *CHECKS[1:],
            moments_at_their_places,
            rollout_goes_on_into_the_sound,
        )
        return {check.__name__: check for check in (*checks_of_grid, *shared)}
    if name in LONG:
        with_picture = (language_tokens_at_their_places, softmax_of_the_very_scores)
        of_sound = (words_at_their_places, moments_at_their_places, *EXACT, weights_of_a_padded_batch)
        return {check.__name__: check for check in (*with_picture, *map(_without_picture, of_sound))}
    checks = [*CHECKS, *shared]
    if name not in CROSS_ATTENTION:
        has_queries = name in LEARNED_QUERIES
        checks.append(learned_queries_lead_to_patches if has_queries else language_tokens_at_their_places)
    checks += [stages_at_their_places] if name in STAGES else []
    checks += [moments_at_their_places] if name in SOUNDS else []
    checks += [frames_at_their_moments] if name in VIDEOS else []
    checks += checks_of_several(name, SOUNDS) if name in SEVERAL else []
    return {check.__name__: check for check in checks}


def _is_word(token: Token) -> bool:
    return token.modality is Modality.TEXT and token.location is not None


def _core(token: Token) -> PixelBox:
    """Returns the middle half of a place, in whole pixels."""
    box = token.location
    assert isinstance(box, PixelBox)
    edges = []
    for first, last in ((box.x0, box.x1), (box.y0, box.y1)):
        start = round(first + (last - first) / 4)
        edges.append((start, max(round(last - (last - first) / 4), start + 2)))
    return PixelBox(edges[0][0], edges[1][0], edges[0][1], edges[1][1])


def _with_square(square: PixelBox) -> Any:
    """Returns the grey picture with a white square."""
    pixels = GREY.copy()
    pixels[int(square.y0) : int(square.y1), int(square.x0) : int(square.x1)] = 255
    return pixels
