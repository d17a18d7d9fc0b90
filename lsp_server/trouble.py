"""An error as the log may have it: its kind, and where in our own code. Message and locals may quote
source."""

from __future__ import annotations

import traceback
from pathlib import Path

OURS = ("lsp_server", "indexer", "model")
N_FRAMES = 4

_HOME = Path(__file__).resolve().parents[1]


def described(error: BaseException) -> str:
    """ "ValueError at indexer/store.py:12 in read < lsp_server/workspace.py:40 in _do", the innermost place
    first.

    Where none of our own code was on the way it is the kind alone. What caused it follows behind "from".
    """
    whole = _kind_and_places(error)
    return f"{whole} from {_kind_and_places(error.__cause__)}" if error.__cause__ else whole


def _kind_and_places(error: BaseException) -> str:
    # Lines are not looked up: their text is never in hand.
    frames = [(frame.f_code, number) for frame, number in traceback.walk_tb(error.__traceback__)]
    named = [(_ours(code.co_filename), number, code.co_name) for code, number in reversed(frames)]
    places = [f"{file}:{number} in {name}" for file, number, name in named if file]
    kind = type(error).__name__
    return f"{kind} at {' < '.join(places[:N_FRAMES])}" if places else kind


def _ours(file: str) -> str:
    """The file's name in this project, "" for any other file."""
    try:
        path = Path(file).relative_to(_HOME)
    except ValueError:
        return ""
    return path.as_posix() if path.parts and path.parts[0] in OURS else ""
