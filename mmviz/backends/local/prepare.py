"""A sample under changes, as the tensors that a model takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from mmviz.inputs.baseline import replace_input
from mmviz.models import Model, Prepared
from mmviz.types import Change, DropModality, DropTokens, MmvizError, Modality, ReplaceInput, Sample


def changed_sample(sample: Sample, changes: Sequence[Change], seed: int) -> Sample:
    """Returns ``sample`` with the parts that ``changes`` replace, and without the modalities that they drop."""
    for change in changes:
        if isinstance(change, ReplaceInput):
            sample = replace_input(sample, change, seed)
    dropped = {change.modality for change in changes if isinstance(change, DropModality)}
    return replace(
        sample,
        image=None if Modality.IMAGE in dropped else sample.image,
        text=None if Modality.TEXT in dropped else sample.text,
        audio=None if Modality.AUDIO in dropped else sample.audio,
    )


def check_parts(model: Model, sample: Sample) -> None:
    """Raises ``MmvizError`` (``several-inputs``) where a model takes one picture or sound and there are several."""
    for modality, given in (("image", sample.image), ("audio", sample.audio)):
        if given is not None and given.parts and not getattr(model, "takes_several", False):
            raise MmvizError("several-inputs", model=model.card.title, modality=modality, count=len(given.parts))


def prepare(model: Model, sample: Sample, changes: Sequence[Change], seed: int) -> Prepared:
    """Returns ``sample`` under ``changes``, prepared for ``model``.

    Raises ``MmvizError`` (``hide-model``) where ``changes`` drop tokens and the model cannot leave out single tokens.
    """
    if not any(isinstance(change, DropTokens) for change in changes):
        return model.prepare(changed_sample(sample, changes, seed))
    return next(prepare_variants(model, sample, [tuple(changes)], seed))


def prepare_variants(
    model: Model, sample: Sample, variants: Sequence[tuple[Change, ...]], seed: int
) -> Iterator[Prepared]:
    """Yields ``sample`` under the changes of each variant, in order. The same sample is prepared once. Variants
    behind each other that change the inputs alike have one `Prepared`, so that those that cut routes can share calls.

    Raises as `prepare` does.
    """
    cache: dict[tuple[Change, ...], Prepared] = {}
    last: tuple[tuple[Change, ...], Prepared] | None = None  # no more of them, since each may hold many tensors
    for changes in variants:
        of_inputs = tuple(change for change in changes if isinstance(change, ReplaceInput | DropModality | DropTokens))
        if last is not None and last[0] == of_inputs:
            yield last[1]
            continue
        # a model that can leave out a modality itself prepares the whole sample once for all subsets
        kinds = (ReplaceInput,) if hasattr(model, "vary") else (ReplaceInput, DropModality)
        to_sample = tuple(change for change in changes if isinstance(change, kinds))
        if to_sample not in cache:
            torch.manual_seed(seed)  # as in a run by itself, so that variants differ by their changes only
            cache[to_sample] = model.prepare(changed_sample(sample, to_sample, seed))
        prepared = cache[to_sample]
        for change in changes:  # in order, since token indices count the tokens that are left
            if isinstance(change, DropModality) and change not in to_sample:
                prepared = _vary(model, prepared, frozenset({change.modality}), ())
            elif isinstance(change, DropTokens):
                prepared = _vary(model, prepared, frozenset(), change.tokens)
        last = (of_inputs, prepared)
        yield prepared


def _vary(model: Model, prepared: Prepared, modalities: frozenset[Modality], tokens: Sequence[int]) -> Prepared:
    vary = getattr(model, "vary", None)
    if vary is None:
        raise MmvizError("hide-model", model=model.card.id)
    varied: Prepared = vary(prepared, modalities, tokens)
    return varied
