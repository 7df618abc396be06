"""Tries the bounds of pyproject.toml: the wheel, away from the checkout, with the oldest and the newest packages.

``make versions`` builds the wheel and, for each Python and each end of the bounds, makes an environment, installs what
uv resolves for it, and runs ``tests/core``. It prints a table in Markdown. PyTorch is not resolved: the release in
``constraints.txt`` is taken, and only where pip offers a build without CUDA. A lower bound that was not tried is named.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
ENDS = {"oldest": "lowest-direct", "newest": "highest"}
"""The ends of the bounds, and how uv calls the resolution."""
EXTRAS = ("app", "serve")
SHOWN = (
    "av",
    "captum",
    "matplotlib",
    "numpy",
    "pillow",
    "pillow-heif",
    "plotly",
    "safetensors",
    "soundfile",
    "streamlit",
    "tokenizers",
)
"""Packages whose versions the table shows."""
TESTS = ("pytest", "pytest-timeout")
DEADLINE = 3_600
"""Seconds for one command, such as the download of torch, or all tests."""


@dataclass(frozen=True)
class Outcome:
    """What the core suite printed in an environment."""

    python: str
    end: str
    versions: dict[str, str]
    """Name and version of each package that was installed."""
    summary: str
    """The last line of pytest, or why it did not run."""
    is_passed: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", nargs="+", default=list(PYTHONS), metavar="3.X")
    parser.add_argument("--only", choices=sorted(ENDS), help="one end of the bounds")
    options = parser.parse_args()
    ends = [options.only] if options.only else list(ENDS)
    with tempfile.TemporaryDirectory(prefix="versions-") as folder:
        work = Path(folder)
        wheel = build_wheel(work)
        shutil.copytree(ROOT / "tests" / "core", work / "core", ignore=shutil.ignore_patterns("__pycache__"))
        outcomes = []
        for version in options.python:
            interpreter = find_python(version)
            for end in ends:
                if interpreter is None:
                    outcome = Outcome(version, end, {}, f"Python {version} is not on this machine", False)
                else:
                    outcome = try_environment(work, wheel, interpreter, version, end)
                print(f"Python {version}, {end}: {outcome.summary}", file=sys.stderr, flush=True)
                outcomes.append(outcome)
    print(markdown(outcomes))
    return 0 if all(outcome.is_passed for outcome in outcomes) else 1


def build_wheel(work: Path) -> Path:
    """Builds the wheel of the checkout, and returns its path."""
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(work), str(ROOT)])
    return next(work.glob("mmviz-*.whl"))


def find_python(version: str) -> str | None:
    """Returns the interpreter of a version: by its name, or of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    names = [f"python{version}", *(str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python")))]
    for name in names:
        path = shutil.which(name)
        command = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
        if (
            path
            and subprocess.run([path, "-c", command], capture_output=True, encoding="utf-8", timeout=60).stdout.strip()
            == version
        ):
            return path
    return None


def try_environment(work: Path, wheel: Path, interpreter: str, version: str, end: str) -> Outcome:
    """Makes an environment, installs the wheel and the packages of one end, and runs the core suite in it."""
    place = work / f"{version}-{end}"
    run([interpreter, "-m", "venv", str(place)])
    python = str(place / ("Scripts" if os.name == "nt" else "bin") / "python")
    try:
        requirements = resolve(place, python, end)
        torch = install_torch(python)
        run(uv("pip", "install", "--quiet", "--python", python, "--no-deps", "-r", str(requirements)))
        run(uv("pip", "install", "--quiet", "--python", python, "--no-deps", str(wheel)))
        run(uv("pip", "install", "--quiet", "--python", python, *TESTS))
    except subprocess.SubprocessError as error:
        printed = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
        lines = (printed or "").strip().splitlines() or [str(error)]
        return Outcome(version, end, {}, f"not installed: {lines[-1][:200]}", False)
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    command = [python, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--timeout", "300", str(work / "core")]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, encoding="utf-8", timeout=DEADLINE)
    (place / "pytest.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        print(done.stdout[-6_000:], file=sys.stderr)
    summary = (done.stdout.strip().splitlines() or ["pytest printed nothing"])[-1].strip("= ")
    if not torch:
        summary += "; without torch, of which pip offers no build without CUDA here"
    listed = json.loads(run(uv("pip", "list", "--python", python, "--format", "json")))
    versions = {package["name"]: package["version"] for package in listed}
    shutil.rmtree(place)
    return Outcome(version, end, versions, summary, done.returncode == 0)


def resolve(place: Path, python: str, end: str) -> Path:
    """Writes the packages of one end of the bounds to a file of requirements, wheels alone, and returns its path."""
    override, requirements = place / "override.txt", place / "requirements.txt"
    override.write_text("torch ; sys_platform == 'never'\n", encoding="utf-8")  # takes it out, and what it needs
    extras = [part for extra in EXTRAS for part in ("--extra", extra)]
    run(uv(
        "pip", "compile", str(ROOT / "pyproject.toml"), *extras, "--quiet", "--resolution", ENDS[end],
        "--python", python, "--only-binary", ":all:", "--override", str(override), "--output-file", str(requirements),
    ))  # fmt: skip
    return requirements


def install_torch(python: str) -> bool:
    """Installs the release of torch that ``constraints.txt`` names where pip knows a build without CUDA."""
    version = torch_version()
    if sys.platform == "linux":  # elsewhere, the plain build has no CUDA
        known = run([python, "-m", "pip", "index", "versions", "torch"])
        if not re.search(rf"\b{re.escape(version)}\+cpu\b", known):
            return False
    run([python, "-m", "pip", "install", "--quiet", f"torch=={version}"])
    return True


def torch_version() -> str:
    """Returns the release of torch in ``constraints.txt``, without the name of a build."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("torch==").split("+")[0] for line in lines if line.startswith("torch=="))


def uv(*arguments: str) -> list[str]:
    """Returns the command line of uv."""
    return [sys.executable, "-m", "uv", *arguments]


def run(command: list[str]) -> str:
    """Runs a command and returns what it printed. Raises ``CalledProcessError``, ``TimeoutExpired``."""
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8", timeout=DEADLINE).stdout


def lower_bounds() -> dict[str, str]:
    """Returns name and lower bound of every package that the wheel with `EXTRAS` asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(part for extra in EXTRAS for part in project["optional-dependencies"][extra])]
    matches = [re.match(r"([A-Za-z0-9_-]+)(?:\[.*\])?>=([0-9.]+)", requirement) for requirement in wanted]
    return {match[1]: match[2] for match in matches if match}


def markdown(outcomes: list[Outcome]) -> str:
    """Returns the outcomes as a table, and the lower bounds that nothing here was tried with."""
    shown = [name for name in (*SHOWN, "torch") if any(name in outcome.versions for outcome in outcomes)]
    machine = f"{platform.system()} {platform.machine()}"
    lines = [
        f"Tried on {datetime.date.today().isoformat()} on {machine} by `make versions`.",
        "",
        f"| Python | packages | {' | '.join(shown)} | core suite |",
        "|" + "---|" * (len(shown) + 3),
    ]
    for outcome in outcomes:
        cells = [outcome.versions.get(name, "–") for name in shown]
        lines.append(f"| {outcome.python} | {outcome.end} | {' | '.join(cells)} | {outcome.summary} |")
    lines += ["", *untried(outcomes)]
    return "\n".join(lines)


def untried(outcomes: list[Outcome]) -> list[str]:
    """Returns a line for each lower bound that no environment had."""
    lines = []
    for name, bound in sorted(lower_bounds().items()):
        versions = {outcome.versions[name.lower()] for outcome in outcomes if name.lower() in outcome.versions}
        if not any(_is_release(version, bound) for version in versions):
            tried = ", ".join(sorted(versions)) or "nothing"
            lines.append(f"- `{name}>={bound}` was not tried at its lower bound; tried: {tried}.")
    return lines


def _is_release(version: str, bound: str) -> bool:
    """Returns whether a version is the release of a bound: 2.0.0 is 2."""
    release = version.split("+")[0].split(".")
    wanted = bound.split(".")
    return release[: len(wanted)] == wanted and not any(part.strip("0") for part in release[len(wanted) :])


if __name__ == "__main__":
    sys.exit(main())
