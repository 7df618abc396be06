"""Decoding of inputs in a separate process with limits on memory and time, so that a hostile file cannot harm the page.

Only npz and JSON come back, so a decoder that was taken over cannot send code.
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, BinaryIO

from mmviz.inputs import make_sample
from mmviz.inputs.decoder_failure import CODES, log_decoder_failure, unexpected_errors
from mmviz.io.error_codec import error_from_bytes, error_to_bytes
from mmviz.io.npz import open_npz, pack_npz
from mmviz.io.sample_parts import sample_from_parts, sample_to_parts
from mmviz.types import InputError, MmvizError, Sample

SECONDS = 20.0
"""Time limit for one sample."""
MEMORY = 3_000_000_000
"""Limit on address space in bytes; the libraries alone take about one billion."""
_MAX_REPLY = 64_000_000
"""Bytes of a reply, also once inflated."""
_REPLY_LENGTHS = struct.Struct("<QQ")
_PART = struct.Struct("<cQ")
"""The kind of a part of a request, and its length; a request ends with a part of kind ``_END``."""
_TEXT, _IMAGE, _AUDIO, _VIDEO, _END = b"t", b"i", b"a", b"v", b"."


class Decoder:
    """A worker process that decodes samples. It starts with the first sample, and again after one that ended it.

    Args:
        seconds: time limit for one sample.
        memory: limit on the address space in bytes, where the system has such limits.
    """

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY):
        self.seconds, self._memory = seconds, memory
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def sample(
        self, image: bytes | Sequence[bytes] | None, text: str | None, audio: bytes | Sequence[bytes] | None,
        video: bytes | None = None,
    ) -> Sample:  # fmt: skip
        """Returns the sample as `mmviz.make_sample` does.

        Raises ``InputError`` as it does, and ``decode-late`` where decoding takes too long, ``decode-died`` where it
        ends the process, ``decode-memory`` where it needs too much memory.
        """
        parts = [] if text is None else [(_TEXT, text.encode("utf-8", "surrogatepass"))]
        for kind, given in ((_IMAGE, image), (_AUDIO, audio), (_VIDEO, video)):
            contents = [given] if isinstance(given, bytes) else given or []
            parts += [(kind, content) for content in contents]
        with self._lock:
            worker = self._running_worker()
            assert worker.stdin is not None and worker.stdout is not None
            is_late = threading.Event()

            def end_worker() -> None:
                is_late.set()
                worker.kill()

            timer = threading.Timer(self.seconds, end_worker)
            timer.daemon = True
            timer.start()
            try:
                for kind, content in [*parts, (_END, b"")]:
                    worker.stdin.write(_PART.pack(kind, len(content)))
                    worker.stdin.write(content)
                worker.stdin.flush()
                error, data = _read_reply(worker.stdout)
            except (OSError, EOFError):
                self.close()
                if is_late.is_set():
                    raise InputError("decode-late", seconds=self.seconds) from None
                raise InputError("decode-died") from None
            finally:
                timer.cancel()
        if error:
            problem = error_from_bytes(error, "decode-died")
            if isinstance(problem, InputError) and problem.code in CODES:
                log_decoder_failure(problem)  # what the worker logs is not kept, as a decoder may write to it
            raise problem
        with open_npz(io.BytesIO(data), "decode-died", _MAX_REPLY) as (header, arrays):
            return sample_from_parts(header, arrays)

    def close(self) -> None:
        """Ends the process."""
        worker, self._process = self._process, None
        if worker is not None:
            worker.kill()
            worker.communicate()

    def _running_worker(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-m", "mmviz.inputs.sandbox", str(self._memory)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._process


def _read_reply(pipe: IO[bytes]) -> tuple[bytes, bytes]:
    """Returns an error as JSON and a sample as npz, one of them empty. Raises ``EOFError`` where the process ended."""
    error_length, data_length = _REPLY_LENGTHS.unpack(_read_exactly(pipe, _REPLY_LENGTHS.size))
    if error_length + data_length > _MAX_REPLY:
        raise EOFError
    return _read_exactly(pipe, error_length), _read_exactly(pipe, data_length)


def _read_exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Decodes one sample after another until the pipe of requests ends. Runs in the worker process."""
    while (parts := _read_parts(requests)) is not None:
        error, data = b"", b""
        try:
            text = parts[_TEXT][0].decode("utf-8", "surrogatepass") if _TEXT in parts else None
            video = parts[_VIDEO][0] if _VIDEO in parts else None
            with unexpected_errors():
                sample = make_sample(parts.get(_IMAGE), text, parts.get(_AUDIO), video)
                header, arrays = sample_to_parts(sample)
                data = pack_npz(header, arrays, 0)
        except MmvizError as problem:
            error = error_to_bytes(problem)
        except MemoryError:
            error = error_to_bytes(InputError("decode-memory"))
        replies.write(_REPLY_LENGTHS.pack(len(error), len(data)) + error + data)
        replies.flush()


def _read_parts(requests: BinaryIO) -> dict[bytes, list[Any]] | None:
    """Returns the contents of one request by kind; None where the pipe of requests ends."""
    parts: dict[bytes, list[Any]] = {}
    while len(head := requests.read(_PART.size)) == _PART.size:
        kind, length = _PART.unpack(head)
        if kind == _END:
            return parts
        parts.setdefault(kind, []).append(_read_exactly(requests, length))
    return None


def _limit_resources(memory: int) -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    limits = {resource.RLIMIT_AS: memory, resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0}  # it writes no file
    for kind, limit in limits.items():
        with suppress(OSError, ValueError):  # macOS refuses some; elsewhere a stricter limit may stand already
            resource.setrlimit(kind, (limit, limit))


if __name__ == "__main__":
    _limit_resources(int(sys.argv[1]))
    _serve(sys.stdin.buffer, sys.stdout.buffer)
