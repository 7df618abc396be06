"""What commands refuse before they do anything: one sentence on standard error, exit code 2, and nothing written."""

from __future__ import annotations

import importlib
import importlib.util
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from records import plain

from mmviz.cli import main
from mmviz.cli.listening import bound_sockets
from mmviz.i18n.errors_and_notices import sentence
from mmviz.types import MmvizError


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in an empty folder, and fails where a server is started after all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMVIZ_MODEL", raising=False)


@pytest.fixture
def used_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Returns the sentence with which a command refuses its arguments."""
    code: object = None
    with suppress(SystemExit):
        code = main(arguments)
    assert code in (None, 2)
    printed, error = capsys.readouterr()
    assert printed == "" and "Traceback" not in error
    *usage, last = error.splitlines()
    assert bool(usage) == (code is None), error  # argparse prints the usage first
    return last


@pytest.mark.parametrize("command", ["app", "serve"])
@pytest.mark.parametrize("port", ["99999", "-1", "0", "65536", "x", "\u0663"])
def test_what_is_no_port_is_refused(command: str, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence("port-range", port=port, most=65_535) in refusal(capsys, command, f"--port={port}")


@pytest.mark.parametrize("command", ["app", "serve"])
def test_a_port_in_use_is_refused_before_anything_is_announced(
    command: str, used_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence("port-used", port=used_port) in refusal(capsys, command, "--port", str(used_port))
    if command == "app":
        words = refusal(capsys, "app", "--port", str(used_port), "--host", "127.0.0.1", "--host", "lab.example")
        assert sentence("port-used", port=used_port) in words


def test_an_address_of_another_machine_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-twenty-chars")
    for host in ("192.0.2.1", "300.1.1.1"):
        words = refusal(capsys, "serve", "--host", host, "--token-file", str(token))
        assert f"cannot listen on {host}, port 8600 (" in words
    assert sentence("app-host", host="300.1.1.1") in refusal(capsys, "app", "--host", "300.1.1.1")


def test_every_address_of_a_name_is_bound() -> None:
    sockets = bound_sockets("localhost", 0)
    assert "127.0.0.1" in [bound.getsockname()[0] for bound in sockets]
    for bound in sockets:
        bound.close()


@pytest.mark.parametrize("command", ["app", "serve"])
def test_files_that_are_no_certificate_are_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name, data in (("cert.pem", b"no certificate"), ("key.pem", b"\xff\0")):
        Path(name).write_bytes(data)
    words = refusal(capsys, command, "--tls-cert", "cert.pem", "--tls-key", "key.pem")
    assert sentence("tls-files", certificate="cert.pem", key="key.pem") in words


needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed")
"""Ray is not imported here: it reads its settings then, and other tests of this process start it with their own."""


@needs_ray
def test_numbers_of_replicas_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    for fewest, most in (("4", "1"), ("0", "0"), ("-1", "2")):
        words = refusal(capsys, "serve", "--ray", "--replicas", fewest, most)
        assert sentence("serve-replicas", fewest=int(fewest), most=int(most)) in words
    assert sentence("option-needs", option="--replicas", needed="--ray") in refusal(
        capsys, "serve", "--replicas", "1", "2"
    )


CLUSTER = """
import ray, sys, types
local = types.ModuleType("local")  # without torch, which a refusal does not need
local.LocalBackend = local.this_machine = None
sys.modules["mmviz.backends.local"] = sys.modules["mmviz.backends.local.backend"] = local
from mmviz.backends import ray as ray_backend
from mmviz.types import MmvizError

def refuse(**_):  # ray itself tries for minutes where it has a token
    raise ray.exceptions.AuthenticationError("Token authentication is enabled but no token was found.")

ray.init = refuse
try:
    ray_backend.start(None, "nope:1", (1, 1))
except MmvizError as problem:
    print(problem)
"""


@needs_ray
@pytest.mark.slow
def test_a_ray_cluster_that_does_not_admit_this_process_is_named() -> None:
    ended = subprocess.run([sys.executable, "-c", CLUSTER], capture_output=True, text=True, timeout=120)
    assert ended.stdout.strip() == sentence("ray-address", address="nope:1")


def test_options_without_their_partner_are_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    token = str(tmp_path / "token")
    for command in (["app"], ["explain", "--text", "hi"], ["audit"]):
        words = refusal(capsys, *command, "--token-file", token)
        assert sentence("option-needs", option="--token-file", needed="--backend") in words
    words = refusal(capsys, "app", "--access-token-file", token)
    assert sentence("option-needs", option="--access-token-file", needed="--host") in words


def test_an_unknown_model_is_told_the_known_ones(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, used_port: int
) -> None:
    for command in (["app"], ["explain", "--text", "hi"]):
        assert "There is no model called 'nope'. Known models: trio, " in refusal(capsys, *command, "--model", "nope")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    started: list[list[str]] = []
    monkeypatch.setattr("mmviz.cli.commands.app.run_module", lambda _, arguments, __: started.append(arguments) or 0)
    assert main(["app", "--model", "toy", "--port", str(port)]) == 0
    assert started[0][-2:] == ["--model", "toy"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--weights", "nope"], "no file nope"),
        (["--device", "foo"], "torch cannot use the device foo here"),
        (["--rate", "nan"], "--rate nan is not possible"),
        (["--rate", "0"], "--rate 0.0 is not possible"),
        (["--seed", "-1"], "--seed -1 is not possible"),
        (["--pairs", "0", "0", "0"], "--pairs 0 is not possible"),
        (["--pairs", "5", "0", "5"], "--pairs 0 is not possible"),
        (["--pairs", "5", "5", "-1"], "--pairs -1 is not possible"),
        (["--stage", "whole", "--pairs", "-1", "5", "5"], "--pairs -1 is not possible"),
        (["--pictures", "0"], "--pictures 0 is not possible"),
        (["--sounds", "-3"], "--sounds -3 is not possible"),
        (["--out", "file"], "The file file could not be written"),
        (["--out", "file/x"], "The file x could not be written"),
    ],
)
def test_training_checks_its_options_first(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmviz.cli.commands.train._trio", lambda _: pytest.fail("it goes on"))
    Path("file").touch()
    assert words in refusal(capsys, "train", *arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--map", "foo"], "foo is no map or method of this model. There are: 0:mean, "),
        (["--map", "99:mean"], "99:mean is no map"),
        (["--count", "0"], "--count 0 is not possible"),
        (["--count", "-5", "--fusions"], "--count -5 is not possible"),
        (["--routes", "--json", "nowhere/at/all.json"], "no such folder"),
        (["--json", "nowhere/at/all.json"], "no such folder"),
    ],
)
def test_evaluation_checks_its_options_first(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refusal(capsys, "evaluate", *arguments)


@pytest.mark.parametrize("option", ["--json", "--npz", "--png", "--pdf", "--svg", "--html"])
def test_files_that_cannot_be_written_are_refused_before_the_run(
    option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("mmviz.explain"), "explain", lambda **_: pytest.fail("it runs"))
    for path in ("", "-") if option != "--json" else ("",):
        assert sentence("option-file", option=option) in refusal(capsys, "explain", "--text", "hi", option, path)
    assert "no such folder" in refusal(capsys, "explain", "--text", "hi", option, "nowhere/file")
    assert not list(Path().iterdir())


def test_a_run_that_cannot_be_saved_says_why() -> None:
    with pytest.raises(MmvizError) as refused:
        plain().save("nowhere/x.npz")
    assert refused.value.code == "file-unwritable" and "x.npz" in str(refused.value)
