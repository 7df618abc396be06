"""Losses of `trio`: the answers, and labels of single tokens. No loss is put on attention.

The labels, in the order in which a question can be solved:

- projections: the word that each patch shows and each frame speaks; the offset of a patch to the centre of its thing;
- after layer 2: whether a word of the text is in the image, in the sound, and where; whether the spoken word is in the
  image, and where; whether the thing of a patch is named, or spoken;
- after layer 4: whether the thing of a patch stands in the relation of the question;
- after layer 5: whether the answer rests on this patch, on this frame.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmviz.models.encoders.picture_encoder import PATCHES
from mmviz.models.trio_network import Trio, TrioOutput
from mmviz.training.fit.data import Batch

MATCH_LAYER, RELATION_LAYER, EVIDENCE_LAYER = 2, 4, 5
"""Layers that a token has passed when these labels are read from its state."""


class TokenLabels(nn.Module):
    """Linear readers of token states, for training only; saved with the weights so that training can resume."""

    def __init__(self, width: int):
        super().__init__()
        self.geometry = nn.Linear(width, 3)
        self.word = nn.Linear(width, 4)
        self.frame = nn.Linear(width, 3)
        self.patch = nn.Linear(width, 2)
        self.relation = nn.Linear(width, 1)
        self.evidence = nn.Linear(width, 2)


def encoder_losses(
    model: Trio, labels: TokenLabels, rows: Tensor, patches: Tensor, frames: Tensor, batch: Batch
) -> dict[str, Tensor]:
    """Returns the losses of the projections by name.

    ``patches`` ``[B, 144, D]``, ``frames`` ``[B, 50, D]``; ``rows``: rows of the table of token vectors.
    """
    named = model.score(patches, rows, model.logit_scale[0]).float()
    spoken = model.score(frames, rows, model.logit_scale[1]).float()
    ground = len(rows) - 1
    weight = torch.ones(len(rows), device=rows.device)
    weight[ground] = 0.3
    geometry = labels.geometry(patches).float()
    covered = batch["patch_word"] >= 0
    covered &= batch["patch_word"] != ground
    offset = F.smooth_l1_loss(geometry[..., :2][covered], batch["patch_offset"][covered] * PATCHES, beta=0.5)
    centre = F.binary_cross_entropy_with_logits(
        geometry[..., 2], batch["patch_centre"].float(), pos_weight=torch.tensor(5.0, device=rows.device)
    )
    return {
        "patch word": F.cross_entropy(named.flatten(0, 1), batch["patch_word"].flatten(), weight, ignore_index=-1),
        "frame word": F.cross_entropy(spoken.flatten(0, 1), batch["frame_word"].flatten(), weight, ignore_index=-1),
        "patch offset": 0.3 * offset,
        "patch centre": 0.5 * centre,
    }


def fusion_losses(
    labels: TokenLabels, output: TrioOutput, batch: Batch,
    labelled_layers: tuple[int, int, int] = (MATCH_LAYER, RELATION_LAYER, EVIDENCE_LAYER),
) -> dict[str, Tensor]:  # fmt: skip
    """Returns the losses of the fusion by name: the answer, and token labels read after ``labelled_layers``.

    The labels of patches and frames in ``batch`` are those of the tokens in ``output``, see `kept_tokens`.
    """
    length = batch["text"].shape[1]
    first_frame = 1 + length + batch["patch_named"].shape[1]
    text, patches, frames = slice(1, 1 + length), slice(1 + length, first_frame), slice(first_frame, None)
    match, relation, evidence = (output.states[k - 1] for k in labelled_layers)
    word, frame, patch = labels.word(match[:, text]), labels.frame(match[:, frames]), labels.patch(match[:, patches])
    answered = batch["answer"] >= 0
    return {
        "answer": F.cross_entropy(output.logits.float()[answered], batch["answer"][answered]),
        "word in image": label_loss(word[..., 0], batch["word_image"]),
        "word in audio": label_loss(word[..., 1], batch["word_audio"]),
        "word position": position_loss(word[..., 2:], batch["word_position"]),
        "frame in image": label_loss(frame[..., 0], batch["frame_image"]),
        "frame position": position_loss(frame[..., 1:], batch["frame_position"]),
        "patch spoken": label_loss(patch[..., 0], batch["patch_spoken"], 4.0),
        "patch named": label_loss(patch[..., 1], batch["patch_named"], 4.0),
        "patch relation": label_loss(labels.relation(relation[:, patches])[..., 0], batch["patch_candidate"], 4.0),
        "patch evidence": label_loss(labels.evidence(evidence[:, patches])[..., 0], batch["patch_evidence"], 4.0),
        "frame evidence": label_loss(labels.evidence(evidence[:, frames])[..., 1], batch["frame_evidence"]),
    }


def label_loss(logits: Tensor, label: Tensor, positive: float = 1.0) -> Tensor:
    """Returns binary cross-entropy where ``label`` is 0 or 1, 0 without any; ``positive``: weight of ones."""
    known = label >= 0
    if not bool(known.any()):
        return logits.sum().float() * 0
    weight = torch.tensor(positive, device=logits.device)
    return F.binary_cross_entropy_with_logits(logits[known].float(), label[known].float(), pos_weight=weight)


def position_loss(positions: Tensor, truth: Tensor) -> Tensor:
    """Returns smooth L1 distance, in patches, where ``truth`` (0 .. 1) is known, i.e. not negative."""
    known = truth[..., 0] >= 0
    if not bool(known.any()):
        return positions.sum().float() * 0
    return 0.3 * F.smooth_l1_loss(positions[known].float(), (truth[known] - 0.5) * PATCHES, beta=0.5)
