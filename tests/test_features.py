"""Features kept on disk: what the encoders give for each picture and sound, resumable, and paired by the questions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_tokens import Voices
from safetensors.torch import save_file

from mmviz.inputs.whisper_mel import whisper_log_mel
from mmviz.models.encoders.frozen_encoders import class_words, classified_words, load_encoders
from mmviz.models.encoders.picture_encoder import LAST, normalised
from mmviz.models.trio_network import sounding_frames
from mmviz.models.trio_projectors import pooled_frames
from mmviz.training.fit import feature_store, simulated_photograph_features
from mmviz.training.fit.data import ExampleEncoder, Recipe
from mmviz.training.fit.feature_store import Chunk, build, open_chunks, picture_chunk, sound_chunk
from mmviz.training.fit.question_batches import PairStream, things_of
from mmviz.training.fit.simulated_photograph_features import as_photographs, class_directions, classes_by_word
from mmviz.training.world.examples import World
from mmviz.training.world.ground_truth_labels import patch_things
from mmviz.training.world.sprites import concepts
from mmviz.training.world.tokenizer import build_tokenizer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world() -> World:
    return World(("noto",), Voices())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pictures(world: World) -> Chunk:
    return picture_chunk(world, np.random.default_rng(3), 5)


@pytest.fixture(scope="module")
def sounds(world: World) -> Chunk:
    return sound_chunk(world, np.random.default_rng(4), 40)


@torch.inference_mode()
def test_a_picture_has_the_features_of_the_encoder(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated_photograph_features, "SHARE", 0.0)
    chunk = picture_chunk(world, np.random.default_rng(3), 2)
    rng, encoders = np.random.default_rng(3), load_encoders()
    for row in range(2):
        scene = world.scene(rng)
        features = encoders.picture(normalised(torch.tensor(scene.pixels)).permute(2, 0, 1)[None])
        torch.testing.assert_close(chunk["features"][row].float(), features[0], atol=2e-2, rtol=2e-3)
        torch.testing.assert_close(chunk["words"][row].float(), encoders.words(features)[0], atol=1e-3, rtol=2e-3)
        assert chunk["patch_things"][row].tolist() == patch_things(scene).tolist()
        stored = things_of(chunk, row, concepts())
        assert [thing.word for thing in stored] == [thing.word for thing in scene.things]
        np.testing.assert_allclose([thing.box for thing in stored], [thing.box for thing in scene.things], atol=1e-6)


@torch.inference_mode()
def test_a_sound_has_the_features_of_the_encoder(world: World) -> None:
    chunk = sound_chunk(world, np.random.default_rng(5), 2)
    rng = np.random.default_rng(5)
    words = [str(word) for word in rng.choice(concepts(), 2)]
    for row, word in enumerate(words):
        sound = world.sound(rng, word)
        features = pooled_frames(load_encoders().sound(torch.from_numpy(whisper_log_mel(sound.wave, 400))[None]))
        torch.testing.assert_close(chunk["features"][row].float(), features[0], atol=2e-2, rtol=2e-3)
        assert concepts()[chunk["word"][row]] == word and chunk["frames"][row] == sounding_frames(len(sound.wave))
        assert chunk["interval"][row].tolist() == pytest.approx([sound.start, sound.end], abs=1e-6)


def test_a_moved_thing_is_what_the_classifier_says_and_nothing_else_moves() -> None:
    encoders = load_encoders()
    torch.manual_seed(0)
    features = torch.randn(144, 768) * 2.6
    directions = class_directions(encoders.classifier, features[:, :LAST])
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(1000))
    shown = torch.full((144,), -1)
    shown[:20] = 0
    number = class_words().index("cat")
    rng = np.random.default_rng(0)
    moved = [as_photographs(rng, features, shown, [[number]], directions) for _ in range(40)]
    changed = [row for row in moved if not torch.equal(row, features)]
    assert 4 < len(changed) < 26, "a third of the things"
    for row in changed:
        assert torch.equal(row[20:], features[20:]) and torch.equal(row[:, LAST:], features[:, LAST:])
    cat = classified_words().index("cat")
    before, after = (encoders.words(row)[:20, cat].mean() for row in (features, torch.stack(changed).mean(0)))
    assert after > 0.3 > before
    assert number in classes_by_word(class_words())["cat"]


def test_building_stops_and_resumes_at_a_chunk(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(feature_store.PER_CHUNK, "sounds", 2)
    calls: list[tuple[int, int]] = []

    def stop(done: int, of: int) -> None:
        calls.append((done, of))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, "sounds", world, 6, 1, workers=1, progress=stop)
    first = (tmp_path / "00000.safetensors").stat().st_mtime_ns
    paths = build(tmp_path, "sounds", world, 6, 1, workers=1)
    assert calls[0] == (0, 6) and len(paths) == 3 and paths[0].stat().st_mtime_ns == first
    again = build(tmp_path / "again", "sounds", world, 6, 1, workers=1)
    for path, other in zip(paths, again, strict=True):
        assert path.read_bytes() == other.read_bytes(), "a chunk depends on seed and number alone"


def test_pairs_are_labelled_as_their_pictures_and_sounds(pictures: Chunk, sounds: Chunk, tmp_path: Path) -> None:
    save_file(pictures, tmp_path / "p")
    encoder = ExampleEncoder(build_tokenizer(concepts()), concepts())
    stream = PairStream(open_chunks([tmp_path / "p"]), [sounds], encoder, Recipe(3, 4, 0.0, 0.0), 7)
    batch = next(iter(stream))
    assert batch["patch_features"].shape == (3, 144, 768) and batch["frame_features"].shape == (3, 50, 384)
    assert batch["text"].shape[0] == 12 == len(batch["answer"])
    for k in range(3):
        row = next(r for r in range(5) if torch.equal(pictures["features"][r], batch["patch_features"][k]))
        sound = next(r for r in range(40) if torch.equal(sounds["features"][r], batch["frame_features"][k]))
        shown = {int(word) for word in pictures["thing_words"][row] if word >= 0}
        assert set(batch["patch_word"][k].tolist()) - {-1, len(concepts())} == shown
        spoken = set(batch["frame_word"][k].tolist()) - {-1, len(concepts())}
        assert spoken == {int(sounds["word"][sound])}
    first, second = (next(iter(stream)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_word_spoken_names_a_thing_where_the_questions_need_it(pictures: Chunk, sounds: Chunk) -> None:
    named = dict(sounds)
    shown = [int(word) for row in pictures["thing_words"] for word in row if word >= 0]
    named["word"] = torch.tensor([shown[k % len(shown)] for k in range(40)], dtype=torch.int16)
    encoder = ExampleEncoder(build_tokenizer(concepts()), concepts())
    stream = PairStream([pictures], [named], encoder, Recipe(1, 1, 0.0, 0.0), 7)
    rng = np.random.default_rng(0)
    things = things_of(pictures, 0, concepts())
    share = []
    for families in (["seen"], ["name"]):
        words = [concepts()[int(named["word"][stream._sound(rng, things, families)])] for _ in range(300)]
        share.append(np.mean([word in {thing.word for thing in things} for word in words]))
    by_chance = np.mean([concepts()[int(word)] in {thing.word for thing in things} for word in named["word"]])
    assert share[0] == pytest.approx(0.5 + by_chance / 2, abs=0.1) and share[1] == pytest.approx(by_chance, abs=0.08)
