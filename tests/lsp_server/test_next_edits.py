"""`textDocument/copilotInlineEdit` as clients of Copilot's server speak it, and what ends an offer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from lsprotocol.types import Position

from lsp_server import next_edits
from lsp_server.inline_edit import ACCEPTED, CAPABILITIES, REFUSED
from lsp_server.offers import Offer
from lsp_server.presentation import Suggestion
from lsp_server.server import Server, create_server
from lsp_server.snapshot import offset_at, position_at
from model.request import Completion
from tests.lsp_server.test_protocol import Screen, say

pytestmark = pytest.mark.asyncio
URI = "file:///nowhere/a.py"
BEFORE = "x = fetch(a, 1)\ny = fetch(b)\nz = fetch(c.d, [1, 2])\n"
TYPED = BEFORE.replace("fetch(a, 1)", "fetch(a, 1, timeout=3)")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_edits, "QUIET_SECONDS", 0.0)


class Client:
    """Sends what an editor sends, in one process with the server."""

    def __init__(
        self, encodings: tuple[str, ...] = ("utf-16",), settings: Mapping[str, Any] | None = None
    ) -> None:
        self.server: Server = create_server()
        self._screen = Screen()
        self._numbers = itertools.count(1)
        self._versions: dict[str, int] = {}
        self.server.protocol.set_writer(self._screen)
        capabilities = {"general": {"positionEncodings": list(encodings)}}
        options = {"edits": {"minConfidence": 0.0}, **(settings or {})}
        about = {
            "processId": None,
            "rootUri": None,
            "capabilities": capabilities,
            "initializationOptions": options,
        }
        self._hello = (about, next(self._numbers))

    async def hello(self) -> Any:
        """The server's capabilities."""
        about, number = self._hello
        say(self.server, "initialize", about, id=number)
        await self.server.session.configure(self.server.initial_settings(), {})
        return (await self._answer(number))["result"]["capabilities"]

    def open(self, text: str, uri: str = URI) -> None:
        self._versions[uri] = 1
        document = {"uri": uri, "languageId": "python", "version": 1, "text": text}
        say(self.server, "textDocument/didOpen", {"textDocument": document})

    def change(self, text: str, uri: str = URI) -> None:
        self._versions[uri] += 1
        document = {"uri": uri, "version": self._versions[uri]}
        say(
            self.server,
            "textDocument/didChange",
            {"textDocument": document, "contentChanges": [{"text": text}]},
        )

    async def ask(
        self, line: int = 0, character: int = 0, *, version: int | None = None, uri: str = URI
    ) -> list[Any]:
        document = {"uri": uri, "version": self._versions.get(uri, 0) if version is None else version}
        place = {"line": line, "character": character}
        answer = await self.request(
            "textDocument/copilotInlineEdit", {"textDocument": document, "position": place}
        )
        edits: list[Any] = answer["result"]["edits"]
        return edits

    async def command(self, name: str, *arguments: Any) -> Any:
        return await self.request("workspace/executeCommand", {"command": name, "arguments": list(arguments)})

    async def request(self, method: str, params: Any) -> Any:
        number = next(self._numbers)
        say(self.server, method, params, id=number)
        return await self._answer(number)

    async def _answer(self, number: int) -> Any:
        async with asyncio.timeout(30):
            while True:
                for answer in self._screen.answers:
                    if answer.get("id") == number:
                        return answer
                await asyncio.sleep(0.01)


async def editing(**about: Any) -> Client:
    """A client that has just added an argument."""
    client = Client(**about)
    await client.hello()
    client.open(BEFORE)
    client.change(TYPED)
    return client


def applied(text: str, edit: Mapping[str, Any], encoding: str = "utf-16") -> str:
    start, end = (offset_at(text, Position(**edit["range"][name]), encoding) for name in ("start", "end"))
    return text[:start] + str(edit["text"]) + text[end:]


async def test_it_is_announced() -> None:
    assert (await Client().hello())["experimental"] == CAPABILITIES


async def test_an_edit_is_offered_at_the_next_place() -> None:
    client = await editing()
    (edit,) = await client.ask(0, 20)

    assert edit["textDocument"] == {"uri": URI, "version": 2}
    assert edit["command"]["command"] == ACCEPTED
    assert applied(TYPED, edit) == TYPED.replace("fetch(b)", "fetch(b, timeout=3)")


async def test_taking_one_leads_to_the_next() -> None:
    client = await editing()
    (edit,) = await client.ask(0, 20)
    text = applied(TYPED, edit)
    client.change(text)
    await client.command(edit["command"]["command"], *edit["command"]["arguments"])
    (edit,) = await client.ask(1, 10)

    assert applied(text, edit) == text.replace("[1, 2])", "[1, 2], timeout=3)")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
async def test_positions_are_the_clients(encoding: str) -> None:
    client = Client(encodings=(encoding,))
    await client.hello()
    before = BEFORE.replace("y = ", "😀é['漢'] = ")
    typed = before.replace("fetch(a, 1)", "fetch(a, 1, timeout=3)")
    client.open(before)
    client.change(typed)
    (edit,) = await client.ask(0, 20)

    assert applied(typed, edit, encoding) == typed.replace("fetch(b)", "fetch(b, timeout=3)")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
async def test_a_position_is_where_its_offset_is(encoding: str) -> None:
    text = "a😀\r\né漢\n\nx"
    for offset in range(len(text) + 1):
        if text[offset - 1 : offset + 1] != "\r\n":
            assert offset_at(text, position_at(text, offset, encoding), encoding) == offset


async def test_what_was_refused_does_not_come_back() -> None:
    client = await editing()
    (edit,) = await client.ask()
    await client.command(REFUSED, *edit["command"]["arguments"])

    assert await client.ask() == []


async def test_an_offer_that_was_taken_and_undone_is_refused() -> None:
    client = await editing()
    (edit,) = await client.ask(0, 20)
    client.change(applied(TYPED, edit))
    await client.command(ACCEPTED, *edit["command"]["arguments"])
    client.change(TYPED)

    assert await client.ask(0, 20) == []


async def test_the_users_edit_undone_withdraws_it() -> None:
    client = await editing()
    assert await client.ask()
    client.change(BEFORE)

    assert await client.ask() == []
    client.change(TYPED)
    assert await client.ask()


async def test_an_offer_that_is_passed_over_again_and_again_ends() -> None:
    client = await editing()
    text, n_offered = TYPED, 0
    for n in range(2 * next_edits.MOST_PASSED_OVER):
        for edit in await client.ask():
            n_offered += 1
            say(client.server, "textDocument/didShowInlineEdit", {"item": {"command": edit["command"]}})
        text += f"other = {n}\n"
        client.change(text)

    assert n_offered == next_edits.MOST_PASSED_OVER + 1


async def test_an_older_version_gets_nothing() -> None:
    client = await editing()

    assert await client.ask(version=1) == []
    assert await client.ask(version=2)


async def test_what_changes_while_it_is_looked_for_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_edits, "QUIET_SECONDS", 0.1)
    client = await editing()
    asked = asyncio.ensure_future(client.ask(0, 20))
    await asyncio.sleep(0.02)
    client.change(TYPED + "\n")

    assert await asked == []


@pytest.mark.parametrize(
    ("settings", "uri"),
    [
        pytest.param({"edits": {"enabled": False}}, URI, id="switched off"),
        pytest.param({"completion": {"enabled": False}}, URI, id="all switched off"),
        pytest.param({"edits": {"minConfidence": 1.0}}, URI, id="not sure enough"),
        pytest.param({"completion": {"disabledFiles": ["a.py"]}}, URI, id="a file that is off"),
        pytest.param({}, "file:///nowhere/.env", id="a secret"),
    ],
)
async def test_where_nothing_is_suggested_no_edit_is(settings: Mapping[str, Any], uri: str) -> None:
    client = Client(settings=settings)
    await client.hello()
    client.open(BEFORE, uri)
    client.change(TYPED, uri)

    assert await client.ask(uri=uri) == []


async def test_nothing_of_a_secret_is_offered_elsewhere() -> None:
    secret, other = "file:///nowhere/.env", "file:///nowhere/b.py"
    client = Client()
    await client.hello()
    client.open("q = fetch(r)\n", other)
    client.open(BEFORE, secret)
    client.change(TYPED, secret)

    assert await client.ask(uri=other) == []


async def test_other_open_documents_come_next() -> None:
    client, other = Client(), "file:///nowhere/b.py"
    await client.hello()
    client.open("q = fetch(r)\n", other)
    client.open("x = fetch(a)\n")
    client.change("x = fetch(a, timeout=3)\n")
    edits = await client.ask()

    assert [edit["textDocument"] for edit in edits] == [{"uri": other, "version": 1}]
    assert applied("q = fetch(r)\n", edits[0]) == "q = fetch(r, timeout=3)\n"


async def test_all_places_of_a_renamed_variable_come_at_once() -> None:
    client = Client()
    await client.hello()
    before = "def f(value):\n    total = value + 1\n    return total, value\n"
    typed = before.replace("f(value)", "f(amount)")
    client.open(before)
    client.change(typed)
    edits = await client.ask()
    text = typed
    for edit in sorted(edits, key=lambda edit: -edit["range"]["start"]["line"]):
        text = applied(text, edit)

    assert text == before.replace("value", "amount")
    assert len({edit["command"]["arguments"][0] for edit in edits}) == 1


async def test_no_edit_where_an_inline_suggestion_was_shown_for_this_text() -> None:
    client = await editing()
    done = Completion("value", 1, 0, 0, 1, 1, 0, {}, (), "end")
    first, _, rest = TYPED.partition("\n")
    client.server.session.shown(Offer(1, URI, first, f"\n{rest}", Suggestion("value", 0), done))

    assert await client.ask(0, len(first)) == []
    assert await client.ask(1, 0)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"textDocument": None, "position": None},
        {"textDocument": {"uri": 1, "version": 2}, "position": {"line": 0, "character": 0}},
        {"textDocument": {"uri": URI, "version": "2"}, "position": {"line": -1, "character": 0}},
        {"textDocument": {"uri": URI, "version": 2}, "position": {"line": 10**12, "character": 0}},
        {
            "textDocument": {"uri": "file:///nowhere/other.py", "version": 2},
            "position": {"line": 0, "character": 0},
        },
    ],
)
async def test_a_request_that_makes_no_sense_gets_nothing(params: Any) -> None:
    client = await editing()

    assert (await client.request("textDocument/copilotInlineEdit", params))["result"] == {"edits": []}


@pytest.mark.parametrize("arguments", [(), (None,), ("1",), (-1,), (10**6,), ([],)])
async def test_commands_take_anything(arguments: tuple[Any, ...]) -> None:
    client = await editing()

    for name in (ACCEPTED, REFUSED):
        assert "error" not in await client.command(name, *arguments)
    say(client.server, "textDocument/didShowInlineEdit", {"item": list(arguments)})
    assert await client.ask()
