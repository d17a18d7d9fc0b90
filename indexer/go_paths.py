"""Where the import paths of Go lead in a repository, by the `go.mod` files in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from indexer.aliases import folders_above, inside

GO_MOD = "go.mod"
_MODULE = re.compile(r'^[ \t]{0,40}module[ \t]{1,40}"?([^\s"()]{1,300})"?', re.M)
_REPLACED = re.compile(
    r'^[ \t]{0,40}(?:replace[ \t]{1,40})?"?([^\s"()=]{1,300})"?(?:[ \t]{1,40}v\S{1,100})?[ \t]{1,40}=>'
    r'[ \t]{1,40}"?(\.{1,2}(?:/[^\s"]{0,300})?)"?',
    re.M,
)
_MOST_REPLACED = 500  # of one file
_MOST_FOLDERS = 32  # of one name: it is repeated in test data


@dataclass(frozen=True)
class GoPaths:
    """`modules`: import path of a module -> folders that hold one of that name. `replaced`: folder of a `go.mod` ->
    what it replaces by a local folder, as far as that lies in the repository."""

    modules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    replaced: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def folder_of(self, path: str, from_folder: str) -> str | None:
        """The folder that an import path names in a file of some folder, `vendor/`'s where it is no module's of the
        repository; None where no `go.mod` stands above that file, so that nothing is known."""
        own = next((above for above in folders_above(from_folder) if above in self.replaced), None)
        if own is None:
            return None
        for module in filter(None, folders_above(path)):
            rest = path[len(module) + 1 :]
            if module in self.replaced[own]:
                return _joined(self.replaced[own][module], rest)
            if module in self.modules:
                return _joined(_nearest(self.modules[module], from_folder), rest)
        return _joined(own, f"vendor/{path}")


def read_go(texts: Mapping[str, str]) -> GoPaths:
    """`texts`: folder -> what its `go.mod` says."""
    modules: dict[str, list[str]] = {}
    replaced: dict[str, dict[str, str]] = {}
    for folder, text in texts.items():
        named = _MODULE.search(text)
        if named:
            modules.setdefault(named[1], []).append(folder)
        local = {}
        for _, found in zip(range(_MOST_REPLACED), _REPLACED.finditer(text), strict=False):
            target = inside(folder, found[2])
            if target is not None:
                local[found[1]] = target
        replaced[folder] = local
    return GoPaths({module: tuple(folders[:_MOST_FOLDERS]) for module, folders in modules.items()}, replaced)


def _nearest(folders: tuple[str, ...], to: str) -> str:
    """The one that shares most with a folder; of equal ones that nearest to the root."""
    parts = to.split("/")

    def shared(folder: str) -> tuple[int, int, str]:
        theirs = folder.split("/") if folder else []
        same = next((n for n, (a, b) in enumerate(zip(theirs, parts, strict=False)) if a != b), len(theirs))
        return -same, len(theirs), folder

    return min(folders, key=shared)


def _joined(folder: str, rest: str) -> str:
    return f"{folder}/{rest}".strip("/")
