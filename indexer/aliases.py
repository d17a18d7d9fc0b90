"""Names that stand for places in a repository, as `paths`, `imports` and `exports` write them: with one `*` each."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

_MOST_EXACT, _MOST_STARRED = 2_000, 200  # names of one file; each import is compared with the starred ones
_MOST_TARGETS, _DEEPEST = 20, 8  # of one name; conditions within each other


@dataclass(frozen=True)
class Aliases:
    """`exact`: name -> targets. `starred`: (before the star, behind it, targets), the longest beginnings first.
    `any_name`: targets of a star alone, which stands for installed packages as well."""

    exact: Mapping[str, tuple[str, ...]]
    starred: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    any_name: tuple[str, ...] = ()

    def targets(self, name: str) -> tuple[str, ...]:
        """What a name stands for, () for nothing: its own entry, else that of the longest beginning."""
        if name in self.exact:
            return self.exact[name]
        for before, behind, targets in self.starred:
            if name.startswith(before) and name.endswith(behind) and len(name) >= len(before) + len(behind):
                inner = name[len(before) : len(name) - len(behind)]
                return tuple(target.replace("*", inner) for target in targets)
        return ()


NO_ALIASES = Aliases({})


def aliases_of(table: object, folder: str) -> Aliases:
    """Those of a table of names, whose targets are told from a folder of the repository; what leads out is left out."""
    exact: dict[str, tuple[str, ...]] = {}
    starred: list[tuple[str, str, tuple[str, ...]]] = []
    any_name: tuple[str, ...] = ()
    for name, told in table.items() if isinstance(table, dict) else ():
        targets = tuple(path for one in targets_in(told) if (path := inside(folder, one)) is not None)
        before, star, behind = str(name).partition("*")
        if name == "*":
            any_name = targets
        elif star and targets and len(starred) < _MOST_STARRED:
            starred.append((before, behind, targets))
        elif not star and targets and len(exact) < _MOST_EXACT:
            exact[before] = targets
    return Aliases(exact, tuple(sorted(starred, key=lambda one: -len(one[0]))), any_name)


def targets_in(told: object) -> list[str]:
    """The paths of an entry: one, several, or by condition (`{"import": ..., "types": ...}`)."""
    return list(islice(_paths(told, 0), _MOST_TARGETS))


def inside(folder: str, path: str) -> str | None:
    """A path told from a folder of the repository, from its root; None where it leads out."""
    if path.startswith("/") or "\0" in path:
        return None
    found = posixpath.normpath(posixpath.join(folder, path))
    if f"{found}/".startswith("../"):
        return None
    return "" if found == "." else found


def folders_above(folder: str) -> Iterator[str]:
    """A folder and those above it, the root ("") last."""
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""


def _paths(told: object, depth: int) -> Iterator[str]:
    if isinstance(told, str):
        yield told
    elif depth < _DEEPEST:
        inner: Iterable[object] = told if isinstance(told, list) else ()
        for one in told.values() if isinstance(told, dict) else inner:
            yield from _paths(one, depth + 1)
