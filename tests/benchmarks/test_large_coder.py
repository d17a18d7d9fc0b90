"""The benchmark of a large coder, with a small one."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path

import pytest

from tests.benchmarks import infill_peer
from tests.benchmarks.large_coder import Typing, measured
from tests.e2e.editor import ROOT
from tests.tiny_checkpoint import write_tiny_checkpoint


def test_every_key_is_answered_or_superseded(tmp_path: Path) -> None:
    model = write_tiny_checkpoint(tmp_path / "model", adapter=False, fim_order="psm")
    typing = Typing("    x = 1\n", key_seconds=0.2, settle_seconds=0.5)
    [row] = measured(model, [ROOT], tmp_path, typing)
    assert row.values["answered"] + row.values["superseded"] == len(typing.text)
    assert row.values["answered"] > 0
    assert 0 < row.values["p50_ms"] <= row.values["p95_ms"]


class SlowInfill:
    """Answers each request as llama.cpp's server does, some time after it came."""

    def __init__(self, seconds: float, answer: bytes = b'data: {"content":"x","stop":true}\n\n') -> None:
        self._seconds, self._answer = seconds, answer
        self.asked: list[dict[str, object]] = []
        self.given_up = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.partition("Content-Length: ")[2].partition("\r\n")[0])
        self.asked.append(json.loads(await reader.readexactly(length)))
        try:
            async with asyncio.timeout(self._seconds):
                assert await reader.read(1) == b""
            self.given_up += 1
        except TimeoutError:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + self._answer)
        writer.close()


async def typed(peer: SlowInfill, text: str) -> list[float]:
    async with await asyncio.start_server(peer.serve, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return await infill_peer.typed(address, "above\n", "below\n", text, 0.05, 1)


@pytest.mark.asyncio
async def test_a_peer_is_asked_with_each_key_and_what_a_key_supersedes_is_given_up() -> None:
    peer = SlowInfill(1.0)
    found = await typed(peer, "a\nb")
    assert [math.isfinite(ms) for ms in found] == [False, False, True]
    assert found[-1] >= 1_000
    assert peer.given_up == 2
    prompts = [(one["input_prefix"], one["prompt"]) for one in peer.asked]
    assert prompts == [("above\n", ""), ("above\n", "a"), ("above\na\n", ""), ("above\na\n", "b")]


@pytest.mark.asyncio
async def test_what_a_peer_answers_in_time_counts_and_nonsense_does_not() -> None:
    assert all(map(math.isfinite, await typed(SlowInfill(0.0), "ab")))
    with pytest.raises(ValueError, match="200"):
        await typed(SlowInfill(0.0, b"{}"), "a")
