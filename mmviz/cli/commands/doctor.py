"""``mmviz doctor``: what this machine has, and by which route attention is captured on it and in a model."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmviz.cli.options import custom_backend
from mmviz.i18n.command_help import help_text
from mmviz.i18n.errors_and_notices import sentence
from mmviz.types import Sample

if TYPE_CHECKING:
    from mmviz.backends.local import LocalBackend

_PACKAGES = ("mmviz", "torch", "transformers", "numpy", "streamlit")

Check = Mapping[str, Any]
"""See `mmviz.capture.capture_route_probe.route_check`."""


def add(commands: Any) -> None:
    """Adds the command to the parser of ``mmviz``."""
    parser = commands.add_parser("doctor", help=help_text("doctor"), description=help_text("doctor-description"))
    parser.add_argument("--model", default="trio", help=help_text("--model"))
    parser.add_argument("--json", action="store_true", help=help_text("doctor --json"))
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    findings = diagnose(options.model, custom_backend(options.model))
    print(json.dumps(findings, indent=1) if options.json else to_text(findings))
    return 0 if all_passed(findings) else 1


def diagnose(model: str, backend: LocalBackend | None = None) -> dict[str, Any]:
    """Returns the findings as plain values.

    ``machine`` and ``versions``; ``probes``: one check for each implementation of attention on each device;
    ``modules``: one check for each attention call of ``model``, which is run with a short question, a grey image and a
    tone; ``meaning``, ``left_out``, ``refused`` and ``notices``: see `mmviz.backends.local.doctor_checks`. The checks
    are those of `mmviz.capture.capture_route_probe` and `mmviz.capture.map_metadata_check`.
    Raises ``MmvizError`` for a model that is unknown or does not run.
    """
    from mmviz.backends.local import LocalBackend
    from mmviz.capture.capture_route_probe import probe_routes

    backend = backend or LocalBackend()
    machine = backend.machine()
    return {
        "machine": machine,
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        "probes": [{"device": device, **check} for device in machine["devices"] for check in probe_routes(device)],
        "model": model,
        **backend.model_checks(model, _sample()),
    }


def all_passed(findings: Mapping[str, Any]) -> bool:
    """Returns whether every check is within tolerance, contradicts nothing, and no attention is left out."""
    return _are_exact(findings) and _are_clear(findings)


def _are_exact(findings: Mapping[str, Any]) -> bool:
    return all(check["passed"] for check in (*findings["probes"], *findings["modules"]))


def _are_clear(findings: Mapping[str, Any]) -> bool:
    is_shown = not findings["refused"] and not findings["left_out"]
    return is_shown and all(check["passed"] for check in findings["meaning"])


def to_text(findings: Mapping[str, Any]) -> str:
    """Returns the findings as lines of text."""
    machine = findings["machine"]
    lines = [
        sentence("doctor-machine", **machine | {"devices": ", ".join(machine["devices"])}),
        ", ".join(f"{name} {version}" for name, version in findings["versions"].items()),
        "",
        sentence("doctor-columns"),
        "",
        *_table(findings["probes"], lambda check: f"{check['implementation']} ({check['device']})"),
        "",
        sentence("doctor-model", model=findings["model"], count=len(findings["modules"])),
        *_table(findings["modules"], lambda check: str(check["module"])),
        "",
        sentence("doctor-meaning"),
        *map(_meaning_line, findings["meaning"]),
        *(f"  {entry['module']}: {entry['reason']}" for entry in findings["left_out"]),
        *([findings["refused"]] if findings["refused"] else []),
        *findings["notices"],
        "",
        *_memory_lines(findings["memory"]),
        "",
    ]
    verdicts = ["doctor-ill"] * (not _are_exact(findings)) + ["doctor-unclear"] * (not _are_clear(findings))
    return "\n".join([*lines, *map(sentence, verdicts or ["doctor-well"])])


def _memory_lines(memory: Mapping[str, Any]) -> list[str]:
    sizes = {"weights": _size(memory["weights"]), "kept": _size(memory["kept"])}
    lines = [sentence("doctor-memory", **sizes)]
    for longer in memory["longer"]:
        code = "doctor-memory-maps" if longer["maps"] else "doctor-memory-longer"
        sizes = {"kept": _size(longer["kept"]), "maps": _size(longer["maps"])}
        lines.append("  " + sentence(code, tokens=longer["tokens"], stack=memory["stack"], **sizes))
    return lines


def _size(count: int) -> str:
    from mmviz.models.huggingface.checkpoint_files import gigabytes

    return gigabytes(count)


def _meaning_line(check: Check) -> str:
    queries, keys = check["tokens"]
    heads = f"{check['heads']} heads"
    if check["own_heads"]:
        heads += f" (the module names {', '.join(map(str, check['own_heads']))})"
    parts = [
        check["module"], f"{check['stack']}/{check['layer']}" if check["stack"] else f"layer {check['layer']}",
        f"{check['queries']} ({queries}) to {check['keys']} ({keys})", heads, f"samples: {check['samples']}",
    ]  # fmt: skip
    parts += [f"windows: {check['windows']}"] if check["windows"] else []
    parts += [f"a share goes to: {check['absorbed_by']}"] if check["absorbed_by"] else []
    parts += [f"CONTRADICTS THE MODEL: {', '.join(check['problems'])}"] if check["problems"] else []
    return "  " + "  ".join(parts)


def _table(checks: Sequence[Check], name: Callable[[Check], str]) -> list[str]:
    width = max((len(name(check)) for check in checks), default=0)
    lines = []
    for check in checks:
        if "problem" in check:
            lines.append(f"  {name(check):{width}}  {check['problem']}")
            continue
        difference = "module's own weights" if check["difference"] is None else f"{check['difference']:.0e}"
        shape = f"{check['heads']} x {check['queries']} x {check['keys']}"
        mark = "" if check["passed"] else "  BEYOND TOLERANCE"
        lines.append(
            f"  {name(check):{width}}  {shape:>14}  {check['dtype']:8}  {check['route']:21}"
            f"  {difference:>20}  {check['parity']:.0e}{mark}"
        )
    return lines


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _sample() -> Sample:
    """Returns a sample with an image, a text and audio."""
    import numpy as np

    from mmviz.inputs import make_sample

    tone = np.sin(np.arange(16_000) * 2 * np.pi * 440 / 16_000).astype(np.float32) * 0.3
    return make_sample(
        image=np.full((160, 160, 3), 128, np.uint8), text="what is in the picture?", audio=(tone, 16_000)
    )
