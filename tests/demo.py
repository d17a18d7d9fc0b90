"""`make demo`: index this repository, start the real server over stdio, and complete at a real cursor.

With the coder that stays: in an editor the tiny one answers until the large one is there. Arguments go to the server:
`python -m tests.demo --set model.name=embedded-tiny`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.e2e.editor import ROOT
from tests.typist import Typist

MAX_SECONDS = 900.0  # for the first index: an idle machine needs half a minute, a busy one many
N_ABOVE = 6  # lines shown above the cursor
N_ASKED = 20  # on a busy machine a request may meet its deadline; the next goes on from what is computed
PAUSE_SECONDS = 0.3  # between two of them
N_TYPED = 8  # characters of the suggestion that are typed


class DemoError(Exception):
    """What went wrong, as a sentence."""


@dataclass(frozen=True)
class Scene:
    """A place of this repository that leans on another file; the cursor stands behind `before`."""

    path: str
    before: str  # unique in the file
    n_lines: int = 1  # the rest of its line and of so many in all is taken away, as if not written yet

    def texts(self) -> tuple[str, str]:
        """The document before and after the cursor."""
        text = (ROOT / self.path).read_text(encoding="utf-8")
        if text.count(self.before) != 1:
            raise DemoError(f"The demo's place {self.before!r} is not in {self.path} just once.")
        before, _, rest = text.partition(self.before)
        return before + self.before, "\n" + "\n".join(rest.split("\n")[self.n_lines :])


@dataclass(frozen=True)
class Shown:
    """A suggestion, and where."""

    scene: Scene
    uri: str
    offset: int
    text: str
    ms: float
    n_asked: int


# The first that the model has something to say about is shown.
SCENES = (
    Scene("model/engines/torch/decoder.py", "    def rewind(self, length: int) -> None:\n        ", 3),
    Scene("lsp_server/commands.py", "    rule = stop_rule("),
    Scene("model/evaluation/cli.py", "        model = load_from"),
    Scene("model/generator.py", "        done = self."),
    Scene("model/evaluation/repository.py", "return self.index.search("),
)


def main() -> int:
    """Exit code 1, with a sentence, when anything does not work."""
    try:
        asyncio.run(asyncio.wait_for(_demo(), MAX_SECONDS + 60))
    except DemoError as problem:
        print(f"\nThe demo failed: {problem}", file=sys.stderr)
        return 1
    except TimeoutError:
        print("\nThe demo failed: the server did not answer in time.", file=sys.stderr)
        return 1
    return 0


async def _demo() -> None:
    print(_bold(f"hef-lsp on its own repository, {ROOT.name}\n"))
    typist = Typist()
    with tempfile.TemporaryDirectory(prefix="hef-demo-") as cache:
        try:
            start = time.perf_counter()
            await typist.serve(ROOT, Path(cache), *sys.argv[1:])
            print(f"  start     the server answered after {time.perf_counter() - start:.1f} s")
            await _indexed(typist)
            await _settled(typist)
            shown = await _first_suggestion(typist)
            _show(shown)
            await _show_context(typist, shown)
            await _type_along(typist, shown)
            if code := await typist.bye():
                raise DemoError(f"the server ended with exit code {code}.")
        finally:
            with suppress(TimeoutError):  # what went wrong before is what the user should read
                await typist.leave()
    print("\n  The server ended cleanly. Nothing left this machine.")


async def _indexed(typist: Typist) -> None:
    """Wait for the first index and show how far it is."""
    start = time.monotonic()
    while typist.state != "ready":
        if typist.state == "error":
            status = typist.statuses[-1]
            raise DemoError(f"{status['message']} {status['reason']} {status['nextStep']}")
        if time.monotonic() - start > MAX_SECONDS:
            raise DemoError(f"the index was not ready after {MAX_SECONDS:.0f} s.")
        _progress_line(typist.statuses[-1]["message"] if typist.statuses else "Starting.")
        await asyncio.sleep(0.1)
    _progress_line("")
    done = typist.statuses[-1]["message"].partition(";")[0].rstrip(".")
    print(f"  index     {done}. It took {time.monotonic() - start:.1f} s.")


async def _settled(typist: Typist) -> None:
    """Wait for the coder that stays, and say which it is and why not another."""
    start = time.monotonic()
    while (status := typist.statuses[-1]).get("coming"):
        if time.monotonic() - start > MAX_SECONDS:
            raise DemoError(f"the coder was not ready after {MAX_SECONDS:.0f} s.")
        _progress_line(status["message"])
        await asyncio.sleep(0.1)
    _progress_line("")
    print("  model     " + "\n            ".join([status["model"], *status["notes"]]))


async def _first_suggestion(typist: Typist) -> Shown:
    for scene in SCENES:
        before, after = scene.texts()
        uri = typist.open_document(ROOT / scene.path, before + after)
        for n_asked in range(1, N_ASKED + 1):
            text, ms = await typist.suggestion_at(uri, len(before))
            if text:
                return Shown(scene, uri, len(before), text, ms, n_asked)
            await asyncio.sleep(PAUSE_SECONDS)
    raise DemoError("the model had nothing to suggest at any place of the demo.")


def _show(shown: Shown) -> None:
    """The lines above the cursor and the suggestion behind it, as an typist draws it."""
    lines = shown.scene.texts()[0].split("\n")
    first = max(0, len(lines) - 1 - N_ABOVE)
    print(f"\n  {_bold(shown.scene.path)}")
    for number, line in enumerate(lines[first:-1], first + 1):
        print(f"  {number:5} | {line}")
    ghost = shown.text.split("\n")
    print(f"  {len(lines):5} | {lines[-1]}{_ghost(ghost[0])}")
    for line in ghost[1:]:
        print(f"        | {_ghost(line)}")


async def _show_context(typist: Typist, shown: Shown) -> None:
    """What of the repository the suggestion was written with, and what it cost."""
    about = await typist.command("context")
    timings = about["timingsMs"]
    stages = ", ".join(f"{stage} {timings[stage]:.0f} ms" for stage in ("retrieve", "prefill", "decode"))
    coder = typist.statuses[-1]["model"].partition(" (")[0]
    again = f", when asked {shown.n_asked} times" if shown.n_asked > 1 else ""
    print(f"\n  answered  by {coder} in {shown.ms:.0f} ms{again}: {stages}")
    written = f"{about['tokens']} written in {about['forwardPasses']} passes"
    print(f"  prompt    {about['promptTokens']} tokens, {written}; mode {about['mode']}")
    print("  context   " + "\n            ".join(_places(about["context"]) or ["nothing of the repository"]))


def _places(context: Sequence[dict[str, Any]]) -> list[str]:
    lines = {"chunk": ":{firstLine}-{lastLine}", "file": " (the whole file)", "directory": "/ (directory)"}
    return [
        (item["path"] or ".") + lines.get(item["level"], " (repository)").format(**item) for item in context
    ]


async def _type_along(typist: Typist, shown: Shown) -> None:
    """Type the beginning of the suggestion: the rest must stay, without the model being asked."""
    offset, times = shown.offset, []
    n_typed = min(N_TYPED, len(shown.text.rstrip()) - 1)
    for n in range(n_typed):
        offset = typist.type_at(shown.uri, offset, shown.text[n])
        rest, ms = await typist.suggestion_at(shown.uri, offset)
        if rest != shown.text[n + 1 :]:
            raise DemoError(f"the suggestion was lost while {shown.text[: n + 1]!r} of it was typed.")
        times.append(ms)
    if times:
        print(f"  typing    {shown.text[:n_typed]!r}: the rest stays; ", end="")
        print(
            f"each key is answered in {median(times):.1f} ms (slowest {max(times):.1f} ms), without the model"
        )


def _progress_line(text: str) -> None:
    if sys.stdout.isatty():
        print(f"\r  {text}\x1b[K", end="\r" if not text else "", flush=True)


def _bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m" if _colors() else text


def _ghost(text: str) -> str:
    """Grey and slanted, as typists show ghost text; between marks where there are no colors."""
    return f"\x1b[3;96m{text}\x1b[0m" if _colors() else f"[[{text}]]"


def _colors() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


if __name__ == "__main__":
    sys.exit(main())
