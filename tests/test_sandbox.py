"""Decoding in a separate process gives the same samples, and a file that ends the process ends nothing else."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from app_page import EXAMPLES
from PIL import Image

from mmviz.inputs import make_sample
from mmviz.inputs.sandbox import Decoder
from mmviz.types import InputError


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    running = Decoder()
    yield running
    running.close()


def _png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_the_sandbox_returns_the_same_samples(decoder: Decoder) -> None:
    for example in EXAMPLES[:4]:
        image = example.image.read_bytes() if example.image else None
        audio = example.audio.read_bytes() if example.audio else None
        there, here = decoder.sample(image, example.question, audio), make_sample(image, example.question, audio)
        assert there.text == here.text and there.notices == here.notices
        if here.image and there.image:
            assert np.array_equal(there.image.pixels, here.image.pixels) and there.image.width == here.image.width
        if here.audio and there.audio:
            assert np.array_equal(there.audio.wave, here.audio.wave) and there.audio.seconds == here.audio.seconds


def test_the_sandbox_raises_the_same_errors(decoder: Decoder) -> None:
    for inputs in ((b"no picture", None, None), (None, "x" * 9_999_999, None), (None, None, b"RIFF"),
                   (None, None, None), (None, "half \ud800", None)):  # fmt: skip
        with pytest.raises(InputError) as here:
            make_sample(*inputs)
        with pytest.raises(InputError) as there:
            decoder.sample(*inputs)
        assert str(there.value) == str(here.value)


@pytest.mark.slow
def test_a_file_that_ends_the_process_is_refused_and_the_next_file_is_read(decoder: Decoder) -> None:
    assert decoder.sample(None, "hi", None).text == "hi"
    assert decoder._process is not None
    os.kill(decoder._process.pid, signal.SIGSTOP)  # so that it ends while it reads
    threading.Timer(0.3, os.kill, (decoder._process.pid, signal.SIGKILL)).start()
    with pytest.raises(InputError, match="that reads inputs ended"):
        decoder.sample(_png(90, 90), None, None)
    assert decoder.sample(None, "hi", None).text == "hi"


@pytest.mark.slow
def test_decoding_stops_at_the_time_limit(decoder: Decoder) -> None:
    hurried = Decoder(seconds=0.01)
    with pytest.raises(InputError, match=r"longer than 0\.01 s"):
        hurried.sample(_png(1_500, 1_500), None, None)
    hurried.seconds = 30
    assert hurried.sample(None, "hi", None).text == "hi"
    hurried.close()


@pytest.mark.slow
def test_a_file_beyond_the_memory_limit_is_refused_and_the_process_survives() -> None:
    roomy = Decoder(memory=1_500_000_000)
    assert roomy.sample(_png(60, 60), "hi", None).text == "hi"
    roomy.close()
    tight = Decoder(memory=int(address_space() + 30_000_000))
    with pytest.raises(InputError, match=r"memory|that reads inputs ended"):
        tight.sample(_png(4_000, 4_000), None, None)
    assert tight.sample(None, "hi", None).text == "hi"
    tight.close()


def address_space() -> int:
    """Address space in bytes of a process that has decoded a small image."""
    decoder = Decoder()
    decoder.sample(_png(60, 60), "hi", None)
    assert decoder._process is not None
    with open(f"/proc/{decoder._process.pid}/statm") as file:
        pages = int(file.read().split()[0])
    decoder.close()
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_many_threads_share_one_decoder(decoder: Decoder) -> None:
    from concurrent.futures import ThreadPoolExecutor

    texts = [f"visitor {k}" for k in range(40)]
    with ThreadPoolExecutor(8) as pool:
        assert [sample.text for sample in pool.map(lambda text: decoder.sample(None, text, None), texts)] == texts
