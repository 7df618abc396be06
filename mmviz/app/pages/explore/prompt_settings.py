"""The prompt of a model, and the settings under which it writes its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from mmviz.app import run_change_actions
from mmviz.app import session_state as session
from mmviz.app.components import page_elements
from mmviz.i18n.errors_and_notices import sentence
from mmviz.i18n.page import say
from mmviz.types import AttentionRecord

MAX_TOKENS = 512
"""Tokens of an answer that a visitor may ask for."""


def prompt_settings(record: AttentionRecord, is_saved: bool) -> None:
    """Draws the prompt of a run, and fields for the settings of the next one; nothing for models without a prompt."""
    settings: Mapping[str, Any] = record.made_by.get("settings", {})
    if "prompt" not in record.made_by:
        return
    with st.expander(say("prompt")):
        page_elements.note(say("prompt-help"))
        st.code(record.made_by["prompt"], language=None, wrap_lines=True)
        page_elements.note(decoding_text(record.made_by.get("decoding")))
        if is_saved:
            return
        with st.form("prompt-settings", border=False):
            if "system" in settings:  # a model that writes down a sound is told nothing
                st.text_area(say("prompt-system"), settings["system"], key=_key(record, "system"), height=80)
            st.number_input(
                say("prompt-tokens"), 1, MAX_TOKENS, min(settings["new_tokens"], MAX_TOKENS),
                key=_key(record, "new_tokens"), width=200,
            )  # fmt: skip
            if "template" in settings:
                st.text_area(
                    say("prompt-template"), settings["template"], key=_key(record, "template"), height=160,
                    help=say("prompt-template-help"),
                )  # fmt: skip
            st.form_submit_button(say("prompt-run"), on_click=_apply, args=(record.id,))
        if session.current_state().options:
            st.button(say("prompt-reset"), key="prompt-reset", on_click=run_change_actions.set_options, args=((),))


def decoding_text(changed: Any) -> str:
    """Returns how the tokens of an answer are chosen; ``changed``: what the checkpoint's own settings change of it."""
    if not isinstance(changed, Mapping) or not changed:
        return sentence("hf-decoding")
    return sentence("hf-decoding-own", settings=", ".join(f"{name} {value}" for name, value in changed.items()))


def _apply(record_id: str) -> None:
    """Runs the form again under the settings that were changed, and those of earlier runs."""
    state = session.current_state()
    run = state.shown_run(record_id)
    if run is None:
        return
    changed = dict(state.options)
    settings: Mapping[str, Any] = run.record.made_by.get("settings", {})
    for name, value in settings.items():
        chosen = st.session_state[_key(run.record, name)]
        if chosen != value:
            changed[name] = chosen
    run_change_actions.set_options(tuple(changed.items()))


def _key(record: AttentionRecord, name: str) -> str:
    return f"setting-{record.id}-{name}"
