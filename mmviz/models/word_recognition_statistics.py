"""How clearly `trio` finds a word that it knows in a picture or a sound: statistics for its out-of-distribution score.

They rest on the features of the frozen encoders, on the words of the picture encoder's classifier, and on the trained
projections, whose patches and frames are scored against the table of word vectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mmviz.models.encoders.frozen_encoders import FrozenEncoders
from mmviz.models.encoders.picture_encoder import LAST, PATCHES
from mmviz.models.trio_network import FRAMES, Trio

_TOP = (1, 3, 9)
"""Patches or frames, the strongest ones, over which evidence is averaged."""
_WINDOWS = (3, 5, 8, PATCHES)
"""Patches along the side of a window in which the classifier looks for an object."""
_SPAN = 5
"""Frames of a short word."""
_EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of one picture or sound."""

    statistics: Tensor
    """How clear the likeliest words are, ``[statistic]``."""
    features: Tensor
    """The encoder's features, pooled: of a picture mean and deviation over patches, of a sound the mean over the frames
    that speak the likeliest word, ``[feature]``."""


class EvidenceReader:
    """Reads pictures and sounds with the encoders and projections of a trained `Trio`.

    ``rows`` are the rows of the table of token vectors of all words, that of no word last.
    """

    def __init__(self, trio: Trio, rows: Tensor, encoders: FrozenEncoders):
        self._trio, self._rows = trio, rows
        self._classifier, self._shares = encoders.classifier, encoders.class_shares
        classified = {int(row): k for k, row in enumerate(trio.classified_ids)}
        at = [(k, classified[int(row)]) for k, row in enumerate(rows) if int(row) in classified]
        self._of_word, self._of_class = (torch.tensor(places) for places in zip(*at, strict=True))

    @torch.no_grad()
    def picture(self, features: Tensor) -> Evidence:
        """Returns the evidence in the features of patches, ``[144, 768]``."""
        features = features.float()
        answers = self._classifier(features[:, :LAST])
        classes = torch.softmax(answers, -1)
        classified = classes @ self._shares
        tokens = self._trio.project_image(features[None], classified[None])[0]
        logits = self._trio.score(tokens, self._rows, self._trio.logit_scale[0])
        named = torch.softmax(logits, -1)
        near = functional.avg_pool2d(named.T.reshape(1, -1, PATCHES, PATCHES), 3, 1, 1)[0].flatten(1).T
        both = near[:, self._of_word] * classified[:, self._of_class]
        words = torch.sort(named[:, :-1].sum(0), descending=True).values
        statistics = [
            *_strongest(classified.sum(-1)), *_strongest(classified.amax(-1)), *_strongest(classes.amax(-1)),
            *_strongest((classes - classes * self._shares.sum(-1)).amax(-1)),
            *_strongest(named[:, :-1].amax(-1)), *_strongest(near[:, :-1].amax(-1)), *_strongest(both.amax(-1)),
            *_strongest(torch.logsumexp(logits[:, :-1], -1) / 10), *_strongest(logits[:, :-1].amax(-1) / 10),
            named[:, -1].mean(), named[:, -1].amin(), *torch.log(words[:3] + _EPSILON) / 3,
            *torch.log(classified.sum(0).sort(descending=True).values[:2] + _EPSILON) / 3,
        ]  # fmt: skip
        statistics += self._classified(answers, torch.topk(1 - named[:, -1], _TOP[-1]).indices)
        pooled = torch.cat([features.mean(0), features.std(0)])
        return Evidence(torch.stack(statistics), pooled)

    def _classified(self, answers: Tensor, strong: Tensor) -> list[Tensor]:
        """Returns how clearly the classifier's ``answers`` ``[144, 1000]`` are words, and other classes, over windows.

        The mean of the logits of patches is what the classifier says of all of them: its last layer is linear.
        """
        is_word = self._shares.sum(-1)
        grid = answers.T.reshape(1, -1, PATCHES, PATCHES)
        views = [functional.avg_pool2d(grid, size, 1)[0].flatten(1).T for size in _WINDOWS]
        statistics = []
        for view in [*views, answers[strong].mean(0, keepdim=True)]:
            shares = torch.softmax(view, -1)
            words, others = shares * is_word, shares * (1 - is_word)
            clearest = shares.amax(-1).argmax()
            statistics += [words.amax(), others.amax(), words.sum(-1).amax(), words[clearest].sum(), shares.amax()]
        return statistics

    @torch.no_grad()
    def sound(self, features: Tensor, sounding: int) -> Evidence:
        """Returns the evidence in the features of frames, ``[50, 384]``, of which the first ``sounding`` sound."""
        features = features.float()
        tokens = self._trio.project_audio(features[None])[0][:sounding]
        logits = self._trio.score(tokens, self._rows, self._trio.logit_scale[1])
        named = torch.softmax(logits, -1)
        padded = functional.pad(named.T[None], (_SPAN // 2, _SPAN // 2))
        near = functional.avg_pool1d(padded, _SPAN, 1)[0].T
        best = int(near[:, :-1].amax(0).argmax())
        place = int(near[:, best].argmax())
        said = torch.sort(named[:, :-1].sum(0), descending=True).values
        spoken = logits[:, :-1].sort(-1, descending=True).values
        around = slice(max(0, place - _SPAN // 2), place + _SPAN // 2 + 1)
        peak = named[around, :-1].mean(0)
        shares = peak / peak.sum().clamp_min(_EPSILON)
        statistics = [
            *_strongest(named[:, :-1].amax(-1)), *_strongest(near[:, :-1].amax(-1)),
            *_strongest(spoken[:, 0] / 10), *_strongest((spoken[:, 0] - spoken[:, 1]) / 10),
            *_strongest((spoken[:, 0] - logits[:, -1]) / 10), *_strongest(torch.logsumexp(logits[:, :-1], -1) / 10),
            spoken[place, 0] / 10, (spoken[place, 0] - spoken[place, 1]) / 10,
            logits[around, best].mean() / 10, logits[around, best].amin() / 10,
            -(shares * torch.log(shares + _EPSILON)).sum(), named[:, -1].mean(), named[:, -1].amin(),
            *torch.log(said[:4] + _EPSILON) / 3, said[0] / said.sum().clamp_min(_EPSILON),
            (named[:, best] > 0.5).float().sum() / 10, torch.tensor(sounding / FRAMES),
        ]  # fmt: skip
        weights = named[:, best] + _EPSILON
        pooled = (features[:sounding] * weights[:, None]).sum(0) / weights.sum()
        return Evidence(torch.stack(statistics), pooled)


def _strongest(values: Tensor) -> Tensor:
    """Returns the means of the strongest 1, 3 and 9 of ``values`` ``[token]``."""
    ordered = values.sort(descending=True).values
    return torch.stack([ordered[:count].mean() for count in _TOP])
