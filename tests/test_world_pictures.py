"""Pictures of the world: art and photographs with their licences, light, the labels of patches, ImageNet's words."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmviz.assets_path import assets_dir
from mmviz.models.trio_network import PATCHES
from mmviz.training.world.ground_truth_labels import patch_things
from mmviz.training.world.grounds import ground, load_photographs
from mmviz.training.world.imagenet_words import imagenet_words
from mmviz.training.world.lighting_and_camera_noise import cast_shadow, photographed
from mmviz.training.world.scenes import Scene, Thing, compose
from mmviz.training.world.sprites import CELL, INK, concepts, load_sprites, styles


@pytest.mark.parametrize("folder", ["sprites", "grounds"])
def test_each_picture_file_has_its_licence(folder: str) -> None:
    text = (assets_dir() / folder / "LICENSES.md").read_text(encoding="utf-8")
    files = sorted((assets_dir() / folder).glob("*.webp"))
    assert files and all(f"`{file.name}`" in text for file in files)
    index = json.loads((assets_dir() / folder / "index.json").read_text(encoding="utf-8"))
    entries = index["styles"] if folder == "sprites" else index
    assert set(entries) == {file.stem for file in files}
    licenses = {entry["license"] for entry in entries.values()}
    assert all(
        spdx.startswith(("CC0", "CC-PDDC", "CC-BY-", "Apache", "MIT", "OFL")) and "NC" not in spdx for spdx in licenses
    )
    assert sum(file.stat().st_size for file in files) < {"sprites": 9_000_000, "grounds": 2_000_000}[folder]


@pytest.mark.long
@pytest.mark.slow
def test_every_word_is_drawn_in_many_styles() -> None:
    drawn = {style: load_sprites(style) for style in styles()}
    for style, sprites in drawn.items():
        assert all(sprite.shape == (CELL, CELL, 4) for sprite in sprites.values())
        empty = [word for word, sprite in sprites.items() if (sprite[..., 3] > 128).mean() < 0.03]
        assert not empty, style
    for word in concepts():
        assert sum(word in sprites for style, sprites in drawn.items() if style not in INK) >= 4, word


def test_photographs_for_measuring_are_not_for_training() -> None:
    index = json.loads((assets_dir() / "grounds" / "index.json").read_text(encoding="utf-8"))
    trained, held_out = load_photographs(), load_photographs(held_out=True)
    assert len(trained) >= 12 and len(held_out) >= 6
    files = [{(index[name]["package"], index[name]["file"]) for name in names} for names in (trained, held_out)]
    assert not files[0] & files[1]
    for photograph in (trained | held_out).values():
        assert photograph.dtype == np.uint8 and photograph.shape[2] == 3 and min(photograph.shape[:2]) >= 200


def test_a_third_of_the_grounds_are_photographs() -> None:
    grain = np.random.default_rng(0).choice([0, 255], (300, 400, 1)).astype(np.uint8).repeat(3, axis=2)
    rng = np.random.default_rng(1)
    rough = [np.abs(np.diff(ground(rng, 64, [grain]).mean(-1), axis=0)).mean() > 2.5 for _ in range(400)]
    smooth = [np.abs(np.diff(ground(rng, 64).mean(-1), axis=0)).mean() > 2.5 for _ in range(400)]
    assert 0.25 < np.mean(rough) - np.mean(smooth) * 0.63 < 0.45


def test_a_shadow_lies_beside_its_thing() -> None:
    alpha = np.full((60, 60), 255, np.float32)
    for seed in range(10):
        canvas = np.full((200, 200, 3), 180, np.float32)
        cast_shadow(np.random.default_rng(seed), canvas, alpha, (70, 70), np.array([0.05, 0.0]))
        dark = 180 - canvas.mean(-1)
        assert dark.min() > -1e-3 and dark.max() > 30 and dark[:50].max() < 1e-3
        y, x = ((dark * axis).sum() / dark.sum() for axis in np.mgrid[:200, :200])
        assert abs(y - 99.5) < 1 and 104 < x < 115


def test_a_camera_without_strength_changes_nothing() -> None:
    canvas = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.float32)
    assert all((photographed(np.random.default_rng(seed), canvas, 0.0) == canvas).all() for seed in range(20))
    changed = [(photographed(np.random.default_rng(seed), canvas, 1.0) != canvas).any() for seed in range(40)]
    assert 0.5 < np.mean(changed) < 1


@pytest.mark.parametrize("side", [384, 160, 101])
def test_patches_show_what_covers_them(side: int) -> None:
    rng = np.random.default_rng(side)
    cover = np.zeros((side, side), np.uint8)
    for number in (1, 2):
        y, x = rng.integers(0, side // 2, 2)
        cover[y : y + side // 3, x : x + side // 4] = number
    things = (Thing("cat", (0, 0, 1, 1)), Thing("dog", (0, 0, 1, 1)))
    scene = Scene(np.zeros((side, side, 3), np.uint8), cover, things)
    thing_index = patch_things(scene).reshape(PATCHES, PATCHES)
    edges = [round(k * side / PATCHES) for k in range(PATCHES + 1)]
    for row in range(PATCHES):
        for column in range(PATCHES):
            cell = cover[edges[row] : edges[row + 1], edges[column] : edges[column + 1]]
            shares = [(cell == k).mean() for k in (1, 2)]
            if max(shares) >= 0.2:
                assert thing_index[row, column] == int(np.argmax(shares))
            elif max(shares) > 0.04:
                assert thing_index[row, column] == -2
            else:
                assert thing_index[row, column] == -1


def test_scenes_on_photographs_keep_their_truth() -> None:
    photographs = list(load_photographs(held_out=True).values())
    sprites = {word: [sprite] for word, sprite in load_sprites("fluent-emoji-3d").items()}
    for seed in range(10):
        scene = compose(np.random.default_rng(seed), ["cup", "phone", "dog"], sprites, photographs=photographs)
        assert scene.pixels.shape == (384, 384, 3) and [thing.word for thing in scene.things] == ["cup", "phone", "dog"]
        for number, thing in enumerate(scene.things, start=1):
            rows, columns = np.nonzero(scene.cover == number)
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert np.allclose(thing.box, np.array(box) / 384) and max(np.diff([box[::2], box[1::2]])) <= 0.46 * 384


def test_imagenet_classes_show_words_of_the_list() -> None:
    words = imagenet_words()
    assert len(words) > 400 and set(words) <= set(range(1000)) and set(words.values()) <= set(concepts())
    assert len(set(words.values())) >= 125
    assert all(words[index] == "dog" for index in range(151, 269))
    by_hand = {
        2: "shark",
        281: "cat",
        292: "tiger",
        504: "cup",
        620: "laptop",
        805: "ball",
        950: "orange",
        954: "banana",
    }
    assert all(words[index] == word for index, word in by_hand.items())
    other_senses = {
        673: "computer mouse",
        726: "carpenter's plane",
        517: "crane",
        677: "nail",
        934: "hot dog",
        815: "web",
    }
    assert not set(other_senses) & set(words)
    assert words[21] == "bird", "a kite that is a bird of prey is no toy"
