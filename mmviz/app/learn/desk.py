"""What a lesson works on: the run that is loaded, and things to move whose positions are in the page's address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import streamlit as st

from mmviz.app import widgets
from mmviz.app.debug.measuring import Bench
from mmviz.app.texts import say
from mmviz.explain import Run
from mmviz.figures.places import names
from mmviz.types import Steps

T = TypeVar("T")


@dataclass(frozen=True)
class Number:
    """A number of this lesson, measured now: what it is, how it is written, and for whoever checks its ``value``."""

    label: str
    written: str
    value: float


@dataclass
class Desk:
    """``lesson``: its id; ``bench``: the run and where variants of it are run. ``numbers``: what the lesson has shown,
    for the sheet."""

    lesson: str
    bench: Bench
    numbers: list[Number] = field(default_factory=list)

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

    def number(self, code: str, value: float, written: str, **parameters: object) -> None:
        """Show a number that was measured now."""
        label = say(f"learn-{self.lesson}-{code}", **parameters)
        self.numbers.append(Number(label, written, value))
        st.metric(label, written)

    def steps(self) -> tuple[Steps, ...] | None:
        """Queries, keys and values of every layer of this run; None until they are there. Of a run that is too long,
        or of which they cannot be had, the page says so."""
        run = self.bench.measured(("steps",), lambda *_: self.stepped())
        if run is None:
            return None
        if not run.record.steps:
            widgets.note(say("learn-long" if self.run.record.is_long else "learn-no-steps"), "remark")
            return None
        return run.record.steps

    def stepped(self) -> Run:
        """This run made once more with its steps, and then kept."""
        job = self.bench.now.works.get((self.run.record.id, "steps"))
        if job is not None and job.result is not None:
            found: Run = job.result
            return found
        backend, request = self.bench.backend(), replace(self.bench.request, steps=True)
        (record,) = backend.run([request])
        return Run(self.run.sample, record, backend, request)

    def tokens(self, stream: str | None = None) -> list[str]:
        """Names of the tokens of a stream of this run, as people read them."""
        record = self.run.record
        return names(record.streams[stream or record.maps[-1].keys])

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
