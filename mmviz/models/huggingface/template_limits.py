"""Chat templates that a visitor wrote, within limits of time, memory and length.

A template is a program: its loops, macros and numbers can keep a processor busy for ever, most of it where Python
cannot be interrupted. So it runs in a process that can be ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmviz.types import MmvizError

SECONDS = 10.0
"""Time limit for one prompt."""
MEMORY = 500_000_000
"""Limit on address space in bytes, where the system has such limits; Python and Jinja take a tenth of it."""
LONGEST = 500_000
"""Characters that a prompt may have: more than models read."""
_PROGRAM = Path(__file__).with_name("template_program.py")


def limited_prompt(template: str, variables: Mapping[str, Any]) -> str:
    """Returns the text of a chat template with these ``variables``, which are plain values.

    Raises ``MmvizError``: ``hf-template`` where it cannot be filled in, ``hf-template-limit`` where it takes too much.
    """
    command = [sys.executable, "-P", str(_PROGRAM), str(MEMORY), str(LONGEST)]
    try:
        ended = subprocess.run(
            command, input=json.dumps([template, variables]).encode(), stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise MmvizError("hf-template-limit", seconds=round(SECONDS)) from None
    reply = json.loads(ended.stdout) if ended.returncode == 0 else {"error": ""}
    if "text" in reply:
        return str(reply["text"])
    if reply["error"]:
        raise MmvizError("hf-template", why=reply["error"])
    raise MmvizError("hf-template-limit", seconds=round(SECONDS))
