"""A log that says where, and nothing of what."""

from __future__ import annotations

import re
from concurrent.futures import Future
from pathlib import Path

import pytest

import lsp_server
from indexer.chunking import chunk
from lsp_server.completion import _result
from lsp_server.server import create_server
from lsp_server.silence import FAILED
from lsp_server.trouble import described

USERS = "password = 'hunter2'"


def failed() -> ValueError:
    """An error from deep within our code, whose message, notes, locals and causes hold the user's text."""
    users = USERS
    try:
        try:
            chunk(users, language=[users])  # type: ignore[arg-type]
            chunk([users], language="text")  # type: ignore[arg-type]
        except Exception as cause:
            cause.add_note(USERS)
            exec(compile(f"def f(): raise ValueError({users!r})\nf()", users, "exec"))
    except ValueError as error:
        raised = error
    return raised


def test_kind_and_places_are_named_and_nothing_else() -> None:
    with pytest.raises((AttributeError, TypeError)) as caught:
        chunk([USERS], language="text")  # type: ignore[arg-type]
    found = described(caught.value)
    assert re.fullmatch(
        rf"{caught.type.__name__} at indexer/\w+\.py:\d+ in \w+( < indexer/\w+\.py:\d+ in \w+)*", found
    ), found
    assert " in chunk" in found


def test_no_text_of_the_user_gets_out() -> None:
    error = failed()
    found = described(error)
    assert found == "ValueError"  # nothing of ours raised it: code that was compiled from a text has no place
    chained = RuntimeError(USERS)
    chained.__cause__ = error
    assert described(chained) == "RuntimeError from ValueError"


def test_a_file_that_only_looks_like_ours_is_not_named() -> None:
    home = Path(lsp_server.__file__).parents[1]
    for name in (f"{home}/tests/{USERS}.py", f"{home}/{USERS}", "lsp_server/x.py", "<string>"):
        with pytest.raises(KeyError) as caught:
            exec(compile("raise KeyError", name, "exec"))
        assert described(caught.value) == "KeyError"


def test_everyone_who_logs_an_error_logs_it_so(caplog: pytest.LogCaptureFixture) -> None:
    try:
        chunk([USERS], language="text")  # type: ignore[arg-type]
    except Exception as error:
        running: Future[None] = Future()
        running.set_exception(error)
        assert _result(running) is FAILED
        create_server().report_server_error(ValueError(USERS), "request")
    assert len(caplog.messages) == 2
    for message in caplog.messages:
        assert " at indexer/" in message
        assert USERS not in message
