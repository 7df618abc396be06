"""Two hundred uploads, one after another: what they held is let go."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from PIL import Image

from mmviz.backends.local import LocalBackend
from mmviz.explain import run_sample
from mmviz.inputs.sandbox import Decoder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc for the memory in use")
UPLOADS, FIRST, MOST = 200, 20, 0.1
"""How many, how many of them do not count, and the megabytes that each of the others may leave behind."""


def _held(pid: str = "self") -> float:
    """Megabytes that a process holds."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def _slope() -> tuple[float, float]:
    """Megabytes an upload, here and in the process that decodes."""
    rng = np.random.default_rng(1)
    decoder, backend = Decoder(), LocalBackend("cpu")
    here, there = [], []
    for number in range(UPLOADS):
        picture, sound = io.BytesIO(), io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (300, 400, 3), np.uint8)).save(picture, "PNG")
        soundfile.write(sound, rng.standard_normal(32_000) * 0.1, 16_000, format="WAV")
        sample = decoder.sample(picture.getvalue(), f"is there a dog {number}", sound.getvalue())
        run_sample(sample, backend=backend)
        assert decoder._process is not None
        here.append(_held())
        there.append(_held(str(decoder._process.pid)))
    decoder.close()
    steps = np.arange(FIRST, UPLOADS)
    return tuple(float(np.polyfit(steps, one[FIRST:], 1)[0]) for one in (here, there))  # type: ignore[return-value]


@pytest.mark.slow
def test_uploads_leave_nothing_behind() -> None:
    code = "import sys; sys.path.insert(0, 'tests'); import test_uploads; print(*test_uploads._slope())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=500)
    here, there = map(float, found.stdout.split())
    print(f"{here:.3f} MB an upload here, {there:.3f} MB in the process that decodes")
    assert here < MOST and there < MOST
