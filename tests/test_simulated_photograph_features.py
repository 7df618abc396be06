"""Drawn things that the classifier is made to see as photographs: sure of a part, never of a thing without a class."""

from __future__ import annotations

import numpy as np
import torch

from mmviz.models.encoders.frozen_encoders import classified_words
from mmviz.models.encoders.picture_encoder import FEATURES, PATCHES
from mmviz.training.fit.simulated_photograph_features import classified_as_photograph

WORDS = len(classified_words())
CAT = classified_words().index("cat")
NUMBER = PATCHES**2


def picture() -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Features, words of which the classifier says little, and two things of 30 patches each."""
    things = np.full(NUMBER, -1)
    things[:30], things[60:90] = 0, 1
    return torch.ones(NUMBER, FEATURES), torch.full((NUMBER, WORDS), 0.001), things


def test_things_with_a_class_are_said_and_all_else_stays_but_for_stray_words_on_the_ground() -> None:
    features, words, things = picture()
    others = torch.zeros(4, FEATURES), torch.full((4, FEATURES), 2.0)
    said, kinds, stray, covered = [], set(), [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        new, changed, untold = classified_as_photograph(rng, features, words, things, [CAT, None], others)
        assert torch.equal(new[30:], features[30:]), "only the thing's features change"
        assert torch.equal(changed[60:90], words[60:90]) and not untold[60:90].any(), "the other has no class"
        assert float(changed.sum(1).max()) < 1.01 and float(changed.min()) >= 0
        kinds |= {float(value) for value in new[:30].unique()}
        said.append(float(changed[:30, CAT].max()))
        covered.append(float((changed[:30, CAT] > 0.3).float().mean()))
        ground = things < 0
        is_stray = (changed[ground] > 0.04).any(1).numpy()
        assert (untold[ground] == is_stray).all(), "no patch of the ground is taught a stray word"
        stray.append(is_stray.mean())
    assert kinds == {0.0, 1.0, 2.0}, "of ground, its own, of other things"
    assert min(said) > 0.03 and np.mean(said) > 0.6
    assert 0.35 < np.mean(covered) < 0.7 and min(covered) < 0.2 and max(covered) > 0.9
    assert 0.04 < np.mean(stray) < 0.08 and max(stray) < 0.13
    assert torch.equal(words, picture()[1]) and torch.equal(features, picture()[0]), "what is stored stays"


def test_a_patch_with_features_of_another_thing_is_taught_no_word() -> None:
    features, words, things = picture()
    others = torch.zeros(4, FEATURES), torch.full((4, FEATURES), 2.0)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        new, changed, untold = classified_as_photograph(rng, features, words, things, [CAT, None], others)
        if float(new[0, 0]) == 2:
            assert untold[:30].all()
        elif float(new[0, 0]) == 0:
            weak = (changed[:30, CAT] < 0.19).numpy()
            assert untold[:30][weak].all()
        else:
            assert not untold[:30].any()
