"""Random requests, edits, cancels and broken messages over stdio, in all position encodings.

The test keeps the documents itself. The scripted model writes a checksum of what is before the cursor, so each answer
says whether the server's document is the test's.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.servers.scripted_server import checksum
from tests.torture.client import Client
from tests.torture.indexes import CANARY, write_repository
from tests.torture.runner import Form, Kind, Outcome

ENCODINGS = ("utf-16", "utf-8", "utf-32")
REAL_MODEL_EVERY = 25  # cases of which one has the embedded model
CODECS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}
LINE_END = re.compile(r"\r\n|\n|\r")
PIECES = (
    "x",
    "value = ",
    "\n",
    "\r\n",
    "\r",
    "\x0c",
    "\u2028",
    "\U0001f600",
    "e\u0301",
    "def f(a):\n    ",
    "\t",
    "é" * 9,
    "",
)
BROKEN: tuple[bytes, ...] = (
    b"{", b"null", b"[]", b"\xff\xfe", b'"text"', b'{"jsonrpc": "2.0"}', b'{"jsonrpc": "2.0", "method": 7}', b"{}",
    b'{"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {}}', b"[" * 2_000, b"123",
    b'{"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": "nobody"}}', b'{"id": 99999, "result": 1}',
    b'{"jsonrpc": "2.0", "method": "textDocument/didClose", "params": {"textDocument": {"uri": "untitled:none"}}}',
    b'{"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": {"uri": "file:///%00x", '
    b'"languageId": "python", "version": 1, "text": "a"}}}',
    b'{"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": {"uri": "file:///\\ud800", '
    b'"languageId": "python", "version": 1, "text": "\\ud800"}}}',
    b'{"jsonrpc": "2.0", "method": "unknown/notification", "params": [1]}',
)  # fmt: skip


@dataclass
class Session:
    """One client, the documents as they should be, and what waits for an answer."""

    client: Client
    rng: random.Random
    encoding: str
    checked: bool  # the model writes checksums
    texts: dict[str, str] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def open(self) -> None:
        uri = f"untitled:{self.rng.randrange(6)}"
        if uri in self.texts:
            self.client.close(uri)
            del self.texts[uri]
            return
        self.texts[uri], self.versions[uri] = f"start_{CANARY} = 1\n" * self.rng.randrange(4), 1
        self.client.open(uri, self.texts[uri])

    def edit(self) -> None:
        if not self.texts:
            return self.open()
        uri, changes = self.rng.choice(sorted(self.texts)), []
        for _ in range(self.rng.choice((1, 1, 1, 3))):
            text, new = self.texts[uri], "".join(self.rng.choices(PIECES, k=self.rng.randrange(4)))
            if self.rng.random() < 0.05:
                changes.append({"text": new})
                self.texts[uri] = new
                continue
            start, end = sorted(self.rng.randrange(len(text) + 1) for _ in range(2))
            end = min(end, start + 12)
            start, end = _between_units(text, start), _between_units(text, end)
            place = {"start": position(text, start, self.encoding), "end": position(text, end, self.encoding)}
            changes.append({"range": place, "text": new})
            self.texts[uri] = text[:start] + new + text[end:]
        self.versions[uri] += 1
        self.client.change(uri, self.versions[uri], *changes)
        return None

    def ask(self) -> None:
        if self.texts:
            uri = self.rng.choice(sorted(self.texts))
            self.asked.append(self._ask(uri, self.rng.randrange(len(self.texts[uri]) + 1)))
            if self.rng.random() < 0.3:
                self.client.notify("$/cancelRequest", {"id": self.rng.choice(self.asked)})

    def compare(self) -> None:
        """The whole document, through the checksum of all that is before its end."""
        if not self.texts:
            return
        uri = self.rng.choice(sorted(self.texts))
        text = self.texts[uri]
        number = self._ask(uri, len(text))
        items = (self.client.answer(number).get("result") or {}).get("items", [])
        shown = items[0]["insertText"] if items else None
        wanted = checksum(LINE_END.sub("\n", text))
        if self.checked and shown is not None and shown.strip() != wanted:  # it may be indented
            self.failures.append(f"{uri} is another one than {text[-200:]!r}: {shown!r}, not {wanted!r}")
        self.asked.append(number)

    def strange(self) -> None:
        """A request that nobody knows, or with parameters that nobody can read."""
        method = self.rng.choice(
            ("unknown/request", "textDocument/hover", "textDocument/inlineCompletion", "initialize")
        )
        params = self.rng.choice(
            (None, {}, [], {"textDocument": {"uri": 7}}, {"textDocument": {"uri": "x:y"}})
        )
        self.asked.append(self.client.request(method, params))

    def broken(self) -> None:
        self.client.body(self.rng.choice(BROKEN))

    def _ask(self, uri: str, offset: int) -> int:
        place = position(self.texts[uri], _between_units(self.texts[uri], offset), self.encoding)
        return self.client.ask(uri, place["line"], place["character"])


def position(text: str, offset: int, encoding: str) -> dict[str, int]:
    """The slow, obvious way."""
    ends = [match.end() for match in LINE_END.finditer(text) if match.end() <= offset]
    codec, width = CODECS[encoding]
    before = text[ends[-1] if ends else 0 : offset]
    return {"line": len(ends), "character": len(before.encode(codec)) // width}


def _between_units(text: str, offset: int) -> int:
    """An offset that is not inside of a line's end, where no position can be."""
    return offset - 1 if text[offset - 1 : offset + 1] == "\r\n" else offset


def case(seed: int, size: int, scratch: Path) -> Outcome:
    """One session of `size` messages."""
    rng = random.Random(seed)
    encoding, real = ENCODINGS[seed % 3], seed % REAL_MODEL_EVERY == REAL_MODEL_EVERY - 1
    root = write_repository(scratch / "root", 5, seed)
    with Client.start(scratch / "cache", *_settings(real), scripted=not real) as client:
        capabilities = client.initialize(root, encodings=(encoding,))
        session = Session(client, rng, encoding, checked=not real)
        if capabilities.get("positionEncoding", "utf-16") != encoding:
            session.failures.append(f"{capabilities.get('positionEncoding')} was agreed, not {encoding}")
        client.until_ready()
        actions: list[Callable[[], Any]] = [session.edit] * 5 + [session.ask] * 3 + [session.compare] * 2
        actions += [session.open, session.strange, session.broken]
        for _ in range(size):
            rng.choice(actions)()
            if session.failures:
                break
        return Outcome(session.failures + _end(session, root))


def _settings(real: bool) -> tuple[str, ...]:
    shown = ("--set", "completion.minConfidence=0")
    return shown if real else (*shown, "--set", "model.deadlineMs=5000")


def _end(session: Session, root: Path) -> list[str]:
    """Every request has had one answer, and the server ends as it should."""
    client, failures = session.client, []
    try:
        for number in session.asked:
            client.answer(number)
        code = client.bye()
        failures += [f"exit code {code}"] if code else []
    except (TimeoutError, EOFError) as error:
        failures.append(str(error))
    twice = [number for number, n in client.counts.items() if n > 1 and number is not None]
    failures += [f"{len(twice)} requests were answered twice"] if twice else []
    if "Traceback" in client.errors or CANARY in client.errors:
        failures.append(f"on stderr: {client.errors[-400:]}")
    return failures


KIND = Kind("protocol", case, short=Form(2, 50), full=Form(100, 100), limit_seconds=lambda size: 240 + size)
