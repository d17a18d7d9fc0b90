"""URIs: which file on this disk they name, and which folders there are."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from lsp_server import documents
from lsp_server.documents import LONGEST_NAME, name_of, on_disk, path_of

pytestmark = pytest.mark.skipif(os.name == "nt", reason="paths of other systems")


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///home/me/a.py", "/home/me/a.py"),
        ("file://localhost/home/me/a.py", "/home/me/a.py"),
        ("file:/home/me/a.py", "/home/me/a.py"),
        ("file:///home/me/a%20b%23c%3Fd.py", "/home/me/a b#c?d.py"),
        ("file:///home/me/a;b.py", "/home/me/a;b.py"),
        ("file:///home%2Fme%2Fa.py", "/home/me/a.py"),
        ("file:///home/me/%C3%A9%F0%9F%98%80.py", "/home/me/é😀.py"),
        ("file:///home/me/../you/./a.py", "/home/you/a.py"),
        ("file:///home/me/%2e%2e/you/a.py", "/home/you/a.py"),
        ("file:////home/me/a.py", "/home/me/a.py"),
        ("file:///home/me/%ED%A0%80.py", "/home/me/\ufffd\ufffd\ufffd.py"),
        ("file:///", "/"),
    ],
)
def test_a_file_uri_names_a_path(uri: str, path: str) -> None:
    assert str(path_of(uri)) == path


@pytest.mark.parametrize(
    "uri",
    [
        "", "a.py", "/a.py", "file:", "file:a.py", "file://", "file://server/share/a.py", "file://[", "file://[/a.py",
        "file://\u2100/a.py", "file:///a%00b.py", "file:///a\x00b.py", "file:///C:/a.py", "file:///c%3A/a.py",
        "untitled:/a.py", "vscode-vfs://github/a.py", "http://localhost/a.py", "file:///" + "a" * 256,
        "file:///" + "a/" * 50_000,
    ],
)  # fmt: skip
def test_what_no_file_here_can_be_called_has_no_path(uri: str) -> None:
    assert path_of(uri) is None


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("untitled:/home/me/.env", ".env"),
        ("untitled:.env", ".env"),
        ("vscode-vfs://github/me/x/id_rsa.pem", "id_rsa.pem"),
        ("file://server/share/.env", ".env"),
        ("file://[/.env", ".env"),
        ("untitled:.env%00", ".env\ufffd"),
        ("untitled:" + "a" * 100_000 + ".pem", "a" * (LONGEST_NAME // 4 - 4) + ".pem"),
        ("untitled:" + "a/" * 100_000 + ".env", ".env"),
    ],
)
def test_every_document_has_a_name_that_can_be_looked_up(uri: str, name: str) -> None:
    found = name_of(uri)
    assert found.name == name
    assert found.is_absolute()
    assert not Path(found).exists()


def test_a_disk_that_does_not_answer_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(type(tmp_path)):  # type: ignore[misc]
        def is_dir(self) -> bool:
            time.sleep(30)
            return True

    monkeypatch.setattr(documents, "DISK_SECONDS", 0.2)
    file = tmp_path / "file"
    file.touch()
    folders = {"here": tmp_path, "gone": Gone(tmp_path), "file": file, "none": tmp_path / "none"}
    began = time.monotonic()
    found, silent = asyncio.run(on_disk(folders))
    assert time.monotonic() - began < 10
    assert found == {"here": tmp_path}
    assert silent == [tmp_path]
    assert asyncio.run(on_disk({})) == ({}, [])
