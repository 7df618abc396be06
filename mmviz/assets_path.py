"""Where the bundled files of the package are."""

from __future__ import annotations

from pathlib import Path


def assets_dir() -> Path:
    """Returns the folder of bundled files: inside the installed package, or next to the package in a checkout.

    Raises ``FileNotFoundError`` where there is neither.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "assets", package.parent / "assets"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"The assets folder of mmviz is neither at {package / 'assets'} nor at "
        f"{package.parent / 'assets'}; install mmviz from its wheel or run it from a full checkout."
    )
