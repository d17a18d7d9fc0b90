"""Signatures of a package: what is read of its files, what of others' bytes is believed, what a document is told."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from indexer.identifiers import COMMON_WORDS
from indexer.installed import Package
from indexer.package_headers import headers_for
from indexer.query import PACKAGE, Query
from indexer.signatures import Signature, SignatureTable, folded, signatures_of, unfolded

SESSION = '''"""Says nothing that is wanted."""
from typing import overload

LIMIT = 7


class Session(Base):
    """Holds a secret_in_a_docstring."""

    limit = 3

    def __init__(self, bind: Engine | None = None, *, autoflush: bool = True) -> None:
        self.secret_in_a_body = bind

    @overload
    def execute(self, statement: Select) -> Rows: ...

    def execute(
        self,
        statement: Executable,  # a comment
        parameters: dict | None = None,
    ) -> Result:
        return self._run(statement)

    def _run(self, statement): ...

    def __repr__(self) -> str: ...


class _Hidden:
    def execute(self, hidden): ...


def open_session(url: str) -> Session:
    def inner(nested): ...
    return Session(inner)
'''
ENGINE = "class Engine:\n    def execute(self, sql: str) -> int: ...\n    def dispose(self, close: bool) -> None: ...\n"


@pytest.fixture
def package(tmp_path: Path) -> Package:
    place = tmp_path / "site" / "ormlib"
    (place / "orm").mkdir(parents=True)
    (place / "tests").mkdir()
    (place / "__init__.py").write_text("from .orm.session import Session\n")
    (place / "orm" / "session.py").write_text(SESSION)
    (place / "orm" / "_engine.py").write_text(ENGINE)
    (place / "tests" / "test_it.py").write_text("def test_it(): ...\n")
    return Package("Orm_Lib.ormlib", "2.0", place)


@pytest.fixture
def table(package: Package) -> SignatureTable:
    found = signatures_of(package, "orm-lib")
    assert found is not None
    return found


def told(table: SignatureTable) -> dict[str, str]:
    rows = table.rows
    return {f"{rows[row.owner].name}.{row.name}" if row.owner >= 0 else row.name: row.text for row in rows}


def test_headers_are_read_and_no_bodies(table: SignatureTable) -> None:
    assert told(table) == {
        "Engine": "class Engine:",
        "Engine.execute": "def execute(self, sql: str) -> int:",
        "Engine.dispose": "def dispose(self, close: bool) -> None:",
        "Session": "class Session(Base):",
        "Session.__init__": "def __init__(self, bind: Engine | None = None, *, autoflush: bool = True) -> None:",
        "Session.execute": "def execute(self, statement: Executable, parameters: dict | None = None) -> Result:",
        "open_session": "def open_session(url: str) -> Session:",
    }
    where = {row.name: (row.path, row.line) for row in table.rows}
    assert where["open_session"] == ("ormlib/orm/session.py", 34)
    assert b"secret" not in zlib.decompress(folded([table]))


def test_reading_can_be_stopped(package: Package) -> None:
    assert signatures_of(package, "orm-lib", lambda: True) is None


def test_what_is_folded_comes_back_and_is_the_same_each_time(table: SignatureTable) -> None:
    content = folded([table])

    assert folded([table]) == content
    assert list(unfolded(content, "orm-lib", "2.0").rows) == list(table.rows)
    other = SignatureTable("orm-lib", "2.0", [Signature("single.py", 1, -1, "f", "def f():")])
    both = unfolded(folded([other, table]), "orm-lib", "2.0")
    assert [both.rows[row.owner].name for row in both.rows if row.name == "dispose"] == ["Engine"]


def forged(*lines: object, version: str = "2.0") -> bytes:
    about = {"format": 1, "package": "orm-lib", "version": version}
    return zlib.compress("\n".join(json.dumps(line) for line in (about, *lines)).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x" * 100,
        folded([SignatureTable("orm-lib", "2.0", ())])[:-3],
        forged(version="3.0"),
        forged(["../../etc/passwd.py", []]),
        forged(["/etc/passwd.py", []]),
        forged(["a/../b.py", []]),
        forged(["a.py", [[1, -1, "f", "def f():\nimport os"]]]),
        forged(["a.py", [[1, -1, "f", "x" * 1_000]]]),
        forged(["a.py", [[1, 0, "f", "def f():"]]]),
        forged(["a.py", [[1, -1, "f; g", "def f():"]]]),
        forged(["a.py", [[0, -1, "f", "def f():"]]]),
        forged(["a.py", [[True, -1, "f", "def f():"]]]),
        forged(["a.py", [["1", -1, "f", "def f():"]]]),
        forged(["a.py", [[1, -1, "f"]]]),
        forged(["a.py"]),
        forged({"a.py": 3}),
        zlib.compress(b"[" * 100_000),
        zlib.compress(b"null"),
        zlib.compress(b"\xff\xfe"),
        zlib.compress(bytes(70_000_000)),
        forged(["a.py", [[1, -1, "f", "def f():"]] * 100_001]),
    ],
)  # fmt: skip
def test_bytes_that_are_no_signatures_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^\D+$|unpack"):
        unfolded(content, "orm-lib", "2.0")


class TestHeaders:
    HEAD = "from ormlib import Session, open_session as opened\nimport ormlib as o\n\n"

    def said(self, table: SignatureTable, before: str, path: str = "app/main.py", most: int = 2) -> list[str]:
        hits = headers_for(Query(path, before, "", None), {"ormlib": table}, most)
        assert all(hit.level == PACKAGE and hit.memory.size == 0 for hit in hits)
        return [hit.text for hit in hits]

    def test_a_class_comes_with_how_it_is_made_and_what_is_called(self, table: SignatureTable) -> None:
        (first, *_) = self.said(table, self.HEAD + "session = Session(e)\nsession.execute(")

        assert first.split("\n") == [
            "class Session(Base): ...",
            "    def __init__(self, bind: Engine | None = None, *, autoflush: bool = True) -> None: ...",
            "    def execute(self, statement: Executable, parameters: dict | None = None) -> Result: ...",
        ]

    def test_a_function_is_known_by_the_name_that_it_is_imported_as(self, table: SignatureTable) -> None:
        assert self.said(table, self.HEAD + "x = opened(")[0] == "def open_session(url: str) -> Session: ..."

    def test_a_modules_function_is_the_imported_modules(self, table: SignatureTable) -> None:
        before = (
            "import ormlib as o\nfrom ormlib import Engine, Session\n\nx = Session(Engine())\no.open_session("
        )
        assert "def open_session(url: str) -> Session: ..." in self.said(table, before, most=2)

    @pytest.mark.parametrize(
        "imported",
        ["from ormlib import nn", "import ormlib.nn as nn", "from ormlib.nn import Linear\nnn = 1"],
    )
    def test_a_modules_class_is_the_one_nearest_to_what_is_imported(self, imported: str) -> None:
        places = ("a/nn/linear", "nn/fast/modules/linear", "nn/modules/linear", "nn/wide/modules/linear")
        rows = [Signature(f"ormlib/{at}.py", 1, -1, "Linear", f"class Linear({at[:4]}):") for at in places]
        said = self.said(SignatureTable("orm-lib", "2.0", rows), f"{imported}\n\nx = nn.Linear(")
        assert said[0] == "class Linear(nn/m): ..."

    def test_an_imported_name_counts_however_common_a_word_it_is(self, table: SignatureTable) -> None:
        common = SignatureTable(
            "orm-lib", "2.0", [*table.rows, Signature("ormlib/types.py", 1, -1, "String", "class String:")]
        )
        assert "string" in COMMON_WORDS
        assert self.said(common, "from ormlib import String\n\n\n\n\nx = String(") == ["class String: ..."]

    @pytest.mark.parametrize("begun", ["open_session(", "open_session((1), Session(), x="])
    def test_what_is_being_called_comes_first(self, table: SignatureTable, begun: str) -> None:
        before = f"from ormlib import Engine, Session, open_session\n\ns = Session(Engine())\ns.execute()\nx = {begun}"
        assert self.said(table, before, most=1) == ["def open_session(url: str) -> Session: ..."]

    def test_a_name_behind_a_dot_that_few_define(self, table: SignatureTable) -> None:
        assert (
            "    def dispose(self, close: bool) -> None: ..."
            in self.said(table, "import ormlib\nx.dispose(")[0]
        )
        assert self.said(table, "import ormlib\ndispose(") == []

    @pytest.mark.parametrize(
        "before",
        [
            "session.execute(",
            "import other\nsession.execute(",
            "from ormlib import Session\ndef Session(x):\n    return Session(",
        ],
    )
    def test_nothing_is_said_of_what_is_not_imported_or_the_documents_own(
        self, table: SignatureTable, before: str
    ) -> None:
        assert not any("class Session" in text for text in self.said(table, before))

    def test_who_works_on_the_package_is_told_nothing_of_it(self, table: SignatureTable) -> None:
        assert self.said(table, self.HEAD + "Session(", "src/ormlib/orm/query.py") == []
        assert self.said(table, self.HEAD + "Session(", "notes.md") == []
        assert self.said(table, self.HEAD + "Session(", most=0) == []

    def test_long_documents_take_no_longer_than_their_bounds(self, table: SignatureTable) -> None:
        import time

        before = self.HEAD + "session.execute(Session, dispose)\n" * 100_000
        began = time.thread_time()
        self.said(table, before)
        assert time.thread_time() - began < 0.5
