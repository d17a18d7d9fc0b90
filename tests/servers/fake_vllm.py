"""vLLM on loopback as far as it is asked here, with a real model of a few hundred kilobytes behind the JSON.

It answers well, slowly, badly, endlessly or never. What comes as text is split by the checkpoint's own tokenizer, which
sees control tokens everywhere, and vectors are read by torch, as vLLM does.
"""

from __future__ import annotations

import base64
import io
import json
import select
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from model.generator import Generator, StopLimits
from model.loaded import LoadedModel
from model.loading import load_model
from model.prompt import PSEUDO, Prompt

N_LIKELIEST = 320  # all: among random weights' 20 there is seldom the one that is looked for
ENDLESS = b"data: " + b"x" * 65_536


@cache
def _loaded(folder: Path) -> tuple[LoadedModel, threading.Lock]:
    """One for all servers of a checkpoint, and who may use it."""
    return load_model(str(folder), device="cpu", dtype="float32"), threading.Lock()


@dataclass
class FakeVllm:
    """What it does wrong may be changed at any time."""

    folder: Path
    name: str = "tiny"
    key: str = ""
    takes_vectors: bool = True
    template: str = "{}"  # what it makes of a message's text
    max_model_len: int = 4096
    seconds_before: float = 0.0  # the first token of a streamed answer
    seconds_each: float = 0.0  # and each other one
    status: int = 0  # that it answers everything with
    garbage: bytes = b""  # in place of events
    endless: str = ""  # "line", "events" or "empty": what never ends
    cut_after: int | None = None  # tokens, then the connection is closed
    redirect: str = ""
    n_likeliest: int = N_LIKELIEST
    is_llama: bool = False  # llama.cpp's server instead
    wrong_ids: bool = False  # without a token
    address: str = ""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    peers: set[tuple[str, int]] = field(default_factory=set)  # a connection each
    n_generated: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._model, self._lock = _loaded(self.folder)
        self._credulous = Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    def questions(self) -> list[tuple[str, dict[str, Any]]]:
        """Those that were streamed: what users wait for."""
        return [(path, question) for path, question in self.asked if question.get("stream")]

    def read(self, path: str, question: Mapping[str, Any]) -> tuple[list[int], np.ndarray] | None:
        """Ids with PSEUDO and vectors; None where vectors are refused."""
        if path == "/infill":
            fim, ids = self._model.vocabulary.fim, self.plain_ids
            middle = [fim.suffix, *ids(question["input_suffix"]), fim.prefix, *ids(question["input_prefix"])]
            return middle, np.zeros((0, self._model.hidden_size), np.float32)
        if path.endswith("/chat/completions"):
            return self._parts(question["messages"][0]["content"])
        prompt = question["prompt"]
        ids = prompt if isinstance(prompt, list) else self._ids(prompt)
        return list(ids), np.zeros((0, self._model.hidden_size), np.float32)

    def written(self, ids: Sequence[int], vectors: np.ndarray, question: Mapping[str, Any]) -> list[int]:
        """Ids behind a prompt, with the stop token that ends them."""
        with self._lock:
            generator = _generator(self._model, question)
            prompt = Prompt(tuple(ids), vectors)
            most = question["n_predict"] if self.is_llama else question["max_tokens"]
            done = generator.generate(prompt, StopLimits(most))
        ends = [self._model.vocabulary.fim.end] if done.stopped == "end" else []
        return [*done.token_ids, *ends]

    def likeliest(self, ids: Sequence[int], vectors: np.ndarray) -> dict[int, float]:
        with self._lock:
            row = _generator(self._model, {}).logits(Prompt(tuple(ids), vectors), [0])[0].astype(np.float64)
        chances = row - row.max() - np.log(np.exp(row - row.max()).sum())
        return {int(token): float(chances[token]) for token in np.argsort(-chances)[: self.n_likeliest]}

    def _parts(self, parts: Sequence[Mapping[str, str]]) -> tuple[list[int], np.ndarray] | None:
        ids: list[int] = []
        vectors = [np.zeros((0, self._model.hidden_size), np.float32)]
        for part in parts:
            if part["type"] == "text":
                ids += self._ids(self.template.format(part["text"]))
                continue
            raw = io.BytesIO(base64.b64decode(part["data"], validate=True))
            found = torch.load(raw, weights_only=True).to(torch.float32).numpy()
            if not self.takes_vectors or found.shape[1] != self._model.hidden_size:
                return None
            vectors.append(found)
            ids += [PSEUDO] * len(found)
        return ids, np.concatenate(vectors)

    def plain_ids(self, text: str) -> list[int]:
        """Of a text in which no control tokens are seen."""
        return self._model.vocabulary.encode(text)

    def _ids(self, text: str) -> list[int]:
        found: list[int] = self._credulous.encode(text, add_special_tokens=False).ids
        return found


def _generator(model: LoadedModel, question: Mapping[str, Any]) -> Generator:
    stops = frozenset(question.get("stop_token_ids", ())) | model.stop_ids
    return Generator(model.own_decoder, model.vocabulary, stops)


@contextmanager
def serving(fake: FakeVllm) -> Iterator[FakeVllm]:
    """The server, at its `address`."""

    class Handler(_Handler):
        served = fake

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    fake.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        fake.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: FakeVllm
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None: ...

    def do_GET(self) -> None:
        self._note({})
        if not self._refused():
            model = {"id": self.served.name, "object": "model", "max_model_len": self.served.max_model_len}
            if self.served.is_llama:
                model = {"id": self.served.name, "object": "model", "owned_by": "llamacpp"}
            self._json({"object": "list", "data": [model]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        question = json.loads(body)
        self._note(question)
        if not self._refused():
            self._answer(question)

    def _answer(self, question: dict[str, Any]) -> None:
        is_known = self.path == "/tokenize" or (self.path == "/infill") == self.served.is_llama
        read = self.served.read(self.path, question) if is_known and self.path != "/tokenize" else None
        if not is_known:
            self._json({"error": {"message": "no such path"}}, 404)
        elif self.path == "/tokenize":
            self._json({"tokens": self.served.plain_ids(question["content"])})
        elif read is None:
            self._json({"error": {"message": "no prompt embeddings"}}, 400)
        elif question["stream"]:
            self._stream(question, *read)
        else:
            choice = {"token_ids": [7], "prompt_token_ids": read[0], "finish_reason": "length"}
            self._json({"choices": [choice], "usage": {"prompt_tokens": len(read[0])}})

    def _note(self, question: dict[str, Any]) -> None:
        self.served.peers.add(self.client_address)
        self.served.headers.append(dict(self.headers))
        self.served.asked.append((self.path, question))

    def _refused(self) -> bool:
        fake = self.served
        if fake.redirect:
            self.send_response(307)
            self.send_header("Location", fake.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif fake.status:
            self._json({"error": {"message": "as told"}}, fake.status)
        elif fake.key and self.headers.get("Authorization") != f"Bearer {fake.key}":
            self._json({"error": {"message": "Unauthorized"}}, 401)
        else:
            return False
        return True

    def _json(self, answer: object, status: int = 200) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, question: Mapping[str, Any], ids: list[int], vectors: np.ndarray) -> None:
        fake = self.served
        written = fake.written(ids, vectors, question)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            if fake.endless or fake.garbage:
                self._misbehave()
            elif self._events(question, written, ids, vectors):
                if not fake.is_llama:
                    self._chunk(b"data: [DONE]\n\n")
                self._chunk(b"")
        except OSError:
            pass
        self.close_connection = self.close_connection or self._is_gone()

    def _events(
        self, question: Mapping[str, Any], written: list[int], ids: list[int], vectors: np.ndarray
    ) -> bool:
        """Whether all were sent."""
        fake = self.served
        wants_chances = bool(question.get("logprobs"))
        for n, token in enumerate(written or [-1]):
            if fake.closing.wait(fake.seconds_each if n else fake.seconds_before) or self._is_gone():
                self.close_connection = True
                return False
            if n == fake.cut_after:
                self.connection.close()
                self.close_connection = True
                return False
            fake.n_generated += 1
            ends = n == len(written) - 1
            reason = ("stop" if token in fake._model.stop_ids else "length") if ends else None
            shown = [fake._model.vocabulary.fim.end + 10**6] if fake.wrong_ids else [token]
            if fake.is_llama:
                last = {"stop_type": "eos" if reason == "stop" else "limit"} if ends else {}
                told = {"content": "x", "tokens": shown, "stop": ends, **last}
                self._chunk(b"data: " + json.dumps(told).encode() + b"\n\n")
                continue
            choice: dict[str, Any] = {"text": "", "token_ids": shown, "finish_reason": reason}
            if wants_chances and n == 0:
                choice["logprobs"] = _chances(self.path, fake.likeliest(ids, vectors))
            self._chunk(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
        return True

    def _misbehave(self) -> None:
        fake = self.served
        if fake.garbage:
            self._chunk(fake.garbage)
            self._chunk(b"")
            return
        empty = b'data: {"choices": [{"token_ids": []}]}\n\n'
        more = json.dumps({"choices": [{"token_ids": [9] * 50}]}).encode()
        chunk = {"line": ENDLESS, "events": b"data: " + more + b"\n\n", "empty": empty}[fake.endless]
        while not fake.closing.is_set():
            self._chunk(chunk)
            time.sleep(0.001)

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _is_gone(self) -> bool:
        return bool(select.select([self.connection], [], [], 0)[0])


def _chances(path: str, likeliest: Mapping[int, float]) -> dict[str, Any]:
    named = {f"token_id:{token}": chance for token, chance in likeliest.items()}
    if path.endswith("/chat/completions"):
        told = [{"token": name, "logprob": chance} for name, chance in named.items()]
        return {"content": [{"top_logprobs": told}]}
    return {"top_logprobs": [named]}
