"""Quicker training computes the same: kept tokens carry their own labels, and fused attention equals the formula."""

from __future__ import annotations

import pytest
import torch

from mmviz.models.encoders.picture_encoder import PATCHES
from mmviz.models.trio_network import FRAMES
from mmviz.training.fit.quick_layers import kept_tokens, quicken
from mmviz.training.fit.train_trio import new_trio

GROUND, TEXT, PICTURES, QUESTIONS = 7, 5, 3, 2
ALL_PATCHES = PATCHES**2


def indexed_tokens() -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """Returns tokens whose one number is their place, a mask in which 20 frames sound, and labels equal to places."""
    rows, tokens = PICTURES * QUESTIONS, 1 + TEXT + ALL_PATCHES + FRAMES
    x = torch.arange(tokens).float().repeat(rows, 1)[..., None]
    valid_mask = torch.ones(rows, tokens, dtype=torch.bool)
    valid_mask[:, tokens - FRAMES + 20 :] = False
    patch_word = torch.full((PICTURES, ALL_PATCHES), GROUND)
    patch_word[:, 40:60] = 1
    patches, frames = torch.arange(ALL_PATCHES).repeat(rows, 1), torch.arange(FRAMES).repeat(rows, 1)
    labels = dict.fromkeys(("patch_spoken", "patch_named", "patch_candidate", "patch_evidence"), patches)
    labels |= {"frame_image": frames, "frame_evidence": frames, "frame_position": frames[..., None].repeat(1, 1, 2)}
    return x, valid_mask, {**labels, "patch_word": patch_word}


def test_kept_tokens_keep_their_labels() -> None:
    x, valid_mask, batch = indexed_tokens()
    kept, mask, labels = kept_tokens(x, valid_mask, batch, 72, 24, GROUND)
    assert kept.shape == (PICTURES * QUESTIONS, 1 + TEXT + 72 + 24, 1)
    assert torch.equal(kept[0, : 1 + TEXT, 0], torch.arange(1.0 + TEXT))
    patches, frames = kept[:, 1 + TEXT : -24, 0] - 1 - TEXT, kept[:, -24:, 0] - 1 - TEXT - ALL_PATCHES
    for name in ("patch_spoken", "patch_named", "patch_candidate", "patch_evidence"):
        assert torch.equal(labels[name].float(), patches), name
    for name in ("frame_image", "frame_evidence"):
        assert torch.equal(labels[name].float(), frames), name
    assert torch.equal(labels["frame_position"][..., 1].float(), frames)
    assert all(len(set(row.tolist())) == 72 for row in patches)
    # All frames that sound, the first patch and the first frame are there, and questions of a picture share patches.
    assert mask[:, -24:].sum(1).tolist() == [20] * PICTURES * QUESTIONS
    assert (patches == 0).any(1).all() and (frames == 0).any(1).all()
    assert torch.equal(patches[0], patches[1]) and not torch.equal(patches[0].sort()[0], patches[2].sort()[0])


def test_patches_of_things_are_kept_rather_than_ground() -> None:
    torch.manual_seed(1)
    x, valid_mask, batch = indexed_tokens()
    kept = torch.cat([kept_tokens(x, valid_mask, batch, 72, 24, GROUND)[0] for _ in range(20)])
    places = kept[:, 1 + TEXT : -24, 0] - 1 - TEXT
    things = ((places >= 40) & (places < 60)).sum(1).float().mean() / 20
    ground = (72 - things * 20) / (ALL_PATCHES - 20)
    assert things > 0.85 and ground < 0.55


@pytest.mark.parametrize("has_padding", [False, True])
def test_fused_attention_computes_the_same(has_padding: bool) -> None:
    torch.manual_seed(2)
    model = new_trio().eval()
    x, valid_mask = torch.randn(2, 30, model.config.width), torch.ones(2, 30, dtype=torch.bool)
    if has_padding:
        valid_mask[1, 20:] = False
    with torch.inference_mode():
        expected = model.fuse(x, valid_mask)
        quicken(model, compiled=False)
        output = model.fuse(x, valid_mask)
    assert torch.allclose(output.logits, expected.logits, atol=1e-5)
    assert not torch.equal(output.states[-1], expected.states[-1])  # by another kernel
