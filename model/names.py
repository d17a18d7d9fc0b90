"""Whether the name that an answer completes stands anywhere: a small coder makes names up.

Of 94 begun words that the tiny coder completed to a name of neither the document nor the repository, 4 were right
(model/LOG.md, "Names that stand nowhere").
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Mapping
from types import MappingProxyType

from model.drafts.stores import LONGEST
from model.repository import Tokens
from model.request import Request
from model.vocabulary import Vocabulary

LESS_SURE = 0.05  # by what the chance of a line with such a name is multiplied
_CHARS = 100  # longest name that is looked up
_WORD = re.compile(r"\w+")
_IN_FRONT = ("", " ", ".", "(")  # what tokenizers of this kind may join a name with
# Keywords, and what no file of a repository has to say before it is used.
_C = (
    "auto bool break case char const continue default do double else enum extern false float for goto if "
    "inline int long nullptr register return short signed sizeof static struct switch true typedef union "
    "unsigned void volatile while define include ifdef ifndef endif elif size_t int8_t int16_t int32_t "
    "int64_t uint8_t uint16_t uint32_t uint64_t NULL alignas alignof catch class concept const_cast "
    "constexpr consteval decltype delete dynamic_cast explicit export friend mutable namespace new "
    "noexcept operator override private protected public reinterpret_cast requires static_assert "
    "static_cast template this thread_local throw try typename using virtual final"
)
_JAVASCRIPT = (
    "abstract any as async await boolean break case catch class const constructor continue debugger "
    "declare default delete do else enum export extends false finally for from function get if implements "
    "import in infer instanceof interface keyof let module namespace never new null number object of "
    "private protected public readonly return satisfies set static string super switch symbol this throw "
    "true try type typeof undefined unknown var void while yield Array Boolean Date Error Infinity JSON "
    "Map Math NaN Number Object Partial Pick Promise Proxy Readonly Record RegExp Set String Symbol "
    "WeakMap console document globalThis parseFloat parseInt process prototype require window "
    "addEventListener forEach hasOwnProperty indexOf length push setTimeout stringify toString"
)
_GO = (
    "any append bool break byte cap case chan clear close complex64 complex128 const continue copy "
    "default defer delete else error fallthrough false float32 float64 for func go goto if import int "
    "int8 int16 int32 int64 interface iota len make map max min new nil package panic print println range "
    "recover return rune select string struct switch true type uint uint8 uint16 uint32 uint64 uintptr "
    "var"
)
_RUST = (
    "as async await bool box break char const continue crate derive dyn else enum extern f32 f64 false fn "
    "for i8 i16 i32 i64 i128 if impl in isize let loop macro_rules match mod move mut pub ref return self "
    "Self static str struct super trait true type u8 u16 u32 u64 u128 union unsafe use usize where while "
    "Arc Box Clone Copy Debug Default Drop Eq Err From HashMap Into Iterator None Ok Option Ord PartialEq "
    "Rc Result Send Some String Sync ToString Vec assert assert_eq clone collect expect format into iter "
    "panic println to_owned to_string todo unimplemented unreachable unwrap vec"
)
_JAVA = (
    "abstract assert boolean break byte case catch char class const continue default do double else enum "
    "extends false final finally float for goto if implements import instanceof int interface long native "
    "new null package permits private protected public record return sealed short static strictfp super "
    "switch synchronized this throw throws transient true try var void volatile while yield ArrayList "
    "Boolean Character Class Collections Comparable Deprecated Double Exception Float HashMap "
    "IllegalArgumentException IllegalStateException Integer Iterable Iterator List Long Map Math Object "
    "Override Runnable RuntimeException Set String StringBuilder SuppressWarnings System equals hashCode "
    "length println toString"
)
_PYTHON = frozenset(
    (*dir(builtins), *keyword.kwlist, *keyword.softkwlist)
)  # of any text that is not told apart
# By LSP's id: what a language has without anybody writing it down.
_OWN_NAMES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        language: frozenset(names.split())
        for languages, names in (
            ("javascript javascriptreact typescript typescriptreact vue svelte", _JAVASCRIPT),
            ("go", _GO),
            ("rust", _RUST),
            ("java", _JAVA),
            ("c cpp", _C),
        )
        for language in languages.split()
    }
)


def completed_name(prefix: str, text: str) -> str:
    """The name that a text goes on with behind a cursor in the middle of it; "" where the cursor is in none."""
    begun, rest = _WORD.match(prefix[: -_CHARS - 1 : -1]), _WORD.match(text[:_CHARS])
    name = begun[0][::-1] + rest[0] if begun and rest else ""
    return "" if name[:1].isdigit() else name


def stands_somewhere(name: str, request: Request, vocabulary: Vocabulary) -> bool:
    """Whether the language, the document, the repository or what is installed has a name, alone or as one's end."""
    own = _OWN_NAMES.get(request.language, _PYTHON)
    if name in own or name in request.prefix or name in request.suffix:
        return True
    known = [tokens for tokens in (request.tokens, request.packages) if tokens is not None]
    forms = [vocabulary.encode(f"{front}{name}") for front in _IN_FRONT]
    # Too long to be looked up whole: nothing is said against it.
    return any(len(ids) > LONGEST for ids in forms) or any(
        _has(tokens, ids) for tokens in known for ids in forms
    )


def _has(tokens: Tokens, ids: list[int]) -> bool:
    return tokens.find(ids, longest=len(ids), shortest=len(ids), limit=1, width=1).length > 0
