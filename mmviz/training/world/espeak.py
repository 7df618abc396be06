"""The library of espeak-ng: it speaks, and gives the phonemes that other engines speak.

A call of the library takes a tenth of the time that the program takes, which reads its data anew for each word.
"""

from __future__ import annotations

import ctypes
import re
from ctypes.util import find_library
from functools import cache
from threading import Lock

import numpy as np
import numpy.typing as npt

from mmviz.types import MmvizError

SAMPLE_RATE = 22_050

# From espeak-ng/speak_lib.h.
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_RATE, _PITCH = 1, 3
_UTF8, _PHONEMES, _END_PAUSE = 1, 0x100, 0x1000
_IPA = 2

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_parts: list[npt.NDArray[np.int16]] = []
_lock = Lock()


def _keep(samples: ctypes._Pointer[ctypes.c_short], count: int, events: int) -> int:
    if samples and count > 0:
        _parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
    return 0


_callback = _Callback(_keep)


@cache
def _library() -> ctypes.CDLL:
    path = find_library("espeak-ng")
    if path is None:
        raise MmvizError("speech-missing")
    library = ctypes.CDLL(path)
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    if library.espeak_Initialize(_SYNCHRONOUS, 0, None, _DONT_EXIT) < 0:
        raise MmvizError("speech-silent")
    library.espeak_SetSynthCallback(_callback)
    return library


def _set_voice(library: ctypes.CDLL, accent: str, variant: str = "") -> bool:
    """Says whether the library has the voice, which speaks from now on."""
    accent = "en" if accent == "en-gb" else accent  # the name of this accent in the library
    return bool(library.espeak_SetVoiceByName((f"{accent}+{variant}" if variant else accent).encode()) == 0)


def is_installed() -> bool:
    """Says whether the library is there."""
    return find_library("espeak-ng") is not None


def synthesise(text: str, accent: str, variant: str, rate: int, pitch: int) -> npt.NDArray[np.float32]:
    """Returns ``text`` spoken: ``[sample]`` at 22,050 Hz, empty for an unknown voice.

    The noise in a voice goes on from call to call, so that a text spoken twice differs a little. Raises ``MmvizError``:
    ``speech-missing``, ``speech-silent`` where the library has no data.
    """
    spoken = re.sub(r"\ba$", "[[%@]]", text).encode()  # a final "a" would be read as the name of the letter
    with _lock:
        library = _library()
        _parts.clear()
        if not _set_voice(library, accent, variant):
            return np.zeros(0, np.float32)
        library.espeak_SetParameter(_RATE, rate, 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        flags = _UTF8 | _PHONEMES | _END_PAUSE
        library.espeak_Synth(spoken + b"\0", len(spoken) + 1, 0, 1, 0, flags, None, None)
        pcm = np.concatenate(_parts) if _parts else np.zeros(0, np.int16)
    return pcm.astype(np.float32) / np.float32(32_768)


def phonemes(text: str, accent: str) -> str:
    """Returns ``text`` in the International Phonetic Alphabet, as espeak-ng writes it; its clauses end in ",".

    Raises as `synthesise`, and ``speech-silent`` for an unknown accent.
    """
    weak_a = re.fullmatch(r"(.*?),?\s*\ba", text)  # as above
    clauses = []
    with _lock:
        library = _library()
        if not _set_voice(library, accent):  # without a voice the library crashes
            raise MmvizError("speech-silent")
        rest = ctypes.c_char_p((weak_a[1] if weak_a else text).encode())
        while rest.value:
            clauses.append(library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA).decode().strip())
    if weak_a:
        clauses.append("ɐ")
        return (", " if "," in text else " ").join(clauses).strip()
    return ", ".join(clauses)
