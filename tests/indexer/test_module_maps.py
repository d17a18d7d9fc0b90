"""What build files say of the places that imports name: `tsconfig.json`, `package.json`, `go.mod`."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from indexer import Index, Query
from indexer.module_maps import NO_MAPS, NO_PATHS, ModuleMaps
from indexer.modules import imported_by
from indexer.reading import SYMLINK
from tests.indexer.test_ecosystems import write

VITE = {
    "tsconfig.json": '{"files": [], "references": [{"path": "./tsconfig.node.json"}, {"path": "./tsconfig.app.json"}]}',
    "tsconfig.node.json": '{"compilerOptions": {"strict": true}}',
    "tsconfig.app.json": '{\n  // where the code is\n  "compilerOptions": {"paths": {"@/*": ["./src/*"],},},\n}\n',
}
MONOREPO = {
    "package.json": '{"workspaces": {"packages": ["./packages/*", "!packages/old"]}, "dependencies": {"react": "1"}}',
    "tsconfig.base.json": '{"compilerOptions": {"baseUrl": ".", "paths": {"@acme/*": ["libs/*/src", "gen/*"]}}}',
    "packages/ui/package.json": json.dumps(
        {
            "name": "@acme-x/ui",
            "exports": {".": {"types": "./dist/index.d.ts"}, "./icons/*": "./dist/icons/*.js"},
            "imports": {"#theme/*": {"node": "./src/theme/*.js"}},
        }
    ),
    "packages/ui/tsconfig.json": '{"extends": ["../../missing.json", "../../tsconfig.base"]}',
    "packages/old/package.json": '{"name": "react-old"}',
    "fixtures/react/package.json": '{"name": "react"}',
    "app/tsconfig.json": '{"extends": "../config/strict", "compilerOptions": {"paths": '
    '{"~/*": ["lib/*"], "*": ["any/*"]}}}',
    "config/strict.json": '{"compilerOptions": {"baseUrl": "../app/src"}}',
}
GO = {
    "go.mod": "module example.com/shelf/v2 // the second\n\nrequire example.com/other v1.0.0\n"
    "replace (\n\texample.com/other v1.0.0 => ./third/other\n\texample.com/out => ../outside\n)\n",
    "api/go.mod": 'module "example.com/shelf/api"\n',
    "test/data/go.mod": "module example.com/shelf/api\n",
    "nomodule.txt": "",
}
# files, path of the text, its imports, files that they name, files that they do not
TABLE = [
    (VITE, "src/a/b.ts", 'import "@/lib/x"', ["src/lib/x.tsx", "src/lib/x/index.ts"], ["other/lib/x.ts", "lib/x.ts"]),
    (MONOREPO, "packages/ui/src/a.ts", 'import "@acme/data"', ["libs/data/src/index.ts", "gen/data.ts"], ["data.ts"]),
    (MONOREPO, "packages/ui/src/a.ts", 'import "#theme/dark"', ["packages/ui/src/theme/dark.ts"], ["theme/dark.ts"]),
    (
        MONOREPO, "app/main.ts", 'import { A } from "@acme-x/ui"; import "@acme-x/ui/icons/up"',
        ["packages/ui/src/index.ts", "packages/ui/src/icons/up.tsx", "packages/ui/lib/deep.ts"],
        ["packages/old/index.ts", "app/ui.ts"],
    ),
    (
        MONOREPO, "app/main.ts", 'import "~/x"; import "views/y"',
        ["app/src/lib/x.ts", "app/src/views/y.ts"], ["lib/x.ts"],
    ),
    (MONOREPO, "app/main.ts", 'import "glob/z"', ["app/src/any/glob/z.d.ts", "other/glob/z.ts"], []),
    (
        MONOREPO, "app/main.ts", 'import "react"; import "node:fs"',
        [], ["fixtures/react/index.js", "src/react.ts", "fs.ts"],
    ),
    (MONOREPO, "src/a.js", 'require("./b.js"); import("..")', ["src/b.ts", "index.js"], ["packages/src/b.ts"]),
    ({}, "src/a.ts", 'import "@/lib/x"; import "lib/y"', ["any/lib/x.ts", "any/lib/y.ts"], []),
    (
        GO, "cmd/main.go", 'import (\n\t"example.com/shelf/v2/pkg/store"\n\t"example.com/other/x"\n\t"net/http"\n)\n',
        ["pkg/store/a.go", "third/other/x/b.go", "vendor/net/http/c.go"],
        ["store/a.go", "http/d.go", "net/http/e.go", "other/x/f.go"],
    ),
    (GO, "cmd/main.go", 'import "example.com/out/x"', [], ["outside/x/a.go", "x/a.go"]),
    (GO, "api/v1/a.go", 'import "example.com/shelf/api/v2"', ["api/v2/b.go"], ["test/data/v2/b.go"]),
    (GO, "test/data/a.go", 'import "example.com/shelf/api/v2"', ["test/data/v2/b.go"], ["api/v2/b.go"]),
    ({}, "cmd/main.go", 'import "example.com/shelf/api"', ["api/v1.go"], []),
]  # fmt: skip


def digests(root: Path) -> dict[str, bytes]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {path.relative_to(root).as_posix(): hashlib.sha1(path.read_bytes()).digest() for path in files}


def maps_of(root: Path, files: dict[str, str]) -> ModuleMaps:
    write(root, files)
    return NO_MAPS.follow(root, digests(root))


@pytest.mark.parametrize(("files", "path", "text", "named", "others"), TABLE)
def test_files_that_imports_name(
    root: Path, files: dict[str, str], path: str, text: str, named: list[str], others: list[str]
) -> None:
    found = imported_by(text, path, maps_of(root, files))
    assert [other for other in named if not found.names(other)] == []
    assert [other for other in others if found.names(other)] == []


def test_pnpm_names_its_packages(root: Path) -> None:
    files = {
        "pnpm-workspace.yaml": "packages:\n  # all\n  - 'libs/**'\n\n  - \"!libs/b\"\ncatalog:\n  - apps/*\n",
        "libs/x/a/package.json": '{"name": "a"}',
        "libs/b/package.json": '{"name": "b"}',
        "apps/c/package.json": '{"name": "c"}',
    }
    assert set(maps_of(root, files).scripts.members) == {"a"}


def test_maps_follow_what_has_changed(root: Path) -> None:
    maps = maps_of(root, MONOREPO)
    write(root, {"src/other.ts": "x"})
    assert maps.follow(root, digests(root)) is maps
    write(root, {"config/strict.json": '{"compilerOptions": {"baseUrl": "../lib"}}'})  # extended, of any name
    newer = maps.follow(root, digests(root))
    assert newer is not maps
    assert imported_by('import "views/y"', "app/main.ts", newer).names("lib/views/y.ts")


def test_definitions_of_an_aliased_module_come_first(root: Path) -> None:
    config = '{"compilerOptions": {"paths": {"@core/*": ["./src/deep/core/*"]}}}'
    folders = ("aaa/core", "src/deep/core")
    things = {f"{one}/thing.ts": f"export function shelveBook() {{ return '{one}' }}\n" for one in folders}
    write(root, {"tsconfig.json": config, **things})
    index = Index.open(root, None, root.parent / "cache")
    index.update()
    text = 'import { shelveBook } from "@core/thing"\nshelveBook('
    hits = index.search(Query("src/main.ts", text, "", None, rankings=("symbols",)), 2)
    assert hits[0].path == "src/deep/core/thing.ts"
    write(root, {"tsconfig.json": '{"compilerOptions": '})
    index.update()
    assert index.stats().skipped == {NO_PATHS: ("tsconfig.json",)}
    write(root, {"tsconfig.json": "{}"})
    index.update([root / "tsconfig.json"])
    assert index.stats().skipped == {}
    index.close()


HOSTILE = {
    "circle": {"tsconfig.json": '{"extends": "./a.json"}', "a.json": '{"extends": ["./tsconfig.json", "./a.json"]}'},
    "outside": {"tsconfig.json": '{"extends": "../../../x", "compilerOptions": {"baseUrl": "../..", "paths": {"@/*":'
                ' ["../../etc/*", "/etc/*", "a\\u0000*"]}}}'},
    "wrong types": {
        "tsconfig.json": '{"extends": 7, "references": [1, {"path": 2}], "compilerOptions": {"paths": {"a": 1}}}',
        "package.json": '{"name": 5, "workspaces": [1, {}], "exports": 3, "imports": [], "dependencies": ["a"]}',
        "b/tsconfig.json": '{"compilerOptions": [], "references": {}}',
        "b/package.json": '{"workspaces": 7, "exports": null}',
    },
    "deep": {"tsconfig.json": '{"a":' * 30_000, "package.json": '{"exports": ' + '{"a":' * 500 + "1" + "}" * 501},
    "comments": {"tsconfig.json": "/*" * 100_000, "jsconfig.json": "{" + '"a' * 80_000, "package.json": "," * 200_000},
    "spaces": {"tsconfig.json": "{" + ", " * 100_000, "go.mod": "replace" + " " * 100_000 + "\n" + "a " * 50_000},
    "stars": {
        "tsconfig.json": json.dumps({"compilerOptions": {"paths": {f"{'*' * 50}{n}": ["*" * 500] for n in range(99)}}}),
        "package.json": json.dumps({"workspaces": ["*a" * 99] * 300, "imports": {f"#{n}*": "./*" for n in range(999)}}),
    },
    "modules": {f"{n}/go.mod": "module m\n" + "replace m => ./x\n" * 2_000 for n in range(100)},
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_cost_little_and_lead_nowhere(root: Path, name: str) -> None:
    started = time.process_time()
    maps = maps_of(root, HOSTILE[name])
    text = "".join(f'import "@/{n}"\nimport "m/{n}"\nimport "./{"../" * 40}{n}"\n' for n in range(3_000))
    for path in ("a.ts", "b/c.ts", "5/a.go"):
        found = imported_by(text, path, maps)
        assert not any(".." in one.split("/") or "\0" in one for one in found.modules | found.inside)
    assert time.process_time() - started < 3


def test_links_pipes_and_huge_files_are_not_read(root: Path) -> None:
    outside = root.parent / "tsconfig.json"
    outside.write_text('{"compilerOptions": {"paths": {"@/*": ["src/*"]}}}')
    (root / "tsconfig.json").symlink_to(outside)
    os.mkfifo(root / "package.json")
    (root / "go.mod").write_text("module m\n" + " " * 300_000)
    names = dict.fromkeys(["tsconfig.json", "package.json", "go.mod", "a/go.mod"], b"")
    maps = NO_MAPS.follow(root, names)
    assert set(maps.problems) == set(names)
    assert maps.problems["tsconfig.json"] == SYMLINK
    assert not imported_by('import "@/x"', "a.ts", maps).modules


def test_more_files_than_bounds_allow_are_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.module_maps._MOST_FILES", 2)
    files = {f"{folder}go.mod": f"module m{len(folder)}\n" for folder in ("", "a/", "a/b/")}
    maps = maps_of(root, files)
    assert set(maps.go.modules) == {"m0", "m2"}
    assert maps.follow(root, digests(root)) is maps
