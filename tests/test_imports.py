"""The one-way pipe: who may import whom, what `import mmviz` loads, and what no file may hold."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import mmviz
from mmviz.i18n.errors_and_notices import sentence

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "mmviz"
LONGEST = 300

EVERYTHING = (
    "types io inputs models capture backends analysis experiments figures viewer report explain present assets_path "
    "training app"
)  # fmt: skip
EVERYONE = "i18n"
"""What every part may import; it imports nothing of mmviz."""
MAY_IMPORT = {
    "__init__": EVERYTHING,
    "i18n": "",
    "types": "",
    "assets_path": "",
    "io": "types",
    "inputs": "types io assets_path",
    "models": "types io inputs assets_path",
    "capture": "types",
    "backends": "types io inputs models assets_path",
    "backends.server": "__init__ types io backends",
    "backends.ray": "types io backends backends.local",
    "backends.local": "__init__ types io inputs models capture assets_path",  # the one place where the two meet
    "analysis": "types",
    "experiments": "types inputs analysis backends",
    "figures": "types",
    "viewer": "types",
    "report": "types io inputs viewer analysis experiments figures",
    "explain": "types inputs backends",
    "explain.run": "types io backends analysis experiments figures report",
    "present": "types io inputs analysis experiments figures viewer report explain",
    "notebook": "types viewer analysis report explain app.selection",
    "training": "types io inputs models backends analysis experiments assets_path",
    "app": EVERYTHING,
    "cli": EVERYTHING,
}
"""Part of mmviz -> the parts it may import, at the top or inside a function; itself always, the longest name rules."""

ONLY_IN = {
    "streamlit": "app",
    "torch": "models capture training backends.local",
    "ray": "backends.ray",
    "anywidget": "notebook",
}


@cache
def modules() -> dict[str, Path]:
    """Every module, named from the package on: "types", "training.words"; the package itself is "__init__"."""
    paths = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return paths


def within(module: str, parts: str) -> bool:
    """Whether a module is one of the parts named, or lies in one."""
    return any(module == part or module.startswith(part + ".") for part in parts.split())


def row(module: str) -> str | None:
    """The row of the table that rules a module."""
    rows = [part for part in MAY_IMPORT if within(module, part)]
    return max(rows, key=len, default=None)


@cache
def imports(module: str, path: Path) -> list[str]:
    """Returns the full names of all imports. ``import mmviz`` counts as what is used of it, such as ``mmviz.io``."""
    names = []
    here = ["mmviz", *([] if module == "__init__" else module.split("."))]
    if path.name != "__init__.py":
        here.pop()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [name.name for name in node.names if name.name != "mmviz"]
            assert all(name.asname is None for name in node.names if name.name == "mmviz"), f"{module} renames mmviz"
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) + 1 - node.level]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            names += [f"{source}.{name.name}" for name in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "mmviz":
            names.append(f"mmviz.{node.attr}")
    return names


def part_of(name: str) -> str | None:
    """The module of mmviz behind a full name; None for what is elsewhere, and for the version."""
    if name.split(".")[0] != "mmviz" or name == "mmviz.__version__":
        return None
    inner = name.removeprefix("mmviz.")
    while inner and inner not in modules():  # a class or function: the module it is in
        inner = inner.rpartition(".")[0]
    return inner or "__init__"


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_what_comes_before_it(module: str) -> None:
    ruled = row(module)
    assert ruled is not None, f"mmviz/{module} has no row in MAY_IMPORT: say there whom it may import"
    for name in imports(module, modules()[module]):
        part = part_of(name)
        if part is not None:
            allowed = (
                within(part, EVERYONE)
                or within(part, ruled)
                or within(part, MAY_IMPORT[ruled])
                or row(part) == ruled.partition(".")[0]
            )
            assert allowed, f"{module} imports {name}, but {ruled} may import only: {MAY_IMPORT[ruled] or 'nothing'}"


def imports_at_the_top(module: str, path: Path) -> set[str]:
    """Returns the modules that one imports outside its functions, also for types alone; but for the version."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [ast.Pass()]
    parts: set[str | None] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            parts |= {part_of(f"{node.module}.{name.name}") for name in node.names}
    return {part for part in parts if part is not None} - {module, "__init__"}


@pytest.mark.slow
def test_no_modules_import_each_other_not_even_for_types() -> None:
    left = {module: imports_at_the_top(module, path) for module, path in modules().items()}
    while free := [module for module, others in left.items() if not others & left.keys()]:
        for module in free:
            del left[module]
    assert not left


@pytest.mark.parametrize(("library", "parts"), ONLY_IN.items())
def test_a_library_stays_in_its_place(library: str, parts: str) -> None:
    users = {
        module
        for module, path in modules().items()
        if any(name.split(".")[0] == library for name in imports(module, path))
    }
    strangers = {module for module in users if not within(module, parts)}
    assert not strangers, f"{library} is imported outside {parts}"


def test_the_table_sees_every_way_to_import(tmp_path: Path) -> None:
    source = """
import torch.nn as nn
from . import map_check
from ..models import trio_network
from mmviz.io.run_file import load
import mmviz
def inside():
    from mmviz import figures, __version__
    return mmviz.explain
"""
    path = tmp_path / "recorder.py"
    path.write_text(source)
    assert set(imports("capture.recorder", path)) == {
        "torch.nn", "mmviz.capture.map_check", "mmviz.models.trio_network", "mmviz.io.run_file.load", "mmviz.figures",
        "mmviz.__version__", "mmviz.explain",
    }  # fmt: skip
    assert part_of("mmviz.types.Token") == "types" and part_of("mmviz.__version__") is None
    assert row("backends.local") == "backends.local" and row("backends.replay") == "backends" and row("nowhere") is None


def test_importing_mmviz_is_light() -> None:
    heavy = {"torch", "streamlit", "plotly", "librosa", "matplotlib", "transformers", "numba"}
    code = "import sys, mmviz; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert not heavy & set(loaded.stdout.split())


BASE_SESSION = """
import sys
extras = ["streamlit", "plotly", "starlette", "uvicorn", "prometheus_client", "tqdm", "ray", "transformers"]
extras += ["anywidget"]
for name in extras:
    sys.modules[name] = None
import numpy as np
import torch
import mmviz
from mmviz.types import Request

backend = mmviz.LocalBackend("cpu")
image, wave = np.full((64, 64, 3), 128, np.uint8), np.sin(np.arange(16_000) / 9).astype(np.float32) * 0.3
run = mmviz.explain(image, "is there a dog?", (wave, 16_000), backend=backend, relevance=True, steps=True)
assert "<html" in run.to_html() and run.png().startswith(b"\\x89PNG") and run.summary()["answer"]
attention, tokens = torch.nn.MultiheadAttention(8, 2), torch.randn(4, 1, 8)
with mmviz.capture(attention) as result:
    attention(tokens, tokens, tokens)
assert len(result.record().maps) == 1
del sys.modules["tqdm"]  # captum brings it, for integrated gradients
(record,) = backend.run([Request("trio", run.sample, norms=True, integrated=True)])
assert record.integrated is not None and record.norms
"""


@pytest.mark.slow
def test_the_base_install_captures_explains_and_draws_without_any_extra() -> None:
    done = subprocess.run([sys.executable, "-c", BASE_SESSION], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2_000:]


EXTRAS = {
    "app": ("streamlit", "plotly"),
    "serve": ("starlette", "uvicorn", "prometheus_client"),
    "serve --ray": ("ray",),
    "train": ("tqdm", "scipy"),
    "evaluate": ("tqdm", "scipy"),
}
"""Command -> the packages that only an extra brings."""


WITHOUT_EXTRA = """
import json, sys
wanted = json.loads(sys.argv[1])
packages = {package for _, package in wanted}
sys.modules.update(dict.fromkeys(packages))  # while the commands are imported, none is there
from mmviz.cli import main
for command, package in wanted:
    for name in packages:
        sys.modules.pop(name, None)
    sys.modules[package] = None
    print(main(command.split()), file=sys.stderr)
"""


def test_a_command_without_its_extra_says_what_to_type() -> None:
    wanted = [(command, package) for command, packages in EXTRAS.items() for package in packages]
    arguments = [sys.executable, "-c", WITHOUT_EXTRA, json.dumps(wanted)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=60)
    expected = []
    for command, _ in wanted:
        extra = {"serve --ray": "ray", "evaluate": "train"}.get(command, command)
        words = sentence("extra-missing", command=f"mmviz {command}", extra=extra)
        assert f"pip install 'mmviz[{extra}]'" in words
        expected += [f"mmviz: {words}", "2"]
    assert (done.stderr.splitlines(), done.stdout) == (expected, "")


def test_every_public_name_is_there() -> None:
    names = getattr(mmviz, "__all__", None)
    if not names:
        pytest.skip("mmviz has no public names yet")
    missing = [name for name in names if not hasattr(mmviz, name)]
    assert not missing
    assert len(set(names)) == len(names)
    with pytest.raises(AttributeError):
        _ = mmviz.no_such_name


@pytest.mark.slow
def test_a_public_name_is_never_hidden_by_the_module_it_comes_from() -> None:
    code = """
import importlib, sys, types
for before in "mmviz", "mmviz.explain":
    for name in [name for name in sys.modules if name.partition(".")[0] == "mmviz"]:
        del sys.modules[name]  # imported anew, but not torch
    importlib.import_module(before)
    mmviz = sys.modules["mmviz"]
    for time in 1, 2:
        modules = [name for name in mmviz.__all__ if type(getattr(mmviz, name)) is types.ModuleType]
        assert not modules, (before, time, modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr.splitlines()[-1]


def test_a_file_answers_one_question() -> None:
    sources = [p for p in PACKAGE.rglob("*") if p.suffix in {".py", ".js", ".mjs", ".css"}]
    long = {str(p.relative_to(ROOT)): n for p in sources if (n := len(p.read_text("utf-8").splitlines())) > LONGEST}
    assert not long
    assert not [p for p in sources if p.stem in {"utils", "util", "helpers", "misc"}]


def test_no_file_names_this_machine_or_a_registry() -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60)
    hosts = ["pypi" + ".org", "python" + "hosted.org", "npm" + "js", "download.py" + "torch.org", "deb." + "debian.org"]
    needle = re.compile(r"(?<![\w.)}])/(?:root|opt|work)(?![\w-])|" + "|".join(map(re.escape, hosts)))
    hits = []
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if not name or not path.is_file():
            continue
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            continue  # a picture, weights
        hits += [f"{name}: {hit.group()}" for hit in needle.finditer(text)]
    assert not hits


def test_scripts_import_what_is_there() -> None:
    """The benchmarks and tools, of which few are run by tests; packages that are installed for them alone excepted."""
    missing = []
    for path in (*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "tools").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            missing += [f"{path.relative_to(ROOT)}: {name}" for name in names if not is_there(name, path.parent)]
    assert not missing


def is_there(name: str, folder: Path) -> bool:
    """Returns whether a module is one of Python's, of a package that is installed, or a file of this repository."""
    first, *rest = name.split(".")
    if first in ("mmviz", "tools", "benchmarks"):
        path = ROOT.joinpath(first, *rest)
        return path.is_dir() or path.with_suffix(".py").is_file()
    own = any((place / f"{first}.py").is_file() for place in (folder, ROOT / "tests"))
    return own or first in ("bertviz",) or importlib.util.find_spec(first) is not None
