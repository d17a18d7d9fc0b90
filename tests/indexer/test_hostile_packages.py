"""A repository's own environment is written by strangers: nothing in it leads out, hangs or is read without end."""

from __future__ import annotations

import os
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from indexer.installed import Package, imported, installed, site_packages
from indexer.package_cache import load_or_build
from indexer.packages import PackageTokens

SECRET = "PRIVATE-KEY-7431"


class Characters:
    """A tokenizer: every character is a token."""

    fingerprint = "../characters"

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The site-packages of a cloned repository, with a folder and a key of the user's beside the clone."""
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "key.py").write_text(f"key = '{SECRET}'\n")
    site = tmp_path / "clone" / ".venv" / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    return site


def describe(site: Path, entry: str, name: str, version: str, tops: Iterable[str] = ()) -> Path:
    info = site / entry
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if tops:
        (info / "top_level.txt").write_text("\n".join(tops))
    return info


def within(seconds: float, work: Callable[[], None], release: Callable[[], None]) -> bool:
    """Whether work ends in time on a thread of its own; `release` frees one that hangs."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    ended = not thread.is_alive()
    if not ended:
        release()
    thread.join(seconds)
    return ended


def fed(pipe: Path) -> Callable[[], None]:
    return lambda: os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))


def text_of(place: Path) -> str:
    segment = load_or_build(Package("p", "1", place), place.parent / "cache", Characters(), lambda: False)
    return "".join(chr(token) for token in segment.tokens if token > 0) if segment else ""


@pytest.mark.parametrize("name", ["../../planted", "/../../../planted", "..", "a/../../planted"])
@pytest.mark.parametrize("version", ["1", "../../x", "/"])
def test_names_never_become_paths(site: Path, tmp_path: Path, name: str, version: str, monkeypatch) -> None:
    (site / "evil").mkdir()
    (site / "evil" / "a.py").write_text("class Evil:\n")
    describe(site, "evil-1.dist-info", name, version, ["evil"])
    monkeypatch.setattr(
        "indexer.packages.standard_library", lambda: Package(name, version, site / "evil" / "a.py")
    )
    home = tmp_path / "home" / "cache"
    before = set(tmp_path.rglob("*"))
    packages = PackageTokens(tmp_path / "clone", home, Characters())
    packages.follow(Counter(["evil"]))
    packages.wait(30)
    assert packages.tokens.find([ord(character) for character in "class "], shortest=6).length
    made = set(tmp_path.rglob("*")) - before
    assert made
    assert all(path.is_relative_to(home.parent) for path in made)
    assert all(path == home.parent or path == home or path.is_relative_to(home) for path in made)
    assert {path.name for path in home.rglob("*") if path.is_file()} == {
        "tokens.int32",
        "order.int32",
        "package.json",
    }


def test_only_importable_names_are_looked_for(site: Path, tmp_path: Path) -> None:
    (site / "good").mkdir()
    tops = [
        "../../../../../users",
        str(tmp_path / "users"),
        "..",
        ".",
        "",
        "good",
        "good/../../x",
        "a b",
        "-c",
    ]
    describe(site, "evil-1.dist-info", "evil", "1", tops)
    assert set(installed(site, tops)) == {"good"}
    texts = "\n".join(f"import {top}\nfrom {top} import x" for top in tops)
    assert all(name.isidentifier() for name in imported(texts))


@pytest.mark.parametrize("link", ["evil", "evil.py", "evil/inner", "evil/a.py", "evil-1.dist-info"])
def test_links_are_not_followed(site: Path, tmp_path: Path, link: str) -> None:
    users = tmp_path / "users"
    if link == "evil-1.dist-info":
        (users / "evil").mkdir()
        describe(users, "info", "evil", "1", ["leaked"])
        (site / "leaked").mkdir()
    else:
        describe(site, "evil-1.dist-info", "evil", "1")
    (site / link).parent.mkdir(exist_ok=True)
    target = users / "info" if link.endswith("info") else users / "key.py" if link.endswith(".py") else users
    (site / link).symlink_to(target)
    found = installed(site, ["evil", "leaked"])
    assert "leaked" not in found
    assert ("evil" in found) == (link in ("evil/inner", "evil/a.py"))
    assert SECRET not in text_of(site / link.partition("/")[0])


@pytest.mark.parametrize("name", ["METADATA", "top_level.txt"])
def test_a_pipe_in_a_description_does_not_hang(site: Path, name: str) -> None:
    (site / "evil.py").write_text("x = 1\n")
    info = describe(site, "evil-1.dist-info", "evil", "1", ["evil"])
    (info / name).unlink()
    os.mkfifo(info / name)
    assert within(20, lambda: [installed(site, ["evil"])], fed(info / name))
    assert set(installed(site, ["evil"])) == {"evil"}


@pytest.mark.parametrize("name", ["a.py", "b.py"])
def test_a_pipe_in_a_package_does_not_hang(site: Path, name: str) -> None:
    (site / "evil").mkdir()
    for file in {"a.py", "b.py"} - {name}:
        (site / "evil" / file).write_text("regular = 1\n")
    os.mkfifo(site / "evil" / name)
    read: list[str] = []
    assert within(20, lambda: read.append(text_of(site / "evil")), fed(site / "evil" / name))
    assert read == ["regular = 1\n"]


@pytest.mark.parametrize("name", ["METADATA", "top_level.txt", "../evil/big.py"])
def test_what_is_huge_is_not_read_whole(site: Path, name: str) -> None:
    (site / "evil").mkdir()
    (site / "evil" / "a.py").write_text("small = 1\n")
    info = describe(site, "evil-1.dist-info", "evil", "1", ["evil"])
    (info / name).touch()
    os.truncate(info / name, 200_000_000)
    tracemalloc.start()
    assert set(installed(site, ["evil"])) == {"evil"}
    assert text_of(site / "evil") == "small = 1\n"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


def test_files_and_folders_are_counted(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.installed.MAX_FILES", 20)
    monkeypatch.setattr("indexer.installed.MAX_FOLDERS", 10)
    for n in range(30):
        (site / "evil" / f"d{n}").mkdir(parents=True)
        (site / "evil" / f"f{n:02}.py").write_text("")
    assert len(list(Package("p", "1", site / "evil").files())) == 20
    for n in range(30):
        (site / "evil" / f"f{n:02}.py").unlink()
        (site / "evil" / f"d{n}" / "x.py").write_text("")
    assert len(list(Package("p", "1", site / "evil").files())) == 9


@pytest.mark.parametrize(
    "link", [".venv", ".venv/lib", ".venv/lib/python3.12", ".venv/lib/python3.12/site-packages"]
)
def test_an_environment_that_is_a_link_is_not_the_repositorys(tmp_path: Path, link: str, monkeypatch) -> None:
    users = tmp_path / "users" / "env"
    site = users / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    clone = tmp_path / "clone"
    (clone / link).parent.mkdir(parents=True)
    (clone / link).symlink_to(users / Path(link).relative_to(".venv"))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    assert os.path.realpath(site_packages(clone)) != str(site)
    monkeypatch.setenv(
        "VIRTUAL_ENV", str(clone / ".venv")
    )  # the user stands behind what is active, link or not
    assert os.path.realpath(site_packages(clone)) == os.path.realpath(site)


def test_an_environment_may_lie_in_a_repository_that_is_opened_through_a_link(
    site: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "clone")
    assert os.path.realpath(site_packages(tmp_path / "link")) == str(site)


@pytest.mark.parametrize(
    "piece",
    [" ", "\t", "\n", "import ", "from ", "import\t", "from .", " import", "from a", "import a\n", "a", "ä_"],
)
def test_imports_are_found_in_linear_time(piece: str) -> None:
    begin = time.thread_time()
    for start in ("", "from ", "import x"):
        imported(start + piece * (200_000 // len(piece)))
    assert time.thread_time() - begin < 2  # milliseconds; in quadratic time it would be a minute
