"""Where a run is made, by a backend, an address or this machine, and the request that makes it again."""

from __future__ import annotations

import os
from functools import lru_cache

from mmviz.backends.protocol import Backend
from mmviz.types import AttentionRecord, MmvizError, Request, Sample


@lru_cache(maxsize=2)
def this_machine_backend(spec: str | None = None) -> Backend:
    """Returns the backend of this machine, with the custom model or checkpoint ``spec``, see `custom_spec`.

    It is kept, so that the model is made once. Raises ``MmvizError`` where it cannot be made.
    """
    from mmviz.backends.local.backend import this_machine

    return this_machine(spec)


def custom_spec(model: str) -> str | None:
    """Returns ``model`` where it names a model to be made: ``module:factory``, a folder of weights, or a checkpoint of
    Hugging Face. None for an id of the catalogue, and for what can only be one."""
    from mmviz.models import CATALOGUE

    if model in CATALOGUE:
        return None
    from mmviz.models.custom_model_factory import is_custom

    return model if is_custom(model) else None


def chosen_backend(backend: Backend | str | None, model: str) -> Backend:
    """Returns ``backend``, that at its URL (with the access token in MMVIZ_TOKEN), or for None this machine, with the
    model that ``model`` names. Raises ``MmvizError`` where it cannot be made."""
    if isinstance(backend, str):
        from mmviz.backends.remote import RemoteBackend

        return RemoteBackend(backend, os.environ.get("MMVIZ_TOKEN"))
    return backend or this_machine_backend(custom_spec(model))


def rebuilt_request(
    record: AttentionRecord, sample: Sample, request: Request | None, backend: Backend
) -> Request:  # fmt: skip
    """Returns the request by which ``backend`` makes ``record`` again: ``request``, or what the record tells of it.

    A written answer, and the settings that it was written under, are those of the record. Raises ``MmvizError``
    (``effect-model``) where the backend does not have the model with the same weights.
    """
    made_by = record.made_by
    model = request.model if request else made_by.get("model")
    card = next((card for card in backend.models() if card.id == model), None)
    if not card or card.weights_digest != made_by.get("weights") or (not request and made_by.get("changes")):
        raise MmvizError("effect-model", model=model)
    pairs = tuple((pattern, queries, keys) for pattern, queries, keys in made_by.get("pairs", ()))
    if request:
        return request
    return Request(
        card.id, sample, seed=made_by.get("seed", 0), depends_on=True, pairs=pairs, towers=bool(made_by.get("towers")),
        answer=tuple(made_by.get("answer", ())), answer_part=tuple(made_by.get("answer_part", ())),
        options=tuple((name, value) for name, value in made_by.get("options", ())),
    )  # fmt: skip
