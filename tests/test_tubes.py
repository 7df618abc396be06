"""Tubes of a video, which have the same rectangle in several frames of a sheet: files, figures, replaced inputs."""

from __future__ import annotations

import numpy as np
import pytest

from mmviz import Modality, Sample, Token, VideoPatch
from mmviz.figures.image import spotlight
from mmviz.figures.signed_colours import signed_image
from mmviz.inputs.baseline import replace_input, swap_input
from mmviz.io.sample_parts import location_from_dict, location_to_dict
from mmviz.report.viewer_payload_header import stream_header
from mmviz.types import ImageInput, ReplaceInput

TUBE = VideoPatch(0, 0, 10, 8, 0.5, 1.5, (20, 0))
"""Of two frames, side by side on a sheet of 40 x 20 pixels."""
PARTS = (VideoPatch(0, 0, 20, 20, 0.5, 1), VideoPatch(20, 0, 40, 20, 1, 1.5))
GREY = np.full((20, 40, 3), 200, np.uint8)


def inside() -> np.ndarray:
    mask = np.zeros((20, 40), bool)
    mask[0:8, 0:10] = mask[0:8, 20:30] = True
    return mask


def sample(pixels: np.ndarray = GREY) -> Sample:
    return Sample(image=ImageInput(pixels, 40, 20, PARTS))


def test_a_tube_has_a_rectangle_in_each_frame() -> None:
    assert [(box.x0, box.y0, box.x1, box.y1) for box in TUBE.boxes] == [(0, 0, 10, 8), (20, 0, 30, 8)]
    assert PARTS[0].boxes == (PARTS[0],)
    with pytest.raises(ValueError, match="lacks an edge"):
        VideoPatch(0, 0, 10, 8, 0.5, 1.5, (20,))


@pytest.mark.parametrize("location", [TUBE, PARTS[0]])
def test_a_tube_is_written_as_plain_numbers_and_read_again(location: VideoPatch) -> None:
    fields = location_to_dict(location)
    assert all(isinstance(number, int | float) for number in fields["video"])
    assert location_from_dict(fields) == location


def test_the_viewer_is_told_all_rectangles_of_a_tube() -> None:
    header = stream_header([Token(Modality.IMAGE, "a", TUBE), Token(Modality.SPECIAL, "b")])
    assert header["location"] == [[0, 0, 10, 8, 0.5, 1.5, 20, 0], None]


def test_light_falls_on_each_frame_of_a_tube_and_outlines_it() -> None:
    lit = spotlight(GREY, [Token(Modality.IMAGE, "a", TUBE)], np.array([1.0]), 1.0)
    assert (lit[~inside()] == 110).all()
    for left in (0, 20):
        assert (lit[0, left : left + 10] == 0).all() and (lit[3:5, left + 4 : left + 6] == 200).all()


def test_signed_amounts_colour_each_frame_of_a_tube() -> None:
    coloured, hatched = (
        signed_image(GREY, [Token(Modality.IMAGE, "a", TUBE)], np.array([value]), 1.0) for value in (1.0, np.nan)
    )
    assert ((coloured != hatched).any(-1) == inside()).mean() > 0.95
    assert not (coloured != hatched).any(-1)[~inside()].any()


def test_removing_a_tube_changes_all_of_its_frames_and_nothing_else() -> None:
    pixels = GREY.copy()
    pixels[10:] = 100  # so that the mean is another colour
    changed = replace_input(sample(pixels), ReplaceInput(Modality.IMAGE, "mean", (TUBE,))).image
    assert changed is not None
    assert ((changed.pixels != pixels).any(-1) == inside()).all()
    swapped = swap_input(sample(), sample(np.zeros_like(GREY)), Modality.IMAGE, (TUBE,)).image
    assert swapped is not None
    assert ((swapped.pixels == 0).all(-1) == inside()).all()
