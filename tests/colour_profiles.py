"""Colour profiles (ICC) written by hand, and what their colours are in sRGB by matrix arithmetic alone."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
D50 = np.array([0.9642, 1.0, 0.8249])
D65, PROPHOTO_WHITE = (0.3127, 0.3290), (0.3457, 0.3585)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def srgb_to_linear(values: Floats) -> Floats:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(values: Floats) -> Floats:
    values = np.clip(values, 0, 1)
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


@dataclass(frozen=True)
class RgbSpace:
    """A colour space of three primaries, as chromaticities xy, with one curve for all three."""

    name: str
    primaries: tuple[tuple[float, float], ...]
    white: tuple[float, float]
    to_linear: Callable[[Floats], Floats]

    def to_xyz(self) -> Floats:
        """Returns the matrix from linear values to XYZ, adapted to D50."""
        columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in self.primaries]).T
        x, y = self.white
        white = np.array([x / y, 1, (1 - x - y) / y])
        scaled = columns * np.linalg.solve(columns, white)
        gains = (_BRADFORD @ D50) / (_BRADFORD @ white)
        return np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD @ scaled

    def in_srgb(self, colours: NDArray[np.uint8]) -> Floats:
        """Returns colours of this space, ``[..., 3]`` 0 .. 255, as those of sRGB, clipped to 0 .. 255."""
        xyz = self.to_linear(colours / 255) @ self.to_xyz().T
        return linear_to_srgb(xyz @ np.linalg.inv(SRGB.to_xyz()).T) * 255

    def profile(self) -> bytes:
        curve = self.to_linear(np.linspace(0, 1, 4_096))
        matrix = self.to_xyz()
        tags = {name: _xyz(matrix[:, column]) for column, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(curve))
        return profile(self.name, b"RGB ", b"XYZ ", tags)


SRGB = RgbSpace("sRGB IEC61966-2.1", ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)), D65, srgb_to_linear)
DISPLAY_P3 = RgbSpace("Display P3", ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)), D65, srgb_to_linear)
ADOBE_RGB = RgbSpace(
    "Adobe RGB (1998)", ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), D65, lambda v: v ** (563 / 256)
)  # fmt: skip
PROPHOTO = RgbSpace(
    "ProPhoto RGB", ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), PROPHOTO_WHITE, lambda v: v**1.8
)  # fmt: skip


def grey_profile(name: str, gamma: float) -> bytes:
    """Returns a profile for grey images with the curve v ** gamma."""
    return profile(name, b"GRAY", b"XYZ ", {b"kTRC": _curve(np.linspace(0, 1, 4_096) ** gamma)})


def cmyk_profile(name: str, colours: dict[tuple[int, ...], tuple[float, float, float]]) -> bytes:
    """Returns a profile for CMYK whose inks, each 0 or 1, mix to Lab colours; black where none is named."""
    corners = [colours.get(inks, (0.0, 0.0, 0.0)) for inks in product((0, 1), repeat=4)]
    table = bytes(round(v) for light, a, b in corners for v in (light * 2.55, a + 128, b + 128))
    identity = np.array([0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x10000], ">i4").tobytes()
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + bytes(range(256)) * 4 + table + bytes(range(256)) * 3
    return profile(name, b"CMYK", b"Lab ", dict.fromkeys((b"A2B0", b"A2B1"), lut), device=b"prtr")


def lab_in_srgb(light: float, a: float, b: float) -> Floats:
    """Returns a Lab colour (D50) in sRGB, 0 .. 255."""
    y = (light + 16) / 116
    cubes = np.array([y + a / 500, y, y - b / 200])
    xyz = D50 * np.where(cubes > 6 / 29, cubes**3, 3 * (6 / 29) ** 2 * (cubes - 4 / 29))
    return linear_to_srgb(xyz @ np.linalg.inv(SRGB.to_xyz()).T) * 255


def profile(name: str, space: bytes, connection: bytes, tags: dict[bytes, bytes], device: bytes = b"mntr") -> bytes:
    """Returns a profile of version 2.1 with these tags."""
    text = name.encode("ascii") + b"\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(8 + 3 + 67)
    tags = {b"desc": description, b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(D50), **tags}
    table, body = b"", b""
    for tag, data in tags.items():
        data += bytes(-len(data) % 4)
        table += tag + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data
    header = struct.pack(
        ">I4sI4s4s4s12s4s4s24s12s48s", 128 + 4 + len(table) + len(body), b"\0\0\0\0", 0x02100000, device, space,
        connection, struct.pack(">6H", 2024, 1, 1, 0, 0, 0), b"acsp", b"\0\0\0\0", bytes(24), _fixed(D50), bytes(48),
    )  # fmt: skip
    return header + struct.pack(">I", len(tags)) + table + body


def _fixed(values: Sequence[float] | Floats) -> bytes:
    return np.rint(np.asarray(values) * 65_536).astype(">i4").tobytes()


def _xyz(values: Floats) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(values)


def _curve(values: Floats) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">I", len(values)) + np.rint(values * 65_535).astype(">u2").tobytes()
