"""An exception of a decoder that nobody expected is logged, and never said to be damage of the file."""

from __future__ import annotations

import io
import logging
import sys
import types
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from audio_files import encoded, muxed, tone
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from mmviz.inputs import make_sample
from mmviz.inputs.sandbox import Decoder
from mmviz.io.error_codec import error_from_bytes, error_to_bytes
from mmviz.types import InputError

SECRET = "a title that only the file knows"


def m4a() -> bytes:
    return muxed(tone(440, 16_000), 16_000, "ipod")


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40)).save(file, "PNG")
    return file.getvalue()


def fail(*args: object, **options: object) -> None:
    raise TypeError(f"open() got an unexpected keyword argument 'metadata_errors' for {SECRET}")


def check(error: InputError, log: pytest.LogCaptureFixture, decoder: str, save_as: str) -> None:
    assert error.code == "decoder-failed"
    assert f"{decoder} " in str(error) and "(TypeError)" in str(error) and "not of your file" in str(error)
    assert "damaged" not in str(error) and f"to {save_as}" in str(error)
    (line,) = [record.getMessage() for record in log.records]
    assert decoder in line and "TypeError" in line and ".py:" in line and "mmviz" in line
    assert SECRET not in line and SECRET not in str(error) and "unexpected keyword" not in line


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_of_pyav(monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture) -> None:
    data = m4a()
    monkeypatch.setattr(av, "open", fail)
    with pytest.raises(InputError) as caught:
        make_sample(audio=data)
    check(caught.value, log, "PyAV", "WAV")
    assert av.__version__ in str(caught.value)


def test_of_pyav_while_it_decodes(monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture) -> None:
    from mmviz.inputs import pyav_decoder

    data = m4a()
    monkeypatch.setattr(pyav_decoder, "_samples", fail)
    with pytest.raises(InputError) as caught:
        make_sample(audio=data)
    check(caught.value, log, "PyAV", "WAV")


def test_of_a_pyav_that_is_too_old(monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture) -> None:
    data = m4a()
    monkeypatch.delitem(sys.modules, "mmviz.inputs.pyav_decoder", raising=False)
    monkeypatch.setitem(sys.modules, "av.stream", types.ModuleType("av.stream"))  # Disposition came with 14.1
    with pytest.raises(InputError, match=r"PyAV .*ImportError.*another version of PyAV"):
        make_sample(audio=data)


def test_of_soundfile(monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture) -> None:
    data = encoded(tone(440, 16_000), 16_000)
    monkeypatch.setattr(soundfile.SoundFile, "read", fail)
    with pytest.raises(InputError) as caught:
        make_sample(audio=data)
    check(caught.value, log, "soundfile", "M4A")


def test_of_pillow(monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(PngImageFile, "load", fail)
    with pytest.raises(InputError) as caught:
        make_sample(png())
    check(caught.value, log, "Pillow", "PNG")


def test_too_little_memory_is_no_fault_of_a_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(*args: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(soundfile.SoundFile, "read", exhaust)
    with pytest.raises(MemoryError):
        make_sample(audio=encoded(tone(440, 16_000), 16_000))


def test_through_a_connection() -> None:
    error = InputError("decoder-failed", decoder="PyAV 19.0", error="TypeError", package="PyAV", format="WAV", place="")
    assert str(error_from_bytes(error_to_bytes(error), "wire-unreadable")) == str(error)


BROKEN_PACKAGES = """
import av, soxr
def fail(*args, **options): raise TypeError("a title that only the file knows")
av.open = soxr.resample = fail
"""


def test_through_the_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture) -> None:
    (tmp_path / "sitecustomize.py").write_text(BROKEN_PACKAGES)  # which Python loads when a process starts
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    decoder = Decoder()
    try:
        with pytest.raises(InputError) as caught:
            decoder.sample(None, None, m4a())
        check(caught.value, log, "PyAV", "WAV")
        worker = decoder._process
        log.clear()
        with pytest.raises(InputError) as caught:  # not a decoder's: resampling
            decoder.sample(None, None, encoded(np.zeros(8_000), 8_000))
        assert caught.value.code == "reading-failed" and "a fault of mmviz" in str(caught.value)
        assert "TypeError" in log.text and SECRET not in log.text
        assert decoder.sample(None, "hi", encoded(np.zeros(16_000), 16_000)).text == "hi"
        assert decoder._process is worker, "the process goes on"
    finally:
        decoder.close()
