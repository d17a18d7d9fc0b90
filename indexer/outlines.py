"""Outlines: what a file or a directory defines, as lines of signatures. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

MAX_CHARS = 4_000


def defined(scope: str, signature: str) -> list[str]:
    """The lines of a chunk's signature without its scope: what encloses a chunk is defined in one before it."""
    below = signature.removeprefix(f"{scope}\n")
    return below.split("\n") if below else []


def file_outline(lines: Iterable[str]) -> str:
    """As many of the lines, from the first on, as fit."""
    shown: list[str] = []
    room = MAX_CHARS + 1  # the last line has no end
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        shown.append(line)
    return "\n".join(shown)


def directory_outline(files: Mapping[str, Sequence[str]]) -> str:
    """`files`: lines by name. Of each that defines anything its name as a comment and what it defines at its top.

    The files take turns, a line each and the name with the first, until there is no room for a file's next.
    """
    waiting: dict[str, list[str]] = {}
    for name, lines in files.items():
        head = [line for line in lines if not line.startswith(" ")]
        if head:
            waiting[name] = [f"# {name}\n{head[0]}", *head[1:]]
    shown: dict[str, list[str]] = {name: [] for name in waiting}
    room = MAX_CHARS + 1
    turn = 0
    while waiting:
        waiting = {name: head for name, head in waiting.items() if turn < len(head)}
        for name in list(waiting):
            needed = len(waiting[name][turn]) + 1
            if needed > room:
                del waiting[name]
                continue
            room -= needed
            shown[name].append(waiting[name][turn])
        turn += 1
    return "\n".join(line for lines in shown.values() for line in lines)
