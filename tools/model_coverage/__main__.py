"""``python -m tools.model_coverage`` writes ``docs/coverage.md``, and its summary in README and ``capture.md``.

With names of families it tries and prints those alone.
It ends with 1 where a map, a label or an axis is silently wrong, or a build could not be judged.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from tools.model_coverage.build_registry import AREAS
from tools.model_coverage.coverage_table import coverage_document, summary
from tools.model_coverage.judge_build import BuildOutcome, judge_build

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = ROOT / "docs" / "coverage.md"
SUMMARISED = (ROOT / "README.md", ROOT / "docs" / "explanation" / "capture.md")
"""Pages that hold the summary, between these two lines."""
BEGIN, END = "<!-- coverage: begin -->\n", "<!-- coverage: end -->\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.model_coverage", description=__doc__)
    parser.add_argument("families", nargs="*", help="families to try; by default all of them, for the document")
    parser.add_argument("--area", choices=AREAS, help="try the families of one area only")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    outcomes: dict[str, list[BuildOutcome]] = {}
    not_judged: list[str] = []
    for area, builds in AREAS.items():
        if chosen.area not in (None, area):
            continue
        outcomes[area] = []
        for build in builds:
            if chosen.families and build.family not in chosen.families:
                continue
            start = time.perf_counter()
            try:
                outcome = judge_build(build)
            except Exception as problem:  # a build that a new release of transformers refuses: the others go on
                print(f"{build.family}: not judged, {type(problem).__name__}: {problem}", flush=True)
                not_judged.append(build.family)
                continue
            outcomes[area].append(outcome)
            state = "wrong" if outcome.all_wrong else "recorded" if outcome.is_whole else "left out in part"
            print(f"{build.family}: {state}, {time.perf_counter() - start:.1f} s", flush=True)
            for what, trial in outcome.all_wrong.items():
                print(f"    {what} ({trial})", flush=True)
    outcomes = {area: of_area for area, of_area in outcomes.items() if of_area}
    everything = [outcome for of_area in outcomes.values() for outcome in of_area]
    print("\n".join(summary(everything)))
    print(f"not judged: {', '.join(not_judged) or 'none'}")
    if not chosen.families and chosen.area is None:
        DOCUMENT.write_text(coverage_document(outcomes), encoding="utf-8")
        for page in SUMMARISED:
            page.write_text(with_summary(page.read_text(encoding="utf-8"), summary(everything)), encoding="utf-8")
        print(f"written: {DOCUMENT}, and the summary in {' and '.join(map(str, SUMMARISED))}")
    return int(bool(not_judged) or any(outcome.all_wrong for outcome in everything))


def with_summary(page: str, lines: Sequence[str]) -> str:
    """Returns the text of a page with these lines as its summary."""
    before, _, rest = page.partition(BEGIN)
    items = "".join(f"- {line}\n" for line in lines)
    return f"{before}{BEGIN}{items}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    sys.exit(main())
