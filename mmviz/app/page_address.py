"""The page's address: its parameters name the view, so that a link opens the same view of an example.

``example`` (id in the gallery), ``query`` and ``versus`` (tokens by index, such as ``3-5.9``), ``direction``, ``map``
(the text form of a `mmviz.types.MapRef`); ``style`` and ``scale`` where they differ from the default; ``page`` and
``section`` or ``lesson`` on every page but the first; in a lesson ``at-NAME`` for each of its controls, and
``present``, the number of the slide in its presentation; ``model`` where visitors may choose among several, see
`mmviz.app.model_links`; ``cut``, ``ablate`` and ``control``, what is changed in the run of an example, see
`mmviz.app.change_links`, and ``routes``, what the section Routes cuts beside, see `mmviz.app.route_links`. The
visitor's own inputs are never in the address: a run of them has ``run`` in place of ``example``, the random id under
which the server keeps it for a while, and so has, beside it, a run of an example with settings, names of streams or
chosen words; inputs that were not run yet have ``inputs``, which the same browser alone can open, see
`mmviz.app.kept_draft`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, get_args
from urllib.parse import urlencode, urlsplit

import streamlit as st

from mmviz.analysis.map_weights import Direction
from mmviz.app import (
    change_links,
    chosen_routes,
    kept_draft,
    model_links,
    resources,
    route_links,
    run_links,
    session_actions,
    visitor_language,
)
from mmviz.app import session_state as session
from mmviz.app.components.model_picker import model_title
from mmviz.app.model_loading import request_linked_model
from mmviz.app.past_runs import remember_run
from mmviz.app.selection import (
    Scale,
    Selection,
    Style,
    initial_selection,
    pick,
    read_map_ref,
    token_count,
    with_map,
)
from mmviz.app.session_history import forget_past_runs, past_runs
from mmviz.app.session_state import LESSONS, PAGES, SECTIONS, State
from mmviz.app.streamlit_callback_patch import uninterrupted
from mmviz.explain import Run
from mmviz.i18n.page import Message
from mmviz.inputs.examples import Example
from mmviz.io.index_ranges import read_group, write_group

_CHOICES = {"direction": get_args(Direction), "style": get_args(Style), "scale": get_args(Scale)}
_NAMES = ("query", "versus", "direction", "map", "style", "scale", *change_links.IN_RUN, route_links.IN_SECTION)
"""Parameters that belong to a run, in the order in which messages name them."""
_LESSON_PREFIX = "at-"
_SLIDE = "present"


def address_params() -> dict[str, str]:
    """Returns the parameters in the address, without the language, which `visitor_language` handles."""
    return {name: value for name, value in st.query_params.to_dict().items() if name != visitor_language.NAME}


@uninterrupted()
def follow_address(state: State, examples: Sequence[Example]) -> None:
    """Opens what the address names: on the first visit, and when the visitor went back or forward in the history."""
    params = address_params()
    is_settling = time.monotonic() - state.address_time < visitor_language.SETTLED
    if params == state.address or (state.address is not None and is_settling):
        return
    name = params.get("example")
    example = next((example for example in examples if example.id == name), None)
    messages = (Message("link-example", {"example": name}),) if name is not None and example is None else ()
    run_id, params_of_run = params.get("run"), params
    state.page = pick(PAGES, params.get("page")) or "explore"
    state.section = pick(SECTIONS, params.get("section")) or state.section
    state.lesson = pick(LESSONS, params.get("lesson")) or state.lesson
    state.lesson_params = {
        name.removeprefix(_LESSON_PREFIX): value for name, value in params.items() if name.startswith(_LESSON_PREFIX)
    }
    slide = params.get(_SLIDE)
    state.slide = None if slide is None else int(slide) if slide.isdecimal() and len(slide) < 4 else 1
    state.unknown_params, state.link_messages = set(), ()
    state.lesson_serial += 1
    if state.lesson_params:  # a link to positions of controls is meant to show them
        state.answered_lessons.add(state.lesson)
    is_open = run_id is not None and ((run_id and run_id == state.run_id) or run_links.open_run(state, run_id))
    linked: str | None = state.config.model
    if is_open:
        example, messages = None, ()
    else:
        linked = model_links.linked_model(state.config, params)
        if run_id is not None:
            messages, params_of_run = (Message("link-run" if example is None else "link-run-example"),), {}
            example = example or examples[0]
        elif example is None and (state.address is None or state.run is None):
            example = examples[0]
        if linked is None:  # what the link shows may be what no other model has
            names = {"model": params[model_links.NAME], "current": model_title(state.config.model)}
            messages, params_of_run = (*messages, Message("link-model", names)), {}
    linked_changes = change_links.linked_changes(params_of_run)
    waits = linked is not None and linked != state.config.model
    is_other = (
        state.run is None or example != state.run_example or linked_changes != change_links.changes_of(state.run)
        or bool(state.run_id)  # what the address does not name
    )  # fmt: skip
    if example is not None and is_other:
        session_actions.choose_example(example)
        linked_changes.apply(state)
        state.stream_pairs, state.options = (), ()  # a run with any has a link of its own
        state.link_params = params_of_run  # after the new form, which drops those of a link before
    else:
        state.link_params = params_of_run
        if state.run is not None and not waits:
            apply_link(state, state.run)
    _open_inputs(state, params.get(kept_draft.NAME, ""))
    state.link_messages = (*messages, *state.link_messages)
    if waits:
        assert linked is not None
        request_linked_model(state, linked)
    state.address, state.address_time = params, time.monotonic()


def _open_inputs(state: State, inputs_id: str) -> None:
    """Puts inputs that were not run yet back into the form, above the run that stood there; after a reload alone."""
    if state.address is not None or not inputs_id:
        return
    shown = state.example if state.run_requested and state.config.spec is None else None
    draft = state.form_start
    is_plain = not change_links.is_changed(state)
    if shown is not None and is_plain and (run := resources.recorded_run(shown.id)) is not None:
        if not kept_draft.is_of_visitor(state, inputs_id):
            return
        session_actions.show_run(run, draft)
        apply_link(state, run)
    kept_draft.open_inputs(state, inputs_id)


def apply_link(state: State, run: Run) -> None:
    """Selects in ``run`` what the link names. A message names what ``run`` does not have."""
    params, state.link_params = state.link_params, {}
    selection, unknown = read_selection(params, run, state.selection)
    session_actions.set_selection(selection)
    unknown |= _open_routes(params, run, (state.page, state.section) == ("debug", "routes"))
    if unknown:
        names = ", ".join(name for name in _NAMES if name in unknown)
        state.link_messages = (*state.link_messages, Message("link-unknown", {"names": names}))


def read_selection(params: Mapping[str, str], run: Run, before: Selection | None) -> tuple[Selection, set[str]]:
    """Returns the selection that ``params`` name in ``run``, and the names of those parameters that it does not have.

    A missing or unknown ``query``, ``direction`` or ``map`` stays as in ``before`` (None: as a run opens). Tokens are
    counted in the stream that the map and the direction select from.
    """
    before = before or initial_selection(None, run)
    values: dict[str, Any] = {name: pick(options, params[name]) for name, options in _CHOICES.items() if name in params}
    if "map" in params:
        values["map"] = read_map_ref(params["map"], run)
    direction = values.get("direction") or before.direction
    base = with_map(before, run, values.get("map") or before.map_ref, direction)
    count = token_count(run, base.map_ref, direction)
    values |= {name: read_group(params[name], count) for name in ("query", "versus") if name in params}
    selection = Selection(
        tokens=values.get("query") or base.tokens,
        versus=values.get("versus") or (),
        direction=direction,
        map_ref=base.map_ref,
        style=values.get("style") or "spotlight",
        scale=values.get("scale") or "view",
    )
    return selection, {name for name, value in values.items() if value is None}


def _open_routes(params: Mapping[str, str], run: Run, is_section: bool) -> set[str]:
    """Cuts in the section Routes what the link cuts there, where that ``is_section``. Returns the names of parameters
    whose routes the run does not have."""
    unknown = change_links.unread(params)
    cuts = route_links.read_cuts(params.get(route_links.IN_SECTION, ""))
    if is_section and (cuts is None or not chosen_routes.choose_linked(run.record, cuts)):
        unknown.add(route_links.IN_SECTION)
    return unknown


def write_address(state: State, selection: Selection) -> None:
    """Writes the view into the address, and remembers it. A language that the visitor chose stays in the address."""
    params = _view_params(state, selection)
    remember_run(past_runs(), state, params)
    if params != state.address:
        st.query_params.from_dict(_language_params() | params)
        state.address, state.address_time = params, time.monotonic()


def forget_inputs() -> None:
    """Deletes the visitor's inputs and runs, and takes what belongs to the run out of the address."""
    error = run_links.forget_runs(session.current_state())
    forget_past_runs()
    session_actions.reset_state()
    state = session.current_state()
    if error is not None:
        state.error = Message("forget-backend", {"why": error})
    params = _page_params(state) | model_links.model_params(state.config)
    state.address, state.address_time = params, time.monotonic()
    st.query_params.from_dict(_language_params() | params)


def page_url(state: State) -> str:
    """Returns the full address of the view, to be printed; empty where the page's own address is not known."""
    assert state.selection is not None
    url = urlsplit(st.context.url or "")
    params = _view_params(state, state.selection)
    params.pop(kept_draft.NAME, None)  # nobody else can open them
    query = urlencode(_language_params() | params)
    return f"{url.scheme}://{url.netloc}{url.path}?{query}" if url.netloc else ""


def _language_params() -> dict[str, str]:
    language = visitor_language.chosen_language()
    return {visitor_language.NAME: language} if language else {}


def _page_params(state: State) -> dict[str, str]:
    if state.page == "debug":
        return {"page": state.page, "section": state.section}
    if state.page == "learn":
        controls = {f"{_LESSON_PREFIX}{name}": value for name, value in state.lesson_params.items()}
        slide = {} if state.slide is None else {_SLIDE: str(state.slide)}
        return {"page": state.page, "lesson": state.lesson, **slide, **controls}
    return {}


def _view_params(state: State, selection: Selection) -> dict[str, str]:
    return {
        **_page_params(state),
        **({} if state.is_saved else model_links.model_params(state.run_config)),
        **({"example": state.run_example.id} if state.run_example else {}),
        **({"run": state.run_id} if run_links.is_kept(state) else {}),
        **({kept_draft.NAME: state.inputs_id} if state.inputs_id else {}),
        **change_links.change_params(state),
        **route_links.section_params(state),
        "query": write_group(selection.tokens),
        **({"versus": write_group(selection.versus)} if selection.versus else {}),
        "direction": selection.direction,
        "map": str(selection.map_ref),
        **({"style": selection.style} if selection.style != "spotlight" else {}),
        **({"scale": selection.scale} if selection.scale != "view" else {}),
    }
