"""kill -9 at random times, of `hef-lsp --reindex` and of a server that indexes, with edits between.

Each next start works and repeats nothing that was committed; at the end the index equals a fresh one.
"""

from __future__ import annotations

import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.torture.client import Client
from tests.torture.indexes import CANARY, compared, edit, living, write_repository
from tests.torture.processes import Ended, begin, command_line
from tests.torture.runner import Form, Kind, Outcome

N_FILES = 200
FEW_FILES, FEW_KILLS = 20, 5  # of the short form
SLOWEST_KILL = 6.0  # seconds after the start


def case(seed: int, size: int, scratch: Path) -> Outcome:
    """One repository; `size` is how often it is killed."""
    rng = random.Random(seed)
    root = write_repository(scratch / "root", FEW_FILES if size <= FEW_KILLS else N_FILES, seed)
    (root / "pyproject.toml").touch()  # or a file's own folder is what `--complete` has an index of
    cache, failures = scratch / "cache", []
    command_line(cache, "--version")
    for number in range(size):
        how = rng.choice((_index, _index, _serve))
        how(rng, root, cache)
        for _ in range(rng.randrange(4)):
            edit(rng, root)
        if number % 5 == 4:
            failures += _goes_on(root, cache)
    failures += _goes_on(root, cache)
    fresh = command_line(scratch / "fresh", "--reindex", str(root))
    failures += fresh.failures(CANARY, codes=(0,))
    failures += compared(living(_store(cache)), living(_store(scratch / "fresh")))
    if size <= FEW_KILLS:
        return Outcome(failures)
    first = next(iter(sorted(root.rglob("*.py"))))
    # By itself the coder is what this moment's load leaves time for, and each reads another part of what was found.
    complete = ("--complete", f"{first}:3:1", "--json", "--set", "model.name=embedded-tiny")
    old, new = (_found(command_line(place, *complete)) for place in (cache, scratch / "fresh"))
    if old != new or not new:
        failures.append(f"--complete reads {old}, with a fresh index {new}")
    if len(indexes := list(cache.glob("*/v*/store.sqlite"))) > 1:
        failures.append(f"--complete has an index of its own: {indexes}")
    return Outcome(failures)


def _index(rng: random.Random, root: Path, cache: Path) -> None:
    process = begin(cache, "--reindex", str(root))
    time.sleep(_moment(rng))
    process.kill()
    process.communicate()


def _serve(rng: random.Random, root: Path, cache: Path) -> None:
    with Client.start(cache) as client:
        client.initialize(root)
        end = time.monotonic() + _moment(rng)
        uri = (root / "open.py").as_uri()
        client.open(uri, f"value_{CANARY} = \n")
        while time.monotonic() < end:
            edit(rng, root)
            client.ask(uri, 0, 6)
            time.sleep(0.05)
        client.kill()


def _moment(rng: random.Random) -> float:
    """Seconds after the start: most kills while something is written, some while nothing is loaded."""
    return rng.choice((rng.uniform(0.05, 1.0), rng.uniform(0.8, 3.0), rng.uniform(0.8, SLOWEST_KILL)))


def _goes_on(root: Path, cache: Path) -> list[str]:
    """The next start works, and embeds only what has no vectors yet."""
    known = _embedded(cache)
    ended = command_line(cache, "--reindex", str(root), "--json")
    failures = ended.failures(CANARY, codes=(0,))
    now, repeated = _embedded(cache), ended.json().get("embedded", 0)
    if repeated > len(now - known):
        failures.append(f"{repeated} chunks embedded where {len(now - known)} had no vectors")
    if pending := _pending(cache):
        failures.append(f"{pending} nodes without vectors behind a whole run")
    return failures


def _store(cache: Path) -> Path:
    return next(path for path in cache.glob("root-*/v*/store.sqlite"))


def _embedded(cache: Path) -> set[bytes]:
    """Digests of chunks that have vectors, living or not."""
    if not list(cache.glob("root-*/v*/store.sqlite")):
        return set()
    try:
        with closing(sqlite3.connect(_store(cache))) as db:
            query = "SELECT n.digest FROM nodes n JOIN keys k ON k.id = n.id WHERE n.level = 'chunk'"
            return {digest for (digest,) in db.execute(query)}
    except sqlite3.OperationalError:  # killed before there was a schema
        return set()


def _pending(cache: Path) -> int:
    with closing(sqlite3.connect(_store(cache))) as db:
        return int(db.execute("SELECT count(*) FROM nodes WHERE alive = 1 AND embedded = 0").fetchone()[0])


def _found(ended: Ended) -> object:
    return ended.json().get("context")


KIND = Kind(
    "kill", case, short=Form(1, 1), full=Form(50, 20), limit_seconds=lambda size: 240 + 60 * size,
    seconds_each=12.0,
)  # fmt: skip
