"""What a viewer may request by the names of sections, wherever it is shown: on the page or in a notebook."""

from __future__ import annotations

from mmviz.analysis.available_maps import parse_map_ref
from mmviz.report.run_interface import Run
from mmviz.report.viewer_attention_steps import parse_map_number
from mmviz.report.viewer_map_requests import requested_view

MAX_SECTIONS = 32
"""The number of sections in one request at most, as ``viewer/js/backgroundFetcher.js`` makes them."""


def has_section(name: object, run: Run) -> bool:
    """Returns whether ``run`` has the section that a viewer requests by ``name``; a browser may send anything."""
    if not isinstance(name, str):
        return False
    kind, _, rest = name.partition("/")
    try:
        if kind == "map":
            parse_map_ref(run.record, rest)
        elif kind == "steps":
            return parse_map_number(rest) < len(run.record.steps)
        else:
            requested_view(run.record, kind, rest)
    except LookupError:
        return False
    return True
