"""A run for the viewer: all it shows as one block of bytes, and as a document that stands alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.modality import ORDER
from mmviz.analysis.select import Streams, Way
from mmviz.analysis.select import weights as weights_seen
from mmviz.figures.audio import mel_ticks
from mmviz.figures.image import jpeg, smaller
from mmviz.figures.places import names, places
from mmviz.figures.words import pieces
from mmviz.inputs.mel import HOP, N_MELS, SAMPLE_RATE, log_mel
from mmviz.texts import sentence, visible
from mmviz.types import AttentionRecord, Modality, Sample, Sound, Token
from mmviz.viewer.codes import encode as to_codes
from mmviz.viewer.container import Section, encode, room
from mmviz.viewer.pack import html
from mmviz.viewer.small import small, small_bins
from mmviz.viewer.words import ABOUT, WORDS

LIMIT = 16_000_000
"""Bytes that are sent at once, unless what must be there takes more."""
PICTURE_SIDE = 1024
ANSWERS = 5


class Run(Protocol):
    """What a scene needs of an `mmviz.Run`."""

    @property
    def sample(self) -> Sample: ...
    @property
    def record(self) -> AttentionRecord: ...


class Scene:
    """What the viewer shows of ``run``. Made once, it answers `to_bytes` as often as the viewer asks.

    A plane is one matrix ``[query, key]``; its ID is ``"M:H"`` for head H of map M of the record (both from 0),
    ``"M:mean"``, ``"rollout"`` or ``"relevance"``. Planes are worked out when they are first sent.
    """

    def __init__(self, run: Run):
        self.run = run
        self.record = run.record
        self._planes: dict[str, dict[str, Section]] = {}

    @cached_property
    def start(self) -> dict[str, Any]:
        """Where a reader begins: the way of looking chosen for the model, from the token that answers."""
        plane = _start_plane(self.record)
        asking = self.record.streams[streams_of(self.record, plane)[0]]
        answering = next((k for k, token in enumerate(asking) if token.modality is Modality.OTHER), 0)
        return {
            "tokens": [answering], "versus": [], "direction": "from", "plane": plane, "style": "spotlight",
            "scale": "view",
        }  # fmt: skip

    def to_bytes(self, view: Mapping[str, Any] | None = None, serial: int = 0, planes: Sequence[str] = ()) -> bytes:
        """The container that ``viewer/description.json`` describes.

        ``view``: what to go to, where ``serial`` is new; ``planes``: those asked for. At most `LIMIT` bytes: the plane
        of the start, those of the view and those asked for are there in any case, then means, then rollout and
        relevance, then heads in order, until one does not fit. Raises ``LookupError`` for a plane that is not there.
        """
        wanted = [self.start["plane"], *([view["plane"]] if view else []), *planes]
        header = self._header | {"view": dict(view) if view else None, "serial": serial}
        sections = dict(self._always)
        for plane in self._fitting(header, wanted):
            sections |= self._plane(plane)
        return encode(header, sections)

    def to_html(self) -> str:
        """The viewer with this run inside, one document that needs no network."""
        return html(self.to_bytes(), self._header["about"]["title"])

    def _fitting(self, header: Mapping[str, Any], wanted: Sequence[str]) -> list[str]:
        """The planes to send: those wanted, and of the others as many as there is room for."""
        must = list(dict.fromkeys(wanted))
        means = [plane for plane in header["planes"] if plane.endswith(":mean")]
        rest = dict.fromkeys([*means, *header["flows"], *header["planes"]])
        left = LIMIT - len(encode(header, self._always)) - sum(map(self._room_of, must))
        fitting = []
        for plane in rest:
            if plane in must:
                continue
            left -= self._room_of(plane)
            if left < 0:
                break
            fitting.append(plane)
        return must + fitting

    def _room_of(self, plane: str) -> int:
        queries, keys = (len(self.record.streams[stream]) for stream in streams_of(self.record, plane))
        kinds = len(ORDER)
        return room(2 * queries * keys) + room(4 * kinds * queries) + room(4 * kinds * keys) + room(4 * kinds * kinds)

    def _plane(self, plane: str) -> dict[str, Section]:
        """The codes of a plane and its sums by modality."""
        if plane not in self._planes:
            seen = _amounts(self.record, plane)
            queries, keys = (self._members[stream] for stream in streams_of(self.record, plane))
            by_key = seen @ keys
            matrix = queries.T @ by_key / np.maximum(queries.sum(axis=0), 1)[:, None]
            self._planes[plane] = {
                f"codes/{plane}": Section(*to_codes(seen)),
                f"from/{plane}": Section(by_key.astype(np.float32)),
                f"to/{plane}": Section((seen.T @ queries).astype(np.float32)),
                f"matrix/{plane}": Section(matrix.astype(np.float32)),
            }
        return self._planes[plane]

    @cached_property
    def _members(self) -> dict[str, NDArray[np.float64]]:
        """For every stream ``[token, modality]``: 1 where the token is of the modality."""
        return {
            stream: np.array([[token.modality is kind for kind in ORDER] for token in tokens], np.float64)
            for stream, tokens in self.record.streams.items()
        }

    @cached_property
    def _always(self) -> dict[str, Section]:
        """The sections that are sent with every container."""
        found = {}
        for k, one in enumerate(self.record.maps):
            edges = [self._header["bins"][stream] for stream in (one.queries, one.keys)]
            found[f"thumbs/{k}"] = Section(*to_codes(small(one.weights, *edges)))
        picture, sound = self.run.sample.image, self.run.sample.audio
        if picture:
            found["picture"] = Section(np.frombuffer(jpeg(smaller(picture.pixels, PICTURE_SIDE)), np.uint8))
        if sound:
            wave = np.rint(np.clip(sound.wave, -1, 1) * 32_767).astype(np.int16)
            mel = np.rint((np.clip(log_mel(sound.wave), -1, 1) + 1) / 2 * 255).astype(np.uint8)
            found |= {"wave": Section(wave), "mel": Section(mel)}
        return found

    @cached_property
    def _header(self) -> dict[str, Any]:
        """The header with nothing asked for."""
        record, sample = self.record, self.run.sample
        picture, sound = sample.image, sample.audio
        cut = {stream: pieces(sample.text, tokens) for stream, tokens in record.streams.items()}
        return {
            "run": record.id,
            "streams": {stream: _stream(tokens) for stream, tokens in record.streams.items()},
            "bins": {stream: small_bins(tokens) for stream, tokens in record.streams.items()},
            "maps": [
                {"name": one.name, "layer": one.layer, "queries": one.queries, "keys": one.keys, "heads": one.heads}
                for one in record.maps
            ],
            "flows": {flow: list(streams) for flow, streams in _flows(record).items()},
            "planes": _planes(record),
            "picture": {"width": picture.width, "height": picture.height} if picture else None,
            "sound": _sound(sound) if sound else None,
            "words": {stream: [list(piece) for piece in found] for stream, found in cut.items() if found},
            "answers": [[visible(one.label), float(one.probability)] for one in record.answers[:ANSWERS]],
            "answers_of": len(record.answers),
            "about": _about(self.run),
            "start": self.start,
            "view": None,
            "serial": 0,
            "texts": WORDS,
        }


def plane_of(record: AttentionRecord, way: Way) -> str:
    """The ID of the plane that ``way`` shows; of the first map of its layer, where there are several.

    Raises ``LookupError`` where the record has none.
    """
    plane: str = way.method
    if way.layer is not None:
        layers = [one.layer for one in record.maps]
        number = layers.index(way.layer) if way.layer in layers else len(layers)
        plane = f"{number}:{'mean' if way.head is None else way.head}"
    streams_of(record, plane)
    return plane


def way_of(record: AttentionRecord, plane: str) -> Way:
    """The way of looking that ``plane`` shows. Raises ``LookupError`` where the record has no such plane."""
    streams_of(record, plane)
    if ":" not in plane:
        return Way("rollout" if plane == "rollout" else "relevance")
    number, _, head = plane.partition(":")
    layer = record.maps[int(number)].layer
    return Way("mean", layer) if head == "mean" else Way("head", layer, int(head))


def streams_of(record: AttentionRecord, plane: str) -> Streams:
    """The streams of the queries and of the keys. Raises ``LookupError`` where the record has no such plane."""
    flows = _flows(record)
    if plane in flows:
        return flows[plane]
    number, _, head = plane.partition(":")
    for k, one in enumerate(record.maps):
        if number == str(k) and (head == "mean" or head in map(str, range(one.heads))):
            return one.queries, one.keys
    raise LookupError(f"the record has no plane {plane!r}")


def _planes(record: AttentionRecord) -> list[str]:
    """The IDs of all planes."""
    heads = [f"{k}:{head}" for k, one in enumerate(record.maps) for head in [*range(one.heads), "mean"]]
    return [*heads, *_flows(record)]


def _flows(record: AttentionRecord) -> dict[str, Streams]:
    """The planes that go through all layers, and their streams.

    Rollout needs maps of one stream that attends to itself; relevance is where the record holds it, of the last map
    that it fits.
    """
    found = {}
    pairs = [(one.queries, one.keys) for one in record.maps]
    if len(set(pairs)) == 1 and pairs[0][0] == pairs[0][1]:
        found["rollout"] = pairs[0]
    if record.relevance is not None:
        for queries, keys in reversed(pairs):
            if record.relevance.shape == (len(record.streams[queries]), len(record.streams[keys])):
                found["relevance"] = (queries, keys)
                break
    return found


def _amounts(record: AttentionRecord, plane: str) -> NDArray[np.float64]:
    """The amounts of a plane, ``[query, key]``."""
    if plane in _flows(record):
        return weights_seen(record, Way.parse(plane), record.relevance)
    number, _, head = plane.partition(":")
    weights = record.maps[int(number)].weights
    if head == "mean":
        return np.asarray(weights.mean(axis=0, dtype=np.float64))
    return np.asarray(weights[int(head)], dtype=np.float64)


def _start_plane(record: AttentionRecord) -> str:
    """The plane of the way chosen for the model; where there is none, the mean of the last map."""
    last = f"{len(record.maps) - 1}:mean"
    chosen = record.made_by.get("way")
    if not chosen:
        return last
    try:
        return plane_of(record, Way.parse(chosen))
    except LookupError:  # relevance that was not asked for
        return last


def _stream(tokens: Sequence[Token]) -> dict[str, list[Any]]:
    return {
        "modality": [str(token.modality) for token in tokens],
        "name": names(tokens),
        "place": places(tokens),
        "where": [None if token.where is None else [*vars(token.where).values()] for token in tokens],
    }


def _about(run: Run) -> dict[str, Any]:
    """Sentences about the run, for where nothing else says them."""
    made, answers = run.record.made_by, run.record.answers
    best = {"answer": visible(answers[0].label), "probability": answers[0].probability} if answers else {}
    origin = []
    if {"model", "device_name"} <= made.keys():
        origin.append(sentence("figure-caption", model=made["model"], device=made["device_name"]))
    if made.get("recorded"):
        origin.append(ABOUT["recorded"])
    banners = {
        "untrained": made.get("trained") is False,
        "evened": any("Uniform" in change for change in made.get("changes", ())),
    }
    return {
        "title": sentence("figure-title", **best) if best else ABOUT["no-answers"],
        "made": " ".join(origin),
        "notices": [str(notice) for notice in (*run.sample.notices, *run.record.notices)],
        "banners": [ABOUT[code] for code, holds in banners.items() if holds],
    }


def _sound(sound: Sound) -> dict[str, Any]:
    return {
        "seconds": float(sound.seconds),
        "rate": sound.rate,
        "hop_seconds": HOP / SAMPLE_RATE,
        "ticks": [[hertz, band] for hertz, band in mel_ticks(N_MELS, sound.rate).items()],
    }
