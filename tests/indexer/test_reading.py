"""What is read of a folder that a stranger made."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from indexer.reading import (
    NOT_A_FILE,
    SYMLINK,
    TOO_LARGE,
    UNREADABLE,
    VANISHED,
    ReadingError,
    read_inside,
    read_regular,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "key").write_text("secret")
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.py").write_text("a = 1\n")
    return folder


def reason(root: Path, path: str, max_bytes: int = 100) -> str:
    with pytest.raises(ReadingError) as caught:
        read_inside(root, path, max_bytes)
    return caught.value.reason


def test_reads_a_regular_file(root: Path) -> None:
    assert read_inside(root, "sub/a.py", 100) == b"a = 1\n"
    assert read_regular(root / "sub" / "a.py", 100) == b"a = 1\n"


def test_the_limit_is_inclusive(root: Path) -> None:
    assert read_inside(root, "sub/a.py", 6) == b"a = 1\n"
    assert reason(root, "sub/a.py", 5) == TOO_LARGE


def test_the_folder_itself_may_be_reached_through_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert read_inside(tmp_path / "link", "sub/a.py", 100) == b"a = 1\n"


def test_a_link_is_not_followed_at_any_depth(root: Path, tmp_path: Path) -> None:
    (root / "key").symlink_to(tmp_path / "outside" / "key")
    (root / "folder").symlink_to(tmp_path / "outside")
    (root / "inside").symlink_to(root / "sub" / "a.py")
    assert [reason(root, path) for path in ("key", "folder/key", "inside")] == [SYMLINK] * 3


def test_what_is_no_file_is_neither_waited_for_nor_read(root: Path) -> None:
    os.mkfifo(root / "pipe")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(root / "socket"))
    listener.close()
    assert [reason(root, path) for path in ("pipe", "socket", "sub", "")] == [NOT_A_FILE] * 4


def test_a_device_is_not_read() -> None:
    with pytest.raises(ReadingError, match=NOT_A_FILE):
        read_regular(Path("/dev/zero"), 100, follow_link=True)


def test_paths_stay_inside(root: Path) -> None:
    assert reason(root, "../outside/key") == NOT_A_FILE
    assert reason(root, "sub/../../outside/key") == NOT_A_FILE
    assert reason(root, str(root.parent / "outside" / "key")) == NOT_A_FILE


def test_names_that_cannot_be(root: Path) -> None:
    assert reason(root, "nul\0byte") == UNREADABLE
    assert reason(root, "absent") == VANISHED
    assert reason(root, "sub/a.py/deeper") in {NOT_A_FILE, UNREADABLE}


def test_a_users_own_configuration_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / ".gitconfig").symlink_to(root / "sub" / "a.py")
    assert read_regular(tmp_path / ".gitconfig", 100, follow_link=True) == b"a = 1\n"
    with pytest.raises(ReadingError, match=SYMLINK):
        read_regular(tmp_path / ".gitconfig", 100)


def test_no_descriptor_is_left_open(root: Path) -> None:
    def opened() -> int:
        descriptor = os.open(root, os.O_RDONLY)  # the lowest number that is free
        os.close(descriptor)
        return descriptor

    before = opened()
    for path in ("sub/a.py", "absent", "sub", "x/y"):
        with suppress(ReadingError):
            read_inside(root, path, 3)
    assert opened() == before
