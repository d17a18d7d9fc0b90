"""Where the server is and what is said to it to be let in. Only the user names it; the key goes to no other host."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

KEY_VARIABLE = "HEF_SERVER_KEY"
MAX_KEY_CHARS = 4096
_WANTED = "model.server must be an address such as https://coder.example.org"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class AddressError(ValueError):
    """The address or the key cannot be used; the message says why, without the key."""


@dataclass(frozen=True)
class ServerAddress:
    """`url` has no slash at its end; `host` is for people."""

    url: str
    host: str
    key: str = field(default="", repr=False)


def server_address(
    url: str, key_file: str = "", environment: Mapping[str, str] = os.environ
) -> ServerAddress:
    """The address that the settings name with the key of the environment, else of a file. Raises AddressError."""
    if not (url.isascii() and url.isprintable()):
        raise AddressError(f"{_WANTED}, in printable characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise AddressError(f"model.server is no address ({problem})") from problem
    host = parts.hostname or ""
    if parts.scheme not in ("https", "http") or not host or parts.query or parts.fragment:
        raise AddressError(_WANTED)
    if parts.username is not None or parts.password is not None:
        raise AddressError(f"model.server must hold no password: put the key into {KEY_VARIABLE}")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise AddressError("model.server must begin with https: your code would travel legibly")
    shown = f"[{host}]" if ":" in host else host
    at = f"{shown}:{port}" if port else shown
    return ServerAddress(f"{parts.scheme}://{at}{parts.path.rstrip('/')}", at, _key(key_file, environment))


def _key(file: str, environment: Mapping[str, str]) -> str:
    said = environment.get(KEY_VARIABLE, "").strip()
    source = f"the variable {KEY_VARIABLE}"
    if not said and file:
        source = "the file of model.serverKeyFile"
        try:
            with Path(file).expanduser().open(encoding="ascii") as stream:
                said = stream.read(MAX_KEY_CHARS + 1).strip()
        except (OSError, RuntimeError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or "it is no text"
            raise AddressError(f"{source} cannot be read: {reason}") from None
        if not said:
            raise AddressError(f"{source} is empty")
    if len(said) > MAX_KEY_CHARS or not said.isascii() or not said.isprintable() or " " in said:
        raise AddressError(f"{source} holds no key: one line of printable characters is wanted")
    return said
