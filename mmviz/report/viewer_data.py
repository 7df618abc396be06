"""A run for the viewer: all it shows as one block of bytes, and as a document that stands alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmviz.analysis.map_refs import default_map_ref, flows, map_refs, parse_map_ref, streams_of
from mmviz.analysis.map_weights import weights as weights_seen
from mmviz.figures.image import jpeg, smaller
from mmviz.figures.text_pieces import pieces
from mmviz.i18n.language import TAGS, Language, current
from mmviz.i18n.messages import visible
from mmviz.i18n.viewer import viewer_words
from mmviz.inputs.mel import log_mel
from mmviz.report.attention_steps import steps_header, steps_number, steps_room, steps_sections
from mmviz.report.header import about_header, sound_header, stream_header
from mmviz.report.run_protocol import Run
from mmviz.report.section_requests import asked_for, edges_of, is_pooled
from mmviz.types import (
    MODALITIES,
    MapRef,
    MmvizError,
    Modality,
    PooledMap,
    Zoom,
)
from mmviz.viewer.codes import encode as to_codes
from mmviz.viewer.container import Section, encode, room
from mmviz.viewer.pack import html
from mmviz.viewer.thumbnails import small, small_bins, smaller_overview

LIMIT = 16_000_000
"""Bytes that are sent at once, unless what must be there takes more."""
ROWS = 16
"""So many rows of what is looked at are sent along where the weights are not all there."""
PICTURE_SIDE = 1024
ANSWERS = 5


Source = Literal["whole", "kept", "overview"]
"""All weights are here; rows and windows can be had where the run was made; or they cannot."""


class ViewerData:
    """What the viewer shows of ``run``. Made once, it answers `to_bytes` as often as the viewer asks.

    Maps are encoded when they are first sent. Of a map without all its weights the
    overview is sent, and rows, columns and windows of it when they are asked for.
    """

    def __init__(self, run: Run):
        self.run = run
        self.record = run.record
        self._map_sections: dict[MapRef, dict[str, Section]] = {}
        self._headers: dict[Language, dict[str, Any]] = {}
        self.source: Source = "whole" if not self.record.is_long else "kept" if run.backend else "overview"

    @cached_property
    def start(self) -> dict[str, Any]:
        """Where a reader begins: the way of looking chosen for the model, from the token that answers."""
        ref = default_map_ref(self.record)
        asking = self.record.streams[streams_of(self.record, ref)[0]]
        answering = next((k for k, token in enumerate(asking) if token.modality is Modality.SPECIAL), 0)
        return {
            "tokens": [answering], "versus": [], "direction": "from", "map": str(ref), "style": "spotlight",
            "scale": "view",
        }  # fmt: skip

    def to_bytes(self, view: Mapping[str, Any] | None = None, serial: int = 0, maps: Sequence[str] = ()) -> bytes:
        """The container that ``viewer/description.json`` describes.

        ``view``: what to go to, where ``serial`` is new; ``maps``: those asked for. At most `LIMIT` bytes: the map
        of the start, those of the view and those asked for are there in any case, then means, then rollout and
        relevance, then heads in order, until one does not fit. Raises ``LookupError`` for a map that is not there.
        """
        wanted = [self.start["map"], *([view["map"]] if view else []), *maps]
        looked = [one for one in (self.start, view) if one]
        sections = dict(self._always)
        for one in looked:
            sections |= self._rows(one)
        header = self._header | {"view": dict(view) if view else None, "serial": serial, "source": self.source}
        steps = self._steps(MapRef.parse(looked[-1]["map"]))
        taken = steps_room(next(iter(steps.values()), {}))
        refs = [parse_map_ref(self.record, text) for text in wanted]
        for ref in self._fitting(header, refs, taken):
            sections |= self._sections_of(ref)
        left = LIMIT - len(encode(header, sections)) if steps else 0
        for number, part in enumerate(steps.values()):
            left -= steps_room(part)
            if number == 0 or left >= 0:
                sections |= part
        return encode(header, sections)

    def answer(self, names: Sequence[str], serial: int = 0) -> bytes:
        """A container of what a viewer that has the run asks for: ``map/MAP``, ``steps/NUMBER``, or sections by their
        names, ``row/...`` and ``window/...``. Raises ``LookupError`` for what is not there."""
        sections: dict[str, Section] = {}
        for name in names:
            kind, _, rest = name.partition("/")
            if kind == "map":
                sections |= self._sections_of(parse_map_ref(self.record, rest))
            elif kind == "steps":
                sections |= steps_sections(self.record, steps_number(rest))
            else:
                sections |= self._part(kind, rest)
        return encode({"run": self.record.id, "serial": serial, "source": self.source}, sections)

    def to_html(self) -> str:
        """The viewer with this run inside, one document that needs no network."""
        return html(self.to_bytes(), self._header["about"]["title"])

    def _part(self, kind: str, rest: str) -> dict[str, Section]:
        """A row, a column or a window of a map; nothing where it cannot be had any more."""
        view = asked_for(self.record, kind, rest)
        if self.source == "overview":
            return {}
        try:
            found = self.run.view(view)
        except MmvizError:
            self.source = "overview"
            return {}
        values = found if isinstance(view, Zoom) else found.reshape(-1)
        return {f"{kind}/{rest}": Section(*to_codes(np.asarray(values, np.float64)))}

    def _rows(self, view: Mapping[str, Any]) -> dict[str, Section]:
        """Exact rows of what a view looks at, where the map has not all its weights."""
        ref = parse_map_ref(self.record, view["map"])
        if not is_pooled(self.record, ref) or len(view["tokens"]) + len(view["versus"]) > ROWS:
            return {}
        sections: dict[str, Section] = {}
        for token in (*view["tokens"], *view["versus"]):
            sections |= self._part("row", f"{ref}/{view['direction']}/{token}")
        return sections

    def _steps(self, ref: MapRef) -> dict[int, dict[str, Section]]:
        """The steps of all maps, first those of the map that ``ref`` names; of a flow, those of the last."""
        count = len(self.record.steps)
        first = self.record.map_number(ref) if ref.method == "attention" else count - 1
        return {k: steps_sections(self.record, k) for k in sorted(range(count), key=lambda k: k != first)}

    def _fitting(self, header: Mapping[str, Any], wanted: Sequence[MapRef], taken: int) -> list[MapRef]:
        """The maps to send: those wanted, and of the others as many as there is room for beside what is taken."""
        must = list(dict.fromkeys(wanted))
        known = [MapRef.parse(text) for text in header["map_refs"]]
        means = [ref for ref in known if ref.method == "attention" and ref.head is None]
        rest = dict.fromkeys([*means, *map(MapRef.parse, header["flows"]), *known])
        left = LIMIT - taken - len(encode(header, self._always)) - sum(map(self._room_of, must))
        fitting = []
        for ref in rest:
            if ref in must:
                continue
            left -= self._room_of(ref)
            if left < 0:
                break
            fitting.append(ref)
        return must + fitting

    def _room_of(self, ref: MapRef) -> int:
        queries, keys = (len(self.record.streams[stream]) for stream in streams_of(self.record, ref))
        kinds = len(MODALITIES)
        cells = queries * keys
        if is_pooled(self.record, ref):
            cells = int(np.prod(self.record.maps[self.record.map_number(ref)].overview.shape[1:]))  # type: ignore[union-attr]
        return room(2 * cells) + room(4 * kinds * queries) + room(4 * kinds * keys) + room(4 * kinds * kinds)

    def _sections_of(self, ref: MapRef) -> dict[str, Section]:
        """The codes of a map and its sums by modality."""
        if ref not in self._map_sections and is_pooled(self.record, ref):
            head, found = ref.head, self.record.maps[self.record.map_number(ref)]
            assert isinstance(found, PooledMap)
            given, got = _of_head(found.row_modality_sums, head), _of_head(found.column_modality_sums, head)
            members = self._members[found.queries]
            matrix = members.T @ given / np.maximum(members.sum(axis=0), 1)[:, None]
            self._map_sections[ref] = {
                f"overview/{ref}": Section(*to_codes(_of_head(found.overview, head))),
                f"from/{ref}": Section(given.astype(np.float32)),
                f"to/{ref}": Section(got.astype(np.float32)),
                f"matrix/{ref}": Section(matrix.astype(np.float32)),
            }
        elif ref not in self._map_sections:
            self._map_sections[ref] = self._sections(ref, weights_seen(self.record, ref, self.record.relevance))
        return self._map_sections[ref]

    def _sections(self, ref: MapRef, seen: NDArray[np.float64], name: str = "") -> dict[str, Section]:
        """Amounts of a map ``[query, key]`` in codes, and their sums by modality; ``name``: another one for it."""
        queries, keys = (self._members[stream] for stream in streams_of(self.record, ref))
        by_key = seen @ keys
        matrix = queries.T @ by_key / np.maximum(queries.sum(axis=0), 1)[:, None]
        name = name or str(ref)
        return {
            f"codes/{name}": Section(*to_codes(seen)),
            f"from/{name}": Section(by_key.astype(np.float32)),
            f"to/{name}": Section((seen.T @ queries).astype(np.float32)),
            f"matrix/{name}": Section(matrix.astype(np.float32)),
        }

    @cached_property
    def _members(self) -> dict[str, NDArray[np.float64]]:
        """For every stream ``[token, modality]``: 1 where the token is of the modality."""
        return {
            stream: np.array([[token.modality is kind for kind in MODALITIES] for token in tokens], np.float64)
            for stream, tokens in self.record.streams.items()
        }

    @cached_property
    def _always(self) -> dict[str, Section]:
        """The sections that are sent with every container."""
        found = self._thumbs()
        picture, sound = self.run.sample.image, self.run.sample.audio
        if picture:
            found["picture"] = Section(np.frombuffer(jpeg(smaller(picture.pixels, PICTURE_SIDE)), np.uint8))
        if sound:
            wave = np.rint(np.clip(sound.wave, -1, 1) * 32_767).astype(np.int16)
            mel = np.rint((np.clip(log_mel(sound.wave), -1, 1) + 1) / 2 * 255).astype(np.uint8)
            found |= {"wave": Section(wave), "mel": Section(mel)}
        return found

    def _thumbs(self) -> dict[str, Section]:
        """The small maps."""
        found = {}
        for k, one in enumerate(self.record.maps):
            if isinstance(one, PooledMap):
                found[f"thumbs/{k}"] = Section(*to_codes(smaller_overview(one, self.record.streams)))
                continue
            edges = [self._header["bins"][stream] for stream in (one.queries, one.keys)]
            found[f"thumbs/{k}"] = Section(*to_codes(small(one.weights, *edges)))
        return found

    @property
    def _header(self) -> dict[str, Any]:
        """The header with nothing asked for, in the language spoken."""
        language = current()
        if language not in self._headers:
            self._headers[language] = self._made_header()
        return self._headers[language]

    def _made_header(self) -> dict[str, Any]:
        record, sample = self.record, self.run.sample
        picture, sound = sample.image, sample.audio
        cut = {stream: pieces(sample.text, tokens) for stream, tokens in record.streams.items()}
        return {
            "run": record.id,
            "streams": {stream: stream_header(tokens) for stream, tokens in record.streams.items()},
            "bins": {stream: small_bins(tokens) for stream, tokens in record.streams.items()},
            "maps": [
                {
                    "name": attn_map.name,
                    "ref": str(record.map_ref(number)).partition(":")[0],
                    "layer": attn_map.layer,
                    "queries": attn_map.queries,
                    "keys": attn_map.keys,
                    "heads": attn_map.heads,
                    "edges": edges_of(attn_map),
                }  # fmt: skip
                for number, attn_map in enumerate(record.maps)
            ],
            "steps": steps_header(record),
            "moments": None,
            "source": self.source,
            "flows": {str(flow): list(streams) for flow, streams in flows(record).items()},
            "map_refs": [str(ref) for ref in map_refs(record)],
            "picture": {"width": picture.width, "height": picture.height} if picture else None,
            "sound": sound_header(sound) if sound else None,
            "words": {stream: [list(piece) for piece in found] for stream, found in cut.items() if found},
            "answers": [[visible(one.label), float(one.probability)] for one in record.answers[:ANSWERS]],
            "answers_of": len(record.answers),
            "about": about_header(sample, record),
            "start": self.start,
            "view": None,
            "serial": 0,
            "texts": viewer_words(),
            "language": TAGS[current()],
        }


def _of_head(parts: NDArray[Any], head: int | None) -> NDArray[np.float64]:
    """One head of ``[head, ...]``, or the mean over all."""
    return np.asarray(parts.mean(axis=0, dtype=np.float64) if head is None else parts[head], np.float64)
