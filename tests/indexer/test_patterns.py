"""Patterns of ignore files: equal to git's, and linear whatever they are."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from pathspec import GitIgnoreSpec

from indexer.patterns import Patterns

WORDS = (
    "a",
    "b",
    "ab",
    "abc",
    "a.b",
    "foo",
    "foo.py",
    "x[1]",
    "é",
    "-",
    "!a",
    "#b",
    "a b",
    "a*b",
    "a\\b",
    ".a",
    "]",
)
PIECES = (
    *("a", "b", "ab", "foo", ".py", "*", "**", "?", "[ab]", "[!ab]", "[^a]", "[a-c]", "[]a]", "[!]a]"),
    *(
        "[[:alpha:]]",
        "[[:nope:]]",
        "[[:digit:].]",
        "[",
        "[a-",
        "[a\\]b]",
        "[a-\\c]",
        "[--b]",
        "\\*",
        "\\",
        "\\a",
    ),
    *("é", " ", "-", "]", "!", "#", "[é]", "[[a]", "[[:a]"),
)
JOINS = ("/", "/", "/", "/**/", "**/", "/**", "", "", "/*/", "//")


def some_pattern(dice: random.Random) -> str:
    begin, end = (
        dice.choice(("", "", "", "/", "!", "**/", "\\!")),
        dice.choice(("", "", "", "/", "/**", " ", "\\ ")),
    )
    middle = [dice.choice(PIECES) + dice.choice(JOINS) for _ in range(dice.randint(0, 3))]
    return begin + "".join(middle) + dice.choice(PIECES) + end


def some_path(dice: random.Random) -> str:
    return "/".join(dice.choice(WORDS) for _ in range(dice.randint(1, 4)))


def ignored(patterns: Patterns, path: str) -> bool:
    """What a walk finds out: an ignored directory is not entered."""
    parts = os.fsencode(path).split(b"/")
    above = [b"/".join(parts[:depth]) for depth in range(1, len(parts))]
    verdicts = [
        *(patterns.verdict(directory, True) for directory in above),
        patterns.verdict(os.fsencode(path), False),
    ]
    return any(verdicts)


def ignored_by_git(root: Path, lines: list[str], paths: list[str]) -> set[str]:
    (root / ".gitignore").write_text("\n".join(lines) + "\n", encoding="utf-8")
    asked = subprocess.run(
        [
            "git",
            "-C",
            str(root),
            "-c",
            "core.ignoreCase=false",
            "check-ignore",
            "--no-index",
            "-z",
            "--stdin",
        ],
        input="\0".join(paths).encode(),
        capture_output=True,
        check=False,
        env={**os.environ, "GIT_CONFIG_GLOBAL": "", "GIT_CONFIG_NOSYSTEM": "1", "XDG_CONFIG_HOME": str(root)},
    )
    assert asked.returncode in (0, 1), asked.stderr
    return {os.fsdecode(path) for path in asked.stdout.split(b"\0") if path}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("seed", range(60))
def test_patterns_are_those_of_git(repository, seed):
    """20 paths for up to 3 patterns, 60 times: 1,200 questions of which git answers some 400 with yes."""
    dice = random.Random(seed)
    lines = [some_pattern(dice) for _ in range(dice.randint(1, 3))]
    paths = sorted({some_path(dice) for _ in range(20)})
    patterns = Patterns(os.fsencode(line) for line in lines)
    assert {path for path in paths if ignored(patterns, path)} == ignored_by_git(repository, lines, paths), (
        lines
    )


ORDINARY = (
    "*.log", "!keep.log", "/build/", "build", "docs/_build/", "**/cache", "a/**/z.py", "*.py[cod]", "/*.egg",
    "tmp?", "data/**", "*~", ".DS_Store", "src/*.gen.py", "**/*.snap", "logs/*.txt", "[Bb]in/",
)  # fmt: skip
PLACES = (
    "x.log", "keep.log", "a/keep.log", "build/x", "a/build/x", "docs/_build/x", "a/docs/_build/x", "cache", "a/b/cache",
    "a/z.py", "a/b/c/z.py", "m.pyc", "m.py", "x.egg", "a/x.egg", "tmp1", "tmp", "data/x/y", "data/keep.csv", "x~",
    "d/.DS_Store", "src/a.gen.py", "src/a/b.gen.py", "t/a.snap", "logs/a.txt", "logs/a/b.txt", "Bin/x", "a/bin/x",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_ordinary_patterns_mean_what_another_matcher_finds(seed):
    lines = random.Random(seed).sample(ORDINARY, 6)
    theirs, ours = GitIgnoreSpec.from_lines(lines), Patterns(map(os.fsencode, lines))
    for path in PLACES:
        parts = path.split("/")
        above = ["/".join(parts[:depth]) + "/" for depth in range(1, len(parts))]
        assert ignored(ours, path) is any(theirs.check_file(step).include for step in (*above, path)), (
            lines,
            path,
        )


HOSTILE = [
    ("stars and letters", lambda n: "*a" * n + "b", lambda n: "a" * n),
    ("stars and runs", lambda n: "*aaab" * n, lambda n: "aaa" * n),
    ("stars and question marks", lambda n: "*?" * n + "b", lambda n: "a" * n),
    ("stars and brackets", lambda n: "*[ab]" * n + "c", lambda n: "ab" * n),
    ("directories", lambda n: "**/a/" * n + "b", lambda n: "a/" * n + "c"),
    ("stars in directories", lambda n: "**/*a*a/" * (n // 4) + "b", lambda n: "aaaa/" * n + "c"),
    ("one long run", lambda n: "*" + "a" * n + "*b", lambda n: "a" * 2 * n),
]


@pytest.mark.parametrize(
    ("pattern", "path"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE]
)
def test_no_pattern_takes_long(pattern, path):
    """Git's own matcher, and every expression that backtracks, needs more than years for these."""
    text, place = pattern(250), path(250)
    compiled = Patterns([text.encode()])
    began = time.perf_counter()
    for _ in range(10):
        assert not compiled.verdict(place.encode(), False)
    assert time.perf_counter() - began < 1.0  # 10 times: the product of the two lengths is some 10^5


def test_long_ignore_files_are_read_and_matched_in_time():
    lines = [
        *(b"file%d" % number for number in range(50_000)),
        *(b"*%da*%db" % (n, n) for n in range(10_000)),
    ]
    began = time.perf_counter()
    patterns = Patterns(lines)
    assert patterns.verdict(b"a/file49999", False)
    assert patterns.verdict(b"1999a-1999b", False)
    assert patterns.verdict(b"a" * 255, False) is None
    assert time.perf_counter() - began < 20
    assert patterns.bad == tuple(range(52_001, 60_001))  # more than anyone writes by hand


@pytest.mark.parametrize("line", ["[z-a]", "a[", "[[:nope:]]", "a\\", "/", "!", "x" * 5_000])
def test_lines_without_sense_are_left_out_and_named(line):
    patterns = Patterns([b"# first", line.encode(), b"*.tmp", b""])
    assert patterns.bad == (2,)
    assert patterns.verdict(b"a/x.tmp", False)
    assert patterns.verdict(b"z", False) is None
