"""The linked viewer as a widget of a notebook. Importing this package does not load anywidget."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mmviz.explain import Run
from mmviz.types import MmvizError

if TYPE_CHECKING:
    from mmviz.notebook.viewer_widget import ViewerWidget

__all__ = ["viewer"]


def viewer(run: Run, selection: Mapping[str, Any] | None = None) -> ViewerWidget:
    """Returns the linked viewer of ``run`` as a widget whose selection is shared with Python, see `ViewerWidget`.

    ``selection``: what it opens with, or parts of it; the answer token in the map of `Run.map_ref` if None.
    Raises ``MmvizError`` (``extra-missing``) without anywidget, and ``TraitError`` for a selection that is not in
    ``run``.
    """
    if find_spec("anywidget") is None:
        raise MmvizError("extra-missing", command="mmviz.notebook.viewer", extra="notebook")
    from mmviz.notebook.viewer_widget import ViewerWidget

    return ViewerWidget(run, selection)
