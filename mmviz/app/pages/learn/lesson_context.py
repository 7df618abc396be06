"""The context of a lesson: the current run, and controls whose values are kept in the address of the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mmviz.app.components import page_elements
from mmviz.app.components.stack_select import stack_select
from mmviz.app.experiment_runner import ExperimentRunner
from mmviz.app.session_state import LessonId
from mmviz.explain import Run
from mmviz.figures.token_labels import names
from mmviz.i18n.page import say

T = TypeVar("T")
PART = "learn-part"
"""Begins the keys of the containers of the parts of a lesson."""


@dataclass
class LessonContext:
    """The run that a lesson is drawn for, its controls, and the numbers that it has shown.

    Every control is named within its lesson; its value is kept in the address as ``at-NAME``.
    """

    lesson: LessonId
    """The lesson that is drawn. The codes of its texts begin with ``learn-`` and this id."""
    runner: ExperimentRunner
    """The current run, and the experiments on it."""
    numbers: list[tuple[str, str]] = field(default_factory=list)
    """Label and value of every number shown so far, for the sheet to print."""
    part: str | None = None
    """The part that is shown in large type, in a presentation; None on the page, which shows all parts."""
    _suffix: str = ""
    """Ends the names of controls that depend on the stack, where it is not the default one."""

    @property
    def run(self) -> Run:
        """The current run."""
        return self.runner.run

    @property
    def is_large(self) -> bool:
        """Whether the lesson is drawn in large type."""
        return self.part is not None

    def in_part(self, name: str, control: str = "") -> DeltaGenerator:
        """Returns a container for what is shown on one slide of the presentation alone: the part ``name`` of the
        lesson, or a ``control`` of it that stands elsewhere."""
        return st.container(key=f"{PART}-{name}{control and '-'}{control}")

    def slider(self, name: str, options: Sequence[T], default: T, to_text: Callable[[T], str] = str) -> T:
        """A slider over ``options``, which are written with ``to_text`` on the page and in the address."""
        value: T = st.select_slider(
            say(f"learn-{self.lesson}-{name}"), options, value=self._from_address(name, options, default, to_text),
            format_func=to_text, key=self._key(name), help=say(f"learn-{self.lesson}-{name}-help"),
        )  # fmt: skip
        self._to_address(name, to_text(value))
        return value

    def choice(self, name: str, options: Sequence[T], default: T, label: Callable[[T], str] = str) -> T:
        """A select box over ``options``, labelled with ``label``. The address has the index of the option."""
        indices = range(len(options))
        default_index = self._from_address(name, indices, list(options).index(default), str)
        index = st.selectbox(
            say(f"learn-{self.lesson}-{name}"), indices, index=default_index, format_func=lambda k: label(options[k]),
            key=self._key(name), help=say(f"learn-{self.lesson}-{name}-help"),
        )  # fmt: skip
        self._to_address(name, str(index))
        return options[index]

    def stack_choice(self) -> str:
        """A box to choose a stack, where the run has several. Controls that follow are remembered for each stack."""
        record = self.run.record
        stacks = record.stacks
        index = self._from_address("stack", range(len(stacks)), stacks.index(record.default_stack), str)
        stack = stack_select(record, self._key("stack"), index)
        if len(stacks) > 1:
            self._to_address("stack", str(stacks.index(stack)))
        self._suffix = "" if stack == record.default_stack else f"-{stacks.index(stack)}"
        return stack

    def map_choice(self, name: str, stack: str, default: int = -1) -> int:
        """A box to choose a layer of a stack. Returns the number of the map.

        ``default``: index of the layer that is chosen at first; the last layer of a shorter stack.
        """
        record = self.run.record
        numbers = [number for number, attn_map in enumerate(record.maps) if attn_map.stack == stack]
        first = numbers[default] if default < len(numbers) else numbers[-1]
        return self.choice(name, numbers, first, lambda number: str(numbers.index(number) + 1))

    def switch(self, name: str, options: Sequence[T], default: T, label: Callable[[T], str] = str) -> T:
        """A segmented control over a few ``options``. The address has the index of the option."""
        indices = range(len(options))
        default_index = self._from_address(name, indices, list(options).index(default), str)
        index = st.segmented_control(
            say(f"learn-{self.lesson}-{name}"), indices, default=default_index, required=True, key=self._key(name),
            format_func=lambda k: label(options[k]), label_visibility="collapsed",
            help=say(f"learn-{self.lesson}-{name}-help"),
        )  # fmt: skip
        index = default_index if index is None else index
        self._to_address(name, str(index))
        return options[index]

    def several(self, name: str, options: Sequence[T], label: Callable[[T], str] = str) -> list[T]:
        """Pills to select any number of ``options``, at first none. The address has their indices, joined by dots."""
        indices = range(len(options))
        text = self.runner.state.lesson_params.get(name + self._suffix, "")
        parts = [part for part in text.split(".") if part]
        known = [int(part) for part in parts if part.isdecimal() and int(part) < len(options)]
        if len(known) < len(parts):
            self.runner.state.unknown_params.add(name)
        selected = st.pills(
            say(f"learn-{self.lesson}-{name}"), indices, default=known, format_func=lambda k: label(options[k]),
            selection_mode="multi", key=self._key(name), help=say(f"learn-{self.lesson}-{name}-help"),
        )  # fmt: skip
        self._to_address(name, ".".join(map(str, sorted(selected))))
        return [options[k] for k in sorted(selected)]

    def number(self, code: str, value: str, **parameters: object) -> None:
        """Show a measured number as a metric, and keep it for the sheet."""
        label = say(f"learn-{self.lesson}-{code}", **parameters)
        self.numbers.append((label, value))
        st.metric(label, value)

    def run_with_steps(self) -> Run | None:
        """The run again, with query, key, value and mask of every layer in ``record.steps``.

        None until it has finished, and where its record cannot have them (a long run, or a model whose attention does
        not give them), which the page then says.
        """
        request = replace(self.runner.request, steps=True)
        records = self.runner.measure(("steps",), lambda *_: self.runner.backend().run([request]))
        if not records:
            return None
        if not records[0].steps:
            page_elements.note(say("learn-long" if self.run.record.is_long else "learn-no-steps"), "remark")
            return None
        return Run(self.run.sample, records[0], self.run.backend, request)

    def token_names(self, stream: str) -> list[str]:
        """Display names of the tokens of a stream of this run."""
        return names(self.run.record.streams[stream])

    def _key(self, name: str) -> str:
        return f"learn-{self.lesson}-{name}{self._suffix}-{self.runner.state.lesson_serial}"

    def _from_address(self, name: str, options: Sequence[T], default: T, to_text: Callable[[T], str]) -> T:
        name += self._suffix
        text = self.runner.state.lesson_params.get(name)
        if text is None:
            return default
        matching = [option for option in options if to_text(option) == text]
        if not matching:
            self.runner.state.unknown_params.add(name)
        return matching[0] if matching else default

    def _to_address(self, name: str, text: str) -> None:
        self.runner.state.lesson_params[name + self._suffix] = text
