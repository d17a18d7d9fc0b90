"""Lines of code in languages with C's comments, told by text alone: a draw must not change with a grammar's version.

RepoEval's rule (arXiv 2303.12570, section 4.1): code, no comment, no import, five tokens and more, since a closing
brace says nothing; neither the file's first line nor behind a blank one, as in `model.evaluation.drawing`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

# Language (LSP's id) -> the suffixes of its files. Headers are those of the language that a repository is drawn for.
SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "javascript": (".js", ".jsx", ".mjs", ".cjs"),
    "typescript": (".ts", ".tsx", ".mts", ".cts"),
    "go": (".go",),
    "rust": (".rs",),
    "java": (".java",),
    "c": (".c", ".h"),
    "cpp": (".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".hxx"),
}
_LEAST_TOKENS, _LONGEST = 5, 400
_TOKEN = re.compile(r"\w+|[^\w\s]")
_IMPORT = {
    "javascript": re.compile(r"import\b|export\b.*\bfrom\b|.*\brequire\(['\"]|\} from ['\"]"),
    "go": re.compile(r"import\b|package\b|(\w+ |\. )?\"[^\"]*\"$"),
    "rust": re.compile(r"(pub(\([^)]*\))? )?(use|mod|extern crate)\b"),
    "java": re.compile(r"import\b|package\b"),
    "c": re.compile(r"#\s*include\b|using\b"),
}
_KIN = {"typescript": "javascript", "cpp": "c"}


def code_lines(text: str, language: str) -> Iterator[int]:
    """Lines, 0-based, that a task may ask for."""
    lines = text.split("\n")
    imports, comments = _IMPORT[_KIN.get(language, language)], _comments(lines)
    for n, (before, line) in enumerate(pairwise(lines), 1):
        bare = line.strip()
        if not bare or not before.strip() or n in comments or len(line) > _LONGEST:
            continue
        if len(_TOKEN.findall(bare)) >= _LEAST_TOKENS and not imports.match(bare):
            yield n


def _comments(lines: list[str]) -> set[int]:
    """Lines, 0-based, that begin in a comment. Code behind the end of one counts as comment."""
    found: set[int] = set()
    is_open = False
    for n, line in enumerate(lines):
        bare = line.strip()
        opens = not is_open and bare.startswith("/*")
        if is_open or opens or bare.startswith("//") or re.match(r"\*(\s|/|$)", bare):
            found.add(n)
        if is_open or opens:
            is_open = "*/" not in (bare[2:] if opens else bare)
    return found
