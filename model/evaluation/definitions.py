"""The definitions that a file imports, found along its import graph, in the spirit of DraCo (arXiv 2405.17337) and
GraphCoder (arXiv 2406.07003).

Every module's definitions and imports are read beforehand (`ModuleGraph`); at a request only the imports, types and
names of the file being edited are (`model.evaluation.scope`).
"""

from __future__ import annotations

import ast
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

_MAX_HOPS = 4  # of one name through modules that re-export it

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Definition:
    """A function, class or variable. Lines are 1-based and inclusive; a class's `text` is its outline."""

    path: str
    name: str
    first_line: int
    last_line: int
    text: str
    is_class: bool = False
    members: Mapping[str, Definition] = field(default_factory=dict)
    bases: tuple[str, ...] = ()  # as written


@dataclass(frozen=True)
class Target:
    """What an import names: a module, or a name in it."""

    module: str  # dotted; relative ones with their leading dots
    name: str = ""


@dataclass(frozen=True)
class Module:
    path: str
    definitions: Mapping[str, Definition]
    imports: Mapping[str, Target]


Bound = Module | Definition


class ModuleGraph:
    """The modules of a repository, by path and by every dotted name that may mean them."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._paths = texts.keys()
        self._modules = {path: module for path, text in texts.items() if (module := _read(path, text))}
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in self._modules:
            for name in _dotted_names(path):
                self._by_name[name].append(path)

    def resolve(self, target: Target, path: str, hops: int = _MAX_HOPS) -> Bound | None:
        """What an import in the file `path` means; None when it is not of this repository."""
        if not target.name:
            return self._module(target.module, path)
        separator = "" if target.module.endswith(".") else "."
        module = self._module(target.module, path)
        return (self.member(module, target.name, hops) if module else None) or self._module(
            f"{target.module}{separator}{target.name}", path
        )

    def member(self, owner: Bound, name: str, hops: int = _MAX_HOPS) -> Bound | None:
        """A name in a module, imported there or defined; a member of a class or of its bases."""
        if isinstance(owner, Module):
            target = owner.imports.get(name)
            if name in owner.definitions or not target or not hops:
                return owner.definitions.get(name)
            return self.resolve(target, owner.path, hops - 1)
        if name in owner.members or not hops:
            return owner.members.get(name)
        home = self._modules[owner.path]
        bases = (self.follow(home, base.split(".")) for base in owner.bases)
        inherited = (self.member(base, name, hops - 1) for base in bases if base and base is not owner)
        return next((found for found in inherited if found), None)

    def follow(self, owner: Bound, names: Iterable[str]) -> Bound | None:
        """`a.b.c` from `owner`."""
        found: Bound | None = owner
        for name in names:
            found = self.member(found, name) if found else None
        return found

    def _module(self, dotted: str, path: str) -> Module | None:
        """The module that a dotted name means in the file `path`: of several the one in the nearest folder."""
        if dotted.startswith("."):
            package = PurePosixPath(path).parent.parts
            up = len(dotted) - len(dotted.lstrip(".")) - 1
            inside = [*package[: len(package) - up], *filter(None, dotted.lstrip(".").split("."))]
            candidates = [f"{'/'.join(inside)}.py", f"{'/'.join([*inside, '__init__.py'])}"]
        else:
            # No package is a root of imports: `json` does not mean a package's own module of that name.
            named = (
                other for other in self._by_name.get(dotted, ()) if not self._is_package(_root(other, dotted))
            )
            candidates = sorted(named, key=lambda other: (-_shared(other, path), other))
        return next(
            (self._modules[candidate] for candidate in candidates if candidate in self._modules), None
        )

    def _is_package(self, folder: str) -> bool:
        return f"{folder}/__init__.py" in self._paths


def imports_of(nodes: Iterable[ast.stmt]) -> Iterator[tuple[str, Target]]:
    """(local name, what it means) of import statements."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name, Target(alias.name)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, Target("." * node.level + (node.module or ""), alias.name)


def parse(text: str) -> Sequence[ast.stmt]:
    """Statements of Python text; () of what is not Python (any more)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes in other people's strings
        try:
            return ast.parse(text).body
        except (SyntaxError, ValueError, RecursionError):
            return ()


def _read(path: str, text: str) -> Module | None:
    statements = parse(text)
    if not statements:
        return None
    lines = text.split("\n")
    definitions = {found.name: found for node in statements for found in _define(path, node, lines)}
    return Module(path, definitions, dict(imports_of(statements)))


def _define(path: str, node: ast.stmt, lines: Sequence[str]) -> Iterator[Definition]:
    span = node.lineno, node.end_lineno or node.lineno
    text = "\n".join(lines[span[0] - 1 : span[1]])
    if isinstance(node, _Function):
        yield Definition(path, node.name, *span, text)
    elif isinstance(node, ast.ClassDef):
        members = {found.name: found for child in node.body for found in _define(path, child, lines)}
        bases = tuple(ast.unparse(base) for base in node.bases)
        yield Definition(path, node.name, *span, _outline(node, lines), True, members, bases)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                yield Definition(path, target.id, *span, text)


def _outline(node: ast.ClassDef, lines: Sequence[str]) -> str:
    """A class without its methods' bodies: headers and class variables, as they are written."""
    kept = [(node.lineno, node.body[0].lineno - 1)]
    for child in node.body:
        if isinstance(child, _Function):
            kept.append((child.lineno, max(child.lineno, child.body[0].lineno - 1)))
        elif isinstance(child, ast.Assign | ast.AnnAssign):
            kept.append((child.lineno, child.lineno))
    return "\n".join(line for first, last in kept for line in lines[first - 1 : last] if line.strip())


def _dotted_names(path: str) -> Iterator[str]:
    """`a/b/c.py` may be imported as a.b.c, b.c or c: where the root of the imports lies is not known."""
    parts = PurePosixPath(path).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return (".".join(parts[i:]) for i in range(len(parts)))


def _root(path: str, dotted: str) -> str:
    """The folder from which a dotted name leads to the module in a file."""
    parts = PurePosixPath(path).parts
    n_inside = dotted.count(".") + 1 + (parts[-1] == "__init__.py")
    return "/".join(parts[: len(parts) - n_inside])


def _shared(path: str, other: str) -> int:
    """How many leading folders two paths share."""
    pairs = zip(path.split("/"), other.split("/"), strict=False)
    return next((depth for depth, (a, b) in enumerate(pairs) if a != b), 0)
