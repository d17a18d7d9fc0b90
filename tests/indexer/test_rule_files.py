"""Ignore files and git's configuration as a stranger may write them: nothing hangs, nothing large is read."""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest

from indexer import Gate, IndexSettings
from indexer.git import excludes
from indexer.rule_files import MAX_BYTES, RuleFiles
from indexer.rules import Rules

RULE_FILES = (".gitignore", ".hefignore", "a/.gitignore", ".git", ".git/info/exclude", ".git/config")


def pipe(target: Path) -> None:
    os.mkfifo(target)


def endless(target: Path) -> None:
    target.symlink_to("/dev/zero")


def large(target: Path) -> None:
    target.write_bytes(b"*.py\n" * (MAX_BYTES // 5 + 1))


def elsewhere(target: Path) -> None:
    other = target.parent / "other"
    other.write_text("*.py\n")
    target.symlink_to(other)


KINDS = {
    pipe: "not a regular file",
    endless: "symbolic link",
    large: "too large",
    elsewhere: "symbolic link",
}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
@pytest.mark.parametrize("name", RULE_FILES)
@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_a_rule_file_that_is_none_is_named_and_costs_nothing(root, name, make):
    """Before: a pipe was waited for without end, an endless device took all memory, links were followed."""
    target = root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    make(target)
    tracemalloc.start()
    rules = Rules(root)
    assert rules.why_not("a/x.py") is None
    assert rules.why_not("x.py") is None
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert rules.problems == {name: KINDS[make]}
    assert rules.is_current()


def test_bad_lines_are_named_and_cost_themselves_only(write, open_index):
    """Before: `[z-a]` was an exception in every update and every completion."""
    write(".gitignore", "*.tmp\n[z-a]\nfoo[\n!keep.tmp\n")
    write("a/.hefignore", "# fine\nb\\\n")
    for name in ("x.py", "a/x.py", "x.tmp", "keep.tmp"):
        write(name, "x = 1\n")
    index = open_index()
    report = index.update()
    assert report.files == 5  # the two ignore files as well
    named = (".gitignore:2", ".gitignore:3", "a/.hefignore:2")
    assert index.stats().skipped["ignore pattern without sense"] == named
    write(".gitignore", "*.tmp\n")
    write("a/.hefignore", "b\n")
    index.update()
    assert not index.stats().skipped


@pytest.mark.parametrize("pattern", ["*a" * 12 + "*b", "**/a*a*a*a*a*a*a*a*a*a*b/**/c"])
def test_patterns_that_backtrack_take_no_time(root, write, open_index, pattern):
    """Before: a name of 60 letters beside `*a*a*a*a*a*a*a*a*a*a*b` did not end."""
    write(".gitignore", pattern + "\n")
    target = write("a" * 60, "x = 1\n")
    settings = IndexSettings(ignore=(pattern,), secrets=(pattern,))
    began = time.perf_counter()
    assert open_index().update().files == 2
    assert Gate().refusal(root, target, settings) is None
    assert time.perf_counter() - began < 10


CONFIGURATIONS = [
    ("spaces before an end", lambda n: "[core]\n" + " " * n + "x"),
    ("a section that is not closed", lambda n: "[" + " " * n + "x"),
    ("spaces in a section", lambda n: "[" + " \t" * n + "]" + " " * n + "x\n" * 3),
    (
        "spaces around a value",
        lambda n: "[core]\nexcludesfile" + " " * n + "=" + " " * n + "x" + " " * n + "y",
    ),
    ("many sections", lambda n: "[core]\n" * (n // 4)),
]


@pytest.mark.parametrize(
    "text", [case[1] for case in CONFIGURATIONS], ids=[case[0] for case in CONFIGURATIONS]
)
def test_git_s_configuration_is_read_in_linear_time(root, text):
    """Before: 100,000 spaces took minutes."""
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text(text(200_000))
    began = time.perf_counter()
    excludes(root, RuleFiles())
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize(
    "named", ["//host/share/x", "\\\\host\\share\\x", "/dev/zero", "~nobody/x", "relative/x", "/dev/tty"]
)
def test_what_a_repository_names_is_read_only_if_it_is_a_file_here(root, named):
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text(f"[core]\nexcludesFile = {named}\n")
    (root / "relative").mkdir()
    (root / "relative" / "x").write_text("*.named\n")
    rules = Rules(root)
    assert rules.why_not("x.py") is None
    assert (rules.why_not("x.named") == "ignored") is (named == "relative/x")
    assert not any(str(found.file).startswith(("//", "\\\\")) for found in excludes(root, RuleFiles()))


def test_a_git_file_on_another_machine_is_not_called(root, monkeypatch):
    (root / ".git").write_text("gitdir: //host/share/x\n")
    asked: list[str] = []
    stat = os.stat

    def listen(path, *arguments, **options):
        asked.append(os.fspath(path) if not isinstance(path, int) else "")
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", listen)
    assert Rules(root).why_not("x.py") is None
    assert asked
    assert not any("host" in path for path in asked)


def test_the_user_s_own_files_may_be_links(tmp_path, monkeypatch):
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "dotfiles" / "ignore").write_text("*.mine\n")
    (tmp_path / "dotfiles" / "gitconfig").write_text("[core]\nexcludesFile = ~/.ignore\n")
    (tmp_path / ".gitconfig").symlink_to(tmp_path / "dotfiles" / "gitconfig")
    (tmp_path / ".ignore").symlink_to(tmp_path / "dotfiles" / "ignore")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    rules = Rules(root)
    assert rules.why_not("a.mine") == "ignored"
    (tmp_path / "dotfiles" / "ignore").write_text("*.yours\n")
    assert not rules.is_current()


def test_files_are_taken_as_changed_when_they_were_replaced(root, write):
    """Before: the same size and time with other text stayed stale."""
    target = write(".gitignore", "*.aa\n")
    rules = Rules(root)
    assert rules.why_not("x.aa") == "ignored"
    status = target.stat()
    target.unlink()
    write(".gitignore", "*.bb\n")
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not rules.is_current()
