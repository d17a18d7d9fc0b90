"""A byte that flips anywhere in the cache: the index equals a fresh one afterwards, and meanwhile nothing is wrong."""

from __future__ import annotations

import logging
import os
import random
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexer import Index, IndexSettings, Query
from indexer.database import open_database
from indexer.token_cache import TokenCache
from tests.indexer.conftest import HashEmbedder
from tests.indexer.test_index import digests, module

N_FLIPS = int(os.environ.get("HEF_TEST_FLIPS", "6"))  # of each file
WORDS = ("place_order", "create_user", "slugify", "verify", "compute")
CONTENTS = (
    "SELECT digest, level, height, children, alive, embedded FROM nodes ORDER BY digest",
    "SELECT n.digest, t.scope, t.text, t.signature FROM texts t JOIN nodes n ON n.id = t.id ORDER BY 1",
    "SELECT n.digest, s.name, s.kind FROM symbols s JOIN nodes n ON n.id = s.node ORDER BY 1, 2, 3",
    "SELECT n.digest, substr(k.key, 1), substr(m.memory, 1) FROM nodes n JOIN keys k ON k.id = n.id "
    "JOIN memories m ON m.id = n.id ORDER BY 1",
    "SELECT e.path, e.level, e.content, p.ordinal, n.digest, p.first_line, p.last_line FROM entries e "
    "LEFT JOIN places p ON p.entry = e.id LEFT JOIN nodes n ON n.id = p.node ORDER BY 1, 4",
    "SELECT term, doc, cnt FROM words_count ORDER BY term",
)


class Characters:
    fingerprint = "characters"

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]


def open_index(root: Path, cache: Path) -> Index:
    return Index.open(root, HashEmbedder(), cache, IndexSettings(exact_below=100), tokenizer=Characters())


def hits(index: Index) -> list[tuple]:
    found = []
    for word in WORDS:
        key = HashEmbedder().embed([word]).keys[0].astype(np.float32)
        for query in (Query("new.py", f"{word}(", "", key), Query("new.py", f"{word}(", "", None)):
            found += [
                (h.path, h.first_line, h.last_line, h.level, round(h.score, 6), h.text, h.memory.tobytes())
                for h in index.search(query, 10)
            ]
    return found


def continuations(index: Index) -> list[str]:
    found = index.tokens.find([ord(character) for character in "def "], shortest=4, width=8, without="")
    return sorted("".join(chr(max(token, 0)) for token in row) for row in found.continuations.tolist())


def state(index: Index) -> list[object]:
    with closing(sqlite3.connect(index.stats().folder / "store.sqlite")) as db:
        contents = [db.execute(query).fetchall() for query in CONTENTS]
    return [*contents, hits(index), continuations(index)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path], list[object]]:
    """A repository, its cache as a closed and as a killed process leave it, and what a sound index says."""
    folder = tmp_path_factory.mktemp("damage")
    root = folder / "repository"
    (root / "lib").mkdir(parents=True)
    for number in range(40):
        names = [f"function_{number}_{letter}" for letter in "abc"]
        (root / f"m{number}.py").write_text(module(*names))
    (root / "lib" / "text.py").write_text(module("slugify", "truncate", "place_order"))
    (root / "lib" / "users.py").write_text(module("create_user", "delete_user"))
    index = open_index(root, folder / "cache")
    index.update()
    shutil.copytree(folder / "cache", folder / "killed")
    index.close()
    with closing(open_index(root, folder / "cache")) as sound:
        sound.update()
        expected = state(sound)
    return root, {"closed": folder / "cache", "killed": folder / "killed"}, expected


KINDS = [
    ("closed", "store.sqlite"),
    ("closed", "tokens-*.sqlite"),
    ("closed", "chunk.hnsw"),
    ("closed", "chunk.json"),
]
KINDS += [("killed", "store.sqlite"), ("killed", "store.sqlite-wal"), ("killed", "tokens-*.sqlite-wal")]


@pytest.mark.parametrize(("left", "name"), KINDS)
def test_a_flipped_byte_is_mended_and_never_believed(saved, tmp_path, caplog, left, name):
    root, caches, expected = saved
    texts = {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*.py")}
    size = next(caches[left].rglob(name)).stat().st_size
    places = random.Random(name).sample(range(size), N_FLIPS)
    for number, place in enumerate(places):
        cache = tmp_path / f"{number}"
        shutil.copytree(caches[left], cache)
        file = next(cache.rglob(name))
        content = bytearray(file.read_bytes())
        content[place] ^= 1 << number % 8
        file.write_bytes(content)
        with closing(open_index(root, cache)) as index:
            for path, first, last, level, _, text, _ in hits(index):
                if level == "chunk":
                    assert text == "\n".join(texts[path].split("\n")[first - 1 : last]).rstrip(), place
            index.overlay(root / "lib" / "text.py", texts["lib/text.py"])
            index.overlay(root / "lib" / "text.py", None)
            index.stats()
            index.update()
            if not index.verify():
                index.update()
            assert index.verify(), place
            for here, there in zip(state(index), expected, strict=True):
                assert here == there, place
        shutil.rmtree(cache)
    assert not [record for record in caplog.records if "slugify" in record.getMessage() or record.exc_info]


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE texts SET text = CAST(x'ff' || substr(text, 2) AS TEXT)",
        "UPDATE texts SET text = 'def slugify(): return wrong'",
        "UPDATE entries SET path = CAST(x'ff' || path AS TEXT) WHERE path <> ''",
        "UPDATE entries SET path = 'z' || path WHERE path <> ''",
        "UPDATE places SET first_line = 'x'",
        "UPDATE places SET node = (SELECT max(node) FROM places)",
        "UPDATE keys SET key = x'00'",
        "UPDATE memories SET memory = substr(memory, 1, 5)",
        "UPDATE memories SET memory = zeroblob(length(memory))",
        "UPDATE nodes SET digest = randomblob(16)",
        "DELETE FROM texts",
        "DROP TABLE symbols",
        "DROP TABLE meta",
        "UPDATE meta SET value = 'eleven' WHERE name = 'generation'",
        "UPDATE meta SET value = 'x' WHERE name IN ('d_key', 'd_memory', 'm')",
        "UPDATE meta SET value = 7 WHERE name = 'd_key'",
        "UPDATE meta SET value = 'x' WHERE name = 'tree_stale'",
        "UPDATE meta SET value = x'ff' WHERE name = 'removed'",
        "DELETE FROM meta WHERE name = 'format'",
    ],
)
@pytest.mark.parametrize("while_open", [True, False])
def test_a_spoiled_store_is_rebuilt(saved, tmp_path, caplog, spoil, while_open):
    root, caches, expected = saved
    shutil.copytree(caches["closed"], tmp_path / "cache")
    store = next((tmp_path / "cache").rglob("store.sqlite"))
    index = open_index(root, tmp_path / "cache") if while_open else None
    with closing(sqlite3.connect(store)) as db, db:
        db.execute(spoil)
    with closing(index or open_index(root, tmp_path / "cache")) as index:
        index.overlay(root / "lib" / "users.py", module("create_user", "delete_user", "slugify"))
        assert all("wrong" not in str(hit) for hit in hits(index))
        index.stats()
        index.overlay(root / "lib" / "users.py", None)
        index.verify()
        index.update()
        assert state(index) == expected
        assert index.stats().last_error == ""
    assert "slugify" not in caplog.text
    assert sum("set aside" in record.message for record in caplog.records) <= 1


def test_damage_found_by_a_search_is_said_once_and_mended_by_the_next_update(saved, tmp_path, caplog):
    root, caches, expected = saved
    shutil.copytree(caches["closed"], tmp_path / "cache")
    with closing(open_index(root, tmp_path / "cache")) as index:
        with closing(sqlite3.connect(index.stats().folder / "store.sqlite")) as db, db:
            db.execute("UPDATE texts SET text = CAST(x'ff' || substr(text, 2) AS TEXT)")
        with caplog.at_level(logging.WARNING):
            for _ in range(20):
                assert index.search(Query("new.py", "slugify(", "", None)) == []
        assert len(caplog.records) == 1
        assert index.is_damaged
        assert "slugify" not in index.stats().last_error
        index.update([root / "m1.py"])
        assert not index.is_damaged
        assert state(index) == expected


def wrong_term(rows: list[tuple[int, bytes]]) -> tuple[bytes, int]:
    """One letter of a term is another one: whatever the full-text index is asked, it answers."""
    id, block = next(row for row in rows if b"slugify" in row[1])
    return block.replace(b"slugify", b"slugifz"), id


def broken_block(rows: list[tuple[int, bytes]]) -> tuple[bytes, int]:
    """What SQLite itself finds out, but only where it reads."""
    id, block = max(rows, key=lambda row: len(row[1]))
    return b"\xff" * len(block), id


@pytest.mark.parametrize("left", ["closed", "killed"])
@pytest.mark.parametrize("spoil", [wrong_term, broken_block])
def test_altered_words_are_found_although_a_file_has_changed(saved, tmp_path, left, spoil):
    root = shutil.copytree(saved[0], tmp_path / "repository")
    shutil.copytree(saved[1][left], tmp_path / "cache")
    with closing(sqlite3.connect(next((tmp_path / "cache").rglob("store.sqlite")))) as db, db:
        rows = db.execute("SELECT id, block FROM words_data").fetchall()
        db.execute("UPDATE words_data SET block = ? WHERE id = ?", spoil(rows))
    (root / "new.py").write_text(module("of_new_things"))
    for _ in range(2):  # what a first start has not read, the next one must not take for sound
        with closing(open_index(root, tmp_path / "cache")) as index:
            index.update()
    with closing(open_index(root, tmp_path / "cache")) as index:
        index.verify()
        index.update()
        assert index.verify()
        with closing(open_index(root, tmp_path / "fresh")) as fresh:
            fresh.update()
            assert state(index) == state(fresh)


def spoiled(content: bytes) -> Iterator[bytes]:
    """One byte in each of a database's CREATE statements is no longer text."""
    for found in re.finditer(rb"CREATE ", content):
        for place in (found.start() + 4, found.end() + 2):
            yield content[:place] + b"\xff" + content[place + 1 :]


def test_a_schema_that_is_no_text_is_set_aside(saved, tmp_path):
    store = next(saved[1]["closed"].rglob("store.sqlite")).read_bytes()
    for number, content in enumerate(spoiled(store)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "store.sqlite").write_bytes(content)
        with closing(open_database(folder)) as db:
            db.execute("INSERT INTO meta VALUES ('usable', 1)")
        assert (folder / "store.sqlite.damaged").exists()
    assert number > 30


def test_a_token_cache_whose_schema_is_no_text_begins_anew(tmp_path):
    file, tokens = tmp_path / "tokens.sqlite", {b"a" * 16: np.arange(5, dtype=np.int32)}
    TokenCache(file).close()
    for content in spoiled(file.read_bytes()):
        file.write_bytes(content)
        for _ in range(2):
            cache = TokenCache(file)
            cache.put(tokens)
            found = cache.get(tokens)
            cache.close()
        assert list(found) == list(tokens)


@pytest.mark.parametrize("ids", [b"\x01\x02\x03", b"", b"\xff\xff\xff\xff" * 3, "text", None, 7])
def test_a_damaged_row_of_tokens_is_done_without(tmp_path, ids):
    cache = TokenCache(tmp_path / "tokens.sqlite")
    cache.put({b"a" * 16: np.arange(5, dtype=np.int32), b"b" * 16: np.arange(7, dtype=np.int32)})
    with closing(sqlite3.connect(tmp_path / "tokens.sqlite")) as db, db:
        db.execute("UPDATE OR REPLACE tokens SET ids = coalesce(?, '') WHERE digest = ?", (ids, b"a" * 16))
    assert list(cache.get([b"a" * 16, b"b" * 16])) == [b"b" * 16]
    cache.put({b"a" * 16: np.arange(5, dtype=np.int32)})
    assert cache.get([b"a" * 16])[b"a" * 16].tolist() == [0, 1, 2, 3, 4]
    cache.close()


def test_a_damaged_token_cache_begins_anew(tmp_path):
    file = tmp_path / "tokens.sqlite"
    file.write_bytes(b"SQLite format 3\0" + b"\xa5" * 9_000)
    TokenCache(file).close()
    again = TokenCache(file)
    again.put({b"a" * 16: np.arange(5, dtype=np.int32)})
    assert again.get([b"a" * 16])
    again.close()


def test_what_another_process_has_replaced_is_opened_anew(saved, tmp_path):
    root, caches, expected = saved
    shutil.copytree(caches["closed"], tmp_path / "cache")
    with closing(open_index(root, tmp_path / "cache")) as index:
        for file in index.stats().folder.glob("store.sqlite*"):
            file.unlink()
        index.update([])
        assert state(index) == expected
        assert digests(index)
