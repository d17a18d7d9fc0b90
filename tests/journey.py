"""A day with the server, played by a real client: `python -m tests.journey FOLDER [--set NAME=VALUE ...]`.

Opens a copy of a repository, waits for its index, completes at 20 cursors, edits a file on disk and watches retrieval
follow, cancels, overtakes itself, and shuts down. Exit code 1 when a request stays unanswered or a promise is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from tests.typist import Typist, position

N_CURSORS = 20
N_BURST = 10
MAX_INDEX_SECONDS = 900.0
MAX_FOLLOW_SECONDS = 20.0
UNIQUE = "zymurgy_ledger_reconciliation"
CALLS = tuple(
    f"\n{line}" for line in (f"value = {UNIQUE}(", f"self.total = {UNIQUE}(self.", f"if {UNIQUE}(self, ")
)


class BrokenPromiseError(Exception):
    """What the server should have done, as a sentence."""


class Journey:
    """One session. Counts requests and answers: they must be equal at the end."""

    def __init__(self, root: Path, typist: Typist) -> None:
        self._root, self._typist = root, typist
        self.n_asked = self.n_answered = 0

    async def until_indexed(self) -> None:
        start, shown = time.monotonic(), -1.0
        while self._typist.state != "ready":
            if time.monotonic() - start > MAX_INDEX_SECONDS:
                raise BrokenPromiseError(f"the index was not ready after {MAX_INDEX_SECONDS:.0f} s")
            if time.monotonic() - shown > 5:
                shown = time.monotonic()
                say(f"  {self._progress()}")
            await asyncio.sleep(0.1)
        say(f"  ready after {time.monotonic() - start:.1f} s, {len(self._typist.progress)} progress messages")

    def _progress(self) -> str:
        messages = [step["message"] for step in self._typist.progress if step.get("message")]
        return str(messages[-1]) if messages else self._typist.state

    async def complete_at(self, cursors: list[tuple[Path, str, int]]) -> list[float]:
        times, n_texts = [], 0
        for path, text, offset in cursors:
            unfinished = text[:offset] + text[text.find("\n", offset) :]
            uri = self._typist.open_document(path, unfinished)
            suggestion, ms = await self._ask(uri, offset)
            times.append(ms)
            n_texts += bool(suggestion)
            line = text[text.rfind("\n", 0, offset) + 1 : offset].strip()
            say(
                f"  {ms:6.0f} ms  {path.relative_to(self._root)}: {line[-40:]}\x1b[2m{first_line(suggestion)}\x1b[0m"
            )
            self._typist.close(uri)
        say(
            f"  {n_texts} of {len(cursors)} with a suggestion, p50 {median(times):.0f} ms, max {max(times):.0f} ms"
        )
        return times

    async def follow_the_disk(self, path: Path, text: str, offset: int) -> None:
        """A function written to disk by someone else is among the context of the next suggestion that uses its name."""
        helper = self._root / "journey_helper.py"
        if await self._uses(path, text[:offset], helper.name):
            raise BrokenPromiseError("the context names a file that does not exist yet")
        helper.write_text(
            f"def {UNIQUE}(ledger, period):\n    return ledger.reconcile(period)\n", encoding="utf-8"
        )
        start = time.monotonic()
        while not await self._uses(path, text[:offset], helper.name):
            if time.monotonic() - start > MAX_FOLLOW_SECONDS:
                raise BrokenPromiseError(f"{helper.name} was not retrieved within {MAX_FOLLOW_SECONDS:.0f} s")
        say(
            f"  a new file on disk is retrieved after {(time.monotonic() - start) * 1e3:.0f} ms, quiet time included"
        )

    async def _uses(self, path: Path, above: str, name: str) -> bool:
        """Ask at places that call the function, until one has a suggestion, and look at what that was made from."""
        for call in CALLS:
            before = above + call
            uri = self._typist.open_document(path, before + "\n")
            suggestion, _ = await self._ask(uri, len(before))
            self._typist.close(uri)
            if suggestion:
                context: Any = await self._typist.command("context")
                return any(item["path"] == name for item in context["context"])
        raise BrokenPromiseError("the model has nothing to say at any call of the function")

    async def cancel_and_overtake(self, path: Path, text: str, offset: int) -> None:
        uri = self._typist.open_document(path, text)
        place = position(text, offset)
        answers = [self._typist.ask(uri, place.line, place.character) for _ in range(N_BURST)]
        self.n_asked += N_BURST
        for answer in answers[:-1:2]:
            self._typist.take_back(answer)
        start = time.perf_counter()
        results = await asyncio.wait_for(asyncio.gather(*answers, return_exceptions=True), 30)
        self.n_answered += len(results)
        ms = (time.perf_counter() - start) * 1e3
        say(f"  {N_BURST} requests at once, half of them canceled: all answered in {ms:.0f} ms")
        self._typist.close(uri)

    async def _ask(self, uri: str, offset: int) -> tuple[str, float]:
        self.n_asked += 1
        answer = await self._typist.suggestion_at(uri, offset)
        self.n_answered += 1
        return answer


def cursors_of(root: Path, rng: random.Random) -> Iterator[tuple[Path, str, int]]:
    """Places inside lines of real code, right behind `.`, `(`, `=` or a keyword."""
    files = sorted(path for path in root.rglob("*.py") if path.stat().st_size > 2_000)
    while files:
        path = rng.choice(files)
        text = path.read_text(encoding="utf-8", errors="replace")
        places = [i + 1 for i, c in enumerate(text[:-2]) if c in ".(=" and text[i + 1] not in "\n=)"]
        if places:
            yield path, text, rng.choice(places)


def first_line(text: str) -> str:
    lines = text.splitlines() or [""]
    return lines[0][:60] + (" ..." if len(lines) > 1 else "")


def say(line: str) -> None:
    print(line, flush=True)


async def play(root: Path, cache: Path, settings: list[str]) -> None:
    typist = Typist()
    journey = Journey(root, typist)
    rng = random.Random(7)
    cursors = [cursor for cursor, _ in zip(cursors_of(root, rng), range(N_CURSORS), strict=False)]
    try:
        say("initialize")
        await typist.serve(root, cache, *(word for name in settings for word in ("--set", name)))
        say("completion while the index is being built")
        await journey.complete_at(cursors[:1])
        say("index")
        await journey.until_indexed()
        say(f"completion at {N_CURSORS} cursors")
        await journey.complete_at(cursors)
        say("an edit on disk")
        await journey.follow_the_disk(*cursors[0])
        say("cancel and overtake")
        await journey.cancel_and_overtake(*cursors[1])
        say("shutdown")
        code = await typist.bye()
        say(f"  exit code {code}; {journey.n_asked} completions asked for, {journey.n_answered} answered")
        if code or journey.n_asked != journey.n_answered:
            raise BrokenPromiseError("a request stayed unanswered, or the server did not end well")
    finally:
        await typist.leave()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.journey", description=__doc__)
    parser.add_argument("folder", type=Path, help="a repository; a copy of it is used")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch).resolve() / options.folder.resolve().name
        shutil.copytree(options.folder, root, symlinks=True)
        say(f"{root.name}: {sum(1 for _ in root.rglob('*.py'))} Python files")
        try:
            asyncio.run(play(root, Path(scratch) / "cache", options.set))
        except BrokenPromiseError as problem:
            print(f"journey: {problem}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
