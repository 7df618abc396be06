"""A page that others can reach: its login, a remote backend that fails and recovers, and one that is hostile."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from app_page import markup, notes, now, run, visit
from serving import SlowBackend, running_service, text_record

from mmviz.app import login, resources
from mmviz.app import session_state as state
from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import RemoteBackend
from mmviz.types import AttentionRecord, Card, MmvizError, Modality, Notice, Request, Token

pytestmark = pytest.mark.slow

TOKEN = "a-token-of-twenty-chars"


def test_the_page_opens_for_the_access_token_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MMVIZ_ACCESS", TOKEN)
    monkeypatch.setattr(login, "PAUSE", 0.0)
    page = visit()
    assert "class='word'" not in markup(page) and len(page.text_input) == 1
    page.text_input[0].set_value("a-token-of-twenty-char")
    page.button[0].click()
    run(page)
    assert "not the access token" in notes(page, "error")[0] and len(page.text_input) == 1
    page.text_input[0].set_value(f" {TOKEN} ")
    page.button[0].click()
    run(page)
    run(page)
    assert "class='word'" in markup(page)


@pytest.fixture
def fresh_backend() -> Iterator[None]:
    """Makes the page create its backend anew, before and after the test."""
    resources.warm_backend.clear()
    yield
    resources.warm_backend.clear()


@pytest.mark.long
def test_a_backend_that_fails_is_reported_and_one_click_calls_it_again(
    fresh_backend: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_service(LocalBackend("cpu")) as url:
        works = [False]
        send = RemoteBackend._send_once

        def send_once(self: RemoteBackend, *arguments: Any) -> object:
            if not works[0]:
                raise MmvizError("backend-unreachable", host=self.host, why="nothing listens there")
            return send(self, *arguments)

        monkeypatch.setattr(RemoteBackend, "_send_once", send_once)
        monkeypatch.setattr(sys, "argv", ["run.py", "--backend", url])
        page = visit()
        host = url.removeprefix("http://")
        assert f"Runs go to {host}" in markup(page)
        page.text_input(key=state.QUESTION).set_value("How many things are there?")
        run(page)
        next(button for button in page.button if button.key == "run").click()
        run(page)
        assert "computed on this machine instead" in "".join(notes(page, "remark"))
        assert f"of {host} in" not in markup(page) and now(page).run.record.made_by["device"] == "cpu"
        works[0] = True
        next(button for button in page.button if button.key == "backend-again").click()
        run(page)
        assert f"of {host} in" in markup(page) and "for the round trip" in markup(page)
        assert not [button for button in page.button if button.key == "backend-again"]


class HostileBackend(SlowBackend):
    """A backend that returns markup in every text."""

    def run(self, requests: Sequence[Request], progress: Any = None, stop: Any = None) -> tuple[AttentionRecord, ...]:
        record = text_record(MARKUP)
        made_by = {
            "model": MARKUP,
            "device": MARKUP,
            "device_name": MARKUP,
            "milliseconds": {"model": 1.0},
            "changes": [MARKUP],
        }
        tokens = (Token(Modality.SPECIAL, MARKUP), Token(Modality.TEXT, MARKUP))
        maps = (replace(record.maps[0], weights=np.full((1, 2, 2), 0.5, np.float32), name=MARKUP),)
        notice = Notice("model-unknown", {"model": MARKUP, "known": MARKUP})
        return (replace(record, made_by=made_by, streams={"tokens": tokens}, maps=maps, notices=(notice,)),)

    def models(self) -> tuple[Card, ...]:
        return (replace(super().models()[0], id="trio", title=MARKUP, description=MARKUP),)


MARKUP = "<img src=x onerror=alert(1)> [x](javascript:alert(1)) $\\frac{a}{b}$ :red[y] `z`"


def test_markup_from_a_hostile_backend_stays_text(fresh_backend: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_service(HostileBackend()) as url:
        monkeypatch.setattr(sys, "argv", ["run.py", "--backend", url])
        page = visit()
        page.text_input(key=state.QUESTION).set_value("How many things are there?")
        run(page)
        next(button for button in page.button if button.key == "run").click()
        run(page)
        assert now(page).run.record.answers[0].label == MARKUP
        assert "<img src=x" not in markup(page) and "&lt;img src=x" in markup(page)
        elements = [element for kind in ("markdown", "caption") for element in page.get(kind)]
        texts = [element.value for element in elements if hasattr(element, "value")]
        assert not [text for text in texts if "javascript:" in text or "frac" in text]
        assert "<img src=x" not in now(page).run.to_html()
