"""The words that each language keeps for itself, as data: no name can be one."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from types import MappingProxyType

from indexer.languages import known_language

_C = (
    "auto break case char const continue default do double else enum extern float for goto if inline int long register"
    " return short signed sizeof static struct switch typedef union unsigned void volatile while alignas alignof bool"
    " constexpr false nullptr static_assert thread_local true"
)
_JAVASCRIPT = (
    "async await break case catch class const continue debugger default delete do else enum export extends false"
    " finally for from function get if implements import in instanceof interface let new null of package private"
    " protected public return set static super switch this throw true try typeof undefined var void while with yield"
)
_TYPESCRIPT = (
    " abstract accessor any as asserts bigint boolean constructor declare global infer intrinsic is keyof module"
    " namespace never number object out override readonly require satisfies string symbol type unique unknown using"
)
_WORDS = {
    "javascript": _JAVASCRIPT,
    "typescript": _JAVASCRIPT + _TYPESCRIPT,
    "go": "break case chan const continue default defer else fallthrough for func go goto if import interface map"
    " package range return select struct switch type var",
    "rust": "as async await break const continue crate dyn else enum extern false fn for if impl in let loop match mod"
    " move mut pub ref return self Self static struct super trait true type unsafe use where while",
    "java": "abstract assert boolean break byte case catch char class const continue default do double else enum"
    " extends false final finally float for goto if implements import instanceof int interface long native new null"
    " package private protected public return short static strictfp super switch synchronized this throw throws"
    " transient true try void volatile while",
    "c": _C + " restrict _Alignas _Alignof _Atomic _Bool _Complex _Generic _Imaginary _Noreturn _Static_assert"
    " _Thread_local typeof typeof_unqual",
    "cpp": _C + " and and_eq asm bitand bitor catch char8_t char16_t char32_t class compl concept consteval constinit"
    " const_cast co_await co_return co_yield decltype delete dynamic_cast explicit export friend mutable namespace new"
    " noexcept not not_eq operator or or_eq private protected public reinterpret_cast requires static_cast template"
    " this throw try typeid typename using virtual wchar_t xor xor_eq",
}  # fmt: skip
_ALSO = {"javascriptreact": "javascript", "typescriptreact": "typescript"}
_KEYWORDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "python": frozenset(keyword.kwlist),
        **{name: frozenset(words.split()) for name, words in _WORDS.items()},
    }
)


def keywords_of(language: str) -> frozenset[str]:
    """Those of a language by its name; Python's where it is not known."""
    known = known_language(language)
    return _KEYWORDS[_ALSO.get(known.name, known.name) if known else "python"]
