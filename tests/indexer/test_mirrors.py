"""The tokens of a repository as two coders have them, while the one takes over from the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexer import Index, IndexSettings, SuffixIndex, Tokenized


class Shifted:
    """A tokenizer: every character is a token, so many further on. Counts what it was asked."""

    def __init__(self, shift: int) -> None:
        self.fingerprint = f"characters {shift}"
        self.shift = shift
        self.texts: list[str] = []

    def encode(self, text: str) -> list[int]:
        self.texts.append(text)
        return [ord(character) + self.shift for character in text]


@pytest.fixture
def opened(repository: Path, tmp_path: Path) -> Iterator[Callable[[Shifted], Index]]:
    indexes: list[Index] = []

    def open_index(tokenizer: Shifted) -> Index:
        index = Index.open(repository, None, tmp_path / "cache", IndexSettings(), tokenizer=tokenizer)
        indexes.append(index)
        return index

    yield open_index
    for index in indexes:
        index.close()


def after(tokens: SuffixIndex, tokenizer: Shifted, text: str) -> list[str]:
    """What follows a text, wherever it occurs."""
    ids = [ord(character) + tokenizer.shift for character in text]
    rows = tokens.find(ids, shortest=len(text), width=4).continuations.tolist()
    return sorted("".join(chr(token - tokenizer.shift) for token in row if token >= 0) for row in rows)


def read_as(index: Index, tokenizer: Shifted, goes_on: Callable[..., bool] = lambda *_: True) -> Tokenized:
    return index.mirrors.read_as(tokenizer, None, index.files, goes_on)


ONE, TWO = Shifted(0), Shifted(1000)


def test_both_follow_files_and_open_documents_until_one_is_spoken(
    opened: Callable[[Shifted], Index], repository: Path
) -> None:
    index = opened(ONE)
    index.update()
    index.overlay(repository / "a.py", "alpha -= 1\n")
    found = read_as(index, TWO)
    assert after(found.tokens, TWO, "alpha") == [" + 2", " -= "]
    (repository / "c.py").write_text("gamma = alpha\n")
    index.update()
    index.overlay(repository / "a.py", "alpha /= 1\n")
    for tokens, tokenizer in ((index.tokens, ONE), (found.tokens, TWO)):
        assert after(tokens, tokenizer, "alpha") == ["\n", " + 2", " /= "]

    lines, first = index.lines, index.tokens
    index.mirrors.speak(TWO)
    assert (index.tokens, index.lines) == (found.tokens, lines)
    (repository / "b.py").unlink()
    index.update()
    index.overlay(repository / "a.py", None)
    assert after(index.tokens, TWO, "alpha") == ["\n", " = 1"]
    assert after(first, ONE, "alpha") == ["\n", " + 2", " /= "]  # nobody follows it any more


def test_lines_are_there_once_and_go_on(opened: Callable[[Shifted], Index], repository: Path) -> None:
    index = opened(ONE)
    index.update()
    read_as(index, TWO)
    index.mirrors.speak(TWO)
    (repository / "c.py").write_text("first\nwanted\nlast\n")
    index.update()
    (place,) = index.lines.between(["first"], ["last"])
    assert (place.path, place.lines.texts[place.row]) == ("c.py", "wanted")


def test_the_same_tokenizer_is_read_once(opened: Callable[[Shifted], Index]) -> None:
    index = opened(ONE)
    index.update()
    assert read_as(index, Shifted(0)).tokens is index.tokens
    again = Shifted(1000)
    assert read_as(index, TWO).tokens is read_as(index, again).tokens
    assert again.texts == []
    index.mirrors.speak(Shifted(7))  # nobody has read as this one: all stays
    assert after(index.tokens, ONE, "beta") == [" = a"]


def test_what_was_broken_off_comes_with_the_next_update(opened: Callable[[Shifted], Index]) -> None:
    index = opened(ONE)
    index.update()
    found = read_as(index, TWO, lambda *_: False)
    assert after(found.tokens, TWO, "alpha") == []
    index.update()
    assert after(found.tokens, TWO, "alpha") == [" + 2", " = 1"]


def test_before_the_first_update_there_is_nothing_and_then_all(opened: Callable[[Shifted], Index]) -> None:
    index = opened(ONE)
    found = read_as(index, TWO)
    index.update()
    assert after(found.tokens, TWO, "alpha") == [" + 2", " = 1"]


@pytest.mark.parametrize("later", ["spoken", "another session"])
def test_what_is_deleted_goes_from_the_tokens_of_every_tokenizer(
    opened: Callable[[Shifted], Index], repository: Path, tmp_path: Path, later: str
) -> None:
    def is_legible(tokenizer: Shifted) -> bool:
        ids = np.array([ord(character) + tokenizer.shift for character in "alpha + 2"], np.int32).tobytes()
        return any(ids in file.read_bytes() for file in (tmp_path / "cache").rglob("tokens-*"))

    with closing(opened(ONE)) as index:
        index.update()
        read_as(index, TWO)
        assert is_legible(ONE)
        assert is_legible(TWO)
        if later == "spoken":
            index.mirrors.speak(TWO)
        else:
            index.close()
            index = opened(ONE)
        (repository / "b.py").write_text("beta = 3\n")
        index.update()
        assert index.has_traces
        index.wipe()
        assert not index.has_traces
        assert not is_legible(ONE)
        assert not is_legible(TWO)
