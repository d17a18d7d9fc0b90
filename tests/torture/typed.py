"""Somebody types for hours: jumps, Enter, deletes, accepts, opens and closes in real files, and asks at each key.

Figures: latency, the longest freeze of the loop (time of a trivial request), memory, files and threads of the server,
and how they grow per 1,000 requests over the second half.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np

from model.settings import EMBEDDED, EMBEDDED_TINY
from tests.torture.client import Client
from tests.torture.indexes import CANARY
from tests.torture.material import decoded, real_files
from tests.torture.protocol import position
from tests.torture.runner import Form, Kind, Outcome

KEY_SECONDS = 0.12  # between two keys
SHORT_SECONDS = 60  # nothing is said of slopes and slow starts below
N_FILES, FEW_FILES = 40, 6
BEAT_EVERY = 5  # keys
LOOK_EVERY = 200  # requests
MAX_FREEZE_MS = 100.0
MAX_LATE_MS = 100.0  # behind the deadline
DEADLINE_MS = 1_000.0  # model.deadlineMs
FLAT = {"rss_kb": 400.0, "files": 0.5, "threads": 0.5}  # per 1,000 requests


class Typist:
    """One document after another. `offset` is the cursor."""

    def __init__(self, client: Client, rng: random.Random, root: Path) -> None:
        self._client, self._rng, self._root = client, rng, root
        self._uri, self._version = "", 0
        self.text, self.offset = "", 0
        self.milliseconds: list[float] = []
        self.beats: list[float] = []
        self.n_accepted = 0

    def switch(self) -> None:
        """Close the document and open another somewhere."""
        if self._uri:
            self._client.close(self._uri)
        file = self._rng.choice(sorted(self._root.rglob("*.py")))
        self._uri, self._version, self.text = file.as_uri(), 1, file.read_text("utf-8")
        self._client.open(self._uri, self.text)
        self.jump()

    def jump(self) -> None:
        line = self._rng.randrange(self.text.count("\n") + 1)
        self.offset = sum(map(len, self.text.splitlines(keepends=True)[: line + 1]))
        self.offset = max(0, min(self.offset - 1, len(self.text)))

    def put(self, new: str, erased: int = 0) -> None:
        start = max(0, self.offset - erased)
        place = {
            "start": position(self.text, start, "utf-16"),
            "end": position(self.text, self.offset, "utf-16"),
        }
        self.text = self.text[:start] + new + self.text[self.offset :]
        self.offset = start + len(new)
        self._version += 1
        self._client.change(self._uri, self._version, {"range": place, "text": new})

    def ask(self) -> None:
        """Ask at the cursor, and accept now and then."""
        began, place = time.perf_counter(), position(self.text, self.offset, "utf-16")
        number = self._client.ask(self._uri, place["line"], place["character"])
        answer = self._client.answer(number)
        self.milliseconds.append((time.perf_counter() - began) * 1e3)
        del self._client.answers[number], self._client.counts[number]
        items = (answer.get("result") or {}).get("items", [])
        if items and self._rng.random() < 0.3:
            wanted = items[0].get("range")
            if wanted is None or wanted["start"] == wanted["end"]:
                self.put(items[0]["insertText"])
                self._client.command("accepted", *items[0]["command"]["arguments"])
                self.n_accepted += 1

    def beat(self) -> None:
        began = time.perf_counter()
        self._client.command("context", "untitled:none")
        self.beats.append((time.perf_counter() - began) * 1e3)

    def key(self, line: str) -> str:
        """One key of a line that is wanted; what is left of it."""
        chance = self._rng.random()
        if chance < 0.06:
            self.put("", erased=1)
        elif chance < 0.08:
            self.jump()
        elif not line or chance < 0.11:
            self.put("\n")
            return ""
        else:
            self.put(line[0])
            line = line[1:]
        self.ask()
        return line


def case(seed: int, size: int, scratch: Path) -> Outcome:
    """`size`: seconds."""
    rng = random.Random(seed)
    root, lines = (
        scratch / "root",
        _lines(rng, scratch / "root", N_FILES if size > SHORT_SECONDS else FEW_FILES),
    )
    # Whoever types for hours has what users have: one coder takes over from the other.
    name = EMBEDDED if size > SHORT_SECONDS else EMBEDDED_TINY
    with Client.start(scratch / "cache", "--set", f"model.name={name}") as client:
        client.initialize(root)
        client.until_ready()
        typist, series = Typist(client, rng, root), []
        typist.switch()
        end, line, n_keys = time.monotonic() + size, "", 0
        while time.monotonic() < end:
            began, n_keys = time.monotonic(), n_keys + 1
            line = typist.key(line) or rng.choice(lines)
            if n_keys % BEAT_EVERY == 0:
                typist.beat()
            if n_keys % LOOK_EVERY == 1:
                series.append((len(typist.milliseconds), *_held(client.pid)))
            if rng.random() < 0.01:
                typist.switch()
            time.sleep(max(0.0, KEY_SECONDS - (time.monotonic() - began)))
        failures = [] if client.bye() == 0 else ["a bad exit code"]
        if "Traceback" in client.errors or CANARY in client.errors:
            failures.append(f"on stderr: {client.errors[-300:]}")
    figures = _figures(typist, np.array(series, float))
    return Outcome(failures + (_judged(figures) if size > SHORT_SECONDS else []), figures)


def _lines(rng: random.Random, root: Path, n_files: int) -> list[str]:
    """Copy real Python files; lines that somebody could type."""
    root.mkdir()
    python = [file for file in real_files() if file.suffix == ".py" and 500 < file.stat().st_size < 20_000]
    lines: list[str] = []
    for number, file in enumerate(rng.sample(python, n_files)):
        text = decoded(file.read_bytes())
        (root / f"m{number}.py").write_text(text, "utf-8")
        lines += [line for line in text.splitlines() if 8 < len(line) < 90]
    return lines


def _held(pid: int) -> tuple[float, float, float]:
    """Resident KiB, open files and threads of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    n_files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return float(status["VmRSS"].split()[0]), n_files, float(status["Threads"])


def _figures(typist: Typist, series: np.ndarray) -> dict[str, float]:
    p50, p95 = np.percentile(typist.milliseconds, (50, 95))
    figures = {
        "requests": len(typist.milliseconds), "accepted": typist.n_accepted, "p50_ms": p50, "p95_ms": p95,
        "latest_ms": max(typist.milliseconds), "freeze_ms": max(typist.beats), "rss_mb": series[-1, 1] / 1024,
    }  # fmt: skip
    half = series[len(series) // 2 :]
    if len(half) > 2:
        for column, name in enumerate(FLAT, 1):
            figures[f"{name}_per_1000"] = float(np.polyfit(half[:, 0] / 1_000, half[:, column], 1)[0])
    return {name: round(float(value), 2) for name, value in figures.items()}


def _judged(figures: dict[str, float]) -> list[str]:
    failures = [
        f"{name} grows by {figures[f'{name}_per_1000']} per 1,000 requests"
        for name, most in FLAT.items()
        if figures.get(f"{name}_per_1000", 0.0) > most
    ]
    if figures["freeze_ms"] > MAX_FREEZE_MS:
        failures.append(f"the loop froze for {figures['freeze_ms']:.0f} ms")
    if figures["latest_ms"] > DEADLINE_MS + MAX_LATE_MS:
        failures.append(f"an answer after {figures['latest_ms']:.0f} ms")
    return failures


KIND = Kind(
    "typing", case, short=Form(1, 4), full=Form(1, 7_200), limit_seconds=lambda size: 300 + 1.2 * size,
    seconds_each=1.1,
)  # fmt: skip
