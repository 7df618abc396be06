"""torchvision's transforms, which are plain torch, beside a torch that its compiled operators do not fit.

Processors of many Hugging Face families import torchvision and use its transforms alone. `make dev` puts it into a
folder of its own, so that no other test sees it; transformers decides at its import whether it is there.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(sys.prefix) / "torchvision-only"
PACKAGES = ("torchvision", "timm", "num2words", "docopt")
INSTALL = f"{sys.executable} -m pip install -c constraints.txt --no-deps --target {FOLDER} {' '.join(PACKAGES)}"
"""What puts torchvision and the packages that processors ask for beside it into the folder."""
_BOXES = ("nms", "qnms")
_REGIONS = ("roi_align", "ps_roi_align", "roi_pool", "ps_roi_pool", "deform_conv2d")


def is_installed() -> bool:
    """Returns whether torchvision is there, in its folder or in the environment."""
    return (FOLDER / "torchvision").is_dir() or find_spec("torchvision") is not None


def import_torchvision() -> None:
    """Imports torchvision, and declares its operators where they cannot be loaded. transformers comes after it."""
    if (FOLDER / "torchvision").is_dir():
        sys.path.insert(0, str(FOLDER))
    import torch

    try:
        import torchvision
    except RuntimeError:  # "operator torchvision::nms does not exist"
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for name in _BOXES:
            library.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        for name in _REGIONS:
            library.define(f"{name}(Tensor input) -> Tensor")
            library.define(f"_{name}_backward(Tensor gradient) -> Tensor")
        import torchvision

        torchvision.declared_operators = library  # they last as long as it does
