"""Two servers on one folder while its files are edited on disk: at the end both know what a fresh index knows."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

from tests.torture.client import Client
from tests.torture.indexes import CANARY, compared, edit, living, write_repository
from tests.torture.runner import Form, Kind, Outcome

N_FILES = 30
SETTLE_SECONDS = 60.0


def case(seed: int, size: int, scratch: Path) -> Outcome:
    """`size`: edits."""
    rng = random.Random(seed)
    root, cache = write_repository(scratch / "root", N_FILES, seed), scratch / "cache"
    uri = (root / "open.py").as_uri()
    with Client.start(cache, scripted=True) as one, Client.start(cache, scripted=True) as other:
        for client in (one, other):
            client.initialize(root)
            client.open(uri, f"value_{CANARY} = \n")
        for number in range(size):
            edit(rng, root)
            client = rng.choice((one, other))
            client.answer(client.ask(uri, 0, rng.randrange(8)))
            if number % 50 == 49:
                client.command("reindex")
            time.sleep(rng.choice((0.0, 0.0, 0.05, 0.3)))
        failures = _settled(root, cache, scratch)
        for client in (one, other):
            failures += [f"{name} was never equal" for name in _unequal(client, root)]
            code = client.bye()
            failures += [f"exit code {code}"] if code else []
            if "Traceback" in client.errors or CANARY in client.errors:
                failures.append(f"on stderr: {client.errors[-300:]}")
    return Outcome(failures)


def _settled(root: Path, cache: Path, scratch: Path) -> list[str]:
    """The differences that are left when nothing is edited any more."""
    end, failures = time.monotonic() + SETTLE_SECONDS, ["never compared"]
    wanted = _fresh(root, scratch)
    while failures and time.monotonic() < end:
        time.sleep(1)
        failures = compared(living(_store(cache)), wanted)
    return failures


def _fresh(root: Path, scratch: Path) -> dict[str, list[object]]:
    with Client.start(scratch / "fresh", scripted=True) as client:
        client.initialize(root)
        client.until_ready()
        time.sleep(1)
        client.bye()
    found = living(_store(scratch / "fresh"))
    shutil.rmtree(scratch / "fresh")
    return found


def _unequal(client: Client, root: Path) -> list[str]:
    """What a server's own status counts otherwise than the disk does."""
    wanted = sum(1 for _ in root.rglob("*.py"))
    end = time.monotonic() + SETTLE_SECONDS
    found = -1
    while found != wanted and time.monotonic() < end:
        found = client.command("status")["folders"][0]["files"]
        time.sleep(0.2)
    return [] if found == wanted else [f"{found} files, not {wanted}"]


def _store(cache: Path) -> Path:
    return next(path for path in cache.glob("root-*/v*/store.sqlite"))


KIND = Kind(
    "two", case, short=Form(1, 5), full=Form(1, 500), limit_seconds=lambda size: 300 + 3 * size,
    seconds_each=0.8,
)  # fmt: skip
