"""Open documents count as the files that they really are, by the rules that hold for those."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from indexer import Query
from indexer import rules as rules_module

TEXT = "class OverlayedThing:\n    pass\n"


@pytest.fixture
def index(open_index, write: Callable[[str, str], Path]):
    write(".gitignore", "ignored/\n")
    write("main.py", "x = 1\n")
    write("ignored/x.py", "y = 1\n")
    write(".env", "KEY=1\n")
    write("../outside.py", "z = 1\n")
    index = open_index()
    index.update()
    return index


def shown(index) -> set[str]:
    hits = index.search(Query("somewhere.py", "OverlayedThing(", "", None))
    return {hit.path for hit in hits if "OverlayedThing" in hit.text}


@pytest.mark.parametrize(
    "target", [".env", "ignored/x.py", "../outside.py", "../absent.py", "ignored/absent.py"]
)
@pytest.mark.parametrize("linked", ["file", "chain"])
def test_a_link_to_what_is_left_out_is_left_out(index, root, target, linked):
    (root / "link.py").symlink_to(root / target)
    (root / "chain.py").symlink_to("link.py")
    assert index.overlay(root / ("link.py" if linked == "file" else "chain.py"), TEXT).chunks == 0
    assert shown(index) == set()


def test_a_secret_name_of_an_ordinary_file_is_left_out(index, root):
    (root / "id_rsa").symlink_to("main.py")
    assert index.overlay(root / "id_rsa", TEXT).chunks == 0


def test_a_link_to_an_ordinary_file_counts_as_that_file(index, root):
    (root / "link.py").symlink_to("main.py")
    index.overlay(root / "link.py", TEXT)
    assert shown(index) == {"main.py"}
    index.overlay(root / "main.py", TEXT)
    index.overlay(root / "link.py", None)
    assert shown(index) == {"main.py"}
    index.overlay(root / "main.py", None)
    assert shown(index) == set()


def test_a_link_that_turns_to_another_file_takes_its_document_along(index, root, write):
    write("other.py", "w = 1\n")
    (root / "link.py").symlink_to("main.py")
    index.overlay(root / "link.py", TEXT)
    (root / "link.py").unlink()
    (root / "link.py").symlink_to("other.py")
    index.overlay(root / "link.py", TEXT + "\n")
    assert shown(index) == {"other.py"}
    (root / "link.py").unlink()
    (root / "link.py").symlink_to(".env")
    index.overlay(root / "link.py", TEXT)
    assert shown(index) == set()


def test_the_limit_counts_bytes(open_index, root):
    index = open_index(max_file_bytes=1_000)
    assert index.overlay(root / "x.py", "y = '" + "ä" * 490 + "'\n").chunks == 1
    assert index.overlay(root / "x.py", "y = '" + "ä" * 600 + "'\n").chunks == 0


@pytest.mark.parametrize("name", ["nul\0.py", "lone\udcff.py"])
def test_a_name_that_no_file_can_have_is_left_out(index, root, name):
    assert index.overlay(root / name, TEXT).chunks == 0
    index.overlay(root / name, None)


def test_rules_are_read_when_they_change_and_not_at_every_edit(index, root, write, monkeypatch):
    made, init = [], rules_module.Rules.__init__

    def counted(self, *arguments, **settings):
        made.append(self)
        init(self, *arguments, **settings)

    monkeypatch.setattr(rules_module.Rules, "__init__", counted)
    for n in range(10):
        index.overlay(root / "main.py", TEXT + f"n = {n}\n")
    assert len(made) <= 1
    assert shown(index) == {"main.py"}
    write(".gitignore", "ignored/\nmain.py\n")
    index.overlay(root / "main.py", TEXT)
    assert shown(index) == set()
