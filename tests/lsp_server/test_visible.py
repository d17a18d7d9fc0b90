"""Names that would steer a terminal are shown for what they are, wherever a person reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lsp_server import cli
from lsp_server.visible import visible
from tests.tiny_checkpoint import write_tiny_checkpoint

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egpj\u200b\n\r\x9b31m\u2028"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain-name_1.py", "plain-name_1.py"),
        ("größe 漢字 😀.py", "größe 漢字 😀.py"),
        (r"C:\users\me", r"C:\users\me"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("not\udcffutf8", r"not\udcffutf8"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_what_cannot_be_seen_is_escaped(name: str, shown: str) -> None:
    assert visible(name) == shown


def test_no_command_prints_what_a_name_hides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    root = tmp_path / f"repository{HOSTILE}" / os.fsdecode(b"\xff")
    (root / ".git").mkdir(parents=True)
    (root / "a.py").write_text("x = 1\n", encoding="utf-8")
    (root / f"binary{HOSTILE}.py").write_bytes(b"\xff\xfe\x00")
    monkeypatch.chdir(root)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    model = f"model.name={write_tiny_checkpoint(tmp_path / 'checkpoint')}"
    commands = (
        ["--reindex", "."],
        ["--reindex", f"./no{HOSTILE}"],
        ["--doctor"],
        ["--complete", f"{root}/no{HOSTILE}.py:1:1"],
        ["--complete", f"{root}/a.py:9:1"],
        ["--caches"],
        ["--purge"],
    )
    for arguments in commands:
        cli.main([*arguments, "--set", model])
        said = "".join(capsys.readouterr()).replace("\x1b[K", "").replace("\r[", "[")  # of the progress bar
        lines = said.splitlines()
        assert lines
        assert [line for line in said.split("\n") if visible(line) != line] == []
    assert not any((tmp_path / "cache").glob("repository*"))
