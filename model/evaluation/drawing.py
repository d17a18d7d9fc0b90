"""Draws tasks from a repository by the rule of RepoEval (arXiv 2303.12570; microsoft/CodeT, RepoCoder/make_dataset).

`line`: a line of code, neither the file's first nor behind a blank one, no two of a repository alike. As in the
published generator there is no shortest line. It takes the code behind a docstring of one line for a comment, and a
docstring with a prefix for code; here docstrings are what Python says. `api`: all lines of a call to what another file
of the repository defines. Nothing is drawn from what this Python cannot parse.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from model.evaluation.calls import calls_elsewhere
from model.evaluation.code_lines import code_lines as foreign_lines
from model.evaluation.definitions import ModuleGraph, parse
from model.evaluation.tasks import Task

MOST_LINES = 30  # of a call


@dataclass(frozen=True)
class Hole:
    """Lines first to last of a file, 0-based and inclusive."""

    path: str
    first: int
    last: int


def draw(
    repository: str, texts: Mapping[str, str], usable: Collection[str], per_kind: int, seed: int
) -> list[Task]:
    """At most `per_kind` tasks of each kind in the files `usable`; `texts` is all that the repository defines.

    The draw depends on names, line numbers and the seed only: it is the same on every machine.
    """
    graph = ModuleGraph(texts)
    usable = [path for path in usable if parse(texts[path])]
    lines = (Hole(path, line, line) for path in usable for line in code_lines(texts[path]))
    calls = (
        Hole(path, first, last)
        for path in usable
        for first, last in calls_elsewhere(graph, path, texts[path])
        if first and last - first < MOST_LINES
    )
    return [
        _task(repository, kind, n, texts[hole.path], hole)
        for kind, holes in (("line", lines), ("api", calls))
        for n, hole in enumerate(_drawn(set(holes), texts, per_kind, f"{seed} {repository} {kind}"))
    ]


def draw_lines(
    repository: str, texts: Mapping[str, str], language: str, n: int, seed: int, source: str
) -> list[Task]:
    """At most `n` tasks of the kind `line` in files of another language than Python (`code_lines.SUFFIXES`)."""
    holes = {Hole(path, row, row) for path, text in texts.items() for row in foreign_lines(text, language)}
    drawn = _drawn(holes, texts, n, f"{seed} {repository} line")
    return [
        replace(_task(repository, "line", i, texts[hole.path], hole), source=source, language=language)
        for i, hole in enumerate(drawn)
    ]


def code_lines(text: str) -> Iterator[int]:
    """Lines, 0-based, that hold code and neither begin the file nor follow a blank line."""
    lines = text.split("\n")
    documentation = _documentation(text)
    for n, (before, line) in enumerate(pairwise(lines), 1):
        plain = line.strip()
        if plain and not plain.startswith("#") and before.strip() and n not in documentation:
            yield n


def _documentation(text: str) -> set[int]:
    """Lines, 0-based, of strings that are statements."""
    strings = (
        node
        for statement in parse(text)
        for node in ast.walk(statement)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
    return {n for node in strings for n in range(node.lineno - 1, node.end_lineno or node.lineno)}


def _drawn(holes: Iterable[Hole], texts: Mapping[str, str], n: int, salt: str) -> Sequence[Hole]:
    """The first `n` whose answers differ, in an order that has nothing to do with where they stand."""

    def lot(hole: Hole) -> bytes:
        return hashlib.sha256(f"{salt} {hole.path} {hole.first} {hole.last}".encode()).digest()

    drawn: dict[str, Hole] = {}
    for hole in sorted(holes, key=lot):
        if len(drawn) == n:
            break
        drawn.setdefault(_split(texts[hole.path], hole)[1].strip(), hole)
    return list(drawn.values())


def _task(repository: str, kind: str, n: int, text: str, hole: Hole) -> Task:
    prefix, target, suffix = _split(text, hole)
    return Task(
        task_id=f"{repository}/{kind}/{n}",
        repo=repository,
        path=hole.path,
        prefix=prefix,
        suffix=suffix,
        target=target,
        kind=kind,
        source="Fresh",
        origin="drawn",
    )


def _split(text: str, hole: Hole) -> tuple[str, str, str]:
    """The text before a hole, in it, and behind it, from the line end on."""
    lines = text.split("\n")
    start = sum(len(line) + 1 for line in lines[: hole.first])
    target = "\n".join(lines[hole.first : hole.last + 1])
    return text[:start], target, text[start + len(target) :]
