"""Texts, and the door that takes all three inputs."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from mmviz.inputs import make_sample
from mmviz.inputs.text import load_text
from mmviz.types import InputError


def test_a_text_is_never_changed() -> None:
    for text in ("what is left?", "  e\u0301\r\n\t ", "左边是什么？", "👩‍🚀\ufeff\u202e x", "x" * 10_000):
        assert load_text(text) == (text, ())


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("", "text-blank", "blank"),
        (" \n\u3000", "text-blank", "blank"),
        ("x" * 10_001, "text-long", "10,001 characters; mmviz takes at most 10,000"),
        ("ab\ud83d", "text-surrogate", "at place 3"),
        (b"bytes", "text-type", "not bytes"),
        (None, "text-type", "not NoneType"),
    ],
)
def test_refusals(text: object, code: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load_text(text)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_make_sample() -> None:
    sound = np.zeros(22_050, np.float32)
    sample = make_sample(np.zeros((4, 6, 3), np.uint8), "hello", (sound, 22_050))
    assert sample.image is not None and sample.image.width == 6
    assert sample.text == "hello"
    assert sample.audio is not None and sample.audio.seconds == 1.0
    assert [notice.code for notice in sample.notices] == ["sound-silent", "sound-resampled"]
    assert make_sample(text="hello").image is None


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "input-none"),
        ({"text": ""}, "input-none"),
        ({"text": "  "}, "text-blank"),
        ({"text": "hello", "image": b""}, "picture-empty"),
        ({"text": "hello", "audio": b""}, "sound-empty"),
        ({"audio": np.zeros(16_000)}, "sound-no-rate"),
        ({"audio": (np.zeros(16_000),)}, "sound-source"),
    ],
)
def test_make_sample_refuses(given: dict[str, object], code: str) -> None:
    with pytest.raises(InputError) as caught:
        make_sample(**given)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_importing_the_package_is_cheap() -> None:
    program = (
        "import sys, mmviz.inputs as i; i.make_sample(text='x');"
        "print([m for m in ('PIL', 'soundfile', 'soxr', 'librosa', 'torch', 'streamlit') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"
