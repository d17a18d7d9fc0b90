"""Which files count: ignore rules, secrets, and every kind of file that cannot be indexed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from indexer import Gate, IndexSettings
from indexer.files import Found, Skipped, read, walk
from indexer.rule_files import RuleFiles
from indexer.rules import Rules, relative_path


def is_completable(root: Path, path: Path) -> bool:
    return Gate().refusal(root, path) is None


def listing(root: Path, **settings: object) -> tuple[set[str], dict[str, str]]:
    """Paths found and paths skipped with their reason, by walking and reading."""
    chosen = IndexSettings(**settings)
    found, skipped = set(), {}
    for item in walk(root, Rules(root, chosen), chosen):
        content = read(root, item, chosen) if isinstance(item, Found) else item
        if isinstance(content, Skipped):
            skipped[content.path] = content.reason
        else:
            found.add(item.path)
    return found, skipped


IGNORING = [
    ("nested .gitignore", {".gitignore": "*.log\n", "a/.gitignore": "!keep.log\n"}, "a/keep.log", True),
    (
        "nested .gitignore elsewhere",
        {".gitignore": "*.log\n", "a/.gitignore": "!keep.log\n"},
        "b/keep.log",
        False,
    ),
    ("anchored pattern", {".gitignore": "/x.py\n"}, "a/x.py", True),
    ("anchored pattern at its place", {".gitignore": "/x.py\n"}, "x.py", False),
    (
        "an excluded directory is not entered",
        {".gitignore": "gen/\n", "gen/.gitignore": "!x.py\n"},
        "gen/x.py",
        False,
    ),
    (".git/info/exclude", {".git/info/exclude": "private.py\n"}, "private.py", False),
    (".hefignore adds", {".hefignore": "big/\n"}, "big/x.py", False),
    (".hefignore overrides git", {".gitignore": "gen/\n", ".hefignore": "!gen/\n"}, "gen/x.py", True),
    ("deeper .hefignore wins", {".hefignore": "*.py\n", "a/.hefignore": "!x.py\n"}, "a/x.py", True),
    ("built-in list", {}, "node_modules/x.js", False),
    ("built-in list, deep", {}, "a/b/__pycache__/x.py", False),
    ("a package named build inside the tree", {}, "src/build/x.py", True),
    ("brought back from the built-in list", {".gitignore": "!/build/\n"}, "build/x.py", True),
    ("a pattern that does not compile costs itself only", {".gitignore": "!\n///\n*.tmp\n"}, "x.tmp", False),
]


@pytest.mark.parametrize(
    ("rules", "path", "counts"), [case[1:] for case in IGNORING], ids=[c[0] for c in IGNORING]
)
def test_ignore_rules_are_those_of_git(root, write, rules, path, counts):
    for name, text in rules.items():
        write(name, text)
    target = write(path, "x = 1\n")
    assert (path in listing(root)[0]) is counts
    assert is_completable(root, target) is counts


ABOVE = [
    ("the work tree's .gitignore", {".gitignore": "private.py\n"}, "private.py", False),
    ("anchored at the work tree's top", {".gitignore": "/part/a/x.py\n"}, "a/x.py", False),
    ("anchored elsewhere", {".gitignore": "/a/x.py\n"}, "a/x.py", True),
    ("the deeper one wins", {".gitignore": "*.log\n", "part/.gitignore": "!*.log\n"}, "x.log", True),
    (".git/info/exclude", {".git/info/exclude": "x.py\n"}, "x.py", False),
    ("the folder itself is ignored, and opened", {".gitignore": "part/\n"}, "x.py", True),
]


@pytest.mark.parametrize(
    ("rules", "path", "counts"), [case[1:] for case in ABOVE], ids=[case[0] for case in ABOVE]
)
def test_a_folder_inside_a_work_tree_obeys_what_is_above_it(root, write, rules, path, counts):
    for name, text in {".git/HEAD": "", **rules}.items():
        write(name, text)
    target = write(f"part/{path}", "x = 1\n")
    assert (path in listing(root / "part")[0]) is counts
    assert is_completable(root / "part", target) is counts


CONFIGURED = '[user]\n\texcludesFile = no\n[core]\n\tbare = false\n\texcludesfile = "{file}"\n'


@pytest.mark.parametrize(
    "where", ["home/.gitconfig", "xdg/git/config", "repository/.git/config", "GIT_CONFIG_GLOBAL"]
)
def test_what_git_ignores_everywhere_is_ignored(tmp_path, monkeypatch, where):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    if where == "GIT_CONFIG_GLOBAL":
        monkeypatch.setenv(where, str(tmp_path / where))
    root, patterns = tmp_path / "repository", tmp_path / "patterns"
    (root / ".git").mkdir(parents=True)
    (tmp_path / where).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / where).write_text(CONFIGURED.format(file=patterns))
    patterns.write_text("*.private.py\n")
    assert not is_completable(root, root / "a.private.py")
    assert is_completable(root, root / "a.py")


def test_git_s_own_place_for_a_user_s_excludes(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    (tmp_path / "xdg" / "git").mkdir(parents=True)
    (tmp_path / "xdg" / "git" / "ignore").write_text("notes.py\n")
    assert not is_completable(tmp_path, tmp_path / "notes.py")


def test_a_linked_work_tree_shares_the_repository_s_excludes(tmp_path):
    own = tmp_path / "main" / ".git" / "worktrees" / "linked"
    own.mkdir(parents=True)
    (own / "commondir").write_text("../..\n")
    (tmp_path / "main" / ".git" / "info").mkdir()
    (tmp_path / "main" / ".git" / "info" / "exclude").write_text("private.py\n")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / ".git").write_text(f"gitdir: {own}\n")
    assert not is_completable(tmp_path / "linked", tmp_path / "linked" / "private.py")


def test_the_gate_follows_ignore_files_and_reads_them_once(root, write, monkeypatch):
    gate, target = Gate(), write("a/b/x.py", "x = 1\n")
    assert gate.refusal(root, target) is None
    reads: list[str | Path] = []
    read = RuleFiles.content

    def count(self, file, **options):
        reads.append(file)
        return read(self, file, **options)

    monkeypatch.setattr(RuleFiles, "content", count)
    assert gate.refusal(root, target) is None
    assert reads == []
    write("a/.gitignore", "x.py\n")
    assert gate.refusal(root, target) == "ignored"
    assert root / "a" / ".gitignore" in map(Path, reads)
    (root / "a/.gitignore").unlink()
    assert gate.refusal(root, target) is None
    assert gate.refusal(root, root / "a" / ".env") == "secret"


@pytest.mark.parametrize(
    "name",
    [".env", ".env.local", "prod.env", "server.pem", "SERVER.PEM", "id_rsa", "id_ed25519.bak", "x.key", "a.p12",
     ".netrc", "credentials", ".npmrc", "secrets.yaml", ".ssh/config", ".aws/credentials", "terraform.tfstate"],
)  # fmt: skip
def test_secrets_are_neither_indexed_nor_completed_in(root, write, name):
    target = write(f"a/{name}", "token = 1\n")
    write(".hefignore", f"!{name}\n")  # no ignore file brings a secret back
    found, skipped = listing(root, ignore=(f"!{name}",))
    assert not {path for path in found if path.startswith("a/")}
    assert "secret" in skipped.values()
    assert not is_completable(root, target)


@pytest.mark.parametrize(
    "name", ["config.json", "environment.py", "keys.py", "credentials.py", "monkey.py", "env.py"]
)
def test_ordinary_names_are_no_secrets(root, write, name):
    assert is_completable(root, write(name, "x = 1\n"))
    assert name in listing(root)[0]


def test_user_secrets_add_to_the_built_in_ones(root, write):
    for name in ("a.secret", ".env", "a.py"):
        write(name, "x = 1\n")
    found, skipped = listing(root, secrets=("*.secret",))
    assert found == {"a.py"}
    assert set(skipped) == {"a.secret", ".env"}


def test_a_link_to_a_secret_is_not_completed_in(root, write):
    (root / "notes.txt").symlink_to(write(".env", "token=1\n"))
    assert not is_completable(root, root / "notes.txt")


UNFIT = [
    ("binary.py", b"x = 1\0\n", "binary"),
    ("image.png", b"anything", "binary"),
    ("latin.py", "x = 'é'\n".encode("latin-1"), "not UTF-8"),
    ("bundle.js", b"var a=1;" * 1_000, "minified"),
    ("wide.js", b"".join(b"x" * 400 + b"\n" for _ in range(50)), "minified"),
    ("messages_pb2.py", b"# Generated by the protocol buffer compiler.  DO NOT EDIT!\nx = 1\n", "generated"),
    ("large.py", b"x = 1\n" * 200_000, "too large"),
    ("large.json", b"[\n" + b"1,\n" * 30_000 + b"1]\n", "too large"),
]


@pytest.mark.parametrize(("name", "content", "reason"), UNFIT)
def test_unfit_files_are_skipped_with_a_reason(root, write, name, content, reason):
    write(name, content)
    write("fit.py", "x = 1\n")
    assert listing(root) == ({"fit.py"}, {name: reason})


def test_links_are_not_followed_and_loops_end(root, write, tmp_path):
    write("a/x.py", "x = 1\n")
    (root / "a" / "loop").symlink_to(root / "a")
    outside = tmp_path / "outside.py"
    outside.write_text("secret = 1\n")
    (root / "out.py").symlink_to(outside)
    assert listing(root) == ({"a/x.py"}, {"a/loop": "symbolic link", "out.py": "symbolic link"})


def test_a_pipe_does_not_block(root):
    os.mkfifo(root / "pipe.py")
    assert listing(root) == (set(), {"pipe.py": "not a regular file"})
    assert read(root, Found("pipe.py", 1, 1), IndexSettings()) == Skipped("pipe.py", "not a regular file")


def test_a_file_deleted_or_grown_after_it_was_found(root, write):
    found = Found("x.py", 5, 1)
    assert read(root, found, IndexSettings()) == Skipped("x.py", "vanished while read")
    write("x.py", "x = 1\n" * 1_000)
    assert read(root, found, IndexSettings(max_file_bytes=1_000)) == Skipped("x.py", "too large")


def test_names_that_are_not_utf8_are_skipped(root):
    try:
        (root / os.fsdecode(b"caf\xe9.py")).write_text("x = 1\n")
    except OSError:
        pytest.skip("the file system refuses such names")
    assert set(listing(root)[1].values()) == {"not UTF-8"}


def test_permission_denied(root, write, monkeypatch):
    # Tests may run as root, who may read everything: the system's refusal is played.
    write("closed/x.py", "x = 1\n")
    denied = write("denied.py", "x = 1\n")
    real_open, real_scandir = os.open, os.scandir

    def refuse_open(path, *args, **kwargs):
        if Path(path).name == denied.name:
            raise PermissionError(13, "denied")
        return real_open(path, *args, **kwargs)

    def refuse_scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "denied")
        return real_scandir(path)

    monkeypatch.setattr(os, "open", refuse_open)
    monkeypatch.setattr(os, "scandir", refuse_scandir)
    assert listing(root) == (set(), {"closed": "unreadable", "denied.py": "unreadable"})


def test_relative_paths(root, tmp_path):
    assert relative_path(root, root / "a" / "b.py") == "a/b.py"
    assert relative_path(root, root) == ""
    assert relative_path(root, tmp_path / "elsewhere.py") is None
    linked = tmp_path / "linked"
    linked.symlink_to(root)
    assert relative_path(root, linked / "a.py") == "a.py"
    assert relative_path(linked, root / "a.py") == "a.py"
