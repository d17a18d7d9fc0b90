"""The languages that are read by their syntax, as data: a language more is an entry here, a query and a wheel."""

from __future__ import annotations

from dataclasses import dataclass
from os.path import splitext

INDENTATION, BRACES = "indentation", "braces"
TEXT = "text"  # any other


@dataclass(frozen=True)
class Language:
    """One language. `name` is its id in LSP; `grammar` is the function of a wheel that knows its syntax.

    `queries`: files of `queries/`, without their ending, that are joined. `kin`: languages of the same kin share their
    names and most of their lines, such as C and C++, whose headers have the same ending.
    """

    name: str
    suffixes: tuple[str, ...]
    family: str  # what a block is told by: INDENTATION | BRACES
    line_comments: tuple[str, ...]
    block_comments: tuple[tuple[str, str], ...]
    grammar: str  # "module:function"
    queries: tuple[str, ...]
    kin: str
    aliases: tuple[str, ...] = ()  # what editors say instead of the name
    scoped: bool = False  # whether `scopes`, `soundness` and `imports` know what its names mean


_SLASHES = (("//",), (("/*", "*/"),))
_JAVASCRIPT, _TYPESCRIPT = ("javascript", "javascript_classes", "jsx"), ("javascript", "typescript")

LANGUAGES = (
    Language(
        "python", (".py", ".pyi", ".pyw"), INDENTATION, ("#",), (),
        "tree_sitter_python:language", ("python",), "python", ("python3", "py"), scoped=True,
    ),
    Language(
        "javascript", (".js", ".mjs", ".cjs"), BRACES, *_SLASHES,
        "tree_sitter_javascript:language", _JAVASCRIPT, "javascript", ("js", "ecmascript", "js2"),
    ),
    Language(
        "javascriptreact", (".jsx",), BRACES, *_SLASHES,
        "tree_sitter_javascript:language", _JAVASCRIPT, "javascript", ("jsx", "javascript.jsx"),
    ),
    Language(
        "typescript", (".ts", ".mts", ".cts"), BRACES, *_SLASHES,
        "tree_sitter_typescript:language_typescript", _TYPESCRIPT, "javascript", ("ts",),
    ),
    Language(
        "typescriptreact", (".tsx",), BRACES, *_SLASHES,
        "tree_sitter_typescript:language_tsx", (*_TYPESCRIPT, "jsx"), "javascript", ("tsx", "typescript.tsx"),
    ),
    Language("go", (".go",), BRACES, *_SLASHES, "tree_sitter_go:language", ("go",), "go", ("golang",)),
    Language("rust", (".rs",), BRACES, *_SLASHES, "tree_sitter_rust:language", ("rust",), "rust", ("rs",)),
    Language("java", (".java",), BRACES, *_SLASHES, "tree_sitter_java:language", ("java",), "java"),
    Language("c", (".c",), BRACES, *_SLASHES, "tree_sitter_c:language", ("c",), "c"),
    # What ends in .h may be either; C++'s grammar reads both, and editors call it so, too.
    Language(
        "cpp", (".cpp", ".cc", ".cxx", ".c++", ".h", ".hpp", ".hh", ".hxx", ".h++", ".inl", ".ipp", ".tpp"), BRACES,
        *_SLASHES, "tree_sitter_cpp:language", ("c", "cpp"), "c", ("c++", "cc", "cplusplus"),
    ),
)  # fmt: skip

_BY_NAME = {language.name: language for language in LANGUAGES}
_BY_ALIAS = {alias: language.name for language in LANGUAGES for alias in language.aliases}
_BY_SUFFIX = {suffix: language.name for language in LANGUAGES for suffix in language.suffixes}


def language_of(path: str) -> str:
    """The language of a path by its ending, "text" for one that is not known."""
    return _BY_SUFFIX.get(splitext(path)[1].lower(), TEXT)


def language_named(told: str) -> str:
    """The name here of a language that an editor calls `told`; what is not known keeps its name."""
    return _BY_ALIAS.get(told.lower(), told)


def is_scoped(name: str) -> bool:
    """Whether it is known of a language by its name what its names mean."""
    known = known_language(name)
    return known is not None and known.scoped


def known_language(name: str) -> Language | None:
    """What is known of a language by its name; None for text."""
    return _BY_NAME.get(name)
