"""Drawings picked one by one, listed with author and licence in ``assets/sprites/picked.tsv``.

Clip art (public domain) and renderings of three-dimensional models of furniture and household things. Several drawings
of a word are several styles: ``openclipart-1``, ``openclipart-2``, ...
"""

from __future__ import annotations

import csv
import subprocess
import zipfile
from pathlib import Path
from typing import Any

from mmviz.assets_path import assets_dir

_ABOUT = {
    "openclipart-svg": {
        "version": "0.18", "license": "CC-PDDC", "author": "Open Clip Art Library",
        "license_url": "https://creativecommons.org/licenses/publicdomain/", "url": "https://openclipart.org",
    },
    "sweethome3d-furniture": {
        "version": "1.8", "license": "CC-BY-3.0", "author": "Scopia, Kator Legaz, Blend Swap",
        "license_url": "https://creativecommons.org/licenses/by/3.0/", "url": "https://www.sweethome3d.com",
    },
}  # fmt: skip
"""Debian package -> what the index of sprites says about it."""


def draw_picked(node_modules: Path, packages: Path, out: Path, size: int) -> dict[str, dict[str, Any]]:
    """Writes ``out/style/word.png`` for each picked drawing and returns the metadata of the styles.

    ``packages`` holds the unpacked Debian packages, each under its name. Clip art is ``size`` pixels wide or high.
    """
    text = (assets_dir() / "sprites" / "picked.tsv").read_text(encoding="utf-8")
    order = [line.split("\t")[0] for line in (assets_dir() / "concepts.tsv").read_text("utf-8").splitlines()]
    rows = sorted(csv.DictReader(text.splitlines(), delimiter="\t"), key=lambda row: order.index(row["word"]))
    meta: dict[str, dict[str, Any]] = {}
    clip_art = []
    for row in sorted(rows, key=lambda row: row["style"]):
        style, package = row["style"], row["package"]
        entry = meta.setdefault(style, {"package": package, **_ABOUT[package], "words": []})
        entry["words"].append(row["word"])
        png = out / style / f"{row['word']}.png"
        png.parent.mkdir(exist_ok=True)
        if row["file"].endswith(".svg"):
            clip_art.append(f"{packages / package / row['file']}\t{png}")
        else:
            catalog, icon = row["file"].split(".sh3f/")
            folder = packages / package / "usr" / "share" / "sweethome3d" / "furniture"
            with zipfile.ZipFile(folder / f"{catalog}.sh3f") as archive:
                png.write_bytes(archive.read(icon))
    script = Path(__file__).with_name("render_picked.mjs")
    subprocess.run(
        ["node", str(script), str(node_modules), str(size)], input="\n".join(clip_art), encoding="utf-8", check=True
    )
    return meta
