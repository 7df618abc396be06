"""Builds the atlases of sprites from emoji packages.

An atlas is a WebP image of square RGBA cells in rows of `COLUMNS`, one cell for each word of its style, in the order of
the word list. Build all with ``python -m mmviz.training.world.build_sprites NODE_MODULES PACKAGES`` (needs Node.js, the
``@iconify-json`` emoji packages, ``@fontsource/noto-emoji``, ``@lobehub/fluent-emoji-3d`` and ``@resvg/resvg-js``; and
a folder with the Debian packages ``openclipart-svg`` and ``sweethome3d-furniture``, each unpacked under its name).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from mmviz.assets_path import assets_dir
from mmviz.training.world.picked_art import draw_picked
from mmviz.training.world.sprites import CELL, fit

COLUMNS = 13
RENDER = 288  # pixels, side of the first rendering
HELD_OUT = frozenset({"fxemoji"})  # styles kept for evaluation

_SETS = {
    "noto": "Noto Emoji",
    "noto-v1": "Noto Emoji, first design",
    "fluent-emoji-flat": "Fluent Emoji, flat",
    "fluent-emoji": "Fluent Emoji, colour",
    "twemoji": "Twemoji",
    "emojione": "EmojiOne 2.3 / EmojiTwo",
    "streamline-emojis": "Streamline Emojis",
    "fxemoji": "Firefox OS Emoji (FxEmojis)",
    "fluent-emoji-high-contrast": "Fluent Emoji, high contrast",
    "emojione-monotone": "EmojiOne 2.3, one colour",
    "noto-emoji": "Noto Emoji, the font of line drawings",
    "fluent-emoji-3d": "Fluent Emoji, three-dimensional renderings",
    "openclipart": "Open Clip Art Library",
    "sweethome3d": "Models of furniture and household things for Sweet Home 3D",
}
_FONT = "noto-emoji"
_RENDERINGS = "fluent-emoji-3d"
_NOTICES = {
    "noto": "Copyright Google Inc. Licensed under the Apache License, Version 2.0.",
    "noto-v1": "Copyright Google Inc. Licensed under the Apache License, Version 2.0.",
    "fluent-emoji-flat": "Copyright (c) Microsoft Corporation. Licensed under the MIT License.",
    "fluent-emoji": "Copyright (c) Microsoft Corporation. Licensed under the MIT License.",
    "twemoji": "Twemoji graphics, copyright Twitter, Inc and other contributors, licensed under "
    "CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/); changed as told above.",
    "emojione": "Emoji artwork by EmojiOne (version 2.3) and the EmojiTwo contributors, licensed "
    "under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/); changed as told above.",
    "streamline-emojis": "Streamline Emojis by Streamline (https://www.streamlinehq.com/), "
    "licensed under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/); changed as told "
    "above.",
    "fxemoji": "FxEmojis, copyright 2015 Mozilla Foundation; visual design licensed under "
    "CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/), code under the Apache License, "
    "Version 2.0; changed as told above.",
    "fluent-emoji-high-contrast": "Copyright (c) Microsoft Corporation. Licensed under the MIT License.",
    "fluent-emoji-3d": "Copyright (c) Microsoft Corporation. Licensed under the MIT License.",
    "openclipart": "Dedicated to the public domain by their authors; who drew which stands in `picked.tsv`.",
    "sweethome3d": "Models by the authors named for each in `picked.tsv`, licensed under CC BY 3.0 "
    "(https://creativecommons.org/licenses/by/3.0/), some under CC0 as told there; changed as told above.",
    "emojione-monotone": "Emoji artwork by EmojiOne (version 2.3), licensed under CC BY 4.0 "
    "(https://creativecommons.org/licenses/by/4.0/); changed as told above.",
    "noto-emoji": "Copyright 2013, 2022 Google Inc. Licensed under the SIL Open Font License, Version 1.1 "
    "(https://openfontlicense.org); what is here are pictures made with the font, not the font.",
}
# The npm package names the licence of the code; the drawings have their own.
_DRAWING_LICENSES = {"fxemoji": ("CC-BY-4.0", "https://creativecommons.org/licenses/by/4.0/")}
_MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT
OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def build_sprites(node_modules: Path, packages: Path, out: Path) -> None:
    """Renders all words in all styles; writes atlases, ``index.json`` and ``LICENSES.md`` to ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        renderings = Path(folder)
        script = Path(__file__).with_name("render_sprites.mjs")
        words = assets_dir() / "concepts.tsv"
        subprocess.run(
            ["node", str(script), str(node_modules), str(words), str(renderings), str(RENDER)],
            check=True,
        )
        meta: dict[str, dict[str, Any]] = json.loads((renderings / "meta.json").read_text(encoding="utf-8"))
        for style, (spdx, url) in _DRAWING_LICENSES.items():
            meta[style] |= {"license": spdx, "license_url": url}
        points = json.loads((renderings / "points.json").read_text(encoding="utf-8"))
        meta[_FONT] = _draw_font(node_modules / "@fontsource" / _FONT, points, renderings / _FONT)
        meta[_RENDERINGS] = _read_renderings(node_modules / "@lobehub" / _RENDERINGS, points, renderings / _RENDERINGS)
        meta |= draw_picked(node_modules, packages, renderings, RENDER)
        for style, entry in meta.items():
            atlas = _pack([renderings / style / f"{word}.png" for word in entry["words"]])
            atlas.save(out / f"{style}.webp", quality=80, alpha_quality=80, method=6, exact=False)
    fields = ("package", "version", "license", "author", "url")
    index = {
        "cell": CELL,
        "columns": COLUMNS,
        "styles": {
            style: {field: entry[field] for field in fields} | {"held_out": style in HELD_OUT, "words": entry["words"]}
            for style, entry in meta.items()
        },
    }
    (out / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    (out / "LICENSES.md").write_text(_licenses(meta), encoding="utf-8")


def _draw_font(package: Path, points: dict[str, list[str]], out: Path) -> dict[str, Any]:
    """Draws the words whose emoji is one code point with the font of line drawings; returns its metadata."""
    from fontTools.ttLib import TTFont

    parts = sorted(package.glob("files/*-500-normal.woff"))
    glyphs = {part: set(TTFont(part).getBestCmap()) for part in parts}
    out.mkdir()
    words = []
    for word, codes in points.items():
        single = [int(code, 16) for code in codes if "-" not in code]
        match = next(((part, code) for code in single for part in parts if code in glyphs[part]), None)
        if match is None:
            continue
        image = Image.new("RGBA", (2 * RENDER, 2 * RENDER), (0, 0, 0, 0))
        font = ImageFont.truetype(str(match[0]), RENDER)
        ImageDraw.Draw(image).text((RENDER, RENDER), chr(match[1]), (0, 0, 0, 255), font, anchor="mm")
        image.save(out / f"{word}.png")
        words.append(word)
    about = json.loads((package / "package.json").read_text(encoding="utf-8"))
    return {
        "package": about["name"], "version": about["version"], "license": about["license"],
        "license_url": "https://openfontlicense.org", "author": "Google Inc",
        "url": "https://github.com/googlefonts/noto-emoji", "words": words,
    }  # fmt: skip


def _read_renderings(package: Path, points: dict[str, list[str]], out: Path) -> dict[str, Any]:
    """Copies the three-dimensional rendering of each word, named by its code points; returns the set's metadata."""
    files = {file.stem.replace("-fe0f", ""): file for file in sorted(package.glob("assets/*.webp"))}
    out.mkdir()
    words = []
    for word, codes in points.items():
        file = next((files[code] for code in codes if code in files), None)
        if file is not None:
            with Image.open(file) as image:
                image.convert("RGBA").save(out / f"{word}.png")
            words.append(word)
    about = json.loads((package / "package.json").read_text(encoding="utf-8"))
    return {
        "package": about["name"], "version": about["version"], "license": about["license"],
        "license_url": "https://github.com/microsoft/fluentui-emoji/blob/main/LICENSE",
        "author": "Microsoft Corporation", "url": "https://github.com/microsoft/fluentui-emoji", "words": words,
    }  # fmt: skip


def _pack(files: list[Path]) -> Image.Image:
    """Returns an atlas of the given images, CELL x CELL pixels each, COLUMNS per row."""
    rows = -(-len(files) // COLUMNS)
    atlas = Image.new("RGBA", (COLUMNS * CELL, rows * CELL))
    for number, file in enumerate(files):
        with Image.open(file) as image:
            cell = fit(image, CELL)
        atlas.paste(cell, (number % COLUMNS * CELL, number // COLUMNS * CELL))
    return atlas


def _licenses(meta: dict[str, dict[str, Any]]) -> str:
    """Returns the text of LICENSES.md."""
    parts = [
        "# Licences of the sprites\n\n"
        "The atlases in this folder show drawings of the sets below, taken from the named npm and Debian\n"
        "packages. In every set the same was changed: the drawings of the chosen words were rendered,\n"
        f"cropped to what is drawn, scaled to {CELL} pixels, and packed into one WebP picture. "
        "None of the authors endorses this project.\n"
    ]
    for style, entry in meta.items():
        kind = style.rstrip("-0123456789") if style not in _SETS else style
        notice = _NOTICES[kind]
        parts.append(
            f"## {_SETS[kind]} (`{style}.webp`)\n\n"
            f"- Author: {entry['author']}\n"
            f"- Licence: {entry['license']} (<{entry['license_url']}>)\n"
            f"- Source: <{entry['url']}>, by package `{entry['package']}` "
            f"{entry['version']}\n"
            f"- Words: {len(entry['words'])}\n"
            "- Changes: rendered, cropped, scaled, packed into an atlas\n"
            f"- Notice: {notice}\n"
        )
    parts.append("## The MIT License (Fluent Emoji)\n\nCopyright (c) Microsoft Corporation.\n\n" + _MIT)
    parts.append(
        "## The Apache License, Version 2.0\n\nThe full text is in `LICENSE-Apache-2.0.txt` beside this file.\n"
    )
    return "\n".join(parts)


def main() -> None:
    """Rebuilds the sprites from a node_modules folder."""
    parser = argparse.ArgumentParser(description="Rebuild the sprite atlases.")
    parser.add_argument("node_modules", type=Path, help="folder with @iconify-json and @resvg")
    parser.add_argument("packages", type=Path, help="folder of the unpacked Debian packages")
    args = parser.parse_args()
    build_sprites(args.node_modules.resolve(), args.packages.resolve(), assets_dir() / "sprites")


if __name__ == "__main__":
    main()
