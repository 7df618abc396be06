"""How much of what a patch token of `trio` sees lies in its patch, by gradients.

``python -m mmviz.training.evaluate.receptive_field`` prints it; ``--card`` also writes it into the card of the model.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mmviz.assets_path import assets_dir
from mmviz.inputs.examples import load_gallery
from mmviz.models import load_model
from mmviz.models.encoders.picture_encoder import PATCHES, STRIDE
from mmviz.training.release.export import add_to_card
from mmviz.types import Sample

PER_PICTURE = 12
"""Patches of each picture that are measured."""


def receptive_field(encode: Callable[[Tensor], Tensor], pictures: Sequence[Tensor], seed: int = 0) -> dict[str, Any]:
    """Returns the shares of squared gradients of patch tokens by pixels: ``patch``, in the patch itself, and
    ``around``, in it and the eight around it; and over how many ``tokens`` both are means.

    A token is a vector, so the gradient is that of its product with a random direction. Patches at the edge of a
    picture are left out, as they have fewer around them.

    Args:
        encode: Pixels ``[1, 3, 384, 384]`` to tokens ``[1, 144, D]``, row by row.
        pictures: Pixels, each ``[3, 384, 384]``.
        seed: Of patches and directions.
    """
    generator = torch.Generator().manual_seed(seed)
    shares = []
    for picture in pictures:
        pixels = picture[None].clone().requires_grad_()
        tokens = encode(pixels)[0]
        for place in torch.randperm((PATCHES - 2) ** 2, generator=generator)[:PER_PICTURE].tolist():
            row, column = (1 + part for part in divmod(place, PATCHES - 2))
            token = tokens[row * PATCHES + column]
            direction = torch.randn(len(token), generator=generator).to(token)
            (gradient,) = torch.autograd.grad(token @ direction, pixels, retain_graph=True)
            energy = gradient[0].double().square().sum(0).reshape(PATCHES, STRIDE, PATCHES, STRIDE)
            by_patch = energy.sum((1, 3)) / energy.sum()
            around = by_patch[row - 1 : row + 2, column - 1 : column + 2]
            shares.append((float(by_patch[row, column]), float(around.sum())))
    own, near = (sum(column) / len(shares) for column in zip(*shares, strict=True))
    return {"patch": round(own, 3), "around": round(near, 3), "tokens": len(shares)}


def measure() -> dict[str, Any]:
    """Returns the `receptive_field` of `trio` on the pictures of the gallery."""
    model: Any = load_model("trio", "cpu")
    samples = (example.sample() for example in load_gallery())
    pictures = [model.prepare(Sample(image=sample.image)).tensors.image[0] for sample in samples if sample.image]
    return receptive_field(model.module.encode_image, pictures)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the shares, and writes them into the card where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--card", action="store_true", help="write them into the card of trio as well")
    options = parser.parse_args(arguments)
    shares = measure()
    print(
        f"Of the squared gradient of a patch token by pixels, {shares['patch']:.1%} lies in the patch, and "
        f"{shares['around']:.1%} in it and the eight around it (mean of {shares['tokens']} tokens)."
    )
    if options.card:
        add_to_card(assets_dir() / "trio", "receptive_field", shares)


if __name__ == "__main__":
    main()
