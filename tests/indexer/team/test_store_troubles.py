"""A store over the network that is dead, tired or hostile: a correct index, soon, and one sentence about it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from indexer import Vectors
from indexer.team.bucket import AbsentObjectError, Bucket, BucketError, LostRaceError
from indexer.team.pack import MAX_PACK_BYTES
from indexer.team.publishing import PackWriter
from indexer.team.pulling import TeamStore
from indexer.team.refs import ref_path
from tests.indexer.conftest import HashEmbedder
from tests.indexer.team.faulty_server import FaultyServer, serving
from tests.indexer.team.test_pack import some_vectors
from tests.indexer.team.test_pulling import KEY, Team, reference, stored, updated

SENTENCES = {
    "expired": "The credentials for the team's store have expired.",
    "denied": "The team's store does not accept these credentials.",
    "half": "The team's store cannot be reached, or answers what no store answers.",
    "garbage": "other bytes than its name says",
    "huge": "An object of the team's store is larger than it may be.",
    "silent": "The team's store did not answer in time.",
}


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


@pytest.fixture
def server(team: Team) -> Iterator[FaultyServer]:
    with serving(team.bucket) as server:
        yield server


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, server: FaultyServer) -> str:
    """A store's address whose requests go to the server."""
    use_server(monkeypatch, server.port)
    return "s3://bucket"


def use_server(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    told = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrEXAMPLEKEY",
        "AWS_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)


def store(url: str, patience: float = 0.3) -> TeamStore:
    return TeamStore(
        "hash-1", [ref_path("hash-1", "team/project", "main")], lambda: (Bucket(url), KEY), patience
    )


def test_without_a_fault_everything_comes_over_the_network(
    team: Team, server: FaultyServer, cloud: str
) -> None:
    ci = stored(team.publish())
    index = team.clone("laptop", store(cloud, patience=10.0))
    report = updated(index)

    assert report.embedded == 0, report.team
    assert stored(index.folder) == ci
    assert len(server.asked) == 3, "ref, index, pack"


@pytest.mark.parametrize("fault", SENTENCES)
def test_whatever_the_server_does_the_index_is_right_and_one_sentence_says_why(
    team: Team, server: FaultyServer, cloud: str, fault: str
) -> None:
    team.publish()
    server.fault = fault
    index = team.clone("laptop", store(cloud, patience=0.3 if fault == "silent" else 10.0))
    report = updated(index)

    assert SENTENCES[fault] in report.team
    assert "127.0.0.1" not in report.team
    assert "EXAMPLE" not in report.team
    assert report.pulled == 0
    assert stored(index.folder) == reference()


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """Of somebody who listens and never takes a connection up."""
    with closing(socket.socket()) as deaf, closing(socket.socket()) as filler:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        filler.connect(deaf.getsockname())
        yield deaf.getsockname()[1]


@pytest.mark.parametrize("listens", [False, True])
def test_a_dead_server_holds_nothing_up(
    team: Team, monkeypatch: pytest.MonkeyPatch, deaf_port: int, listens: bool
) -> None:
    use_server(monkeypatch, deaf_port if listens else 1)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        threading.Event().wait(seconds)

    began = time.monotonic()
    store("s3://bucket").pull([bytes(16)], team.folder / "kept").stop()
    assert time.monotonic() - began < 0.2, "to ask is to wait for nothing"

    monkeypatch.setattr("indexer.sharing.time.sleep", sleep)
    report = updated(team.clone("laptop", store("s3://bucket", patience=0.3)))

    assert sum(waits) <= 0.3
    assert report.embedded == report.chunks > 0
    said = "did not answer in time" if listens else "cannot be reached"
    assert said in report.team


class SlowEmbedder(HashEmbedder):
    def embed(self, texts: Sequence[str]) -> Vectors:
        threading.Event().wait(0.1)
        return super().embed(texts)


def test_a_store_that_answers_late_is_still_used(team: Team, server: FaultyServer, cloud: str) -> None:
    """What has not come in time is begun, and what comes later need not be computed."""
    team.publish()
    server.fault = "silent"

    def answer() -> None:
        server.fault = ""
        server.released.set()

    index = team.clone("laptop", store(cloud, patience=0.0), SlowEmbedder(), batch_texts=1)
    late = threading.Timer(0.5, answer)
    late.start()
    report = updated(index)
    late.join()

    assert report.embedded > 0
    assert report.pulled > 0


@pytest.mark.parametrize(
    "url",
    [
        "http://host/x",
        "s3://key:secret@bucket",
        "s3://bucket?token=1",
        "relative/folder",
        "s3://",
        "memory://",
        "s3://a b",
    ],
)
def test_addresses_that_are_none_or_hold_credentials_are_refused(url: str) -> None:
    with pytest.raises(BucketError, match=r"^team.store must be"):
        Bucket(url)


def test_an_object_larger_than_it_may_be_is_not_read(tmp_path: Path) -> None:
    bucket = Bucket(str(tmp_path), writes=True)
    bucket.create("large", bytes(1_001))

    assert len(bucket.get("large", 1_001)[0]) == 1_001
    with pytest.raises(BucketError, match="larger than it may be"):
        bucket.get("large", 1_000)
    with pytest.raises(AbsentObjectError):
        bucket.get("absent", MAX_PACK_BYTES)


def test_of_two_who_publish_at_once_none_is_lost(tmp_path: Path) -> None:
    """Eight threads list a pack each, on a folder, where compare-and-swap is a lock."""
    errors: list[Exception] = []

    def run(number: int) -> None:
        try:
            writer = PackWriter(Bucket(str(tmp_path), writes=True), "hash-1", KEY)
            digests, vectors = some_vectors(3, seed=number)
            writer.list_in("team/project", "main", writer.write(digests, vectors))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(PackWriter(Bucket(str(tmp_path)), "hash-1", KEY).known("team/project", "main")) == 8


def test_a_swap_that_comes_second_is_told(tmp_path: Path) -> None:
    bucket = Bucket(str(tmp_path), writes=True)
    bucket.swap("ref", b"one", None)
    _, tag = bucket.get("ref", 10)
    bucket.swap("ref", b"second", tag)

    with pytest.raises(LostRaceError):
        bucket.swap("ref", b"third", tag)
    with pytest.raises(LostRaceError):
        bucket.swap("ref", b"third", None)
    assert bucket.get("ref", 10)[0] == b"second"
