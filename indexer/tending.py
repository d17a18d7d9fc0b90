"""What is done about the store between updates: no trace of deleted text stays in it, and no row that was altered.

SQLite overwrites what is deleted (`secure_delete`), but copies stay for a while: deleted words are in the full-text
index until its parts are merged, overwritten pages are in the log until that is emptied, and cells that moved to
another page may still be legible where they were until the file is written anew. The first two cost half a second at
100,000 chunks, the last one as much more as the file is larger than its words.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from indexer.damage import DamagedError, check, number, reading
from indexer.database import Database
from indexer.hierarchy import CHUNK
from indexer.store import words_of
from indexer.vector_blobs import unsealed

_SMALL_BYTES = 16_000_000  # written anew in some 0.2 s
_WORDS = {"words_data": "id, block", "words_idx": "segid, term, pgno", "words_docsize": "id, sz"}

_NODES = "SELECT digest, level, height, children, crc FROM nodes"
_TEXTS = "SELECT id, scope, text, signature, crc FROM texts"
_ENTRIES = "SELECT path, parent, level, content, node, crc FROM entries"
_PLACES = "SELECT entry, ordinal, node, first_line, last_line, crc FROM places"
_SYMBOLS = "SELECT node, name, kind, crc FROM symbols"
# Rows that contradict another one. Each must find nothing.
_CONTRADICTIONS = (
    "SELECT 1 FROM nodes WHERE alive <> EXISTS (SELECT 1 FROM places WHERE node = nodes.id)",
    "SELECT 1 FROM nodes n LEFT JOIN keys k ON k.id = n.id LEFT JOIN memories m ON m.id = n.id "
    "WHERE n.embedded <> (k.id IS NOT NULL) OR n.embedded <> (m.id IS NOT NULL)",
    "SELECT 1 FROM nodes WHERE since > (SELECT value FROM meta WHERE name = 'generation')",
    f"SELECT 1 FROM nodes n LEFT JOIN texts t ON t.id = n.id "
    f"WHERE (n.alive AND n.level = '{CHUNK}') <> (t.id IS NOT NULL)",
    "SELECT 1 FROM texts WHERE id NOT IN (SELECT id FROM nodes)",
    "SELECT 1 FROM keys WHERE id NOT IN (SELECT id FROM nodes)",
    "SELECT 1 FROM memories WHERE id NOT IN (SELECT id FROM nodes)",
    "SELECT 1 FROM symbols WHERE node NOT IN (SELECT id FROM texts)",
    "SELECT 1 FROM places WHERE node NOT IN (SELECT id FROM nodes) OR entry NOT IN (SELECT id FROM entries)",
    "SELECT 1 FROM entries e WHERE e.node IS NOT "
    "(SELECT p.node FROM places p WHERE p.entry = e.id ORDER BY p.ordinal DESC LIMIT 1)",
)


def wipe(db: Database, *, whole: bool) -> None:
    """Leave nothing of deleted text in the store's files. `whole`: also what needs a large file to be written anew.

    Raises sqlite3.OperationalError while another process writes.
    """
    removed = db.number("removed")
    stale = has_traces(db)
    if stale:
        with db.transaction():
            db.execute("INSERT INTO words(words) VALUES ('optimize')")
            db.set_meta({"words_generation": None})  # other bytes say the same: the sum is of none of them
    rewrite = db.meta("rewritten") != removed and (whole or db.size <= _SMALL_BYTES)
    if rewrite:
        db.execute(f"PRAGMA temp_store = {'MEMORY' if db.size <= _SMALL_BYTES else 'DEFAULT'}")
        db.execute("VACUUM")
    if (rewrite or stale) and db.fold_log():
        with db.transaction():
            db.set_meta({"wiped": removed, **({"rewritten": removed} if rewrite else {})})


def has_traces(db: Database) -> bool:
    """Whether deleted text may still be found in the files (copies in a large one aside)."""
    return db.meta("wiped") != db.number("removed")


def check_words(db: Database) -> bool:
    """Whether the full-text index is known to be what was written; False where nobody noted its sum (killed).

    Raises DamagedError where it is another. Asked before a change: no sum is known of what is changed.
    """
    generation = db.number("generation")
    if generation and db.meta("words_generation") != generation:
        return False
    if generation and db.meta("words_sum") != _sum_of_words(db):
        raise DamagedError("words")
    return True


def seal_words(db: Database) -> None:
    """Note the sum of the full-text index, whose rows carry none, for the generation that it is of: only where it is
    known to be what was written."""
    with db.transaction():
        if db.meta("words_generation") != db.number("generation"):
            db.set_meta({"words_generation": db.number("generation"), "words_sum": _sum_of_words(db)})


def verify(db: Database, *, words_are_sound: bool = False) -> None:
    """Read the whole store. Raises DamagedError, or another error that is damage, unless all of it is what was written.

    Takes about a second per 100,000 chunks, and blocks nobody. `words_are_sound`: the full-text index was checked
    before this process changed it; where neither that nor its sum is known it is compared with the texts (slow).
    """
    with reading(), db.snapshot():
        if [tuple(row) for row in db.execute("PRAGMA integrity_check(1)")] != [("ok",)]:
            raise DamagedError("integrity")
        for query in (_NODES, _TEXTS, _ENTRIES, _PLACES, _SYMBOLS):
            for *row, crc in db.execute(query):
                check(crc, *row)
        _verify_vectors(db)
        if any(db.execute(f"{query} LIMIT 1").fetchone() for query in _CONTRADICTIONS):
            raise DamagedError("contradiction")
        if not (check_words(db) or words_are_sound):
            _compare_words(db)


def _verify_vectors(db: Database) -> None:
    widths = {name: db.meta(name) for name in ("d_key", "m", "d_memory")}
    shapes = {"key": ("d_key",), "memory": ("m", "d_memory")}
    for column, names in shapes.items():
        table = {"key": "keys", "memory": "memories"}[column]
        for digest, blob in db.execute(
            f"SELECT n.digest, t.{column} FROM {table} t JOIN nodes n ON n.id = t.id"
        ):
            unsealed(blob, digest, tuple(number(widths[name]) for name in names))


def _compare_words(db: Database) -> None:
    """The full-text index against the texts that it is of, where there is no sum of it: `verify` takes five to eight
    times as long with it.

    Of chunks with other letters than ASCII nothing is compared: SQLite folds those in its own way.
    """
    foreign: set[int] = set()
    wanted = n_texts = 0
    texts = "SELECT t.id, t.scope, t.text, d.sz FROM texts t LEFT JOIN words_docsize d ON d.id = t.id"
    for id, scope, text, size in db.execute(texts):
        n_texts += 1
        words = words_of(scope, text)
        if not words.isascii():
            foreign.add(id)
            continue
        listed = words.split()
        if size != _varint(len(listed)):
            raise DamagedError("words")
        wanted += sum(hash((term, id)) for term in listed)
    db.execute(
        "CREATE VIRTUAL TABLE temp.instances USING fts5vocab(main, words, instance)"
    )  # rolled back: no trace
    rows = db.execute("SELECT term, doc FROM temp.instances")
    found = sum(hash(row) for row in rows if row[1] not in foreign)
    n_documents = db.execute("SELECT count(*) FROM words_docsize").fetchone()[0]
    if found != wanted or n_documents != n_texts:
        raise DamagedError("words")


def _varint(value: int) -> bytes:
    """A count below 16,384 as SQLite writes it."""
    return bytes([value]) if value < 0x80 else bytes([0x80 | value >> 7, value & 0x7F])


def _sum_of_words(db: Database) -> int:
    total = 0
    for block in _blocks_of_words(db):
        total = zlib.crc32(block, total)
    return total


def _blocks_of_words(db: Database) -> Iterator[bytes]:
    for table, columns in _WORDS.items():
        for row in db.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2"):
            for value in row:
                yield value if isinstance(value, bytes) else repr(value).encode()
