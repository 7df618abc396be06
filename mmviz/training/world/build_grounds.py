"""Builds the photographs that serve as grounds from freely licensed packages.

Build all with ``python -m mmviz.training.world.build_grounds FOLDER``. FOLDER holds the unpacked packages, each under
its name: the Debian packages ``lomiri-wallpapers-16.04``, ``lomiri-wallpapers-20.04`` and ``mypaint-data-extras``, the
wheels ``scikit-image`` and ``scikit-learn``, and the npm package ``pmndrs-assets``. Panoramas need ``OpenEXR``.
"""

from __future__ import annotations

import argparse
import base64
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmviz.assets_path import assets_dir

_LONGER_SIDE = 640  # pixels
_CC0 = "CC0-1.0"


@dataclass(frozen=True)
class Source:
    """One photograph."""

    name: str
    """The name of the ground: that of its file, without ending."""
    package: str
    """The name of the package, and of the folder that it is unpacked in."""
    file: str
    """The path within that folder."""
    author: str
    """Who is named as its author."""
    license: str
    """SPDX identifier."""
    crop: tuple[float, float, float, float] = (0, 0, 1, 1)
    """``(x0, y0, x1, y1)`` of what is kept, as fractions of width and height: what shows no thing of the word list."""
    held_out: bool = False
    """Whether it is for measuring, not for training."""


def _lomiri(name: str, file: str, author: str, spdx: str, *crop: float, held_out: bool = False) -> Source:
    package = "lomiri-wallpapers-20.04" if "SA-3.0" in spdx else "lomiri-wallpapers-16.04"
    x0, y0, x1, y1 = crop or (0, 0, 1, 1)
    return Source(name, package, f"usr/share/backgrounds/{file}.jpg", author, spdx, (x0, y0, x1, y1), held_out)


def _paper(name: str, file: str, author: str) -> Source:
    return Source(name, "mypaint-data-extras", f"usr/share/mypaint/backgrounds/{file}.png", author, _CC0)


def _panorama(name: str, *crop: float, held_out: bool = False) -> Source:
    x0, y0, x1, y1 = crop or (0, 0, 1, 1)
    author = "Poly Haven, packed by Poimandres"
    return Source(name, "pmndrs-assets", f"hdri/{name}.exr.js", author, _CC0, (x0, y0, x1, y1), held_out)


SOURCES = (
    _lomiri("meadow", "aitzgorri_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0"),
    _lomiri("stream", "life_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0"),
    _lomiri("hilltop", "sunset_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0", 0, 0.6, 0.62, 1),
    _lomiri("dandelions", "seeding_by_Clements_Engelhardt", "Clemens Engelhardt", _CC0),
    _lomiri("film-grain", "analogpattern_by_Peter_Nerlich", "Peter Nerlich", "CC-BY-SA-4.0"),
    _lomiri("cables", "Bridge_by_Sander_Klootwijk", "Sander Klootwijk", "CC-BY-SA-4.0"),
    _lomiri("leaves", "Dragonfly_by_Bolly", "Bolly", "CC-BY-SA-4.0", 0, 0, 0.42, 1),
    _lomiri("brushes", "Picture_1A_by_freespace", 'Trevor "Freespace"', "CC-BY-4.0"),
    _lomiri("boards", "friends_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0", 0, 0.62, 0.88, 1),
    _lomiri("cladding", "friends_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0", 0.56, 0, 1, 0.47),
    _lomiri("mountains", "picosdeeuropa_by_Aitzol_Berasategi", "Aitzol Berasategi", "CC-BY-4.0", held_out=True),
    _lomiri("bark", "Kleiber_by_Lukas_Baubkus", "Lukas Baubkus", "CC-BY-SA-3.0", 0, 0, 0.34, 1, held_out=True),
    _lomiri("snow", "Kleiber_by_Lukas_Baubkus", "Lukas Baubkus", "CC-BY-SA-3.0", 0.56, 0, 1, 1, held_out=True),
    Source("brick", "scikit-image", "skimage/data/brick.png", "CC0Textures", _CC0),
    Source("gravel", "scikit-image", "skimage/data/gravel.png", "CC0Textures", _CC0),
    Source("grass", "scikit-image", "skimage/data/grass.png", "linolafett", _CC0, held_out=True),
    Source("temple", "scikit-learn", "sklearn/datasets/images/china.jpg", "danielbuechele", "CC-BY-2.0", held_out=True),
    _paper("cork", "ramon/HR_Cork", "Ramón Miranda"),
    _paper("fibres", "ramon/HR_DecoPaper", "Ramón Miranda"),
    _paper("laid-paper", "ramon/HR_SketchPaper 02", "Ramón Miranda"),
    _paper("violet-paper", "mrmamurk/mamurk_b_1", "MrMamurk"),
    _panorama("apartment", 0.52, 0, 1, 1),
    _panorama("bridge"),
    _panorama("city"),
    _panorama("dawn"),
    _panorama("forest"),
    _panorama("hall"),
    _panorama("lab"),
    _panorama("lobby"),
    _panorama("park"),
    _panorama("studio"),
    _panorama("warehouse"),
    _panorama("esplanade", held_out=True),
    _panorama("night", held_out=True),
    _panorama("sunset", held_out=True),
    _panorama("venice", held_out=True),
    _panorama("workshop", held_out=True),
)
_LICENSE_URLS = {
    _CC0: "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-2.0": "https://creativecommons.org/licenses/by/2.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-3.0": "https://creativecommons.org/licenses/by-sa/3.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
}


def build_grounds(packages: Path, out: Path) -> None:
    """Crops and shrinks all photographs; writes them, ``index.json`` and ``LICENSES.md`` to ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    for source in SOURCES:
        file = packages / source.package / source.file
        image = Image.fromarray(_read_panorama(file)) if file.suffix == ".js" else Image.open(file).convert("RGB")
        x0, y0, x1, y1 = source.crop
        width, height = image.size
        image = image.crop((round(x0 * width), round(y0 * height), round(x1 * width), round(y1 * height)))
        image.thumbnail((_LONGER_SIDE, _LONGER_SIDE), Image.Resampling.LANCZOS)
        image.save(out / f"{source.name}.webp", quality=75, method=6)
    fields = ("package", "file", "author", "license", "held_out")
    index = {source.name: {field: getattr(source, field) for field in fields} for source in SOURCES}
    (out / "index.json").write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "LICENSES.md").write_text(_licenses(), encoding="utf-8")


def _read_panorama(file: Path) -> NDArray[np.uint8]:
    """Returns the panorama in a module that holds it in base 64, developed to sRGB: uint8 ``[height, width, 3]``."""
    import OpenEXR

    encoded = file.read_text(encoding="utf-8").split("base64,", 1)[1].split("'", 1)[0]
    with tempfile.NamedTemporaryFile(suffix=".exr") as copy:
        Path(copy.name).write_bytes(base64.b64decode(encoded))
        light = np.asarray(OpenEXR.File(copy.name).channels()["RGB"].pixels, np.float32)
    light = np.clip(light * 0.3 / np.median(light.mean(-1)), 0, None)
    light = light / (1 + 0.35 * light)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-6) ** (1 / 2.4) - 0.055)
    return np.asarray(np.clip(srgb, 0, 1) * 255, np.uint8)


def _licenses() -> str:
    """Returns the text of LICENSES.md."""
    lines = [
        "# Licences of the grounds\n",
        "Photographs on which the world's things are drawn, and panoramas (CC0, from Poly Haven). In each the same was",
        "changed: cropped, scaled down, saved as WebP; a panorama was developed from its high dynamic range first.",
        "None of the authors endorses this project. A changed CC-BY-SA photograph stays under its own licence.\n",
        "| file | author | licence | package, file | used for |",
        "|---|---|---|---|---|",
    ]
    for source in SOURCES:
        license_link = f"[{source.license}]({_LICENSE_URLS[source.license]})"
        lines.append(
            f"| `{source.name}.webp` | {source.author} | {license_link} | `{source.package}`, `{source.file}` "
            f"| {'measuring' if source.held_out else 'training'} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Rebuilds the grounds from a folder of unpacked packages."""
    parser = argparse.ArgumentParser(description="Rebuild the photographic grounds.")
    parser.add_argument("packages", type=Path, help="folder of the unpacked packages")
    build_grounds(parser.parse_args().packages.resolve(), assets_dir() / "grounds")


if __name__ == "__main__":
    main()
