"""What a document may want to know of the packages that it imports: headers of what is named near its cursor.

A name counts where the document imports it, where it stands behind what it imports, or where the class that it is in is
in view: `execute` is defined by many, `Session` next to it says whose is meant. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from indexer.identifiers import weighted_identifiers
from indexer.imports import Import, imports_in, statements_in
from indexer.query import PACKAGE, Hit, Query
from indexer.signatures import Signature, SignatureTable

_NAMES = 40  # near the cursor, that are looked up
_READ_CHARS = 40_000  # of a document's beginning, for what it imports
_CALLED, _CALL_CHARS = 3.0, 1_000  # what is being called weighs most, if its bracket is so near
_NEAR_LINES, _NEAR = 3, 0.9  # lines in which an imported name weighs so much at least
_MEMBERS = 8  # of one class
_AMBIGUOUS = 3  # a name that nothing speaks for, and that more define, says nothing
_LIKELY = 3.0  # times as likely is what the document imports, or what is in a class in view
_DEFINED = re.compile(r"^[ \t]*(?:async[ \t]+def|def|class)[ \t]+(\w+)", re.MULTILINE)
_ATTRIBUTE = re.compile(r"(?:(?<!\w)([^\W\d]\w{0,63}))?\.[ \t]{0,9}([^\W\d]\w{0,63})")
_NAME_BEFORE = re.compile(r"(?<!\w)[^\W\d]\w{0,63}\Z")
_WORD = re.compile(r"(?<!\w)[^\W\d]\w{0,63}")
_SUFFIXES = (".py", ".pyi")


@dataclass(frozen=True)
class _View:
    """What a document says of packages. `imports`: what it binds; `words`: in lower case, what is in view."""

    imports: Mapping[str, Import]
    words: frozenset[str]
    attributes: Mapping[str, frozenset[str]]  # what stands behind a dot -> the names in front of it
    own: frozenset[str]  # what it defines itself


def headers_for(query: Query, tables: Mapping[str, SignatureTable], most: int) -> list[Hit]:
    """At most `most` hits of level PACKAGE, best first: a class with those of its members that are named near the
    cursor, or a function. `tables`: by the name that is imported."""
    if not tables or most < 1 or not query.path.endswith(_SUFFIXES):
        return []
    weights = weighted_identifiers(query.before, query.after)
    imports = _imports(query.before)
    view = _view_of(query, imports, weights)
    for name in _WORD.findall("\n".join(query.before[-2_000:].split("\n")[-_NEAR_LINES:])):
        if name in imports:  # however common a word it is
            weights.setdefault(name, _NEAR)
    known = [tables[top] for top in sorted(_tops(imports, query.path) & tables.keys())]
    if called := _called(query.before):
        weights[called] = _CALLED
    names = sorted(weights, key=lambda name: (-weights[name], name))[:_NAMES]
    groups: dict[tuple[int, int], _Group] = {}
    for number, table in enumerate(known):
        for name in names:
            for row, share in _meant(table, name, view):
                top = table.rows[row].owner if table.rows[row].owner >= 0 else row
                group = groups.setdefault((number, top), _Group(table, top))
                group.add(row, share * weights[name])
    best = sorted(groups.values(), key=lambda group: (-group.score, group.path, group.top))[:most]
    return [group.hit() for group in best]


def imported_tops(query: Query) -> set[str]:
    """The packages that a document imports, but for one that it lies in itself."""
    return _tops(_imports(query.before), query.path)


class _Group:
    """What is shown of one class, or one function."""

    def __init__(self, table: SignatureTable, top: int) -> None:
        self.score = 0.0
        self.top = top
        self._table = table
        self._members: dict[int, float] = {}

    @property
    def path(self) -> str:
        return self._table.rows[self.top].path

    def add(self, row: int, score: float) -> None:
        self.score += score
        if row != self.top:
            self._members[row] = max(score, self._members.get(row, 0.0))
        elif (first := self._table.member(row, "__init__")) is not None:
            self._members.setdefault(first, score)

    def hit(self) -> Hit:
        rows = self._table.rows
        chosen = sorted(sorted(self._members, key=lambda row: -self._members[row])[:_MEMBERS])
        told = [rows[self.top], *(rows[row] for row in chosen)]
        text = "\n".join(_line(found, indent="    " if found.owner == self.top else "") for found in told)
        first, last = min(found.line for found in told), max(found.line for found in told)
        nothing = np.zeros((0, 0), np.float16)
        return Hit(self.path, first, last, PACKAGE, round(self.score, 6), text, text, nothing)


def _line(found: Signature, indent: str) -> str:
    return f"{indent}{found.text}{' ...' if found.text.endswith(':') else ''}"


def _meant(table: SignatureTable, name: str, view: _View) -> Iterator[tuple[int, float]]:
    """Rows that a name in view may mean, each with how likely that is."""
    if name in view.own:
        return
    found = view.imports.get(name)
    named = found.name if found and found.name else name
    rows = table.defining(named)
    tops, members = _split(table.rows, rows)
    if found is not None and found.name and tops:
        yield from _nearest(table.rows, tops, found.module, _LIKELY)
    if found is not None or name not in view.attributes:
        return  # without an import nothing but an attribute is a package's
    fronts = [view.imports[front] for front in sorted(view.attributes[name]) if front in view.imports]
    if tops and fronts:  # of a module, or of a package itself
        for front in fronts:
            module = f"{front.module}.{front.name}" if front.name else front.module
            yield from _nearest(table.rows, tops, module, _LIKELY / len(fronts))
        return
    owned = [row for row in members if table.rows[table.rows[row].owner].name.lower() in view.words]
    if owned:
        yield from _shared(owned[:_AMBIGUOUS], _LIKELY)
    elif 0 < len(tops) <= _AMBIGUOUS:
        yield from _shared(tops, 1.0)
    elif 0 < len(rows) <= _AMBIGUOUS:
        yield from _shared(rows, 1.0)


def _split(rows: Sequence[Signature], some: Sequence[int]) -> tuple[list[int], list[int]]:
    tops = [row for row in some if rows[row].owner < 0]
    return tops, [row for row in some if rows[row].owner >= 0]


def _nearest(
    rows: Sequence[Signature], some: Collection[int], module: str, likely: float
) -> Iterator[tuple[int, float]]:
    """Those in the files that share most of their path with an imported module, which hands on what is below it: the
    deeper the less likely."""
    wanted = module.split(".")

    def place(row: int) -> tuple[int, int]:
        parts = rows[row].path.removesuffix(".py").split("/")
        same = (a == b for a, b in zip(wanted, parts, strict=False))
        return -sum(takewhile(bool, same)), len(parts)

    places = sorted((*place(row), row) for row in some)
    nearest = [
        (0.5 ** (depth - places[0][1]), row) for shared, depth, row in places if shared == places[0][0]
    ]
    total = sum(share for share, _ in nearest[:_AMBIGUOUS])
    return ((row, likely * share / total) for share, row in nearest[:_AMBIGUOUS])


def _shared(rows: Sequence[int], likely: float) -> Iterator[tuple[int, float]]:
    return ((row, likely / len(rows)) for row in rows)


def _tops(imports: Mapping[str, Import], path: str) -> set[str]:
    tops = {found.module.partition(".")[0] for found in imports.values()}
    return {top for top in tops if f"/{top}/" not in f"/{path}"}


def _view_of(query: Query, imports: Mapping[str, Import], near: Collection[str]) -> _View:
    attributes: dict[str, set[str]] = {}
    for front, name in _ATTRIBUTE.findall(query.before[-8_000:] + query.after[:2_000]):
        attributes.setdefault(name, set()).add(front)
    fronts = {name: frozenset(them) for name, them in attributes.items()}
    own = frozenset(_DEFINED.findall(query.before[-200_000:]))
    words = {word for found in imports.values() for word in (found.name, found.alias) if word}
    return _View(imports, frozenset(word.lower() for word in (*words, *near)), fronts, own)


def _called(before: str) -> str:
    """The name in front of the innermost bracket that is open at the end of a text, "" where there is none."""
    end, depth = before[-_CALL_CHARS:], 0
    for at in range(len(end) - 1, -1, -1):
        depth += (end[at] in ")]}") - (end[at] in "([{")
        if depth < 0:
            name = _NAME_BEFORE.search(end[max(0, at - 64) : at]) if end[at] == "(" else None
            return name[0] if name else ""
    return ""


def _imports(text: str) -> Mapping[str, Import]:
    """What the head of a text imports, by the name that it binds."""
    head = [line for line in text[:_READ_CHARS].split("\n") if line.strip()]
    columns = [len(line) - len(line.lstrip()) for line in head]
    statements = statements_in([line.strip() for line in head], columns)
    return {found.bound: found for statement in statements for found in imports_in(statement)}
