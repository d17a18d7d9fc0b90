from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model.checkpoint.files import WeightsError, sha256_of
from model.engines.onnx import graph_cache
from model.engines.onnx.graph_cache import graph_folder
from model.loading import load_model


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


# --- whatever stands in the cache -------------------------------------------------------------------------------------


def tokens(folder: Path) -> tuple[int, ...]:
    decoder = load_model(str(folder), engine="onnx", device="cpu").decoder
    logits = decoder.extend(decoder.embed(range(10, 40)), all_rows=True)
    return tuple(logits.argmax(axis=-1).tolist())


def flip(file: Path, place: float) -> None:
    raw = bytearray(file.read_bytes())
    raw[int(place * len(raw))] ^= 1
    file.write_bytes(raw)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGE = {damage.__name__: damage for damage in (cut, empty, fifo, directory)}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_gives_the_tokens_of_a_fresh_one(
    home: Path, tiny_folder: Path, damage: Callable[[Path], None]
) -> None:
    fresh = tokens(tiny_folder)
    for file in sorted(home.glob("*/*")):
        damage(file)
    assert tokens(tiny_folder) == fresh
    assert all(entry.is_file() for entry in home.glob("*/*"))


def test_no_flipped_byte_is_taken_for_whole(home: Path, tiny_folder: Path) -> None:
    fresh = tokens(tiny_folder)
    files = sorted(home.glob("*/*"))
    wholes = {file: file.read_bytes() for file in files}
    for n in range(100):
        file = files[n % len(files)]
        flip(file, n / 100)
        assert not graph_cache._is_whole(file.parent), (file, n)
        file.write_bytes(wholes[file])
    for file in files:
        flip(file, 0.7)
    assert tokens(tiny_folder) == fresh


def test_a_list_that_was_cut_or_a_file_beside_it_is_damage(home: Path) -> None:
    def two(folder: Path) -> None:
        (folder / "a").write_text("a")
        (folder / "b").write_text("b")

    with graph_folder("k", two):
        pass
    sums = home / "k" / "SHA256SUMS"
    sums.write_text(sums.read_text().splitlines()[0] + "\n")
    assert not graph_cache._is_whole(home / "k")
    with graph_folder("k", two):
        assert graph_cache._is_whole(home / "k")
    (home / "k" / "c").write_text("c")
    assert not graph_cache._is_whole(home / "k")


@pytest.fixture
def read_whole(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were read whole."""
    names: list[str] = []

    def noted(file: Path) -> str:
        names.append(file.name)
        return sha256_of(file)

    monkeypatch.setattr(graph_cache, "sha256_of", noted)
    return names


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written just now counts as written long ago."""
    monkeypatch.setattr(graph_cache, "_SETTLED_SECONDS", -60.0)


@pytest.mark.usefixtures("settled")
def test_what_was_found_sound_is_not_read_whole_again(home: Path, read_whole: list[str]) -> None:
    build = Builder()
    for _ in range(2):
        use("a", build)
    read_whole.clear()
    use("a", build)
    assert (build.n_built, read_whole) == (1, [])


def test_what_is_new_is_read_whole_again(home: Path, read_whole: list[str]) -> None:
    """A change in the same tick of the file system's clock would leave the times as they are."""
    use("a", Builder())
    for _ in range(2):
        read_whole.clear()
        use("a", Builder())
        assert read_whole == ["decoder.onnx"]


def keep_the_times(file: Path) -> None:
    """Another byte, and the size and times of before."""
    before = file.stat()
    flip(file, 0.5)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_it(file: Path) -> None:
    """By another file of the same size and times."""
    before, other = file.stat(), file.with_name("other")
    other.write_text("grapf")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)


def lose_the_note(file: Path) -> None:
    flip(file.with_name(graph_cache._FOUND_SOUND), 0.9)
    flip(file, 0.5)


CHANGES = {change.__name__: change for change in (keep_the_times, replace_it, lose_the_note)}


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_noticed_behind_what_was_found_sound(home: Path, change: Callable[[Path], None]) -> None:
    build = Builder()
    for _ in range(2):
        use("a", build)
    time.sleep(0.02)  # a tick of the file system's clock
    change(home / "a" / "decoder.onnx")
    assert use("a", build) == "graph"
    assert build.n_built == 2


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_note_that_is_none_is_damage_at_most(home: Path, damage: Callable[[Path], None]) -> None:
    for _ in range(2):
        use("a", Builder())
    note = home / "a" / graph_cache._FOUND_SOUND
    damage(note)
    for _ in range(2):
        assert use("a", Builder()) == "graph"
    assert note.is_file()


STANDS_THERE = {
    "a file": lambda place: place.write_text("x"),
    "a FIFO": os.mkfifo,
    "a link to nothing": lambda place: place.symlink_to(place.parent / "absent"),
    "a link to a folder": lambda place: place.symlink_to(place.parent.parent),
}


@pytest.mark.parametrize("put", STANDS_THERE.values(), ids=STANDS_THERE)
def test_what_stands_in_a_graph_s_place_goes(home: Path, put: Callable[[Path], object]) -> None:
    home.mkdir(parents=True)
    put(home / "a")
    assert use("a", Builder()) == "graph"
    assert (home / "a").is_dir()
    assert not (home / "a").is_symlink()
    assert (home.parent).is_dir()


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o277])
def test_the_folder_is_its_user_s_whatever_the_umask(home: Path, umask: int) -> None:
    home.parent.mkdir()
    before = os.umask(umask)
    try:
        assert use("a", Builder()) == "graph"
    finally:
        os.umask(before)
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_could_write_is_closed(home: Path) -> None:
    home.mkdir(parents=True)
    home.chmod(0o777)
    use("a", Builder())
    assert home.stat().st_mode & 0o777 == 0o700


def test_another_user_s_cache_is_not_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use("a", Builder("evil"))
    monkeypatch.setattr("os.getuid", lambda: 12345)
    assert use("a", Builder()) == "graph"


def test_a_full_disk_is_said(home: Path) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(WeightsError, match=r"can be written neither to .*No space left"),
        graph_folder("a", full),
    ):
        pass
    assert list(home.iterdir()) == []


def test_what_a_faster_server_has_open_is_not_pulled_from_under_it(home: Path) -> None:
    build, inodes = Builder(), []

    class Slow(Builder):
        def __call__(self, folder: Path) -> None:
            use("a", build)  # meanwhile
            inodes.append((home / "a" / "decoder.onnx").stat().st_ino)
            super().__call__(folder)

    use("a", Slow())
    assert inodes == [(home / "a" / "decoder.onnx").stat().st_ino]


def test_graphs_are_bounded_in_bytes_and_old_drafts_go(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_cache, "BYTES_KEPT", 100)
    for age, key in enumerate(["a", "b"]):
        use(key, Builder())
        os.utime(home / key, (1000 + age, 1000 + age))
    for name, when in ((".old", 1000), (".new", time.time())):
        (home / name).mkdir()
        os.utime(home / name, (when, when))
    use("c", Builder())
    assert {entry.name for entry in home.iterdir()} == {"b", "c", ".new"}
