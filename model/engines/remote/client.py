"""HTTP with one server: a thread of its own with kept connections, requests that end at once, answers with bounds.

Who waits for an answer is on another thread and looks at more than the answer; so this one puts events into a queue.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import httpx2

from model.engines.remote.address import ServerAddress
from model.engines.remote.failure import CUT_OFF, NO_COMPLETION, TOO_MUCH, ServerError, of_status

CONNECT_SECONDS = 2.0
SILENT_SECONDS = 30.0  # of an answer; who waits for it gives up earlier
KEPT_SECONDS = 60.0  # that a connection is kept which nobody uses; most servers end it before
MAX_QUESTION_BYTES = 8_000_000
MAX_ANSWER_BYTES = 4_000_000
MAX_EVENT_BYTES = 500_000  # the first one of vLLM repeats the prompt's ids
ALIVE = "/health"  # which costs vLLM and llama.cpp nothing; what it says does not matter
_TALKATIVE = ("httpx2", "httpcore2")  # a line in the log for each request
_EVENTS = "text/event-stream"

Event = Mapping[str, Any]


class StreamedAnswer:
    """One streamed answer, for the thread that has asked."""

    def __init__(self, on_closed: Callable[[], None]) -> None:
        self._events: SimpleQueue[Event | ServerError | None] = SimpleQueue()
        self._running: Future[None] | None = None
        self._on_closed = on_closed

    def begin(self, running: Future[None]) -> None:
        """What fills it runs."""
        self._running = running

    def put(self, event: Event | ServerError | None) -> None:
        """The next event, what went wrong, or None: its end."""
        self._events.put(event)

    def next(self, seconds: float) -> Event | None:
        """An event as soon as there is one; None is the end. Raises TimeoutError after so many seconds, and
        ServerError."""
        try:
            event = self._events.get(timeout=seconds)
        except Empty:
            raise TimeoutError from None
        if isinstance(event, ServerError):
            raise event
        return event

    def close(self) -> None:
        """Close the connection, so that the server stops writing."""
        if self._running is not None and self._running.cancel():
            self._on_closed()


class ServerClient:
    """Its thread is a daemon's and ends with the last reference to this."""

    def __init__(self, address: ServerAddress) -> None:
        self.host = address.host
        for library in _TALKATIVE:
            logging.getLogger(library).setLevel(logging.WARNING)
        self._loop = asyncio.new_event_loop()
        self._http = httpx2.AsyncClient(
            base_url=address.url,
            headers={
                "Accept-Encoding": "identity",  # nothing is unpacked
                "User-Agent": "hef-lsp",
                **({"Authorization": f"Bearer {address.key}"} if address.key else {}),
            },
            timeout=httpx2.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
            limits=httpx2.Limits(
                max_connections=4, max_keepalive_connections=1, keepalive_expiry=KEPT_SECONDS
            ),
            follow_redirects=False,  # the key and the code go to no other host
            trust_env=False,  # nor through a proxy, or with a password, that something in the environment names
            verify=ssl.create_default_context(),  # SSL_CERT_FILE adds a company's own authority
        )
        thread = threading.Thread(
            target=_serve, args=(self._loop, self._http), name="hef-remote", daemon=True
        )
        thread.start()
        self._reconnecting: Future[None] | None = None
        self._end = weakref.finalize(self, _end, self._loop, thread)

    def close(self) -> None:
        """End the thread and its connections."""
        self._end()

    def run(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Run `work`, which may `get` and `post`, on the client's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def ask(self, path: str, question: Mapping[str, Any]) -> StreamedAnswer:
        """Begin a streamed answer. Raises ServerError on a question that is too long."""
        body = json.dumps(question).encode()
        if len(body) > MAX_QUESTION_BYTES:
            raise ServerError(f"is not asked {len(body) / 1e6:.0f} MB")
        answer = StreamedAnswer(self._reconnect)
        answer.begin(self.run(_stream(self._http, path, body, answer)))
        return answer

    def _reconnect(self) -> None:
        """Have a connection again before the next question comes: an encrypted one takes several round trips."""
        if self._reconnecting is None or self._reconnecting.done():
            self._reconnecting = self.run(_touch(self._http))

    async def get(self, path: str) -> Any:
        """The JSON of a page. Raises ServerError."""
        return await _whole(self._http, "GET", path, None)

    async def post(self, path: str, question: Mapping[str, Any]) -> Any:
        """The JSON of an answer that is not streamed. Raises ServerError."""
        return await _whole(self._http, "POST", path, json.dumps(question).encode())


async def _touch(http: httpx2.AsyncClient) -> None:
    with suppress(ServerError):
        await _whole(http, "GET", ALIVE, None)


async def _whole(http: httpx2.AsyncClient, method: str, path: str, body: bytes | None) -> Any:
    try:
        async with http.stream(method, path, content=body, headers=_headers(body)) as response:
            _check(response)
            parts, size = [], 0
            async for part in response.aiter_raw():
                size += len(part)
                if size > MAX_ANSWER_BYTES:
                    raise ServerError(TOO_MUCH)
                parts.append(part)
        return json.loads(b"".join(parts))
    except (ValueError, RecursionError) as problem:
        raise ServerError(NO_COMPLETION) from problem
    except (httpx2.HTTPError, OSError) as problem:
        raise _failure(problem) from problem


async def _stream(http: httpx2.AsyncClient, path: str, body: bytes, answer: StreamedAnswer) -> None:
    """Fill an answer, with its end or with what went wrong."""
    try:
        try:
            await _exchange(http, path, body, answer)
        except _ClosedMeanwhileError:
            await _exchange(http, path, body, answer)
        answer.put(None)
    except ServerError as failure:
        answer.put(failure)
    except (ValueError, RecursionError):
        answer.put(ServerError(NO_COMPLETION))
    except (httpx2.HTTPError, OSError) as problem:
        answer.put(_failure(problem))


class _ClosedMeanwhileError(httpx2.NetworkError):
    """A kept connection was closed by the server just then: nothing was said yet."""


async def _exchange(http: httpx2.AsyncClient, path: str, body: bytes, answer: StreamedAnswer) -> None:
    is_silent = True
    try:
        async with http.stream("POST", path, content=body, headers=_headers(body)) as response:
            is_silent = False
            _check(response)
            await _events(response, answer)
    except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError) as problem:
        if is_silent:
            raise _ClosedMeanwhileError(CUT_OFF) from problem
        raise


async def _events(response: httpx2.Response, answer: StreamedAnswer) -> None:
    """Raises ServerError, ValueError on what is no JSON, and what httpx does."""
    if response.headers.get("content-type", "").partition(";")[0].strip() != _EVENTS:
        raise ServerError(NO_COMPLETION)
    size, is_whole = 0, False
    async for event in httpx2.EventSource(response, MAX_EVENT_BYTES):
        size += len(event.data)
        if size > MAX_ANSWER_BYTES:
            raise ServerError(TOO_MUCH)
        if is_whole or event.data == "[DONE]":  # which llama.cpp does not say
            is_whole = True  # what is read to its end leaves a connection that is kept
            continue
        found = json.loads(event.data)
        if not isinstance(found, dict):
            raise ServerError(NO_COMPLETION)
        answer.put(found)


def _headers(body: bytes | None) -> dict[str, str]:
    return {} if body is None else {"Content-Type": "application/json"}


def _check(response: httpx2.Response) -> None:
    if response.status_code != 200:
        raise of_status(response.status_code)
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ServerError(NO_COMPLETION)


def _failure(problem: Exception) -> ServerError:
    """Of an exception, without what it says of the request."""
    cause: BaseException | None = problem
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ServerError(f"has a certificate that this machine does not trust ({cause.verify_message})")
    if isinstance(problem, httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return ServerError("cannot be reached: nothing answers")
    if isinstance(problem, httpx2.TimeoutException):
        return ServerError("took too long")
    if isinstance(problem, httpx2.ConnectError | OSError):
        return ServerError("cannot be reached: no connection")
    if isinstance(problem, httpx2.RemoteProtocolError | httpx2.NetworkError):
        return ServerError(CUT_OFF)
    return ServerError(NO_COMPLETION)


def _serve(loop: asyncio.AbstractEventLoop, http: httpx2.AsyncClient) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        for task in (tasks := asyncio.all_tasks(loop)):
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(http.aclose())
    finally:
        loop.close()


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join(CONNECT_SECONDS)
