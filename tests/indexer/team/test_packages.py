"""What a team shares of public packages: signatures that are declared as text, and vectors on request."""

from __future__ import annotations

import zlib
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from indexer import Index, IndexSettings, Query
from indexer.installed import Package, installed
from indexer.package_signatures import PackageSignatures
from indexer.package_vectors import PackageVectors
from indexer.query import PACKAGE
from indexer.settings import RetrievalSettings, TeamSettings
from indexer.signatures import folded, signatures_of, unfolded
from indexer.team.bucket import Bucket, BucketError
from indexer.team.joining import SECRET, joined
from indexer.team.package_reading import StoredPackages
from indexer.team.publishing import PackWriter, publish
from tests.indexer.conftest import HashEmbedder
from tests.indexer.team.harming import harm
from tests.indexer.team.test_pulling import KEY, OTHER_KEY, write_project
from tests.indexer.test_packages import install
from tests.legible import legible, names_in

SOURCE = '''class Ledger:
    """A docstring_that_stays_home."""

    def settle(self, creditor: str, amount: int = 0) -> bool:
        body_that_stays_home = amount
        return bool(body_that_stays_home)
'''
NAME, VERSION = "ledger-lib", "1.2"


class Shared:
    """A store in a folder, a package that is published into it, and a machine that has it not."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bucket = folder, folder / "bucket"
        site = install(folder / "ci", NAME, VERSION, {"ledger_lib/book.py": SOURCE})
        write_project(site / "ledger_lib")
        self.package = installed(site, ["ledger_lib"])["ledger_lib"]
        self.writer = PackWriter(Bucket(str(self.bucket), writes=True), "hash-1", KEY)

    def publish(self) -> bytes:
        table = signatures_of(self.package, NAME)
        assert table is not None
        content = folded([table])
        assert self.writer.write_signatures(NAME, VERSION, content)
        return content

    def publish_vectors(self) -> None:
        with closing(Index.open(self.package.place, HashEmbedder(), self.folder / "ci-cache")) as index:
            index.update()
            publish(index.folder, self.writer, f"pypi/{NAME}", VERSION)

    def store(self, key: bytes = KEY, vector_bytes: int = 0) -> StoredPackages:
        return StoredPackages("hash-1", lambda: (Bucket(str(self.bucket)), key), vector_bytes)

    def objects(self, kind: str) -> list[Path]:
        return sorted((self.bucket / "v1" / "hash-1" / kind).rglob("*.*"))


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    return Shared(tmp_path)


def test_signatures_lie_where_they_are_looked_for_and_come_back(shared: Shared) -> None:
    content = shared.publish()
    (ref,) = shared.objects("refs")
    assert ref.relative_to(shared.bucket).as_posix() == f"v1/hash-1/refs/pypi/{NAME}/{VERSION}.json"
    answer = shared.store().signatures(NAME, VERSION, shared.folder / "kept")
    assert answer.table is not None
    assert list(answer.table.rows) == list(unfolded(content, NAME, VERSION).rows)
    assert answer.problem == ""
    assert not shared.writer.write_signatures(NAME, VERSION, content), "it is there already"


def test_the_only_text_in_the_store_is_in_signatures_and_none_of_it_is_a_body(shared: Shared) -> None:
    """The one exception to "no text in any object": what a package that all can get says in its headers."""
    shared.publish()
    shared.publish_vectors()
    files = [file for file in shared.bucket.rglob("*") if file.is_file()]
    names = names_in([SOURCE, *(file.read_text() for file in shared.package.place.rglob("*.py"))])
    (signatures,) = shared.objects("signatures")
    others = {str(file.relative_to(shared.bucket)): file.read_bytes() for file in files if file != signatures}

    assert legible(others, names - {"ledger", "ledger_lib"}) == set()
    text = zlib.decompress(signatures.read_bytes())
    assert b"def settle(self, creditor: str, amount: int = 0) -> bool:" in text
    assert b"stays_home" not in text
    assert b"filler" not in text


def test_what_is_kept_is_not_fetched_again_and_must_be_what_was_kept(shared: Shared) -> None:
    shared.publish()
    kept = shared.folder / "kept"
    shared.store().signatures(NAME, VERSION, kept)
    (object_,), (file,) = shared.objects("signatures"), kept.iterdir()
    object_.unlink()
    assert shared.store().signatures(NAME, VERSION, kept).table is not None
    file.write_bytes(file.read_bytes()[:-1])
    answer = shared.store().signatures(NAME, VERSION, kept)
    assert (answer.table, answer.problem) == (None, ""), "the store lacks it, and half of one is none"


@pytest.mark.parametrize("kind", ["signatures", "refs"])
@pytest.mark.parametrize("how", ["flip", "half", "empty", "gone", "huge"])
def test_an_object_that_was_tampered_with_is_not_used(shared: Shared, kind: str, how: str) -> None:
    shared.publish()
    (file,) = shared.objects(kind)
    harm(file, how)
    answer = shared.store().signatures(NAME, VERSION, shared.folder / "kept")

    assert answer.table is None
    assert (answer.problem == "") == (how == "gone"), "nobody published it, or one sentence"
    assert answer.problem.count(". ") == 0


def test_another_teams_are_refused_and_another_versions_are_not_there(shared: Shared) -> None:
    shared.publish()
    kept = shared.folder / "kept"
    assert (
        "not written with this team's secret"
        in shared.store(OTHER_KEY).signatures(NAME, VERSION, kept).problem
    )
    for package, version in ((NAME, "1.3"), ("other", VERSION), ("../pypi/ledger-lib", VERSION)):
        assert shared.store().signatures(package, version, kept).table is None
    # A ref that lists another package's signatures, written by who may.
    other = signatures_of(shared.package, "other")
    assert other is not None
    shared.writer.write_signatures(NAME, VERSION, folded([other]))
    assert "signatures of another package" in shared.store().signatures(NAME, VERSION, kept).problem


def test_a_store_in_trouble_is_left_alone_for_a_while(shared: Shared) -> None:
    asked = []

    def enter() -> tuple[Bucket, bytes]:
        asked.append(1)
        raise BucketError("The team's store does not answer in time.")

    store = StoredPackages("hash-1", enter)
    said = {store.signatures(NAME, VERSION, shared.folder / "kept").problem for _ in range(3)}
    assert said == {"The team's store does not answer in time."}
    assert len(asked) == 1


def test_vectors_and_signatures_are_listed_in_one_ref(shared: Shared) -> None:
    shared.publish()
    shared.publish_vectors()
    shared.publish_vectors()
    assert len(shared.objects("refs")) == 1
    assert len(shared.objects("packs")) == 1
    assert shared.store().signatures(NAME, VERSION, shared.folder / "kept").table is not None


def laptop(shared: Shared, store: StoredPackages | None, embedder: HashEmbedder) -> PackageSignatures:
    root = shared.folder / "laptop"
    if not root.exists():
        (shared.folder / "ci").rename(root)
    settings = IndexSettings(), RetrievalSettings()
    found = PackageSignatures(
        root, shared.folder / "home", store, shared.folder / "kept", PackageVectors(embedder, *settings)
    )
    found.follow(Counter(["ledger_lib"]))
    found.wait(20)
    return found


def hits_in(found: PackageSignatures) -> list[str]:
    query = Query(
        "app.py", "import ledger_lib\n\nalpha = zq1_3(", "", HashEmbedder().embed(["zq1_3"]).keys[0]
    )
    return [hit.text for hit in found.among([], query, 2) if hit.level == PACKAGE and "return" in hit.text]


@pytest.fixture
def with_vectors(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> Shared:
    """With both in the store, and a cache home of its own."""
    monkeypatch.setenv("HEF_CACHE_DIR", str(shared.folder / "home"))
    shared.publish()
    shared.publish_vectors()
    return shared


def test_vectors_are_taken_on_request_and_nothing_is_computed(with_vectors: Shared) -> None:
    shared = with_vectors
    size = shared.objects("packs")[0].stat().st_size
    for bytes_allowed, expected in ((0, False), (size - 1, False), (size, True)):
        embedder = HashEmbedder()
        found = laptop(shared, shared.store(vector_bytes=bytes_allowed), embedder)
        assert any("zq1_3" in text for text in hits_in(found)) == expected
        assert len(embedder.embedded) == (1 if expected else 0), "one is checked"
        assert "ledger_lib" in found.tables
        found.stop()


def test_texts_that_are_not_those_that_were_published_are_not_embedded(with_vectors: Shared) -> None:
    shared = with_vectors
    for file in shared.package.place.rglob("*.py"):  # not the texts that were published
        file.write_text(file.read_text().replace("return beta", "return 7 + beta"))
    embedder = HashEmbedder()
    found = laptop(shared, shared.store(vector_bytes=10**9), embedder)
    assert len(embedder.embedded) <= 1 + IndexSettings().batch_texts, (
        "one is checked, and a batch was in hand"
    )
    found.stop()


def test_only_the_user_names_what_is_read(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, "correct horse battery staple")
    shared.publish()
    for wanted in (True, False):
        settings = TeamSettings(store=str(shared.bucket), packages=wanted)
        store = joined(settings, shared.folder, "hash-1")
        assert store is not None
        assert (store.packages is not None) == wanted


def test_a_place_that_is_no_folder_has_no_vectors(shared: Shared) -> None:
    module = Package("ledger-lib.single", VERSION, shared.folder / "single.py")
    searching = PackageVectors(HashEmbedder(), IndexSettings(), RetrievalSettings())
    searching.take("single", module, shared.store(vector_bytes=10**9), lambda: False)
    assert searching.search(Query("a.py", "", "", None), {"single"}, 2) == []
