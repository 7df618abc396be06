"""What the operator set up: which model runs, and which saved run is shown first. No Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmviz.backends import Backend

BUNDLED = "trio"


@dataclass(frozen=True)
class Setup:
    """``spec``: the factory of a model of the operator's own, None for the bundled one; ``saved``: a saved run;
    ``url`` and ``token`` of a backend elsewhere; ``access``: the token that visitors of the page must know."""

    spec: str | None = None
    saved: Path | None = None
    url: str | None = None
    token: str | None = field(default=None, repr=False)
    access: str | None = field(default=None, repr=False)

    @property
    def model(self) -> str:
        """The id under which runs are requested."""
        return self.spec or BUNDLED

    def backend(self) -> Backend:
        """Where the model runs: elsewhere first, where there is a ``url``. Raises ``MmvizError`` where there is
        something wrong with the factory."""
        if self.url is None:
            return self._local()
        from mmviz.backends.fallback import WithFallback
        from mmviz.backends.remote import RemoteBackend

        return WithFallback(RemoteBackend(self.url, self.token), self._local)

    def _local(self) -> Backend:
        from mmviz.backends.local import this_machine

        return this_machine(self.spec)


def names_truth(labels: Sequence[str], truth: str) -> bool:
    """Whether a model with these answers could give the true one at all."""
    return truth.strip().casefold() in {label.strip().casefold() for label in labels}
