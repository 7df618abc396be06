"""Long runs saved with their queries, keys and log-sum-exp answer rows, windows and flows wherever they are opened."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import long_reader
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from test_background_rollout import REFS, TOLERANCE, largest_tensor, long_run
from torch import Tensor, nn

import mmviz
from mmviz.analysis.available_maps import flows
from mmviz.backends.local.saved_run_backend import SavedRunBackend
from mmviz.capture.retained_capture import RetainedCapture
from mmviz.explain import Run
from mmviz.i18n.errors_and_notices import sentence
from mmviz.io.exact_attention_arrays import PREFIX
from mmviz.io.npz import open_npz, pack_npz
from mmviz.types import Columns, MapRef, MmvizError, ModalitySums, Rows, Sample, Zoom
from mmviz.types.exact_attention import ExactAttention

pytestmark = pytest.mark.slow

TOKENS, HEADS, WIDTH = 640, 4, 8


@cache
def exact_bytes() -> bytes:
    return long_run().to_bytes(keep="exact")


def opened(data: bytes, folder: Path) -> Run:
    path = folder / "run.npz"
    path.write_bytes(data)
    return Run.load(path)


def is_near(part: NDArray[Any], expected: NDArray[Any]) -> bool:
    return part.shape == expected.shape and bool(
        np.abs(part - expected).max() <= TOLERANCE * max(1.0, float(np.abs(expected).max()))
    )


def test_a_reopened_run_answers_what_the_live_one_does(tmp_path: Path) -> None:
    live, run = long_run(), opened(exact_bytes(), tmp_path)
    assert isinstance(run.backend, SavedRunBackend) and run.is_exact and run.record == live.record
    assert flows(run.record) == flows(live.record) and len(REFS) == 4
    refs = [live.record.map_ref(number, head) for number, head in ((0, 1), (1, None), (2, 0), (3, 1))]
    for ref in (*refs, *REFS):
        for view in (
            Rows(ref, (0, 500)), Columns(ref, (7,)), Zoom(ref, (3, 4, 5, 90, 400), (0, 1, 2, 333)),
            ModalitySums(ref, "from"),
        ):  # fmt: skip
            assert is_near(run.view(view), live.view(view)), view
    assert live.view(Rows(refs[0], (0,))).max() > 0.002, "weights differ from uniform ones"
    again = opened(run.to_bytes(keep="exact"), tmp_path)
    assert again.record == run.record and is_near(again.attention(REFS[3]), live.attention(REFS[3]))


def test_the_size_that_is_told_is_the_size_that_is_written(tmp_path: Path) -> None:
    run = long_run()
    told, plain = run.exact_nbytes(), len(run.to_bytes())
    with open_npz(io.BytesIO(exact_bytes())) as (header, arrays):
        names = [name for name in arrays if name.startswith(PREFIX)]
        assert told == sum(arrays[name].nbytes for name in names)
        extra = len(exact_bytes()) - plain - told
        assert 0 < extra < 400 * len(names) + len(json.dumps(header["exact"]))
    per_token = 4 * (4 * 16 + 2)  # q, k, v, gradient of 16 numbers and the log-sum-exp of 2 heads, float32
    assert told == per_token * 2 * sum(long_reader.COUNTS.values())
    run.save(tmp_path / "run.npz", keep="exact")
    assert (tmp_path / "run.npz").read_bytes() == exact_bytes()
    assert Run.load(tmp_path / "run.npz").exact_nbytes() == told


def test_opening_and_viewing_makes_no_matrix_of_all_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmviz.capture.head_weights_by_row_tile.TILE_SIZE", 1 << 12)
    data = exact_bytes()
    with largest_tensor(monkeypatch) as largest:
        run = opened(data, tmp_path)
        run.view(Rows(REFS[1], (3,)))
        run.view(Zoom(REFS[3], (0, 9, 100), (0, 9)))
    assert 0 < largest[0] < long_reader.TOKENS**2 / 4


def test_a_run_without_relevance_says_that_it_needs_the_model(tmp_path: Path) -> None:
    plain = mmviz.Run(long_run().sample, long_run().record, long_run().backend)
    with open_npz(io.BytesIO(exact_bytes())) as (header, arrays):
        kept = {name: arrays[name] for name in arrays if not name.endswith(("value", "gradient", "header"))}
    run = opened(pack_npz(header, kept), tmp_path)
    assert is_near(run.attention(REFS[1]), plain.attention(REFS[1]))
    with pytest.raises(MmvizError, match="relevance=True") as error:
        run.attention(REFS[2])
    assert error.value.code == "view-relevance"


def test_what_needs_the_model_runs_on_this_machine(tmp_path: Path) -> None:
    run = opened(exact_bytes(), tmp_path)
    assert run.backend is not None and "trio" in {card.id for card in run.backend.models()}
    with pytest.raises(MmvizError) as error:
        run.effect()
    assert error.value.code == "effect-model", "the model of the run is not here"


class Attends(nn.Module):
    """One attention over 640 tokens, as ``attend`` computes it of queries, keys and values ``[1, head, token, 8]``."""

    def __init__(self, attend: Callable[..., Tensor], kv_heads: int = HEADS, dtype: torch.dtype = torch.float32):
        super().__init__()
        torch.manual_seed(1)
        self.attend = attend
        self.query = nn.Linear(WIDTH, HEADS * WIDTH, dtype=dtype)
        self.key, self.value = (nn.Linear(WIDTH, kv_heads * WIDTH, dtype=dtype) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (part(x).unflatten(-1, (-1, WIDTH)).transpose(1, 2)
                             for part in (self.query, self.key, self.value))  # fmt: skip
        return self.attend(2 * query, key, value).transpose(1, 2).flatten(2)


class Windows(Attends):
    """The same within eight windows of 80 tokens."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.view(8, -1, WIDTH)).reshape(1, TOKENS, -1)


def eager(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return (query @ key.mT * 0.3).softmax(-1) @ value


BLOCK = torch.arange(TOKENS)[:, None] // 7 * 7 >= torch.arange(TOKENS)  # rows of block 0 attend to token 0 alone
ALIBI = -0.01 * (torch.arange(TOKENS)[:, None] - torch.arange(TOKENS)).abs().float()
SDPA = F.scaled_dot_product_attention
KINDS: dict[str, tuple[nn.Module, torch.dtype]] = {
    "causal, grouped": (Attends(lambda *qkv: SDPA(*qkv, is_causal=True, enable_gqa=True), 2), torch.float32),
    "bfloat16": (Attends(lambda *qkv: SDPA(*qkv, scale=0.5), HEADS, torch.bfloat16), torch.bfloat16),
    "boolean mask": (Attends(lambda *qkv: SDPA(*qkv, attn_mask=BLOCK)), torch.float32),
    "added mask": (Attends(lambda *qkv: SDPA(*qkv, attn_mask=torch.where(BLOCK, 0, -1e4)[None, None])), torch.float32),
    "fully masked": (Attends(lambda *qkv: SDPA(*qkv, attn_mask=BLOCK & (BLOCK.cumsum(0) > 9))), torch.float32),
    "bias": (Attends(lambda *qkv: SDPA(*qkv, attn_mask=ALIBI)), torch.float32),
    "eager": (Attends(eager), torch.float32),
    "windows": (Windows(SDPA), torch.float32),
    "float64": (Attends(SDPA, HEADS, torch.float64), torch.float64),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_attention_is_kept_exactly(kind: str, tmp_path: Path) -> None:
    module, dtype = KINDS[kind]
    x = torch.randn(1, TOKENS, WIDTH, generator=torch.Generator().manual_seed(2)).to(dtype)
    with torch.no_grad(), mmviz.capture(module) as result:
        module(x)
    record = result.record()
    retained = RetainedCapture(result, record)
    exact = retained.exact()
    assert isinstance(exact, ExactAttention) and exact.nbytes == retained.exact_nbytes()
    (call,) = exact.maps[0]
    assert (call.weights is not None) == (kind == "eager") and (call.query_places is not None) == (kind == "windows")
    if call.mask is not None:
        assert call.mask.shape[:2] == (1, 1) and (call.mask.bits is None) == (kind == "bias")
    if call.query is not None and call.key is not None:
        assert call.key.shape[1] == (2 if "grouped" in kind else HEADS)
        assert call.query.dtype == (np.uint16 if kind == "bfloat16" else np.dtype(str(dtype).split(".")[1]))
    run = opened(to_file(record, exact), tmp_path)
    for head in (0, 3):
        ref = MapRef("attention", 0, head)
        for view in (Rows(ref, (0, 5, 333, 639)), Columns(ref, (0, 100)), Zoom(ref, (0, 1, 50), (0, 3, 50))):
            assert is_near(run.view(view), retained.view(view)), (kind, view)
    weights = run.view(Rows(MapRef("attention", 0, 1), (5, 639)))
    query, key = (part(x).unflatten(-1, (-1, WIDTH))[0].double() for part in (module.query, module.key))
    scale = {"eager": 0.3, "bfloat16": 0.5}.get(kind, WIDTH**-0.5)
    scores = 2 * query[[5, 639], 1] @ key[:, 0 if "grouped" in kind else 1].T * scale
    allowed = BLOCK & (BLOCK.cumsum(0) > 9) if kind == "fully masked" else BLOCK
    places = torch.arange(TOKENS)
    if kind in ("boolean mask", "added mask", "fully masked"):
        scores = scores.masked_fill(~allowed[[5, 639]], -torch.inf)
    elif kind == "causal, grouped":
        scores = scores.masked_fill(places > torch.tensor([[5], [639]]), -torch.inf)
    elif kind == "windows":
        scores = scores.masked_fill(places // 80 != torch.tensor([[5], [639]]) // 80, -torch.inf)
    elif kind == "bias":
        scores = scores + ALIBI[[5, 639]]
    expected = scores.softmax(-1).nan_to_num(0.0).detach().numpy()
    assert np.abs(weights - expected).max() < (5e-3 if kind == "bfloat16" else TOLERANCE)


def to_file(record: mmviz.AttentionRecord, exact: ExactAttention) -> bytes:
    from mmviz.io.run_file import to_bytes

    return to_bytes(Sample(text="a"), record, exact=exact)


def changed(name: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[..., Any]:
    return lambda header, arrays: arrays.update({name: change(arrays[name].copy())})


def with_number(array: NDArray[Any], number: float) -> NDArray[Any]:
    array.flat[7] = number
    return array


def in_call(**fields: Any) -> Callable[..., Any]:
    return lambda header, arrays: header["exact"]["maps"][2][0].update(fields)


HOSTILE: dict[str, Callable[[dict[str, Any], dict[str, NDArray[Any]]], object]] = {
    "NaN in the queries": changed("exact0.0-query", lambda a: with_number(a, np.nan)),
    "infinity in the keys": changed("exact1.0-key", lambda a: with_number(a, np.inf)),
    "NaN in the log-sum-exp": changed("exact1.0-lse", lambda a: with_number(a, np.nan)),
    "other queries": changed("exact0.0-query", lambda a: a[..., ::-1]),
    "another log-sum-exp": changed("exact3.0-lse", lambda a: a - 1),
    "huge queries": changed("exact3.0-query", lambda a: a * np.float32(1e36)),
    "fewer queries": changed("exact0.0-query", lambda a: a[:, :, :-1]),
    "fewer heads": changed("exact0.0-key", lambda a: np.concatenate([a, a[:, :1]], 1)),
    "no axes": changed("exact0.0-query", np.ravel),
    "text": changed("exact0.0-query", lambda a: a.astype("S4")),
    "no keys": lambda header, arrays: arrays.pop("exact0.0-key"),
    "half of a gradient": lambda header, arrays: arrays.pop("exact0.0-value"),
    "another width of values": changed("exact0.0-value", lambda a: a[..., :-1]),
    "a map too few": lambda header, arrays: header["exact"]["maps"].pop(),
    "no call": lambda header, arrays: header["exact"]["maps"].__setitem__(0, []),
    "a scale of text": in_call(scale="1"),
    "an infinite scale": in_call(scale=1e999),
    "another scale": in_call(scale=2.0),
    "causal": in_call(causal=True),
    "a mask that is not there": in_call(mask=0),
    "a mask beyond memory": lambda header, arrays: (
        header["exact"].update(masks=[[10**6, 10**6, 10**6, 10**6]]), in_call(mask=0)(header, arrays),
        arrays.update({"exact-mask0-values": np.zeros(2), "exact-mask0-bits": np.zeros(9, np.uint8)}),
    ),
    "places beyond the stream": lambda header, arrays: arrays.update({
        "exact0.0-query_places": np.arange(1, 577, dtype=np.int32)[None],
        "exact0.0-key_places": np.arange(576, dtype=np.int32)[None],
    }),
    "a place twice": lambda header, arrays: arrays.update({
        "exact0.0-query_places": np.zeros((1, 576), np.int32), "exact0.0-key_places": np.zeros((1, 576), np.int32),
    }),
}  # fmt: skip


@cache
def unpacked() -> tuple[str, Mapping[str, NDArray[Any]]]:
    with open_npz(io.BytesIO(exact_bytes())) as (header, arrays):
        return json.dumps(header), {name: arrays[name] for name in arrays if name != "header"}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    text, arrays = unpacked()
    header, kept = json.loads(text), dict(arrays)
    HOSTILE[name](header, kept)
    with pytest.raises(MmvizError, match=r"damaged|MB") as error:
        opened(pack_npz(header, kept, 0), tmp_path)
    assert error.value.code == "run-unreadable"


def test_a_file_larger_than_the_limit_is_neither_written_nor_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data, limit = exact_bytes(), 2_000_000
    path = tmp_path / "run.npz"
    path.write_bytes(data)
    monkeypatch.setattr("mmviz.io.run_file.LARGEST", limit)
    with pytest.raises(MmvizError) as error:
        long_run().to_bytes(keep="exact")
    assert error.value.code == "keep-large"
    monkeypatch.setattr(open_npz.__wrapped__, "__defaults__", ("run-unreadable", limit))
    with pytest.raises(MmvizError) as error:
        Run.load(path)
    assert error.value.code == "npz-large"


def test_the_file_that_the_hostile_ones_are_made_of_is_opened(tmp_path: Path) -> None:
    text, arrays = unpacked()
    assert isinstance(opened(pack_npz(json.loads(text), dict(arrays), 0), tmp_path).backend, SavedRunBackend)


def test_tensors_are_not_deflated_so_that_a_file_cannot_grow_when_it_is_read() -> None:
    with zipfile.ZipFile(io.BytesIO(exact_bytes())) as archive:
        members = [member for member in archive.infolist() if member.filename.startswith(PREFIX)]
    assert members and all(member.compress_type == zipfile.ZIP_STORED for member in members)


def test_runs_whose_tensors_are_elsewhere_or_gone_say_so() -> None:
    class Elsewhere:
        """A backend on another machine."""

        def view(self, record_id: str, view: Any) -> Any:
            raise AssertionError

    live = long_run()
    for backend, code in ((Elsewhere(), "keep-elsewhere"), (None, "view-gone")):
        run = Run(live.sample, live.record, backend)  # type: ignore[arg-type]
        for action in (run.exact_nbytes, lambda run=run: run.to_bytes(keep="exact")):
            with pytest.raises(MmvizError) as error:
                action()
            assert error.value.code == code


def command(folder: Path, *options: str) -> tuple[int, Path]:
    """Runs ``mmviz explain`` on the long model, and returns the exit code and the file."""
    from mmviz.cli import main

    path = folder / "run.npz"
    return main(["explain", "--text", "a", "--model", "long_reader:make", "--npz", str(path), *options]), path


def test_the_command_line_tells_the_size_and_keeps_what_is_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(long_reader.__file__).parent)
    code, path = command(tmp_path, "--keep", "exact", "--relevance")
    run, said = Run.load(path), capsys.readouterr().out
    assert code == 0 and sentence("keep-size", size="592 kB", token="528 bytes") in said
    assert is_near(run.attention(REFS[3]), long_run().attention(REFS[3]))
    code, path = command(tmp_path)
    assert code == 0 and "kB" not in capsys.readouterr().out and not Run.load(path).is_exact


def test_keep_without_a_file_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    from mmviz.cli import main

    assert main(["explain", "--text", "a", "--keep", "exact"]) == 2
    assert "--npz" in capsys.readouterr().err


def test_a_long_prompt_with_its_answer_keeps_its_flows(tmp_path: Path) -> None:
    """A checkpoint of Hugging Face that writes three tokens after a picture and 800 tokens of text."""
    tiny_checkpoints = pytest.importorskip("tiny_checkpoints", reason="transformers and torchvision are not installed")
    folder = tiny_checkpoints.save_checkpoint("idefics3", tmp_path)
    pixels = np.random.default_rng(0).integers(0, 255, (96, 64, 3)).astype(np.uint8)
    given: dict[str, Any] = {"options": {"new_tokens": 3}, "relevance": True}
    live = mmviz.explain(image=pixels, text="what is left " * 60, model=f"hf:{folder}", **given)
    assert live.record.is_long and len(live.record.made_by["answer"]) == 3
    assert {str(ref) for ref in flows(live.record)} == {
        "rollout", "vision_model/rollout", "relevance", "vision_model/relevance"
    }  # fmt: skip
    run = opened(live.to_bytes(keep="exact"), tmp_path)
    for ref in (*flows(live.record), live.map_ref):
        amounts = live.attention(ref, live.answer_query)
        assert is_near(run.attention(ref, live.answer_query), amounts) and amounts.max() > 0
    own = live.attention(MapRef("rollout"), live.answer_query).sum()
    assert own == pytest.approx(1, abs=1e-4), "rollout to its own stream sums to 1"
