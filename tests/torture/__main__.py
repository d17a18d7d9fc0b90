"""`python -m tests.torture [KIND ...] [--short] [--cases N] [--first N] [--size N] [--seed N] [--minutes N]
[--journal FILE]`.

Without a kind all of them, in full: hours, which may be interrupted and go on. With `--minutes` each kind has a fair
share of the time: long cases are made shorter, and what is left over another run goes on with. Exit code 1 when a case
failed.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

from tests.torture import summary
from tests.torture.kinds import KINDS
from tests.torture.runner import Form, Journal, Kind, Record, Until, run, serve

PROGRESS_EVERY = 500  # cases


def main() -> int:
    options = _parser().parse_args()
    kinds = [KINDS[name] for name in options.kinds or KINDS]
    if options.worker:
        serve(kinds[0], options.size, options.worker)
        return 0
    if options.seed is not None:
        records = [
            record for kind in kinds for record in run(kind, _form(kind, options), [options.seed], _tell)
        ]
    else:
        records = _all(kinds, options)
    print(
        f"\n{summary.figures(records)}\n\n{summary.table(records)}\n{summary.failures(records)}", flush=True
    )
    return 1 if any(record.failures for record in records) else 0


def _all(kinds: list[Kind], options: argparse.Namespace) -> list[Record]:
    """One kind after the other; what one leaves of its share of the time is the others'."""
    journal, records = Journal(options.journal), []
    end = time.monotonic() + 60 * options.minutes
    for n, kind in enumerate(kinds):
        share = max(0.0, end - time.monotonic()) / (len(kinds) - n)
        form = kind.fitting(_form(kind, options), share) if math.isfinite(share) else _form(kind, options)
        cases = range(options.first, options.first + form.cases)
        records += _resumed(kind, form, cases, journal, Until(time.monotonic() + share, end))
    return records


def _resumed(kind: Kind, form: Form, cases: range, journal: Journal, until: Until) -> list[Record]:
    """The cases of a kind, those that an earlier run has done not again."""
    done = {record.seed: record for record in journal.records(kind, form.size) if record.seed in cases}
    print(f"{kind.name}: {form.cases} cases of size {form.size}, {len(done)} of them done before", flush=True)

    def told(record: Record) -> None:
        journal.write(record)
        _tell(record)

    left = [seed for seed in cases if seed not in done]
    return [*done.values(), *run(kind, form, left, told, until)]


def _tell(record: Record) -> None:
    if record.failures:
        print(f"  seed {record.seed}: {record.failures[0]}", flush=True)
    elif record.seed % PROGRESS_EVERY == 0:
        print(f"  seed {record.seed}", flush=True)


def _form(kind: Kind, options: argparse.Namespace) -> Form:
    form = kind.short if options.short else kind.full
    return Form(options.cases or form.cases, options.size or form.size)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--short", action="store_true", help="the form of the default suite")
    parser.add_argument("--cases", type=int, help="how many instead of the form's number")
    parser.add_argument("--first", type=int, default=0, help="the first case of several processes' shares")
    parser.add_argument("--size", type=int, help="of each case")
    parser.add_argument("--seed", type=int, help="run this one case, and not note it down")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="after which it ends, all kinds together"
    )
    parser.add_argument(
        "--journal", type=Path, default=Path(".torture/journal.jsonl"), help="where finished cases are"
    )
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
