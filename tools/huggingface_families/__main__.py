"""``python -m tools.huggingface_families`` writes ``docs/huggingface.md``.

With names of checkpoints it tries and prints those alone. It ends with 1 where a probe of the places disagrees, or a
way of running fails.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from pathlib import Path

from tools.huggingface_families.checkpoint_builds import every_build

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "huggingface.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.huggingface_families", description=__doc__)
    parser.add_argument("names", nargs="*", help="checkpoints to try; by default all of them, for the document")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    builds = every_build()  # before transformers, see there
    from tools.huggingface_families.families_table import families_document
    from tools.huggingface_families.judge_checkpoint import judge_checkpoint

    outcomes = []
    for name in chosen.names or sorted(builds):
        outcome = judge_checkpoint(name)
        outcomes.append(outcome)
        wrong = [f"{what}: {text}" for what, text in (outcome.places | outcome.means).items() if text]
        print(f"{name}: {outcome.problem or '; '.join(wrong) or 'right'}", flush=True)
    document = families_document(outcomes)
    if chosen.names:
        print(document)
    else:
        DOCUMENT.write_text(document, encoding="utf-8")
        print(f"written: {DOCUMENT.relative_to(DOCUMENT.parent.parent)}")
    return int(any(not outcome.problem and not outcome.is_right for outcome in outcomes))


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # threads of pages that were opened would end the process with an error
