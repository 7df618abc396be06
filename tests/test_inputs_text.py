"""Text inputs, and `make_sample`, which takes all three inputs."""

from __future__ import annotations

import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmviz.i18n.unicode_display import count_invisible, replace_invisible
from mmviz.inputs import make_sample
from mmviz.inputs.text import load_text
from mmviz.models.nfc_spans import nfc_with_spans
from mmviz.models.trio_model import BundledTrio
from mmviz.types import Chars, InputError, Notice, Sample


def test_a_text_is_never_changed() -> None:
    for text in ("what is left?", "  e\u0301\r\n\t ", "左边是什么？", "👩‍🚀\ufeff\u202e x", "x" * 10_000):
        assert load_text(text)[0] == text


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", "text-blank", "blank"),
        (" \n\u3000", "text-blank", "blank"),
        ("x" * 10_001, "text-long", "10,001 characters. mmviz accepts at most 10,000"),
        ("ab\ud83d", "text-surrogate", "at position 3"),
        (b"bytes", "text-type", "not bytes"),
        (None, "text-type", "not NoneType"),
    ],
)
def test_an_unusable_text_is_refused(text: object, code: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_text(text)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_make_sample_checks_all_three_inputs() -> None:
    wave = np.zeros(22_050, np.float32)
    sample = make_sample(np.zeros((4, 6, 3), np.uint8), "hello", (wave, 22_050))
    assert sample.image is not None and sample.image.width == 6
    assert sample.text == "hello"
    assert sample.audio is not None and sample.audio.seconds == 1.0
    assert [notice.code for notice in sample.notices] == ["audio-silent", "audio-resampled"]
    assert make_sample(text="hello").image is None


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({}, "input-none"),
        ({"text": ""}, "input-none"),
        ({"text": "  "}, "text-blank"),
        ({"text": "hello", "image": b""}, "image-empty"),
        ({"text": "hello", "audio": b""}, "audio-empty"),
        ({"audio": np.zeros(16_000)}, "audio-no-rate"),
        ({"audio": (np.zeros(16_000),)}, "audio-source"),
    ],
)
def test_make_sample_refuses_unusable_inputs(inputs: dict[str, object], code: str) -> None:
    with pytest.raises(InputError) as caught:
        make_sample(**inputs)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_importing_the_package_loads_no_decoder() -> None:
    program = (
        "import sys, mmviz.inputs as i; i.make_sample(text='x');"
        "print([m for m in ('PIL', 'soundfile', 'soxr', 'librosa', 'torch', 'streamlit') if m in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=120)
    assert process.stdout.strip() == b"[]"


# the NFC form, and where each of its characters comes from


@pytest.mark.parametrize(
    ("text", "normal", "spans"),
    [
        ("ab", "ab", [(0, 1), (1, 2)]),
        ("cafe\u0301?", "caf\u00e9?", [(0, 1), (1, 2), (2, 3), (3, 5), (5, 6)]),
        ("q\u0301!", "q\u0301!", [(0, 2), (0, 2), (2, 3)]),  # no such letter in one character
        ("a\u0323\u0302", "\u1ead", [(0, 3)]),
        ("a\u0302\u0323", "\u1ead", [(0, 3)]),  # marks in another order
        ("\u1112\u1161\u11ab", "\ud55c", [(0, 3)]),
        ("\u1100\uac00", "\u1100\uac00", [(0, 1), (1, 2)]),
        ("\u0958", "\u0915\u093c", [(0, 1), (0, 1)]),  # becomes longer
        ("\u0dd9\u0dcf\u0dca", "\u0ddd", [(0, 3)]),
        ("\u0301a", "\u0301a", [(0, 1), (1, 2)]),
        ("=\u0f73\u0338", "\u2260\u0f71\u0f72", [(0, 3)] * 3),
        ("\u212b", "\u00c5", [(0, 1)]),
        ("", "", []),
    ],
)
def test_nfc_with_spans(text: str, normal: str, spans: list[tuple[int, int]]) -> None:
    assert nfc_with_spans(text) == (normal, spans)


letters = st.characters(exclude_categories=["Cs"])
tricky = st.sampled_from(
    "ae=\u0301\u0302\u0323\u0338\u0f73\u0f71\u1100\u1161\u11a8\uac00\u0dd9\u0dcf\u0dca\u09c7\u09be\u0344\u200d"
)


@pytest.mark.slow
@given(st.text(letters | tricky, max_size=30))
@example("\U00011131\U00011127")
@settings(max_examples=1_000, deadline=None)
def test_the_spans_of_nfc_cover_the_text(text: str) -> None:
    normal, spans = nfc_with_spans(text)
    assert normal == unicodedata.normalize("NFC", text)
    assert len(spans) == len(normal)
    distinct = list(dict.fromkeys(spans))
    assert "".join(text[start:end] for start, end in distinct) == text, "in order, without gaps"
    for span in distinct:
        piece = "".join(character for character, other in zip(normal, spans, strict=True) if other == span)
        assert piece == unicodedata.normalize("NFC", text[slice(*span)])


def test_composed_and_decomposed_accents_give_the_same_tokens() -> None:
    model = BundledTrio("cpu")
    composed = "what is left of the caf\u00e9 \u1ead \ud55c dog?"
    decomposed = unicodedata.normalize("NFD", composed)
    assert len(decomposed) == len(composed) + 5
    prepared, other = (model.prepare(Sample(text=text)) for text in (composed, decomposed))
    assert prepared.tensors.text.tolist() == other.tensors.text.tolist()
    for token, twin in zip(prepared.streams["tokens"], other.streams["tokens"], strict=True):
        assert token.label == twin.label
        if isinstance(token.location, Chars) and isinstance(twin.location, Chars):
            piece = decomposed[twin.location.start : twin.location.end]
            assert unicodedata.normalize("NFC", piece) == composed[token.location.start : token.location.end]
    locations = [token.location for token in other.streams["tokens"] if isinstance(token.location, Chars)]
    assert decomposed[locations[5].start : locations[5].end] == "cafe\u0301", "the mark with its letter"


# invisible characters


@pytest.mark.parametrize(
    ("text", "replaced", "count"),
    [
        ("plain, \u00e9\u732b\U0001f408 text\n\tand\u00a0more\r\n", None, 0),
        ("a\0b\x07\x1b[31m\x7f", "a\u2400b\u2407\u241b[31m\u2421", 4),
        ("a\x85b\x9b", "a\u27e8U+0085\u27e9b\u27e8U+009B\u27e9", 2),
        ("a\rb", "a\u240db", 1),
        ("ab\u200bc\ufeff\u00ad", "ab\u27e8U+200B\u27e9c\u27e8U+FEFF\u27e9\u27e8U+00AD\u27e9", 3),
        ("x\u202egnp.exe\u2069", "x\u27e8U+202E\u27e9gnp.exe\u27e8U+2069\u27e9", 2),
        ("\u0633\u0644\u0627\u0645 \u05e9\u05dc\u05d5\u05dd", None, 0),
        ("\u200f\u0633", "\u27e8U+200F\u27e9\u0633", 1),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u0915\u094d\u200d\u0937", None, 0),
        ("\u0645\u200c\u200c", "\u0645\u200c\u27e8U+200C\u27e9", 1),
        ("pass\u200dword", "pass\u27e8U+200D\u27e9word", 1),
        ("\U0001f469\u200d\U0001f680 \U0001f469\U0001f3fd\u200d\U0001f680 1\ufe0f\u20e3", None, 0),
        ("\u2764\ufe0f\u200d\U0001f525", None, 0),
        ("\U0001f469\u200d", "\U0001f469\u27e8U+200D\u27e9", 1),
        ("a\ufe0f\U0001f600\ufe0f\ufe0f", "a\u27e8U+FE0F\u27e9\U0001f600\ufe0f\u27e8U+FE0F\u27e9", 2),
        ("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", None, 0),
        ("hi\U000e0068\U000e0069", "hi\u27e8U+E0068\u27e9\u27e8U+E0069\u27e9", 2),
        ("\u2028\u3164\u2800", "\u27e8U+2028\u27e9\u27e8U+3164\u27e9\u27e8U+2800\u27e9", 3),
    ],
)
def test_invisible_characters_are_replaced_and_counted(text: str, replaced: str | None, count: int) -> None:
    assert replace_invisible(text) == (text if replaced is None else replaced)
    assert count_invisible(text) == count
    assert load_text("x" + text)[1] == ((Notice("text-invisible", {"count": count}),) if count else ())
    for notice in load_text("x" + text)[1]:
        assert f"marks: {count}." in str(notice)


@given(st.text(letters | st.sampled_from("\u200d\u200c\ufe0f\u202e\r\n\x07\U0001f469\u0645a"), max_size=20), st.data())
@settings(deadline=None)
def test_a_part_of_a_text_is_replaced_as_in_the_whole(text: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(text)))
    assert replace_invisible(text, 0, cut) + replace_invisible(text, cut) == replace_invisible(text)
    assert not set(replace_invisible(text)) & set("\u202e\x07\u200b\u2066")
    assert "\u2407" not in replace_invisible(text, control_pictures=False) or "\u2407" in text


def test_every_format_character_of_unicode_is_replaced() -> None:
    shown = {0x600, 0x601, 0x602, 0x603, 0x604, 0x605, 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
    egyptian = set(range(0x13430, 0x13440))  # they arrange signs
    for code in range(0x11_0000):
        if unicodedata.category(chr(code)) in {"Cc", "Cf", "Zl", "Zp"} and chr(code) not in "\t\n":
            assert (replace_invisible(chr(code)) == chr(code)) == (code in shown | egyptian), hex(code)
