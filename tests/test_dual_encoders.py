"""Models of two encoders: they have no attention across modalities, but similarities of their tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints  # first: it sets what transformers reads
import tiny_dual_checkpoints
import torch
import transformers
from app_page import markup, now, run, visit
from numpy.typing import NDArray

import mmviz
from mmviz import Modality, PixelBox, Sample, Seconds, Token, make_sample
from mmviz.analysis.dual_encoder_similarity import TokenSimilarity, token_similarity
from mmviz.backends.local import LocalBackend
from mmviz.explain import run_sample
from mmviz.figures.similarity_legend import similarity_strip_html
from mmviz.models.custom_model_factory import load
from mmviz.models.huggingface import token_similarity as similarity_of_modules
from mmviz.types import UniformAttention

pytestmark = pytest.mark.slow

NAMES = ("clip", "siglip", "siglip2")
PIXELS = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
GREY = np.full((64, 96, 3), 100, np.uint8)
TEXT = "What is this?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def models(folder: Path) -> dict[str, Any]:
    return {name: load(f"hf:{tiny_dual_checkpoints.save_dual_checkpoint(name, folder)}", "cpu") for name in NAMES}


@pytest.fixture(scope="module")
def backend(models: dict[str, Any]) -> LocalBackend:
    return LocalBackend("cpu", models)


def similarity(backend: LocalBackend, name: str, pixels: NDArray[np.uint8] = PIXELS) -> TokenSimilarity:
    record = run_sample(make_sample(image=pixels, text=TEXT), model=name, backend=backend).record
    kept = token_similarity(record)
    assert kept is not None
    return kept


def embeddings(model: Any, sample: Sample) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the vectors of picture and text, of length 1, as the model itself compares them."""
    with torch.no_grad():
        output = model.module(**model.prepare(sample).tensors.inputs)
    pair = (np.asarray(vector[0], np.float64) for vector in (output.image_embeds, output.text_embeds))
    image, text = (vector / np.linalg.norm(vector) for vector in pair)
    return image, text


def test_the_token_that_the_model_pools_has_the_vector_of_the_whole(models: dict[str, Any], backend: Any) -> None:
    for name in NAMES:
        kept = similarity(backend, name)
        image, text = embeddings(models[name], make_sample(image=PIXELS, text=TEXT))
        if name == "clip":  # the class token stands for the picture, the last of this text for the text
            assert kept.text[0] == pytest.approx(image @ text, abs=2e-5)
        pooled = [k for k in range(len(kept.words)) if np.allclose(kept.values[:, k], kept.text, atol=2e-5)]
        assert pooled, (name, "no token of the text has the vector of the text")
        assert np.abs(kept.values).max() <= 1 and np.ptp(kept.values) > 0.1


def test_patches_that_are_all_alike_have_the_vector_of_the_whole_picture(models: dict[str, Any], backend: Any) -> None:
    """SigLIP pools by attention: of equal patches it makes what it makes of each alone."""
    for name in ("siglip", "siglip2"):
        places = models[name].module.vision_model.embeddings.position_embedding.weight
        saved = places.detach().clone()
        with torch.no_grad():
            places.zero_()
        try:
            kept = similarity(backend, name, GREY)
            image, text = embeddings(models[name], make_sample(image=GREY, text=TEXT))
        finally:
            with torch.no_grad():
                places.copy_(saved)
        located = [k for k, token in enumerate(kept.places) if token.location is not None]
        np.testing.assert_allclose(kept.text[located], image @ text, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_white_square_changes_the_similarities_of_its_own_patch_alone(
    models: dict[str, Any], backend: LocalBackend, name: str
) -> None:
    outputs = [layer.self_attn.out_proj for layer in models[name].module.vision_model.encoder.layers]
    saved = [(layer.weight.detach().clone(), layer.bias.detach().clone()) for layer in outputs]
    with torch.no_grad():
        for layer in outputs:  # what a patch reads from others is left out
            layer.weight.zero_()
            layer.bias.zero_()
    try:
        before = similarity(backend, name, GREY)
        patches = [k for k, token in enumerate(before.places) if isinstance(token.location, PixelBox)]
        for number in (patches[1], patches[len(patches) // 2], patches[-2]):
            box = before.places[number].location
            assert isinstance(box, PixelBox)
            pixels = GREY.copy()
            x, y = round((box.x0 + box.x1) / 2), round((box.y0 + box.y1) / 2)
            pixels[max(y - 1, 0) : y + 1, max(x - 1, 0) : x + 1] = 255
            change = np.abs(similarity(backend, name, pixels).values - before.values).max(1)
            assert int(change.argmax()) == number
    finally:
        with torch.no_grad():
            for layer, (weight, bias) in zip(outputs, saved, strict=True):
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)


def test_words_keep_their_places_and_padding_is_that_of_the_training(backend: LocalBackend) -> None:
    for name, count in (("siglip", 24), ("siglip2", 24)):
        kept = similarity(backend, name)
        assert len(kept.words) == count, "all texts have one length"
        words = [token for token in kept.words if token.modality is Modality.TEXT and token.location]
        assert "".join(token.label for token in words) == TEXT


def test_similarities_follow_changes_and_are_in_the_saved_run(backend: LocalBackend, tmp_path: Path) -> None:
    sample = make_sample(image=PIXELS, text=TEXT)
    run_of_clip = run_sample(sample, model="clip", backend=backend)
    changed = run_sample(sample, model="clip", backend=backend, changes=(UniformAttention(),))
    kept, other = token_similarity(run_of_clip.record), token_similarity(changed.record)
    assert kept is not None and other is not None and np.abs(kept.values - other.values).max() > 1e-3
    run_of_clip.save(tmp_path / "run.npz")
    loaded = token_similarity(mmviz.Run.load(tmp_path / "run.npz").record)
    assert loaded is not None
    np.testing.assert_array_equal(loaded.values, kept.values)


def test_only_a_model_without_a_scale_says_so(backend: LocalBackend) -> None:
    for name in NAMES:
        record = run_sample(make_sample(image=PIXELS, text=TEXT), model=name, backend=backend).record
        assert ("hf-no-scale" in [notice.code for notice in record.notices]) == (name == "clip")


def test_moments_of_a_sound_are_compared_in_the_order_of_the_tower() -> None:
    """CLAP pools by the mean of its last states, which are those that are compared."""
    words = {"vocab_size": 50, "max_position_embeddings": 40, **tiny_checkpoints.TINY}
    sounds = {
        "spec_size": 32, "num_mel_bins": 8, "patch_size": 4, "patch_stride": [4, 4], "patch_embeds_hidden_size": 16,
        "window_size": 4, "depths": [2, 1], "num_attention_heads": [2, 4], "hidden_size": 32, "num_hidden_layers": 2,
        "enable_fusion": False,
    }  # fmt: skip
    torch.manual_seed(0)
    config = transformers.ClapConfig(text_config=words, audio_config=sounds, projection_dim=16)
    model = transformers.ClapModel(config).eval()
    inputs = {
        "input_ids": torch.tensor([[5, 6, 7]]), "input_features": torch.randn(1, 1, 128, 8),
        "is_longer": torch.tensor([[False]]),
    }  # fmt: skip
    with torch.no_grad():
        kept = similarity_of_modules.token_similarity(model, inputs)
        states, output = similarity_of_modules._last_states(model, inputs)
        hooks = model.audio_model.audio_encoder.norm._forward_hooks
    assert not hooks, "nothing stays behind"
    torch.testing.assert_close(states.mean(0), output.audio_model_output.pooler_output[0])
    assert kept["places"] == "audio_model" and np.shape(kept["values"]) == (len(states), 3)
    np.testing.assert_allclose(np.array(kept["values"])[:, 0], kept["text"], atol=2e-5)  # it pools the first token


def test_a_strip_shows_moments_in_order_of_time() -> None:
    tokens = [Token(Modality.AUDIO, str(k), Seconds(k, k + 1.0)) for k in (2, 0, 1)]
    tokens.append(Token(Modality.SPECIAL, "padding"))
    strip = similarity_strip_html(tokens, np.array([0.5, -0.5, 0.1, 9.0]), 0.5, False)
    assert [part.split("'")[0] for part in strip.split("data-token='")[1:]] == ["1", "2", "0"]
    assert "+0.50" in strip and "−0.50" in strip


def test_a_run_of_another_model_has_none(backend: LocalBackend) -> None:
    record = run_sample(Sample(text="left"), model="toy", backend=backend).record
    assert token_similarity(record) is None


@pytest.fixture
def page_of_clip(models: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("MMVIZ_MODEL", f"hf:{folder / 'clip'}")
    yield visit()


@pytest.mark.slow
def test_the_page_says_that_nothing_attends_across_and_shows_similarities(page_of_clip: Any) -> None:
    page = page_of_clip
    text = markup(page)
    assert "This model has no attention across modalities" in text and "It is not attention." in text
    shown = now(page).run
    assert shown is not None
    kept = token_similarity(shown.record)
    assert kept is not None
    select = page.selectbox(key=f"similarity-{shown.record.id}")
    words = [token for token in kept.words if token.modality is Modality.TEXT and token.location is not None]
    assert len(select.options) == 1 + len(words) and select.options[0] == "the whole text"
    before = text.split("class='similarity-picture'")[1].split("alt=")[0]
    select.set_value(kept.words.index(words[0])).run()
    run(page)
    after = markup(page).split("class='similarity-picture'")[1].split("alt=")[0]
    assert before != after, "the picture has the colours of the word"
