from __future__ import annotations

import os
from pathlib import Path

import pytest

from model.engines.onnx import graph_cache
from model.engines.onnx.graph_cache import cache_home, graph_folder


class Builder:
    """Writes one file and counts how often it was asked."""

    def __init__(self, content: str = "graph") -> None:
        self.n_built = 0
        self._content = content

    def __call__(self, folder: Path) -> None:
        self.n_built += 1
        (folder / "decoder.onnx").write_text(self._content)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEF_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "graphs"


def use(key: str, build: Builder) -> str:
    with graph_folder(key, build) as folder:
        return (folder / "decoder.onnx").read_text()


def test_a_graph_is_built_once_and_for_its_user_alone(home: Path) -> None:
    build = Builder()
    assert use("a", build) == use("a", build) == "graph"
    assert build.n_built == 1
    assert [folder.name for folder in home.iterdir()] == ["a"]
    assert home.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["changed", "missing", "no list"])
def test_a_damaged_graph_is_built_anew(home: Path, damage: str) -> None:
    build = Builder()
    use("a", build)
    file = home / "a" / ("SHA256SUMS" if damage == "no list" else "decoder.onnx")
    if damage == "changed":
        file.write_text("grapf")
    else:
        file.unlink()
    assert use("a", build) == "graph"
    assert build.n_built == 2


def test_a_build_that_fails_leaves_nothing_behind(home: Path) -> None:
    def failing(folder: Path) -> None:
        (folder / "half").write_text("of it")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"), graph_folder("a", failing):
        pass
    assert list(home.iterdir()) == []


def test_a_server_that_was_slower_takes_what_the_faster_one_built(home: Path) -> None:
    other = Builder("theirs")

    class Slow(Builder):
        def __call__(self, folder: Path) -> None:
            use("a", other)  # meanwhile
            super().__call__(folder)

    assert use("a", Slow("mine")) in ("mine", "theirs")
    assert [folder.name for folder in home.iterdir()] == ["a"]


def test_the_least_recently_used_go(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_cache, "GRAPHS_KEPT", 2)
    for age, key in enumerate(["a", "b"]):
        use(key, Builder())
        os.utime(home / key, (1000 + age, 1000 + age))
    use("a", Builder())
    use("c", Builder())
    assert {folder.name for folder in home.iterdir()} == {"a", "c"}


def test_where_the_cache_cannot_be_written_the_graph_lives_for_the_moment(home: Path) -> None:
    home.parent.mkdir()
    home.write_text("a file where the folder should be")
    build = Builder()
    with graph_folder("a", build) as folder:
        assert (folder / "decoder.onnx").read_text() == "graph"
    assert not folder.exists()


def test_the_cache_is_where_users_keep_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_home() == tmp_path / "cache"
    monkeypatch.delenv("HEF_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_home() == tmp_path / "xdg" / "hef-lsp"
