"""Where what is built once for training is kept."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache() -> Path:
    """Returns the folder for built banks: $MMVIZ_CACHE, or ~/.cache/mmviz."""
    return Path(os.environ.get("MMVIZ_CACHE") or Path.home() / ".cache" / "mmviz")
