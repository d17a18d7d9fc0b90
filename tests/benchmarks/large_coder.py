"""`python -m tests.benchmarks.large_coder [--model FOLDER] [--beside CHECKOUT ...] [--llama]`: keys typed into the
middle of a file over stdio, answered by a coder that is large for this machine and reads what is below the cursor last.

Without `--model` it has the shapes of Qwen2.5-Coder-0.5B, random weights and the real tokenizer (the extra [dev]); what
it writes is nonsense, what it costs is not. The keys come at the pace of somebody who types, whether they are answered
or not: a later key supersedes an earlier one. `--beside`: other checkouts whose server is measured in the same run.
`--llama`: llama.cpp, too, on the same weights in q8_0, for answers of one token (nothing answers with less) and of
sixteen. It puts what is typed in front of what is below the cursor, of which each key then costs up to 512 tokens anew.
`tests/scale/install_remote.sh` installs it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks import infill_peer
from tests.benchmarks.engine_subjects import SHAPE_05B, write_random
from tests.benchmarks.measurement import Measurement, heading, json_line, percentiles, table, this_machine
from tests.e2e.editor import ROOT
from tests.qwen_checkpoint import qwen_tokenizer
from tests.scale.llama_server import has_llama, llama
from tests.scale.vllm_server import free_port
from tests.typist import SERVER, SHOW_ALL, Typist

TARGET = "p50 <= 150 ms, p95 <= 600 ms, every key answered or superseded"
LLAMA_TOKENS = (1, 16)
MAX_WAIT = 600.0  # seconds until the coder answers: its graph is made, and its pace is measured
TYPED = "        total = self.first + int(second)\n        if total > limit:\n            return total\n"
_LINES = "    def part_{n}(self, first: int, second: int) -> int:\n        return self.other(first) * {n} + second\n\n"
ABOVE = (
    "import os\n\n\nclass Cart:\n" + "".join(_LINES.format(n=n) for n in range(30)) + "    def total(self):\n"
)
BELOW = "\n" + "".join(_LINES.format(n=n) for n in range(30, 60))


@dataclass(frozen=True)
class Typing:
    """How the text is typed. The deadline is one that lets a coder take over that is slow at a new place; whoever types
    waits for none."""

    text: str = TYPED
    key_seconds: float = 0.25
    settle_seconds: float = 10.0  # at the first place, before the first key
    deadline_ms: int = 60_000


@dataclass(frozen=True)
class Key:
    """`ms` from the key to its answer; `superseded`: the next key came before it."""

    ms: float
    superseded: bool


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.large_coder", description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of a checkpoint")
    parser.add_argument("--beside", type=Path, action="append", default=[], metavar="CHECKOUT")
    parser.add_argument("--llama", action="store_true", help="llama.cpp's server as well")
    parser.add_argument("--json", action="store_true", help="one JSON line per row")
    options = parser.parse_args(argv)
    if options.llama and not has_llama():
        parser.error("llama.cpp is not here: tests/scale/install_remote.sh installs it")
    machine = this_machine()
    if not options.json:
        print(heading(machine))
    with TemporaryDirectory(prefix="hef-benchmark-") as scratch:
        model = options.model or written(Path(scratch) / "0.5B")
        rows: Iterable[Measurement] = measured(model, [*options.beside, ROOT], Path(scratch))
        if options.llama:
            rows = chain(rows, infilled(model, Path(scratch)))
        for line in (json_line(row, machine) for row in rows) if options.json else table(rows):
            print(line, flush=True)
    return 0


def written(folder: Path) -> Path:
    """A checkpoint of 0.5B parameters in float32, 2 GB, with Qwen2.5's tokenizer."""
    folder.mkdir(parents=True)
    write_random(folder, shape=SHAPE_05B)
    (folder / "tokenizer.json").write_text(json.dumps(qwen_tokenizer(), ensure_ascii=False), encoding="utf-8")
    return folder


def measured(
    model: Path, checkouts: Sequence[Path], scratch: Path, typing: Typing = Typing()
) -> Iterator[Measurement]:
    """A row for the server of each checkout, one after the other."""
    for number, checkout in enumerate(checkouts):
        folder = scratch / f"repository-{number}"
        folder.mkdir()
        (folder / "cart.py").write_text(ABOVE + BELOW, encoding="utf-8")
        keys = asyncio.run(_session(model, checkout.resolve(), folder, scratch / f"cache-{number}", typing))
        yield _row(model, "this checkout" if checkout == ROOT else str(checkout), keys)


async def _session(model: Path, checkout: Path, folder: Path, cache: Path, typing: Typing) -> list[Key]:
    typist = Typist()
    settings = (f"model.name={model}", f"model.deadlineMs={typing.deadline_ms}", "drafts.packages=false")
    assignments = (part for one in settings for part in ("--set", one))
    environment = {**os.environ, "HEF_CACHE_DIR": str(cache)}
    try:
        # Python looks into the folder that it is started in first: this is the checkout's server.
        await typist.start_io(*SERVER, *SHOW_ALL, *assignments, env=environment, cwd=checkout)
        await typist.hello(folder)
        await _until_answering(typist, str(model))
        uri = typist.open_document(folder / "cart.py", ABOVE + BELOW)
        await typist.suggestion_at(uri, len(ABOVE))
        await asyncio.sleep(typing.settle_seconds)
        keys = await _typed(typist, uri, typing)
        await typist.bye()
        return keys
    finally:
        await typist.leave()


async def _until_answering(typist: Typist, name: str) -> None:
    """Raises TimeoutError when another coder answers for good."""
    async with asyncio.timeout(MAX_WAIT):
        while not (typist.state == "ready" and str(typist.statuses[-1]["model"]).startswith(f"{name} (")):
            await asyncio.sleep(0.1)


async def _typed(typist: Typist, uri: str, typing: Typing) -> list[Key]:
    offset, began = len(ABOVE), []
    answers: list[asyncio.Task[float]] = []
    for character in typing.text:
        offset = typist.type_at(uri, offset, character)
        began.append(time.perf_counter())
        answers.append(asyncio.create_task(_answered(typist, uri, offset)))
        await asyncio.sleep(typing.key_seconds)
    ends = await asyncio.gather(*answers)
    following = [*began[1:], float("inf")]
    return [
        Key((end - start) * 1e3, end > after)
        for start, end, after in zip(began, ends, following, strict=True)
    ]


async def _answered(typist: Typist, uri: str, offset: int) -> float:
    """When the answer has come."""
    await typist.suggestion_at(uri, offset)
    return time.perf_counter()


def infilled(model: Path, scratch: Path, typing: Typing = Typing()) -> Iterator[Measurement]:
    """A row for answers of each length by llama.cpp."""
    with llama(model, scratch, free_port(), q8=True) as address:
        for n_tokens in LLAMA_TOKENS:
            asked = infill_peer.typed(address, ABOVE, BELOW, typing.text, typing.key_seconds, n_tokens)
            keys = [Key(ms, not math.isfinite(ms)) for ms in asyncio.run(asked)]
            yield _row(model, f"llama.cpp, {n_tokens} tokens", keys)


def _row(model: Path, case: str, keys: Sequence[Key]) -> Measurement:
    in_time = [key.ms for key in keys if not key.superseded]
    values = percentiles(in_time) if in_time else {}
    shares = {"answered": float(len(in_time)), "superseded": float(len(keys) - len(in_time))}
    return Measurement("large coder", model.name, 1, case, {**shares, **values}, TARGET, f"{len(keys)} keys")


if __name__ == "__main__":
    sys.exit(main())
