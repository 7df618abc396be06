"""A program that checks the families whose processors need torchvision, and prints what came of each as JSON.

It runs in a process of its own, see `test_picture_families`.
"""

from __future__ import annotations

import json
import tempfile
import traceback
from importlib.util import find_spec
from pathlib import Path

import torchvision_transforms

torchvision_transforms.import_torchvision()

from picture_checkpoints import WITH_TIMM, WITH_TORCHVISION, save_checkpoint  # noqa: E402  # after torchvision
from picture_family_checks import Checkpoint, checks_of  # noqa: E402

from mmviz.models.custom_model_factory import load  # noqa: E402


def main() -> None:
    """Prints the traceback of each check by ``family: check``, empty where it passed."""
    outcomes: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in (*WITH_TORCHVISION, *(WITH_TIMM if find_spec("timm") else ())):
            path = save_checkpoint(name, Path(folder))
            checkpoint = Checkpoint(name, str(path), load(f"hf:{path}", "cpu"))
            for check, function in checks_of(name).items():
                try:
                    function(checkpoint)
                    outcomes[f"{name}: {check}"] = ""
                except Exception:
                    outcomes[f"{name}: {check}"] = traceback.format_exc()
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
