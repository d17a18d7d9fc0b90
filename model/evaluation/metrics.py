"""What counts as right: how an answer is cut for its kind of task, and how it is compared with the target.

The rules are those of RepoEval (arXiv 2303.12570, section 4), CrossCodeEval (arXiv 2310.11248, section 4) and
LlavaCode (arXiv 2510.19644, its published code).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache

from rapidfuzz.distance import Levenshtein

from indexer.keywords import keywords_of
from indexer.lexis import lexis_of
from model.evaluation.tasks import PYTHON, Task

_QUOTED = {quote: rf"{quote}(?:[^{quote}\\]|\\.)*{quote}" for quote in "\"'`"}
_DIRECTIVE = r"^[ \t]*#[ \t]*\w+"
_NAME = re.compile(r"[^\W\d]\w*")

# Longest answers, in tokens. The literature gives 50-64 to a line and 256 to a function with vocabularies of 32k and
# more; the embedded model's 4k vocabulary spells the same text in about 1.5 times as many.
MAX_TOKENS = {"line": 96, "crossfile": 96, "api": 160, "function": 256}


def answer_end(task: Task, text: str) -> int | None:
    """Offset at which `text` is a complete answer to `task`, None while more of it may belong."""
    return _ENDS[task.kind](task, text)


def answer(task: Task, text: str) -> str:
    """The part of `text` that is scored."""
    return text[: answer_end(task, text)]


def exact_match(text: str, target: str) -> bool:
    """Whether the non-blank lines are equal but for white space at their ends."""
    return _stripped_lines(text) == _stripped_lines(target)


def first_line_match(text: str, target: str) -> bool:
    """Whether the first non-blank lines are equal but for white space at their ends."""
    return _stripped_lines(text)[:1] == _stripped_lines(target)[:1]


def edit_similarity(text: str, target: str) -> float:
    """1 - Levenshtein distance / longer length, of the stripped texts; between 0 and 1."""
    text, target = text.strip(), target.strip()
    longer = max(len(text), len(target))
    return 1.0 - Levenshtein.distance(text, target) / longer if longer else 1.0


def token_match(text: str, target: str) -> bool:
    """LlavaCode's exact match: quotes are alike, white space says nothing, camelCase is cut at its capitals."""
    return _code_tokens(text) == _code_tokens(target)


def identifiers(text: str, language: str = PYTHON) -> list[str]:
    """Names in order of appearance, without keywords and what stands in strings and comments (CrossCodeEval)."""
    strings, comments = _no_code(language)
    code = comments.sub("", strings.sub("", text))
    keywords = keywords_of(language)
    return [name for name in _NAME.findall(code) if name not in keywords]


def identifier_match(text: str, target: str, language: str = PYTHON) -> bool:
    return identifiers(text, language) == identifiers(target, language)


def identifier_f1(text: str, target: str, language: str = PYTHON) -> float:
    """F1 of the sets of names; 1 where neither has any."""
    found, wanted = set(identifiers(text, language)), set(identifiers(target, language))
    total = len(found) + len(wanted)
    return 2 * len(found & wanted) / total if total else 1.0


@cache
def _no_code(language: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Expressions of a language's strings, literals among them, and of its comments and directives."""
    lexis = lexis_of(language)
    if not lexis.braces:
        return re.compile(f"{_QUOTED[chr(34)]}|{_QUOTED[chr(39)]}"), re.compile("#.*")
    quotes = [_QUOTED[kind.opens] for kind in lexis.strings if kind.opens in _QUOTED]
    comments = [f"{re.escape(mark)}.*" for mark in lexis.line_comments]
    comments += [rf"{re.escape(begin)}[\s\S]*?(?:{re.escape(end)}|\Z)" for begin, end in lexis.block_comments]
    directives = [_DIRECTIVE] if lexis.branches else []
    strings = [*([lexis.literals] if lexis.literals else []), *quotes]
    return re.compile("|".join(strings)), re.compile("|".join([*comments, *directives]), re.M)


def _code_tokens(text: str) -> list[str]:
    spaced = re.sub(r"([^A-Za-z0-9_])", r" \1 ", text.replace('"', "`").replace("'", "`"))
    return re.sub(r"([a-z])([A-Z])", r"\1 \2", spaced).split()


def _stripped_lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _end_of_line(task: Task, text: str) -> int | None:
    """The first line end behind the first visible character."""
    return _end_of_lines(text, 1)


def _end_of_call(task: Task, text: str) -> int | None:
    """As many non-blank lines as the target has: RepoEval's rule, since a call's end is not in the text."""
    return _end_of_lines(text, len(_stripped_lines(task.target)))


def _end_of_lines(text: str, n_lines: int) -> int | None:
    offset = 0
    for line in text.split("\n")[:-1]:
        offset += len(line)
        n_lines -= bool(line.strip())
        if n_lines <= 0:
            return offset
        offset += 1
    return None


def _end_of_body(task: Task, text: str) -> int | None:
    """Where a line begins further left than the body's first one."""
    offset, body = 0, 0
    for line in text.split("\n"):
        if code := line.strip():
            column = line.expandtabs().index(code[0])
            body = body or column
            if column < body:
                return offset
        offset += len(line) + 1
    return None


_ENDS: dict[str, Callable[[Task, str], int | None]] = {
    "line": _end_of_line,
    "crossfile": _end_of_line,
    "api": _end_of_call,
    "function": _end_of_body,
}

# By name in predictions and reports, of an answer, its target and, for those of names, their language; 0 to 1.
METRICS: Mapping[str, Callable[[str, str], float]] = {
    "em": exact_match,
    "es": edit_similarity,
    "token_em": token_match,
    "first_line_em": first_line_match,
}
NAME_METRICS: Mapping[str, Callable[[str, str, str], float]] = {
    "id_em": identifier_match,
    "id_f1": identifier_f1,
}
