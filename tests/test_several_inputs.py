"""Several pictures or sounds in one prompt, and videos: each token lies in its own picture, sound or frame."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import tiny_checkpoints  # first: it sets what transformers reads
from audio_files import muxed
from numpy.typing import NDArray
from picture_family_checks import Checkpoint
from PIL import Image
from several_input_checks import several_pictures_at_their_places, several_sounds_at_their_moments
from test_huggingface_places import entering, picture_stream, streams_and_blocks

from mmviz import InputError, MmvizError, Modality, PictureBox, PixelBox, Run, Seconds, VideoPatch, make_sample
from mmviz.backends import wire
from mmviz.backends.local import LocalBackend
from mmviz.cli import main
from mmviz.explain import explain, run_sample
from mmviz.figures.token_labels import full_names, names, part_name
from mmviz.inputs.sandbox import Decoder
from mmviz.models.custom_model_factory import load
from mmviz.models.huggingface.picture_places import picture_places
from mmviz.types import MAX_PICTURES, AudioInput, ImageInput, Token

pytestmark = pytest.mark.slow

RATE = 16_000
GREY, BLUE = (np.full((60, 90, 3), value, np.uint8) for value in (100, (0, 0, 255)))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Checkpoint]:
    folder = tmp_path_factory.mktemp("several")

    @cache
    def saved(name: str) -> Checkpoint:
        path = tiny_checkpoints.save_checkpoint(name, folder)
        return Checkpoint(name, str(path), load(f"hf:{path}", "cpu"))

    return saved


def codes(sample: Any) -> list[str]:
    return [notice.code for notice in sample.notices if str(notice)]


# the sample


def test_pictures_lie_side_by_side_on_a_sheet_and_come_back_whole() -> None:
    sample = make_sample(image=[GREY, BLUE[:50]], text="same?")
    image = sample.image
    assert image is not None and codes(sample) == ["image-sheet"]
    assert image.parts == (PictureBox(0, 0, 90, 60, 1), PictureBox(98, 0, 188, 50, 2))
    assert image.pixels.shape == (60, 188, 3) and (image.width, image.height) == (188, 60)
    for picture, expected in zip(image.pictures, (GREY, BLUE[:50]), strict=True):
        assert np.array_equal(picture, expected)
    assert make_sample(image=[GREY]).image.parts == ()  # type: ignore[union-attr]
    assert codes(make_sample(image=[GREY.astype(float) / 255] * 2)) == ["image-float", "image-sheet"]


@pytest.mark.parametrize(("count", "size"), [(2, (2000, 40)), (5, (900, 1600)), (MAX_PICTURES, (3000, 2000))])
def test_a_sheet_is_never_larger_than_a_picture(count: int, size: tuple[int, int]) -> None:
    width, height = size
    sample = make_sample(image=[np.zeros((height, width, 3), np.uint8)] * count)
    image = sample.image
    assert image is not None and max(image.pixels.shape) <= 2048 and len(image.parts) == count
    covered = np.zeros(image.pixels.shape[:2], int)
    for box in image.parts:
        covered[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)] += 1
        assert (box.x1 - box.x0) / (box.y1 - box.y0) == pytest.approx(width / height, rel=0.05)
    assert covered.max() == 1
    make_sample(image=image.pixels)  # a sheet passes the checks of a picture


def test_sounds_follow_each_other() -> None:
    first, second = (np.full(n, value, np.float32) for n, value in ((8_000, 0.25), (16_000, 0.5)))
    sample = make_sample(audio=[(first, RATE), (second, RATE)])
    audio = sample.audio
    assert audio is not None and audio.parts == (Seconds(0, 0.5), Seconds(0.5, 1.5)) and audio.seconds == 1.5
    assert np.array_equal(audio.sounds[0], first) and np.array_equal(audio.sounds[1], second)
    assert codes(sample) == ["audio-joined"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"image": [GREY] * (MAX_PICTURES + 1)}, "image-many"),
        ({"audio": [(np.zeros(40 * RATE), RATE)] * 2}, "audio-long"),
        ({"image": [GREY, b"no picture"]}, "image-unknown"),
        ({"image": GREY, "video": b""}, "video-and-image"),
        ({"video": b"GIF89a"}, "video-none"),
        ({"video": 3}, "video-source"),
        ({"image": []}, "input-none"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(given: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as error:
        make_sample(**given)
    assert error.value.code == code and str(error.value).endswith(".")


def test_parts_beyond_the_input_are_refused() -> None:
    with pytest.raises(ValueError, match="beyond the sheet"):
        ImageInput(GREY, 90, 60, (PixelBox(0, 0, 91, 60),))
    with pytest.raises(ValueError, match="follow each other"):
        AudioInput(np.zeros(RATE, np.float32), RATE, 1.0, (Seconds(0, 0.6), Seconds(0.5, 1)))


def test_a_sample_of_several_crosses_the_wire_and_a_file(tmp_path: Path) -> None:
    model = _Reader()
    sample = make_sample(image=[GREY, BLUE], audio=[(np.ones(8_000), RATE)] * 2)
    run = run_sample(sample, model="m", backend=LocalBackend("cpu", {"m": model}))
    run.save(tmp_path / "run.npz")
    for back in (
        Run.load(tmp_path / "run.npz").sample,
        wire.request_from_bytes(wire.request_to_bytes(run.request)).sample,
    ):  # type: ignore[arg-type]
        assert back == sample and back.image.parts == sample.image.parts  # type: ignore[union-attr]
        assert back.audio.parts == sample.audio.parts  # type: ignore[union-attr]
    tokens = Run.load(tmp_path / "run.npz").tokens
    assert tokens == run.tokens and isinstance(tokens[1].location, PictureBox)


def test_a_decoder_reads_several_files_and_a_video() -> None:
    files = [_png(GREY), _png(BLUE)]
    decoder = Decoder()
    try:
        assert decoder.sample(files, "a", None) == make_sample(image=files, text="a")
        assert decoder.sample(None, None, None, _gif(3)) == make_sample(video=_gif(3))
    finally:
        decoder.close()


# places


def test_places_of_a_sheet_are_those_of_its_pictures() -> None:
    """Worked out on paper: a processor that halves each picture."""

    parts = (PixelBox(0, 0, 40, 20), PixelBox(60, 0, 100, 20))

    def process(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        pictures = ImageInput(pixels, 100, 20, parts).pictures
        return np.stack([picture[::2, ::2].transpose(2, 0, 1).astype(float) for picture in pictures])

    places = picture_places(process, 20, 100, parts)
    middles = (places.low + places.high) / 2
    assert middles.shape == (2, 2, 3, 10, 20)
    expected = (np.arange(20) * 2 + 0.5) / 100
    np.testing.assert_allclose(middles[0, 0, 0, 0], expected, atol=0.005)
    np.testing.assert_allclose(middles[0, 1, 0, 0], expected + 0.6, atol=0.005)
    np.testing.assert_allclose(middles[1, 1, 0, :, 0], (np.arange(10) * 2 + 0.5) / 20, atol=0.02)


@pytest.mark.parametrize("name", ["llava", "llava_next", "idefics3", "gemma3"])
def test_patches_lie_in_their_own_picture(checkpoint: Callable[[str], Checkpoint], name: str) -> None:
    several_pictures_at_their_places(checkpoint(name))


def test_moments_lie_in_their_own_sound(checkpoint: Callable[[str], Checkpoint]) -> None:
    several_sounds_at_their_moments(checkpoint("qwen2_audio"))


def test_a_frame_of_a_video_changes_the_patches_of_its_moment(checkpoint: Callable[[str], Checkpoint]) -> None:
    model = checkpoint("llava").model
    sample = make_sample(video=_gif(4), text="What is this?")
    streams, blocks = streams_and_blocks(model, sample)
    tower = picture_stream(streams)
    places = [token.location for token in streams[tower] if isinstance(token.location, VideoPatch)]
    assert sorted({(place.start, place.end) for place in places}) == [(0, 0.5), (0.5, 1), (1, 1.5), (1.5, 2)]
    before = entering(model, sample, blocks[tower])
    changed_sample = make_sample(video=_gif(4, white=2), text="What is this?")
    change = np.abs(entering(model, changed_sample, blocks[tower]) - before).max(1)
    changed = {streams[tower][k].location.start for k in np.flatnonzero(change > 1e-5)}  # type: ignore[union-attr]
    assert changed == {1.0}


def test_patches_are_named_by_their_picture_or_moment() -> None:
    tokens = [
        Token(Modality.IMAGE, "a", PictureBox(0, 0, 10, 10, 1)),
        Token(Modality.IMAGE, "b", PictureBox(10, 0, 20, 10, 1)),
        Token(Modality.IMAGE, "c", PictureBox(30, 0, 40, 10, 2)),
        Token(Modality.IMAGE, "d", VideoPatch(0, 0, 5, 5, 1.5, 2)),
    ]
    assert names(tokens) == [
        "picture 1, patch 1,1", "picture 1, patch 1,2", "picture 2, patch 1,1", "frame at 1.50 s, patch 1,1",
    ]  # fmt: skip
    assert [part_name(token.location) for token in tokens] == ["1", "1", "2", "1.50 s"]  # type: ignore[arg-type]
    assert "picture 2" in full_names(tokens)[2] and "x 30 to 40" in full_names(tokens)[2]


# runs


def test_a_run_of_two_pictures_is_shown_by_every_means(
    checkpoint: Callable[[str], Checkpoint], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = checkpoint("llava")
    for number, pixels in enumerate((GREY, BLUE)):
        (tmp_path / f"{number}.png").write_bytes(_png(pixels))
    arguments = [
        "explain",
        "--model",
        f"hf:{model.folder}",
        "--text",
        "What is this?",
        "--npz",
        str(tmp_path / "run.npz"),
    ]
    for number in (0, 1):
        arguments += ["--image", str(tmp_path / f"{number}.png")]
    assert main([*arguments, "--html", str(tmp_path / "run.html"), "--png", str(tmp_path / "run.png")]) == 0
    assert "2 pictures are shown on one sheet" in capsys.readouterr().out
    run = Run.load(tmp_path / "run.npz")
    assert run.sample.image is not None and len(run.sample.image.parts) == 2
    assert "picture 2, patch" in (tmp_path / "run.html").read_text()
    (tmp_path / "v.gif").write_bytes(_gif(3))
    assert main(["explain", "--model", f"hf:{model.folder}", "--text", "x", "--video", str(tmp_path / "v.gif")]) == 0
    assert "3 frames are used" in capsys.readouterr().out


@pytest.mark.parametrize("given", [{"image": [GREY, BLUE]}, {"audio": [(np.ones(8_000), RATE)] * 2}, {"video": True}])
def test_a_model_of_one_picture_says_so(given: dict[str, Any]) -> None:
    if "video" in given:
        given = {"video": _gif(3)}
    with pytest.raises(MmvizError) as error:
        explain(text="is there a dog", **given)
    assert error.value.code == "several-inputs" and "one input of this kind" in str(error.value)


def test_a_family_of_one_picture_says_so(checkpoint: Callable[[str], Checkpoint]) -> None:
    with pytest.raises(MmvizError) as error:
        explain(image=[GREY, BLUE], text="What is this?", model=f"hf:{checkpoint('paligemma').folder}")
    assert error.value.code == "several-inputs" and "paligemma" in str(error.value)


# videos


def test_frames_of_an_animation_have_their_moments() -> None:
    sample = make_sample(video=_gif(3))
    assert sample.image is not None and codes(sample) == ["video-frames", "image-sheet"]
    assert [(part.start, part.end) for part in sample.image.parts if isinstance(part, VideoPatch)] == [
        (0.0, 0.5), (0.5, 1.0), (1.0, 1.5),
    ]  # fmt: skip


def test_frames_of_a_long_animation_are_spread_evenly() -> None:
    image = make_sample(video=_gif(100)).image
    assert image is not None
    starts = [part.start for part in image.parts if isinstance(part, VideoPatch)]
    assert len(starts) == 8 and starts[0] == 0 and np.ptp(np.diff(starts)) <= 2.0 and 42 <= starts[-1] < 50


@pytest.mark.parametrize(("format", "codec"), [("mp4", "mpeg4"), ("webm", "libvpx")])
def test_frames_of_a_video_are_what_was_filmed(format: str, codec: str) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format=format) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(20):
            pixels = np.full((48, 64, 3), number * 12, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    image = make_sample(video=file.getvalue()).image
    assert image is not None and len(image.parts) == 8
    for part, picture in zip(image.parts, image.pictures, strict=True):
        assert isinstance(part, VideoPatch) and picture.shape == (48, 64, 3)
        assert float(picture.mean()) == pytest.approx(part.start * 120, abs=6)


def test_a_sound_alone_is_no_video() -> None:
    with pytest.raises(InputError) as error:
        make_sample(video=muxed(np.zeros(RATE), RATE, "ipod"))
    assert error.value.code == "video-none"


def test_a_cut_video_is_refused_or_read_in_part() -> None:
    whole = muxed(np.zeros(RATE), RATE, "mp4", video="mpeg4", seconds=1)
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        try:
            make_sample(video=whole[:length])
        except InputError as error:
            assert str(error)


class _Reader:
    """A model that takes several of everything, and attends over one token of each."""

    takes_several = True

    def __init__(self) -> None:
        import torch

        from mmviz.types import Card

        self.module = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.card = Card("m", "m", "", False, ("a", "b"), "0")
        self.capture_targets = None

    def prepare(self, sample: Any) -> Any:
        import torch

        from mmviz.models.protocol import Prepared

        tokens = [Token(Modality.SPECIAL, "answer")]
        tokens += [Token(Modality.IMAGE, f"p{k}", part) for k, part in enumerate(sample.image.parts)]
        tokens += [Token(Modality.AUDIO, f"s{k}", part) for k, part in enumerate(sample.audio.parts)]
        return Prepared(torch.ones(1, len(tokens), 8), tokens)

    def __call__(self, tensors: Any) -> Any:
        return self.module(tensors, tensors, tensors)[0][0, 0, :2]


def _png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _gif(count: int, white: int | None = None) -> bytes:
    """Returns an animation of frames that differ, half a second each; the one numbered ``white`` is white."""
    frames = [Image.new("RGB", (48, 48), (255,) * 3 if k == white else (k * 2, 90, 90)) for k in range(count)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=500, loop=0)
    return file.getvalue()
