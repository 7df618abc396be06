"""The README's example of a cut route runs as it is printed, and prints what Python computes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import soundfile
from PIL import Image

from mmviz.inputs.examples import load_gallery

README = Path(__file__).parent.parent / "README.md"
CELLS = 84
"""Twelve routes in six layers of `trio`, and in all of them."""


@pytest.mark.slow
def test_the_example_of_a_cut_route_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (example,) = (block for block in blocks if "CutRoute(" in block)
    sample = next(example for example in load_gallery() if example.id == "spoken-place").sample()
    assert sample.image is not None and sample.audio is not None
    Image.fromarray(sample.image.pixels).save(tmp_path / "picture.png")
    soundfile.write(tmp_path / "voice.wav", sample.audio.wave, sample.audio.rate)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(example, str(README), "exec"), names)
    answers, *cells = capsys.readouterr().out.splitlines()
    assert len(cells) == CELLS == names["table"].planned and answers.count("Answer(label=") == 2
    plain, cut = names["run"].record.answers[0], names["record"].answers[0]
    assert str(plain) in answers and str(cut) in answers and plain.probability != cut.probability
    assert any(line.startswith("(2,) answer audio ") for line in cells) and cells[-1].startswith("None answer audio ")
