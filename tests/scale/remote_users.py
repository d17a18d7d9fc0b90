"""Users who type at once at one server: `python -m tests.scale.remote_users --server URL --model NAME --users 1,8,32`.

Each types a key every KEY_SECONDS into a file of this repository, whether there was an answer or not, as editors ask.
How many a GPU serves is the largest number of which p95 of the first token is what you want to wait.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from model.completer import Completer
from model.engines.remote.loading import Elsewhere, load_elsewhere
from model.request import Request
from model.settings import EMBEDDED_TINY, DraftSettings, ModelSettings, RecallSettings
from tests.model.found_item import FoundItem

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED = ROOT / "model" / "pretrained"
SOURCES = ("indexer/exact.py", "indexer/imports.py", "model/pace.py", "lsp_server/closers.py")
N_KEYS, KEY_SECONDS = 12, 0.2
PATIENT_MS = 600_000.0  # what is compared and not timed must not end early on a busy machine


def requests(mode: str, n: int) -> list[Request]:
    """Cursors spread over files of this repository, at word ends and in the middle of words and lines."""
    texts = [(name, (ROOT / name).read_text("utf-8")) for name in SOURCES]
    found = []
    for number in range(n):
        name, text = texts[number % len(texts)]
        cut = 900 + (number * 389) % (len(text) - 1200)
        found.append(
            Request(name, text[:cut], text[cut + 30 :], context=mode, max_tokens=24, deadline_ms=PATIENT_MS)
        )
    return found


def context_of(elsewhere: Elsewhere) -> list[FoundItem]:
    """Eight pieces of another file, with the memories that the fuser makes of them."""
    lines = (ROOT / "indexer" / "hierarchy.py").read_text("utf-8").splitlines(keepends=True)
    texts = ["".join(lines[start : start + 12]) for start in range(20, 116, 12)]
    assert elsewhere.model.encoder is not None
    memories = elsewhere.model.encoder.embed(texts).memories
    return [
        FoundItem("indexer/hierarchy.py", text, memory=memory)
        for text, memory in zip(texts, memories, strict=True)
    ]


@dataclass
class User:
    """`first_ms`: until the first token of each key that got one; `n_typed_over`: keys that got none in time."""

    completer: Completer
    items: Sequence[FoundItem]
    request: Request
    key_seconds: float
    first_ms: list[float] = field(default_factory=list)
    n_typed_over: int = 0

    def type(self) -> None:
        prefix, keys = self.request.prefix[:-N_KEYS], self.request.prefix[-N_KEYS:]
        for key in keys:
            prefix += key
            started = time.perf_counter()
            over, told = started + self.key_seconds, list[float]()

            def finished(text: str, started: float = started, told: list[float] = told) -> bool:
                told.append((time.perf_counter() - started) * 1e3)
                return "\n" in text.lstrip("\n")

            request = replace(self.request, prefix=prefix, finished=finished)
            is_over: Callable[[], bool] = lambda over=over: time.perf_counter() > over  # noqa: E731
            self.completer.complete(request, lambda query: self.items, is_over)
            self.first_ms += told[:1]
            self.n_typed_over += not told
            time.sleep(max(0.0, over - time.perf_counter()))


@dataclass(frozen=True)
class Load:
    """Milliseconds until the first token, of `n_answered` keys."""

    n_users: int
    n_answered: int
    n_typed_over: int
    p50_ms: float
    p95_ms: float

    def __str__(self) -> str:
        waits = f"first token p50 {self.p50_ms:.0f} ms, p95 {self.p95_ms:.0f} ms"
        return (
            f"{self.n_users} users: {waits}; {self.n_answered} keys answered, {self.n_typed_over} typed over"
        )


def type_at_once(loaded: Sequence[Elsewhere], key_seconds: float = KEY_SECONDS) -> Load:
    """One user each, every second one with pseudo-tokens, and a key each so many seconds."""
    modes = ("snippets", "pseudo")
    users = [
        User(
            one.completer._remote,
            context_of(one),
            requests(modes[number % 2], len(loaded))[number],
            key_seconds,
        )
        for number, one in enumerate(loaded)
    ]
    with ThreadPoolExecutor(len(users)) as pool:
        list(pool.map(User.type, users))
    first = sorted(ms for user in users for ms in user.first_ms)
    # Of fewer than two answers there is nothing to say.
    cuts = statistics.quantiles(first, n=20, method="inclusive") if len(first) > 1 else [math.nan] * 19
    return Load(len(users), len(first), sum(user.n_typed_over for user in users), cuts[9], cuts[18])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True)
    parser.add_argument("--model", default=EMBEDDED_TINY)
    parser.add_argument("--adapter", default="")
    parser.add_argument("--users", default="1,8,32")
    options = parser.parse_args()
    settings = ModelSettings(name=options.model, server=options.server, adapter=options.adapter)
    for n_users in map(int, options.users.split(",")):
        loaded = [
            load_elsewhere(settings, RecallSettings(enabled=False), DraftSettings(), EMBEDDED)
            for _ in range(n_users)
        ]
        for one in loaded:
            one.server.wait(30)
        print(type_at_once(loaded), flush=True)
        for one in loaded:
            one.server.close()


if __name__ == "__main__":
    main()
