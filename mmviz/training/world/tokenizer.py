"""The tokenizer of the world and its answers. One table of token vectors serves both."""

from __future__ import annotations

import string
from collections.abc import Sequence

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from mmviz.models.question_templates import COUNTS, RELATIONS, TEMPLATES

SPECIAL = ("[PAD]", "[UNK]", "[MASK]", "[GROUND]")
"""``[GROUND]`` labels a patch or a frame without any word of the list."""
_CLOSED_ANSWERS = ("yes", "no", "nothing", *COUNTS, "image", "text", "audio", "none")


def answers(concepts: Sequence[str]) -> tuple[str, ...]:
    """Returns all possible answers: the words, yes, no, nothing, 1-5, image, text, audio, none."""
    return (*concepts, *_CLOSED_ANSWERS)


def build_tokenizer(concepts: Sequence[str]) -> Tokenizer:
    """Returns a WordPiece tokenizer: every word of the world is one token, any other word is split into letters."""
    templates = " ".join(template for family in TEMPLATES.values() for template in family)
    function_words = " ".join([*RELATIONS, templates.replace(":", " ")]).split()
    known = [word for word in function_words if "{" not in word and "[" not in word]
    letters = [*string.ascii_lowercase, *string.digits]
    tokens = [
        *SPECIAL, *answers(concepts), "a", "an", *known, *letters, *(f"##{letter}" for letter in letters), "?", ".",
        ",", ":", "!", "'", "-",
    ]  # fmt: skip
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=40))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL[:3]))
    return tokenizer
