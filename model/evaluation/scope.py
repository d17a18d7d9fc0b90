"""What the file being edited says about the names near the cursor: imports, and types of variables.

The file is broken where the hole is, so it is read by patterns and not by a parser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from textwrap import dedent

from model.evaluation.definitions import Bound, Definition, ModuleGraph, Target, imports_of, parse

_LINES_BEFORE, _CHARS_AFTER = 40, 400
_IMPORT = re.compile(r"^[ \t]*(?:from\s[^\n]*?\simport\s*(?:\([^)]*\)|[^\n(]+)|import\s[^\n]+)", re.M)
_CHAIN = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
# x = Name(...)  |  x: Name  |  with Name(...) as x
_MADE = re.compile(r"\b([^\W\d]\w*)\s*=\s*([^\W\d][\w.]*)\s*\(")
_ANNOTATED = re.compile(r"\b([^\W\d]\w*)\s*:\s*\"?([^\W\d][\w.]*)")
_OPENED = re.compile(r"\bwith\s+([^\W\d][\w.]*)\([^\n]*\)\s+as\s+([^\W\d]\w*)")
_CLASS = re.compile(r"^class\s+\w+\s*\(\s*([\w.]+)", re.M)


def imported_definitions(
    graph: ModuleGraph, path: str, before: str, after: str, limit: int
) -> list[Definition]:
    """Definitions of other files that the names near the cursor mean, nearest first.

    `a.b` gives b's definition before a's: a call's own header says more than the class around it.
    """
    scope = _Scope(graph, path, before, after)
    found: dict[tuple[str, int], Definition] = {}
    for chain in _chains(before, after):
        for bound in scope.meanings(chain.split(".")):
            if isinstance(bound, Definition) and bound.path != path:
                found.setdefault((bound.path, bound.first_line), bound)
    return list(islice(found.values(), limit))


class _Scope:
    """Names of one file -> what they mean elsewhere."""

    def __init__(self, graph: ModuleGraph, path: str, before: str, after: str) -> None:
        self._graph, self._path = graph, path
        self._imports = dict(_imports(before + "\n" + after))
        self._types = {name: kind for name, kind in _types(before) if name != kind}
        bases = _CLASS.findall(before)
        if bases:
            self._types["self"] = bases[-1]

    def meanings(self, chain: list[str]) -> Iterator[Bound]:
        """Of `a.b.c`: what c means, then b, then a, as far as they are of this repository."""
        if chain[0] == "self" and len(chain) > 2 and chain[1] in self._types:
            chain = chain[1:]  # an attribute whose type is known
        found = [bound for n in range(len(chain), 0, -1) if (bound := self._meaning(chain[:n]))]
        yield from found

    def _meaning(self, chain: list[str]) -> Bound | None:
        written = self._types.get(chain[0])
        names = [*written.split("."), *chain[1:]] if written else chain
        for n in range(len(names), 0, -1):  # `import a.b` binds "a.b"
            target = self._imports.get(".".join(names[:n]))
            if target and (bound := self._graph.resolve(target, self._path)):
                return self._graph.follow(bound, names[n:])
        return None


def _imports(text: str) -> Iterator[tuple[str, Target]]:
    for match in _IMPORT.finditer(text):
        yield from imports_of(parse(dedent(match[0].lstrip())))


def _types(text: str) -> Iterator[tuple[str, str]]:
    yield from _ANNOTATED.findall(text)
    yield from _MADE.findall(text)
    yield from ((name, kind) for kind, name in _OPENED.findall(text))


def _chains(before: str, after: str) -> Iterator[str]:
    """Dotted names by their distance from the cursor: up to the beginning of the last lines, then a little behind."""
    above = "\n".join(before.split("\n")[-_LINES_BEFORE:])
    yield from dict.fromkeys([*reversed(_CHAIN.findall(above)), *_CHAIN.findall(after[:_CHARS_AFTER])])
