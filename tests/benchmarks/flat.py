"""Whether the server stays as it is: memory, files and threads over thousands of requests and of opened documents.

The real server over stdio with a scripted model, whose own memory is none of this.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.benchmarks.measurement import Measurement
from tests.wire import SCRIPTED, Wire

N_REQUESTS, N_DOCUMENTS = 20_000, 5_000
N_WARM = 1_000  # of each before the first look: caches of a fixed size fill, the allocator gets what it keeps
N_LOOKS = 20
N_TEXTS = 50  # what is typed comes again, as the words of one project do
FILES = {
    f"module_{number}.py": f"def function_{number}(argument):\n    return {number}\n" for number in range(20)
}


@dataclass(frozen=True)
class Look:
    """A process at one moment. `done`: how many requests or documents came before."""

    done: int
    bytes: int  # resident
    files: int
    threads: int


def flat(n_requests: int = N_REQUESTS, n_documents: int = N_DOCUMENTS) -> Iterator[Measurement]:
    """One row for requests, each after an edit, and one for documents that are opened, asked in and closed."""
    for case, looks in (("requests", of_requests), ("documents", of_documents)):
        count = n_requests if case == "requests" else n_documents
        found = watched(looks, count)
        first, last = found[0], found[-1]
        values = {
            "start_mb": first.bytes / 1e6, "end_mb": last.bytes / 1e6, "slope_kb_per_1000": slope(found) / 1e3,
            "start_files": float(first.files), "end_files": float(last.files),
            "start_threads": float(first.threads), "end_threads": float(last.threads),
        }  # fmt: skip
        yield Measurement("flat", "scripted", len(FILES), f"{count:,} {case}", values, "slope 0")


def watched(work: Callable[[Wire, Path, int], None], count: int, n_warm: int = N_WARM) -> list[Look]:
    """Do `work(wire, folder, number)` for numbers from 0 on and look at the server now and then."""
    with tempfile.TemporaryDirectory(prefix="hef-flat-") as scratch:
        folder, script = Path(scratch, "repo"), Path(scratch, "script.json")
        folder.mkdir()
        for name, text in FILES.items():
            (folder / name).write_text(text, encoding="utf-8")
        script.write_text(json.dumps(_script(Path(scratch))), encoding="utf-8")
        cache = {"HEF_CACHE_DIR": str(Path(scratch, "cache"))}
        with Wire(*SCRIPTED, str(script), errors=Path(scratch, "stderr"), env=cache) as wire:
            wire.hello(workspaceFolders=[{"uri": folder.as_uri(), "name": "repo"}])
            wire.open(_uri(folder, "main"), _text(0))
            looks = []
            for number in range(n_warm + count + 1):
                if number >= n_warm and (number - n_warm) % max(1, count // N_LOOKS) == 0:
                    looks.append(look(wire.process.pid, number - n_warm))
                work(wire, folder, number)
            wire.bye()
            return looks


def of_requests(wire: Wire, folder: Path, number: int) -> None:
    """An edit and a request, as at every keystroke."""
    uri = _uri(folder, "main")
    document = {"uri": uri, "version": number + 2}
    wire.notify(
        "textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": _text(number)}]}
    )
    wire.ask(uri, 1, 8)


def of_documents(wire: Wire, folder: Path, number: int) -> None:
    """A document of its own name; half of them lie in the folder."""
    uri = _uri(folder, f"new_{number}") if number % 2 else f"untitled:{number}"
    wire.open(uri, _text(number))
    wire.ask(uri, 1, 8)
    wire.close(uri)


def slope(looks: Sequence[Look]) -> float:
    """Bytes that 1,000 more cost: of the line through all looks."""
    return float(np.polyfit([look.done for look in looks], [look.bytes for look in looks], 1)[0]) * 1e3


def steady_slope(looks: Sequence[Look]) -> float:
    """The same of most pairs of looks (Theil-Sen): one step of the allocator does not count, a leak does."""
    pairs = itertools.combinations(looks, 2)
    return float(np.median([(b.bytes - a.bytes) / (b.done - a.done) for a, b in pairs])) * 1e3


def look(pid: int, done: int) -> Look:
    """Needs Linux's /proc."""
    process = Path("/proc", str(pid))
    resident = int((process / "statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Look(done, resident, len(os.listdir(process / "fd")), len(os.listdir(process / "task")))


def _script(scratch: Path) -> dict[str, object]:
    return {
        "targets": [], "otherwise": None, "token_seconds": 0, "load_seconds": 0, "load_error": "",
        "calls": str(scratch / "calls.jsonl"),
    }  # fmt: skip


def _uri(folder: Path, name: str) -> str:
    return (folder / f"{name}.py").as_uri()


def _text(number: int) -> str:
    return f"import module_1\nvalue = function_{number % N_TEXTS}\n" + "other = value + 1\n" * 40
