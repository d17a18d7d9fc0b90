"""The scripted server on a disk that has gone: `python hanging_server.py CALL SCRIPT.json [arguments]`.

CALL never comes back: `is_dir` (of a folder named "gone"), `open` or `search` (of an index).
"""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event
from typing import Any

from indexer import Index
from tests.servers import scripted_server


def never(*_: Any, **__: Any) -> Any:
    Event().wait()


def main() -> int:
    call = sys.argv.pop(1)
    if call == "is_dir":
        is_dir = Path.is_dir
        Path.is_dir = lambda path: never() if path.name == "gone" else is_dir(path)  # type: ignore[method-assign]
    else:
        setattr(Index, call, never)
    return scripted_server.main()


if __name__ == "__main__":
    sys.exit(main())
