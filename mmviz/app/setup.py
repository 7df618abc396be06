"""What the operator set up: which model runs, and which saved run is shown first. No Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmviz.backends import Backend

BUNDLED = "trio"


@dataclass(frozen=True)
class Setup:
    """``spec``: the factory of a model of the operator's own, None for the bundled one; ``saved``: a saved run."""

    spec: str | None = None
    saved: Path | None = None

    @property
    def model(self) -> str:
        """The id under which runs are requested."""
        return self.spec or BUNDLED

    def backend(self) -> Backend:
        """Where the model runs. Raises ``MmvizError`` where there is something wrong with the factory."""
        from mmviz.backends.local import LocalBackend, best_device

        if self.spec is None:
            return LocalBackend()
        from mmviz.models.yours import load

        device = best_device()
        return LocalBackend(device, {self.spec: load(self.spec, device)})


def names_truth(labels: Sequence[str], truth: str) -> bool:
    """Whether a model with these answers could give the true one at all."""
    return truth.strip().casefold() in {label.strip().casefold() for label in labels}
