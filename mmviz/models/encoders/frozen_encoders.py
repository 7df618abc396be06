"""The frozen encoders of `trio` with their weights, which the assets hold."""

from __future__ import annotations

import csv
from functools import lru_cache

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from mmviz.assets_path import assets_dir
from mmviz.models.encoders.encoder_cache import EncoderCache
from mmviz.models.encoders.picture_encoder import CLASSES, LAST, PhotographClassifier, PictureEncoder
from mmviz.models.encoders.sound_encoder import SoundEncoder
from mmviz.models.int8_weights import unpacked
from mmviz.types import MmvizError


class FrozenEncoders(nn.Module):
    """A picture to the features of its patches and their words; a spectrogram to the features of its frames."""

    class_shares: Tensor
    """float32 ``[class, word]``: 1 where a class of ImageNet shows a word of `classified_words`, else 0."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = PictureEncoder()
        self.classifier = PhotographClassifier()
        self.sound = SoundEncoder()
        classes = class_words()
        shares = torch.tensor([[word == name for name in classified_words()] for word in classes], dtype=torch.float32)
        self.register_buffer("class_shares", shares, persistent=False)
        self.requires_grad_(False)
        self._cache = EncoderCache()

    def encode_picture(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the features of the patches ``[B, 144, 768]`` of pictures ``[B, 3, 384, 384]``, and their `words`.

        Those of the last pictures are kept, see `encoder_cache`; so are those of the last sounds.
        """

        def encode(rows: Tensor) -> tuple[Tensor, Tensor]:
            features: Tensor = self.picture(rows)
            return features, self.words(features)

        features, words = self._cache.encoded("picture", (self.picture, self.classifier), encode, picture)
        return features, words

    def encode_sound(self, mel: Tensor) -> Tensor:
        """Returns the tokens ``[B, 200, 384]`` of spectrograms ``[B, 80, 400]``."""
        (tokens,) = self._cache.encoded("sound", (self.sound,), lambda rows: (self.sound(rows),), mel)
        return tokens

    def words(self, patches: Tensor) -> Tensor:
        """Returns the probability of each of `classified_words` at each patch, ``[..., word]``.

        The classifier says it, from features ``[..., 768]``; what remains to 1 are classes without a word.
        """
        return torch.softmax(self.classifier(patches[..., :LAST]), -1) @ self.class_shares


@lru_cache(maxsize=1)
def _weights() -> dict[str, Tensor]:
    return unpacked(load((assets_dir() / "encoders" / "encoders.safetensors").read_bytes()))


def load_encoders() -> FrozenEncoders:
    """Returns the encoders in the assets, in evaluation mode. Raises ``MmvizError`` (``weights-unreadable``)."""
    encoders = FrozenEncoders()
    try:
        encoders.load_state_dict(_weights())
    except (OSError, SafetensorError, RuntimeError, LookupError) as problem:
        raise MmvizError("weights-unreadable", name="encoders.safetensors") from problem
    return encoders.eval()


@lru_cache(maxsize=1)
def class_words() -> tuple[str, ...]:
    """Returns the word of the world that each class of ImageNet shows, "" for none, ``[1000]``."""
    words = [""] * CLASSES
    with (assets_dir() / "imagenet_words.tsv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            words[int(row["class"])] = row["word"]
    return tuple(words)


def classified_words() -> tuple[str, ...]:
    """Returns the words that have classes, in alphabetical order."""
    return tuple(sorted(set(class_words()) - {""}))
