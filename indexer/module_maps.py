"""What a repository's build files say of the places that imports name: read again where one of them has changed.

Only files that are indexed are read, and no more of them than bounds allow; one that cannot be read is named, and the
others count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from indexer.go_paths import GO_MOD, GoPaths, read_go
from indexer.jsonc import read_object
from indexer.reading import ReadingError, read_inside
from indexer.script_paths import PNPM, ScriptPaths, extended_by, read_scripts

NO_PATHS = "module paths: not read as JSON"
_CONFIG = re.compile(
    r"(?:.{1,200}/)?(?:[jt]sconfig[^/]{0,100}\.json|package\.json|pnpm-workspace\.yaml|go\.mod)"
)
_NAMES = (".json", PNPM, GO_MOD)
_MOST_FILES, _MOST_BYTES, _FILE_BYTES = 4_000, 16_000_000, 262_144


@dataclass(frozen=True)
class ModuleMaps:
    """`read`: path -> digest of what it was made of. `problems`: path -> why it does not count."""

    scripts: ScriptPaths = field(default_factory=ScriptPaths)
    go: GoPaths = field(default_factory=GoPaths)
    read: Mapping[str, bytes] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    def follow(self, root: Path, digests: Mapping[str, bytes]) -> ModuleMaps:
        """These maps where nothing has changed, else new ones. `digests`: path -> digest of every indexed file."""
        names = {*filter(is_build_file, digests), *self.read}
        found = {path: digests.get(path) for path in names}
        return self if found == self.read else _made(root, digests)


NO_MAPS = ModuleMaps()


def is_build_file(path: str) -> bool:
    """Whether a file says by its name that it tells where imports lead."""
    return path.endswith(_NAMES) and _CONFIG.fullmatch(path) is not None


def _made(root: Path, digests: Mapping[str, bytes]) -> ModuleMaps:
    reading = _Reading(root, digests)
    for path in sorted(filter(is_build_file, digests), key=lambda path: (path.count("/"), path)):
        reading.read(path)
    for path in list(reading.objects):  # and what those extend, whatever it is called
        reading.read_extended(path)
    scripts = read_scripts(reading.objects, reading.workspaces)
    return ModuleMaps(scripts, read_go(reading.go), reading.seen, reading.problems)


class _Reading:
    """Files of one repository, by what they are."""

    def __init__(self, root: Path, digests: Mapping[str, bytes]) -> None:
        self.objects: dict[str, Mapping[str, object]] = {}
        self.go: dict[str, str] = {}  # by folder, as the next one
        self.workspaces: dict[str, str] = {}
        self.seen: dict[str, bytes] = {}
        self.problems: dict[str, str] = {}
        self._root, self._digests, self._left = root, digests, _MOST_BYTES

    def read(self, path: str) -> None:
        self.seen[path] = self._digests[path]
        if len(self.seen) > _MOST_FILES:
            return
        folder, _, name = path.rpartition("/")
        try:
            text = read_inside(self._root, path, min(self._left, _FILE_BYTES)).decode("utf-8", "replace")
        except ReadingError as error:
            self.problems[path] = error.reason
            return
        self._left -= len(text)
        if name == GO_MOD:
            self.go[folder] = text
        elif name == PNPM:
            self.workspaces[folder] = text
        elif (found := read_object(text)) is not None:
            self.objects[path] = found
        else:
            self.problems[path] = NO_PATHS

    def read_extended(self, path: str) -> None:
        """What a configuration extends by a path, and so on."""
        waiting = [path]
        while waiting:
            path = waiting.pop()
            for told in extended_by(path, self.objects.get(path, {})):
                if told in self._digests and told not in self.seen:
                    self.read(told)
                    waiting.append(told)
