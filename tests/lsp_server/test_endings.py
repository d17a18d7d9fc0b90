"""However a command ends, it says so in one sentence: no traceback, and an exit code that scripts can trust."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from indexer import database
from lsp_server import cli
from lsp_server.problems import UsageError, UserMustActError, explain
from tests.tiny_checkpoint import write_tiny_checkpoint

ROOT = Path(__file__).resolve().parents[2]
HEF = (sys.executable, "-m", "lsp_server")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return ("--set", f"model.name={write_tiny_checkpoint(tmp_path_factory.mktemp('checkpoint'))}")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    (root / "main.py").write_text("print(1)\n", encoding="utf-8")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def ended(model: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command and returns its exit code, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.main([*arguments, *model])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def store(repository: Path, ended: Any) -> Path:
    """The file of an index that is there."""
    assert ended("--reindex")[0] == 0
    return next((repository.parent / "cache").glob("repository-*/v*/store.sqlite"))


COMMANDS = [("--reindex",), ("--complete", "main.py:1:7")]


@pytest.mark.parametrize("command", [*COMMANDS, ("--doctor",)], ids=lambda command: command[0])
def test_a_locked_store(
    ended: Any, store: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.2)
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        code, out, err = ended(*command)
    assert code == 1
    assert "locked" in out + err
    assert err.count("\n") == (command[0] != "--doctor")


def test_the_doctor_names_a_locked_store_as_what_blocks(
    ended: Any, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.2)
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        report = json.loads(ended("--doctor", "--json")[1])
    blocking = [finding for finding in report["findings"] if finding["blocking"]]

    assert [finding["topic"] for finding in blocking] == ["index"]
    assert report["ok"] is False
    assert report["next_step"] == blocking[0]["next_step"] != ""


@contextmanager
def no_room() -> Iterator[None]:
    """No file may grow: what a full disk is to SQLite, without needing a disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("command", [*COMMANDS, ("--doctor",)], ids=lambda command: command[0])
def test_a_disk_without_room(
    ended: Any, store: Path, repository: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        logging, "raiseExceptions", False
    )  # a handler of another test may be left, on a closed stream
    (repository / "more.py").write_text("x = 1\n" * 500, encoding="utf-8")
    with no_room():
        code, out, err = ended(*command)
    assert code == 1
    assert "index" in out + err
    assert "Traceback" not in err


def finished(*command: str, code: int, **options: Any) -> str:
    """What a process said on stderr, without a traceback, before it ended with `code`; else what is on stdout."""
    options = {"env": {**os.environ, "PYTHONPATH": str(ROOT)}, "stdout": subprocess.PIPE, **options}
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=100, check=False, **options)
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    return done.stderr or str(done.stdout)


ONE_AFTER_THE_OTHER = """
import sys
from lsp_server import cli
for command in (["--reindex"], ["--complete", "main.py:1:7"], ["--doctor"], ["--caches"]):
    print("code", cli.main([*command, *sys.argv[1:]]), flush=True)
"""


@pytest.mark.parametrize("kind", ["read-only", "another's"])
def test_a_cache_that_we_may_not_write(repository: Path, model: tuple[str, str], kind: str) -> None:
    cache = repository.parent / "cache"
    cache.mkdir()
    is_root = os.geteuid() == 0
    if kind == "another's":
        if not is_root:
            pytest.skip("only root can make a folder another's")
        os.chown(cache, 65_534, 65_534)
    else:
        cache.chmod(0o555)
    around = ("unshare", "--user") if is_root else ()  # so that root is nobody special
    if is_root and subprocess.run([*around, "true"], capture_output=True, check=False).returncode:
        pytest.skip("root may write everything, and a user namespace cannot be had here")
    said = finished(
        *around, "sh", "-c", 'exec "$0" "$@" 2>&1', sys.executable, "-c", ONE_AFTER_THE_OTHER, *model, code=0
    )

    assert re.findall("^code (.)$", said, re.MULTILINE) == ["1", "1", "1", "0"]
    assert said.count("hef-lsp: ") == 2
    assert "FAIL index: " in said
    assert "Traceback" not in said


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "link to a device", "binary"])
def test_files_that_are_none(ended: Any, repository: Path, kind: str) -> None:
    file = repository / "it"
    make: dict[str, Callable[[], Any]] = {
        "missing": lambda: None,
        "folder": file.mkdir,
        "pipe": lambda: os.mkfifo(file),
        "link to a device": lambda: file.symlink_to("/dev/zero"),
        "binary": lambda: file.write_bytes(b"\xff\xfe"),
    }
    make[kind]()
    begun = time.monotonic()
    code, out, err = ended("--complete", f"{file}:1:1")

    assert (code, out, err.count("\n")) == (1, "", 1)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("arguments", [("--version",), ("--doctor",)])
def test_nobody_reads_the_output(
    repository: Path, model: tuple[str, str], arguments: tuple[str, ...]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        said = finished(*HEF, *arguments, *model, code=1, stdout=writing)
    finally:
        os.close(writing)
    assert said.splitlines() == ["hef-lsp: The output was closed before everything was written."]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_the_output_does_not_fit_on_the_disk(repository: Path) -> None:
    with open("/dev/full", "w") as full:
        assert "disk is full" in finished(*HEF, "--version", code=1, stdout=full)


@pytest.fixture
def long_work(repository: Path, model: tuple[str, str]) -> Iterator[subprocess.Popen[str]]:
    for number in range(2_000):
        text = "".join(
            f"def scale_{number}_{line}(factor):\n    return {line} * factor\n\n" for line in range(40)
        )
        (repository / f"scale_{number}.py").write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*HEF, "--reindex", *model], stderr=subprocess.PIPE, text=True, env=environment
    )
    yield process
    process.kill()
    process.communicate()


def test_an_interrupted_command_says_so_and_keeps_what_is_done(
    long_work: subprocess.Popen[str], repository: Path
) -> None:
    cache = repository.parent / "cache"
    while not [file for file in cache.glob("*/v*/store.sqlite-wal") if file.stat().st_size > 100_000]:
        assert long_work.poll() is None
        time.sleep(0.05)
    long_work.send_signal(signal.SIGINT)
    _, err = long_work.communicate(timeout=30)

    assert long_work.returncode == 130
    assert err.splitlines() == ["hef-lsp: Interrupted; finished work is kept."]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (sqlite3.OperationalError("database is locked"), "locked"),
        (sqlite3.OperationalError("database or disk is full"), "disk is full"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "cannot be written"),
        (sqlite3.OperationalError("unable to open database file"), "cannot be written"),
        (sqlite3.DatabaseError("file is not a database"), "--purge"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/a\x1b[2Jb"), r"Permission denied: /a\x1b[2Jb."),
        (UserMustActError("two\n lines"), "two lines"),
        (UsageError(), "UsageError"),
    ],
)
def test_each_problem_is_one_line(error: Exception, said: str) -> None:
    assert said in explain(error)
    assert explain(error).isprintable()
