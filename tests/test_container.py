"""The image of the Dockerfile, by its parts, where no Docker runs: its wheel, commands, settings and health check, as
its user, on a read-only root with an empty /tmp, without a network."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT

pytest.importorskip("playwright.sync_api")

pytestmark = [pytest.mark.slow, pytest.mark.long]

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
RUNTIME = DOCKERFILE.rpartition("\nFROM ")[2]
PROGRAMS = ("unshare", "mount", "setpriv", "ip")


def _instruction(name: str) -> str:
    return next(line for line in RUNTIME.splitlines() if line.startswith(f"{name} ")).removeprefix(f"{name} ")


def _environment() -> dict[str, str]:
    return dict(part.split("=", 1) for part in shlex.split(_instruction("ENV")))


def test_the_dockerfile_keeps_to_what_the_docs_say() -> None:
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["python:3.11-slim"] * 2
    assert _instruction("USER") == "1000:1000" and "root" not in RUNTIME
    assert not re.search(r"https?://(?!127\.0\.0\.1)", DOCKERFILE), "a host, which an operator may not reach"
    assert "curl" not in RUNTIME and _environment()["HF_HUB_OFFLINE"] == "1"
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    copied = re.search(r"COPY (pyproject.*) \./", DOCKERFILE)
    assert copied
    assert {f"!{name}" for name in [*copied.group(1).split(), "assets", "mmviz"]} <= set(ignored)


@pytest.fixture(scope="module")
def namespaces() -> None:
    """Skips where a process cannot be given a read-only root, another user and no network."""
    if sys.platform != "linux" or os.getuid() != 0:
        pytest.skip("needs Linux and root, for namespaces")
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if Path(sys.prefix).is_relative_to("/tmp"):
        pytest.skip("Python lies in /tmp, which the container has empty")
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "true"]
    if subprocess.run(unshare, capture_output=True, timeout=30).returncode:
        pytest.skip("unshare is not permitted here")


@pytest.fixture(scope="module")
def installed(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the wheel alone, installed."""
    folder = tmp_path_factory.mktemp("image")
    pip = [sys.executable, "-m", "pip"]
    wheel_command = [*pip, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    built = subprocess.run(wheel_command, capture_output=True, timeout=200)
    if built.returncode:
        pytest.skip("the wheel cannot be built here: pip gets no hatchling")
    wheel = next(folder.glob("mmviz-*.whl"))
    install = [*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)]
    subprocess.run(install, check=True, timeout=200)
    wheel.unlink()
    return folder / "site"


SETUP = """
set -e
mount --make-rprivate /
ip link set lo up
mount -t tmpfs tmpfs /mnt
for name in {names}; do mkdir -p /mnt/$name; done
{binds}
{hides}
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -o remount,bind,ro /
mount -o remount,ro /mnt
cd /tmp
exec setpriv --reuid 1000 --regid 1000 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \\
    env -i {environment} python /mnt/tests/container_driver.py {arguments}
"""
"""The lines of ``docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --network none``,
spelt out."""


def _script(site: Path, arguments: list[str]) -> str:
    """Returns a shell script that sets the namespaces up. What the user may not reach is mounted where it may."""
    shown = {"site": site, "tests": ROOT / "tests", "python": Path(sys.base_prefix), "venv": Path(sys.prefix)}
    binds = [f"mount --bind {shlex.quote(str(path))} /mnt/{name}" for name, path in shown.items()]
    hides = []
    for name in ("python", "venv"):
        parents = [path for path in reversed(shown[name].parents) if not path.stat().st_mode & 0o001]
        if parents:
            place, parent = shlex.quote(str(shown[name])), shlex.quote(str(parents[0]))
            hides.append(f"mountpoint -q {parent} || mount -t tmpfs -o mode=755 tmpfs {parent}")
            hides.append(f"mkdir -p {place} && mount --bind /mnt/{name} {place}")
    environment = _environment()
    programs = f"/mnt/site/bin:{Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    environment |= {"PATH": programs, "PYTHONPATH": "/mnt/site:/mnt/tests"}
    return SETUP.format(
        names=" ".join(shown),
        binds="\n".join(binds),
        hides="\n".join(hides),
        environment=shlex.join(f"{name}={value}" for name, value in environment.items()),
        arguments=shlex.join(arguments),
    )


def test_page_and_service_run_without_rights_writable_root_or_network(chromium: str, installed: Path) -> None:
    check = _instruction("HEALTHCHECK").partition("CMD ")[2]
    script = _script(installed, [_instruction("CMD"), check, chromium])
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=220)
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
    works = json.loads(done.stdout.splitlines()[-1])
    assert works["package"] == "/mnt/site/mmviz/__init__.py"
    assert works["user"] == 1000 and works["writes"] == ["/tmp"] and works["network"] is False
    assert "computed on CPU" in works["page"]
    assert "answer:" in works["service"]
    for complaint in ("Traceback", "not a writable", "Read-only", "Permission denied"):
        assert complaint not in works["service"] + done.stderr
