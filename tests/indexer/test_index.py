"""The whole index: what is embedded again and what is not, and that an update equals a fresh index."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from indexer import Index, IndexSettings, Query
from indexer.store import Store


def function(name: str, *calls: str) -> str:
    lines = "".join(
        f"    {call}_result = {call}({name}_input)\n" for call in calls or ("compute", "verify", "store")
    )
    return f"def {name}({name}_input):\n    '''Do {name}.'''\n    {name}_state = {{}}\n{lines}    return {name}_state\n"


def module(*names: str) -> str:
    return "\n\n".join(function(name) for name in names)


@pytest.fixture
def project(write):
    write("app/orders.py", module("place_order", "cancel_order", "ship_order"))
    write("app/users.py", module("create_user", "delete_user"))
    write("lib/text.py", module("slugify", "truncate"))
    write("README.md", "# Shop\n\nOrders and users.\n")
    write("empty/__init__.py", "")


def digests(index: Index) -> dict[str, bytes]:
    """path -> digest of every file and directory node."""
    with sqlite3.connect(index.stats().folder / "store.sqlite") as db:
        found = dict(db.execute("SELECT e.path, n.digest FROM entries e JOIN nodes n ON n.id = e.node"))
    db.close()
    return found


def answers(index: Index, embedder) -> list[tuple]:
    before = "import app.orders\n\ndef main():\n    order = place_order(1)\n    truncate("
    key = embedder.embed(["place_order create_user"]).keys[0].astype(np.float32)
    hits = [hit for k in (key, None) for hit in index.search(Query("main.py", before, "\n", k), 12)]
    return [
        (h.path, h.first_line, h.last_line, h.level, round(h.score, 6), h.text, h.memory.tobytes())
        for h in hits
    ]


def test_a_first_index_holds_everything(project, open_index, embedder, root):
    index = open_index()
    assert index.stats().state == "empty"
    report = index.update()
    assert (report.files, report.changed, report.skipped) == (5, 5, {})
    assert report.embedded == report.chunks == len(embedder.embedded) == 8
    assert embedder.largest_call <= 16
    stats = index.stats()
    assert (stats.state, stats.pending, stats.files, stats.directories) == ("ready", 0, 5, 3)
    assert set(digests(index)) == {
        "",
        "app",
        "lib",
        "app/orders.py",
        "app/users.py",
        "lib/text.py",
        "README.md",
    }


def test_empty_files_are_stored_a_few_hundred_at_a_time(open_index, write, monkeypatch):
    for number in range(1_500):
        write(f"empty{number}.py", "")
    sizes, put = [], Store.put
    monkeypatch.setattr(
        Store, "put", lambda store, entries: sizes.append(len(entries)) or put(store, entries)
    )
    assert open_index().update().files == 1_500
    assert max(sizes) <= 500  # all of them at once: 20,000 took the square of their number


def test_the_cache_is_private_and_outside_the_repository(project, open_index, root):
    index = open_index()
    index.update()
    folder = index.stats().folder
    assert not folder.is_relative_to(root)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_nothing_changed_writes_nothing(project, open_index):
    index = open_index()
    index.update()
    index.update()
    generation = index.stats().generation
    report = index.update()
    assert (report.changed, report.embedded, report.fused) == (0, 0, 0)
    assert index.stats().generation == generation


def test_a_line_at_the_top_embeds_one_chunk_and_fuses_one_path(project, open_index, embedder, write, root):
    index = open_index()
    index.update()
    embedder.embedded.clear()
    embedder.fused = 0
    path = write("app/orders.py", "import os\n" + (root / "app/orders.py").read_text())
    report = index.update([path])
    assert embedder.embedded == ["import os"]
    assert (report.embedded, report.reused, report.fused) == (1, 3, 3)  # file, directory, repository


def test_an_edited_function_embeds_one_chunk(project, open_index, embedder, write, root):
    index = open_index()
    index.update()
    embedder.embedded.clear()
    text = (root / "app/orders.py").read_text()
    index.update(
        [write("app/orders.py", text.replace("compute(cancel_order_input)", "renamed(cancel_order_input)"))]
    )
    assert [text.split("(")[0] for text in embedder.embedded] == ["def cancel_order"]


def test_a_rename_embeds_nothing(project, open_index, embedder, root):
    index = open_index()
    index.update()
    embedder.embedded.clear()
    (root / "app/orders.py").rename(root / "app/sales.py")
    report = index.update([root / "app/orders.py", root / "app/sales.py"])
    assert (report.embedded, report.fused, report.removed, report.changed) == (0, 0, 1, 1)
    (root / "app").rename(root / "shop")
    index.update([root / "app", root / "shop"])
    assert embedder.embedded == []
    assert {"shop/sales.py", "shop/users.py"} <= set(digests(index))
    assert "app" not in digests(index)


def test_a_branch_switch_and_back_embeds_nothing(project, open_index, embedder, write, root):
    index = open_index()
    index.update()
    original = (root / "app/orders.py").read_text()
    fresh = digests(index)
    write("app/orders.py", module("other_branch", "place_order"))
    (root / "lib/text.py").unlink()
    index.update()
    embedder.embedded.clear()
    embedder.fused = 0
    write("app/orders.py", original)
    write("lib/text.py", module("slugify", "truncate"))
    index.update()
    assert (embedder.embedded, embedder.fused) == ([], 0)
    assert digests(index) == fresh


def test_a_second_copy_embeds_nothing(project, open_index, embedder, root):
    index = open_index()
    index.update()
    embedder.embedded.clear()
    shutil.copytree(root / "app", root / "vendored")
    assert index.update().embedded == 0


def test_vanished_vectors_are_forgotten_beyond_the_bound(project, open_index, embedder, root):
    index = open_index(keep_vanished=2)
    index.update()
    shutil.rmtree(root / "app")
    index.update()
    with sqlite3.connect(index.stats().folder / "store.sqlite") as db:
        dead = db.execute("SELECT count(*) FROM nodes WHERE alive = 0").fetchone()[0]
        counts = [
            db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("nodes", "keys", "memories")
        ]
    db.close()
    assert dead == 2
    assert len(set(counts)) == 1


def test_a_delete_event_for_a_file_that_exists_is_a_change(project, open_index, write, root):
    index = open_index()
    index.update()
    replaced = write("app/users.py.tmp", module("create_user", "ban_user"))
    replaced.rename(root / "app/users.py")  # an atomic save
    report = index.update([root / "app/users.py", root / "app/users.py.tmp"])
    assert (report.changed, report.removed) == (1, 0)


def test_a_file_that_became_a_directory_and_back(project, open_index, write, root):
    index = open_index()
    index.update()
    (root / "lib/text.py").unlink()
    write("lib/text.py/inner.py", module("inner"))
    index.update([root / "lib/text.py"])
    assert {"lib/text.py", "lib/text.py/inner.py"} <= set(digests(index))
    shutil.rmtree(root / "lib/text.py")
    write("lib/text.py", module("slugify"))
    index.update([root / "lib/text.py"])
    assert "lib/text.py/inner.py" not in digests(index)


def test_a_new_ignore_rule_drops_files_and_its_removal_brings_them_back(
    project, open_index, embedder, write, root
):
    index = open_index()
    index.update()
    embedder.embedded.clear()
    ignore = write(".gitignore", "lib/\n")
    assert index.update([ignore]).removed == 1
    ignore.unlink()
    assert index.update([ignore]).removed == 1  # .gitignore itself
    assert "lib/text.py" in digests(index)
    assert embedder.embedded == ["lib/"]


def test_a_changed_file_of_equal_size_and_time_is_still_read_when_it_was_fresh(
    project, open_index, write, root
):
    index = open_index()
    index.update()
    path = root / "README.md"
    status = path.stat()
    write("README.md", "# Shop\n\nOrders and USERS.\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert index.update().changed == 1


def test_skipped_files_are_counted_and_named_until_they_are_gone(project, open_index, write, root):
    write("data.bin.py", b"\0")
    write(".env", "TOKEN=1\n")
    index = open_index()
    expected = {"binary": ("data.bin.py",), "secret": (".env",)}
    assert index.update().skipped == expected
    assert index.stats().skipped == expected
    (root / "data.bin.py").unlink()
    index.update([root / "data.bin.py"])
    assert index.stats().skipped == {"secret": (".env",)}


def test_a_file_that_becomes_unfit_leaves_the_index(project, open_index, write):
    index = open_index()
    index.update()
    index.update([write("app/users.py", b"\0\0")])
    assert "app/users.py" not in digests(index)


def test_odd_names_are_indexed_or_named(project, open_index, write, root):
    for name in ("with space.py", "quote'\".py", "percent%_.py", "名前.py", "new\nline.py"):
        write(name, module("odd"))
    try:
        (root / os.fsdecode(b"caf\xe9.py")).write_text("x = 1\n")
    except OSError:
        pytest.skip("the file system refuses such names")
    index = open_index()
    assert index.update().skipped == {"not UTF-8": ("caf?.py",)}
    assert {"with space.py", "quote'\".py", "percent%_.py", "名前.py", "new\nline.py"} <= set(digests(index))
    index.update([root / os.fsdecode(b"caf\xe9.py")])


def test_a_file_reached_through_a_link_is_one_file(project, open_index, write, root, tmp_path):
    (root / "linked").symlink_to(root / "app")
    (tmp_path / "elsewhere").symlink_to(root)
    index = open_index()
    index.update()
    write("app/users.py", module("create_user", "ban_user"))
    assert index.update([root / "linked/users.py", tmp_path / "elsewhere/app/users.py"]).changed == 1
    assert "linked/users.py" not in digests(index)


def test_a_root_that_vanished_empties_nothing(project, open_index, root):
    index = open_index()
    index.update()
    root.rename(root.with_name("moved"))
    report = index.update()
    assert report.files == 5
    assert "vanished while read" in report.skipped
    root.with_name("moved").rename(root)


def test_other_chunk_limits_cut_files_anew(project, open_index):
    open_index().update()
    assert open_index(chunk_max_lines=8).update().changed == 5


def test_another_embedder_shares_nothing(project, open_index, embedder):
    open_index().update()
    other = type(embedder)("hash-2")
    assert open_index(other).update().embedded == 8
    assert len(other.embedded) == 8


def test_progress_and_cancel(project, open_index):
    index = open_index()
    seen = []
    index.update(progress=seen.append)
    assert [progress.stage for progress in seen][:5] == ["reading"] * 5
    assert seen[0].total == 5
    assert seen[-1].stage == "embedding"


@pytest.mark.parametrize("after", range(0, 30, 3))
def test_a_cancelled_update_goes_on_where_it_stopped(project, open_index, embedder, after):
    left = [after]

    def cancelled() -> bool:
        left[0] -= 1
        return left[0] < 0

    index = open_index(batch_texts=2)
    report = index.update(cancelled=cancelled)
    assert report.cancelled is (left[0] < 0)
    index.update()
    assert len(embedder.embedded) == len(set(embedder.embedded)) == 8
    fresh = open_index(cache="fresh")
    fresh.update()
    assert digests(index) == digests(fresh)


def test_an_embedder_that_fails_loses_only_its_call(project, open_index, embedder):
    real, calls = embedder.embed, []

    def fail_third(texts):
        calls.append(len(texts))
        if len(calls) == 3:
            raise RuntimeError("the model thread has stopped")
        return real(texts)

    embedder.embed = fail_third
    index = open_index(batch_texts=2)
    with pytest.raises(RuntimeError, match="model thread"):
        index.update()
    assert "model thread" in index.stats().last_error
    assert index.stats().state == "incomplete"
    assert index.update().embedded == 4
    assert index.stats().last_error == ""


def test_vectors_of_another_width_are_refused(project, open_index, embedder, write):
    index = open_index()
    index.update()
    real = embedder.embed
    embedder.embed = lambda texts: type(real(texts))(real(texts).keys[:, :5], real(texts).memories)
    write("new.py", module("new"))
    with pytest.raises(ValueError, match="fingerprint"):
        index.update()


@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty", "other schema", "middle overwritten"])
def test_a_damaged_store_is_set_aside_and_rebuilt(project, open_index, root, caplog, damage):
    index = open_index()
    index.update()
    folder = index.stats().folder
    expected = digests(index)
    index.close()
    store = folder / "store.sqlite"
    if damage == "garbage":
        store.write_bytes(b"not a database at all" * 1_000)
    elif damage == "truncated":
        store.write_bytes(store.read_bytes()[:5_000])
    elif damage == "empty":
        store.write_bytes(b"")
    elif damage == "other schema":
        store.unlink()
        with sqlite3.connect(store) as db:
            db.execute("CREATE TABLE other(x)")
        db.close()
    else:
        content = bytearray(store.read_bytes())
        content[8_192:] = b"\xa5" * (len(content) - 8_192)
        store.write_bytes(content)
    again = open_index()
    assert again.search(Query("x.py", "place_order(", "", None)) == []
    again.update()
    assert digests(again) == expected
    assert not (folder / "store.sqlite.damaged").exists()  # it would keep texts
    if damage != "empty":
        assert sum("set aside" in record.message for record in caplog.records) == 1


def test_reopening_reads_no_file_and_embeds_nothing(project, open_index, embedder, root):
    index = open_index()
    index.update()
    before = answers(index, embedder)
    index.close()
    embedder.embedded.clear()
    shutil.rmtree(root / "app")
    again = open_index()
    assert again.stats().files == 5
    assert answers(again, embedder) == before


def test_without_an_embedder_words_and_names_are_searched(project, open_index):
    index = open_index(embedder=None)
    report = index.update()
    assert (report.embedded, index.stats().state) == (0, "ready")
    hits = index.search(Query("main.py", "x = cancel_order(", "", None))
    assert hits[0].signature == "def cancel_order(cancel_order_input):"
    assert {hit.level for hit in hits} == {"chunk"}
    assert hits[0].memory.shape == (0, 0)


# -- two processes, and killed ones ----------------------------------------------------------------------------------

CHILD = """
import os, sys
from pathlib import Path
sys.path[:0] = [{tests!r}, {project!r}]
from conftest import HashEmbedder
from indexer import Index, IndexSettings
embedder, calls, real = HashEmbedder(), [], HashEmbedder.embed
def embed(texts):
    if len(calls) == {kill_at}:
        os.kill(os.getpid(), 9)
    calls.append(texts)
    with open({log!r}, "a") as log:
        log.writelines(repr(text) + "\\n" for text in texts)
    return real(embedder, texts)
embedder.embed = embed
index = Index.open(Path({root!r}), embedder, Path({cache!r}), IndexSettings(batch_texts=4))
print(index.update().chunks)
index.close()
"""


def start_child(root: Path, tmp_path: Path, kill_at: int) -> subprocess.Popen[str]:
    values = {
        "tests": str(Path(__file__).parent),
        "project": str(Path(__file__).parents[2]),
        "root": str(root),
        "cache": str(tmp_path / "cache"),
        "log": str(tmp_path / "embedded.log"),
        "kill_at": kill_at,
    }
    return subprocess.Popen([sys.executable, "-c", CHILD.format(**values)], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def large_project(write):
    for number in range(12):
        write(f"package{number % 3}/module{number}.py", module(*(f"name_{number}_{n}" for n in range(5))))


@pytest.mark.parametrize("kill_at", [0, 7])
def test_killed_in_the_middle_it_goes_on_and_equals_a_fresh_index(
    large_project, open_index, embedder, root, tmp_path, kill_at
):
    child = start_child(root, tmp_path, kill_at)
    child.communicate(timeout=60)
    assert child.returncode == -9
    index = open_index()
    assert index.stats().state == "incomplete"
    index.update()
    log = tmp_path / "embedded.log"
    finished = log.read_text().splitlines() if log.exists() else []
    assert len(finished) == 4 * kill_at
    assert len(embedder.embedded) == 60 - 4 * kill_at  # finished work is not repeated
    fresh = open_index(cache="fresh")
    fresh.update()
    assert digests(index) == digests(fresh)
    assert answers(index, embedder) == answers(fresh, embedder)


def test_two_processes_share_one_store(large_project, open_index, embedder, root, tmp_path, write):
    index = open_index()
    child = start_child(root, tmp_path, -1)
    report = index.update()
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert int(out) == report.chunks == 60
    assert index.stats().pending == 0
    fresh = open_index(cache="fresh")
    fresh.update()
    index.update()
    assert digests(index) == digests(fresh)
    assert answers(index, embedder) == answers(fresh, embedder)


def test_what_another_process_changes_is_found_at_once(project, open_index, embedder, write, root):
    mine, other = open_index(), open_index()
    mine.update()
    key = embedder.embed([function("brand_new_name")]).keys[0].astype(np.float32)
    query = Query("main.py", "", "", key)
    assert "brand_new_name" not in mine.search(query)[0].text
    other.update([write("app/new.py", function("brand_new_name"))])
    assert "brand_new_name" in mine.search(query)[0].text
    (root / "app/new.py").unlink()
    other.update([root / "app/new.py"])
    assert all("brand_new_name" not in hit.text for hit in mine.search(query))


def test_settings_carry_their_help():
    assert all(field.metadata["help"] for field in fields(IndexSettings))
