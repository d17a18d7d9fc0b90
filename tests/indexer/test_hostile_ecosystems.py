"""What a repository says of npm's, Go's and Rust's packages is a stranger's: nothing leads out, hangs or has no end."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from indexer import go_packages, node_packages, rust_packages
from indexer.installed import Package
from indexer.manifests import MAX_BYTES, folder_within, manifests
from tests.indexer.test_ecosystems import text_of, write
from tests.indexer.test_hostile_packages import SECRET, fed, within

HOSTILE = [
    "../../users", "..", ".", "", "/", "a/../../users", "@x/../../users", "@../users", "a b", "-", "\0", "~",
    "a\\..\\..", "%2e%2e/users", "@scope/..", "users@v1.0.0/../..", "C:\\users", "\u202e", "x" * 500,
]  # fmt: skip
INSTALLED: dict[str, Callable[[Path, Iterable[str]], dict[str, Package]]] = {
    "package.json": node_packages.installed,
    "go.mod": go_packages.installed,
    "Cargo.toml": rust_packages.installed,
}


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, with a folder of the user's beside it, and caches with nothing in them."""
    for suffix in ("js", "d.ts", "go", "rs"):
        write(tmp_path, {f"users/key.{suffix}": SECRET, f"go/users@v1.0.0/key.{suffix}": SECRET})
    write(tmp_path, {"go/pkg/mod/cache/a": "", "cargo/registry/src/index/a-1.0.0/src/lib.rs": "fine\n"})
    monkeypatch.setenv("GOPATH", str(tmp_path / "go"))
    monkeypatch.delenv("GOMODCACHE", raising=False)
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo"))
    (tmp_path / "clone").mkdir()
    return tmp_path / "clone"


def found_in(clone: Path) -> str:
    """All that is read for names that a repository claims to need."""
    names = [*HOSTILE, *(name.replace("-", "_") for name in HOSTILE), "users", "a", "evil", "inner"]
    packages = [package for installed in INSTALLED.values() for package in installed(clone, names).values()]
    return "".join(text_of(package, clone.parent / "home") for package in packages)


def test_names_never_become_paths(clone: Path) -> None:
    write(
        clone,
        {
            "package.json": json.dumps({"dependencies": dict.fromkeys(HOSTILE, "1")}),
            "go.mod": "require (\n"
            + "".join(f"\t{name} v1.0.0\n\tusers {name}\n" for name in HOSTILE)
            + ")\n"
            "replace users => ../users\nreplace a => ../../users v1.0.0\nrequire users v1.0.0/../../users\n",
            "Cargo.lock": "".join(
                f'[[package]]\nname = {json.dumps(name)}\nversion = {json.dumps(version)}\nsource = "registry+x"\n'
                for name in HOSTILE
                for version in ("1.0.0", name)
            ),
            "node_modules/fine/index.js": "",
        },
    )
    names = "".join(
        f'{json.dumps(name)} = {{ version = "1", package = {json.dumps(name)} }}\n'
        for name in dict.fromkeys(HOSTILE)
        if "\0" not in name and "\u202e" not in name
    )
    write(clone, {"Cargo.toml": f'[dependencies]\n{names}users = {{ path = "../users" }}\n'})
    before = set(clone.parent.rglob("*"))
    assert SECRET not in found_in(clone)
    assert {
        path
        for path in set(clone.parent.rglob("*")) - before
        if not path.is_relative_to(clone.parent / "home")
    } == set()


@pytest.mark.parametrize(
    "link", ["node_modules", "node_modules/evil", "node_modules/evil/lib", "node_modules/evil/a.js"]
)
def test_links_lead_nowhere(clone: Path, link: str) -> None:
    write(clone, {"package.json": '{"dependencies": {"evil": "1", "users": "1"}}'})
    (clone / link).parent.mkdir(parents=True, exist_ok=True)
    users = clone.parent / "users"
    (clone / link).symlink_to(
        users.parent if link == "node_modules" else users / "key.js" if link.endswith(".js") else users
    )
    assert SECRET not in found_in(clone)


@pytest.mark.parametrize("link", ["vendor", "vendor/evil.org", "vendor/evil.org/a"])
def test_links_in_a_vendored_folder_lead_nowhere(clone: Path, link: str) -> None:
    write(
        clone,
        {"go.mod": "require evil.org/a v1.0.0\n", "inner/evil.org/a/x.go": SECRET, "inner/a/x.go": SECRET},
    )
    target = (
        clone / {"vendor": "inner", "vendor/evil.org": "inner/evil.org", "vendor/evil.org/a": "inner/a"}[link]
    )
    (clone / link).parent.mkdir(parents=True, exist_ok=True)
    (clone / link).symlink_to(target)
    assert go_packages.installed(clone, ["evil.org/a"]) == {}


@pytest.mark.parametrize("name", INSTALLED)
def test_a_manifest_that_is_a_pipe_a_link_or_huge_is_not_read(clone: Path, name: str) -> None:
    names = ["evil", "a"]
    os.mkfifo(clone / name)
    assert within(20, lambda: INSTALLED[name](clone, names), fed(clone / name))
    (clone / name).unlink()
    write(clone, {"node_modules/evil/index.js": "x", "users.json": '{"dependencies": {"evil": "1"}}'})
    (clone / name).symlink_to(clone / "users.json")
    assert INSTALLED[name](clone, names) == {}
    (clone / name).unlink()
    (clone / name).touch()
    os.truncate(clone / name, 50 * MAX_BYTES)
    tracemalloc.start()
    assert INSTALLED[name](clone, names) == {}
    assert tracemalloc.get_traced_memory()[1] < 20 * MAX_BYTES
    tracemalloc.stop()


@pytest.mark.parametrize(
    "piece",
    ["[", "{", '{"a":', "[[package]]\n", "a.", "a=[", '"', "require ", "require (\n", "\t", "x v1 ", "é"],
)
@pytest.mark.parametrize("name", [*INSTALLED, "Cargo.lock"])
def test_any_manifest_is_read_in_little_time(clone: Path, name: str, piece: str) -> None:
    write(
        clone,
        {name: piece * (200_000 // len(piece)), "Cargo.toml": "[dependencies]\na='1'\n"}
        if name == "Cargo.lock"
        else {name: piece * (200_000 // len(piece))},
    )
    began = time.thread_time()
    for installed in INSTALLED.values():
        installed(clone, ["a"])
    assert time.thread_time() - began < 5


@pytest.mark.parametrize(
    "piece",
    [
        "import ",
        "from ",
        "from  ",
        'from "',
        "import (",
        "import (\n",
        "use ",
        "pub(",
        "pub ",
        "\t",
        "\n",
        '"',
        "require(",
        "extern crate ",
        "import a",
    ],
)
def test_imports_are_found_in_linear_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    for imported in (node_packages.imported, go_packages.imported, rust_packages.imported):
        began = time.thread_time()
        imported(text)
        imported("\n" + text)
        assert time.thread_time() - began < 2


def test_manifests_are_looked_for_near_the_root_only(clone: Path) -> None:
    for n in range(60):
        write(clone, {f"d{n:02}/go.mod": "", f"node_modules/d{n}/go.mod": "", f".d{n}/go.mod": ""})
    write(clone, {"a/b/go.mod": "", "a/b/c/go.mod": ""})
    found = manifests(clone, "go.mod")
    assert len(found) == 24
    assert all(folder.startswith("d") or folder == "a/b" for folder in found)


@pytest.mark.parametrize("path", ["..", "a/../..", "/etc", "a\0b", ".", ""])
def test_a_folder_within_is_within(clone: Path, path: str) -> None:
    (clone / "a").mkdir()
    assert folder_within(clone, path) is None
    assert folder_within(clone, "a") == (clone / "a").resolve()
