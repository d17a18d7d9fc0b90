"""Source -> syntax tree, with tree-sitter, which forgives errors and holds the interpreter while it works."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from types import MappingProxyType

from tree_sitter import Language as Grammar
from tree_sitter import Parser, Query, Tree

from indexer.languages import LANGUAGES, known_language

# Bytes that tree-sitter reads at a time, after which other threads may run: 32,768 of the worst text take it 130 ms.
_READ_AT_ONCE = 4_096
# Hundreds of steps that tree-sitter may take: real code of any language costs up to 15 per 1,000 bytes, quotes and
# brackets without end cost 30 to 100, each of them longer.
_FREE_STEPS, _STEPS_PER_BYTE = 1_000, 0.026
_DEFINITIONS = "; Definitions:\n"  # ends a query's first half


class GrammarError(LookupError):
    """A language whose grammar is not installed, or does not fit this tree-sitter; the message says which."""


def grammar_of(language: str) -> Grammar:
    """The grammar of a language by its name. Raises GrammarError where it has none, or it cannot be loaded."""
    known = known_language(language)
    if known is None:
        raise GrammarError(f"no grammar is known for {language}")
    found = _loaded(known.grammar)
    if isinstance(found, str):
        raise GrammarError(found)
    return found


def has_grammar(language: str) -> bool:
    """Whether `parse` takes a language by its name: a missing grammar makes it plain text and nothing else."""
    known = known_language(language)
    return known is not None and not isinstance(_loaded(known.grammar), str)


def absent_wheels() -> list[str]:
    """The grammars' wheels that are not installed; nothing is loaded to say so."""
    modules = {language.grammar.partition(":")[0] for language in LANGUAGES}
    return sorted(module for module in modules if find_spec(module) is None)


def missing_grammars() -> Mapping[str, str]:
    """The languages whose grammars cannot be loaded, and why."""
    found = {language.name: _loaded(language.grammar) for language in LANGUAGES}
    return MappingProxyType({name: why for name, why in found.items() if isinstance(why, str)})


@cache
def queries_of(language: str) -> tuple[Query, Query]:
    """What of a language's syntax a chunk may begin with, and what is a definition (`queries/`). Raises GrammarError.

    Two, because of the one only nodes are wanted, of the other what belongs to what, which takes tree-sitter longer.
    """
    grammar, known = grammar_of(language), known_language(language)
    folder = files("indexer").joinpath("queries")
    names = known.queries if known else ()
    parts = [folder.joinpath(f"{name}.scm").read_text("utf-8").partition(_DEFINITIONS) for name in names]
    return Query(grammar, "".join(part[0] for part in parts)), Query(
        grammar, "".join(part[2] for part in parts)
    )


def parse(source: bytes, language: str) -> Tree | None:
    """The syntax tree of UTF-8 source; errors are nodes in it. Between pieces of it other threads run.

    None for a text that costs tree-sitter several times what any code does: to recover from errors is slow. Decided by
    its steps, not by a clock, so that it is the same everywhere. What it takes at the end of a text it does not count:
    `outliner.parse_within_limits` is for what others may have written. Raises GrammarError: ask `has_grammar` first.
    """
    given: list[bytes] = []  # copies, which nobody else knows
    n_steps, stopped = 0, False  # hundreds

    def read(start: int, _: object) -> bytes:
        given.append(source[start : start + _READ_AT_ONCE])
        return given[-1]

    def progress(offset: int, _: bool) -> bool:
        nonlocal n_steps, stopped
        n_steps += 1
        stopped = n_steps > _FREE_STEPS + _STEPS_PER_BYTE * offset
        return stopped

    try:
        return Parser(grammar_of(language)).parse(read, progress_callback=progress)
    except ValueError:
        if not stopped:
            raise
        return None
    finally:
        _let_go(given)


@cache
def _loaded(place: str) -> Grammar | str:
    """A grammar by its place, "module:function"; why not, where it is missing or made for another tree-sitter."""
    module, _, function = place.partition(":")
    wheel = module.replace("_", "-")
    try:
        return Grammar(getattr(import_module(module), function)())
    except ImportError as error:
        return f"{wheel} cannot be imported ({error})"
    except (AttributeError, TypeError, ValueError) as error:  # another version of the wheel or of its ABI
        return f"{wheel} does not fit this tree-sitter ({error})"


def _let_go(given: list[bytes]) -> None:
    """py-tree-sitter 0.26 never lets go of what it was given to read, all of a document with each parse. What has a
    reference more than an object that nobody else knows loses one; where that is mended, none has."""
    fresh = bytes(bytearray(2))
    while given:
        piece = given.pop()
        if len(piece) > 1 and sys.getrefcount(piece) > sys.getrefcount(fresh):  # shorter ones are everybody's
            ctypes.pythonapi.Py_DecRef(ctypes.py_object(piece))
