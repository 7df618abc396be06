"""Many uploads, one after another, leave no memory behind."""

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
UPLOADS, WARM_UP, MAX_LEAK = 45, 20, 0.4
"""Number of uploads, number of the first that do not count, megabytes that each of the others may leave behind: less
than its picture (1.4) or its sound (0.6) alone."""


def _resident_memory(pid: str = "self") -> float:
    """Resident memory of a process in megabytes."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def _leaks() -> tuple[float, float]:
    """Megabytes that an upload leaves behind, here and in the decoding process."""
    rng = np.random.default_rng(1)
    decoder, backend = Decoder(), LocalBackend("cpu")
    here, decoding = [], []
    for number in range(UPLOADS):
        image, audio = io.BytesIO(), io.BytesIO()
        Image.fromarray(np.full((600, 800, 3), number, np.uint8)).save(image, "PNG")
        soundfile.write(audio, rng.standard_normal(160_000) * 0.1, 16_000, format="WAV")
        sample = decoder.sample(image.getvalue(), f"is there a dog {number}", audio.getvalue())
        run_sample(sample, backend=backend)
        assert decoder._process is not None
        here.append(_resident_memory())
        decoding.append(_resident_memory(str(decoder._process.pid)))
    decoder.close()
    growth = [(memory[-1] - memory[WARM_UP]) / (UPLOADS - WARM_UP) for memory in (here, decoding)]
    return growth[0], growth[1]


@pytest.mark.slow
@pytest.mark.long
def test_uploads_leave_no_memory_behind() -> None:
    code = "import sys; sys.path.insert(0, 'tests'); import test_uploads; print(*test_uploads._leaks())"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=500)
    here, decoding = map(float, process.stdout.split())
    print(f"{here:.3f} MB per upload here, {decoding:.3f} MB in the decoding process")
    assert here < MAX_LEAK and decoding < MAX_LEAK
