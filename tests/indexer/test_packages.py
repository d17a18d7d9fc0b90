"""Installed packages as tokens: which ones, built once, shared through the cache, never in the way."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer import Index
from indexer.installed import Package, imported, installed, site_packages
from indexer.package_cache import load_or_build
from indexer.packages import PackageTokens


class Characters:
    """A tokenizer: every character is a token. Counts what it was asked."""

    fingerprint = "characters"

    def __init__(self) -> None:
        self.n_texts = 0

    def encode(self, text: str) -> list[int]:
        self.n_texts += 1
        return [ord(character) for character in text]


class Waiting(Characters):
    """One that a test holds up where it reads packages."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.goes_on = threading.Event(), threading.Event()

    def encode(self, text: str) -> list[int]:
        if threading.current_thread().name == "hef-packages":
            self.began.set()
            assert self.goes_on.wait(30)
        return super().encode(text)


def install(root: Path, name: str, version: str, files: dict[str, str], tops: Sequence[str] = ()) -> Path:
    site = root / ".venv" / "lib" / "python3.12" / "site-packages"
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if tops:
        (info / "top_level.txt").write_text("\n".join(tops))
    return site


@pytest.fixture
def root(tmp_path: Path) -> Path:
    install(tmp_path, "web-things", "1.0", {"web_things/app.py": "class WebApp:\n    pass\n"})
    install(tmp_path, "Odd", "2.0", {"oddly/__init__.py": "def odd_call():\n    pass\n", "single.py": "x = 1\n"},
            ["oddly", "single"])  # fmt: skip
    return tmp_path


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import os\nfrom web_things.app import WebApp\n", {"os", "web_things"}),
        ("def f():\n    import numpy as np\n", {"numpy"}),
        ("from . import sibling\nfrom .other import x\n", set()),
        ("# import nothing\nimportant = 1\n", set()),
    ],
)
def test_top_level_modules_are_read_from_import_statements(text: str, names: set[str]) -> None:
    assert imported(text) == names


def test_importable_names_lead_to_distributions(root: Path) -> None:
    found = installed(site_packages(root), ["web_things", "oddly", "single", "absent"])
    assert {name: (package.name, package.version, package.place.name) for name, package in found.items()} == {
        "web_things": ("web_things.web_things", "1.0", "web_things"),
        "oddly": ("Odd.oddly", "2.0", "oddly"),
        "single": ("Odd.single", "2.0", "single.py"),
    }


def followed(
    root: Path,
    tokenizer: Characters,
    monkeypatch: pytest.MonkeyPatch,
    tell: Callable[[bool], None] = lambda reading: None,
    imports: Sequence[str] = ("web_things", "oddly", "oddly"),
) -> PackageTokens:
    library = root / "library"
    library.mkdir(exist_ok=True)
    (library / "json.py").write_text("def dumps(value):\n")
    monkeypatch.setattr("indexer.packages.standard_library", lambda: Package("python", "3.99", library))
    packages = PackageTokens(root, root / "cache", tokenizer, tell)
    packages.follow(Counter(imports))
    if not isinstance(tokenizer, Waiting):
        packages.wait(30)
    return packages


def found(packages: PackageTokens, text: str) -> str:
    rows = packages.tokens.find(
        [ord(character) for character in text], shortest=len(text), width=6
    ).continuations
    return "".join(chr(token) for row in rows.tolist() for token in row if token >= 0)


def test_what_is_imported_is_found_and_built_only_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Characters()
    packages = followed(root, tokenizer, monkeypatch)
    assert [found(packages, text) for text in ("class ", "def odd", "def du", "x =")] == [
        "WebApp",
        "_call(",
        "mps(va",
        "",
    ]
    n_texts = tokenizer.n_texts
    again = followed(root, tokenizer, monkeypatch)
    assert found(again, "class ") == "WebApp"
    assert tokenizer.n_texts == n_texts


def test_it_is_told_when_reading_begins_and_ends(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    packages = followed(root, Characters(), monkeypatch, told.append)
    assert told == [True, False]
    packages.follow(Counter(["web_things", "oddly", "oddly"]))  # as before: nothing to read
    packages.wait(30)
    assert told == [True, False]


def test_another_version_is_another_package(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    followed(root, Characters(), monkeypatch)
    site = site_packages(root)
    (site / "web_things" / "app.py").write_text("class Renamed:\n    pass\n")
    (site / "web_things-1.0.dist-info").rename(site / "web_things-1.1.dist-info")
    metadata = site / "web_things-1.1.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("1.0", "1.1"))
    assert found(followed(root, Characters(), monkeypatch), "class ") == "Rename"


def test_a_build_can_be_stopped(root: Path) -> None:
    stopped = threading.Event()
    stopped.set()
    package = Package("web-things", "1.0", site_packages(root) / "web_things")
    assert load_or_build(package, root / "cache", Characters(), stopped.is_set) is None
    assert not (root / "cache").exists()


def test_a_package_is_cut_at_its_limit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.package_cache.MAX_CHARS", 30)
    site = install(root, "big", "1", {"big/a.py": "a" * 20, "big/b.py": "b" * 20})
    segment = load_or_build(Package("big", "1", site / "big"), root / "cache", Characters(), lambda: False)
    assert segment is not None
    assert np.count_nonzero(segment.tokens == ord("a")) == 20
    assert ord("b") not in segment.tokens


def test_the_newest_wish_is_not_lost_while_another_is_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    tokenizer = Waiting()
    packages = followed(
        root, tokenizer, monkeypatch, told.append, imports=[]
    )  # the first session: no file is read yet
    assert tokenizer.began.wait(30)
    packages.follow(Counter(["web_things"]))
    packages.follow(Counter(["oddly"]))
    tokenizer.goes_on.set()
    packages.wait(30)
    assert [found(packages, text) for text in ("def du", "def odd", "class ")] == ["mps(va", "_call(", ""]
    assert told == [True, False]


def test_a_wish_is_dropped_by_stopping(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Waiting()
    packages = followed(root, tokenizer, monkeypatch, imports=[])
    assert tokenizer.began.wait(30)
    packages.follow(Counter(["oddly"]))
    packages.stop(0)
    tokenizer.goes_on.set()
    packages.wait(30)
    packages.follow(Counter(["web_things"]))
    packages.wait(30)
    assert found(packages, "def odd") == found(packages, "class ") == ""


def test_what_is_loaded_is_not_loaded_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def counted(package: Package, *arguments: Any) -> Any:
        loaded.append(package.name)
        return load_or_build(package, *arguments)

    monkeypatch.setattr("indexer.packages.load_or_build", counted)
    packages = followed(root, Characters(), monkeypatch, imports=["oddly"])
    packages.wait(30)
    packages.follow(Counter(["oddly", "web_things"]))
    packages.wait(30)
    assert loaded == ["python", "Odd.oddly", "web_things.web_things"]
    assert found(packages, "class ") == "WebApp"


def test_a_package_that_is_gone_is_forgotten_on_disk_as_well(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = followed(root, Characters(), monkeypatch)
    word = "WebApp".encode("utf-32-le")
    assert any(word in file.read_bytes() for file in (root / "cache").rglob("*.int32"))
    shutil.rmtree(root / ".venv")
    packages.follow(Counter(["web_things", "oddly", "oddly"]))
    packages.wait(30)
    assert found(packages, "class ") == ""
    assert not any(word in file.read_bytes() for file in (root / "cache").rglob("*") if file.is_file())


def test_the_first_session_reads_what_its_files_import(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, ended = root / "library", threading.Event()
    library.mkdir()
    (library / "json.py").write_text("def dumps(value):\n")
    monkeypatch.setattr("indexer.packages.standard_library", lambda: Package("python", "3.99", library))
    monkeypatch.setenv("HEF_CACHE_DIR", str(root / "cache"))
    (root / "project").mkdir()
    (root / ".venv").rename(root / "project" / ".venv")
    (root / "project" / "main.py").write_text("import web_things\n")
    tokenizer = Waiting()
    arguments = {"tokenizer": tokenizer, "on_packages": lambda reading: None if reading else ended.set()}
    with closing(Index.open(root / "project", None, **arguments)) as index:
        index.update()
        tokenizer.goes_on.set()
        assert ended.wait(30)
        assert index.packages is not None
        assert index.packages.find([ord(character) for character in "class "], shortest=6).length == 6
