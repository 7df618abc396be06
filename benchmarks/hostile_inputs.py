"""What hostile inputs and broken backends cost.

``python benchmarks/hostile_inputs.py`` prints the tables of docs/serving.md.

The inputs and the faults are those of the tests (tests/hostile.py, tests/test_remote.py).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from hostile import HEADER_LIMITS, Cost, costs
from serving import faulty_server
from test_remote import FAULTS, TOY

from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import RemoteBackend
from mmviz.types import MmvizError


def main() -> None:
    print(f"On {LocalBackend().machine()['name']}.\n")
    print("| kind | inputs | refused | accepted | slowest refusal (s) | most memory (MB) | "
          "slowest with a bad header (s) | most memory of those (MB) |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    by_kind: dict[str, list[Cost]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for cost in costs(Path(folder)):
            by_kind[cost.kind].append(cost)
    for kind, group in by_kind.items():
        refused = [cost for cost in group if cost.code]
        bad_header = [cost for cost in group if cost.bad_header]
        accepted = len(group) - len(refused)
        print(f"| {kind} | {len(group)} | {len(refused)} | {accepted} | {_maxima(refused)} | {_maxima(bad_header)} |")
    over = [cost for group in by_kind.values() for cost in group if cost.bad_header and _is_over(cost)]
    print(f"\nOver {HEADER_LIMITS[0]} s or {HEADER_LIMITS[1]:.0f} MB with a bad header: {over or 'none'}.")
    print("\n| fault of the backend | message | after (s) | attempts |\n|---|---|---|---|")
    for name, (respond, code, _, _) in FAULTS.items():
        with faulty_server(respond) as (url, times):
            start = time.perf_counter()
            try:
                RemoteBackend(url, deadline=1.0 if code == "backend-late" else 10.0).run([TOY])
                message = "none"
            except MmvizError as error:
                message = str(error).replace(url.removeprefix("http://"), "HOST").partition(". ")[0]
            print(f"| {name} | {message} | {time.perf_counter() - start:.2f} | {len(times)} |", flush=True)


def _maxima(group: list[Cost]) -> str:
    """Returns the most seconds and megabytes as two cells of a table."""
    if not group:
        return "- | -"
    return f"{max(cost.seconds for cost in group):.3f} | {max(cost.megabytes for cost in group):.1f}"


def _is_over(cost: Cost) -> bool:
    return cost.seconds > HEADER_LIMITS[0] or cost.megabytes > HEADER_LIMITS[1] or cost.code is None


if __name__ == "__main__":
    main()
