"""Where the files that come with the package lie."""

from __future__ import annotations

from pathlib import Path


def assets_dir() -> Path:
    """The folder of bundled files: inside an installed package, else beside a checkout's."""
    package = Path(__file__).resolve().parent
    for folder in (package / "assets", package.parent / "assets"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"The assets folder of mmviz was found neither at {package / 'assets'} nor at "
        f"{package.parent / 'assets'}; install mmviz from its wheel or run it from a full checkout."
    )
