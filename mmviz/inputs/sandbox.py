"""Inputs decoded in a process apart, with limits on memory and time: a hostile file ends that process, not the page.

Nothing but npz and JSON comes back, so that a decoder that was taken over can send no code.
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
from typing import IO, BinaryIO

from mmviz.inputs import make_sample
from mmviz.io.error_codec import refusal_from_bytes, refusal_to_bytes
from mmviz.io.npz import open_npz, pack_npz
from mmviz.io.run_file import sample_of, sample_parts
from mmviz.types import InputError, MmvizError, Sample

SECONDS = 20.0
MEMORY = 3_000_000_000
"""Bytes of address space, of which the libraries take about one billion."""
_INFLATED = 64_000_000
_LENGTHS = struct.Struct("<QQ")
_GIVEN = struct.Struct("<qqq")


class Decoder:
    """A worker process for one file after another, started at the first and anew after each that ended it.

    ``seconds`` for one sample, ``memory`` bytes of address space (where the system has such limits).
    """

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY):
        self.seconds, self._memory = seconds, memory
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def sample(self, image: bytes | None, text: str | None, audio: bytes | None) -> Sample:
        """As `mmviz.make_sample`. Raises ``InputError``, also where decoding takes too long (``decode-late``) or ends
        the process (``decode-died``)."""
        parts = [None if text is None else text.encode("utf-8", "surrogatepass"), image, audio]
        with self._lock:
            worker = self._started()
            assert worker.stdin is not None and worker.stdout is not None
            is_late = threading.Event()

            def end() -> None:
                is_late.set()
                worker.kill()

            clock = threading.Timer(self.seconds, end)
            clock.daemon = True
            clock.start()
            try:
                worker.stdin.write(_GIVEN.pack(*(-1 if part is None else len(part) for part in parts)))
                for part in parts:
                    worker.stdin.write(part or b"")
                worker.stdin.flush()
                about, data = _answer(worker.stdout)
            except (OSError, EOFError):
                self.close()
                if is_late.is_set():
                    raise InputError("decode-late", seconds=self.seconds) from None
                raise InputError("decode-died") from None
            finally:
                clock.cancel()
        if about:
            raise refusal_from_bytes(about, "decode-died")
        with open_npz(io.BytesIO(data), "decode-died", _INFLATED) as (header, arrays):
            return sample_of(header, arrays)

    def close(self) -> None:
        """End the process."""
        worker, self._process = self._process, None
        if worker is not None:
            worker.kill()
            worker.communicate()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-m", "mmviz.inputs.sandbox", str(self._memory)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._process


def _answer(pipe: IO[bytes]) -> tuple[bytes, bytes]:
    """A refusal as JSON, or else a sample as npz. Raises ``EOFError`` where the process ended."""
    about, data = _LENGTHS.unpack(_exactly(pipe, _LENGTHS.size))
    if about + data > _INFLATED:
        raise EOFError
    return _exactly(pipe, about), _exactly(pipe, data)


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _work(given: BinaryIO, out: BinaryIO) -> None:
    """What the process does until nothing comes any more."""
    while True:
        lengths = given.read(_GIVEN.size)
        if len(lengths) < _GIVEN.size:
            return
        text, image, audio = (
            None if length < 0 else _exactly(given, length) for length in _GIVEN.unpack(lengths)
        )  # fmt: skip
        about, data = b"", b""
        try:
            words = None if text is None else text.decode("utf-8", "surrogatepass")
            header, arrays = sample_parts(make_sample(image, words, audio))
            data = pack_npz(header, arrays, 0)
        except MmvizError as refusal:
            about = refusal_to_bytes(refusal)
        except MemoryError:
            about = refusal_to_bytes(InputError("decode-memory"))
        out.write(_LENGTHS.pack(len(about), len(data)) + about + data)
        out.flush()


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it has nothing to write


if __name__ == "__main__":
    _limit(int(sys.argv[1]))
    _work(sys.stdin.buffer, sys.stdout.buffer)
