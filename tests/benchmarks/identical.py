"""`python -m tests.benchmarks.identical --tasks T --repos R --predictions FILE`: drafts change nothing that is written.

Completes every task with drafts and without, one after the other, and compares the texts. FILE keeps the answers: a run
that was stopped goes on from there, and a finished one is only compared. Exit code 1 on any difference.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from model.evaluation.metrics import MAX_TOKENS
from model.evaluation.modes import MODES, PRODUCT
from model.evaluation.options import Options, override
from model.evaluation.predictions import Prediction, latest, resume
from model.evaluation.repository import extract
from model.evaluation.run import Contestant, TaskFolders, contestants, evaluate
from model.evaluation.tasks import KINDS, Task, read_tasks, select
from model.loading import load_from_settings
from model.settings import EMBEDDED_TINY
from tests.benchmarks.measurement import percentiles

ON, OFF = "drafts.enabled=true", "drafts.enabled=false"


@dataclass(frozen=True)
class Pair:
    """One task, answered with drafts and without."""

    on: Prediction
    off: Prediction

    @property
    def same(self) -> bool:
        return self.on.text == self.off.text and self.on.tokens == self.off.tokens


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    tasks = select(read_tasks(options.tasks), options.kind.split(","), options.limit)
    before = resume(options.predictions)
    with (
        TemporaryDirectory(prefix="hef-benchmark-") as folder,
        options.predictions.open("a", encoding="utf-8") as file,
    ):
        folders = TaskFolders(Path(folder, "snapshots"), Path(folder, "indexes"))
        extract(options.repos, {task.repo for task in tasks}, folders.snapshots)
        field = _field(options.context, options.set)
        done = {(one.task_id, one.system) for one in before}
        for answer in evaluate(tasks, folders, field, done):
            print(answer.line(), file=file, flush=True)
            before.append(answer)
    return report(list(pairs(before, tasks)))


def pairs(answers: Sequence[Prediction], tasks: Sequence[Task]) -> Iterator[Pair]:
    """The tasks that have both answers."""
    found = {(one.task_id, OFF in one.system.settings): one for one in latest(answers)}
    for task in tasks:
        if (task.task_id, True) in found and (task.task_id, False) in found:
            yield Pair(found[task.task_id, False], found[task.task_id, True])


def report(done: Sequence[Pair]) -> int:
    """Passes and times by kind, and what differs; the exit code."""
    for kind in KINDS:
        if chosen := [pair for pair in done if pair.on.kind == kind]:
            on, off = (sum(getattr(pair, name).forward_passes for pair in chosen) for name in ("on", "off"))
            fast, slow = (
                percentiles([getattr(pair, name).timings_ms["decode"] for pair in chosen])
                for name in ("on", "off")
            )
            print(
                f"{kind:<10} {len(chosen):>5} tasks  passes {off / len(chosen):6.2f} -> {on / len(chosen):6.2f}"
                f" ({off / max(on, 1):.2f} times fewer)  decode p50 {slow['p50_ms']:.0f} -> {fast['p50_ms']:.0f} ms,"
                f" p95 {slow['p95_ms']:.0f} -> {fast['p95_ms']:.0f} ms"
            )
    different = [pair.on.task_id for pair in done if not pair.same]
    print(f"{len(done)} tasks, {len(different)} different")
    for task in different[:20]:
        print(f"different: {task}")
    return 1 if different or not done else 0


def _field(context: str, settings: Sequence[str]) -> list[Contestant]:
    """The product in one context mode with drafts and without, on one loaded model."""
    # The decoder makes room for the longest answer beside a whole prompt: all kinds see the same context.
    room = (f"model.maxTokens={max(MAX_TOKENS.values())}", f"model.context={context}")
    model_name = f"model.name={EMBEDDED_TINY}"  # unless a setting says otherwise
    options = override(Options(), [model_name, *room, *settings])
    model = load_from_settings(options.model)
    return [
        one
        for drafts in (ON, OFF)
        for one in contestants(
            {context: MODES[context]}, model, override(options, [drafts]), [drafts, *settings]
        )
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.identical", description=__doc__)
    parser.add_argument("--tasks", type=Path, required=True, help="tasks, JSONL or JSONL.xz")
    parser.add_argument("--repos", type=Path, required=True, help="repository snapshots, tar or tar.xz")
    parser.add_argument("--predictions", type=Path, required=True, help="where the answers are kept")
    parser.add_argument("--context", choices=[mode for mode in PRODUCT if mode != "auto"], default="none")
    parser.add_argument("--kind", default=",".join(KINDS), help=f"of {', '.join(KINDS)}")
    parser.add_argument("--limit", type=int, help="at most so many tasks, drawn evenly over repositories")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="override one setting"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
