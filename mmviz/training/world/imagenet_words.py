"""Which ImageNet classes show which word of the list, by hand after the names that WordNet gives to the classes."""

from __future__ import annotations

from mmviz.assets_path import assets_dir


def imagenet_words() -> dict[int, str]:
    """Returns the word of each ImageNet class (0 .. 999, in the usual order of the 1,000) that shows one of the list.

    Several classes may show the same word: all breeds of dogs, or all kinds of balls.
    """
    rows = (assets_dir() / "imagenet_words.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return {int(index): word for index, word in (row.split("\t") for row in rows)}
