"""What is found at a cursor, and what must not be."""

from __future__ import annotations

import numpy as np
import pytest

from indexer import Index, Query, RetrievalSettings
from indexer.identifiers import terms, terms_of, weighted_identifiers
from indexer.query import RANKINGS
from indexer.retrieval import quotas

FILLER = "\n\n".join(
    f"def filler_{n}(value_{n}):\n    step_{n} = value_{n} * {n}\n    more_{n} = step_{n} + 1\n"
    f"    rest_{n} = more_{n} - 2\n    last_{n} = rest_{n} // 3\n    return last_{n}\n"
    for n in range(30)
)
PARSER = (
    "class ConfigParser:\n    '''Reads settings.'''\n\n    def parse_section(self, raw_section: str) -> dict:\n"
    "        result = {}\n        for line in raw_section.splitlines():\n            name, value = line.split('=')\n"
    "            result[name] = value\n        return result\n"
)


@pytest.fixture
def index(open_index, write) -> Index:
    for n in range(6):
        write(f"filler/f{n}.py", FILLER.replace("filler_", f"filler{n}_").replace("value_", f"v{n}_"))
    write("settings/parser.py", PARSER)
    write("main.py", f"import os\n\n\n{FILLER.replace('filler', 'here')}\n")
    index = open_index()
    index.update()
    return index


def chunks(index: Index, query: Query, **chosen: int):
    settings = RetrievalSettings(files=0, directories=0, **chosen)
    return index.search(query, 8, settings)


def test_names_used_near_the_cursor_find_their_definition(index):
    hit = chunks(index, Query("main.py", "x = ConfigParser(", ")\n", None))[0]
    assert (hit.path, hit.level, hit.first_line) == ("settings/parser.py", "chunk", 1)
    assert hit.signature == "class ConfigParser:\n    def parse_section(self, raw_section: str) -> dict:"
    assert hit.text == PARSER.rstrip()


def test_rare_words_find_their_chunk_by_their_parts(index):
    assert chunks(index, Query("main.py", "rawSection = 1\n", "", None))[0].path == "settings/parser.py"


def test_a_near_key_finds_its_chunk(index, embedder):
    key = embedder.embed([PARSER]).keys[0].astype(np.float32)
    assert chunks(index, Query("main.py", "", "", key))[0].path == "settings/parser.py"


def test_rankings_can_be_left_out(index, embedder):
    """The key says one thing, the name near the cursor another: each ranking alone finds its own."""
    key = embedder.embed([FILLER[: FILLER.index("def filler_1(")].replace("filler_", "filler3_")]).keys[0]
    found = {
        name: chunks(
            index, Query("main.py", "x = ConfigParser(", ")\n", key.astype(np.float32), rankings=(name,))
        )
        for name in RANKINGS
    }
    assert {hit.path for hit in found["symbols"]} == {"settings/parser.py"}
    assert found["words"][0].path == "settings/parser.py"
    assert len(found["dense"]) == 8  # whatever is nearest: a key has a distance to everything
    assert index.search(Query("main.py", "x = ConfigParser(", "", key.astype(np.float32), rankings=())) == []


def test_memory_comes_with_every_hit(index, embedder):
    key = embedder.embed([PARSER]).keys[0].astype(np.float32)
    hits = index.search(Query("main.py", "ConfigParser", "", key), 8)
    assert len(hits) == 8
    assert [hit.level for hit in hits] == ["chunk"] * 6 + ["file", "directory"]
    assert all(hit.memory.shape == (2, 8) and hit.memory.dtype == np.float16 for hit in hits)
    directory, file = hits[-1], hits[-2]
    assert (file.path, file.first_line, file.last_line, file.text) == ("settings/parser.py", 1, 9, "")
    assert (directory.path, directory.first_line, directory.last_line) == ("settings", 0, 0)


def test_the_repository_can_be_asked_for(index, embedder):
    key = embedder.embed([PARSER]).keys[0].astype(np.float32)
    hits = index.search(Query("main.py", "ConfigParser", "", key), 4, RetrievalSettings(repository=1))
    assert [hit for hit in hits if hit.level == "repository"] == [] or hits[-1].path == ""
    hits = index.search(Query("main.py", "ConfigParser", "", key), 9, RetrievalSettings(repository=1))
    assert (hits[-1].level, hits[-1].path) == ("repository", "")


def test_the_chunk_under_the_cursor_is_never_retrieved(index, root, embedder):
    text = (root / "main.py").read_text()
    offset = text.index("more_7 = ")
    key = embedder.embed([text[offset - 60 : offset + 60]]).keys[0].astype(np.float32)
    query = Query("main.py", text[:offset], text[offset:], key)
    cursor = text[:offset].count("\n") + 1
    for hit in index.search(query, 30):
        assert hit.path != "main.py" or not hit.first_line <= cursor <= hit.last_line
        assert (hit.path, hit.level) != ("main.py", "file")


def test_what_the_prompt_shows_is_not_retrieved():
    line = "x" * 99 + "\n"
    assert Query("a.py", line * 5 + "here", line * 3, None).hidden_lines == (1, 9)
    assert Query("a.py", line * 100, "", None).hidden_lines == (71, 101)
    assert Query("a.py", "", line * 100, None).hidden_lines == (1, 10)
    assert Query("a.py", line, line, None, (5, 6)).hidden_lines == (5, 6)


def test_lines_can_be_excluded(index):
    query = Query("main.py", "here_3 here_4 here_5", "", None, exclude_lines=(1, 1))
    assert "main.py" in {hit.path for hit in chunks(index, query)}
    assert "main.py" not in {
        hit.path for hit in chunks(index, Query(*_fields(query), exclude_lines=(1, 10_000)))
    }


def _fields(query: Query) -> tuple:
    return query.path, query.before, query.after, query.key


def test_the_file_being_edited_gets_few_places(index):
    query = Query("main.py", "here_3 here_4 here_5 here_6 here_7", "", None, (1, 1))
    assert sum(hit.path == "main.py" for hit in chunks(index, query)) == 2
    assert sum(hit.path == "main.py" for hit in chunks(index, query, same_file=4)) == 4


def test_copies_and_near_copies_take_one_place(index, write):
    query = Query("settings/other.py", "ConfigParser().parse_section(", "", None)
    index.update([write("copy/parser.py", PARSER)])
    found = [hit.path for hit in chunks(index, query) if "ConfigParser" in hit.text]
    assert found == ["settings/parser.py"]  # the nearer one
    index.update([write("near/parser.py", PARSER.replace("Reads", "Reads its"))])
    assert sum("ConfigParser" in hit.text for hit in chunks(index, query)) == 1


def test_an_imported_module_is_preferred(index, write):
    for place in "abcd":
        opened = f"    handle_{place} = open(path_{place})\n    return handle_{place}.read()\n"
        write(f"{place}/tables.py", f"def load_table(path_{place}):\n{opened}")
    index.update()
    before = "from c.tables import load_table\n\nrows = load_table("
    assert chunks(index, Query("main.py", before, "", None))[0].path == "c/tables.py"


@pytest.mark.parametrize(
    "before",
    ["", "\n", "   ", "'\"; DROP TABLE nodes; --", "é名前 = ", "\ud800 x", "NEAR(a b) OR *", "a" * 99],
)
def test_odd_queries_do_no_harm(index, before):
    index.search(Query("nowhere/x.py", before, before, None))
    assert index.stats().last_error == ""


@pytest.mark.parametrize("k", [0, 1, 3, 8, 100])
def test_never_more_than_k(index, embedder, k):
    key = embedder.embed([PARSER]).keys[0].astype(np.float32)
    assert len(index.search(Query("main.py", "filler1_3", "", key), k)) <= k


@pytest.mark.parametrize(
    ("k", "expected"),
    [(8, (6, 1, 1, 0)), (16, (12, 2, 2, 0)), (1, (1, 0, 0, 0)), (4, (3, 1, 0, 0)), (0, (0, 0, 0, 0))],
)
def test_quotas(k, expected):
    assert tuple(quotas(k, RetrievalSettings()).values()) == expected


def test_identifiers_are_split_and_kept_whole():
    assert terms_of("parseHTTPResponse2xx") == ("parsehttpresponse2xx", "parse", "http", "response")
    assert terms_of("snake_case_name") == ("snake_case_name", "snake", "case", "name")
    assert terms("def get_user(self): return self.user_id") == ["get_user", "get", "user", "user_id"]


def test_the_nearest_lines_weigh_most():
    weights = weighted_identifiers("far\n" + "\n" * 25 + "near\nhere", "below\n")
    assert weights["here"] > weights["near"] > weights["below"] > weights["far"] > 0


# -- open documents --------------------------------------------------------------------------------------------------


def test_unsaved_text_beats_the_disk(index, root):
    path = root / "settings/parser.py"
    index.overlay(path, PARSER.replace("ConfigParser", "TomlReader"))
    assert chunks(index, Query("main.py", "TomlReader(", "", None))[0].signature.startswith(
        "class TomlReader:"
    )
    assert all(
        "ConfigParser" not in hit.text for hit in chunks(index, Query("main.py", "ConfigParser(", "", None))
    )
    index.overlay(path, None)
    assert chunks(index, Query("main.py", "ConfigParser(", "", None))[0].path == "settings/parser.py"
    assert all(
        "TomlReader" not in hit.text for hit in chunks(index, Query("main.py", "TomlReader(", "", None))
    )


def test_unsaved_text_is_found_by_its_key_and_has_a_memory(index, root, embedder):
    text = PARSER.replace("ConfigParser", "TomlReader").replace("line", "entry")
    index.overlay(root / "new.py", text)
    key = embedder.embed([text]).keys[0].astype(np.float32)
    hit = chunks(index, Query("main.py", "", "", key))[0]
    assert (hit.path, hit.memory.shape) == ("new.py", (2, 8))


def test_an_open_document_embeds_only_what_changed_and_saving_it_nothing(index, root, embedder, write):
    text = (root / "main.py").read_text()
    embedder.embedded.clear()
    assert index.overlay(root / "main.py", text).embedded == 0
    edited = text.replace("more_7 = step_7 + 1", "more_7 = step_7 + 100")
    report = index.overlay(root / "main.py", edited)
    assert (report.embedded, len(embedder.embedded)) == (1, 1)
    index.overlay(root / "main.py", edited)
    report = index.update([write("main.py", edited)])
    assert report.changed == 1
    assert len(embedder.embedded) == 1


def test_unsaved_text_is_never_written_to_the_store(index, root):
    index.overlay(root / "main.py", "draft_marker = 1\n")
    index.update()
    folder = index.stats().folder
    index.close()
    assert all(b"draft_marker" not in path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("name", [".env", "ignored/x.py", "../outside.py", "node_modules/x.js"])
def test_documents_that_the_index_leaves_out_are_left_out_open_as_well(index, root, write, name):
    index.update([write(".gitignore", "ignored/\n")])
    assert index.overlay(root / name, "class OverlayedThing:\n    pass\n").chunks == 0
    assert all(
        "OverlayedThing" not in hit.text
        for hit in chunks(index, Query("main.py", "OverlayedThing(", "", None))
    )


def test_lone_surrogates_in_an_open_document(index, root):
    assert index.overlay(root / "x.py", "name_with = '\ud83d'\n").chunks == 1


def test_words_and_names_are_found_before_any_vector_is_there(open_index, write, embedder):
    key, embed = embedder.embed(["anything"]).keys[0].astype(np.float32), embedder.embed

    def fail(texts):
        raise RuntimeError("busy")

    write("settings/parser.py", PARSER)
    index, embedder.embed = open_index(), fail
    with pytest.raises(RuntimeError):
        index.update()
    query = Query("main.py", "ConfigParser(", "", key)
    assert [(hit.path, hit.memory.size) for hit in chunks(index, query)] == [("settings/parser.py", 0)]
    embedder.embed = embed
    index.update()
    assert [(hit.path, hit.memory.size) for hit in chunks(index, query)] == [("settings/parser.py", 16)]


def test_words_of_an_open_document_count_before_the_embedder_answers(index, root, embedder):
    def fail(texts):
        raise RuntimeError("busy")

    embedder.embed = fail
    with pytest.raises(RuntimeError):
        index.overlay(root / "x.py", PARSER.replace("ConfigParser", "TomlReader"))
    assert chunks(index, Query("main.py", "TomlReader(", "", None))[0].path == "x.py"
