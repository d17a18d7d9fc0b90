"""The benchmark of characters saved: what is taken, what is counted, what is hidden, and that the product shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from indexer import Index
from lsp_server.loading import load_coder
from lsp_server.session import Session
from lsp_server.settings import Settings, override
from lsp_server.snapshot import Buffer, take
from tests import tiny_coder
from tests.benchmarks.characters_saved import main, played
from tests.benchmarks.patient_typist import PatientTypist, Shown, Typed, counted, right
from tests.benchmarks.regions import Region, Sample, regions, texts_of, unwritten
from tests.benchmarks.showing import Copying, Cost, Product, RepositoryLines
from tests.benchmarks.typing_replay import Client, settled
from tests.typist import position

METHOD = "    def {name}(self) -> int:\n        return self.total + {number}\n\n"
BOOK = "class Book:\n" + "".join(METHOD.format(name=f"page_{n}", number=n) for n in range(9))


@pytest.mark.parametrize(
    ("text", "wanted", "taken"),
    [
        ("one(two)", "one(two)\nthree", "one(two)"),
        ("one\n    two", "one\n    two\n", "one\n    two"),
        ("one\n    two", "one\n    three\n", "one"),
        ("\n    two\n    x", "\n    two\n", "\n    two"),
        ("one two", "one three", "one"),
        (" one two", " one three", " one"),
        ("(one", "(two", ""),  # a key for one character saves none
        ("((one", "((two", "(("),
        ("on", "one", ""),
        ("one", "on", ""),
        ("one", "two", ""),
        ("one", "", ""),
    ],
)
def test_what_is_taken(text: str, wanted: str, taken: str) -> None:
    assert right(text, wanted) == taken


def test_indentation_counts_for_nothing() -> None:
    assert counted("\n        one\n\n    two  three") == len("\none\n\ntwo  three")


class Plays:
    """Shows a text behind a prefix, again and again while it is typed along."""

    def __init__(self, shows: Sequence[tuple[str, str]]) -> None:
        self._shows = shows
        self.told: list[str] = []

    async def at(self, prefix: str) -> Shown | None:
        for number, (before, text) in enumerate(self._shows):
            typed = prefix[len(before) :]
            if prefix.startswith(before) and text.startswith(typed) and typed != text:
                return Shown(number, text[len(typed) :])
        return None

    def taken(self, shown: Shown, text: str) -> None:
        self.told.append(text)


def typed(wanted: str, *shows: tuple[str, str]) -> tuple[Typed, list[str]]:
    plays = Plays(shows)
    return asyncio.run(PatientTypist(plays, "", wanted).type()), plays.told


def test_nothing_shown_saves_nothing() -> None:
    done, _ = typed("one\n    two\n")

    assert (done.n_chars, done.n_saved, done.n_keys) == (8, 0, 8)
    assert done.right == done.wrong == []


def test_a_block_is_taken_with_one_key() -> None:
    done, told = typed("one:\n    two\n", ("o", "ne:\n    two"))

    assert told == ["ne:\n    two"]
    assert (done.n_chars, done.n_saved, done.n_keys) == (9, 7, 3)
    assert [look.text for look in done.right] == ["ne:\n    two"]


def test_words_are_taken_as_far_as_they_are_right() -> None:
    done, told = typed("one two three", ("o", "ne two four"))

    assert told == ["ne", " two"]
    assert (done.n_saved, done.n_keys) == (6, 9)
    assert (len(done.right), len(done.wrong)) == (1, 0)


def test_what_is_typed_along_is_one_suggestion_and_wrong_once() -> None:
    done, told = typed("(x)", ("(", "x, y, z)"))

    assert told == []
    assert [(look.before, look.text, look.wanted) for look in done.wrong] == [("(", "x, y, z)", "x)")]
    assert done.n_saved == 0


def test_another_suggestion_that_ends_in_the_same_text_is_the_same_one() -> None:
    done, _ = typed("ab", ("a", "XYZ"), ("ab", "XYZ"))
    again, _ = typed("xab", ("x", "a b"), ("xa", " b"))

    assert len(done.wrong) == 2
    assert len(again.wrong) == 1


def test_regions_are_drawn_by_the_seed_and_stand_in_their_files() -> None:
    texts = {f"a{n}.py": "".join(f"x{n} = {row}\n" for row in range(30)) for n in range(9)}
    texts |= {"copy.py": texts["a1.py"], "short.py": "x\n"}
    drawn = regions("one", texts, Sample(3, 10, 5))

    assert drawn == regions("one", texts, Sample(3, 10, 5)) != regions("one", texts, Sample(3, 10, 6))
    assert len({region.path for region in drawn}) == 3
    assert not {"a1.py", "copy.py", "short.py"} & {
        region.path for seed in range(20) for region in regions("one", texts, Sample(7, 10, seed))
    }
    for region in drawn:
        assert texts[region.path].startswith(region.above + region.wanted)
        assert region.wanted.strip().count("\n") == 9
        assert region.below == ""
    for region in regions("one", texts, Sample(3, 10, 5, below=True)):
        assert region.above + region.wanted + region.below == texts[region.path].rstrip("\n")


def test_the_typed_file_is_not_in_the_index_and_comes_back(tmp_path: Path) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    for name in ("book.py", "other.py"):
        (root / name).write_text(BOOK, encoding="utf-8")
    with closing(Index.open(root, None, tmp_path / "cache")) as index:
        index.update()
        with unwritten(index, Region("book.py", "class Book:\n", "    x = 1\n")):
            assert list(texts_of(root, index)) == ["other.py"]
            assert not (root / "book.py").exists()
        assert list(texts_of(root, index)) == ["book.py", "other.py"]
        assert (root / "book.py").read_text(encoding="utf-8") == BOOK


def test_copied_is_the_nearest_line_that_begins_so() -> None:
    lines = RepositoryLines({"a/one.py": "    read(1)\n", "b/two.py": "read(2)\nwrite(2)\n"}, "b/typed.py")

    def shown(prefix: str, behind: int = 1) -> str:
        found = asyncio.run(Copying(lines, behind).at(prefix))
        return found.text if found else ""

    assert shown("read(3)\nread(4)\nre") == "ad(4)"
    assert shown("x\nre") == "ad(2)"
    assert shown("x\n  read(1") == ""  # one character is not worth showing
    assert shown("x\nwr") == "ite(2)"
    assert shown("x\nwr", 3) == ""
    assert shown("x\nzz") == ""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two files that are much alike."""
    root = tmp_path / "repositories" / "one"
    root.mkdir(parents=True)
    (root / "book.py").write_text(BOOK, encoding="utf-8")
    (root / "shelf.py").write_text(BOOK.replace("Book", "Shelf"), encoding="utf-8")
    return root


def settings_with(*assignments: str) -> Settings:
    return override(Settings(), (tiny_coder.ASSIGNMENT, *assignments))


def test_the_product_saves_characters_where_lines_repeat_and_none_unasked_where_it_must_be_certain(
    repository: Path,
) -> None:
    coder, sample = load_coder(settings_with()), Sample(1, 4, 1)
    done, again = (next(iter(played(coder, repository, settings_with(), sample))) for _ in range(2))
    certain = next(iter(played(coder, repository, settings_with("completion.minConfidence=1"), sample)))

    assert done.typed["product"] == again.typed["product"]
    assert done.typed["product"].n_saved > 0
    assert done.cost.n_runs > 0
    assert done.cost.n_passes > 0  # where recall is sure it takes none
    assert certain.typed["product"].n_saved == 0
    assert certain.held_back


def test_it_shows_what_the_session_shows(repository: Path) -> None:
    settings = settings_with("model.deadlineMs=60000", "server.watch=false", "drafts.packages=false")
    path, sure = repository / "typed.py", settings.completion.min_confidence
    prefixes = [
        BOOK.replace("page", "leaf") + end for end in ("    de", "    def leaf_9(s", "    x", "import ")
    ]

    async def session_shows() -> list[str]:
        session = Session(Client(), load_coder)
        await session.start(settings, {repository: settings})
        try:
            await settled(session)
            buffers = [Buffer(path.as_uri(), None, path, "python", prefix) for prefix in prefixes]
            places = [position(prefix, len(prefix)) for prefix in prefixes]
            offers = [
                await session.suggest(take(buffer, place), min_confidence=sure)
                for buffer, place in zip(buffers, places, strict=True)
            ]
            return [offer.suggestion.text if offer else "" for offer in offers]
        finally:
            await session.stop()

    coder = load_coder(settings)
    with closing(
        Index.open(repository, None, repository.parent / "cache", tokenizer=coder.tokenizer)
    ) as index:
        index.update()
        product = Product(coder, index, settings, path, Cost())

        async def product_shows() -> list[str]:
            found = [await product.at(prefix) for prefix in prefixes]
            return [shown.text if shown else "" for shown in found]

        shown = asyncio.run(product_shows())

    assert shown == asyncio.run(session_shows())
    assert any(shown)


def test_the_command_reports_each_repository_and_all(
    repository: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["--repositories", str(repository.parent), "--files", "1", "--lines", "2"]
    assert main([*arguments, "--json", "--examples", str(tmp_path / "examples.jsonl")]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert {row["repository"] for row in rows} == {"one", "all"}
    assert [row["shows"] for row in rows[:3]] == ["product", "copying behind 1", "copying behind 4"]
    assert all(row["keys"] <= row["characters"] for row in rows)
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "examples.jsonl").read_text().splitlines()]
    assert set(kinds) <= {"right", "wrong", "held back"}
    assert main([*arguments]) == 0
    assert "one: " in capsys.readouterr().out


def test_no_repository_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--repositories", str(tmp_path)])
    assert stopped.value.code == 2
