"""Python source -> syntax tree, with tree-sitter, which forgives errors and holds the interpreter while it works."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from importlib.resources import files

import tree_sitter_python
from tree_sitter import Language, Parser, Query, Tree

# Bytes that tree-sitter reads at a time, after which other threads may run: 32,768 of the worst text take it 130 ms.
_READ_AT_ONCE = 4_096


@cache
def python() -> tuple[Language, Query]:
    """The grammar, and what of it a chunk is."""
    language = Language(tree_sitter_python.language())
    return language, Query(language, files("indexer").joinpath("queries/python.scm").read_text("utf-8"))


def parse_python(source: bytes) -> Tree:
    """The syntax tree of UTF-8 source; errors are nodes in it. Between pieces of it other threads run."""
    parser = Parser(python()[0])
    if len(source) <= _READ_AT_ONCE:
        return parser.parse(source)
    given: list[bytes] = []  # copies, which nobody else knows

    def read(start: int, _: object) -> bytes:
        given.append(source[start : start + _READ_AT_ONCE])
        return given[-1]

    tree = parser.parse(read)
    _let_go(given)
    return tree


def _let_go(given: list[bytes]) -> None:
    """py-tree-sitter 0.26 never lets go of what it was given to read, all of a document with each parse. What has a
    reference more than an object that nobody else knows loses one; where that is mended, none has."""
    fresh = bytes(bytearray(2))
    while given:
        piece = given.pop()
        if len(piece) > 1 and sys.getrefcount(piece) > sys.getrefcount(fresh):  # shorter ones are everybody's
            ctypes.pythonapi.Py_DecRef(ctypes.py_object(piece))
