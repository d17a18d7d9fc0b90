"""Whatever a server does, the keystroke is answered within its deadline, and one sentence says by whom and why."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from model.checkpoint.files import AbsentError, WeightsError
from model.engines.remote import health
from model.engines.remote.address import AddressError, server_address
from model.engines.remote.loading import Elsewhere
from model.request import Request
from tests.servers.fake_vllm import FakeVllm, serving
from tests.tiny_checkpoint import write_tiny_checkpoint

Load = Callable[..., Elsewhere]
PREFIX = "import os\nclass A:\n    def add(self, first, second):\n        return a"
REQUEST = Request("a.py", PREFIX, "\n\nimport os\n", max_tokens=12, deadline_ms=3_000, context="none")
KEY = "a-secret-key"


def answered(elsewhere: Elsewhere, request: Request = REQUEST) -> bool:
    """Whether the embedded model did, which wrote something within the deadline."""
    start = time.perf_counter()
    served_by_tiny = elsewhere.completer._local.complete(request, None)
    start = time.perf_counter()
    result = elsewhere.completer.complete(request, None)
    assert time.perf_counter() - start < request.deadline_ms / 1e3 + 0.5
    assert result.tokens
    return result.text == served_by_tiny.text


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_server_that_works_answers_and_the_sentence_says_what_it_cannot(
    served: FakeVllm, load: Load
) -> None:
    elsewhere = load(served.address)
    assert not answered(elsewhere)
    said = elsewhere.completer.sentence
    host = served.address.removeprefix("http://")
    assert said.startswith(
        f"{elsewhere.model.name} answers on {host}, with context none, snippets, pseudo and hybrid:"
    )
    assert "nor drafts verified" in said


# What a server does wrong from some moment on, and the sentence.
FAILURES = {
    "refuses the key": ({"key": "other"}, "refuses the API key (HTTP 401)"),
    "lost the model": ({"status": 404}, "does not serve this model"),
    "error": ({"status": 500}, "has an error of its own (HTTP 500)"),
    "behind a proxy that lost it": ({"status": 502}, "has an error of its own (HTTP 502)"),
    "busy": ({"status": 429}, "has too much to do (HTTP 429)"),
    "no events": ({"garbage": b"<html>no</html>\n\n"}, "cut its answer off"),
    "no JSON": ({"garbage": b"data: {]\n\n"}, "answers what is no completion"),
    "no object": ({"garbage": b"data: [1]\n\n"}, "answers what is no completion"),
    "no choices": ({"garbage": b'data: {"choices": 7}\n\n'}, "answers what is no completion"),
    "an error in the stream": ({"garbage": b'data: {"error": {}}\n\n'}, "has an error of its own"),
    "deep JSON": ({"garbage": b"data: " + b"[" * 100_000 + b"\n\n"}, "answers what is no completion"),
    "text without ids": (
        {"garbage": b'data: {"choices": [{"text": "x"}]}\n\n'},
        "vLLM 0.30 or later",
    ),
    "ids without a token": ({"wrong_ids": True}, "answers what is no completion"),
    "an endless line": ({"endless": "line"}, "answers what is no completion"),
    "endless tokens": ({"endless": "events"}, "answers more than was asked for"),
    "endless nothing": ({"endless": "empty"}, "said nothing for"),
    "silent": ({"seconds_before": 60.0}, "said nothing for"),
    "cut off": ({"cut_after": 0}, "cut its answer off"),
    "sends elsewhere": ({"redirect": "http://127.0.0.1:9/"}, "sends us elsewhere"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_the_embedded_model_answers_the_same_keystroke_and_the_next_one(
    served: FakeVllm, load: Load, kind: str
) -> None:
    wrong, said = FAILURES[kind]
    elsewhere = load(served.address)
    for name, value in wrong.items():
        setattr(served, name, value)
    assert answered(elsewhere)
    assert said in elsewhere.completer.sentence
    assert elsewhere.completer.sentence.startswith("embedded-tiny answers, because 127.0.0.1:")
    assert elsewhere.completer.sentence.endswith("; it is asked again while you type.")
    assert "\n" not in elsewhere.completer.sentence
    n_asked = len(served.questions())
    assert answered(elsewhere, replace(REQUEST, deadline_ms=1000, prefix=f"{PREFIX}b"))
    assert len(served.questions()) == n_asked  # for a second it is left alone


def test_a_server_that_ends_in_the_middle_leaves_what_it_wrote(served: FakeVllm, load: Load) -> None:
    elsewhere = load(served.address)
    whole = elsewhere.completer.complete(REQUEST, None)
    served.cut_after = 4
    result = elsewhere.completer.complete(REQUEST, None)
    assert (result.tokens, result.stopped) == (4, "deadline")
    assert whole.text.startswith(result.text)
    assert "cut its answer off" in elsewhere.completer.sentence
    assert answered(elsewhere, replace(REQUEST, prefix=f"{PREFIX}b"))


def test_nobody_listens(load: Load) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    elsewhere = load(f"http://127.0.0.1:{port}")
    assert answered(elsewhere)
    assert "cannot be reached: no connection" in elsewhere.completer.sentence


def test_who_types_on_before_a_dead_server_was_given_up_is_answered_all_the_same(
    served: FakeVllm, load: Load
) -> None:
    elsewhere = load(served.address)
    served.seconds_before = 60.0
    request = replace(REQUEST, deadline_ms=1_000)
    for n in range(8):  # a keystroke each 150 ms
        cancelled = threading.Event()
        timer = threading.Timer(0.15, cancelled.set)
        timer.start()
        elsewhere.completer.complete(replace(request, prefix=PREFIX + "b" * n), None, cancelled.is_set)
        timer.join()
    assert "said nothing while you typed on" in elsewhere.completer.sentence
    assert answered(elsewhere)


def test_a_server_that_comes_back_is_asked_again_and_that_is_news(
    served: FakeVllm, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FIRST_SECONDS", 0.05)
    elsewhere, told = load(served.address), threading.Event()
    elsewhere.completer.listen(told.set)
    served.status = 503
    assert answered(elsewhere)
    assert told.is_set()
    told.clear()
    served.status = 0
    time.sleep(0.1)
    assert answered(elsewhere)  # nobody waits for the look
    assert told.wait(10)
    assert not answered(elsewhere, replace(REQUEST, prefix=f"{PREFIX}b"))


def test_it_is_looked_at_more_and_more_seldom_until_it_has_written() -> None:
    now = 0.0
    one = health.Health(lambda: now)
    pauses = []
    for _ in range(9):
        one.failed("fails")
        start = now
        while not one.may_look():
            now += 0.5
        assert not one.may_look()  # one at a time
        pauses.append(now - start)
        one.recovered()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    one.written()
    one.failed("fails")
    assert one.standing.again_at == now + 1


def test_a_server_of_another_model_is_not_asked(served: FakeVllm, load: Load, tmp_path: Path) -> None:
    write_tiny_checkpoint(tmp_path / "other", control=("<|endoftext|>", *(f"<|{n}|>" for n in range(9))))
    with serving(FakeVllm(tmp_path / "other")) as other:
        elsewhere = load(other.address)
        assert answered(elsewhere)
        assert "serves another model than" in elsewhere.completer.sentence
        assert not other.questions()


def test_a_server_with_less_room_is_not_asked(served: FakeVllm, load: Load) -> None:
    served.max_model_len = 100
    elsewhere = load(served.address)
    assert answered(elsewhere)
    assert "reads 100 tokens, and 512 are wanted" in elsewhere.completer.sentence


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"takes_vectors": False}, "takes no prompt embeddings (--enable-prompt-embeds)"),
        ({"template": "user: {}"}, "has a chat template that changes the text"),
    ],
)
def test_without_vectors_the_server_reads_text(
    served: FakeVllm, load: Load, wrong: dict[str, object], said: str
) -> None:
    for name, value in wrong.items():
        setattr(served, name, value)
    elsewhere = load(served.address)
    result = elsewhere.completer.complete(replace(REQUEST, context="pseudo"), lambda query: ())
    assert result.mode == "snippets"
    assert f"with context none and snippets, since it {said}" in elsewhere.completer.sentence


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n", encoding="ascii")
    return file


def test_the_key_opens_the_door_and_is_told_to_nobody_else(
    served: FakeVllm, load: Load, tiny_folder: Path, key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    served.key = KEY
    elsewhere = load(served.address, server_key_file=str(key_file))
    assert not answered(elsewhere)
    with serving(FakeVllm(tiny_folder)) as other:
        served.redirect = f"{other.address}/v1/completions"
        assert answered(elsewhere)
        assert not other.asked
    assert not [record for record in caplog.records if record.name.startswith("http")]
    assert KEY not in caplog.text
    assert PREFIX.splitlines()[-1].strip() not in caplog.text
    assert KEY not in repr(server_address(served.address, str(key_file), {}))
    assert KEY not in elsewhere.completer.sentence


def test_the_environment_sends_nothing_elsewhere(
    served: FakeVllm, load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password other\n", encoding="ascii")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("HEF_SERVER_KEY", KEY)
    assert not answered(load(served.address))
    assert {headers["Authorization"] for headers in served.headers} == {f"Bearer {KEY}"}


ADDRESSES = {
    "coder.example.org": "must be an address",
    "ftp://coder.example.org": "must be an address",
    "https://": "must be an address",
    "https://coder.example.org:99999": "is no address",
    "https://coder.example.org/?a=b": "must be an address",
    "https://me:password@coder.example.org": "must hold no password",
    "http://coder.example.org": "must begin with https",
    "http://127.0.0.1.example.org": "must begin with https",
    "https://coder.example.org\r\nX: y": "must be an address",
}


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_that_cannot_be_meant_is_refused(url: str) -> None:
    with pytest.raises(AddressError, match=ADDRESSES[url]) as refused:
        server_address(url, "", {})
    assert "password@" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "two words", "two\nlines", "schlüssel", "x" * 5000])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(AddressError, match=r"model\.serverKeyFile") as refused:
        server_address("https://coder.example.org", str(file), {})
    assert not content or content not in str(refused.value)


def test_only_the_tokenizer_of_the_servers_model_is_needed(
    served: FakeVllm, load: Load, tiny_folder: Path, tmp_path: Path
) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((tiny_folder / name).read_bytes())
    elsewhere = load(served.address, name=str(tmp_path))
    assert not answered(elsewhere)
    assert elsewhere.model.pseudo is None
    with pytest.raises(AbsentError, match=r"hf download org/none config\.json tokenizer\.json"):
        load(served.address, name="org/none")
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match=r"tokenizer\.json"):
        load(served.address, name=str(tmp_path))
