"""How a language is written below its grammar, as data: strings, comments, and what a block may follow.

The line under a cursor is half written and rarely parses; what is open there is read from the text alone. Languages
without an entry have `PLAIN`: quotes that are looked for on the cursor's line only, and no blocks told by braces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

from indexer.languages import BRACES, known_language


@dataclass(frozen=True)
class StringKind:
    """`opens` is a regular expression; `closes` is what ends it, with the expression's group in place of `{}`.

    `hole`: what begins code in it, up to the bracket's end. `lines`: whether it goes on behind a line's end.
    """

    opens: str
    closes: str
    escapes: bool = True
    lines: bool = False
    hole: str = ""


@dataclass(frozen=True)
class Lexis:
    """The lexis of one language."""

    strings: tuple[StringKind, ...]
    line_comments: tuple[str, ...] = ()
    block_comments: tuple[tuple[str, str], ...] = ()
    nested_comments: bool = False
    literals: str = ""  # an expression for what is passed over whole: characters, lifetimes, expressions
    braces: bool = False  # whether `{` opens a block
    labels: tuple[str, ...] = ()  # words that a line begins with which ends in ":" and opens a block
    arrows: tuple[str, ...] = ()  # what a body follows, in braces or not
    heads: frozenset[str] = frozenset()  # words that a line begins with whose block may follow in braces,
    head_ends: tuple[str, ...] = ()  # and what such a line may end with, whatever it begins with
    continues: tuple[str, ...] = ()  # ends of a line behind which the next one may stand deeper,
    continued_by: tuple[str, ...] = ()  # and beginnings of a line that may
    tags: bool = False  # whether markup stands among the code
    angles: bool = False  # whether names take types between `<` and `>`
    branches: tuple[
        str, ...
    ] = ()  # marks of text of which only one part counts, so that brackets do not pair up
    step: str = "    "  # of indentation, where a document tells none

    def is_label(self, line: str) -> bool:
        """Whether a line opens a block by a label: `case 1:`."""
        line = line.strip()
        begun = [word for word in self.labels if line.startswith(word)]
        return line.endswith(":") and any(not _is_of_word(line[len(word)]) for word in begun)

    def is_head(self, line: str) -> bool:
        """Whether a block in braces may follow a line: `if (x)`."""
        line = line.strip()
        words = line.lstrip("}) \t").split(maxsplit=1)
        return any(word in self.heads for word in words[:1]) or self._ends_head(line)

    def opens_tag(self, line: str) -> bool:
        """Whether a line ends with a tag that is to be closed: `<a b="c">`, or the `>` of one that began above."""
        line = line.strip()
        at = line.rfind("<")
        name, before = line[at + 1 : at + 2], line[:at][-1:] if at >= 0 else ""
        is_tag = at >= 0 and (name.isalpha() or name == ">") and not _is_of_word(before)
        is_end = line.endswith(">") and not line.endswith(("/>", "=>", "->"))
        return self.tags and (line == ">" or (is_tag and is_end))

    def _ends_head(self, line: str) -> bool:
        ends = [end for end in self.head_ends if line.endswith(end)]
        return any(not end.isalpha() or not _is_of_word(line[: -len(end)][-1:]) for end in ends)


def _is_of_word(char: str) -> bool:
    return char.isalnum() or char == "_"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DOUBLE, _SINGLE = StringKind('"', '"'), StringKind("'", "'")
_CHARACTER = r"'(?:\\[^'\n]{1,12}|\\'|[^'\\\n])'"
_CONTINUES = (
    "(",
    "[",
    "{",
    ",",
    "\\",
    "=",
    "&&",
    "||",
    "?",
    "+",
    "-",
    "*",
    "|",
    "&",
    "<<",
    ".",
    "else",
    "do",
    "return",
)
_CONTINUED_BY = (".", "?", "&&", "||", "+", "|", "<<", "->", "::")
_PREPROCESSOR = ("#el",)

PLAIN = Lexis(
    (StringKind('"', '"', lines=True), StringKind("'", "'", lines=True), StringKind("`", "`", lines=True))
)

_SCRIPT = Lexis(
    strings=(_DOUBLE, _SINGLE, StringKind("`", "`", lines=True, hole="${")),
    # Behind a sign a slash begins an expression, behind a name it divides.
    literals=(
        r"(?<=[(,=:\[!&|?;{>\n])[ \t]{0,4}/(?![*/>\s])"
        r"(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.){0,40}\]){1,100}/[a-z]*"
    ),
    labels=("case", "default"),
    arrows=("=>",),
    heads=_words(
        "if else for while do try catch finally switch with function async class interface enum namespace module"
        " declare export static get set constructor public private protected abstract"
    ),
    head_ends=(")", "=>", "else", "do", "try", "finally"),
    continues=(*_CONTINUES, "=>", ":", "??"),
    continued_by=(*_CONTINUED_BY, ":"),
    step="  ",
)
_MARKUP = replace(_SCRIPT, tags=True, continued_by=(*_SCRIPT.continued_by, "<"))
_C = Lexis(
    strings=(_DOUBLE, _SINGLE),
    labels=("case", "default"),
    heads=_words("if else for while do switch struct union enum typedef static extern inline"),
    head_ends=(")", "else", "do"),
    continues=(*_CONTINUES, ":", ">"),
    continued_by=(*_CONTINUED_BY, ":", "<<", ">>"),
    branches=_PREPROCESSOR,
)
_BY_NAME: Mapping[str, Lexis] = MappingProxyType(
    {
        "javascript": _MARKUP,
        "javascriptreact": _MARKUP,
        "typescript": replace(_SCRIPT, angles=True),
        "typescriptreact": replace(_MARKUP, angles=True),
        "go": Lexis(
            strings=(_DOUBLE, _SINGLE, StringKind("`", "`", escapes=False, lines=True)),
            labels=("case", "default"),
            heads=_words("if else for switch select func type struct interface go defer"),
            head_ends=(")", "else"),
            continues=(*_CONTINUES, ":"),
            continued_by=(),
            step="\t",
        ),
        "rust": Lexis(
            strings=(
                StringKind(r'\bb?r(#{0,9})"', '"{}', escapes=False, lines=True),
                StringKind('"', '"', lines=True),
            ),
            nested_comments=True,
            literals=rf"{_CHARACTER}|'\w+",
            arrows=("=>",),
            heads=_words(
                "if else for while loop match fn impl struct enum trait mod unsafe async extern pub union const"
                " macro_rules!"
            ),
            head_ends=(")", "=>", "else", "loop", "unsafe", "async", "move"),
            continues=(*_CONTINUES, "=>", "->", ">", "where"),
            continued_by=(*_CONTINUED_BY, "where"),
            angles=True,
        ),
        "java": Lexis(
            strings=(StringKind('"""', '"""', lines=True), _DOUBLE, _SINGLE),
            labels=("case", "default"),
            arrows=("->",),
            heads=_words(
                "if else for while do try catch finally switch synchronized class interface enum record public private"
                " protected static abstract final @interface default"
            ),
            head_ends=(")", "->", "else", "do", "try", "finally"),
            continues=(*_CONTINUES, "->", ":", ">"),
            continued_by=(*_CONTINUED_BY, ":"),
            angles=True,
        ),
        "c": _C,
        "cpp": replace(
            _C,
            strings=(StringKind(r'R"([^()\\\s"]{0,16})\(', '){}"', escapes=False, lines=True), *_C.strings),
            literals=r"(?<=\d)'(?=\d)",  # between the digits of a number
            labels=(*_C.labels, "public", "private", "protected"),
            heads=_C.heads
            | _words("class namespace template try catch constexpr virtual explicit auto public"),
            head_ends=(*_C.head_ends, "try", "const", "noexcept", "override", "mutable"),
            angles=True,
        ),
    }
)


@cache
def lexis_of(language: str) -> Lexis:
    """The lexis of a language by its name, `PLAIN` for one that has none."""
    known, found = known_language(language), _BY_NAME.get(language)
    if known is None or found is None:
        return PLAIN
    return replace(
        found,
        line_comments=known.line_comments,
        block_comments=known.block_comments,
        braces=known.family == BRACES,
    )
