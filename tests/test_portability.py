"""What holds on Windows and macOS, as far as Linux can show: no POSIX where it is not asked for, no text by chance."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import ROOT

from mmviz.cli import processes
from mmviz.inputs import sandbox

pytestmark = pytest.mark.slow

SOURCES = sorted(
    path for folder in ("mmviz", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py")
) + [ROOT / "app.py"]  # fmt: skip
POSIX_MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
POSIX_NAMES = {
    "SIGKILL", "SIGHUP", "SIGPIPE", "SIGALRM", "SIGUSR1", "SIGUSR2", "alarm", "fork", "forkpty", "getgid", "getpgid",
    "getpgrp", "geteuid", "getuid", "killpg", "mkfifo", "pread", "register_at_fork", "setpgid", "setsid", "uname",
    "O_CLOEXEC", "O_NOFOLLOW", "sched_getaffinity", "AF_UNIX",
}  # fmt: skip
GUARDS = ("os.name", "hasattr(", "sys.platform", "except ImportError")
"""One of them must stand in a function that uses what only POSIX has."""
WINDOWS_NAME = re.compile(r"(?i)(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?|.*[<>:\"|?*\\].*|.*[. ]")
"""Names that no file on Windows may have."""


def calls(path: Path) -> Iterator[tuple[ast.Call, str, str]]:
    """Yields every call of a file with its name, and with the name of what the method belongs to."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node, node.func.id, ""
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            yield node, node.func.attr, owner.id if isinstance(owner, ast.Name) else "?"


def opens_text_by_chance(call: ast.Call, name: str, owner: str) -> bool:
    """Whether a call reads or writes text in the encoding of the system, which is not UTF-8 on Windows."""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in keywords:
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) <= (name == "write_text")
    if name in ("run", "Popen", "check_output") and owner == "subprocess":
        return bool({"text", "universal_newlines"} & keywords.keys())
    if name != "open" or owner in {"os", "Image", "av", "SpeechBank"}:
        return False
    place = 0 if owner else 1
    mode = keywords.get("mode") or (call.args[place] if len(call.args) > place else ast.Constant("r"))
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and "b" not in mode.value


def test_every_text_file_has_an_encoding() -> None:
    places = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in SOURCES
        for call, name, owner in calls(path)
        if opens_text_by_chance(call, name, owner)
    ]
    assert not places


def test_text_by_chance_is_recognised(tmp_path: Path) -> None:
    source = (
        "open(p)\nopen(p, 'w')\nopen(p, 'rb')\nopen(p, encoding='utf-8')\np.open('a')\np.open('rb')\np.read_text()\n"
        "p.read_text('utf-8')\np.write_text(t)\np.write_text(t, 'utf-8')\nsubprocess.run(c, text=True)\nImage.open(p)\n"
    )
    path = tmp_path / "source.py"
    path.write_text(source, encoding="utf-8")
    lines = [call.lineno for call, name, owner in calls(path) if opens_text_by_chance(call, name, owner)]
    assert sorted(lines) == [1, 2, 5, 7, 9, 11]


def unguarded(source: str) -> list[str]:
    """Returns what only POSIX has and is used outside a function that asks for it."""
    tree, names = ast.parse(source), []
    lines = source.splitlines()
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any(guard in line for line in lines[node.lineno - 1 : node.end_lineno] for guard in GUARDS)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            names += [name.name for name in node.names if name.name.split(".")[0] in POSIX_MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in POSIX_MODULES:
            names.append(str(node.module))
        elif isinstance(node, ast.Attribute) and node.attr in POSIX_NAMES:
            names.append(node.attr)
        elif isinstance(node, ast.keyword) and node.arg in {"preexec_fn", "process_group", "start_new_session"}:
            names.append(node.arg)
    return names


def test_what_only_posix_has_is_asked_for_first() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in SOURCES if "benchmarks" not in path.parts}
    assert not {path.name: names for path, source in sources.items() if (names := unguarded(source))}


def test_what_only_posix_has_is_recognised() -> None:
    names = unguarded("import resource\nos.killpg(1, signal.SIGKILL)\nPopen(c, preexec_fn=f)")
    assert sorted(names) == ["SIGKILL", "killpg", "preexec_fn", "resource"]
    assert not unguarded("def f():\n    if os.name == 'posix':\n        os.killpg(1, signal.SIGKILL)")


def test_no_tracked_file_has_a_name_that_windows_or_a_mac_refuses() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
    names = [name for name in listed.decode("utf-8").split("\0") if name]
    assert len({name.casefold() for name in names}) == len(names), "two names that differ in case alone"
    assert not [name for name in names if any(map(WINDOWS_NAME.fullmatch, name.split("/"))) or len(name) > 150]
    assert WINDOWS_NAME.fullmatch("aux.py") and WINDOWS_NAME.fullmatch("a:b") and not WINDOWS_NAME.fullmatch("auxx.py")


@pytest.mark.parametrize(
    "text", ["", "what was said?", "con", "a:b/c\\d <e>|*", "dot. ", "图里有猫吗？", "long " * 99, "…\n\x00"]
)
def test_every_suggested_name_of_a_download_is_allowed_everywhere(text: str) -> None:
    from mmviz.app.pages.explore.footer import file_stem

    stem = file_stem(text)
    assert stem.startswith("mmviz") and len(stem) <= 60
    assert not any(WINDOWS_NAME.fullmatch(f"{stem}.{ending}") for ending in ("html", "npz", "csv"))


WITHOUT_POSIX = f"""
import os, signal, sys, types
import torch, numpy, matplotlib, soundfile, PIL.Image  # what they use is theirs
for module in {sorted(POSIX_MODULES)!r}:
    sys.modules[module] = None
for owner in (os, signal):
    for name in {sorted(POSIX_NAMES)!r}:
        if hasattr(owner, name):
            delattr(owner, name)
from mmviz.cli import main
import mmviz, mmviz.cli.processes, mmviz.cli.child_main, mmviz.inputs.sandbox, mmviz.backends.server, mmviz.app
mmviz.inputs.sandbox._limit_resources(10 ** 9)
run = mmviz.explain(text="is there a dog", relevance=True)
assert run.png()[:4] == b"\\x89PNG" and run.record.relevance is not None
sys.exit(main(["audit", sys.argv[1]]) or main(["explain", "--text", "dog", "--html", sys.argv[1] + "/out.html"]))
"""


def test_the_library_and_its_commands_run_without_what_only_posix_has(tmp_path: Path) -> None:
    (tmp_path / "dog.txt").write_text("is there a dog", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_POSIX, str(tmp_path)], cwd=ROOT, capture_output=True,
        encoding="utf-8", timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    assert "<html" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_a_server_process_is_started_and_ended_where_there_are_no_process_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ends.py").write_text("import sys; sys.exit(int(sys.argv[1]))", encoding="utf-8")
    monkeypatch.setattr(processes, "os", types.SimpleNamespace(name="nt"))
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    assert processes.run_module("ends", ["7"], environment) == 7
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as endless:
        processes.end_group(endless)
    assert endless.returncode != 0


def test_a_child_without_process_groups_ends_with_its_parent() -> None:
    code = (
        "import os, types; from mmviz.cli import child_main\n"
        "child_main.os = types.SimpleNamespace(name='nt', read=os.read, _exit=os._exit)\nchild_main.end_with_parent()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_pictures_are_decoded_where_the_system_refuses_a_limit() -> None:
    """A Mac refuses a limit on the address space; here it is above the limit that stands already."""
    code = (
        "import io, resource; from PIL import Image; from mmviz.inputs.sandbox import Decoder\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({sandbox.MEMORY - 10**8}, {sandbox.MEMORY - 10**8}))\n"
        "file = io.BytesIO(); Image.new('RGB', (9, 7)).save(file, 'PNG')\n"
        "print(Decoder().sample(file.getvalue(), None, None).image.width)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=100)
    assert done.stdout == "9\n", done.stderr[-1_000:]
