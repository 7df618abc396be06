"""The text of ``assets/encoders/LICENSES.md``: where the frozen encoders come from, and their licences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_HEAD = """# Licences of the encoders

`encoders.safetensors` (SHA-256 `{sha256}`) holds weights of the two models below, taken from
packages of the Python Package Index: tensors alone, none of their code. `encoders.json` has the SHA-256 of each tensor.
`python -m mmviz.training.release.build_encoders FOLDER` makes both files and this one from the packages. None of the
authors endorses this project.
"""
_PART = """
## {title} (`{tensors}`)

- Authors: {authors}
- Licence: {licence}, see {text}
- Source: <{source}>, by the package `{name}` {version} ({publisher})
- SHA-256 of `{file}` in its wheel: `{sha256}`
- Changes: {changes}
- Notice: {notice}
"""
_MIT = """
## The MIT licence of Whisper

{notice}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
_TEXTS = {"Apache-2.0": "`LICENSE-Apache-2.0.txt`", "MIT": "below"}
"""Where the text of each licence stands."""


def encoder_licences(sha256: str, packages: Sequence[Mapping[str, Any]]) -> str:
    """Returns the text for packages as ``encoders.json`` has them."""
    parts = [_PART.format(text=_TEXTS[package["licence"]], **package) for package in packages]
    mit = [_MIT.format(notice=package["notice"]) for package in packages if package["licence"] == "MIT"]
    return "".join([_HEAD.format(sha256=sha256), *parts, *mit])
