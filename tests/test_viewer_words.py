"""The viewer's texts: each is used, each that is used exists, and each gets the parameters that it names."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import NamedTuple

import pytest

from mmviz.i18n.viewer import ABOUT, WORDS
from mmviz.viewer import pack

FOLDER = Path(pack.__file__).parent
SOURCES = {path.name: path.read_text("utf-8") for path in sorted((FOLDER / "js").glob("*.js"))}
QUOTED = set(re.findall(r'"([\w-]+)"', "\n".join(SOURCES.values())))
LITERAL = re.compile(r'(?P<before>\+ )?(?:"(?P<plain>[^"]*)"|`(?P<template>[^`]*)`)(?P<after> \+)?')


class Call(NamedTuple):
    """A call of ``say``."""

    file: str
    codes: set[str]
    """Codes that are written out."""
    patterns: list[re.Pattern[str]]
    """Patterns of codes that are put together from parts."""
    parameters: set[str]
    """Names of the parameters that are passed."""

    def possible_codes(self) -> set[str]:
        """Returns all codes of `WORDS` that the call may mean. A code's variable opening must be quoted somewhere."""
        built = {
            code
            for pattern in self.patterns
            for code in WORDS
            if (match := pattern.fullmatch(code)) and has_quoted_opening(match)
        }
        return (self.codes & set(WORDS)) | built


def has_quoted_opening(match: re.Match[str]) -> bool:
    return match.groupdict().get("opening") in QUOTED | {None}


def split_arguments(source: str, start: int) -> list[str]:
    """Returns the arguments of the call whose bracket opens at ``start``."""
    depth, begin, arguments, quote = 0, start + 1, [], ""
    for k in range(start, len(source)):
        character = source[k]
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'`":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth == 0:
                return [*arguments, source[begin:k]]
        elif character == "," and depth == 1:
            arguments.append(source[begin:k])
            begin = k + 1
    raise ValueError("a bracket is not closed")


def read_calls(file: str, source: str) -> list[Call]:
    calls = []
    for match in re.finditer(r"\bsay\(", source):
        first, *rest = [argument.strip() for argument in split_arguments(source, match.end() - 1)]
        is_definition = re.match(r"say\(code, values = ", source[match.start() :])
        if is_definition or source[: match.start()].endswith(("const ", "function ")):
            continue
        codes, patterns = set(), []
        for literal in LITERAL.finditer(re.sub(r'[!=]== "[^"]*"', "", first)):
            if literal["template"] is not None:
                parts = [re.escape(part) for part in re.split(r"\$\{[^}]*\}", literal["template"])]
                opening = "" if parts[0] else "(?P<opening>.+)"
                patterns.append(re.compile(opening + ".+".join(parts[0 if parts[0] else 1 :])))
            elif literal["before"] or literal["after"]:
                opening, ending = ("(?P<opening>.+)" if literal["before"] else ""), (".+" if literal["after"] else "")
                patterns.append(re.compile(opening + re.escape(literal["plain"]) + ending))
            else:
                codes.add(literal["plain"])
        parameters = set(re.findall(r"(?:^\{|,)\s*(\w+)\s*(?=[,:}])", rest[0])) if rest else set()
        calls.append(Call(file, codes, patterns, parameters))
    return calls


CALLS = [call for file, source in SOURCES.items() for call in read_calls(file, source)]


def parameters(code: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(WORDS[code]) if name is not None}


def test_every_form_of_call_is_read() -> None:
    source = """
      say("plain"), say("start-" + x, { a, d: ")}", b: f(1, { c }) }), say(`${x}-help`), say(y + "-help"),
      say(z === "no" ? "three" : "four"), say(code)
    """
    plain, start, template, end, choice, variable = read_calls("x.js", source)
    assert plain == Call("x.js", {"plain"}, [], set()) and variable == Call("x.js", set(), [], set())
    assert start.patterns[0].fullmatch("start-x") and start.parameters == {"a", "b", "d"}
    for call in (template, end):
        match = call.patterns[0].fullmatch("x-help")
        assert match is not None and match["opening"] == "x"
    assert choice.codes == {"three", "four"}


def test_every_text_that_is_used_exists() -> None:
    assert CALLS
    for call in CALLS:
        assert call.codes <= set(WORDS), f"{call.file} uses {call.codes - set(WORDS)}"
        for pattern in call.patterns:
            assert any(pattern.fullmatch(code) for code in WORDS), f"{call.file} uses {pattern.pattern}"


def test_every_text_is_used() -> None:
    used = {code for call in CALLS for code in call.possible_codes()}
    assert not {code for code in WORDS if code not in used | QUOTED}
    report = "\n".join(path.read_text("utf-8") for path in (FOLDER.parent / "report").glob("*.py"))
    assert not {code for code in ABOUT if f'"{code}"' not in report}


@pytest.mark.slow
def test_every_text_gets_its_parameters() -> None:
    for call in CALLS:
        for code in call.codes:
            assert parameters(code) <= call.parameters, f"{call.file} gives {call.parameters} to {code}"
    for code in WORDS:  # by a call that writes the code out, or by one that puts it together
        calls = [call for call in CALLS if code in call.possible_codes() and parameters(code) <= call.parameters]
        assert calls or not parameters(code), code


@pytest.mark.parametrize("code", WORDS)
def test_javascript_can_fill_the_text(code: str) -> None:
    for _, name, spec, conversion in Formatter().parse(WORDS[code]):
        assert name is None or (re.fullmatch(r"\w+", name) and not spec and not conversion)
