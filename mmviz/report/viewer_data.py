"""Encodes a run for the viewer, as containers of bytes and as a standalone document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np

from mmviz.analysis.answer_shares import answer_words
from mmviz.analysis.answer_token import answer_token
from mmviz.analysis.available_maps import default_map_ref, flows, last_map, map_refs, parse_map_ref, streams_of
from mmviz.experiments.language_prior import LanguagePrior
from mmviz.i18n.language import Language, current_language
from mmviz.report.noscript_content import DocumentContent, document_content
from mmviz.report.run_interface import Run
from mmviz.report.viewer_attention_steps import max_encoded_bytes, parse_map_number, steps_sections
from mmviz.report.viewer_inputs import input_sections
from mmviz.report.viewer_long_flows import LongFlowSections
from mmviz.report.viewer_map_requests import is_pooled, requested_view, stream_edges
from mmviz.report.viewer_maps import MapSections
from mmviz.report.viewer_payload_header import run_header
from mmviz.types import MODALITIES, MapRef, MmvizError, Rows, Zoom
from mmviz.viewer.binary_format import Section, encode, encoded_bytes, max_section_bytes
from mmviz.viewer.pack import frame, html
from mmviz.viewer.quantization import encode as quantize

MAX_BYTES = 20_000_000
"""Size of a container in bytes, unless the maps that it must hold take more."""
MAX_ROWS = 16
"""Exact rows of the chosen tokens that are sent along for a map without all its weights."""
MAX_ANSWER_ROWS = 256
"""Exact rows of the tokens that wrote an answer, at most, that are sent along for such a map."""

Source = Literal["whole", "kept", "overview"]
"""All weights are sent; or rows and windows can be requested from where the run was made; or they no longer can."""


class ViewerData:
    """Encodes ``run`` for the viewer: `to_bytes` or `first_part` once, then `encode_sections` for what is requested.

    Maps are encoded when they are first sent. Of a map without all its weights the overview is sent, and rows, columns
    and windows on request. Flows of a long run are sent as far as `long_flows` has computed them.
    """

    def __init__(self, run: Run):
        self.run = run
        self.record = run.record
        self._maps = MapSections(self.record)
        self._map_sections: dict[MapRef, dict[str, Section]] = {}
        self._headers: dict[Language, dict[str, Any]] = {}
        self.long_flows = LongFlowSections(run)
        self.source: Source = "whole" if not self.record.is_long else "kept" if run.backend else "overview"

    @cached_property
    def initial_view(self) -> dict[str, Any]:
        """The view that the viewer opens with: the default map of the run, from the answer token."""
        ref = default_map_ref(self.record)
        query = answer_token(self.record, streams_of(self.record, ref)[0])
        return {
            "tokens": [query], "versus": [], "direction": "from", "map": str(ref),
            "style": "spotlight", "scale": "view",
        }  # fmt: skip

    def to_bytes(self, view: Mapping[str, Any] | None = None, serial: int = 0, maps: Sequence[str] = ()) -> bytes:
        """Returns the container that ``viewer/format_schema.json`` describes.

        ``view``: the view to show, where ``serial`` is new. ``maps``: maps that were requested, as texts of `MapRef`.
        The maps of the initial view, of ``view`` and of ``maps`` are always sent. As far as `MAX_BYTES` allows, means
        over heads follow, then rollout and relevance, then single heads in order, then attention steps. Raises
        ``LookupError`` for a map that the run does not have.
        """
        return self._whole_run(view, serial, maps)

    def _whole_run(
        self, view: Mapping[str, Any] | None, serial: int = 0, maps: Sequence[str] = (), **own: object
    ) -> bytes:
        """Returns `to_bytes` with the fields ``own`` of the header."""
        views = self._views(view)
        required = self._known_maps([*(each["map"] for each in views), *maps])
        sections = self._input_sections(views)  # which may tell that the backend no longer keeps the run
        header = self._header_of(view, serial) | own
        steps = self._steps(MapRef.parse(views[-1]["map"]))
        reserved = max_encoded_bytes(next(iter(steps.values()), {}))
        for ref in self._fitting_maps(header, required, reserved):
            sections |= self._sections_of(ref)
        budget = MAX_BYTES - encoded_bytes(header, sections) if steps else 0
        for position, arrays in enumerate(steps.values()):
            budget -= max_encoded_bytes(arrays)
            if position == 0 or budget >= 0:
                sections |= arrays
        return encode(header, sections)

    def first_part(self, view: Mapping[str, Any] | None = None, serial: int = 0) -> bytes:
        """Returns the container of what the first view needs: the inputs, the thumbnails and the map that is shown.

        Its header names the other maps that `to_bytes` would send in ``background``, in the order in which the viewer
        shall request them once it is in use. Attention steps are sent on request alone.
        """
        (shown,) = views = self._views(view)[-1:]
        required = self._known_maps([shown["map"]])
        sections, header = self._input_sections(views), self._header_of(view, serial)
        for ref in required:
            sections |= self._sections_of(ref)
        others = [f"map/{ref}" for ref in self._fitting_maps(header, required, 0) if ref not in required]
        return encode(header | {"background": others}, sections)

    def encode_sections(self, names: Sequence[str], serial: int = 0) -> bytes:
        """Returns a container of the sections that a viewer requests: ``map/REF``, ``steps/NUMBER``, ``row/...`` and
        ``window/...``. Raises ``LookupError`` for a section that the run does not have."""
        sections: dict[str, Section] = {}
        for name in names:
            kind, _, rest = name.partition("/")
            if computed := self.long_flows.get(name):
                sections |= computed
            elif self.long_flows.is_flow(name):
                continue  # it has not been computed, or cannot be
            elif kind == "map":
                sections |= self._sections_of(parse_map_ref(self.record, rest))
            elif kind == "steps":
                sections |= steps_sections(self.record, parse_map_number(rest))
            else:
                sections |= self._exact_weights(kind, rest)
                if kind == "row":
                    sections |= self._answer_rows(parse_map_ref(self.record, rest.rsplit("/", 2)[0]))
        return encode({"run": self.record.id, "serial": serial, "source": self.source}, sections)

    def to_html(self, prior: LanguagePrior | None = None, view: Mapping[str, Any] | None = None) -> str:
        """Returns the viewer with this run inside: one document that needs no network.

        ``prior``: the language prior of its answer, to stand below the viewer. ``view``: what it opens with; the
        initial view if None. The same inputs on the same model give the same text.
        """
        for name in self.long_flows.missing(_parts_of(view) if view else []):  # nothing can be requested later
            self.long_flows.compute(name)
        return html(self._document_data(view), **vars(self._content(prior, view)))

    def to_frame(self) -> str:
        """Returns `to_html` as a frame for a notebook, with its still where the notebook takes frames away."""
        content = self._content()
        return frame(html(self._document_data(), **vars(content)), content.above + content.still)

    def _document_data(self, view: Mapping[str, Any] | None = None) -> bytes:
        """Returns `to_bytes` without the id of the run, which is random, and by which no other run is told apart."""
        return self._whole_run(view, run="")

    def _content(self, prior: LanguagePrior | None = None, view: Mapping[str, Any] | None = None) -> DocumentContent:
        if view is None or view["direction"] == "to":  # the still shows what one token attends to
            view = self.initial_view
        return document_content(self.run, MapRef.parse(view["map"]), view["tokens"][0], prior)

    def _views(self, view: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
        """Returns the initial view, and the one to show where it is another."""
        return [self.initial_view, *([view] if view else [])]

    def _known_maps(self, texts: Sequence[str]) -> list[MapRef]:
        """Returns the maps of these texts of `MapRef`, without flows that are still to be computed on request."""
        refs = [parse_map_ref(self.record, text) for text in texts]
        return [ref for ref in refs if not self.long_flows.missing([f"map/{ref}"])]

    def _header_of(self, view: Mapping[str, Any] | None, serial: int) -> dict[str, Any]:
        return self._header | {"view": dict(view) if view else None, "serial": serial, "source": self.source}

    def _input_sections(self, views: Sequence[Mapping[str, Any]]) -> dict[str, Section]:
        """Returns the inputs, the thumbnails, and the exact rows that ``views`` show of maps without all weights."""
        sections = dict(self._common_sections)
        for each in views:
            sections |= self._exact_rows(each) | self._answer_rows(parse_map_ref(self.record, each["map"]))
        return sections

    def _exact_weights(self, kind: str, rest: str) -> dict[str, Section]:
        """Returns a row, a column or a window of a map; nothing where the backend no longer keeps the run."""
        view = requested_view(self.record, kind, rest)
        if self.source == "overview":
            return {}
        try:
            weights = self.run.view(view)
        except MmvizError:
            self.source = "overview"
            return {}
        values = weights if isinstance(view, Zoom) else weights.reshape(-1)
        return {f"{kind}/{rest}": Section(*quantize(np.asarray(values, np.float64)))}

    def _exact_rows(self, view: Mapping[str, Any]) -> dict[str, Section]:
        """Returns exact rows or columns of the tokens of a view, where its map has not all its weights."""
        ref = parse_map_ref(self.record, view["map"])
        if not is_pooled(self.record, ref) or len(view["tokens"]) + len(view["versus"]) > MAX_ROWS:
            return {}
        sections: dict[str, Section] = {}
        for token in (*view["tokens"], *view["versus"]):
            name = f"{ref}/{view['direction']}/{token}"
            is_flow = ref.layer is None
            sections |= self.long_flows.get(f"row/{name}") if is_flow else self._exact_weights("row", name)
        return sections

    def _answer_rows(self, ref: MapRef) -> dict[str, Section]:
        """Returns the exact rows of the tokens that wrote an answer, where the map has not all its weights: from bins
        nobody can tell the shares of a word, nor its strongest moment."""
        words = answer_words(self.record, streams_of(self.record, ref)[0]) if is_pooled(self.record, ref) else ()
        if not words or len(words) > MAX_ANSWER_ROWS or self.source == "overview":
            return {}
        queries = tuple(word - 1 for word in words)
        try:
            rows = self.run.view(Rows(ref, queries))
        except MmvizError:
            self.source = "overview"
            return {}
        pairs = zip(queries, np.asarray(rows, np.float64), strict=True)
        return {f"row/{ref}/from/{query}": Section(*quantize(row)) for query, row in pairs}

    def _steps(self, ref: MapRef) -> dict[int, dict[str, Section]]:
        """Returns the steps of all maps by number, those of the map that ``ref`` names first; for a flow, those of the
        `last_map`, as the viewer shows them."""
        first = self.record.map_number(ref) if ref.method == "attention" else last_map(self.record)
        numbers = sorted(range(len(self.record.steps)), key=lambda k: k != first)
        return {k: steps_sections(self.record, k) for k in numbers}

    def _fitting_maps(self, header: Mapping[str, Any], required: Sequence[MapRef], reserved: int) -> list[MapRef]:
        """Returns the required maps, and of the others as many as fit into `MAX_BYTES` less ``reserved`` bytes."""
        required = list(dict.fromkeys(required))
        refs = [MapRef.parse(text) for text in header["map_refs"]]
        means = [ref for ref in refs if ref.method == "attention" and ref.head is None]
        by_priority = dict.fromkeys([*means, *map(MapRef.parse, header["flows"]), *refs])
        budget = MAX_BYTES - reserved - encoded_bytes(header, self._common_sections)
        budget -= sum(map(self._max_map_bytes, required))
        optional = []
        for ref in by_priority:
            if ref in required or self.long_flows.missing([f"map/{ref}"]):
                continue
            budget -= self._max_map_bytes(ref)
            if budget < 0:
                break
            optional.append(ref)
        return required + optional

    def _max_map_bytes(self, ref: MapRef) -> int:
        """Returns an upper bound of the bytes that the sections of a map take."""
        queries, keys = (len(self.record.streams[stream]) for stream in streams_of(self.record, ref))
        modalities = len(MODALITIES)
        cells = queries * keys
        if is_pooled(self.record, ref):
            cells = int(np.prod([len(stream_edges(self.record, name)) for name in streams_of(self.record, ref)]))
        sums = (queries, keys, modalities)
        return max_section_bytes(2 * cells) + sum(max_section_bytes(4 * modalities * count) for count in sums)

    def _sections_of(self, ref: MapRef) -> dict[str, Section]:
        """Returns the sections of a map, encoded once."""
        if self.long_flows.is_flow(f"map/{ref}"):
            return self.long_flows.get(f"map/{ref}")
        if ref not in self._map_sections:
            self._map_sections[ref] = self._maps.sections(ref)
        return self._map_sections[ref]

    @cached_property
    def _common_sections(self) -> dict[str, Section]:
        """The thumbnails and the inputs, which are sent with every container of a whole run."""
        return self._thumbnails() | input_sections(self.run.sample)

    def _thumbnails(self) -> dict[str, Section]:
        return self._maps.thumbnails(self._header["bins"])

    @property
    def _header(self) -> dict[str, Any]:
        """The header in the current language, with the initial view."""
        language = current_language()
        if language not in self._headers:
            self._headers[language] = self._make_header()
        return self._headers[language]

    def _make_header(self) -> dict[str, Any]:
        record = self.record
        viewed = {} if self.source == "overview" else flows(record)  # nothing is left to compute flows from
        refs = [ref for ref in map_refs(record) if ref.layer is not None or ref in viewed]
        return run_header(self.run.sample, record) | {
            "source": self.source,
            "flows": {str(flow): list(streams) for flow, streams in viewed.items()},
            "map_refs": [str(ref) for ref in refs],
            "initial_view": self.initial_view,
            "view": None,
            "serial": 0,
            "background": [],
        }


def _parts_of(view: Mapping[str, Any]) -> list[str]:
    """Returns the names under which a viewer requests what ``view`` shows, if that is a flow of a long run."""
    tokens = (*view["tokens"], *view["versus"])[:MAX_ROWS]
    return [f"map/{view['map']}", *(f"row/{view['map']}/{view['direction']}/{token}" for token in tokens)]
