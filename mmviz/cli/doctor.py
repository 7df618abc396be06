"""What this machine has, and by which route attention is heard on it and in a model."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

from mmviz.backends.local import LocalBackend
from mmviz.i18n.messages import sentence
from mmviz.types import Sample

_PACKAGES = ("mmviz", "torch", "transformers", "numpy", "streamlit")


def examine(model: str, backend: LocalBackend | None = None) -> dict[str, Any]:
    """Plain values: ``machine``, ``versions``, ``probes`` (one for each way of computing attention and device) and
    ``modules`` (one for each attention of ``model``, with a sample of words, a grey picture and a tone); findings are
    those of `mmviz.capture.route_probe`. ``notices``: what was not caught. Raises ``MmvizError`` for a model that is not
    known, or does not run."""
    from mmviz.capture.route_probe import probes

    backend = backend or LocalBackend()
    machine = backend.about()
    findings, notices = backend.findings(model, _sample())
    return {
        "machine": machine,
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
        "probes": [{"device": device, **one} for device in machine["devices"] for one in probes(device)],
        "model": model,
        "modules": findings,
        "notices": [str(notice) for notice in notices],
    }


def is_well(found: Mapping[str, Any]) -> bool:
    """Whether everything is within tolerance."""
    return all(one["is_well"] for one in (*found["probes"], *found["modules"]))


def tell(found: Mapping[str, Any]) -> str:
    """The findings in lines."""
    machine = found["machine"]
    lines = [
        sentence("doctor-machine", **machine | {"devices": ", ".join(machine["devices"])}),
        ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
        "",
        sentence("doctor-columns"),
        "",
        *_table(found["probes"], lambda one: f"{one['way']} ({one['device']})"),
        "",
        sentence("doctor-model", model=found["model"], count=len(found["modules"])),
        *_table(found["modules"], lambda one: one["module"]),
        *found["notices"],
        "",
        sentence("doctor-well" if is_well(found) else "doctor-ill"),
    ]
    return "\n".join(lines)


def _table(found: list[dict[str, Any]], name: Any) -> list[str]:
    width = max((len(name(one)) for one in found), default=0)
    lines = []
    for one in found:
        if "problem" in one:
            lines.append(f"  {name(one):{width}}  {one['problem']}")
            continue
        difference = "made by the module" if one["difference"] is None else f"{one['difference']:.0e}"
        shape = f"{one['heads']} x {one['queries']} x {one['keys']}"
        mark = "" if one["is_well"] else "  BEYOND TOLERANCE"
        lines.append(
            f"  {name(one):{width}}  {shape:>14}  {one['dtype']:8}  {one['route']:36}"
            f"  {difference:>18}  {one['parity']:.0e}{mark}"
        )
    return lines


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _sample() -> Sample:
    """Something for each modality."""
    import numpy as np

    from mmviz.inputs import make_sample

    tone = np.sin(np.arange(16_000) * 2 * np.pi * 440 / 16_000).astype(np.float32) * 0.3
    return make_sample(
        image=np.full((160, 160, 3), 128, np.uint8), text="what is in the picture?", audio=(tone, 16_000)
    )
