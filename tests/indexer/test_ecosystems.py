"""Packages of npm, Go and Rust: which of them are read, and from where."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from indexer import go_packages, node_packages, rust_packages
from indexer.ecosystems import imports_of, packages_for
from indexer.installed import Package
from indexer.package_cache import load_or_build
from tests.indexer.test_hostile_packages import Characters
from tests.indexer.test_secret_contents import pem


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def text_of(package: Package, home: Path) -> str:
    segment = load_or_build(package, home / "cache", Characters(), lambda: False)
    return "".join(chr(token) for token in segment.tokens if token > 0) if segment else ""


@pytest.mark.parametrize(
    ("path", "text", "names"),
    [
        ("a.ts", 'import { z } from "zod";\nimport type { A } from \'@scope/a/deep\';\n', {"npm:zod", "npm:@scope/a"}),
        ("a.js", 'const a = require("left-pad");\nimport("b").then(c);\n', {"npm:left-pad", "npm:b"}),
        ("a.jsx", 'export * from "d/e";\n', {"npm:d"}),
        ("a.ts", 'import fs from "fs";\nimport { readFile } from "node:fs/promises";\n', {"npm:node"}),
        ("a.ts", 'import a from "./a";\nimport b from "../b";\nimport c from "/c";\n', set()),
        ("a.go", 'package a\n\nimport "fmt"\nimport x "github.com/a/b"\n', {"go:github.com/a/b"}),
        ("a.go", 'import (\n\t"os"\n\t_ "golang.org/x/net/html"\n)\n', {"go:golang.org/x/net/html"}),
        ("a.rs", "use serde::{Serialize};\npub(crate) use tokio::sync;\n", {"crate:serde", "crate:tokio"}),
        ("a.rs", "use std::io;\nuse crate::a;\n", set()),
        ("a.rs", "extern crate libc;\n", {"crate:libc"}),
        ("a.py", "import numpy\n", {"numpy"}),
        ("a.md", 'import x from "y"\n', set()),
    ],
)  # fmt: skip
def test_imports(path: str, text: str, names: set[str]) -> None:
    assert imports_of(path, text) == names


def node_project(root: Path) -> None:
    write(
        root,
        {
            "package.json": '{"dependencies": {"zod": "^3"}, "devDependencies": {"@types/react": "*", "react": "*"}}',
            "node_modules/zod/package.json": '{"version": "3.1.0"}',
            "node_modules/zod/index.js": "exports.z = compiled;\n",
            "node_modules/zod/src/parse.ts": "export function parse() {}\n",
            "node_modules/zod/index.d.ts": "export declare function string(): ZodString;\n",
            "node_modules/zod/lib/z.min.js": "minified()",
            "node_modules/zod/lib/big.js": "a=1;" * 9_000,
            "node_modules/zod/lib/index.d.cts": "export declare function string(): ZodString;\n",
            "node_modules/zod/node_modules/inner/index.js": "inner()",
            "node_modules/zod/lib/key.js": f"const key = `{pem()}`;\n",
            "node_modules/react/index.js": "exports.useState = useState;\n",
            "node_modules/@types/react/index.d.ts": "export function useState<S>(): S;\n",
            "node_modules/undeclared/index.js": "undeclared()",
        },
    )  # fmt: skip


def test_declarations_come_first_and_nothing_minified_secret_or_twice(tmp_path: Path) -> None:
    node_project(tmp_path)
    found = node_packages.installed(tmp_path, ["zod", "react", "undeclared", "absent"])
    assert {name: (package.name, package.version) for name, package in found.items()} == {
        "zod": ("npm.zod", "3.1.0"),
        "react": ("npm.@types/react", ""),
    }
    declaration = "export declare function string(): ZodString;\n"
    assert (
        text_of(found["zod"], tmp_path) == declaration + "export function parse() {}\nexports.z = compiled;\n"
    )


def test_packages_of_a_part_of_the_repository(tmp_path: Path) -> None:
    node_project(tmp_path / "packages" / "app")
    assert set(node_packages.installed(tmp_path, ["zod"])) == {"zod"}


def test_a_link_within_node_modules_is_followed(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"package.json": '{"dependencies": {"a": "1"}}', "node_modules/.pnpm/a@1/node_modules/a/a.d.ts": "a"},
    )
    (tmp_path / "node_modules" / "a").symlink_to(".pnpm/a@1/node_modules/a")
    assert set(node_packages.installed(tmp_path, ["a"])) == {"a"}


GO_MOD = """module example.com/app

go 1.21

require github.com/BurntSushi/toml v1.2.1 // indirect
require (
\tgithub.com/a/b v0.1.0
\tgithub.com/c/d/v2 v2.0.0+incompatible
)
replace github.com/a/b => ../../elsewhere
"""


def test_modules_of_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "go" / "pkg" / "mod" / "github.com"
    write(tmp_path / "app", {"go.mod": GO_MOD, "vendor/github.com/c/d/v2/d.go": "package d // vendored\n"})
    write(
        cache,
        {
            "!burnt!sushi/toml@v1.2.1/decode.go": "package toml\n",
            "!burnt!sushi/toml@v1.2.1/decode_test.go": "package toml_test\n",
            "!burnt!sushi/toml@v1.2.1/internal/made.go": "// Code generated by x. DO NOT EDIT.\npackage made\n",
            "a/b@v0.1.0/b.go": "package b\n",
            "a/b@v0.2.0/b.go": "package b2\n",
        },
    )
    monkeypatch.setenv("GOPATH", str(tmp_path / "go"))
    monkeypatch.delenv("GOMODCACHE", raising=False)
    names = ["github.com/BurntSushi/toml", "github.com/a/b/deep/er", "github.com/c/d/v2", "github.com/e/f"]
    found = go_packages.installed(tmp_path / "app", names)
    assert {name: text_of(package, tmp_path) for name, package in found.items()} == {
        "github.com/BurntSushi/toml": "package toml\n",
        "github.com/a/b/deep/er": "package b\n",
        "github.com/c/d/v2": "package d // vendored\n",
    }


CARGO_TOML = """
[dependencies]
serde = "1"
json = { package = "serde_json", version = "1" }
local = { path = "../../elsewhere" }
[target.'cfg(unix)'.dependencies]
libc-extra = "0.2"
"""
CARGO_LOCK = """
[[package]]
name = "serde"
version = "1.0.9"
source = "registry+https://github.com/rust-lang/crates.io-index"
"""


def test_crates_of_rust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = tmp_path / "cargo" / "registry" / "src" / "index.crates.io-6f17d22bba15001f"
    write(
        tmp_path / "app",
        {"Cargo.toml": CARGO_TOML, "Cargo.lock": CARGO_LOCK, "vendor/libc-extra/a.rs": "vendored\n"},
    )
    write(
        registry,
        {
            "serde-1.0.9/src/lib.rs": "pub trait Serialize {}\n",
            "serde-1.0.9/tests/all.rs": "tests\n",
            "serde-1.0.10/src/lib.rs": "newer\n",
            "serde_json-1.0.2/src/lib.rs": "older\n",
            "serde_json-1.0.10/src/lib.rs": "newest\n",
            "serde_json-1.1.0-beta/src/lib.rs": "beta\n",
            "local-0.1.0/src/lib.rs": "local\n",
        },
    )
    monkeypatch.setenv("CARGO_HOME", str(tmp_path / "cargo"))
    found = rust_packages.installed(tmp_path / "app", ["serde", "json", "libc_extra", "local", "tokio"])
    assert {name: text_of(package, tmp_path) for name, package in found.items()} == {
        "serde": "pub trait Serialize {}\n",
        "json": "beta\n",
        "libc_extra": "vendored\n",
    }


def test_each_ecosystem_has_its_share_and_pythons_library_is_for_python(tmp_path: Path) -> None:
    names = [f"p{n}" for n in range(12)]
    write(tmp_path, {"package.json": json.dumps({"dependencies": dict.fromkeys(names, "*")})})
    write(tmp_path, {f"node_modules/{name}/index.d.ts": name for name in names})
    library = Package("python", "3", tmp_path)
    imports = Counter({f"npm:{name}": n + 1 for n, name in enumerate(names)})
    found = [package.name for package in packages_for(tmp_path, imports, lambda: library)]
    assert found == [f"npm.p{n}" for n in range(11, 3, -1)]
    assert library in packages_for(tmp_path, imports + Counter(["os"]), lambda: library)
    assert packages_for(tmp_path, Counter(), lambda: library) == [library]
