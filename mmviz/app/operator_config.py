"""The operator's configuration: the model, a saved run to show first, and the backend. No Streamlit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from mmviz.backends import Backend

BUNDLED = "trio"


@dataclass(frozen=True)
class OperatorConfig:
    """What the operator configured."""

    spec: str | None = None
    """What ``--model`` names, of the models that visitors may choose the one in use; None for the bundled one."""
    saved: Path | None = None
    """The file of a saved run, or of a talk, that is shown first."""
    url: str | None = None
    """The address of a remote backend; None to run on this machine."""
    token: str | None = field(default=None, repr=False)
    """The token that the remote backend requires."""
    access: str | None = field(default=None, repr=False)
    """The token that visitors must enter; None admits everyone."""
    models: tuple[str, ...] = ()
    """The models that visitors may choose among, as ``--model`` names them."""

    @property
    def model(self) -> str:
        """The id under which runs are requested."""
        return self.spec or BUNDLED

    def with_model(self, model: str | None) -> OperatorConfig:
        """Returns the configuration with another model in use; unchanged for one that visitors may not choose."""
        if model not in self.models:
            return self
        return replace(self, spec=None if model == BUNDLED else model)

    def backend(self) -> Backend:
        """Returns the backend: the remote one with this machine as its fallback, where there is a ``url``.

        Raises ``MmvizError`` where the factory of the model fails.
        """
        if self.url is None:
            return self._local()
        from mmviz.backends.fallback import FallbackBackend
        from mmviz.backends.remote import RemoteBackend

        return FallbackBackend(RemoteBackend(self.url, self.token), self._local)

    def _local(self) -> Backend:
        from mmviz.backends.local.backend import this_machine

        return this_machine(self.spec)
