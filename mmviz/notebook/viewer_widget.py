"""The widget: it sends a run to the viewer as bytes, shares the selection, and answers requests for sections."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index
from typing import Any, get_args

import anywidget
import traitlets

from mmviz.analysis.map_weights import Direction
from mmviz.app.selection import Selection, initial_selection, pick, read_map_ref, read_view, view_of, with_map
from mmviz.explain import Run
from mmviz.report import ViewerData
from mmviz.report.viewer_request_check import MAX_SECTIONS, has_section
from mmviz.types import MmvizError
from mmviz.viewer import pack


class ViewerWidget(anywidget.AnyWidget):
    """The linked viewer of ``run`` in a notebook, with the map weights as bytes and whatever is missing on request.

    Exact rows and maps of a long run are computed in the notebook's own process when the viewer asks for them, so they
    arrive once no cell is running. Rollout and relevance of a long run hold it up until they are computed.
    """

    _esm = pack.widget_js()
    _css = pack.css()
    data = traitlets.Bytes(help="The container that viewer/format_schema.json describes.").tag(sync=True)
    selection = traitlets.Dict(
        help="What is selected, as plain values: `tokens` and `versus` (what they are compared with), indices; "
        "`direction`, from or to; `map`, the text of a MapRef; `style`, spotlight or heat; `scale`, view or map. Parts "
        "that are left out stay as they are."
    ).tag(sync=True)

    def __init__(self, run: Run, selection: Mapping[str, Any] | None = None):
        self.run = run
        self._viewer_data = ViewerData(run)
        self._valid_selection = initial_selection(None, run)
        view = changed_selection(self._valid_selection, run, selection or {})
        super().__init__(data=self._viewer_data.to_bytes(view_of(view, run)), selection=view_of(view, run))
        self.on_msg(self._answer_request)

    @traitlets.validate("selection")
    def _validate_selection(self, proposal: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the whole selection; raises ``TraitError``, whereupon the old one stays."""
        return view_of(changed_selection(self._valid_selection, self.run, proposal["value"]), self.run)

    @traitlets.observe("selection")
    def _keep_selection(self, change: Mapping[str, Any]) -> None:
        self._valid_selection = changed_selection(self._valid_selection, self.run, change["new"])

    def _answer_request(self, widget: object, message: object, buffers: object) -> None:
        """Sends the sections that the viewer requests; a browser may send anything."""
        names = message.get("need") if isinstance(message, dict) else None
        if not isinstance(names, list) or len(names) > MAX_SECTIONS:
            return
        names = [name for name in names if has_section(name, self.run)]
        flows = self._viewer_data.long_flows
        for name in flows.missing(names):
            flows.compute(name)
        refused = [name for name in names if name in flows.problems]
        if names:
            self.send({"sections": names}, [self._viewer_data.encode_sections(names)])
        if refused:  # back to a map that can be shown, as the viewer would wait for ever
            self.send({"problem": str(flows.problems[refused[0]])})
            self.selection = {"map": str(self.run.map_ref)}


def changed_selection(before: Selection, run: Run, parts: Mapping[str, Any]) -> Selection:
    """Returns ``before`` with other ``parts``, as the page reads them; in another stream the answer token is selected.

    Raises ``TraitError``, which traitlets takes back, for what is not a selection in ``run``.
    """
    try:
        groups = {name: [index(token) for token in parts[name]] for name in ("tokens", "versus") if name in parts}
    except TypeError as problem:
        raise _not_in(run) from problem
    values = {**parts, **groups} | ({"map": str(parts["map"])} if "map" in parts else {})
    map_ref = read_map_ref(values.get("map", str(before.map_ref)), run)
    direction: Direction | None = pick(get_args(Direction), values.get("direction", before.direction))
    if map_ref is None or direction is None or not values.keys() <= view_of(before, run).keys():
        raise _not_in(run)
    moved = view_of(with_map(before, run, map_ref, direction), run)
    selection = read_view({**moved, **values, "run": run.record.id}, run, 0)
    if selection is None:
        raise _not_in(run)
    return selection


def _not_in(run: Run) -> traitlets.TraitError:
    return traitlets.TraitError(str(MmvizError("widget-selection", map_ref=run.map_ref)))
