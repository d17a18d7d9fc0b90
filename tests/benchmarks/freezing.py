"""`python -m tests.benchmarks.freezing [NAME ...]`: how each hostile document is taken, as a table.

Wanted on a free machine: no answer later than its deadline and 100 ms, the loop never still for longer than 100 ms.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tests.e2e.editor import Editor
from tests.freezing import watch
from tests.hostile_documents import NAMES, hostile

SERVER = Path(__file__).parents[1] / "servers" / "watched_server.py"


async def measured(names: list[str], folder: Path) -> None:
    editor = Editor()
    try:
        await editor.start((sys.executable, str(SERVER)), "--set", "drafts.packages=false")
        await editor.hello(folder)
        await editor.until_ready()
        print("| document | slowest answer, ms | longest freeze, ms |\n|---|---:|---:|")
        for name in names:
            seen = await watch(editor, folder, hostile(name))
            print(f"| {name} | {seen.slowest * 1e3:.0f} | {seen.longest_freeze * 1e3:.0f} |", flush=True)
    finally:
        await editor.leave()


def main() -> None:
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as folder:
        os.environ["HEF_CACHE_DIR"] = cache
        names = sys.argv[1:] or list(NAMES)
        if unknown := set(names) - set(NAMES):
            sys.exit(f"no document {', '.join(sorted(unknown))}: some of {', '.join(NAMES)}")
        asyncio.run(measured(names, Path(folder)))


if __name__ == "__main__":
    main()
