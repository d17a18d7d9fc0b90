"""What is written comes out whole and in order, and nobody waits for a client that does not read."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from lsp_server import stdout
from lsp_server.stdout import UnhurriedStdout

SIZES = [1, 100_000, 10, 4096, 4097, 0, 300_000, 7] * 5


@pytest.fixture
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    source, drain = os.pipe()
    with os.fdopen(source, "rb") as reading, os.fdopen(drain, "wb") as writing:
        yield reading, writing


def test_all_comes_out_in_order_whatever_its_size(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    reading, writing = pipe
    writer = UnhurriedStdout(writing)
    pieces = [bytes([number % 251]) * size for number, size in enumerate(SIZES)]
    for piece in pieces:
        writer.write(piece)  # nobody reads yet: a blocking one would never get here
    whole = b"".join(pieces)
    assert reading.read(len(whole)) == whole
    writer.write(b"last")
    assert reading.read(4) == b"last"
    writer.close()
    writer.close()


def test_who_leaves_too_much_unread_is_gone(
    pipe: tuple[BinaryIO, BinaryIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdout, "MOST_UNREAD_BYTES", 500_000)
    monkeypatch.setattr(stdout, "LAST_SECONDS", 0.05)
    writer = UnhurriedStdout(pipe[1])
    writer.write(b"a" * 400_000)
    with pytest.raises(BrokenPipeError):
        writer.write(b"a" * 200_000)
    writer.close()  # and is waited for no longer than that
    assert pipe[0].read(400_000) == b"a" * 400_000


def test_a_closed_end_is_said_to_the_next_who_writes(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    reading, writing = pipe
    writer = UnhurriedStdout(writing)
    reading.close()
    writer.write(b"a" * 10_000)
    writer._thread.join(20)
    with pytest.raises(BrokenPipeError):
        writer.write(b"a")


def test_a_small_answer_does_not_wait_for_another_thread(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    writer = UnhurriedStdout(pipe[1])
    writers: list[int] = []
    writer._put = lambda data: writers.append(threading.get_ident())  # type: ignore[method-assign]
    writer.write(b"a" * 100)
    assert writers == [threading.get_ident()]
    writer.close()
