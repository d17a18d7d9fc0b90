"""Packages on disk: what is damaged is built anew and never believed, what nobody needs goes."""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

from indexer.installed import Package
from indexer.package_cache import MAX_KEPT, UNUSED_DAYS, cache_of, forget_gone, load_or_build
from indexer.suffix_index import Segment

TEXT = "class WebApp:\n    pass\n" * 20
DAY = 86_400


class Characters:
    """A tokenizer: every character is a token. Counts what it was asked."""

    fingerprint = "characters"

    def __init__(self) -> None:
        self.n_texts = 0

    def encode(self, text: str) -> list[int]:
        self.n_texts += 1
        return [ord(character) for character in text]


@pytest.fixture
def tokenizer() -> Characters:
    return Characters()


@pytest.fixture
def package(tmp_path: Path) -> Package:
    place = tmp_path / "site" / "web"
    place.mkdir(parents=True)
    (place / "app.py").write_text(TEXT)
    return Package("web", "1.0", place)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def load(home: Path, tokenizer: Characters) -> Callable[[Package], Segment | None]:
    return lambda package: load_or_build(package, cache_of(home, tokenizer), tokenizer, lambda: False)


def files(home: Path) -> dict[str, Path]:
    return {file.name: file for file in home.rglob("*") if file.is_file()}


def folders(home: Path) -> Iterator[Path]:
    return (file.parent for file in home.rglob("package.json"))


def text_of(segment: Segment | None) -> str:
    assert segment is not None
    return "".join(chr(token) for token in segment.tokens if token > 0)


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(change(file.read_bytes()))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": rewritten(lambda content: content[: len(content) // 2]),
    "cut within a number": rewritten(lambda content: content[:-1]),
    "empty": rewritten(lambda content: b""),
    "longer": rewritten(lambda content: content + b"\0\0\0\0"),
    "first byte": rewritten(lambda content: bytes([content[0] ^ 1]) + content[1:]),
    "last byte": rewritten(lambda content: content[:-1] + bytes([content[-1] ^ 128])),
    "a byte within": rewritten(lambda content: content[:101] + bytes([content[101] ^ 16]) + content[102:]),
    "zeros": rewritten(lambda content: bytes(len(content))),
    "other": rewritten(lambda content: os.urandom(len(content))),
    "nested": rewritten(lambda content: b"[" * 60_000),
    "gone": lambda file: file.unlink(),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "a pipe": lambda file: (file.unlink(), os.mkfifo(file)),
    "a link": lambda file: (file.unlink(), file.symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["tokens.int32", "order.int32", "package.json"])
def test_damage_is_built_anew_at_once(package, home, load, tokenizer, damage: str, name: str) -> None:
    fresh = load(package)
    fresh = np.array(fresh.tokens), np.array(fresh.order)
    DAMAGE[damage](files(home)[name])
    found = load(package)
    assert np.array_equal(found.tokens, fresh[0])
    assert np.array_equal(found.order, fresh[1])
    assert tokenizer.n_texts == 2
    load(package)
    assert tokenizer.n_texts == 2
    assert len(list(home.glob("packages/*/*"))) == 1


@pytest.mark.parametrize(
    ("name", "row", "value"),
    [("order.int32", 3, 10**6), ("order.int32", 3, -5), ("order.int32", 0, 2), ("tokens.int32", 30, -2),
     ("tokens.int32", 0, 65), ("tokens.int32", -1, 65)],
)  # fmt: skip
def test_positions_out_of_bounds_are_refused_though_their_checksum_fits(
    package, home, load, tokenizer, name: str, row: int, value: int
) -> None:
    load(package)
    array = np.fromfile(files(home)[name], np.int32)
    array[row] = value
    array.tofile(files(home)[name])
    about = json.loads(files(home)["package.json"].read_text())
    arrays = (files(home)[part].read_bytes() for part in ("tokens.int32", "order.int32"))
    about["checksums"] = [blake2b(content, digest_size=16).hexdigest() for content in arrays]
    files(home)["package.json"].write_text(json.dumps(about))
    assert text_of(load(package)) == TEXT
    assert tokenizer.n_texts == 2


def test_another_version_takes_the_place_of_the_one_before(package, home, load) -> None:
    load(package)
    (package.place / "app.py").write_text("renamed = 1\n")
    assert text_of(load(Package("web", "1.1", package.place))) == "renamed = 1\n"
    assert "WebApp".encode("utf-32-le") not in b"".join(file.read_bytes() for file in files(home).values())


def test_the_same_name_elsewhere_is_another_package(package, tmp_path, load) -> None:
    """A cloned repository cannot say what is in the user's own packages."""
    assert text_of(load(package)) == TEXT
    other = tmp_path / "clone" / "web"
    other.mkdir(parents=True)
    (other / "app.py").write_text("import evil\n")
    assert text_of(load(Package("web", "1.0", other))) == "import evil\n"
    assert text_of(load(package)) == TEXT


def test_folders_are_the_users_alone(package, home, load) -> None:
    before = os.umask(0)
    try:
        load(package)
    finally:
        os.umask(before)
    modes = {
        stat.S_IMODE(folder.stat().st_mode)
        for folder in home.glob("*/")
        for folder in (folder, *folder.iterdir())
    }
    assert modes == {0o700}


def test_what_is_there_stays(package, home, load, tokenizer) -> None:
    load(package)
    forget_gone(home)
    assert text_of(load(package)) == TEXT
    assert tokenizer.n_texts == 1


def test_what_is_gone_goes(package, home, load, tmp_path) -> None:
    load(package)
    module = tmp_path / "site" / "single.py"
    module.write_text("single = 1\n")
    load(Package("single", "1", module))
    shutil.rmtree(package.place)
    forget_gone(home)
    (folder,) = folders(home)
    assert json.loads((folder / "package.json").read_text())["name"] == "single"
    shutil.rmtree(tmp_path / "site")
    forget_gone(home)
    assert files(home) == {}


def test_what_is_unused_for_long_goes(package, home, load) -> None:
    load(package)
    (folder,) = folders(home)
    os.utime(folder, (0, time.time() - (UNUSED_DAYS - 1) * DAY))
    forget_gone(home)
    assert files(home)
    os.utime(folder, (0, time.time() - (UNUSED_DAYS + 1) * DAY))
    forget_gone(home)
    assert not files(home)


def test_no_more_than_a_number_of_packages_is_kept(home, load, tmp_path) -> None:
    packages = []
    for n in range(MAX_KEPT + 3):
        place = tmp_path / f"module{n}.py"
        place.write_text(f"x = {n}\n")
        packages.append(Package("m", "1", place))
        load(packages[-1])
    for folder in folders(home):
        place = json.loads((folder / "package.json").read_text())["place"]
        os.utime(folder, (0, time.time() - 1_000 + int(Path(place).stem[6:])))
    forget_gone(home)
    kept = {json.loads((folder / "package.json").read_text())["place"] for folder in folders(home)}
    assert kept == {str(package.place) for package in packages[3:]}


def test_what_a_killed_process_left_goes(package, home, load) -> None:
    load(package)
    (folder,) = folders(home)
    draft = folder.with_name(folder.name + ".0123456789abcdef0123456789abcdef")
    shutil.copytree(folder, draft)
    forget_gone(home)
    assert draft.exists()  # another process may be writing it
    os.utime(draft, (0, time.time() - 7_200))
    forget_gone(home)
    assert not draft.exists()
    assert folder.exists()


def test_the_format_before_goes_and_nothing_else(home, package, load) -> None:
    load(package)
    for old in ("0123456789abcdef/python-3.12.3", "0123456789abcdef/web.web-1.0.99", "characters/x-1"):
        (home / old).mkdir(parents=True)
        np.save(home / old / "tokens.npy", np.zeros(3))
        np.save(home / old / "order.npy", np.zeros(3))
    kept = {
        home / "shop-0123456789ab/v1-0123456789ab/index.sqlite",
        home / "packages-0123456789ab/v1-0123456789ab/index.sqlite",
        home / "packages/0123456789ab/other/file",
        home / "packages/other/0123456789ab/file",
        home / "others/folder/tokens.npy.txt",
    }
    for file in kept:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x")
    (home / "empty" / "folder").mkdir(parents=True)
    kept |= set(home.glob("packages/*/*/*"))
    forget_gone(home)
    assert {file for file in home.rglob("*") if file.is_file()} == kept
    assert not (home / "0123456789abcdef").exists()
    assert (home / "empty" / "folder").exists()


def test_a_home_that_is_not_there_is_clean(home: Path) -> None:
    forget_gone(home)
    assert not home.exists()
