"""Every wait has a deadline, and none lasts a fixed time: the source of tests, tools and benchmarks."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("tests", "tools", "benchmarks")
PROCESSES = {"run", "call", "check_call", "check_output"}
WAITS = {"wait", "join", "result", "acquire", "communicate"}
"""Methods that wait for ever where they are called with nothing; ``get`` is that of a queue, among others."""
PLACE_OF_TIMEOUT = {"urlopen": 3, "HTTPConnection": 3, "HTTPSConnection": 3, "create_connection": 2}
"""What connects, and how many positional arguments it has where the last of them is the timeout."""
SLEEPS = {"sleep", "wait_for_timeout"}
CLOCKS = {"monotonic", "perf_counter", "process_time", "time"}
MAY_WAIT = re.compile(
    r"subprocess|queue|(?<![\"'])\.(?:join|wait|result|acquire|communicate)\(|sleep\(|wait_for_timeout\(|"
    r"urlopen|HTTPS?Connection|create_connection|monotonic\(|perf_counter\(|process_time\("
)
"""A file without any of these has no wait, and is not parsed."""
SLOW_BY_DESIGN = {"slow_model.py"}
"""Files of tests that last for a time because this is what they stand for: a model whose forward pass is slow."""


def name_of(node: ast.AST) -> str:
    """The last part of a dotted name; empty for anything else."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def calls(tree: ast.AST, names: set[str]) -> list[ast.Call]:
    """All calls below ``tree`` of functions and methods with these names."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and name_of(node.func) in names]


def has_deadline(call: ast.Call) -> bool:
    """Whether a call waits for a limited time; a call of anything that does not wait counts as such."""
    if any(keyword.arg in ("timeout", "timeout_s") for keyword in call.keywords):
        return True
    owner, name = call.func.value if isinstance(call.func, ast.Attribute) else None, name_of(call.func)
    if owner is not None and name_of(owner) == "subprocess":
        return name not in PROCESSES
    if name in PLACE_OF_TIMEOUT:
        return len(call.args) >= PLACE_OF_TIMEOUT[name]
    if owner is None or isinstance(owner, ast.Constant):  # a function of that name; "".join
        return True
    if name == "get":
        return "queue" not in name_of(owner).lower() or bool(call.args)
    return name not in WAITS or (bool(call.args) and name != "communicate")


def endless(source: str) -> Iterator[int]:
    """The lines of waits without a deadline, those of programs inside strings included."""
    tree = ast.parse(source)
    yield from (call.lineno for call in ast.walk(tree) if isinstance(call, ast.Call) and not has_deadline(call))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "import " in node.value:
            try:
                yield from (node.lineno + line for line in endless(dedent(node.value)))
            except SyntaxError:  # prose, or a template
                continue


def fixed(source: str) -> Iterator[int]:
    """The lines of loops that wait without a deadline, and of pauses outside a loop with one."""
    tree = ast.parse(source)
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.While) and calls(node, {*SLEEPS, *WAITS})]
    limited = [loop for loop in loops if calls(loop, {"monotonic"})]
    yield from (loop.lineno for loop in loops if loop not in limited)
    inside = {id(call) for loop in limited for call in calls(loop, SLEEPS)}
    yield from (call.lineno for call in calls(tree, SLEEPS) if id(call) not in inside)


def by_seconds(source: str) -> Iterator[int]:
    """The lines of assertions on how long something took."""
    for node in ast.walk(ast.parse(source)):
        spans = [part for part in ast.walk(node) if isinstance(part, ast.BinOp) and isinstance(part.op, ast.Sub)]
        if isinstance(node, ast.Assert) and any(calls(span, CLOCKS) for span in spans):
            yield node.lineno


def faults(folders: Iterable[str], rule: Callable[[str], Iterator[int]]) -> dict[str, list[int]]:
    """The lines of each file that break a rule."""
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    sources = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in paths}
    lines = {name: list(rule(source)) for name, source in sources.items() if MAY_WAIT.search(source)}
    assert len(lines) > 9, "the folders are not where they were"
    return {name: numbers for name, numbers in lines.items() if numbers}


def test_every_wait_has_a_deadline() -> None:
    assert not faults(FOLDERS, endless), "these lines wait for ever"


def test_no_test_waits_for_a_time() -> None:
    waits = {name: lines for name, lines in faults(["tests"], fixed).items() if Path(name).name not in SLOW_BY_DESIGN}
    assert not waits, "these lines wait for a time, not for a condition with a deadline"


def test_no_test_judges_by_seconds() -> None:
    assert not faults(["tests"], by_seconds), "another machine takes another time"
    assert list(by_seconds("assert job.wait(9) and time.monotonic() - start < 4"))
    assert not list(by_seconds("assert time.monotonic() < end"))


def test_waits_of_every_kind_are_recognised() -> None:
    for wait in (
        "subprocess.run(command, check=True)", "process.wait()", "process.communicate(b'')", "thread.join()",
        "future.result()", "lock.acquire()", "queue.get()", "socket.create_connection(address)",
        "urllib.request.urlopen(url)", "code = '''\n{}\nthread.join()\n'''".format("import threading"),
    ):  # fmt: skip
        assert list(endless(wait)) and MAY_WAIT.search(wait), wait
    for limited in (
        "subprocess.run(command, timeout=9)", "process.wait(9)", "process.communicate(timeout=9)", "' '.join(words)",
        "future.result(timeout=9)", "queue.get(timeout=9)", "socket.create_connection(address, 9)", "setting.get()",
        "locator.wait_for()", "run(command)",
    ):  # fmt: skip
        assert not list(endless(limited)), limited
    for wait in (
        "time.sleep(1)", "for turn in range(9):\n    page.wait_for_timeout(50)",
        "while not check():\n    time.sleep(1)", "while not stop():\n    event.wait(0.1)",
    ):  # fmt: skip
        assert list(fixed(wait)) and MAY_WAIT.search(wait), wait
    assert not list(fixed("while not check():\n    assert time.monotonic() < end\n    time.sleep(1)"))
