"""What a patch token sees: measured by gradients, written into the card, and said beside the picture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from records import plain
from torch import Tensor
from torch.nn import functional

import mmviz
from mmviz.backends import wire
from mmviz.explain import Run
from mmviz.figures.printed_map import PrintedMap
from mmviz.i18n.language import use_language
from mmviz.models.encoders.picture_encoder import PATCHES, SIDE, STRIDE
from mmviz.report import ViewerData, run_figure
from mmviz.training.evaluate import receptive_field as command
from mmviz.training.evaluate.receptive_field import PER_PICTURE, receptive_field
from mmviz.types import AttentionRecord, MmvizError
from mmviz.viewer.binary_format import decode

FIELD = {"patch": 0.474, "around": 0.89, "tokens": 96}


def pooled(pixels: Tensor, side: int) -> Tensor:
    """Returns tokens that are means over ``side`` x ``side`` patches, ``[1, 144, 3]``."""
    means = functional.avg_pool2d(pixels, STRIDE)
    kernel = torch.ones(3, 1, side, side)
    return functional.conv2d(means, kernel, padding=side // 2, groups=3).flatten(2).transpose(1, 2)


def test_shares_of_tokens_whose_field_is_known() -> None:
    """A mean over 3 x 3 patches sees each of them alike: 1 / 9 lies in its own."""
    pictures = [torch.randn(3, SIDE, SIDE) for _ in range(2)]
    alone = receptive_field(lambda pixels: pooled(pixels, 1), pictures)
    assert alone == {"patch": 1, "around": 1, "tokens": 2 * PER_PICTURE}
    assert receptive_field(lambda pixels: pooled(pixels, 3), pictures) == alone | {"patch": 0.111}
    wide = receptive_field(lambda pixels: pooled(pixels, PATCHES * 2 + 1), pictures)  # every token sees all alike
    assert (wide["patch"], wide["around"]) == (round(1 / PATCHES**2, 3), round(9 / PATCHES**2, 3))


def test_the_command_writes_the_card_where_it_is_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trio").mkdir()
    card = tmp_path / "trio" / "card.json"
    card.write_text('{"about": "a model"}')
    monkeypatch.setattr(command, "measure", lambda: FIELD)
    monkeypatch.setattr(command, "assets_dir", lambda: tmp_path)
    command.main([])
    assert "47.4%" in capsys.readouterr().out and json.loads(card.read_text()) == {"about": "a model"}
    command.main(["--card"])
    assert json.loads(card.read_text()) == {"about": "a model", "receptive_field": FIELD}


def run_with(field: object) -> Run:
    sample = mmviz.make_sample(image=torch.zeros(20, 30, 3, dtype=torch.uint8).numpy(), text="a cat")
    record: AttentionRecord = plain().record
    made_by = {**record.made_by, **({"receptive_field": field} if field else {})}
    return Run(sample, replace(record, made_by=made_by))


def test_the_sentence_stands_beside_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []

    def note_notes(maps: list[PrintedMap], file_format: str) -> bytes:
        notes.extend(shown.image_note for shown in maps)
        return b""

    monkeypatch.setattr(run_figure, "print_figure", note_notes)
    for field, expected in ((FIELD, ("47 %", "89 %")), (None, ())):
        run = run_with(field)
        header, _ = decode(ViewerData(run).to_bytes())
        notes.clear()
        run_figure.run_figure(run, "png", None, None, "from", None)
        assert notes == [header["image"]["note"]] * 2, "beside both maps of the first view"
        assert bool(notes[-1]) == bool(expected)
        assert all(part in notes[-1] for part in expected)
    with use_language("zh"):
        header, _ = decode(ViewerData(run_with(FIELD)).to_bytes())
    assert "47" in header["image"]["note"] and "图块" in header["image"]["note"]


def test_shares_from_elsewhere_are_checked() -> None:
    record = run_with(FIELD).record
    assert wire.record_from_bytes(wire.record_to_bytes(record)).made_by["receptive_field"] == FIELD
    for bad in ({"patch": 2, "around": 0.5}, {"patch": 0.5}, "wide"):
        damaged = wire.record_to_bytes(replace(record, made_by={**record.made_by, "receptive_field": bad}))
        with pytest.raises(MmvizError):
            wire.record_from_bytes(damaged)
