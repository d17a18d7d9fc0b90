"""Which packages' signatures a repository has: installed or pinned, read once, or a team's store's."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from indexer import Index
from indexer.distributions import NotPublicError, public_distribution
from indexer.package_signatures import PackageSignatures
from indexer.pins import is_version, normalized, pinned
from indexer.query import PACKAGE, Hit, Query
from indexer.sharing import PackageAnswer, TeamVectors
from indexer.signature_cache import SignatureCache
from indexer.signatures import Signature, SignatureTable
from tests.indexer.test_packages import install


def table(package: str, version: str, name: str = "from_the_store") -> SignatureTable:
    return SignatureTable(package, version, [Signature(f"{package}/a.py", 1, -1, name, f"def {name}():")])


class Shelf:
    """A `PackageStore` in memory."""

    def __init__(self, *tables: SignatureTable, problem: str = "") -> None:
        self.asked: list[tuple[str, str]] = []
        self.tables = {(one.package, one.version): one for one in tables}
        self.problem = problem

    def signatures(self, package: str, version: str, kept: Path) -> PackageAnswer:
        self.asked.append((package, version))
        return PackageAnswer(self.tables.get((package, version)), self.problem)

    def vectors(self, package: str, version: str) -> TeamVectors | None:
        return None


@pytest.fixture
def root(tmp_path: Path) -> Path:
    install(
        tmp_path / "root",
        "Web-Things",
        "1.0",
        {"web_things/app.py": "class WebApp:\n    def run(self): ...\n"},
    )
    return tmp_path / "root"


def followed(root: Path, store: Shelf | None = None, *names: str) -> PackageSignatures:
    found = PackageSignatures(root, root.parent / "home", store, root.parent / "kept")
    found.follow(Counter(names or ("web_things",)))
    found.wait(20)
    return found


def names_of(found: PackageSignatures) -> dict[str, list[str]]:
    return {top: [row.name for row in its.rows] for top, its in found.tables.items()}


def test_what_is_installed_is_read_once_for_all(root: Path) -> None:
    found = followed(root)
    assert names_of(found) == {"web_things": ["WebApp", "run"]}
    assert (found.tables["web_things"].package, found.tables["web_things"].version) == ("web-things", "1.0")
    (kept,) = (root.parent / "home" / "signatures").glob("*/*")
    assert kept.stat().st_mode & 0o077 == 0
    (root / ".venv/lib/python3.12/site-packages/web_things/app.py").unlink()
    assert names_of(followed(root)) == {"web_things": ["WebApp", "run"]}, "from the cache"
    kept.write_bytes(kept.read_bytes()[:-9])
    assert names_of(followed(root)) == {"web_things": []}, "half a file is none"


def test_what_is_kept_goes_with_its_package(root: Path) -> None:
    followed(root)
    cache = root.parent / "home" / "signatures"
    assert len(list(cache.glob("*/*"))) == 1
    (root / ".venv").rename(root / "other")
    SignatureCache(root.parent / "home").forget_gone()
    assert list(cache.glob("*/*")) == []


def test_what_nobody_used_for_long_goes(root: Path) -> None:
    followed(root)
    (kept,) = (root.parent / "home" / "signatures").glob("*/*")
    os.utime(kept, (0, time.time() - 40 * 86_400))
    SignatureCache(root.parent / "home").forget_gone()
    assert not kept.exists()


def test_the_store_is_asked_for_what_was_not_read_yet_and_then_no_more(root: Path) -> None:
    store = Shelf(table("web-things", "1.0"))
    assert names_of(followed(root, store)) == {"web_things": ["from_the_store"]}
    assert store.asked == [("web-things", "1.0")]
    followed(root)  # reads it
    assert names_of(followed(root, store)) == {"web_things": ["WebApp", "run"]}
    assert len(store.asked) == 1


def test_a_store_without_it_or_in_trouble_costs_nothing(root: Path) -> None:
    found = followed(root, Shelf(table("web-things", "2.0"), problem="The team's store cannot be reached."))
    assert names_of(found) == {"web_things": ["WebApp", "run"]}
    assert found.problem == "The team's store cannot be reached."


def test_a_store_that_was_in_trouble_is_asked_again_after_a_while(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "uv.lock").write_text('[[package]]\nname = "far-away"\nversion = "3.1"\n')
    store = Shelf(problem="The team's store cannot be reached.")
    found = followed(root, store, "far_away")
    found.follow(Counter(["far_away"]))
    found.wait(20)
    assert len(store.asked) == 1
    monkeypatch.setattr("indexer.package_signatures.AGAIN_SECONDS", 0.0)
    store.problem, store.tables = "", {("far-away", "3.1"): table("far-away", "3.1")}
    found.follow(Counter(["far_away"]))
    found.wait(20)
    assert names_of(found) == {"far_away": ["from_the_store"]}
    assert found.problem == ""


def test_what_is_pinned_and_not_installed_comes_from_the_store(root: Path) -> None:
    (root / "uv.lock").write_text('[[package]]\nname = "Far.Away"\nversion = "3.1"\nsource = 1\n')
    store = Shelf(table("far-away", "3.1"))
    found = followed(root, store, "far_away", "web_things", "unknown")
    assert names_of(found) == {"far_away": ["from_the_store"], "web_things": ["WebApp", "run"]}
    assert names_of(followed(root, None, "far_away")) == {}


def test_local_versions_are_not_asked_for(root: Path) -> None:
    install(root, "torchy", "2.0+cpu", {"torchy/a.py": "def f(): ...\n"})
    store = Shelf()
    assert names_of(followed(root, store, "torchy")) == {"torchy": ["f"]}
    assert store.asked == []


def test_an_index_tells_and_says_in_its_status_what_is_wrong(root: Path) -> None:
    with closing(Index.open(root, None, root.parent / "cache")) as index:
        index.mirrors.signatures = followed(root, Shelf(problem="The team's store cannot be reached."))
        (found,) = index.search(Query("app.py", "from web_things import WebApp\n\napp = WebApp(", "", None))
        assert (found.path, found.level) == ("web_things/app.py", PACKAGE)
        assert index.stats().team == "The team's store cannot be reached."


def test_hits_of_packages_stand_behind_the_best(root: Path) -> None:
    found = followed(root)
    hits = [Hit(f"{n}.py", 1, 2, "chunk", 1.0 / n, "", "", None) for n in (1, 2)]  # type: ignore[arg-type]
    query = Query("app.py", "from web_things import WebApp\n\napp = WebApp(", "", None)
    assert [hit.level for hit in found.among(hits, query, 2)] == ["chunk", PACKAGE, "chunk"]
    assert found.among(hits, query, 0) == hits


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("uv.lock", 'name = "a"\nversion = "1.0"\n[[package]]\nname = "b"\nversion = "2"\n', {"a": "1.0", "b": "2"}),
        ("poetry.lock", '[[package]]\r\nname = "A_b"\r\nversion = "1.0"\r\n', {"a-b": "1.0"}),
        ("requirements.txt", "a==1.0\nb[x]==2.0 ; os_name > '3'\nc>=1\nd==1.*\n", {"a": "1.0", "b": "2.0"}),
        ("pyproject.toml", 'dependencies = ["a==1.0", "b>=2"]\n', {"a": "1.0"}),
        ("uv.lock", 'name = "a"\nversion = "1"\nname = "a"\nversion = "2"\n', {}),
        ("uv.lock", 'name = "../../x"\nversion = "1.0"\nname = "y"\nversion = "../../1"\n', {}),
    ],
)  # fmt: skip
def test_pins_are_read_from_what_says_them(
    tmp_path: Path, file: str, text: str, found: dict[str, str]
) -> None:
    (tmp_path / file).write_bytes(text.encode())
    assert pinned(tmp_path) == found


def test_a_link_is_no_lock_and_names_are_no_paths(tmp_path: Path) -> None:
    (tmp_path / "users.lock").write_text('name = "a"\nversion = "1.0"\n')
    root = tmp_path / "root"
    root.mkdir()
    (root / "uv.lock").symlink_to(tmp_path / "users.lock")
    assert pinned(root) == {}
    assert [normalized(name) for name in ("A.b_c", "../x", "x/y", "", "a\n")] == ["a-b-c", "", "", "", ""]
    assert [is_version(one) for one in ("1!2.0rc1", "1.0+cpu", "../1", "1/2", "", "main")] == [True] + [
        False
    ] * 5


def test_long_lists_are_read_in_linear_time(tmp_path: Path) -> None:
    took = []
    for n in (20_000, 80_000):
        (tmp_path / "requirements.txt").write_text("a-" * n + "=" * n + "[" * n + "a==" * n)
        began = time.thread_time()
        pinned(tmp_path)
        took.append(time.thread_time() - began)
    assert took[1] < 16 * max(took[0], 0.01)


class TestPublicDistributions:
    def test_is_found_by_its_name_with_its_modules(self, root: Path) -> None:
        site = install(
            root, "Odd", "2.0", {"oddly/__init__.py": "", "single.py": ""}, ["oddly", "single", "../x"]
        )
        one = public_distribution(site, "odd")
        assert (one.name, one.version) == ("odd", "2.0")
        assert [package.place.name for package in one.packages] == ["oddly", "single.py"]
        assert public_distribution(site, "web_things").packages[0].place == site / "web_things"

    @pytest.mark.parametrize(
        ("name", "version", "spoil", "said"),
        [
            (
                "ours",
                "1.0",
                {"direct_url.json": json.dumps({"url": "file:///src/ours"})},
                "not from an index",
            ),
            ("ours", "1.0", {"METADATA": "Name: ours\nClassifier: Private :: Do Not Upload\n"}, "private"),
            ("ours", "1.0+team", {}, "no version that a public index"),
            ("../ours", "1.0", {}, "There is no"),
            ("absent", "1.0", {}, "There is no"),
        ],
    )
    def test_what_no_public_index_can_have_is_refused(
        self, root: Path, name: str, version: str, spoil: dict[str, str], said: str
    ) -> None:
        site = install(root, "ours", version, {"ours/a.py": ""})
        for file, text in spoil.items():
            (site / f"ours-{version}.dist-info" / file).write_text(text)
        with pytest.raises(NotPublicError, match=said):
            public_distribution(site, name)
