"""Tells pictures and sounds out of the world of the bundled model, before it answers."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

from mmviz.models.content_caches import register_cache
from mmviz.models.out_of_distribution import Detector, detector, stored
from mmviz.models.question_templates import known_words
from mmviz.models.trio_network import Trio
from mmviz.models.word_recognition_statistics import Evidence, EvidenceReader
from mmviz.types import Notice

GROUND = "[GROUND]"
"""Token of what shows or speaks no word."""
_KEPT = 256
"""Pictures and sounds whose scores are kept, so that one that is used again is not encoded again."""


class InputDoubts:
    """Scores inputs by the trained ``trio``, whose tokenizer has ``vocabulary``.

    ``weights_digest``: SHA-256 of the weights; detectors that were fitted to others judge nothing.
    """

    def __init__(self, trio: Trio, vocabulary: dict[str, int], weights_digest: str):
        self._trio = trio
        self.is_fitted = stored().get("weights") == weights_digest
        rows = torch.tensor([vocabulary[word] for word in (*known_words(), GROUND)], device=trio.answer_ids.device)
        assert trio.encoders is not None, "inputs are scored by the features of the encoders"
        self._reader = EvidenceReader(trio, rows, trio.encoders)
        self._scores: OrderedDict[bytes, float] = OrderedDict()
        register_cache(self)

    def clear(self) -> None:
        """Drops all scores."""
        self._scores.clear()

    def notices(self, image: Tensor | None, mel: Tensor | None, frames: int) -> tuple[Notice, ...]:
        """Returns a notice for a picture and for a sound that is out of the world.

        ``image`` ``[3, 384, 384]`` as `picture_encoder.normalised`, ``mel`` ``[80, 400]`` as `whisper_log_mel`, of
        which ``frames`` frames sound; None for what is not there.
        """
        if not self.is_fitted:
            return ()
        notices = []
        if image is not None and self._score("image", image, lambda: self._picture(image)) > 0:
            notices.append(Notice("image-out-of-distribution"))
        if mel is not None and self._score("audio", mel, lambda: self._sound(mel, frames)) > 0:
            notices.append(Notice("audio-out-of-distribution"))
        return tuple(notices)

    def _score(self, kind: str, content: Tensor, evidence: Callable[[], Evidence]) -> float:
        key = hashlib.sha256(kind.encode() + content.cpu().numpy().tobytes()).digest()
        if key not in self._scores:
            self._scores[key] = score(detector(kind), evidence())
            if len(self._scores) > _KEPT:
                self._scores.popitem(last=False)
        self._scores.move_to_end(key)
        return self._scores[key]

    @torch.no_grad()
    def _picture(self, image: Tensor) -> Evidence:
        features, _ = self._trio.image_features(image[None].to(self._trio.answer_ids.device))
        return self._reader.picture(features[0])

    @torch.no_grad()
    def _sound(self, mel: Tensor, frames: int) -> Evidence:
        return self._reader.sound(self._trio.audio_features(mel[None].to(self._trio.answer_ids.device))[0], frames)


def score(fitted: Detector, evidence: Evidence) -> float:
    """Returns the score of a picture or sound; above 0 it is out of distribution."""
    return fitted.score(evidence.statistics.cpu().numpy(), evidence.features.cpu().numpy())
