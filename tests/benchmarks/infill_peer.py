"""The same keys answered by llama.cpp's server, as its editor plugins ask it: `/infill` with every key, the request of
the key before given up, what its cache has read used again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from urllib.parse import urlsplit

ANSWER_SECONDS = 600.0
_END = b'"stop":true'  # in the last piece of an answer


async def typed(
    address: str, above: str, below: str, text: str, key_seconds: float, n_tokens: int
) -> list[float]:
    """Milliseconds from each key of `text` to its answer of `n_tokens`; infinite where the next key came before it.

    `above`, `below`: the document around the cursor. Raises OSError where the server is gone, ValueError at an answer
    that is none.
    """
    answers: list[asyncio.Task[float]] = []
    await _infilled(
        address, above, "", below, n_tokens, time.perf_counter
    )  # the place is read before the first key
    for end in range(1, len(text) + 1):
        if answers:
            answers[-1].cancel()  # nothing to one that is done
        written = above + text[:end]
        line = written.rfind("\n") + 1
        began = time.perf_counter()
        asked = _infilled(address, written[:line], written[line:], below, n_tokens, lambda began=began: began)
        answers.append(asyncio.create_task(asked))
        await asyncio.sleep(key_seconds)
    found = await asyncio.gather(*answers, return_exceptions=True)
    return [_milliseconds(one) for one in found]


def _milliseconds(answer: float | BaseException) -> float:
    if isinstance(answer, asyncio.CancelledError):
        return float("inf")
    if isinstance(answer, BaseException):
        raise answer
    return answer


async def _infilled(
    address: str, above: str, line: str, below: str, n_tokens: int, began: Callable[[], float]
) -> float:
    """Milliseconds until the whole answer was here; a cancelled one closes its connection."""
    start, url = began(), urlsplit(address)
    asked = {"input_prefix": above, "prompt": line, "input_suffix": below, "n_predict": n_tokens}
    body = json.dumps({**asked, "temperature": 0, "ignore_eos": True, "stream": True}).encode()
    head = f"POST /infill HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    async with asyncio.timeout(ANSWER_SECONDS):
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        try:
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = b""
            while _END not in answer and (piece := await reader.read(65_536)):
                answer += piece  # the server closes later than it has answered
        finally:
            writer.close()
    if b" 200 " not in answer.partition(b"\r\n")[0] or _END not in answer:
        raise ValueError(answer[:200].decode("utf-8", "replace"))
    return (time.perf_counter() - start) * 1e3
