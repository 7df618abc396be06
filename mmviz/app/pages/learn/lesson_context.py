"""What a lesson works on: the run that is loaded, and things to move whose positions are in the page's address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import streamlit as st

from mmviz.app.components import widgets
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.explain import Run
from mmviz.figures.token_labels import names
from mmviz.i18n.page import say

T = TypeVar("T")


@dataclass
class LessonContext:
    """``lesson``: its id; ``bench``: the run and where variants of it are run. ``numbers``: what the lesson has shown,
    what each is and how it is written, for the sheet."""

    lesson: str
    bench: ExperimentRunner
    numbers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def run(self) -> Run:
        return self.bench.run

    def slider(self, name: str, options: Sequence[T], usual: T, write: Callable[[T], str] = str) -> T:
        """A slider over ``options``, at the one that the address names, else at the ``usual``."""
        found: T = st.select_slider(
            say(f"learn-{self.lesson}-{name}"), options, value=self._at(name, options, usual, write), format_func=write,
            key=self._key(name), help=say(f"learn-{self.lesson}-{name}-help"),
        )  # fmt: skip
        return self._kept(name, write(found), found)

    def choice(self, name: str, options: Sequence[T], usual: T, call: Callable[[T], str] = str) -> T:
        """A box to choose from; ``call`` gives what an option is called on the page. In the address it is a number."""
        places = range(len(options))
        at = self._at(name, places, list(options).index(usual), str)
        place = st.selectbox(
            say(f"learn-{self.lesson}-{name}"), places, index=at, format_func=lambda k: call(options[k]),
            key=self._key(name), help=say(f"learn-{self.lesson}-{name}-help"),
        )  # fmt: skip
        return self._kept(name, str(place), options[place])

    def switch(self, name: str, options: Sequence[T], usual: T, call: Callable[[T], str] = str) -> T:
        """A few options beside each other, of which one is chosen. In the address it is a number."""
        places = range(len(options))
        at = self._at(name, places, list(options).index(usual), str)
        place = st.segmented_control(
            say(f"learn-{self.lesson}-{name}"), places, default=at, required=True, key=self._key(name),
            format_func=lambda k: call(options[k]), label_visibility="collapsed",
            help=say(f"learn-{self.lesson}-{name}-help"),
        )  # fmt: skip
        place = at if place is None else place
        return self._kept(name, str(place), options[place])

    def several(self, name: str, options: Sequence[T], call: Callable[[T], str] = str) -> list[T]:
        """Any number of ``options``, none at first."""
        places = range(len(options))
        wanted = self.bench.now.at.get(name, "")
        parts = [part for part in wanted.split(".") if part]
        known = [int(part) for part in parts if part.isdecimal() and int(part) < len(options)]
        if len(known) < len(parts):
            self.bench.now.odd.add(name)
        chosen = st.pills(
            say(f"learn-{self.lesson}-{name}"), places, default=known, format_func=lambda k: call(options[k]),
            selection_mode="multi", key=self._key(name), help=say(f"learn-{self.lesson}-{name}-help"),
        )  # fmt: skip
        return self._kept(name, ".".join(map(str, sorted(chosen))), [options[k] for k in sorted(chosen)])

    def number(self, code: str, written: str, **parameters: object) -> None:
        """Show a number that was measured now."""
        label = say(f"learn-{self.lesson}-{code}", **parameters)
        self.numbers.append((label, written))
        st.metric(label, written)

    def stepped(self) -> Run | None:
        """This run with the steps of every layer, for which it is made once more; None until they are there. Of a run
        that is too long, or of which they cannot be had, the page says so."""
        request = replace(self.bench.request, steps=True)
        records = self.bench.measured(("steps",), lambda *_: self.bench.backend().run([request]))
        if not records:
            return None
        if not records[0].steps:
            widgets.note(say("learn-long" if self.run.record.is_long else "learn-no-steps"), "remark")
            return None
        return Run(self.run.sample, records[0], self.run.backend, request)

    def tokens(self, stream: str) -> list[str]:
        """Names of the tokens of a stream of this run, as people read them."""
        return names(self.run.record.streams[stream])

    def _key(self, name: str) -> str:
        return f"learn-{self.lesson}-{name}-{self.bench.now.visits}"

    def _at(self, name: str, options: Sequence[T], usual: T, write: Callable[[T], str]) -> T:
        wanted = self.bench.now.at.get(name)
        if wanted is None:
            return usual
        found = [option for option in options if write(option) == wanted]
        if not found:
            self.bench.now.odd.add(name)
        return found[0] if found else usual

    def _kept(self, name: str, written: str, value: T) -> T:
        self.bench.now.at[name] = written
        return value
