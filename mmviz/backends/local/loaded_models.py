"""The models of a backend: those of the catalogue, loaded when first requested, and custom models."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from mmviz.backends.local.shuffled_weights import shuffle_parameters
from mmviz.backends.local.torch_global_state import isolated_run
from mmviz.capture.plain_torch_modes import plain_modes
from mmviz.models import CATALOGUE, Model, load_model
from mmviz.models.cards import COMPARED, kind_card
from mmviz.models.encoders.encoder_cache import kept_encodings
from mmviz.types import Card, Change, Request, ShuffleWeights


class LoadedModels:
    """Models by the id under which they are requested.

    ``custom`` are models beside those of the catalogue. ``device`` is the torch device on which the catalogue's are
    loaded, while no run is made. Copies with shuffled weights are not safe for threads: the backend locks.
    """

    def __init__(self, custom: Mapping[str, Model], device: str):
        self._models: dict[str, Model] = dict(custom)
        self._custom = frozenset(custom)
        self._device = device
        self._shuffled: dict[tuple[str, int], Model] = {}

    def __getitem__(self, name: str) -> Model:
        """Returns a model, which is loaded first where it is not. Raises as `load_model`."""
        if name not in self._models:
            with isolated_run(self._device), plain_modes():
                if name not in self._models:  # another thread may have loaded it meanwhile
                    self._models[name] = load_model(name, self._device)
        return self._models[name]

    def cards(self) -> tuple[Card, ...]:
        """Returns the cards of all models, each with the id under which it is requested."""
        return tuple(replace(self._card(name), id=name) for name in dict.fromkeys([*CATALOGUE, *self._models]))

    def for_request(self, request: Request, changes: Sequence[Change]) -> Model:
        """Returns the requested model, with shuffled weights under `ShuffleWeights`."""
        seeds = [change.seed for change in (*request.changes, *changes) if isinstance(change, ShuffleWeights)]
        return self._shuffled_model(request.model, seeds[-1]) if seeds else self[request.model]

    def drop_shuffled(self) -> None:
        """Lets go of the copy with shuffled weights."""
        self._shuffled.clear()

    @contextmanager
    def modes(self, name: str) -> Iterator[None]:
        """Enables gradients for a run of model ``name``, and sets the modes that it does not share with the caller.

        Frozen encoders may give what they gave for the same input before.
        """
        modes = torch.inference_mode(False) if name in self._custom else plain_modes()
        with modes, torch.enable_grad(), kept_encodings():
            yield

    def _card(self, name: str) -> Card:
        """Returns the card of a model. The compared fusions, which few users run, are not loaded for it."""
        if name in COMPARED and name not in self._models:
            return kind_card(name)
        model = self[name]
        several = {"takes_several": True} if getattr(model, "takes_several", False) else {}
        return replace(model.card, details={**model.card.details, **several})

    def _shuffled_model(self, name: str, seed: int) -> Model:
        if (name, seed) not in self._shuffled:
            model = copy.copy(self[name])
            model.module = copy.deepcopy(model.module)
            shuffle_parameters(model.module, seed)
            self._shuffled = {(name, seed): model}
        return self._shuffled[name, seed]
