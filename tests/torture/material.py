"""Real texts, and what happens to them: byte flips, cuts, doubled blocks, long lines, brackets that never close."""

from __future__ import annotations

import os
import random
import re
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

from tests.torture.runner import ROOT

MAX_BYTES = 16_000  # of the piece of a real file that is mutated
MAX_FILES = 2_000  # of one place
ENDINGS = (
    ".py", ".pyi", ".md", ".txt", ".json", ".toml", ".js", ".ts", ".jsx", ".tsx", ".go", ".rs", ".java", ".lua", ".c",
    ".h", ".hpp", ".cc", ".cpp", ".sh",
)  # fmt: skip
STRANGE = (
    "\u202e", "\u2066", "\u200b", "\ufeff", "\u2028", "\x85", "\x0c", "\x1b[31m", "\x00", "\x7f", "\U0001f600",
    "e\u0301", "\u05d0", "\uff5c", "\ufffd", "\u3000", "\r", "\x1c", "\xad", "<|fim_middle|>", "</s>",
)  # fmt: skip
HELL = (
    "*a*a*a*a*a*a*a*a*a*a*b", "[z-a]", "**/**/**/**/**/x", "[[[[", "!", "\\", "a" * 3_000, "[!a-", "**", "/", "*" * 300,
    "(a+)+$", "?" * 200, "{a,b}", "[]]", "[^]", "***/***", "\\*\\", "[a-\\]", "#", "[[:alpha:]]*" * 40,
)  # fmt: skip

Mutation = Callable[[random.Random, bytes], bytes]


@cache
def real_files() -> tuple[Path, ...]:
    """Files of this repository, of the standard library and of what is installed, in a fixed order."""
    own = [ROOT / name for name in ("indexer", "lsp_server", "model", "tests", "editors")]
    places = [*own, Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))]
    return tuple(path for place in places for path in islice(_below(place), MAX_FILES))


def _below(place: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(place):
        folders[:] = sorted(
            set(folders) - {"site-packages", "__pycache__", "node_modules", "torch", "torture"}
        )
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(ENDINGS))


def piece(rng: random.Random) -> tuple[Path, bytes]:
    """A run of whole bytes of a real file."""
    path = rng.choice(real_files())
    content = path.read_bytes()
    start = rng.randrange(max(1, len(content) - MAX_BYTES))
    return path, content[start : start + rng.randrange(200, MAX_BYTES)]


def mutated(rng: random.Random, content: bytes) -> bytes:
    for mutate in rng.choices(MUTATIONS, k=rng.randrange(1, 5)):
        content = mutate(rng, content)
    return content


def decoded(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def flip_bytes(rng: random.Random, content: bytes) -> bytes:
    flipped = bytearray(content)
    for _ in range(rng.randrange(1, 40) if content else 0):
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def double_block(rng: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    start = rng.randrange(len(lines))
    block = lines[start : start + rng.randrange(1, 60)]
    return b"\n".join([*lines[:start], *block * rng.randrange(2, 8), *lines[start:]])


def remove_block(rng: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    start = rng.randrange(len(lines))
    return b"\n".join([*lines[:start], *lines[start + rng.randrange(1, 60) :]])


def strange_characters(rng: random.Random, content: bytes) -> bytes:
    for _ in range(rng.randrange(1, 20)):
        place = rng.randrange(len(content) + 1)
        content = content[:place] + rng.choice(STRANGE).encode() + content[place:]
    return content


def random_unicode(rng: random.Random, content: bytes) -> bytes:
    points = [rng.choice((rng.randrange(32, 0xD800), rng.randrange(0xE000, 0x110000))) for _ in range(60)]
    return _put_in(rng, content, "".join(map(chr, points)).encode())


def long_line(rng: random.Random, content: bytes) -> bytes:
    unit = rng.choice(
        (b"ab", b"x = ", b"(", b" ", b"a.b", b"'", b"=", b"0,", b"\t", b"w1 w2 w3 ", b"\\", b"from .")
    )
    return _put_in(rng, content, unit * (rng.randrange(500, 60_000) // len(unit)))


def mixed_newlines(rng: random.Random, content: bytes) -> bytes:
    ends = (b"\n", b"\r\n", b"\r", b"\n\r", b"\x0c\n")
    return b"".join(line + rng.choice(ends) for line in content.split(b"\n"))


def unclosed(rng: random.Random, content: bytes) -> bytes:
    opener = rng.choice(
        (b"(", b"[", b"{", b'"""', b"'", b"f(", b"[[", b"if x:\n ", b"def f(", b"class A(", b"lambda:")
    )
    return _put_in(rng, content, opener * rng.randrange(1, 4_000))


def deep(rng: random.Random, content: bytes) -> bytes:
    n = rng.randrange(5, 150)
    head = rng.choice((b"if x:", b"def f():", b"class A:", b"for i in x:"))
    return _put_in(rng, content, b"\n" + b"".join(b" " * row + head + b"\n" for row in range(n)))


def hell_lines(rng: random.Random, content: bytes) -> bytes:
    return _put_in(rng, content, "\n".join(["", *rng.choices(HELL, k=5), ""]).encode())


MUTATIONS: Sequence[Mutation] = (
    flip_bytes, cut, double_block, remove_block, strange_characters, random_unicode, long_line, mixed_newlines,
    unclosed, deep, hell_lines,
)  # fmt: skip


def _put_in(rng: random.Random, content: bytes, more: bytes) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + more + content[place:]


def model_text(rng: random.Random, text: str) -> str:
    """What a model might write: a piece of code, a loop, or rubbish."""
    start = rng.randrange(len(text) + 1)
    some = text[start : start + rng.randrange(1, 400)]
    loop = rng.choice(("ab", "x = 1\n", ") ", "    pass\n", "\u202e", "a.b.", "\t", "==")) * rng.randrange(
        1, 80
    )
    return rng.choice((some, loop, some + loop, loop + some, "".join(rng.choices(STRANGE, k=9)) + some))


def names_in(rng: random.Random, text: str) -> list[str]:
    """Relative paths that a repository could hold: words of a text, long runs, and names of the trade."""
    words = re.findall(r"[^\s/\x00]{1,80}", text)
    some = rng.sample(words, min(8, len(words)))
    return [
        *some, "/".join(some[:4]), "a" * 60, "a" * 200, "x/" * 100 + "y", "src/main.py", ".env~", "new\nline.py",
        "\x1b]0;x\x07", "\udc80bad",
    ]  # fmt: skip
