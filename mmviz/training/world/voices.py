"""The voices of the world: who speaks in training, and who is held out.

The voices of flite (kal, awb, rms, slt), in any engine, are in neither: they are for acceptance.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Engine = Literal["espeak-ng", "festival", "piper", "kokoro"]
Split = Literal["train", "held_out"]

NATURAL_RATE = 160
"""Words per minute at which a voice of any engine but espeak-ng speaks as it is."""


@dataclass(frozen=True)
class Voice:
    """One way of speaking of one speaker."""

    name: str
    """Names the clips of the voice in a speech bank; no two voices share it."""
    engine: Engine
    """The program that synthesises it."""
    accent: str
    """As espeak-ng names it."""
    speaker: str
    """Variant of espeak-ng ("" for none), or speaker of another engine."""
    rate: int = NATURAL_RATE
    """Words per minute."""
    pitch: int = 50
    """0 to 99; of espeak-ng and Festival."""


_TRAIN_ACCENTS = (
    "en-gb", "en-us", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-rp", "en-gb-x-gbcwmd",
    "en-us-nyc",
)  # fmt: skip
# Left out of the variants that espeak-ng 1.51 ships: whispers, croaks, echoes and robots that
# blur the words (whisper, whisperf, croak, Demonic, UniRobot, anikaRobot, announcer, robosoft*,
# RicishayMax*), an extreme formant (Tweaky), mere copies (fast, caleb, klatt6), near copies
# (steph2, steph3), one that changes the language (Storm), and the held-out f4 and m7.
_FEMALE = (
    "Alicia", "Andrea", "Annie", "anika", "aunty", "belinda", "f1", "f2", "f3", "f5", "grandma",
    "linda", "shelby", "steph", "zac",
)  # fmt: skip
_OTHER = (
    "", "Alex", "Andy", "AnxiousAndy", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo",
    "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "Mr serious", "Nguyen", "adam", "antonio",
    "benjamin", "boris", "david", "ed", "edward", "edward2", "grandpa", "gustave", "iven", "iven2",
    "iven3", "iven4", "john", "kaukovalta", "klatt", "klatt2", "klatt3", "klatt4", "klatt5", "m1",
    "m2", "m3", "m4", "m5", "m6", "m8", "marcelo", "max", "michel", "miguel", "norbert", "pablo",
    "paul", "pedro", "quincy", "rob", "robert", "sandro", "travis", "victor",
)  # fmt: skip
# Of Kokoro, two of each sex and accent: a voice takes longer to be spoken than 30 of espeak-ng.
_KOKORO = (
    "af_heart", "am_michael", "bf_emma", "bm_fable", "af_bella", "am_fenrir", "bf_isabella", "bm_lewis",
)  # fmt: skip
_KOKORO_HELD_OUT = ("af_sarah", "bm_george")


def _espeak(accent: str, variant: str, rate: int, pitch: int) -> Voice:
    return Voice(f"{accent}+{variant}" if variant else accent, "espeak-ng", accent, variant, rate, pitch)


def _espeak_voices(seed: int) -> tuple[Voice, ...]:
    """Returns every variant with two accents, the fewer female ones with three; rates and pitches are spread evenly
    over their ranges and assigned at random."""
    rng = random.Random(seed)
    pairs: list[tuple[str, str]] = []
    for number, variant in enumerate((*_FEMALE, *_OTHER)):
        wanted = 3 if variant in _FEMALE else 2
        rest = [a for a in _TRAIN_ACCENTS if a != _TRAIN_ACCENTS[number % len(_TRAIN_ACCENTS)]]
        accents = [_TRAIN_ACCENTS[number % len(_TRAIN_ACCENTS)], *rng.sample(rest, wanted - 1)]
        pairs += [(accent, variant) for accent in accents]
    last = len(pairs) - 1
    rates = [round(110 + 100 * i / last) for i in range(len(pairs))]
    pitches = [round(20 + 65 * i / last) for i in range(len(pairs))]
    rng.shuffle(rates)
    rng.shuffle(pitches)
    return tuple(_espeak(*p, r, q) for p, r, q in zip(pairs, rates, pitches, strict=True))


def _kokoro_voices(speakers: tuple[str, ...], seed: int) -> tuple[Voice, ...]:
    """Returns one voice of each speaker, at rates around the natural one."""
    rng = random.Random(seed)
    return tuple(
        Voice(f"kokoro-{speaker}", "kokoro", "en-us" if speaker[0] == "a" else "en-gb", speaker, rng.randint(135, 185))
        for speaker in speakers
    )


TRAIN_VOICES: tuple[Voice, ...] = (
    *_espeak_voices(seed=7),
    Voice("festival-ked", "festival", "en-us", "ked"),
    Voice("festival-ked+low", "festival", "en-us", "ked", 135, 30),
    Voice("festival-ked+high", "festival", "en-us", "ked", 180, 75),
    Voice("festival-ked+higher", "festival", "en-us", "ked", 150, 95),
    Voice("piper-joe", "piper", "en-us", "joe"),
    Voice("piper-joe+slow", "piper", "en-us", "joe", 130),
    Voice("piper-joe+fast", "piper", "en-us", "joe", 190),
    *_kokoro_voices(_KOKORO, seed=11),
)
HELD_OUT_VOICES: tuple[Voice, ...] = (
    _espeak("en-029", "", 160, 50),
    _espeak("en-gb", "f4", 150, 55),
    _espeak("en-us", "m7", 170, 45),
    *_kokoro_voices(_KOKORO_HELD_OUT, seed=13),
)
VOICES: dict[Split, tuple[Voice, ...]] = {"train": TRAIN_VOICES, "held_out": HELD_OUT_VOICES}
