"""`python -m tests.benchmarks.identical A.jsonl B.jsonl`: whether two runs of the evaluation wrote the same texts.

Each file is what `python -m model.evaluation --predictions` wrote, such as with `--set drafts.enabled=true` and with
`--set drafts.enabled=false`. Says how many forward passes each took per kind of task; exit code 1 on any difference.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

Key = tuple[str, str]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.identical", description=__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    options = parser.parse_args(arguments)
    first, second = _read(options.first), _read(options.second)
    common = first.keys() & second.keys()
    different = sorted(key for key in common if first[key]["text"] != second[key]["text"])
    for kind, (n, passes, others) in sorted(_passes(first, second, common).items()):
        print(f"{kind:<12} {n:>6} tasks  passes {passes / n:8.1f} {others / n:8.1f}  ratio {others / passes:.2f}")
    print(f"{len(common)} in both, {len(different)} different, {len(first.keys() ^ second.keys())} in one only")
    for task, mode in different[:20]:
        print(f"different: {task} ({mode})")
    return 1 if different or not common else 0


def _read(file: Path) -> dict[Key, dict[str, Any]]:
    lines = (json.loads(line) for line in file.read_text(encoding="utf-8").splitlines())
    return {(line["task_id"], line["mode"]): line for line in lines}


def _passes(first: dict[Key, Any], second: dict[Key, Any], common: set[Key]) -> dict[str, tuple[int, int, int]]:
    """Per kind of task: how many there are, and the passes of either run."""
    found: dict[str, tuple[int, int, int]] = defaultdict(lambda: (0, 0, 0))
    for key in common:
        n, passes, others = found[first[key]["kind"]]
        found[first[key]["kind"]] = (
            n + 1,
            passes + first[key]["forward_passes"],
            others + second[key]["forward_passes"],
        )
    return found


if __name__ == "__main__":
    sys.exit(main())
