"""What hostile inputs and broken backends cost: ``python benchmarks/hostile.py`` prints the tables of docs/serving.md.

The inputs and the faults are those of the tests (tests/hostile.py, tests/test_remote.py).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from hostile import HEADER_TELLS, Cost, costs
from serving import faulty_server
from test_remote import ASKED, FAULTS

from mmviz.backends.local import LocalBackend
from mmviz.backends.remote import RemoteBackend
from mmviz.types import MmvizError


def main() -> None:
    print(f"On {LocalBackend().about()['name']}.\n")
    print("| given | things | refused | taken | slowest refusal (s) | most memory (MB) | "
          "slowest the header tells (s) | most memory of those (MB) |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    by_kind: dict[str, list[Cost]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for one in costs(Path(folder)):
            by_kind[one.kind].append(one)
    for kind, found in by_kind.items():
        refused = [one for one in found if one.code]
        told = [one for one in found if one.header_tells]
        taken = len(found) - len(refused)
        print(f"| {kind} | {len(found)} | {len(refused)} | {taken} | {_most(refused)} | {_most(told)} |")
    over = [one for found in by_kind.values() for one in found if one.header_tells and _is_over(one)]
    print(f"\nOver {HEADER_TELLS[0]} s or {HEADER_TELLS[1]:.0f} MB where the header tells: {over or 'none'}.")
    print("\n| the backend | the user is told | after (s) | asked |\n|---|---|---|---|")
    for name, (answer, words, _) in FAULTS.items():
        with faulty_server(answer) as (url, came):
            began = time.perf_counter()
            try:
                RemoteBackend(url, deadline=1.0 if "1 s" in words else 10.0).run([ASKED])
                said = "nothing"
            except MmvizError as refusal:
                said = str(refusal).replace(url.removeprefix("http://"), "HOST").partition(". ")[0]
            print(f"| {name} | {said} | {time.perf_counter() - began:.2f} | {len(came)} |", flush=True)


def _most(found: list[Cost]) -> str:
    if not found:
        return "- | -"
    return f"{max(one.seconds for one in found):.3f} | {max(one.megabytes for one in found):.1f}"


def _is_over(one: Cost) -> bool:
    return one.seconds > HEADER_TELLS[0] or one.megabytes > HEADER_TELLS[1] or one.code is None


if __name__ == "__main__":
    main()
