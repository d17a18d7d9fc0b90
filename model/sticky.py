"""When a retrieved context still holds: retrieval is repeated only when the cursor has really moved on."""

from __future__ import annotations

from dataclasses import dataclass

# The cursor may move this far, in characters and lines, before the repository is asked again.
STICKY_CHARS = 96
STICKY_LINES = 2


@dataclass(frozen=True)
class Place:
    """A cursor and everything else that retrieval depends on."""

    path: str
    prefix: str
    suffix: str
    mode: str
    generation: int  # of the index


def drifted(held: Place, now: Place) -> bool:
    """Whether a context retrieved at `held` must be retrieved again at `now`.

    It holds while the same document has changed only within STICKY_CHARS of the cursor and the cursor is at most
    STICKY_LINES away: typing, deleting, accepting a word, and the closing bracket that editors add.
    """
    if (held.path, held.mode, held.generation) != (now.path, now.mode, now.generation):
        return True
    if max(abs(len(now.prefix) - len(held.prefix)), abs(len(now.suffix) - len(held.suffix))) > STICKY_CHARS:
        return True  # told before the texts are compared, which may be large
    before = held.prefix[:-STICKY_CHARS] if len(held.prefix) > STICKY_CHARS else ""
    after = held.suffix[STICKY_CHARS:]
    if not (now.prefix.startswith(before) and now.suffix.endswith(after)):
        return True
    lines = now.prefix.count("\n", len(before)) - held.prefix.count("\n", len(before))
    return abs(lines) > STICKY_LINES
