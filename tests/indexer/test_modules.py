"""Which files the imports of a text name, in each language; a table."""

from __future__ import annotations

import pytest

from indexer.modules import imported_by

TABLE = [
    (
        "a/b.py",
        "from x.y import z\nimport json\n",
        ["src/x/y.py", "x/y/__init__.py", "json.py"],
        ["x.py", "x/z.py"],
    ),
    (
        "src/app/main.ts",
        'import { A } from "./store.js";\nimport "../index";\nimport x from "@/lib/util"\nrequire("./old")\n',
        ["src/app/store.ts", "src/index.ts", "src/lib/util/index.tsx", "src/app/old.js"],
        ["lib/store.ts", "src/app/main.ts", "src/lib/other.ts"],
    ),
    (
        "cmd/main.go",
        'import (\n\t"fmt"\n\tother "example.com/shelf/v2/pkg/store"\n)\nimport "example.com/shelf/api"\n',
        ["pkg/store/store.go", "api/v1.go"],
        ["main.go", "store/x.go/y.go", "pkg/store2/a.go"],
    ),
    (
        "src/a/mod.rs",
        "use crate::net::Client;\nuse super::b;\nmod inner;\npub(crate) use other::deep::{X, Y};\nuse std::fmt;\n",
        [
            "src/net.rs",
            "src/net/mod.rs",
            "src/b.rs",
            "src/a/inner.rs",
            "src/a/inner/mod.rs",
            "crates/other/deep.rs",
        ],
        ["src/client.rs", "src/c.rs"],
    ),
    (
        "src/main.rs",
        "use crate::net::{\n    client::Client,\n    wire::{read, write},\n};\nuse std::{fmt, io};\n",
        ["src/net/client.rs", "src/net/wire.rs", "src/net.rs"],
        ["src/net/server.rs", "src/client.rs"],
    ),
    (
        "src/org/x/A.java",
        "import org.x.data.Row;\nimport static org.x.Tools.twice;\nimport org.x.io.*;\n",
        ["src/org/x/data/Row.java", "src/org/x/Tools.java", "src/org/x/io/Any.java"],
        ["src/org/x/Row.java", "src/org/y/Tools.java"],
    ),
    (
        "src/net/a.cc",
        '#include "base/log.h"\n#include <vector>\n# include "../up.h"\n',
        ["base/log.h", "src/base/log.cc", "src/up.h"],
        ["log.h", "src/net/up.h"],
    ),
    ("notes.txt", "import a\n", [], ["a.py"]),
]


@pytest.mark.parametrize(("path", "text", "named", "others"), TABLE, ids=[row[0] for row in TABLE])
def test_files_that_imports_name(path: str, text: str, named: list[str], others: list[str]) -> None:
    found = imported_by(text, path)
    assert [other for other in named if not found.names(other)] == []
    assert [other for other in others if found.names(other)] == []
