"""What commands print: into pipes that are closed early, to closed streams, and on terminals that lack characters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmviz.cli import main
from mmviz.cli.standard_streams import CLOSED_PIPE, ESCAPED

pytestmark = pytest.mark.long

CLI = [sys.executable, "-m", "mmviz.cli"]
MODEL = """
import torch, mmviz

def make():
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    module = torch.nn.Sequential(layer, torch.nn.Flatten(0), torch.nn.Linear(24, 2))
    tokens, answers = ["\u00e9", "\u72d7", "c"], ["\u72d7", "caf\u00e9"]
    return mmviz.CustomModel(module, lambda sample: ((torch.zeros(1, 3, 8),), tokens), answers)
"""
COMMANDS = {
    "explain": ["explain", "--text", "is there a dog", "--json", "-"],
    "models": ["models"],
    "doctor": ["doctor"],
    "doctor --json": ["doctor", "--json"],
    "audit": ["audit", "FOLDER"],
    "audit --json": ["audit", "FOLDER", "--json", "-"],
    "a refusal": ["explain"],
    "help": ["explain", "--help"],
}
EACH_IN_TURN = """
import sys
from mmviz.cli import main
words = [[]]
for word in sys.argv[1:]:
    if word == "then":
        words.append([])
    else:
        words[-1].append(word)
sys.exit(sum(main(command) * 10**place for place, command in enumerate(words)))
"""
"""Runs several commands in one process, which loads torch once; each has a digit of the exit code."""
posix = pytest.mark.skipif(os.name != "posix", reason="redirects by a POSIX shell")


def arguments(command: str, folder: Path) -> list[str]:
    (folder / "dog.txt").write_text("is there a dog", encoding="utf-8")
    return [str(folder) if word == "FOLDER" else word for word in COMMANDS[command]]


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "PYTHONWARNINGS": "ignore", **changes}


@posix
@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [
        ("explain", ""),
        ("models", "1"),
        ("doctor", ""),
        ("audit --json", "1"),
        ("help", ""),
        ("help", "1"),
    ],
)
def test_a_reader_that_goes_early_ends_the_command_as_other_tools(
    command: str, unbuffered: str, tmp_path: Path
) -> None:
    read, write = os.pipe()
    os.close(read)  # the reader has gone before the first line
    process = subprocess.Popen(
        [*CLI, *arguments(command, tmp_path)], stdout=write, stderr=subprocess.PIPE, encoding="utf-8",
        env=environment(PYTHONUNBUFFERED=unbuffered),
    )  # fmt: skip
    os.close(write)
    printed = process.communicate(timeout=200)[1]
    assert "Traceback" not in printed and "BrokenPipe" not in printed
    allowed = {CLOSED_PIPE, 0} if command == "help" else {CLOSED_PIPE}  # argparse itself ignores it where unbuffered
    assert process.returncode in allowed


@posix
def test_a_pipe_that_takes_standard_error_as_well_ends_the_command_too(tmp_path: Path) -> None:
    for command in ("audit", "a refusal"):
        read, write = os.pipe()
        os.close(read)
        process = subprocess.Popen(
            [*CLI, *arguments(command, tmp_path)], stdout=write, stderr=write, env=environment()
        )  # fmt: skip
        os.close(write)
        assert process.wait(200) == CLOSED_PIPE


@posix
def test_head_gets_its_line_and_the_command_prints_nothing_else() -> None:
    pipe = f"{sys.executable} -m mmviz.cli explain --text 'is there a dog' --json - | head -1"
    done = subprocess.run(["sh", "-c", pipe], capture_output=True, encoding="utf-8", timeout=200, env=environment())
    assert (done.stdout, done.stderr) == ("{\n", "")


@posix
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error_and_files_are_still_written(closed: str, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = f"{sys.executable} -m mmviz.cli explain --text 'is there a dog' --json {out} {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, encoding="utf-8", timeout=200, env=environment())
    assert done.returncode == 0 and done.stderr == "" and json.loads(out.read_bytes())["answer"] == "yes"
    command = f"{sys.executable} -m mmviz.cli explain {closed}"
    refused = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        timeout=200,
        env=environment(),
    )
    assert refused.returncode == 2 and b"Traceback" not in refused.stdout + refused.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_standard_output_is_one_sentence(unbuffered: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*CLI, "models"], stdout=full, stderr=subprocess.PIPE, encoding="utf-8", timeout=200,
            env=environment(PYTHONUNBUFFERED=unbuffered),
        )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("mmviz: The file standard output could not be written")


def test_another_failure_of_the_system_is_not_taken_for_the_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mmviz.backends.local.LocalBackend.models", fail)
    with pytest.raises(OSError, match="No space left"):
        main(["models"])


def test_a_minus_sign_is_a_hyphen_where_the_terminal_lacks_it() -> None:
    assert "\u72d7\u22122.96 \u2212\u2212".encode("cp1252", ESCAPED) == b"\\u72d7-2.96 --"
    assert "\u22122.96".encode("utf-8", ESCAPED).decode() == "\u22122.96"


@pytest.mark.parametrize(("encoding", "answer"), [
    ("ascii", "caf\\xe9"), ("gbk", "caf"),
])  # fmt: skip
def test_a_terminal_without_the_characters_prints_their_escapes(encoding: str, answer: str, tmp_path: Path) -> None:
    (tmp_path / "accented.py").write_text(MODEL, encoding="utf-8")
    for name in ("dog\u72d7.txt", "caf\u00e9.txt"):
        (tmp_path / name).write_text("is there a dog", encoding="utf-8")
    variables = environment(PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    commands = [
        "explain", "--text", "a b c", "--model", "accented:make", "then",
        "audit", str(tmp_path), "--model", "accented:make", "--baseline", "mean", "then",
        "explain", "--image", "caf\u00e9\u72d7.png",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", EACH_IN_TURN, *commands], capture_output=True, cwd=tmp_path, timeout=200, env=variables
    )
    printed = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert "Traceback" not in printed[1] and "UnicodeEncodeError" not in printed[1], printed
    assert answer in printed[0].splitlines()[0] and done.returncode == 200, printed
