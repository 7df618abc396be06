"""Nouns cannot be changed once they are checked; they compare by value, and they can be hashed, pickled and copied."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from records import attention

import mmviz
from mmviz.types import (
    AblateHead,
    Answer,
    AttentionMap,
    AttentionRecord,
    AttentionTensors,
    AudioInput,
    CaptureError,
    Card,
    Chars,
    ImageInput,
    InputError,
    MapRef,
    MmvizError,
    Modality,
    Notice,
    PixelBox,
    PooledMap,
    ReplaceInput,
    Request,
    Sample,
    Seconds,
    StreamLink,
    Token,
    TokenLens,
    ValueSemantics,
    index_tokens,
    read_only,
)
from mmviz.types.exact_attention import ExactAttention, ExactCall, ExactMask


def weights() -> np.ndarray:
    return attention(2, 3, 3)


def steps() -> AttentionTensors:
    query, key, value = (np.random.default_rng(seed).normal(size=(2, 3, 4)).astype(np.float32) for seed in range(3))
    return AttentionTensors(query, key, value, 0.5, np.zeros((2, 3, 4), np.float32), np.zeros((1, 3, 3), np.float32))


def pooled() -> PooledMap:
    sums = np.tile(np.array([0.25, 0.25, 0.5, 0], np.float32), (2, 3, 1))
    return PooledMap("layer", 0, "text", "text", weights()[:, :2, :2], (0, 2, 3), (0, 1, 3), sums, sums, sums[:, 0, 0])


def image() -> ImageInput:
    return ImageInput(np.arange(36, dtype=np.uint8).reshape(3, 4, 3), 4, 3)


def audio() -> AudioInput:
    return AudioInput(np.linspace(-1, 1, 50, dtype=np.float32), 16_000, 0.1)


def record() -> AttentionRecord:
    return AttentionRecord(
        id="id",
        streams={"text": index_tokens(3), "memory": index_tokens(2)},
        maps=(AttentionMap("layer", 0, "text", "text", weights()),),
        answers=(Answer("cat", 0.5),),
        made_by={"model": "m", "milliseconds": {"model": 1.5}, "changes": ["UniformAttention()"]},
        notices=(Notice("audio-mixed", {"channels": 2}),),
        relevance=weights()[0],
        norms=(weights()[1],),
        integrated=weights()[0, 0],
        steps=(steps(),),
        sweep=np.log(np.full((4, 1), 0.5)),
        answer_log_probabilities=np.log(np.full((5, 2), 0.5)),
        links=(link(),),
        relevance_to={"memory": weights()[0, :, :2]},
        integrated_of={"memory": weights()[0, 0, :2]},
        lens=lens(),
    )


def lens() -> TokenLens:
    top, log_p = np.array([[[0, 1], [1, 0], [0, 1]]] * 2, np.int32), np.log(np.full((2, 3, 2), 0.5))
    return TokenLens(
        "text", ("blocks:input", "blocks"), ("norm", "head"), ("yes", "no"), top, log_p, "yes", top[..., 0] + 1,
        log_p[..., 0], 1, 2, 1e-7,
    )  # fmt: skip


def exact_call() -> ExactCall:
    tensors = {name: np.ones((1, 2, 3, 4), np.float32) for name in ("query", "key", "value", "gradient")}
    places = {name: np.arange(3, dtype=np.int32)[None] for name in ("query_places", "key_places")}
    return ExactCall(0.5, False, lse=np.ones((1, 2, 3), np.float32), **tensors, **places)


def link() -> StreamLink:
    return StreamLink("text", "memory", 0, np.array([0, 2]), np.array([1, 0]), np.ones(2, np.float32))


NOUNS: dict[str, Callable[[], Any]] = {
    "image": image,
    "audio": audio,
    "sample": lambda: Sample(image(), "a text", audio(), (Notice("audio-mixed", {"channels": 2}),)),
    "notice": lambda: Notice("audio-mixed", {"channels": 2}),
    "map": lambda: AttentionMap("layer", 0, "text", "text", weights()),
    "pooled map": pooled,
    "steps": steps,
    "record": record,
    "mask": lambda: ExactMask((1, 1, 2, 4), np.packbits(np.arange(8) % 2 == 0), np.array([0, -np.inf], np.float32)),
    "exact call": exact_call,
    "exact attention": lambda: ExactAttention(((exact_call(),),)),
    "link": link,
    "lens": lens,
    "card": lambda: Card("id", "title", "description", True, ("yes", "no"), "digest", {"seconds": 4}),
    "request": lambda: Request("trio", Sample(image()), (ReplaceInput(Modality.IMAGE, "blur"), AblateHead(0, 1))),
    "token": lambda: Token(Modality.IMAGE, "patch", PixelBox(0, 0, 1, 1)),
    "run": lambda: mmviz.Run(Sample(image(), "a text"), record()),
}


def arrays(value: Any) -> list[np.ndarray]:
    """All arrays in a noun, in its tuples and in nouns within it."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, tuple):
        return [array for part in value for array in arrays(part)]
    if isinstance(value, Mapping):
        return arrays(tuple(value.values()))
    return [array for field in fields(value) for array in arrays(getattr(value, field.name))] if is_noun(value) else []


def is_noun(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


@pytest.mark.parametrize("name", NOUNS)
def test_an_array_of_a_noun_can_never_be_written(name: str) -> None:
    noun = NOUNS[name]()
    for copied in (noun, replace(noun), copy.deepcopy(noun), pickle.loads(pickle.dumps(noun))):
        for array in arrays(copied):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
            with pytest.raises(ValueError, match="WRITEABLE"):
                array.flags.writeable = True
            assert array.base is None or not isinstance(array.base, np.ndarray) or not array.base.flags.writeable


def test_every_array_field_of_a_noun_is_among_those_tested() -> None:
    nouns = {type(make()) for make in NOUNS.values()}
    assert {kind for kind in ValueSemantics.__subclasses__()} <= nouns
    full = record()
    values = [getattr(full, field.name) for field in fields(full) if field.type != "bool"]
    assert all(value is not None and (is_noun(value) or len(value)) for value in values)


@pytest.mark.parametrize(
    "source",
    [
        lambda values: values,
        lambda values: values[:],
        lambda values: torch.from_numpy(values).numpy(),
        lambda values: np.asfortranarray(values),
        lambda values: np.frombuffer(bytearray(values.tobytes()), values.dtype).reshape(values.shape),
        lambda values: _locked(values),
    ],
    ids=["array", "view", "torch", "columns first", "bytearray", "locked by the caller"],
)
def test_writing_to_the_array_of_the_caller_changes_no_noun(source: Callable[[np.ndarray], np.ndarray]) -> None:
    for expected, make in (
        (weights(), lambda array: AttentionMap("layer", 0, "text", "text", array).weights),
        (image().pixels, lambda array: ImageInput(array, 4, 3).pixels),
        (audio().wave, lambda array: AudioInput(array, 16_000, 0.1).wave),
        (weights()[0], lambda array: replace(record(), relevance=array).relevance),
        (weights()[0], lambda array: replace(record(), norms=(array,)).norms[0]),
        (steps().query, lambda array: replace(steps(), query=array).query),
        (weights()[:, :2, :2], lambda array: replace(pooled(), overview=array).overview),
    ):
        original = np.array(expected)
        given = source(original)
        kept = make(given)
        for array in (original, given):
            if not array.flags.writeable:
                array.flags.writeable = True
            array[...] = 9
        assert np.array_equal(kept, expected)


def _locked(values: np.ndarray) -> np.ndarray:
    values.flags.writeable = False
    return values


def test_a_record_from_a_torch_tensor_does_not_follow_it() -> None:
    tensor = torch.from_numpy(weights())
    copied = mmviz.record([tensor])
    tensor.fill_(9)
    assert copied.maps[0].weights.max() <= 1


def test_an_immutable_array_is_not_copied_again() -> None:
    kept = read_only(np.arange(6.0).reshape(2, 3))
    assert read_only(kept) is kept and replace(image()).pixels.shape == (3, 4, 3)
    row = kept[1]
    assert read_only(row) is row
    attn_map = AttentionMap("layer", 0, "text", "text", weights())
    assert replace(attn_map, layer=1).weights is attn_map.weights
    with pytest.raises(ValueError, match="Python objects"):
        read_only(np.array([object()]))
    assert read_only(np.zeros((0, 3))).shape == (0, 3)


def test_the_mappings_of_a_noun_cannot_be_changed() -> None:
    streams, made_by = {"text": list(index_tokens(3))}, {"milliseconds": {"model": 1.5}}
    parameters, details = {"channels": 2}, {"limits": {"seconds": 4}}
    kept = replace(record(), streams=streams, made_by=made_by)
    notice, card = Notice("audio-mixed", parameters), Card("id", "title", "about", True, (), "digest", details)
    streams["text"].pop()
    made_by["milliseconds"]["model"] = 9.0
    parameters["channels"], details["limits"]["seconds"] = 9, 9
    assert kept.streams == {"text": index_tokens(3)} and kept.made_by == {"milliseconds": {"model": 1.5}}
    assert notice.parameters == {"channels": 2} and card.details == {"limits": {"seconds": 4}}
    for mapping in (kept.streams, kept.made_by, notice.parameters, card.details):
        with pytest.raises(TypeError):
            mapping["text"] = ()
    with pytest.raises(FrozenInstanceError):
        kept.maps = ()  # type: ignore[misc]


@pytest.mark.parametrize("name", NOUNS)
def test_nouns_compare_by_value_and_can_be_hashed(name: str) -> None:
    noun, other = NOUNS[name](), NOUNS[name]()
    assert noun == other and hash(noun) == hash(other) and {noun: 1}[other] == 1
    assert noun != NOUNS["token" if name != "token" else "card"]() and noun != name


@pytest.mark.parametrize("name", NOUNS)
def test_nouns_are_pickled_and_copied(name: str) -> None:
    noun = NOUNS[name]()
    assert pickle.loads(pickle.dumps(noun)) == copy.copy(noun) == copy.deepcopy(noun) == noun


def test_nouns_differ_in_any_value_of_any_array() -> None:
    changed = np.array(image().pixels)
    changed[2, 3, 2] += 1
    assert ImageInput(changed, 4, 3) != image() and Sample(ImageInput(changed, 4, 3)) != Sample(image())
    for name in ("relevance", "integrated", "sweep"):
        assert replace(record(), **{name: getattr(record(), name) - 1}) != record()
        assert replace(record(), **{name: None}) != record()
        assert replace(record(), **{name: getattr(record(), name).astype(np.float16)}) != record()
    assert replace(record(), links=None) != record() != replace(record(), relevance_to={})
    assert replace(link(), shares=np.array([1, 0.5], np.float32)) != link()
    assert replace(record(), norms=()) != record() and replace(record(), made_by={}) != record()
    assert replace(audio(), wave=np.append(audio().wave, np.float32(0))) != audio()


def test_a_copy_is_checked_as_the_original_was() -> None:
    data = pickle.dumps(AttentionMap("layer", 0, "text", "text", np.full((1, 2, 2), 0.5, np.float32)))
    tampered = data.replace(np.float32(0.5).tobytes() * 4, np.float32(0.7).tobytes() * 4)
    assert tampered != data
    with pytest.raises(CaptureError) as error:
        pickle.loads(tampered)
    assert error.value.code == "map-rows"


@pytest.mark.parametrize("kind", [MmvizError, InputError, CaptureError])
def test_errors_are_pickled_and_copied_with_their_code_and_parameters(kind: type[MmvizError]) -> None:
    error = kind("audio-rate", rate=1, low=2, high=3)
    error.add_note("a note")
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(copied) is kind and (copied.code, copied.parameters) == (error.code, error.parameters)
        assert str(copied) == str(error) and copied.args == error.args and copied.__notes__ == ["a note"]


def test_every_error_class_of_the_package_is_pickled() -> None:
    kinds = [MmvizError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {InputError, CaptureError} <= set(kinds)
    for kind in kinds:
        assert pickle.loads(pickle.dumps(kind("input-none"))).code == "input-none"


def test_a_record_knows_the_changes_it_was_made_with() -> None:
    assert record().has_change(mmviz.types.UniformAttention) and not record().has_change(AblateHead)
    assert not replace(record(), made_by={}).has_change(AblateHead)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PixelBox(1, 0, 1, 2),
        lambda: PixelBox(0, 2, 1, 1),
        lambda: Seconds(1, 1),
        lambda: Seconds(-1, 1),
        lambda: Chars(2, 2),
        lambda: Chars(-1, 1),
        lambda: Token(Modality.TEXT, "cat", PixelBox(0, 0, 1, 1)),
        lambda: Token(Modality.SPECIAL, "answer", Chars(0, 1)),
        lambda: ReplaceInput(Modality.AUDIO, "mean", (Chars(0, 1),)),
        lambda: ImageInput(np.zeros((2, 2), np.uint8), 2, 2),
        lambda: ImageInput(np.zeros((2, 2, 3), np.float32), 2, 2),
        lambda: AudioInput(np.zeros((2, 2), np.float32), 16_000, 1),
        lambda: AudioInput(np.zeros(2), 16_000, 1),
    ],
)
def test_an_impossible_input_or_location_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        make()


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: AttentionMap("layer", 0, "text", "text", weights()[0]), "map-shape"),
        (lambda: AttentionMap("layer", 0, "text", "text", weights(), "int8"), "map-dtype"),
        (lambda: replace(pooled(), dtype="int8"), "map-dtype"),
        (lambda: replace(pooled(), largest=np.zeros(3, np.float32)), "map-shape"),
        (lambda: replace(record(), streams={"text": index_tokens(4)}), "map-tokens"),
        (lambda: replace(record(), steps=(steps(), steps())), "steps-shape"),
    ],
)
def test_what_does_not_fit_together_is_refused(make: Callable[[], object], code: str) -> None:
    with pytest.raises(CaptureError) as error:
        make()
    assert error.value.code == code


def test_the_weights_of_a_pooled_map_are_refused_with_its_size() -> None:
    with pytest.raises(CaptureError, match="3 x 3") as error:
        _ = pooled().weights
    assert error.value.code == "map-long"


def test_a_subclass_without_arrays_needs_no_code_of_its_own() -> None:
    @dataclass(frozen=True, eq=False)
    class Pair(ValueSemantics):
        ref: MapRef
        values: tuple[float, ...]

    assert Pair(MapRef("rollout"), (1.0,)) == Pair(MapRef("rollout"), (1.0,)) != Pair(MapRef("rollout"), (2.0,))
