"""The talk of a session: slides of its runs, collected, ordered and captioned by hand, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from mmviz.app import resources, run_links
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.app.pages.explore.footer import file_stem
from mmviz.app.pages.explore.story import told_story
from mmviz.app.pages.explore.talk_upload import talk_file
from mmviz.app.selection import Selection, view_of
from mmviz.app.selection_amounts import SelectionView
from mmviz.app.session_history import own_talk
from mmviz.app.session_state import State
from mmviz.app.talk_draft import MAX_RUNS, MAX_SLIDES, DraftSlide, RunRef, TalkDraft
from mmviz.app.talk_runs import ref_in_talk, run_of
from mmviz.explain import Run
from mmviz.i18n.language import LANGUAGES, current_language, use_language
from mmviz.i18n.page import say
from mmviz.present import Slide, Talk, make_talk

KEY = "talk"
_NAME = "talk-name"
MAX_TITLE, MAX_CAPTION, MAX_NOTES = 200, 600, 4_000
"""Characters of the texts of a slide."""
_open_button = st.components.v2.component(
    "mmviz_open_talk", js=Path(__file__).parents[2].joinpath("components", "open_talk.js").read_text(encoding="utf-8")
)


@st.fragment
def talk_editor(view: SelectionView) -> None:
    """Draws the talk, folded until it is opened. A change of it draws nothing else anew."""
    state = session.fragment_state(view.run)
    draft = own_talk()
    draft.translate(LANGUAGES.index(current_language()))
    with st.expander(say("own-talk"), draft.is_from_file, key=KEY, on_change="rerun") as expander:
        if not expander.open:
            return
        page_elements.note(say("own-talk-help", slides=MAX_SLIDES, runs=MAX_RUNS))
        _add_buttons(view)
        if not draft.slides:
            return
        first, second = st.columns([1.2, 1], gap="medium")
        with first, st.container(key="talk-slides", gap=None):
            page_elements.heading(say("own-talk-count", count=len(draft.slides)))
            for place, each in enumerate(draft.slides):
                _row(draft, place, each)
        with second:
            _texts(draft)
        _outputs(state)


def _add_buttons(view: SelectionView) -> None:
    with st.container(horizontal=True, gap="small"):
        for name in _SLIDES:
            label, hint = say(f"own-talk-add-{name}"), say(f"own-talk-add-{name}-help")
            clicked = view.run.record.id, view.selection, name
            st.button(label, key=f"talk-add-{name}", help=hint, on_click=_add, args=clicked)
        talk_file()
    if st.session_state.pop("talk-full", False):
        page_elements.note(say("own-talk-full", slides=MAX_SLIDES, runs=MAX_RUNS), "remark")


def _run_slides(state: State, view: SelectionView) -> tuple[Slide, ...]:
    run = view.run
    return make_talk(run, told_story(state, run.record), view_of(view.selection, run)).slides


def _view_slides(state: State, view: SelectionView) -> tuple[Slide, ...]:
    """Returns the slide of what is selected, which may be that of what the answer token reads."""
    slides = make_talk(view.run, None, view_of(view.selection, view.run)).slides
    selected = [slide for slide in slides if slide.kind == "selection"]
    return tuple(selected or [slide for slide in slides if slide.kind == "reads_from"])


def _text_slides(state: State, view: SelectionView) -> tuple[Slide, ...]:
    return (Slide("text", say("own-talk-text")),)


_SLIDES = {"run": _run_slides, "view": _view_slides, "text": _text_slides}
"""What each button adds."""


def _add(record_id: str, selection: Selection, name: str) -> None:
    """Adds slides of the run with this record, as ``selection`` shows it; none where another is shown by now."""
    state = session.current_state()
    run = state.shown_run(record_id)
    if run is None:
        return
    view, wordings = SelectionView(run, selection), []
    for language in LANGUAGES:
        with use_language(language):
            wordings.append(_SLIDES[name](state, view))
    wanted = wordings[LANGUAGES.index(current_language())]
    shows_run = any(slide.kind != "text" for slide in wanted)
    ref = ref_in_talk(view.run, lambda run: _ref(state, run)) if shows_run else None
    if own_talk().add(wanted, ref, list(zip(*wordings, strict=True))) < len(wanted):
        st.session_state["talk-full"] = True


def _ref(state: State, run: Run) -> RunRef:
    """Returns the name of the run on the screen: of a recorded example, else under the id under which it is kept."""
    example = state.run_example
    if example is not None and state.config.spec is None and resources.recorded_run(example.id) is run:
        return RunRef(run.record.id, example.id, "")
    return RunRef(run.record.id, "", run_links.keep_shown_run(state))


def _row(draft: TalkDraft, place: int, each: DraftSlide) -> None:
    """Draws a slide of the list: its heading, which chooses it, and buttons that move and remove it."""
    number = each.number
    with st.container(horizontal=True, gap=None, vertical_alignment="center", key=f"talk-row-{number}"):
        label = page_elements.as_label(f"{place + 1}. {each.slide.title or say('own-talk-untitled')}")
        st.button(
            label, key=f"talk-slide-{number}", type="tertiary", width="stretch", on_click=setattr,
            args=(draft, "chosen", number), help=each.slide.caption or None,
        )  # fmt: skip
        ends = {"up": place == 0, "down": place == len(draft.slides) - 1}
        for name, step in (("up", -1), ("down", 1)):
            st.button(
                "", key=f"talk-{name}-{number}", icon=f":material/arrow_{name}ward:", type="tertiary",
                help=say(f"own-talk-{name}"), disabled=ends[name], on_click=draft.move, args=(number, step),
            )  # fmt: skip
        st.button(
            "", key=f"talk-remove-{number}", icon=":material/close:", type="tertiary", help=say("own-talk-remove"),
            on_click=draft.remove, args=(number,),
        )  # fmt: skip
    if number == draft.chosen:
        page_elements.mark_current(f"talk-slide-{number}")


def _texts(draft: TalkDraft) -> None:
    """Draws the texts of the chosen slide, to be edited."""
    each = draft.chosen_slide()
    if each is None:
        return
    slide, number = each.slide, each.number

    def save(name: str) -> None:
        draft.edit(number, **{name: st.session_state[f"talk-{name}-{number}"]})

    for name in ("title", "caption", "notes"):  # set here, since a field that is there keeps its text
        key = f"talk-{name}-{number}"
        if st.session_state.get(key) != getattr(slide, name):
            st.session_state[key] = getattr(slide, name)
    st.text_input(
        say("own-talk-title"), max_chars=MAX_TITLE, key=f"talk-title-{number}", on_change=save, args=("title",)
    )
    for name, chars, height in (("caption", MAX_CAPTION, 80), ("notes", MAX_NOTES, 120)):
        st.text_area(
            say(f"own-talk-{name}"), height=height, max_chars=chars, key=f"talk-{name}-{number}", on_change=save,
            args=(name,),
        )  # fmt: skip


def _outputs(state: State) -> None:
    """Draws the talk's own title, and the buttons that save it and open it."""
    draft = own_talk()

    def save() -> None:
        draft.title = st.session_state[_NAME]

    if st.session_state.get(_NAME) != draft.title:  # set here, since a field that is there keeps its text
        st.session_state[_NAME] = draft.title
    st.text_input(say("own-talk-name"), max_chars=MAX_TITLE, key=_NAME, on_change=save)
    if not draft.runs:
        page_elements.note(say("own-talk-texts"), "remark")
        return
    talk = draft.talk(run_of, current_language())
    lost = len(draft.slides) - (0 if talk is None else len(talk.slides))
    if lost:
        page_elements.note(say("own-talk-lost", count=lost), "remark")
    if talk is None:
        return
    name = file_stem(talk.title)
    html_help, bundle_help = say("own-talk-html-help"), say("own-talk-bundle-help")
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        st.download_button(
            say("save-talk"), lambda: _document(talk).encode(), f"{name}-talk.html", "text/html", key="talk-html",
            help=html_help, on_click="ignore",
        )  # fmt: skip
        st.download_button(
            say("own-talk-bundle"), talk.to_bytes, f"{name}.mmviz", "application/octet-stream", key="talk-bundle",
            help=bundle_help, on_click="ignore",
        )  # fmt: skip
        with st.container(width=180):
            _open(draft, talk)


def _open(draft: TalkDraft, talk: Talk) -> None:
    """Draws the button that opens the talk in a window of its own, and sends its document there after a click."""
    texts = {"label": say("own-talk-open"), "help": say("own-talk-open-help"), "link": say("own-talk-link")}
    html = _document(talk) if draft.is_opening else ""
    draft.is_opening = False
    _open_button(key="talk-open", data={**texts, "number": draft.opened, "html": html}, on_open_change=_request_open)


def _request_open() -> None:
    draft = own_talk()
    draft.is_opening, draft.opened = True, draft.opened + 1


def _document(talk: Talk) -> str:
    with use_language(talk.language):
        return talk.to_html()
