"""Documents that no one writes by hand and that every server meets: one long line, one deep nest, half of a character.

Each is made by a rule, the same every time; the tests of speed and the torture harness share them.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

CURSOR_AT_END = -1
LONE_SURROGATE = "\ud800"
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@dataclass(frozen=True)
class Hostile:
    """`cursor`: code points before it."""

    language: str
    text: str
    cursor: int


def hostile(name: str) -> Hostile:
    """The document of a name in NAMES."""
    language, text, cursor = _DOCUMENTS[name]()
    return Hostile(language, text, len(text) if cursor == CURSOR_AT_END else cursor)


_Made = tuple[str, str, int]


def _python(text: str, cursor: int = CURSOR_AT_END) -> _Made:
    return "python", text, cursor


def _repeated(piece: str, size: int) -> str:
    """`piece` as often as fits in `size` characters."""
    return piece * (size // len(piece))


def _nested_ifs() -> _Made:
    return _python("".join(" " * depth + "if x:\n" for depth in range(1_400)) + " " * 1_400)


def _deep_indentation() -> _Made:
    return _python("".join(" " * row + f"x{row} = {row}\n" for row in range(1_400)))


def _deep_classes() -> _Made:
    return _python("".join("    " * depth + f"class C{depth}:\n" for depth in range(700)) + "    " * 700)


def _nested_f_strings() -> _Made:
    return _python("x = " + 'f"{' * 300 + "1")


def _minified() -> _Made:
    body = "".join(f"function f{n}(a,b){{return a?b+{n}:g{n}(a)}};" for n in range(12_000))
    return "javascript", body, len(body) // 2


def _base64() -> _Made:
    data = random.Random(1).randbytes(600_000)
    return _python(f'DATA = "{base64.b64encode(data).decode()}"\n')


def _binary() -> _Made:
    return "plaintext", random.Random(2).randbytes(500_000).decode("latin-1"), 250_000


def _one_dict() -> _Made:
    text = "TABLE = {\n" + "".join(f'    "key_{n}": [{n}, "{n:x}"],\n' for n in range(20_000))
    return _python(text + "}\n", len(text))


def _json_line() -> _Made:
    text = "[" + ",".join(f'{{"id":{n},"name":"n{n}"}}' for n in range(30_000)) + "]"
    return "json", text, len(text) // 2


def _log() -> _Made:
    lines = (
        f"2026-01-01T00:00:{n % 60:02} INFO worker-{n % 8} request {n} done in {n % 97} ms\n"
        for n in range(160_000)
    )
    return "log", "".join(lines), CURSOR_AT_END


def _line_ends() -> _Made:
    return _python("".join(f"x{n} = {n}" + ("\r", "\n", "\r\n")[n % 3] for n in range(60_000)))


def _combining() -> _Made:
    return _python("x = 'e" + "\u0301\u0327\u0308" * 20_000)


def _control_tokens() -> _Made:
    line = "x = <|fim_prefix|><|fim_suffix|><|fim_middle|><|endoftext|><|file_sep|><fim_prefix><fim_middle>\n"
    return _python(line * 4_000 + "y = <|fim_middle|>")


def _unfinished(unit: str, n_lines: int) -> str:
    """What nothing ends, another each time: W stands for a word."""
    rng = random.Random(3)
    lines = (unit.replace("W", "".join(rng.choices("bcghjkqvxyz", k=3))) + "\n" for _ in range(n_lines))
    return "".join(lines)


_DOCUMENTS: Mapping[str, Callable[[], _Made]] = {
    "a line of 60 KB": lambda: _python("a" * 60_000),
    "a line of 1 MB": lambda: _python("x = " + _repeated("ab ", 1_000_000)),
    "a name of 1 MB": lambda: _python("name_" * 200_000 + " = "),
    "dots behind from": lambda: _python("from " + "." * 100_000),
    "open parentheses": lambda: _python("(" * 990_000),
    "open brackets of all kinds": lambda: _python("[{(" * 330_000),
    "nested ifs": _nested_ifs,
    "nested classes": _deep_classes,
    "nested f-strings": _nested_f_strings,
    "deep indentation": _deep_indentation,
    "an unclosed triple quote": lambda: _python("x = '''" + "text and more text\n" * 50_000),
    "only closers": lambda: _python(")]}" * 330_000, 500_000),
    "only quotes": lambda: _python("\"'`" * 330_000, 500_000),
    "backslash continuations": lambda: _python("x = 1 + \\\n" * 50_000),
    "blank lines": lambda: _python("\n" * 100_000),
    "tabs": lambda: _python("\t" * 1_000_000),
    "mixed line ends": _line_ends,
    "form feeds and line separators": lambda: _python("x = 1\f\u2028y = 2\u2029\v\x85" * 40_000),
    "NULs": lambda: _python("x = \x00\x00\n" * 80_000 + "x = "),
    "lone surrogates": lambda: _python(f"x = '{LONE_SURROGATE}'\n" * 20_000 + f"y = '{LONE_SURROGATE}"),
    "bidi controls": lambda: _python(f"x = '{BIDI}' # {BIDI}\n" * 20_000 + "x = '"),
    "combining characters": _combining,
    "emoji sequences": lambda: _python("x = '" + "\U0001f469\u200d\U0001f469\u200d\U0001f467\ufe0f" * 20_000),
    "right to left": lambda: _python("שלום = 'مرحبا بالعالم'  # עולם\n" * 20_000 + "של"),
    "minified JavaScript": _minified,
    "base64": _base64,
    "one huge dict": _one_dict,
    "JSON on one line": _json_line,
    "20,000 imports": lambda: _python("".join(f"from package_{n} import name_{n}\n" for n in range(20_000))),
    "50,000 decorators": lambda: _python("@decorated\n" * 50_000),
    "one line 10,000 times": lambda: _python("    value = compute(value, other)\n" * 10_000 + "    val"),
    "two lines in turn": lambda: _python("first = second\nsecond = first\n" * 10_000),
    "conflict markers": lambda: _python(
        "<<<<<<< HEAD\nx = 1\n=======\nx = 2\n>>>>>>> theirs\n" * 20_000 + "x = "
    ),
    "binary": _binary,
    "a log of 10 MB": _log,
    "control tokens": _control_tokens,
    "unfinished lambdas": lambda: ("java", _unfinished("W=>", 8_000), CURSOR_AT_END),
    "unfinished separators": lambda: _python("f(\n" + _unfinished("/*W" * 10, 800) + "x = "),
}

NAMES = tuple(_DOCUMENTS)
