"""Folders in each other, as deep as a system lets them be: nothing calls itself, nothing is asked twice."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from indexer import IndexSettings, Watcher
from indexer.files import walk
from indexer.installed import Package
from indexer.patterns import Patterns
from indexer.rules import Rules

pytestmark = pytest.mark.skipif(os.name != "posix", reason="paths of such a length")
DEEP = 1_000


@pytest.fixture(autouse=True)
def removed(tmp_path: Path) -> Iterator[None]:
    """What removes temporary folders calls itself for each."""
    yield
    subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=True)


def dig(folder: Path, depth: int = DEEP) -> None:
    """Folders in each other, and a file in the last. Their path is longer than one that may be made at once."""
    folder.mkdir(parents=True, exist_ok=True)
    place = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=place)
        place, above = os.open("d", os.O_RDONLY, dir_fd=place), place
        os.close(above)
    with os.fdopen(os.open("deep.py", os.O_CREAT | os.O_WRONLY, dir_fd=place), "w") as file:
        file.write("value = 1\n")
    os.close(place)


def test_a_deep_tree_is_walked_at_once(root):
    dig(root)
    settings = IndexSettings()
    began = time.process_time()
    found = [item.path for item in walk(root, Rules(root, settings), settings)]
    assert time.process_time() - began < 5  # more than 25 where each folder asks for all above it
    assert found == ["d/" * DEEP + "deep.py"]


def test_a_deep_tree_is_watched_or_it_is_said_that_it_is_not(root):
    dig(root)
    watcher = Watcher(root, lambda paths: None)
    with suppress(OSError):  # a sentence; anything else would end the thread that indexes
        watcher.start()
    assert watcher.stop()


def test_what_is_known_of_a_folder_is_not_asked_again_for_each_file_in_it(root, write, monkeypatch):
    write(".gitignore", "*.log\n")
    rules, asked, verdict = Rules(root), [], Patterns.verdict
    monkeypatch.setattr(Patterns, "verdict", lambda *given: asked.append(given) or verdict(*given))
    for number in range(100):
        assert rules.why_not("d/" * 100 + f"{number}.py") is None
    assert len(asked) < 100 * 20


def test_folders_that_are_out_are_remembered_as_such(root, write):
    write("a/.gitignore", "build/\n")
    write("a/build/.gitignore", "!kept.py\n")
    rules = Rules(root)
    for _ in range(2):
        assert rules.why_not("a/build/kept.py") == "ignored"
        assert rules.why_not("a/build/.ssh/config") == "secret"
        assert rules.why_not("a/build/.ssh/deeper/x.py") == "secret"
        assert rules.why_not("a/kept.py") is None


def test_a_package_is_read_as_deep_as_packages_are(tmp_path):
    dig(tmp_path / "thing")
    dig(tmp_path / "thing" / "inner", 20)
    (tmp_path / "thing" / "__init__.py").touch()
    found = list(Package("thing", "1", tmp_path / "thing").files())
    assert found == ["thing/__init__.py", "thing/inner/" + "d/" * 20 + "deep.py"]
