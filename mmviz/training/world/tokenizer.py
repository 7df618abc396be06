"""The words of the world: the vocabulary of word pieces, and the answers. One table of vectors serves them all."""

from __future__ import annotations

import string
from collections.abc import Sequence

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from mmviz.models.question_templates import COUNTS, RELATIONS, TEMPLATES

SPECIAL = ("[PAD]", "[UNK]", "[MASK]", "[GROUND]")
"""``[GROUND]`` is the label of a patch or a frame where no word of the list is to be seen or heard."""
_CLOSED_ANSWERS = ("yes", "no", "nothing", *COUNTS, "image", "text", "audio", "none")


def answers(concepts: Sequence[str]) -> tuple[str, ...]:
    """All that the model can answer: the words, yes, no, nothing, 1-5, image, text, audio, none."""
    return (*concepts, *_CLOSED_ANSWERS)


def build_tokenizer(concepts: Sequence[str]) -> Tokenizer:
    """Word pieces: every word of the world whole; any other word from letters, so that none breaks it."""
    wordings = " ".join(wording for family in TEMPLATES.values() for wording in family)
    function_words = " ".join([*RELATIONS, wordings.replace(":", " ")]).split()
    known = [word for word in function_words if "{" not in word and "[" not in word]
    letters = [*string.ascii_lowercase, *string.digits]
    pieces = [
        *SPECIAL, *answers(concepts), "a", "an", *known, *letters, *(f"##{letter}" for letter in letters), "?", ".",
        ",", ":", "!", "'", "-",
    ]  # fmt: skip
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=40))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL[:3]))
    return tokenizer
