"""Routes that are cut, as text of the page's address: in the run of an example, and in the section Routes.

The text is that of `mmviz.io.change_text`, as long as an address may be.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmviz.app.session_state import State
from mmviz.io import change_text
from mmviz.types import CutRoute

IN_RUN = "cut"
"""The parameter for what is cut in the run of an example. A run of a visitor's own inputs is kept with its cuts."""
IN_SECTION = "routes"
"""The parameter for what the section Routes cuts beside."""
MAX_CHARS = 6_000
"""The longest text; browsers and servers take no address much longer."""
MAX_CUTS = 64


def section_params(state: State) -> dict[str, str]:
    """Returns the parameters of what the section Routes cuts, where it is open."""
    text = write_cuts(state.route_cuts) if (state.page, state.section) == ("debug", "routes") else ""
    return {IN_SECTION: text} if text else {}


def write_cuts(cuts: Sequence[CutRoute]) -> str:
    """Returns routes as text; "" for none, and for more than an address holds."""
    text = change_text.write_cuts(cuts)
    return text if len(text) <= MAX_CHARS and len(cuts) <= MAX_CUTS else ""


def read_cuts(text: str) -> tuple[CutRoute, ...] | None:
    """Returns the routes of a text as of `write_cuts`; None for any other text."""
    if len(text) > MAX_CHARS or text.count(",") >= MAX_CUTS:
        return None
    return change_text.read_cuts(text)
