"""How a repository's files import names: the import lines at their heads, and which one another file should have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

_HEAD = 400  # lines of a file, blank ones left out, in which its imports are looked for
_MOST_JOINED = 60  # lines of one statement
_SUFFIXES = (".py", ".pyi")
_SOURCE_FOLDERS = (
    "src",
    "lib",
    "python",
)  # no packages themselves: what is in them is imported by its own name


@dataclass(frozen=True)
class Import:
    """What one name is imported as: `import module [as alias]`, or `from module import name [as alias]`."""

    module: str  # with its leading dots
    name: str = ""
    alias: str = ""

    @property
    def bound(self) -> str:
        """The name that it binds."""
        return self.alias or self.name or self.module.partition(".")[0]

    @property
    def line(self) -> str:
        renamed = f" as {self.alias}" if self.alias else ""
        return (
            f"from {self.module} import {self.name}{renamed}"
            if self.name
            else f"import {self.module}{renamed}"
        )


def imports_in(statement: str) -> list[Import]:
    """What an import statement on one line binds, in order; of a star nothing, of what is none nothing."""
    code = statement.partition("#")[0].partition(";")[0]
    first, _, rest = code.strip().partition(" ")
    if first == "import":
        return [Import(name, "", alias) for name, alias in _named(rest)]
    module, found, names = rest.partition(" import")
    is_whole = found and names[:1] in (" ", "(")
    if first != "from" or not is_whole or not _is_module(module.strip()):
        return []
    return [Import(module.strip(), name, alias) for name, alias in _named(names) if "." not in name]


def statements_in(lines: Sequence[str], columns: Sequence[int]) -> Iterator[str]:
    """The import statements that stand at the margin, each on one line. The lines are stripped, without blank ones."""
    is_text = False  # in a string of many lines
    for row, line in enumerate(lines[:_HEAD]):
        if not is_text and columns[row] == 0 and line.startswith(("import ", "from ")):
            yield joined(lines[row : row + _MOST_JOINED])
        is_text ^= (line.count('"""') + line.count("'''")) % 2 == 1


class ImportIndex:
    """The import statements of each Python file. One thread may change it while others ask."""

    def __init__(self) -> None:
        self._files: Mapping[str, str] = {}  # the statements of each path, a line each

    def update(
        self, changed: Mapping[str, tuple[Sequence[str], Sequence[int]]], gone: Collection[str]
    ) -> None:
        """Files have these lines now, stripped and with their columns; others are gone."""
        of_python = {path: lines for path, lines in changed.items() if path.endswith(_SUFFIXES)}
        read = {path: "\n".join(statements_in(*lines)) for path, lines in of_python.items()}
        kept = {path: known for path, known in self._files.items() if path not in gone}
        self._files = {**kept, **read}

    def import_of(self, name: str, path: str, used: Collection[str] = ()) -> Import | None:
        """The import by which the repository has a name, for the file `path`; None where it has none.

        The most frequent one in the nearest folder in which there is one. `used`: dotted names that are wanted;
        `import a.b` is one for `a` only where `a.b` is among them or begins one.
        """
        folder = _folder(path)
        places = Counter(self._binding(name, path, used))  # by folder and import
        if not places:
            return None
        parts = {of: of.split("/") if of else [] for of, _ in places}
        nearness = {of: (_shared(theirs, folder), theirs == folder) for of, theirs in parts.items()}
        nearest, near, everywhere = max(nearness.values()), Counter[Import](), Counter[Import]()
        for (of, found), n in places.items():
            everywhere[found] += n
            if nearness[of] == nearest:
                near[found] += n
        return max(near, key=lambda found: (_depth(found), near[found], everywhere[found], found.line))

    def own_modules(self, path: str) -> frozenset[str]:
        """First names of the modules that are the repository's, and of those beside the file `path`."""
        folder = _folder(path)
        return frozenset(top for known in self._files for top in _tops(known, folder))

    def _binding(self, name: str, path: str, used: Collection[str]) -> Iterator[tuple[str, Import]]:
        """The folders in which an import binds the name, with the import as this file would write it."""
        files, own = self._files, _module(path)
        known: dict[str, list[Import]] = {}  # the same statement stands in many files
        for of, statements in files.items():
            if of == path or name not in statements:
                continue
            for statement in statements.split("\n"):
                if statement not in known:
                    found = imports_in(statement) if name in statement else []
                    binding = (one for one in found if one.bound == name and _serves(one, used))
                    known[statement] = [one for one in binding if not _is_of(own, one.module.split("."))]
                for one in known[statement]:
                    moved = _moved(one, of, path, files) if one.module.startswith(".") else one
                    if moved:
                        yield of.rpartition("/")[0], moved


def _moved(found: Import, of: str, to: str, files: Collection[str]) -> Import | None:
    """A relative import of one file in another; None where it cannot be written there, or would be of that itself."""
    base, folder = _folder(of), _folder(to)
    dots = len(found.module) - len(found.module.lstrip("."))
    target = [*base[: len(base) - dots + 1], *filter(None, found.module[dots:].split("."))]
    if dots > len(base) or target == _module(to):
        return None
    if folder == base:
        return found
    n_shared = _shared(folder, target)
    if f"{'/'.join(folder[:n_shared])}/__init__.py" not in files:
        return None  # no package that both are in
    module = "." * (len(folder) - n_shared + 1) + ".".join(target[n_shared:])
    return Import(module, found.name, found.alias)


def _named(names: str) -> Iterator[tuple[str, str]]:
    """(name, alias or "") of each in a list of names."""
    for one in names.strip().removeprefix("(").removesuffix(")").split(","):
        name, _, alias = (part.strip() for part in one.partition(" as "))
        if _is_module(name) and not name.startswith(".") and (not alias or alias.isidentifier()):
            yield name, alias


def _is_module(name: str) -> bool:
    rest = name.lstrip(".")
    return all(part.isidentifier() for part in rest.split(".")) if rest else bool(name)


def joined(lines: Sequence[str]) -> str:
    """The statement that begins in the first line, on one line and without comments; "" where it does not end."""
    parts: list[str] = []
    for line in lines:
        code = line.partition("#")[0].rstrip()
        parts.append(code.removesuffix("\\"))
        is_open = "(" in parts[0] and ")" not in code
        if not is_open and not code.endswith("\\"):
            return " ".join(parts)
    return ""


def _is_of(own: list[str], module: list[str]) -> bool:
    """Whether an absolute module may be that of the file `own` itself: one that is only called `logging` is none."""
    is_source = own[:1] and own[0] in _SOURCE_FOLDERS
    return own[-len(module) :] == module and (len(module) > 1 or len(own) == 1 + bool(is_source))


def _depth(found: Import) -> int:
    """What is dotted serves what is used better than what it begins with."""
    return 0 if found.name or found.alias else found.module.count(".")


def _serves(found: Import, used: Collection[str]) -> bool:
    return not _depth(found) or any(f"{dotted}.".startswith(f"{found.module}.") for dotted in used)


def _folder(path: str) -> list[str]:
    return path.split("/")[:-1]


def _module(path: str) -> list[str]:
    """A file's module as its folders and its name."""
    folder, stem = _folder(path), path.rpartition("/")[2].partition(".")[0]
    return folder if stem == "__init__" else [*folder, stem]


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many of the first parts are the same."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _tops(path: str, folder: Sequence[str]) -> Iterator[str]:
    """By which first names a file may be imported: from the root, from a source folder, or from beside it."""
    module = _module(path)
    yield from module[:1]
    if module[:1] and module[0] in _SOURCE_FOLDERS:
        yield from module[1:2]
    if module[:-1] == folder:
        yield module[-1]
