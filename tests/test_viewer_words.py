"""The viewer's sentences: each is used, each that is used is there, and each gets what it names."""

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
    """A call of ``say``: ``exact`` codes, ``patterns`` of others, and the names of what is filled in."""

    where: str
    exact: set[str]
    patterns: list[re.Pattern[str]]
    names: set[str]

    def codes(self) -> set[str]:
        """All codes of `WORDS` that the call may mean. What begins with a variable must be quoted somewhere."""
        found = {code for pattern in self.patterns for code in WORDS if (hit := pattern.fullmatch(code)) and known(hit)}
        return (self.exact & set(WORDS)) | found


def known(hit: re.Match[str]) -> bool:
    return all(value in QUOTED for name, value in hit.groupdict().items() if name == "first")


def arguments(source: str, at: int) -> list[str]:
    """The arguments of the call whose bracket opens at ``at``."""
    depth, start, found, quote = 0, at + 1, [], ""
    for k in range(at, len(source)):
        sign = source[k]
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'`":
            quote = sign
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
            if depth == 0:
                return [*found, source[start:k]]
        elif sign == "," and depth == 1:
            found.append(source[start:k])
            start = k + 1
    raise ValueError("a bracket stays open")


def read(where: str, source: str) -> list[Call]:
    calls = []
    for hit in re.finditer(r"\bsay\(", source):
        first, *rest = [one.strip() for one in arguments(source, hit.end() - 1)]
        if source[: hit.start()].endswith(("const ", "function ")) or re.match(
            r"say\(code, values = ", source[hit.start() :]
        ):
            continue  # where it is defined
        exact, patterns = set(), []
        for one in LITERAL.finditer(re.sub(r'[!=]== "[^"]*"', "", first)):
            if one["template"] is not None:
                parts = [re.escape(part) for part in re.split(r"\$\{[^}]*\}", one["template"])]
                opening = "" if parts[0] else "(?P<first>.+)"
                patterns.append(re.compile(opening + ".+".join(parts[0 if parts[0] else 1 :])))
            elif one["before"] or one["after"]:
                opening, ending = ("(?P<first>.+)" if one["before"] else ""), (".+" if one["after"] else "")
                patterns.append(re.compile(opening + re.escape(one["plain"]) + ending))
            else:
                exact.add(one["plain"])
        names = set(re.findall(r"(?:^\{|,)\s*(\w+)\s*(?=[,:}])", rest[0])) if rest else set()
        calls.append(Call(where, exact, patterns, names))
    return calls


CALLS = [call for name, source in SOURCES.items() for call in read(name, source)]


def fields(code: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(WORDS[code]) if name is not None}


def test_calls_are_read_as_they_are_written() -> None:
    source = """
      say("one"), say("two-" + x, { a, d: ")}", b: f(1, { c }) }), say(`${x}-help`), say(y + "-help"),
      say(z === "no" ? "three" : "four"), say(code)
    """
    one, two, helped, also, either, by_name = read("x.js", source)
    assert one == Call("x.js", {"one"}, [], set()) and by_name == Call("x.js", set(), [], set())
    assert two.patterns[0].fullmatch("two-x") and two.names == {"a", "b", "d"}
    assert helped.patterns[0].fullmatch("x-help")["first"] == "x" == also.patterns[0].fullmatch("x-help")["first"]
    assert either.exact == {"three", "four"}


def test_every_sentence_that_is_said_is_there() -> None:
    assert CALLS
    for call in CALLS:
        assert call.exact <= set(WORDS), f"{call.location} says {call.exact - set(WORDS)}"
        for pattern in call.patterns:
            assert any(pattern.fullmatch(code) for code in WORDS), f"{call.location} says {pattern.pattern}"


def test_every_sentence_that_is_there_is_said() -> None:
    said = {code for call in CALLS for code in call.codes()}
    assert not {code for code in WORDS if code not in said | QUOTED}
    report = (FOLDER.parent / "report" / "about.py").read_text("utf-8")
    assert not {code for code in ABOUT if f'"{code}"' not in report}


def test_every_sentence_gets_what_it_names() -> None:
    for call in CALLS:
        for code in call.exact:
            assert fields(code) <= call.names, f"{call.location} gives {call.names} to {code}"
    for code in WORDS:  # by an exact call, or by one whose code is put together
        assert any(code in call.codes() and fields(code) <= call.names for call in CALLS) or not fields(code), code


@pytest.mark.parametrize("code", WORDS)
def test_a_sentence_is_one_that_javascript_can_fill(code: str) -> None:
    for _, name, how, conversion in Formatter().parse(WORDS[code]):
        assert name is None or (re.fullmatch(r"\w+", name) and not how and not conversion)
