"""The answer is never in the index: rule 1 of a fair run."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexer import Index, Query
from model.evaluation.repository import TaskRepository, View, extract
from model.evaluation.tasks import EvaluationError, Task
from model.repository import RetrievalQuery
from tests.benchmarks.embedders import FreeEmbedder
from tests.model.evaluation.holes import a_task, write_archive

SECRET = "zebra_quagga_okapi"
OTHER = "def price(item):\n    return item.price\n"
LAST = "def ship(cart):\n    return cart.lorry\n"


def _task(number: int, target: str, path: str = "shop/cart.py") -> Task:
    return a_task(task_id=f"t/{number}", target=target, path=path)


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A repository in which the target of task 1 stands once, and that of task 2 once, in another file."""
    texts = {
        "shop/shop/cart.py": _task(1, f"    return {SECRET}(items)").text,
        "shop/shop/till.py": _task(2, "    return gnu_kudu(items)").text,
        "shop/shop/price.py": OTHER,
        "shop/shop/ship.py": LAST,
    }
    extract(write_archive(tmp_path / "repos.tar.xz", texts), {"shop"}, tmp_path)
    return tmp_path / "shop"


@pytest.fixture(params=["words", "vectors"])
def repository(request: pytest.FixtureRequest, snapshot: Path) -> Iterator[TaskRepository]:
    embedder = FreeEmbedder() if request.param == "vectors" else None
    with closing(Index.open(snapshot, embedder, cache_dir=snapshot.parent / "cache")) as index:
        yield TaskRepository(snapshot, {"fuser": index})


def _texts(repository: TaskRepository, words: str) -> str:
    """All that any search finds: by words, and whatever lies nearest to a key when a hundred hits are asked for."""
    index = repository.indexes["fuser"]
    key = FreeEmbedder().embed([words]).keys[0].astype(np.float32)
    found = [
        *View(repository.sources, index).retrieve(RetrievalQuery("shop/cart.py", words, "", key)),
        *index.search(Query("", words, "", key), 100),
        *index.search(Query("", words, "", None), 100),
    ]
    return "".join(hit.text + hit.signature for hit in found)


def test_the_answer_is_neither_retrieved_nor_stored(repository: TaskRepository) -> None:
    repository.punch(_task(1, f"    return {SECRET}(items)"))
    assert "item.price" in _texts(repository, "price item")
    assert SECRET not in _texts(repository, f"return {SECRET} items")
    stored = [file for file in (repository.root.parent / "cache").rglob("*") if file.is_file()]
    assert any(b"lorry" in file.read_bytes() for file in stored)  # the rest is there to be found
    assert not any(SECRET.encode() in file.read_bytes() for file in stored)


def test_the_next_task_gives_the_last_answer_back_and_hides_its_own(repository: TaskRepository) -> None:
    first, second = (
        _task(1, f"    return {SECRET}(items)"),
        _task(2, "    return gnu_kudu(items)", "shop/till.py"),
    )
    repository.punch(first)
    assert "gnu_kudu" in _texts(repository, "return gnu_kudu items")
    repository.punch(second)
    assert SECRET in _texts(repository, f"return {SECRET} items")
    assert "gnu_kudu" not in _texts(repository, "return gnu_kudu items")


def test_a_second_hole_in_the_same_file_closes_the_first(snapshot: Path) -> None:
    whole = _task(1, f"    return {SECRET}(items)")
    other = a_task(prefix=whole.prefix + whole.target, target="\n\nprint(total([]))", suffix="\n")
    repository = TaskRepository(snapshot, {})
    repository.punch(whole)
    repository.punch(other)
    assert (snapshot / "shop/cart.py").read_text() == other.text_with_hole


def test_a_file_that_is_not_the_tasks_is_refused(snapshot: Path) -> None:
    with pytest.raises(EvaluationError, match=r"are not shop/cart\.py of shop"):
        TaskRepository(snapshot, {}).punch(_task(1, "    return something_else"))
    with pytest.raises(EvaluationError, match=r"are not shop/none\.py of shop"):
        TaskRepository(snapshot, {}).punch(_task(1, "x", "shop/none.py"))


def test_a_repository_that_the_archive_lacks_is_named(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "repos.tar", {"shop/a.py": "a\n"})
    with pytest.raises(EvaluationError, match="does not hold bank"):
        extract(archive, {"shop", "bank"}, tmp_path)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    archive = tmp_path / "repos.tar.xz"
    archive.write_bytes(b"no tar")
    with pytest.raises(EvaluationError, match="cannot be unpacked"):
        extract(archive, {"shop"}, tmp_path)


@pytest.mark.parametrize("link", ["/etc/passwd", "../../outside.py"])
def test_an_archive_that_reaches_outside_is_refused(tmp_path: Path, link: str) -> None:
    archive = tmp_path / "repos.tar"
    with tarfile.open(archive, "w") as tar:
        member = tarfile.TarInfo("shop/evil.py")
        member.type, member.linkname = tarfile.SYMTYPE, link
        tar.addfile(member, io.BytesIO())
    with pytest.raises(EvaluationError, match="cannot be unpacked"):
        extract(archive, {"shop"}, tmp_path / "into")
    assert not (tmp_path / "into/shop/evil.py").exists()
