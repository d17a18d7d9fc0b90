"""What a run of torture says at its end: a table, the failures with their commands, and the slowest seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tests.torture.runner import Record, reproduction

MANY_TIMES = 20  # the median: such a figure is worth a look
SHOWN_FAILURES = 20
RATES = ("_per_byte",)  # figures that should be alike whatever the case


def table(records: Sequence[Record]) -> str:
    """One row per kind."""
    rows = [("kind", "cases", "failed", "skipped", "seconds", "longest s")]
    for kind in dict.fromkeys(record.kind for record in records):
        of_kind = [record for record in records if record.kind == kind]
        seconds = [record.seconds for record in of_kind]
        failed = sum(bool(record.failures) for record in of_kind)
        skipped = sum(bool(record.skipped) for record in of_kind)
        rows.append(
            (kind, *map(str, (len(of_kind), failed, skipped)), f"{sum(seconds):.0f}", f"{max(seconds):.1f}")
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], ("---",) * len(rows[0]), *rows[1:]])


def figures(records: Sequence[Record]) -> str:
    """Median and largest value of each figure, with the seed of the largest."""
    lines = []
    for kind in dict.fromkeys(record.kind for record in records):
        of_kind = [record for record in records if record.kind == kind]
        for name in dict.fromkeys(name for record in of_kind for name in record.figures):
            having = [record for record in of_kind if name in record.figures]
            middle, most = median(r.figures[name] for r in having), max(having, key=lambda r: r.figures[name])
            strange = name.endswith(RATES) and most.figures[name] > MANY_TIMES * middle
            mark = f"  (> {MANY_TIMES} times the median)" if strange else ""
            lines.append(
                f"{kind:9} {name:28} {middle:12.6g} {most.figures[name]:12.6g}  seed {most.seed}{mark}"
            )
    return "\n".join(lines)


def failures(records: Sequence[Record]) -> str:
    """Each failed case with the command that runs it again."""
    failed = [record for record in records if record.failures]
    lines = []
    for record in failed[:SHOWN_FAILURES]:
        lines += [f"FAILED {reproduction(record)}", *(f"    {failure}" for failure in record.failures)]
    if len(failed) > SHOWN_FAILURES:
        lines.append(f"... and {len(failed) - SHOWN_FAILURES} more in the journal")
    skipped = {f"skipped {record.kind}: {record.skipped}" for record in records if record.skipped}
    return "\n".join([*lines, *sorted(skipped)])
