"""Addresses, and a log without users' code."""

from __future__ import annotations

import logging

import pytest

from lsp_server.transport import NoSource, is_loopback, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8080", ("127.0.0.1", 8080)),
        (":0", ("127.0.0.1", 0)),
        ("localhost:1", ("localhost", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
    ],
)
def test_addresses_are_loopback_unless_told_otherwise(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "1:2:x", "65536", "-1", "²"])
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("h", False),
    ],
)
def test_only_this_machine_reaches_loopback(host: str, is_local: bool) -> None:
    assert is_loopback(host) is is_local


def test_records_of_pygls_lose_what_may_hold_source() -> None:
    error = (ValueError, ValueError("user code"), None)
    record = logging.LogRecord("pygls.protocol", 40, "f", 1, "Sending data: %s", ("user code",), error)
    NoSource().filter(record)

    text = logging.Formatter().format(record)
    assert "user code" not in text
    assert "ValueError" in text
